"""A worker process: one job after another from stdin, what becomes of them to stdout, as JSON lines. No pickles.

    <- {"id": "5f...", "kind": "protect", "folder": "/...", "options": {...}, "most": {"max_pixels": 64000000, ...}}
    -> {"share": 0.4, "words": "1 of 3 faces, step 8 of 40"}
    -> {"outcome": {...}}  or  {"failed": "no-face", "detail": "..."}  or  {"broken": "KeyError work.py:80"}

A process of its own can be ended: for a cancelled job, for one that takes too long, or by the system for its memory.
Told to end (SIGTERM, or the end of stdin) it ends in the middle of a job, and the encoder that it may have started too.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from cloak import CloakError
from web.failures import Failed, failure
from web.kinds import Most
from web.logs import where
from web.work import WORK, Work, load

_BETWEEN_REPORTS_S = 0.25
_NICE = 5  # so that answers come while a photo is worked on
_GRACE_S = 5.0  # from being told to end until it ends whatever it is doing


def main(kinds: Mapping[str, Work] = WORK, preload: Callable[[], object] | None = None) -> None:
    """Until stdin ends, which it does when the service goes or is killed: nobody is left to work for then.

    The first word of the command line, if there is one, is the line whose jobs are done here.

    Args:
        preload: instead of what the jobs of that line need.
    """
    signal.signal(signal.SIGTERM, _end)
    try:
        _work(kinds, preload)
    except SystemExit:
        os._exit(0)  # threads of libraries may still be at work, and nobody waits for them


def _work(kinds: Mapping[str, Work], preload: Callable[[], object] | None) -> None:
    os.umask(0o077)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    # What libraries print must not come between our lines
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Seconds, which the first job need not wait for
    if preload is None:
        load((*sys.argv[1:], "photos")[0])
    else:
        preload()
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, jobs), daemon=True).start()
    while True:
        _do(json.loads(jobs.get()), kinds, out)


def _read(lines: IO[str], jobs: queue.SimpleQueue[str]) -> None:
    for line in lines:
        jobs.put(line)
    os.kill(os.getpid(), signal.SIGTERM)  # in the middle of a job too
    time.sleep(_GRACE_S)
    os._exit(0)


def _end(number: int, frame: object) -> None:
    raise SystemExit


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
            _say(out, {"outcome": kinds[job["kind"]](job["options"], Most(**job["most"]), on_share)})
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
