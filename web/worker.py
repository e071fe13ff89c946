"""A worker process: one job after another from stdin, what becomes of them to stdout, as JSON lines. No pickles.

    <- {"id": "5f...", "kind": "protect", "folder": "/...", "options": {...}, "max_pixels": 64000000}
    -> {"share": 0.4, "words": "1 of 3 faces, step 8 of 40"}
    -> {"outcome": {...}}  or  {"failed": "no-face", "detail": "..."}  or  {"broken": "KeyError work.py:80"}

A process of its own can be killed: for a cancelled job, for one that takes too long, or by the system for its memory.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from cloak import CloakError
from web.logs import where
from web.work import WORK, Failed, Work, failure, load

_BETWEEN_REPORTS_S = 0.25
_NICE = 5  # so that answers come while a photo is worked on


def main(kinds: Mapping[str, Work] = WORK, preload: Callable[[], object] = load) -> None:
    """Until stdin ends, which it does when the service goes or is killed: nobody is left to work for then."""
    os.umask(0o077)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    # What libraries print must not come between our lines
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    preload()  # seconds, which the first job need not wait for
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, jobs), daemon=True).start()
    while True:
        _do(json.loads(jobs.get()), kinds, out)


def _read(lines: IO[str], jobs: queue.SimpleQueue[str]) -> None:
    for line in lines:
        jobs.put(line)
    os._exit(0)  # in the middle of a job too


def _do(job: dict[str, Any], kinds: Mapping[str, Work], out: IO[str]) -> None:
    last = 0.0

    def on_share(share: float, words: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _BETWEEN_REPORTS_S:
            last = time.monotonic()
            _say(out, {"share": round(share, 3), "words": words})

    try:
        os.chdir(job["folder"])
        try:
            _say(out, {"outcome": kinds[job["kind"]](job["options"], job["max_pixels"], on_share)})
        except CloakError as error:
            raise failure(type(error).__name__, str(error)) from error
    except Failed as failed:
        _say(out, {"failed": failed.code, "detail": failed.detail})
    except MemoryError:
        os._exit(1)  # what is left of the process is not to be trusted
    except Exception as error:  # a defect of ours ends this job, not the next one
        _say(out, {"broken": where(error)})
    finally:
        os.chdir("/")


def _say(out: IO[str], message: dict[str, Any]) -> None:
    print(json.dumps(message), file=out, flush=True)


if __name__ == "__main__":
    main()
