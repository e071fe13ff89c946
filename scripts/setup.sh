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

# What only the tests need, each found by the command or the file it brings: exiftool and ffprobe read the written
# files independently of us, chromium opens the pages of the studio, and WordPress runs the plugin of web/wordpress
# for real, on PHP and MariaDB. With imagick WordPress copies metadata into the sizes it makes, which gd does not.
if [ "$extra" = test ]; then
    missing=()
    command -v exiftool >/dev/null || missing+=(libimage-exiftool-perl)
    command -v ffprobe >/dev/null || missing+=(ffmpeg)
    command -v chromium >/dev/null || missing+=(chromium)
    command -v mariadbd >/dev/null || missing+=(mariadb-server)
    command -v mariadb >/dev/null || missing+=(mariadb-client)
    command -v php >/dev/null || missing+=(php-cli)
    command -v phpunit >/dev/null || missing+=(phpunit)
    command -v phpcs >/dev/null || missing+=(php-codesniffer)
    command -v xgettext >/dev/null || missing+=(gettext)
    command -v zip >/dev/null || missing+=(zip)
    for one in mysqli:php-mysql gd:php-gd imagick:php-imagick xml:php-xml mbstring:php-mbstring curl:php-curl; do
        php -m 2>/dev/null | grep -qix "${one%%:*}" || missing+=("${one##*:}")
    done
    [ -f /usr/share/wordpress/wp-load.php ] || missing+=(wordpress)
    # Neither database nor web server is to start when it is installed: the tests run their own, in folders of theirs
    [ "${#missing[@]}" = 0 ] || RUNLEVEL=1 system_packages "${missing[@]}"
fi
