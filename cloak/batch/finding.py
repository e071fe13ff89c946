"""What is in a folder: photos and clips, what looks like one and cannot be read, and what is left alone.

Nothing is opened but files without the suffix of a photo. Hidden files are left alone: the "._" files that memory
cards are full of are no photos, whatever they are called. Links to folders are not entered, so that nothing is done
twice or without end; links to files are followed within the folder only.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloak import headers
from cloak.batch.types import Media
from cloak.formats import HEAD_BYTES, sniff
from cloak.headers import Broken, Refused
from cloak.inputs import CLIPS, SUFFIXES

# As much of a photo as is kept in the memory to read its size from; larger ones are hashed piece by piece
_HELD_BYTES = 64 * 2**20
_PIECE_BYTES = 2**20
# A file that changed within this time of being read may have changed again without its time telling: memory cards
# count in steps of two seconds. One from the future tells of a clock that was changed.
_TOO_FRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is taken for a photo or clip, by its name or content."""

    name: str  # below the folder, with `/`; bytes that are no UTF-8 as surrogates
    path: Path
    media: Media
    size: int = 0
    signature: str = ""  # of size, times and place on the disk: another one means that it has to be read again
    changed: float = 0.0  # the later of its two times, seconds since 1970
    problem: str | None = None  # why it cannot be read, known without opening it


@dataclass(frozen=True, slots=True)
class Walked:
    """What a folder comes to, in the order of names."""

    found: tuple[Found, ...]
    left_alone: tuple[str, ...]  # names, with the reason where it is not what they are
    troubles: tuple[str, ...]  # folders and links that could not be followed, in words


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds."""

    sha256: str
    pixels: int  # of a photo, by its header; 0 where it does not say
    read_at: float  # seconds since 1970


class Unreadable(Exception):
    """Why a file could not be read, in words without its name."""

    def __init__(self, words: str, *, is_gone: bool = False) -> None:
        super().__init__(words)
        self.is_gone = is_gone


def walk(folder: Path, *, leave_out: Sequence[Path] = ()) -> Walked:
    """All photos and clips below `folder`.

    Args:
        leave_out: folders that are not entered, such as that of the outputs.
    """
    root = os.path.realpath(folder)
    out = {os.path.realpath(path) for path in leave_out}
    found: list[Found] = []
    left_alone: list[str] = []
    troubles: list[str] = []
    waiting = [(os.fspath(folder), "")]
    while waiting:
        here, below = waiting.pop()
        try:
            with os.scandir(here) as entries:
                inside = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            troubles.append(f"{below or here}: the folder cannot be read ({error.strerror}). What is in it was not "
                            "processed.")
            continue
        folders = []
        for entry in inside:
            name = f"{below}{entry.name}"
            try:
                is_link, is_folder = entry.is_symlink(), entry.is_dir()
            except OSError:
                is_link, is_folder = True, False
            if is_folder:
                if os.path.realpath(entry.path) in out:
                    continue
                if is_link:
                    troubles.append(f"{name}: a link to a folder, which is not entered. Give that folder itself.")
                elif entry.name.startswith("."):
                    left_alone.append(f"{name}/")
                else:
                    folders.append((entry.path, f"{name}/"))
                continue
            one = None if entry.name.startswith(".") else _look(entry, name, root, is_link)
            if one is None:
                left_alone.append(name)
            else:
                found.append(one)
        waiting += reversed(folders)
    return Walked(tuple(found), tuple(left_alone), tuple(troubles))


def read(found: Found) -> Content:
    """The hash of a file, and the size of its picture.

    Raises:
        Unreadable: it is not there any more, is locked, or changed while it was read.
    """
    digest, head = hashlib.sha256(), b""
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever
        handle = os.open(found.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb", buffering=0) as file:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise Unreadable("is a pipe or a device. Save it to a file first. Nothing was written.")
            if found.media == "photo" and before.st_size <= _HELD_BYTES:
                head = file.readall() or b""
                digest.update(head)
            else:
                while piece := file.read(_PIECE_BYTES):
                    digest.update(piece)
            after = os.fstat(handle)
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror}). Check the name, the permissions and the card. Nothing "
                         "was "
                         "written.", is_gone=isinstance(error, FileNotFoundError)) from error
    if _signature(before) != _signature(after):
        raise Unreadable("changed while it was read. Try again when it is complete. Nothing was written.")
    return Content(digest.hexdigest(), _pixels(head), time.time())


def is_fresh(found: Found, read_at: float) -> bool:
    """Whether the file may have changed after it was read without its signature telling."""
    return found.changed > read_at - _TOO_FRESH_S


def _look(entry: os.DirEntry[str], name: str, root: str, is_link: bool) -> Found | None:
    """One file; None where it is neither photo nor clip."""
    path = Path(entry.path)
    suffix = path.suffix.lower()
    media: Media | None = "clip" if suffix in CLIPS else "photo" if suffix in SUFFIXES else None
    try:
        if is_link:
            target = os.path.realpath(path, strict=True)
            if not target.startswith(root.rstrip(os.sep) + os.sep):
                return None if media is None else Found(
                    name, path, media, problem="is a link that leads out of the folder. Give the file itself. "
                                               "Nothing was "
                                               "written.")
        status = entry.stat()
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "a link in a loop"
        return None if media is None else Found(
            name, path, media, problem=f"cannot be read ({why}). Nothing was written.")
    if not stat.S_ISREG(status.st_mode):
        return None if media is None else Found(
            name, path, media, problem="is a pipe or a device. Save it to a file first. Nothing was written.")
    if media is None:
        media = "photo" if _is_picture(path) else None
    return None if media is None else Found(name, path, media, status.st_size, _signature(status),
                                            max(status.st_mtime, status.st_ctime))


def _is_picture(path: Path) -> bool:
    """By content, for photos without the suffix of one."""
    try:
        with open(path, "rb") as file:
            return sniff(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def _signature(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino} {status.st_dev}"


def _pixels(data: bytes) -> int:
    format = sniff(data[:HEAD_BYTES])
    if format is None:
        return 0
    try:
        width, height = headers.read_header(data, format).size
    except (Broken, Refused):
        return 0
    return width * height
