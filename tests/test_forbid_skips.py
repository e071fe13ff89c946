"""CI must not pass because something was left out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = "def test_good(): pass\n"


def run(folder: Path, text: str, *flags: str) -> int:
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    (folder / "test_it.py").write_text("import pytest\n" + text)
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", folder, folder, *flags]
    environment = {"PATH": "/usr/bin:/bin", "FACECLOAK_DATA": "/nowhere"}
    return subprocess.run(command, capture_output=True, env=environment).returncode


@pytest.mark.parametrize("text", [
    "@pytest.mark.skip\ndef test_it(): pass\n", "def test_it(): pytest.skip('no time')\n",
    "@pytest.fixture\ndef data(): pytest.skip('no data')\ndef test_it(data): pass\n",
    "def test_it(shared_data): pass\n", "@pytest.mark.xfail\ndef test_it(): assert False\n",
    "@pytest.mark.xfail\ndef test_it(): pass\n", "def test_it(): pytest.xfail('some day')\n",
    "pytest.importorskip('no_such_module')\n", "pytest.skip('all of it', allow_module_level=True)\n",
])
def test_every_way_to_skip_is_a_failure_where_skips_are_forbidden(tmp_path, text):
    (tmp_path / "test_good.py").write_text(GOOD)  # of its own: some of these skip their whole module
    assert run(tmp_path, text) == 0
    assert run(tmp_path, text, "--forbid-skips") in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)


@pytest.mark.parametrize("flags", [[], ["-k", "nothing_of_that_name"]])
def test_a_run_without_tests_is_a_failure(tmp_path, flags):
    assert run(tmp_path, GOOD if flags else "", "--forbid-skips", *flags) not in (0, 5)


def test_a_good_run_stays_good(tmp_path):
    assert run(tmp_path, GOOD, "--forbid-skips") == 0
