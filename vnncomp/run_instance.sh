#!/usr/bin/env bash
# run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS_FILE TIMEOUT
# Writes RESULTS_FILE: sat, unsat, unknown, timeout or error, and after sat the counterexample.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

if [ "$#" -ne 6 ] || { [ "$1" != v1 ] && [ "$1" != v2 ]; }; then
    echo "usage: run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS_FILE TIMEOUT" >&2
    exit 2
fi
shift
python=${TLCHECK_VENV:-$here/../build/vnncomp}/bin/python
[ -x "$python" ] || python=${PYTHON:-python3}
exec "$python" "$here/instance.py" run "$@"
