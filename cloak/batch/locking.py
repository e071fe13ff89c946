"""Keeps two runs apart: the work folder and the folder of the outputs belong to one at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from cloak.errors import OutputRefused

# Workers of a killed run hold its lock until they have noticed, so that they never meet those of the next
_SECONDS_FOR_WORKERS_TO_END = 10.0
_SECONDS_BETWEEN_TRIES = 0.2


@contextlib.contextmanager
def locked(work: Path, *, waits: bool = False) -> Iterator[int]:
    """Holds `work` until the block is left and every process that was given the handle has ended.

    Args:
        work: a folder that exists.
        waits: for another run to end, however long that takes.
    Returns:
        a handle to pass on to workers.
    Raises:
        OutputRefused: another run has it, or nothing can be written there.
    """
    try:
        handle = os.open(work / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutputRefused(f"{work}: cannot be written ({error.strerror}). Name another folder with --work. Nothing "
                            "was "
                            "written.") from error
    try:
        end = time.monotonic() + _SECONDS_FOR_WORKERS_TO_END
        while not _is_ours(handle):
            if not waits and time.monotonic() >= end:
                raise OutputRefused(f"{work}: another run is at work there. Wait for it to end, or pass --lock to have "
                                    "this one wait. Nothing was written.")
            time.sleep(_SECONDS_BETWEEN_TRIES)
        yield handle
    finally:
        os.close(handle)


def _is_ours(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has none of it
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # some network folders cannot lock
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
            raise
    return True
