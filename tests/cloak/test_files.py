"""Output files get their names last, and their names are ones that every disk takes."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cloak.errors import OutputRefused
from cloak.files import MAX_NAME_BYTES, check_output, output_path_for, pending_file, shown, write_all, write_new
from cloak.io_image import encode_photo, read_photo


def picture(path: Path, format: str = "JPEG") -> Path:
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(path, format)
    return path


def test_a_new_file_holds_the_data_and_the_mode_the_umask_grants(tmp_path):
    before = os.umask(0o027)
    try:
        write_new(tmp_path / "a.jpg", b"data", overwrite=False)
    finally:
        os.umask(before)
    assert (tmp_path / "a.jpg").read_bytes() == b"data"
    assert stat.S_IMODE((tmp_path / "a.jpg").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["a.jpg"]


def test_until_it_is_committed_only_the_owner_can_read_it(tmp_path):
    with pending_file(tmp_path / "a.jpg", overwrite=False) as pending:
        assert pending.temporary.parent == tmp_path and pending.temporary.name.startswith(".")
        assert stat.S_IMODE(pending.temporary.stat().st_mode) == 0o600
        write_all(pending.temporary, b"judged", named=pending.path)
        assert not (tmp_path / "a.jpg").exists()
        pending.commit()
    assert (tmp_path / "a.jpg").read_bytes() == b"judged" and os.listdir(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize("trouble", [None, ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_without_commit_nothing_is_left_however_the_block_ends(tmp_path, trouble):
    def work():
        with pending_file(tmp_path / "a.jpg", overwrite=False) as pending:
            write_all(pending.temporary, b"half", named=pending.path)
            if trouble is not None:
                raise trouble

    if trouble is None:
        work()
    else:
        with pytest.raises(trouble):
            work()
    assert os.listdir(tmp_path) == []


def test_an_existing_output_is_refused_and_unchanged(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"old")
    with pytest.raises(OutputRefused, match="exists already.*--overwrite"):
        write_new(tmp_path / "a.jpg", b"new", overwrite=False)
    assert (tmp_path / "a.jpg").read_bytes() == b"old" and os.listdir(tmp_path) == ["a.jpg"]
    write_new(tmp_path / "a.jpg", b"new", overwrite=True)
    assert (tmp_path / "a.jpg").read_bytes() == b"new"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_made_in_between_is_not_replaced(tmp_path, monkeypatch, has_links):
    if not has_links:  # as on a memory stick
        def no_link(*_: object) -> None:
            raise OSError(errno.EPERM, "no hard links here")
        monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr("cloak.files.check_output", lambda *_, **__: None)  # the race: it was not there yet
    (tmp_path / "a.jpg").write_bytes(b"theirs")
    with pytest.raises(OutputRefused, match="exists already"):
        write_new(tmp_path / "a.jpg", b"ours", overwrite=False)
    assert (tmp_path / "a.jpg").read_bytes() == b"theirs" and os.listdir(tmp_path) == ["a.jpg"]


def test_of_many_writers_exactly_one_wins(tmp_path):
    won: list[bytes] = []

    def write(data: bytes) -> None:
        try:
            write_new(tmp_path / "a.jpg", data, overwrite=False)
            won.append(data)
        except OutputRefused:
            pass

    threads = [threading.Thread(target=write, args=(bytes([i]) * 1000,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and (tmp_path / "a.jpg").read_bytes() == won[0] and os.listdir(tmp_path) == ["a.jpg"]


def test_a_memory_stick_without_links_and_permissions_will_do(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "not on FAT")
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "chmod", refuse)
    write_new(tmp_path / "a.jpg", b"data", overwrite=False)
    assert (tmp_path / "a.jpg").read_bytes() == b"data" and os.listdir(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize("disguise", ["same", "symlink", "hardlink", "dots"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_the_input_is_never_the_output_under_any_name(tmp_path, disguise, overwrite):
    source = tmp_path / "a.jpg"
    source.write_bytes(b"original")
    other = {"same": source, "symlink": tmp_path / "s.jpg", "hardlink": tmp_path / "h.jpg",
             "dots": tmp_path / "." / ".." / tmp_path.name / "a.jpg"}[disguise]
    if disguise == "symlink":
        other.symlink_to(source)
    if disguise == "hardlink":
        os.link(source, other)
    with pytest.raises(OutputRefused, match="is the input a.jpg itself"):
        write_new(other, b"cloaked", overwrite=overwrite, inputs=[source])
    assert source.read_bytes() == b"original"


def test_overwriting_a_link_replaces_the_link_and_not_what_it_points_to(tmp_path):
    (tmp_path / "precious.jpg").write_bytes(b"precious")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "precious.jpg")
    write_new(tmp_path / "a.jpg", b"new", overwrite=True)
    assert (tmp_path / "precious.jpg").read_bytes() == b"precious" and (tmp_path / "a.jpg").read_bytes() == b"new"


def test_a_dangling_link_counts_as_an_existing_output(tmp_path):
    (tmp_path / "a.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputRefused, match="exists already"):
        check_output(tmp_path / "a.jpg", overwrite=False)


def test_folders_that_cannot_be_written_are_refused_in_words(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    for path, words in (
        (tmp_path / "file" / "a.jpg", "cannot be written"), (tmp_path / "none" / "a.jpg", "Create the folder"),
        (tmp_path / ("x" * 300 + ".jpg"), "shorter name"), (tmp_path / "folder.jpg", "is a folder"),
        (Path("/proc/a.jpg"), "cannot be written"),
    ):
        with pytest.raises(OutputRefused, match=words) as caught:
            write_new(path, b"data", overwrite=True)
        assert str(caught.value).startswith(f"{path}: ") and "Nothing was written." in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.jpg"]


def test_a_full_disk_leaves_nothing(tmp_path):
    # RLIMIT_FSIZE makes the kernel itself refuse the bytes, as a quota does, also for root.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(OutputRefused, match="cannot be written"):
            write_new(tmp_path / "a.jpg", bytes(100_000), overwrite=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == []


def test_a_disk_that_fills_up_while_flushing_leaves_nothing(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "b.jpg").write_bytes(b"old")
    for name, overwrite in (("a.jpg", False), ("b.jpg", True)):
        with pytest.raises(OutputRefused, match="Free some space"):
            write_new(tmp_path / name, b"data", overwrite=overwrite)
    assert os.listdir(tmp_path) == ["b.jpg"] and (tmp_path / "b.jpg").read_bytes() == b"old"


def test_a_disk_that_loses_bytes_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("cloak.files.write_all", lambda path, data, *, named: path.write_bytes(data[:-1]))
    with pytest.raises(OutputRefused, match="read back differs"):
        write_new(tmp_path / "a.jpg", b"data", overwrite=False)
    assert os.listdir(tmp_path) == []


# --- names -------------------------------------------------------------------------------------------------------

NAMES = ["two words.jpg", "it's \"quoted\".jpg", "-rf.jpg", "Ünïcode-拍照-\U0001f642.jpg", "[red]bold[green].jpg",
         "new\nline.jpg", "b" * 251 + ".jpg", "é" * 125 + ".jpg", os.fsdecode(b"latin-\xe9.jpg"), "dots.in.name.jpg"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_read_and_its_copy_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    source = picture(Path(name))
    before = source.read_bytes(), source.stat().st_mtime_ns
    photo = read_photo(source, max_pixels=10_000_000)
    output = output_path_for(source, None, several=False)
    write_new(output, encode_photo(photo, photo.pixels, jpeg_quality=95), overwrite=False, inputs=[source])
    assert output.name.endswith(".cloaked.jpg") and len(os.fsencode(output.name)) <= MAX_NAME_BYTES - len(".json")
    assert len(os.fsencode(name)) > 200 or output.name == source.stem + ".cloaked.jpg"
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before
    assert sorted(os.listdir()) == sorted([name, output.name])


def test_an_output_name_of_255_bytes_works(tmp_path):
    write_new(tmp_path / ("c" * 251 + ".jpg"), b"data", overwrite=False)
    assert os.listdir(tmp_path) == ["c" * 251 + ".jpg"]


def test_two_long_names_that_differ_at_the_end_stay_two():
    a, b = (output_path_for(Path("é" * 120 + end + ".jpg"), None, several=True) for end in ("aaaaa", "bbbbb"))
    assert a != b


@pytest.mark.parametrize(("out", "several", "expected"), [
    (None, False, "in/a.cloaked.jpg"), ("there", False, "there/a.jpg"), ("there", True, "there/a.jpg"),
    ("new/", False, "new/a.jpg"), ("new", True, "new/a.jpg"), ("b.jpg", False, "b.jpg"),
    ("B.JPEG", False, "B.JPEG"), ("new.folder", True, "new.folder/a.jpg"),
])
def test_where_the_output_goes(tmp_path, monkeypatch, out, several, expected):
    monkeypatch.chdir(tmp_path)
    for folder in ("in", "there"):
        (tmp_path / folder).mkdir()
    source = picture(Path("in/a.png"))  # content decides, not the name
    assert output_path_for(source, out, several=several) == Path(expected)


@pytest.mark.parametrize(("out", "several", "words"), [
    ("b.png", False, "keeps its format. Name it b.jpg"), ("b.webp", False, "Name it b.jpg"),
    ("file", True, "there are several inputs"),
])
def test_an_output_that_cannot_be_meant_is_refused(tmp_path, monkeypatch, out, several, words):
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"")
    source = picture(Path("a.jpg"))
    with pytest.raises(OutputRefused, match=words):
        output_path_for(source, out, several=several)


def test_a_name_cannot_command_the_terminal():
    assert shown("a\x1b[2J\n\u202egpj.exe") == "a\\x1b[2J\\n\\u202egpj.exe"
    assert shown(Path(os.fsdecode(b"\xe9.jpg"))) == "\\xe9.jpg" and shown("Ünï 拍") == "Ünï 拍"


@pytest.mark.parametrize(("name", "beside", "in_folder"), [
    ("A.JPEG", "A.cloaked.jpg", "A.JPEG"), ("a.jpe", "a.cloaked.jpg", "a.jpe"), ("a", "a.cloaked.jpg", "a.jpg"),
    ("a.png", "a.cloaked.jpg", "a.jpg"),
])
def test_in_a_folder_the_name_is_kept_where_it_fits_the_content(tmp_path, name, beside, in_folder):
    source = picture(tmp_path / name)
    assert output_path_for(source, None, several=False) == tmp_path / beside
    assert output_path_for(source, "out/", several=False) == Path("out") / in_folder


@pytest.mark.parametrize(("format", "suffix"), [
    ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif"), ("AVIF", ".avif"),
])
def test_each_format_has_its_suffix(tmp_path, format, suffix):
    source = picture(tmp_path / "a.x", format)
    assert output_path_for(source, None, several=False, mark="redacted") == tmp_path / f"a.redacted{suffix}"
    with pytest.raises(OutputRefused, match=f"Name it b{suffix}"):
        output_path_for(source, "b.jpg", several=False)


def test_heic_becomes_jpeg_unless_asked(tmp_path):
    source = tmp_path / "IMG_1.HEIC"
    source.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert output_path_for(source, "out/", several=True) == Path("out/IMG_1.jpg")
    assert output_path_for(source, None, several=False) == tmp_path / "IMG_1.cloaked.jpg"
    assert output_path_for(source, "out/", several=True, keep_heic=True) == Path("out/IMG_1.HEIC")
    assert output_path_for(source, None, several=False, keep_heic=True) == tmp_path / "IMG_1.cloaked.heic"
    with pytest.raises(OutputRefused, match="is a HEIF and the output is a JPEG. Name it b.jpg"):
        output_path_for(source, "b.heic", several=False)
