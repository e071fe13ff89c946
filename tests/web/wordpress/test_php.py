"""The plugin's code: it is PHP 7.4, keeps to the standard, passes its units, and asks nobody else for anything."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from .newsroom import PARTS, PLUGIN, ROOT

FOLDER = PLUGIN.parent
FILES = sorted(path for path in FOLDER.rglob("*.php"))


def run(*command, **more):
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=120, **more)


def test_every_file_can_be_parsed():
    assert len(FILES) > 9
    for path in FILES:
        lint = run("php", "-l", path)
        assert lint.returncode == 0, lint.stdout + lint.stderr


def test_the_coding_standard_is_kept():
    check = run("phpcs", "--report=emacs")
    assert check.returncode == 0, check.stdout[-5000:] + check.stderr[-2000:]


def test_the_units_pass():
    units = run("phpunit", "--no-configuration", "--do-not-cache-result", "--fail-on-warning", "--fail-on-risky",
                "--bootstrap", "tests/bootstrap.php", "tests")
    assert units.returncode == 0, units.stdout[-5000:] + units.stderr[-2000:]
    assert int(re.search(r"OK \((\d+) test", units.stdout)[1]) > 20, units.stdout


# --- PHP 7.4 ------------------------------------------------------------------------------------------------------

LATER = {
    "match": "$a = match ($b) { 1 => 2, default => 3 };",
    "enum": "enum Suit { case Hearts; }",
    "readonly": "class A { public readonly int $a; }",
    "?->": "$a?->b();",
    "str_contains": "str_contains($a, $b);",
    "named argument": "f(a: 1);",
    "promoted parameter": "class A { public function __construct(private int $a) {} }",
    "throw as expression": "$a = $b ?? throw new Exception();",
    "catch without a variable": "try { f(); } catch (Exception) { }",
    "type mixed": "function f(mixed $a) {}",
    "type false": "class A { public function f(): false {} }",
    "union type": "function f(int|string $a) {}",
    "type static": "class A { public function f(): static {} }",
    "comma after the last parameter": "function f(int $a,) {}",
    "first-class callable": "$a = strlen(...);",
    "$object::class": "$a = $b::class;",
    "#[": "#[Attribute] class A {}",
    "typed constant": "class A { const string B = ''; }",
}
# All of it is fine in 7.4 and looks a little like the above
FINE = """<?php
namespace A;
final class B {
    private const MATCH = 1; public ?string $c = null; /** @var mixed */ public $d;
    public static function enum(?int $a, string ...$b): ?self { return $a ? new static() : null; }
    public function f(array $x): void {
        switch ($x[0]) { case self::MATCH: return; case FOO: break; default: throw new \\Exception('x'); }
        $y = $x ? A_B : C_D; f($x, $y ? g($x) : h(...$x),);
        $z = LOCK_EX | LOCK_UN; $w = static fn(int $q): int => $q | 2;
        if (!$x) { throw new \\Exception(); } else throw new \\Exception();
        try { f(); } catch (\\A | \\B $e) { } $m = $this->match(1); $p = ['a' => B::class, 'c' => FOO];
    }
}
"""


def newer(*files):
    looked = run("php", PARTS / "newer.php", *files)
    assert looked.returncode == 0 and not looked.stderr, looked.stderr
    return looked.stdout.splitlines()


def test_nothing_newer_than_php_7_4_is_used():
    assert not newer(*FILES), "\n".join(newer(*FILES))


@pytest.mark.parametrize("what", LATER)
def test_what_php_7_4_does_not_know_is_seen(what, tmp_path):
    path = tmp_path / "one.php"
    path.write_text("<?php\n" + LATER[what])
    found = newer(path)
    assert len(found) == 1 and found[0].endswith(what), found


def test_what_php_7_4_knows_is_not_complained_of(tmp_path):
    path = tmp_path / "one.php"
    path.write_text(FINE)
    assert run("php", "-l", path).returncode == 0 and newer(path) == []


# --- what goes to browsers ----------------------------------------------------------------------------------------


def test_browsers_are_sent_nowhere_else():
    """What is on a page of the plugin comes from the site: whoever serves a script sees who reviews what, and when."""
    assets = sorted(path for path in (PLUGIN / "assets").glob("*") if path.is_file())
    assert {path.suffix for path in assets} <= {".js", ".css", ".svg", ".png", ".mp4", ".webm"}
    for path in assets:
        if path.suffix in (".js", ".css", ".svg"):
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.findall(r"//[a-z0-9.-]+\.[a-z]{2,}|@import|\beval\(|new Function", text), path
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for handle in re.findall(r"wp_(?:enqueue|register)_(?:script|style)\((.*?)\);", text, re.DOTALL):
            assert "//" not in re.sub(r"//.*", "", handle) or "plugins_url" in handle, f"{path}: {handle}"


def test_every_file_says_who_may_not_call_it_directly():
    """A web server would run it: nothing but declarations, or a check for WordPress first."""
    for path in PLUGIN.rglob("*.php"):
        text = path.read_text(encoding="utf-8")
        is_class = re.search(rf"^(?:final )?class {path.stem}\b", text, re.MULTILINE)
        assert is_class or "defined('ABSPATH') || exit" in text or "defined('WP_UNINSTALL_PLUGIN')" in text, path


def test_class_and_file_have_one_name():
    for path in (PLUGIN / "includes").glob("*.php"):
        assert re.search(rf"^(?:final )?class {path.stem}\b", path.read_text(), re.MULTILINE), path
        assert "namespace Facecloak;" in path.read_text() and Path(path).stem.isalpha()


# --- what people install and translate ----------------------------------------------------------------------------


def make(target, **variables):
    words = [f"{name}={value}" for name, value in variables.items()]
    made = subprocess.run(["make", "-C", ROOT, target, *words], capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    return made.stdout


def test_the_zip_holds_the_plugin_and_is_the_same_every_time(tmp_path):
    make("plugin", PLUGIN=tmp_path / "one.zip")
    os.utime(PLUGIN / "facecloak.php")  # as a fresh checkout has other times
    make("plugin", PLUGIN=tmp_path / "there" / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "there" / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as made:
        packed = {name: made.read(name) for name in made.namelist()}
    files = {f"facecloak/{path.relative_to(PLUGIN)}": path.read_bytes() for path in PLUGIN.rglob("*") if path.is_file()}
    assert packed == files
    assert {f"facecloak/{name}" for name in ("facecloak.php", "uninstall.php", "readme.txt", "LICENSE")} <= set(packed)


def test_wordpress_installs_the_zip(site, tmp_path):
    """As the Plugins page does with an uploaded file, over what was there."""
    make("plugin", PLUGIN=tmp_path / "facecloak.zip")
    done = site.php("""
        WP_Filesystem();
        global $wp_filesystem;
        $wp_filesystem->delete(WP_PLUGIN_DIR . '/facecloak', true);
        $done = unzip_file($zip, WP_PLUGIN_DIR);
        return is_wp_error($done) ? $done->get_error_message() : array_keys(get_plugins());""",
                    zip=str(tmp_path / "facecloak.zip"), is_admin=True, constants={"FS_METHOD": "direct"})
    assert "facecloak/facecloak.php" in done
    assert site.php("return is_plugin_active('facecloak/facecloak.php') && defined('FACECLOAK_FILE');", is_admin=True)


def test_the_texts_for_translators_are_current(tmp_path):
    make("pot", POT=tmp_path / "now.pot")
    kept = PLUGIN / "languages" / "facecloak.pot"
    assert kept.read_text() == (tmp_path / "now.pot").read_text(), "run `make pot` and commit the file"
    assert kept.read_text().count("\nmsgid ") > 100


def test_every_text_belongs_to_the_plugin():
    """Without its domain a text is looked up among WordPress's own, and never translated."""
    call = re.compile(r"\b(?:__|_e|_x|_n|_nx|esc_(?:html|attr)(?:__|_e|_x))\(((?:[^()']|'(?:[^'\\]|\\.)*'|\((?:[^()']|"
                      r"'(?:[^'\\]|\\.)*'|\([^()]*\))*\))*)\)")
    count = 0
    for path in [*PLUGIN.rglob("*.php"), *PLUGIN.rglob("*.js")]:
        for match in call.finditer(path.read_text(encoding="utf-8")):
            count += 1
            assert re.search(r"'facecloak'\s*,?\s*$", match[1]), f"{path.name}: {match[0][:120]}"
    assert count > 100


def test_the_readme_is_in_the_form_of_the_plugin_directory():
    text = (PLUGIN / "readme.txt").read_text(encoding="utf-8")
    header = dict(re.findall(r"^([A-Z][\w ]+): (.+)$", text.partition("== Description ==")[0], re.MULTILINE))
    plugin = dict(re.findall(r"^ \* ([A-Z][\w ]+): +(.+)$", (PLUGIN / "facecloak.php").read_text(), re.MULTILINE))
    assert text.startswith("=== facecloak ===\n")
    assert header["Stable tag"] == plugin["Version"]
    for name in ("License", "Requires at least", "Requires PHP"):
        assert header[name] == plugin[name]
    short = text.partition("== Description ==")[0].strip().splitlines()[-1]
    assert len(short) <= 150 and len(header["Tags"].split(",")) <= 5
    for section in ("Description", "Installation", "Frequently Asked Questions", "Changelog"):
        assert f"== {section} ==" in text
    for claim in ("Detection misses faces", "of the recognisers it names", "A cloak is no cover"):
        assert claim in text
