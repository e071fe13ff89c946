#!/usr/bin/env bash
# Gathers the texts of the plugin for translators: scripts/plugin_texts.sh FILE.pot. Without dates and line numbers, so
# that the file changes only where a text does.
set -euo pipefail
out=$(realpath -m "${1:?which file}")
cd "$(dirname "$0")/../web/wordpress/facecloak"
command -v xgettext >/dev/null || { echo "xgettext is missing: apt-get install gettext. Nothing was written." >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
words=(--from-code=UTF-8 --add-comments=translators --no-wrap --add-location=file --msgid-bugs-address=none
    --package-name=facecloak --package-version="$(sed -n 's/^ \* Version: *//p' facecloak.php)" --force-po)
for one in __:1 _e:1 _x:1,2c _n:1,2 _nx:1,2,4c _n_noop:1,2 esc_html__:1 esc_html_e:1 esc_html_x:1,2c esc_attr__:1 \
    esc_attr_e:1 esc_attr_x:1,2c; do
    words+=("--keyword=$one")
done
# WordPress shows two lines of the header, and translates them
{
    echo '<?php'
    sed -n "s/'/\\\\'/g; s/^ \* \(Plugin Name\|Description\): *\(.*\)/__('\2', 'facecloak');/p" facecloak.php
} >"$folder/facecloak.php"
(cd "$folder" && xgettext "${words[@]}" -L PHP -o texts.pot facecloak.php)
find . -name '*.php' -printf '%P\n' | LC_ALL=C sort | xargs xgettext "${words[@]}" -L PHP -j -o "$folder/texts.pot"
find assets -name '*.js' | LC_ALL=C sort | xargs xgettext "${words[@]}" -L JavaScript -j -o "$folder/texts.pot"
mkdir -p "$(dirname "$out")"
{
    echo '# Texts of the plugin facecloak. GPL-2.0-or-later, as the plugin. Made by `make pot`; do not edit.'
    sed -n '/^msgid ""/,$p' "$folder/texts.pot" | sed -e '/^"POT-Creation-Date/d' -e '/^"PO-Revision-Date/d' \
        -e '/^"Report-Msgid-Bugs-To/d' -e '/^"Last-Translator/d' -e '/^"Language-Team/d'
} >"$out"
echo "$out: $(grep -c '^msgid ' "$out") texts"
