#!/usr/bin/env bash
# install_tool.sh v1
# Installs this checkout into a virtual environment, TLCHECK_VENV (default: build/vnncomp of the checkout).
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
venv=${TLCHECK_VENV:-$here/../build/vnncomp}

if [ "$#" -ne 1 ] || { [ "$1" != v1 ] && [ "$1" != v2 ]; }; then
    echo "usage: install_tool.sh v1" >&2
    exit 2
fi
for python in "${PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3; do
    if [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        "$python" -m venv --clear -- "$venv"
        "$venv/bin/python" -m pip install --disable-pip-version-check --quiet -- "$here/..[run]"
        exec "$venv/bin/tlcheck" --version
    fi
done
echo "install_tool.sh: no Python 3.11 or newer (set PYTHON)" >&2
exit 1
