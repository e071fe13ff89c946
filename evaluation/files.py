"""Identity of files: nothing is loaded or cached under a name that its bytes do not bear out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evaluation.errors import EvaluationFailed


class FileMismatch(EvaluationFailed):
    """A file is not the one it is said to be."""


class FileMissing(FileMismatch):
    """A file or package that something needs is not on this machine."""


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verified(path: Path, sha256: str) -> Path:
    """The same path, after its bytes were found to be the expected ones."""
    if not path.is_file():
        raise FileMissing(f"{path}: no such file; expected sha256 {sha256}.")
    found = sha256_of(path)
    if found != sha256:
        raise FileMismatch(f"{path}: sha256 is {found}, expected {sha256}. The file was not loaded.")
    return path


@contextmanager
def renamed_when_written(path: Path) -> Iterator[Path]:
    """Lends a path beside `path`, and renames it when the block ends well: a reader sees the old file or the new one,
    never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_beside_and_rename(path: Path, content: bytes) -> None:
    """Write the whole of a file at once; see `renamed_when_written`."""
    with renamed_when_written(path) as temporary:
        temporary.write_bytes(content)
