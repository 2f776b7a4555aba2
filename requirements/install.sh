#!/bin/sh
# Makes .venv from the locked and hashed list named by $1 (core or dev; `make requirements` writes them). With uv when it is here, else with pip.
set -eu
name=$1
here=$(cd "$(dirname "$0")/.." && pwd)
venv="$here/.venv"
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) or sys.version_info[:2] > (3, 14))' || {
    echo "peakday needs Python 3.11 to 3.14; $("$python" --version 2>&1) is $(command -v "$python"). Name another: make PYTHON=python3.12" >&2
    exit 5
}
echo "installing requirements/$name.txt into .venv (once)" >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
if command -v uv >/dev/null 2>&1; then
    uv pip install --quiet --python "$venv/bin/python" --require-hashes -r "$here/requirements/$name.txt"
    uv pip install --quiet --python "$venv/bin/python" --no-deps -e "$here"
else
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$here/requirements/$name.txt"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e "$here"
fi
# The simulator is compiled once and cached beside its module, so that the first plan does not wait for it.
"$venv/bin/python" -c 'from capacity.kernels import warm_up; warm_up()'
# dev holds all of core, so that one install serves both commands
[ "$name" = dev ] && touch "$venv/core.done"
touch "$venv/$name.done"
