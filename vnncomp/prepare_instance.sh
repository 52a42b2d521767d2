#!/usr/bin/env bash
# prepare_instance.sh v1 CATEGORY ONNX VNNLIB
# Exit status 0: the category is supported and tlcheck starts; anything else skips it. Looks at no instance.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

if [ "$#" -ne 4 ] || { [ "$1" != v1 ] && [ "$1" != v2 ]; }; then
    echo "usage: prepare_instance.sh v1 CATEGORY ONNX VNNLIB" >&2
    exit 2
fi
python=${TLCHECK_VENV:-$here/../build/vnncomp}/bin/python
[ -x "$python" ] || python=${PYTHON:-python3}
exec "$python" "$here/instance.py" prepare "$2"
