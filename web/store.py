"""The job store: one SQLite file with the tokens and the jobs, which survives whatever happens to the process.

No picture, no file name and no token is in it: of a job its options and its report, of a token its hash. The report
goes when the files go; the bare row stays a while, so that a client hears "deleted" and not "never heard of it".
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
UNFINISHED: tuple[State, ...] = ("queued", "running")
DELETED: tuple[State, ...] = ("cancelled", "expired")

_TABLES = """
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, created REAL NOT NULL, revoked REAL);
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, kind TEXT NOT NULL,
    options TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL,
    started REAL, finished REAL, expires REAL NOT NULL, key_hash TEXT, fingerprint TEXT NOT NULL,
    outcome TEXT, problem TEXT, UNIQUE (owner, key_hash));
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, seq);
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One row. Times are seconds since 1970."""

    seq: int
    id: str
    owner: str  # the token's id
    kind: str
    options: dict[str, Any]
    state: State
    attempts: int
    created: float
    started: float | None
    finished: float | None
    expires: float  # everything is deleted then, whatever the state
    key_hash: str | None
    fingerprint: str  # of kind, options and files: what an idempotency key stands for
    outcome: dict[str, Any] | None
    problem: dict[str, Any] | None

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED


class KeyTaken(Exception):
    """Another job of this owner has the idempotency key."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.id)
        self.job = job


class Store:
    """The file `service.sqlite` in `folder`. One thread at a time; other processes may use the same file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "service.sqlite"
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would make it with the mode of the umask
        # One thread at a time all the same: the service is made in one and may run in another
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10.0, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA secure_delete = ON")  # a deleted report is overwritten, not only unlinked
        self._db.executescript(_TABLES)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _at_once(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- tokens ---------------------------------------------------------------------------------------------------

    def add_token(self, id: str, name: str, hash: str) -> None:
        self._db.execute("INSERT INTO tokens (id, name, hash, created) VALUES (?, ?, ?, ?)",
                         (id, name, hash, time.time()))

    def tokens(self) -> list[sqlite3.Row]:
        return self._db.execute("SELECT id, name, created, revoked FROM tokens ORDER BY created").fetchall()

    def token_hash(self, id: str) -> str | None:
        """None also where it was revoked."""
        row = self._db.execute("SELECT hash FROM tokens WHERE id = ? AND revoked IS NULL", (id,)).fetchone()
        return None if row is None else str(row["hash"])

    def revoke_token(self, id: str) -> bool:
        change = self._db.execute("UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL", (time.time(), id))
        return change.rowcount > 0

    # --- jobs -----------------------------------------------------------------------------------------------------

    def add(self, id: str, *, owner: str, kind: str, options: dict[str, Any], expires: float, key_hash: str | None,
            fingerprint: str) -> Job:
        """A queued job. Raises KeyTaken where the owner has used the key, in one step with looking."""
        try:
            self._db.execute(
                "INSERT INTO jobs (id, owner, kind, options, state, created, expires, key_hash, fingerprint) "
                "VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?)",
                (id, owner, kind, json.dumps(options), time.time(), expires, key_hash, fingerprint))
        except sqlite3.IntegrityError:
            (row,) = self._db.execute("SELECT * FROM jobs WHERE owner = ? AND key_hash = ?", (owner, key_hash))
            raise KeyTaken(_job(row)) from None
        return self.get(id)

    def get(self, id: str) -> Job:
        """Raises KeyError."""
        row = self._db.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise KeyError(id)
        return _job(row)

    def of(self, owner: str, *, limit: int) -> list[Job]:
        """Newest first, without those that were deleted."""
        rows = self._db.execute("SELECT * FROM jobs WHERE owner = ? AND state NOT IN ('cancelled', 'expired') "
                                "ORDER BY seq DESC LIMIT ?", (owner, limit))
        return [_job(row) for row in rows]

    def of_owners(self, prefix: str) -> list[Job]:
        """The jobs of all owners whose id begins like this, without those that were deleted."""
        rows = self._db.execute("SELECT * FROM jobs WHERE substr(owner, 1, ?) = ? AND state NOT IN ('cancelled', "
                                "'expired')", (len(prefix), prefix))
        return [_job(row) for row in rows]

    def ids(self) -> set[str]:
        """Of the jobs whose files are kept."""
        rows = self._db.execute("SELECT id FROM jobs WHERE state NOT IN ('cancelled', 'expired')")
        return {row["id"] for row in rows}

    def count(self, *states: State, owner: str | None = None) -> int:
        (row,) = self._db.execute(f"SELECT COUNT(*) FROM jobs WHERE state IN ({_marks(states)}) AND (? IS NULL OR "
                                  "owner = ?)", (*states, owner, owner))
        return int(row[0])

    def place(self, job: Job, kinds: Sequence[str]) -> int | None:
        """1 is next of these kinds. None where it no longer waits."""
        if job.state != "queued":
            return None
        (row,) = self._db.execute(f"SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND kind IN ({_marks(kinds)}) "
                                  "AND seq <= ?", (*kinds, job.seq))
        return int(row[0])

    def waits(self, kinds: Sequence[str]) -> bool:
        """Whether a job of one of these kinds is queued."""
        return self._db.execute(f"SELECT 1 FROM jobs WHERE state = 'queued' AND kind IN ({_marks(kinds)}) LIMIT 1",
                                tuple(kinds)).fetchone() is not None

    def take(self, kinds: Sequence[str]) -> Job | None:
        """The job of these kinds that has waited longest, now running."""
        with self._at_once() as db:
            row = db.execute(f"SELECT id FROM jobs WHERE state = 'queued' AND kind IN ({_marks(kinds)}) "
                             "ORDER BY seq LIMIT 1", tuple(kinds)).fetchone()
            if row is None:
                return None
            db.execute("UPDATE jobs SET state = 'running', started = ?, attempts = attempts + 1 WHERE id = ?",
                       (time.time(), row["id"]))
            return self.get(row["id"])

    def finish(self, id: str, *, outcome: dict[str, Any] | None = None, problem: dict[str, Any] | None = None) -> bool:
        """Done, or failed where there is a problem. False where the job is no longer running: cancelled, expired."""
        change = self._db.execute(
            "UPDATE jobs SET state = ?, finished = ?, outcome = ?, problem = ? WHERE id = ? AND state = 'running'",
            ("failed" if problem else "done", time.time(), None if outcome is None else json.dumps(outcome),
             None if problem is None else json.dumps(problem), id))
        return change.rowcount > 0

    def amend(self, id: str, outcome: dict[str, Any]) -> bool:
        """Another outcome for a job that is done. False where it is gone meanwhile."""
        change = self._db.execute("UPDATE jobs SET outcome = ? WHERE id = ? AND state = 'done'",
                                  (json.dumps(outcome), id))
        return change.rowcount > 0

    def forget(self, id: str, state: State) -> None:
        """What was said of it goes; that it was there stays for a while."""
        self._db.execute("UPDATE jobs SET state = ?, finished = COALESCE(finished, ?), options = '{}', outcome = NULL, "
                         "problem = NULL WHERE id = ?", (state, time.time(), id))
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the journal has it too

    def hasten(self, owner: str, sha256: str, expires: float) -> None:
        """An earlier deadline for all that an owner has done with one file."""
        self._db.execute("UPDATE jobs SET expires = MIN(expires, ?) WHERE owner = ? AND json_extract(outcome, "
                         "'$.sha256') = ?", (expires, owner, sha256))

    def overdue(self) -> list[Job]:
        rows = self._db.execute("SELECT * FROM jobs WHERE state NOT IN ('cancelled', 'expired') AND expires <= ?",
                                (time.time(),))
        return [_job(row) for row in rows]

    def interrupted(self) -> list[Job]:
        """Those that a process which is no more was working on."""
        return [_job(row) for row in self._db.execute("SELECT * FROM jobs WHERE state = 'running'")]

    def requeue(self, id: str, *, is_attempt: bool) -> None:
        """Back to its old place, because places go by age."""
        self._db.execute("UPDATE jobs SET state = 'queued', started = NULL, attempts = attempts - ? WHERE id = ? "
                         "AND state = 'running'", (0 if is_attempt else 1, id))

    def purge(self, *, before: float) -> None:
        """Removes the bare rows of jobs whose deadline passed before that time."""
        self._db.execute("DELETE FROM jobs WHERE state IN ('cancelled', 'expired') AND expires < ?", (before,))


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def _job(row: sqlite3.Row) -> Job:
    fields = dict(row)
    for name in ("options", "outcome", "problem"):
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    return Job(**fields)
