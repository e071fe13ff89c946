"""Which files a command is about."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from cloak.inputs import gather


@pytest.fixture
def card(tmp_path):
    """A memory card: photos, a broken one, one without a suffix, and what else lies on cards."""
    folder = tmp_path / "card"
    (folder / "b").mkdir(parents=True)
    picture = Image.new("RGB", (8, 8))
    for name in ("z.JPG", "b/a.png", "b/no suffix"):
        picture.save(folder / name, "PNG")
    (folder / "broken.heic").write_bytes(b"nothing")
    for name in ("notes.txt", "._z.JPG", "b/clip.mp4"):
        (folder / name).write_text("notes")
    return folder


def names(gathered):
    return [source.name.as_posix() for source in gathered.sources]


def test_a_folder_gives_its_photos_with_their_names_below_it(card):
    gathered = gather([card])
    assert names(gathered) == ["broken.heic", "z.JPG", "b/a.png", "b/no suffix"]
    assert all(source.path == card / source.name for source in gathered.sources)
    assert sorted(p.name for p in gathered.left_alone) == ["._z.JPG", "clip.mp4", "notes.txt"]
    assert gathered.unreadable == ()


def test_a_file_that_is_named_is_taken_whatever_it_is(card):
    gathered = gather([card / "notes.txt", Path("-missing.jpg"), card / "._z.JPG"])
    assert names(gathered) == ["notes.txt", "-missing.jpg", "._z.JPG"] and gathered.left_alone == ()


def test_links_in_a_circle_end_and_links_out_of_the_folder_are_not_followed(card, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("RGB", (8, 8)).save(outside / "other.png")
    os.symlink(card, card / "b" / "again")
    os.symlink(outside, card / "out")
    assert names(gather([card])) == ["broken.heic", "z.JPG", "b/a.png", "b/no suffix"]


def test_the_output_folder_is_no_input(card):
    Image.new("RGB", (8, 8)).save(card / "b" / "made before.png")
    assert names(gather([card], leave_out=card / "b")) == ["broken.heic", "z.JPG"]
    assert "b/a.png" in names(gather([card], leave_out=card / "not there yet"))


def test_a_pipe_in_a_folder_does_not_wait_for_a_writer(card):
    os.mkfifo(card / "pipe")
    assert "pipe" in [path.name for path in gather([card]).left_alone]


def test_a_folder_that_cannot_be_read_is_named(card, monkeypatch):
    real = os.scandir

    def scandir(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may read everything, so the mode alone proves nothing
    gathered = gather([card])
    assert names(gathered) == ["broken.heic", "z.JPG"]
    assert gathered.unreadable == ((card / "b", "Permission denied"),)


def test_a_name_that_is_no_text_is_taken(tmp_path):
    folder = os.fsencode(tmp_path)
    with open(os.path.join(folder, b"\xff\xfe.png"), "wb") as file:
        Image.new("RGB", (8, 8)).save(file, "PNG")
    (source,) = gather([tmp_path]).sources
    assert os.fsencode(source.name) == b"\xff\xfe.png"
