"""One private folder per job, and that nothing of it stays behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Collection
from pathlib import Path

from cloak import SettingsInvalid


class Folders:
    """`jobs/<id>` below the folder of the service, for its owner's eyes only (0700)."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "jobs"
        for one in (folder, self._root):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(one, 0o700)  # it may have been there before

    def make(self) -> tuple[str, Path]:
        """(id of a new job, its empty folder)"""
        id = secrets.token_hex(16)
        self.of(id).mkdir(mode=0o700)
        return id, self.of(id)

    def of(self, id: str) -> Path:
        """Ids come from `make` or from the job store, never from a client: they are looked up there first."""
        return self._root / id

    def scratch(self, name: str) -> Path:
        """An empty private folder beside those of the jobs, whatever an earlier process left in it."""
        folder = self._root.with_name(name)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        return folder

    def remove(self, id: str) -> None:
        """Whatever is in it. A worker that was just killed may have left a file half written."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.of(id))

    def empty(self, id: str) -> None:
        """Removes all that is in it. Raises OSError where that cannot be done."""
        for path in self.of(id).iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def remove_others(self, kept: Collection[str]) -> int:
        """What a crash left: folders of uploads that never became a job, or of jobs that are gone."""
        strays = [path for path in self._root.iterdir() if path.name not in kept]
        for path in strays:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return len(strays)


class Lock:
    """That one service has the folder: a second one would take the jobs of the first for those of a crash.

    By SQLite, because its locks are there on every system and end with the process, however that ends.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "lock.sqlite"
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._db.close()
            raise SettingsInvalid(f"{folder}: another service is running on this folder. Stop it, or name another one "
                                  "with --folder. Nothing was started.") from error

    def release(self) -> None:
        self._db.close()
