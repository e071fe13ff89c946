"""What a worker says where the disk fails it."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from PIL import Image

from cloak.batch import doing
from cloak.batch.types import Common, Group, Item, Recipe
from cloak.settings import Settings
from cloak.types import Treatment
from cloak.video.redact import VideoSettings


def test_a_full_disk_fails_the_group_with_words_and_leaves_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = []
    for number in range(2):
        source = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 8), (number, 0, 0)).save(source)
        items.append(Item(number, "photo", source, tmp_path / "out" / source.name,
                          hashlib.sha256(source.read_bytes()).hexdigest(), Recipe(Treatment("redact", "solid"))))
    common = Common(Settings(device="cpu"), VideoSettings(device="cpu"), folder=tmp_path / "temporary")
    make = Path.mkdir

    def full(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        if self.name == "1":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        make(self, mode, parents, exist_ok)

    monkeypatch.setattr(Path, "mkdir", full)
    (told,) = doing.do(Group(0, tuple(items), frozenset([1])), common)
    assert (told.number, told.state, told.raised, told.made) == (1, "failed", "OutputRefused", None)
    assert "No space left on device" in told.words and "Nothing was written" in told.words
    assert str(tmp_path) not in told.words  # reports that leave out names have none here either
    assert list((tmp_path / "temporary").iterdir()) == [] and not (tmp_path / "out").exists()
