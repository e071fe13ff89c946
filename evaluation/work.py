"""The work folder of one run: what was made and judged so far, so that a killed run goes on where it was.

Nothing in it is used for another protocol, other photos, another engine or another version of the judge: each of these
has its digest in `key.json`, and a folder with another key is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evaluation.errors import EvaluationFailed
from evaluation.files import sha256_of, write_beside_and_rename

SCHEMA = "facecloak-work/1"


class WorkRefused(EvaluationFailed):
    """A work folder is of another run, or holds something damaged."""


class Work:
    """`cell` and `files` compute what is not there yet, and give what is there otherwise."""

    def __init__(self, folder: Path, key: Mapping[str, str]) -> None:
        """Open a folder, or begin one.

        Args:
            key: by what decides a figure, its digest.
        Raises:
            WorkRefused: the folder is of another key; what differs is named.
        """
        self.folder = folder
        self.reused = 0
        self._key = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        path = folder / "key.json"
        if path.is_file():
            found = self._read(path)
            other = sorted(name for name in {*key, *found} if key.get(name) != found.get(name))
            if other:
                raise WorkRefused(
                    f"{folder}: begun with other {', '.join(other)}. Delete it to begin again, or write to another "
                    "folder. Nothing was judged."
                )
        elif folder.is_dir() and any(folder.iterdir()):
            raise WorkRefused(f"{folder}: not empty, and no work folder of a run. Nothing was judged.")
        else:
            self._write(path, dict(key))

    def has(self, name: str) -> bool:
        return self._cell(name).is_file()

    def cell(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `compute` gives; it is always given as it was read from the disk, so a kept cell is no other."""
        path = self._cell(name)
        if path.is_file():
            self.reused += 1
        else:
            self._write(path, {"key": self._key, "content": compute()})
        document = self._read(path)
        if document.get("key") != self._key:
            raise WorkRefused(f"{path}: of another run. Delete it. Nothing was judged.")
        content: dict[str, Any] = document["content"]
        return content

    def files(self, name: str, compute: Callable[[Path], Mapping[str, Path]]) -> dict[str, Path]:
        """Written files by subject; `compute` is given a folder of their own.

        Files that are gone or changed since are made again.
        """
        folder = self.folder / "made" / name
        path = folder.with_name(f"{folder.name}.json")
        if path.is_file():
            document = self._read(path)
            kept = {subject: self.folder / one["path"] for subject, one in document.get("files", {}).items()}
            whole = document.get("key") == self._key and all(
                kept[subject].is_file() and sha256_of(kept[subject]) == one["sha256"]
                for subject, one in document["files"].items()
            )
            if whole:
                self.reused += 1
                return kept
            path.unlink()
        written = compute(folder)
        listed = {
            subject: {"path": file.relative_to(self.folder).as_posix(), "sha256": sha256_of(file)}
            for subject, file in written.items()
        }
        self._write(path, {"key": self._key, "files": listed})
        return dict(written)

    def _cell(self, name: str) -> Path:
        return self.folder / "cells" / f"{name}.json"

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        """Not-a-number is refused: it would look like a figure."""
        text = json.dumps({"schema": SCHEMA, **content}, allow_nan=False)
        write_beside_and_rename(path, text.encode())

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WorkRefused(f"{path}: {error}. Delete it. Nothing was judged.") from error
        if not isinstance(document, dict) or document.pop("schema", None) != SCHEMA:
            raise WorkRefused(f"{path}: schema is not {SCHEMA}. Delete {self.folder}. Nothing was judged.")
        return document
