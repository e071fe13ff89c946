"""Which files a command is about: the ones named, and the photos in the folders named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloak.formats import sniff

# What photos and videos are called; a file with such a name in a folder is taken for one, so that a broken one is
# reported
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif", ".hif", ".avif", ".gif",
    ".bmp", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2",
})

CLIPS = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".vob", ".wmv", ".asf",
    ".flv", ".ogv", ".3gp", ".3g2", ".mxf", ".insv", ".lrv", ".mod", ".dv",
})


@dataclass(frozen=True, slots=True)
class Source:
    """One input."""

    path: Path
    name: Path  # below the folder that was named; the bare file name where the file itself was named


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the inputs of a command come to."""

    sources: tuple[Source, ...]
    left_alone: tuple[Path, ...]  # in the folders, but no photos by name or content
    unreadable: tuple[tuple[Path, str], ...]  # folders, with the reason


def gather(inputs: Sequence[Path], *, leave_out: Path | None = None, clips: bool = False) -> Gathered:
    """The files among `inputs`, and the photos below the folders among them, in the order of their names.

    Links to folders are not followed, so that nothing is done twice or without end. Hidden files are left alone: the
    "._" files that memory cards are full of are no photos, whatever they are called.

    Args:
        leave_out: a folder that is not entered: the output, where it lies within an input.
        clips: videos instead, which are told by their names alone.
    """
    sources: list[Source] = []
    left_alone: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    for path in inputs:
        if not os.path.isdir(path):
            sources.append(Source(path, Path(path.name)))
            continue

        def report(error: OSError) -> None:
            unreadable.append((Path(error.filename), error.strerror or str(error)))

        for folder, folders, names in os.walk(path, onerror=report):
            folders[:] = sorted(
                name for name in folders
                if not name.startswith(".") and not (leave_out and _same(os.path.join(folder, name), leave_out))
            )
            for name in sorted(names):
                file = Path(folder, name)
                is_one = file.suffix.lower() in CLIPS if clips else \
                    file.suffix.lower() in SUFFIXES or _is_picture(file)
                if not name.startswith(".") and is_one:
                    sources.append(Source(file, file.relative_to(path)))
                else:
                    left_alone.append(file)
    return Gathered(tuple(sources), tuple(left_alone), tuple(unreadable))


def _is_picture(path: Path) -> bool:
    """By content, for photos without the suffix of one."""
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return False
        with open(path, "rb") as file:
            return sniff(file.read(64)) is not None
    except OSError:
        return False


def _same(one: str, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
