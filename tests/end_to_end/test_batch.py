"""`cloak batch` as a user runs it: a process, its workers, the real engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

COMMAND = [sys.executable, "-c", "from cloak.cli import main; main()", "batch"]


def _run(folder: Path, out: Path, *options: str) -> tuple[int, dict[str, object]]:
    ended = subprocess.run([*COMMAND, folder, "-o", out, "--photos", "solid", "--workers", "1", "--json", *options],
                           capture_output=True, text=True)
    return ended.returncode, json.loads(ended.stdout)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {os.fspath(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _card(tmp_path: Path, portrait: Path) -> Path:
    card = tmp_path / "card"
    (card / "day").mkdir(parents=True)
    shutil.copy(portrait, card / "one.png")
    shutil.copy(portrait, card / "day" / "same.png")
    Image.open(portrait).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(card / "two.jpg", quality=95)
    (card / "empty.jpg").touch()
    (card / "cut.png").write_bytes(portrait.read_bytes()[:3000])
    (card / "words.mp4").write_text("no clip")
    Image.new("RGB", (200, 200), "white").save(card / "wall.png")
    return card


def test_a_mixed_card_is_covered_named_and_not_done_twice(tmp_path: Path, portrait: Path) -> None:
    card, out = _card(tmp_path, portrait), tmp_path / "out"
    code, document = _run(card, out, "--dry-run")
    assert document["files"] == 7 and code == 0 and sorted(os.listdir(tmp_path)) == ["card"]
    code, document = _run(card, out)
    states = {one["input"]: one["state"] for one in document["files"]}  # type: ignore[attr-defined]
    assert code == 2 and states == {
        "one.png": "done", "day/same.png": "done", "two.jpg": "done", "wall.png": "no_face", "empty.jpg": "failed",
        "cut.png": "failed", "words.mp4": "failed"}
    before = _bytes(out)
    assert set(before) == {name + end for name in ("one.png", "day/same.png", "two.jpg") for end in ("", ".json")}
    clear, covered = (np.asarray(Image.open(folder / "one.png").convert("RGB")) for folder in (card, out))
    assert (clear != covered).any(axis=2).mean() > 0.02  # something as large as a face
    assert (tmp_path / "out.batch").stat().st_mode & 0o777 == 0o700
    assert all(name in (tmp_path / "out.batch" / "report.csv").read_text() for name in states)
    code, document = _run(card, out)
    assert code == 2 and document["made"] == 0 and _bytes(out) == before


def test_a_killed_batch_goes_on_to_the_same_bytes(tmp_path: Path, portrait: Path) -> None:
    card = _card(tmp_path, portrait)
    _run(card, tmp_path / "whole")
    out = tmp_path / "out"
    for moment_s in (1.5, 4.0):
        process = subprocess.Popen([*COMMAND, card, "-o", out, "--photos", "solid", "--workers", "1"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert all(data == (tmp_path / "whole" / name).read_bytes() for name, data in _bytes(out).items())
    assert _run(card, out)[0] == 2
    assert _bytes(out) == _bytes(tmp_path / "whole")
