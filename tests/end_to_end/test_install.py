"""What a user installs: a wheel, not this folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # From a copy: building leaves folders behind.
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("cloak", "evaluation", "web"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run = subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index",
                          "-w", made, source], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (path,) = made.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_every_module_and_every_data_file_is_in_the_wheel(wheel):
    held = set(wheel.namelist())
    for package in ("cloak", "evaluation", "web"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix == ".py" or package == "cloak" and path.suffix in (".toml", ".json", ".typed"):
                assert path.relative_to(ROOT).as_posix() in held
    assert not [name for name in held if name.startswith("tests")]


def test_the_wheel_names_its_command_licence_and_python(wheel):
    (info,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    meta = message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert meta["Name"] == "facecloak" and meta["License-Expression"] == "Apache-2.0"
    assert meta["Requires-Python"] == ">=3.10"
    assert "cloak = cloak.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert b"Apache License" in wheel.read(f"{info}/licenses/LICENSE")
