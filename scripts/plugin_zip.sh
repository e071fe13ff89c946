#!/usr/bin/env bash
# Makes the installable plugin: scripts/plugin_zip.sh FILE.zip. The same files give the same bytes: in one order, with
# one date, without owners.
set -euo pipefail
out=$(realpath -m "${1:?which file}")
cd "$(dirname "$0")/../web/wordpress"
command -v zip >/dev/null || { echo "zip is missing: apt-get install zip. Nothing was written." >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
umask 022
mkdir -p "$(dirname "$out")"
cp -R facecloak "$folder/"
cd "$folder"
find facecloak -name '.*' -type f -delete
chmod -R u=rwX,go=rX facecloak
find facecloak -exec touch -h -d '2026-01-01 00:00:00 UTC' {} +
find facecloak -type f | LC_ALL=C sort | TZ=UTC zip -q -X -9 -@ facecloak.zip
mv facecloak.zip "$out"
echo "$out: sha256 $(sha256sum <"$out" | cut -c1-64)"
