#!/usr/bin/env bash
# Print the newest Python on this machine that the console runs on and that can make a virtual
# environment; fail if there is none. PYTHON=… chooses one.
set -euo pipefail

suitable() {
    "$1" -c 'import ensurepip, sqlite3, ssl, sys, venv; sys.exit(sys.version_info < (3, 11))' \
        >/dev/null 2>&1
}

for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    # A version manager may put commands on the path that only complain, so each one is tried.
    if suitable "$candidate"; then
        command -v "$candidate"
        exit 0
    fi
done
exit 1
