#!/usr/bin/env bash
# Makes .venv and installs facecloak into it: scripts/setup.sh EXTRA (demo or test). Called by the Makefile.
# Installs system packages where they are missing and it may (root on Debian or Ubuntu); otherwise says what to do.
set -euo pipefail
cd "$(dirname "$0")/.."
extra=${1:?which extra: demo or test}
venv=${VENV:-.venv}

say() { printf 'facecloak: %s\n' "$*" >&2; }

system_packages() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing the system packages $*"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    else
        say "these system packages are missing: $*. On Debian or Ubuntu: sudo apt-get install $*. Nothing was installed."
        exit 1
    fi
}

# The newest Python that the tested versions cover first; any from 3.10 on will do.
if [ ! -x "$venv/bin/python" ]; then
    python=
    for one in ${PYTHON:-python3.11 python3.12 python3.13 python3 python3.10}; do
        if "$one" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then python=$one; break; fi
    done
    if [ -z "$python" ]; then
        say "Python 3.10 or newer is needed; ${PYTHON:-python3} is $("${PYTHON:-python3}" -V 2>/dev/null || echo none)." \
            "Install it, or name it: make demo PYTHON=/path/to/python3.11. Nothing was installed."
        exit 1
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null || system_packages python3-venv
    say "making $venv with $("$python" -V)"
    "$python" -m venv "$venv" || { rm -rf "$venv"; say "no virtual environment could be made. Nothing was installed."; exit 1; }
fi

say "installing (the first time downloads about 3 GB, most of it torch)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extra]"

# opencv-python's wheel counts on libraries that a bare server lacks.
if ! "$venv/bin/python" -c 'import cv2' 2>/dev/null; then
    system_packages libgl1 libglib2.0-0
    "$venv/bin/python" -c 'import cv2'
fi

# What only the tests need, each found by the command it brings: exiftool and ffprobe read the written files
# independently of us, and chromium opens the pages of the studio.
if [ "$extra" = test ]; then
    missing=()
    command -v exiftool >/dev/null || missing+=(libimage-exiftool-perl)
    command -v ffprobe >/dev/null || missing+=(ffmpeg)
    command -v chromium >/dev/null || missing+=(chromium)
    [ "${#missing[@]}" = 0 ] || system_packages "${missing[@]}"
fi
