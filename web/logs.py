"""One JSON line an event on stderr: what happened, how long it took, how large it was. Never whose, never what.

File names, pixels, choices, addresses of clients, tokens, messages of exceptions: none of them may come here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import traceback
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

_FIELDS = frozenset({"method", "route", "status", "code", "ms", "bytes", "job", "kind", "state", "workers", "exit",
                     "token", "where", "count", "version", "port"})


_left_out: set[str] = set()


def leave_out(*names: str) -> None:
    """Writes no lines of these events from now on."""
    _left_out.update(names)


def event(name: str, *, to: TextIO | None = None, **fields: str | int | float | None) -> None:
    """Writes one line. Fields are those of `_FIELDS`: another one is a mistake in our code."""
    if unknown := set(fields) - _FIELDS:
        raise ValueError(f"{', '.join(sorted(unknown))}: not among the fields of a log line")
    if name in _left_out:
        return
    line = {"time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"), "event": name, **fields}
    with contextlib.suppress(OSError):  # a log on a full disk, or that nobody reads any more, must stop nothing
        print(json.dumps(line), file=to or sys.stderr, flush=True)


def where(error: BaseException) -> str:
    """The kind of an exception and the lines it came through: enough to find a defect, nothing of what was handled."""
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return f"{type(error).__name__} {' '.join(frames[-6:])}"


class Handler(logging.Handler):
    """Where uvicorn's own lines go. Of an exception only its kind and place, as everywhere."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        what = where(error) if error is not None else f"{record.levelname} {record.module}:{record.lineno}"
        event("server", where=what)
