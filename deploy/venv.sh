#!/usr/bin/env bash
# Make .venv and install a requirements file into it; quick when that was done before.
# Usage: deploy/venv.sh requirements.txt|requirements-dev.txt
set -euo pipefail
cd "$(dirname "$0")/.."
requirements=$1
python=.venv/bin/python

stamp() { echo ".venv/.installed-$1"; }
installed() { [ "$(cat "$(stamp "$1")" 2>/dev/null)" = "$(cksum <"$1")" ]; }
works() { "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if installed "$requirements" && works; then
    exit 0
fi
# Half of an environment (an interrupted start, a removed Python) is made anew.
if ! works || ! "$python" -m pip --version >/dev/null 2>&1; then
    if ! base=$(deploy/python.sh); then
        echo "Python 3.11 or newer with its venv module is needed (Debian: python3-venv)." >&2
        echo "PYTHON=/path/to/python3 chooses one that is not on the path." >&2
        exit 1
    fi
    echo "Making .venv with $base"
    rm -rf .venv
    "$base" -m venv .venv
fi
echo "Installing $requirements into .venv (about a minute, once) …"
"$python" -m pip install --quiet --disable-pip-version-check --no-input --progress-bar off \
    --require-hashes --requirement "$requirements"
cksum <"$requirements" >"$(stamp "$requirements")"
if [ "$requirements" = requirements-dev.txt ]; then
    # It holds everything of requirements.txt, in the same versions.
    cksum <requirements.txt >"$(stamp requirements.txt)"
fi
