"""The ledger: one SQLite file that says of every file what became of it, and survives whatever happens to the process.

A *file* is a name below the input folder, an *item* a content with settings, made once however many files hold it.
Before an output gets its name the ledger says which bytes it will have, so that after a crash a file in its place is
known for ours or for somebody else's.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloak.batch.finding import Content, Found
from cloak.batch.grouping import Single
from cloak.batch.types import Media, Recipe, Result, State
from cloak.choices import parse_treatment
from cloak.errors import OutputRefused

NAME = "ledger.sqlite"
# SQLite's own files beside it; the journal holds what was there before
SIDES = ("-journal", "-wal", "-shm")
_SCHEMA = "1"

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    number INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, media TEXT NOT NULL, suffix TEXT NOT NULL,
    settings TEXT NOT NULL, recipe TEXT NOT NULL, pixels INTEGER NOT NULL, bytes INTEGER NOT NULL,
    in_group INTEGER, state TEXT NOT NULL DEFAULT 'waiting', attempts INTEGER NOT NULL DEFAULT 0,
    output_sha256 TEXT, needs_look INTEGER NOT NULL DEFAULT 0, faces TEXT NOT NULL DEFAULT '{}',
    words TEXT NOT NULL DEFAULT '', raised TEXT, seconds REAL NOT NULL DEFAULT 0,
    UNIQUE (sha256, media, suffix, settings));
CREATE INDEX IF NOT EXISTS items_by_group ON items (in_group, number);
CREATE TABLE IF NOT EXISTS files (
    number INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, media TEXT NOT NULL, size INTEGER NOT NULL,
    signature TEXT NOT NULL, sha256 TEXT, pixels INTEGER NOT NULL DEFAULT 0, item INTEGER REFERENCES items,
    treatment TEXT NOT NULL DEFAULT '', output BLOB, state TEXT NOT NULL DEFAULT 'waiting',
    words TEXT NOT NULL DEFAULT '', raised TEXT, is_seen INTEGER NOT NULL DEFAULT 1,
    making TEXT, making_report TEXT,
    ours TEXT, ours_report TEXT, ours_at BLOB, ours_signature TEXT);
CREATE INDEX IF NOT EXISTS files_by_item ON files (item, number);
CREATE TABLE IF NOT EXISTS groups (number INTEGER PRIMARY KEY, losses INTEGER NOT NULL DEFAULT 0);
"""


@dataclass(frozen=True, slots=True)
class File:
    """One row of `files`."""

    number: int
    name: str
    media: Media
    size: int
    signature: str
    sha256: str | None
    pixels: int
    item: int | None
    treatment: str
    output: str | None  # below the output folder
    state: State
    words: str
    raised: str | None
    is_seen: bool  # in the folder when it was read last
    making: str | None  # hash of the output that is about to get its name, and of its report
    making_report: str | None
    ours: str | None  # hash of the output that we put at `ours_at`, and of its report
    ours_report: str | None
    ours_at: str | None
    ours_signature: str | None  # as the output was then


@dataclass(frozen=True, slots=True)
class Work:
    """One row of `items`."""

    number: int
    sha256: str
    media: Media
    suffix: str
    settings: str
    recipe: Recipe
    pixels: int
    bytes: int
    in_group: int | None
    state: State
    attempts: int
    output_sha256: str | None
    needs_look: bool
    faces: dict[str, int]
    words: str
    raised: str | None
    seconds: float


class Ledger:
    """The file `ledger.sqlite` in `work`; of one process at a time, which holds the lock of that folder."""

    def __init__(self, work: Path | None) -> None:
        """`work` None: in the memory only, for a dry run.

        Raises:
            OutputRefused: it cannot be opened, or is of another version.
        """
        path = None if work is None else work / NAME
        try:
            if path is not None:
                # SQLite would make it with the mode of the umask
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(":memory:" if path is None else path, isolation_level=None, timeout=30.0)
            self._db.row_factory = sqlite3.Row
            # A journal that stays can be overwritten at the end; and, unlike WAL, it works in network folders
            self._db.execute("PRAGMA journal_mode = PERSIST")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.executescript(_TABLES)
            with self.at_once():
                self._db.execute("INSERT OR IGNORE INTO facts VALUES ('schema', ?)", (_SCHEMA,))
        except (OSError, sqlite3.Error) as error:
            raise OutputRefused(f"{path}: the ledger cannot be opened ({error}). Nothing was written.") from error
        if (found := self.fact("schema")) != _SCHEMA:
            raise OutputRefused(f"{path}: is a ledger of version {found}, and this is facecloak for version "
                                f"{_SCHEMA}. Name "
                                "another folder with --work. Nothing was written.")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is said within is said as a whole or not at all; on the disk when the block is left."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- facts ----------------------------------------------------------------------------------------------------

    def fact(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row["value"])

    def set_fact(self, key: str, value: str) -> None:
        self._db.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                         (key, value))

    # --- files ----------------------------------------------------------------------------------------------------

    def see(self, found: Iterable[Found]) -> None:
        """Notes what is in the folder; what is not there any more is forgotten unless something was made of it."""
        self._db.execute("UPDATE files SET is_seen = 0")
        self._db.executemany(
            "INSERT INTO files (name, media, size, signature) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET is_seen = 1, media = excluded.media",
            ((os.fsencode(one.name), one.media, one.size, "") for one in found))
        self._db.execute("DELETE FROM files WHERE NOT is_seen AND ours IS NULL AND making IS NULL")

    def files(self, where: str = "1", values: Sequence[Any] = ()) -> list[File]:
        """Rows in the order of their numbers; `where` is SQL of this package's own."""
        rows = self._db.execute(f"SELECT * FROM files WHERE {where} ORDER BY number", values)
        return [_file(row) for row in rows]

    def file(self, number: int) -> File:
        (one,) = self.files("number = ?", (number,))
        return one

    def note_content(self, number: int, found: Found, content: Content) -> None:
        self._db.execute("UPDATE files SET size = ?, signature = ?, sha256 = ?, pixels = ?, state = 'waiting', words "
                         "= '', "
                         "raised = NULL, item = NULL WHERE number = ?",
                         (found.size, found.signature, content.sha256, content.pixels, number))

    def settle_file(self, number: int, state: State, words: str = "", raised: str | None = None) -> None:
        """What became of a file. One that is not done does not say what it was made of."""
        self._db.execute("UPDATE files SET state = ?, words = ?, raised = ? WHERE number = ?",
                         (state, words, raised, number))

    def set_unread(self, number: int, state: State, words: str, raised: str) -> None:
        """A file whose content is not known."""
        self._db.execute("UPDATE files SET sha256 = NULL, signature = '', item = NULL, state = ?, words = ?, raised "
                         "= ? "
                         "WHERE number = ?", (state, words, raised, number))

    def set_plan(self, number: int, *, item: int, treatment: str, output: str) -> None:
        self._db.execute("UPDATE files SET item = ?, treatment = ?, output = ? WHERE number = ?",
                         (item, treatment, os.fsencode(output), number))

    def set_output(self, number: int, output: str) -> None:
        self._db.execute("UPDATE files SET output = ? WHERE number = ?", (os.fsencode(output), number))

    def set_treatment(self, number: int, treatment: str) -> None:
        self._db.execute("UPDATE files SET treatment = ? WHERE number = ?", (treatment, number))

    def will_place(self, number: int, sha256: str, report_sha256: str | None) -> None:
        """Says, before it happens, which bytes the output of this file will have."""
        self._db.execute("UPDATE files SET making = ?, making_report = ? WHERE number = ?",
                         (sha256, report_sha256, number))

    def placed(self, number: int, signature: str) -> None:
        """The output stands there, and was read again."""
        self._db.execute("UPDATE files SET ours = making, ours_report = making_report, ours_at = output, "
                         "ours_signature = ?, making = NULL, making_report = NULL, state = 'done', words = '', "
                         "raised = NULL WHERE number = ?", (signature, number))

    def set_signature(self, number: int, signature: str) -> None:
        self._db.execute("UPDATE files SET ours_signature = ? WHERE number = ?", (signature, number))

    def not_placed(self, number: int) -> None:
        self._db.execute("UPDATE files SET making = NULL, making_report = NULL WHERE number = ?", (number,))

    def withdrawn(self, number: int) -> None:
        """Nothing of ours stands there any more."""
        self._db.execute("UPDATE files SET ours = NULL, ours_report = NULL, ours_at = NULL, ours_signature = NULL "
                         "WHERE number = ?", (number,))

    # --- items ----------------------------------------------------------------------------------------------------

    def item_for(self, file: File, suffix: str, settings: str, recipe: Recipe) -> int:
        """The item of this content and these settings, new or known."""
        assert file.sha256 is not None
        key = (file.sha256, file.media, suffix, settings)
        self._db.execute("INSERT OR IGNORE INTO items (sha256, media, suffix, settings, recipe, pixels, bytes) "
                         "VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, _to_json(recipe), file.pixels, file.size))
        row = self._db.execute("SELECT number FROM items WHERE sha256 = ? AND media = ? AND suffix = ? AND settings "
                               "= ?",
                               key).fetchone()
        return int(row["number"])

    def item(self, number: int) -> Work:
        return _work(self._db.execute("SELECT * FROM items WHERE number = ?", (number,)).fetchone())

    def items(self, where: str = "1", values: Sequence[Any] = ()) -> list[Work]:
        return [_work(row) for row in self._db.execute(f"SELECT * FROM items WHERE {where} ORDER BY number", values)]

    def note_result(self, result: Result, state: State) -> None:
        """What a worker said of an item, and whether that is settled."""
        self._db.execute(
            "UPDATE items SET state = ?, output_sha256 = ?, needs_look = ?, faces = ?, words = ?, raised = ?, "
            "seconds = ? "
            "WHERE number = ?",
            (state, result.output_sha256, result.needs_look, json.dumps(dict(result.faces)), result.words,
             result.raised,
             result.seconds, result.number))

    def set_state(self, number: int, state: State) -> None:
        self._db.execute("UPDATE items SET state = ? WHERE number = ?", (state, number))

    def attempted(self, numbers: Iterable[int]) -> None:
        self._db.executemany("UPDATE items SET attempts = attempts + 1 WHERE number = ?", ((one,) for one in numbers))

    # --- groups ---------------------------------------------------------------------------------------------------

    def singles(self) -> list[Single]:
        """Items that wait, have no group yet and are somebody's, in the order of their first file's name."""
        rows = self._db.execute(
            "SELECT items.number, items.media, items.settings, items.pixels FROM items JOIN files "
            "ON files.item = items.number WHERE items.in_group IS NULL AND items.state = 'waiting' AND files.is_seen "
            "GROUP BY items.number ORDER BY MIN(files.name)")
        return [Single(row["number"], row["media"], row["settings"], row["pixels"]) for row in rows]

    def add_group(self, members: Iterable[int]) -> int:
        number = self._db.execute("INSERT INTO groups DEFAULT VALUES").lastrowid
        self._db.executemany("UPDATE items SET in_group = ? WHERE number = ?", ((number, one) for one in members))
        return int(number or 0)

    def waiting_groups(self) -> list[int]:
        """Groups with an item that waits and whose output somebody wants, the longest work first."""
        rows = self._db.execute(
            "SELECT in_group FROM items WHERE in_group IS NOT NULL AND EXISTS (SELECT 1 FROM items AS one "
            "JOIN files ON files.item = one.number WHERE one.in_group = items.in_group AND one.state = 'waiting' "
            "AND files.is_seen AND files.state = 'waiting') "
            "GROUP BY in_group ORDER BY MAX(media = 'clip') DESC, CASE MAX(media) WHEN 'clip' THEN SUM(bytes) ELSE 0 "
            "END "
            "DESC, in_group")
        return [int(row["in_group"]) for row in rows]

    def lost(self, number: int) -> int:
        """Counts that a worker died over this group; how often that was by now."""
        self._db.execute("UPDATE groups SET losses = losses + 1 WHERE number = ?", (number,))
        row = self._db.execute("SELECT losses FROM groups WHERE number = ?", (number,)).fetchone()
        return int(row["losses"])

    def forgive(self) -> None:
        """Whatever failed is tried again."""
        self._db.execute("UPDATE groups SET losses = 0")
        self._db.execute("UPDATE items SET state = 'waiting' WHERE state = 'failed'")
        self._db.execute("UPDATE files SET state = 'waiting', words = '', raised = NULL WHERE state = 'failed'")

    # --- numbers --------------------------------------------------------------------------------------------------

    def counts(self) -> dict[State, int]:
        """How many files there are of each state, of those seen and those of which something was made."""
        return {row["state"]: row["n"] for row in self._db.execute(
            "SELECT state, COUNT(*) AS n FROM files WHERE is_seen OR state = 'done' GROUP BY state")}

    def pace(self) -> dict[tuple[Media, str], float]:
        """Seconds of one worker per megapixel (of a photo) or megabyte (of a clip), by kind of treatment, so far."""
        found: dict[tuple[Media, str], list[float]] = {}
        for row in self._db.execute("SELECT media, recipe, pixels, bytes, seconds FROM items WHERE state = 'done'"):
            amount = (row["pixels"] if row["media"] == "photo" else row["bytes"]) / 1e6
            sums = found.setdefault((row["media"], _from_json(row["recipe"]).treatment.kind), [0.0, 0.0])
            sums[0] += row["seconds"]
            sums[1] += amount
        return {key: seconds / amount for key, (seconds, amount) in found.items() if amount and seconds}


def _file(row: sqlite3.Row) -> File:
    fields = dict(row)
    for name in ("name", "output", "ours_at"):
        fields[name] = None if fields[name] is None else os.fsdecode(fields[name])
    return File(**{**fields, "is_seen": bool(fields["is_seen"])})


def _work(row: sqlite3.Row) -> Work:
    fields = dict(row)
    return Work(**{**fields, "recipe": _from_json(fields["recipe"]), "faces": json.loads(fields["faces"]),
                   "needs_look": bool(fields["needs_look"])})


def _to_json(recipe: Recipe) -> str:
    return json.dumps({"treatment": str(recipe.treatment),
                       "keep_person": [os.fsencode(path).hex() for path in recipe.keep_person]})


def _from_json(text: str) -> Recipe:
    fields = json.loads(text)
    return Recipe(parse_treatment(fields["treatment"]),
                  tuple(Path(os.fsdecode(bytes.fromhex(path))) for path in fields["keep_person"]))
