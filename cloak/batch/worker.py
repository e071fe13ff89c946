"""A worker process: one group after another from stdin, what became of them to stdout, until stdin ends.

Both are pickles of our own, each behind its length. The end of stdin is the end of the driver, killed or not: the
worker ends in the middle of its work then, with nothing published.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import struct
import sys
import threading
import traceback
from typing import IO, Any

_LENGTH = struct.Struct(">Q")


def send(stream: IO[bytes], what: object) -> None:
    """One message."""
    data = pickle.dumps(what)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message; EOFError where there is none, or only a part of one."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def main() -> None:
    """Until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver has it too, and says when to stop
    if hasattr(os, "nice"):
        os.nice(5)
    # What libraries print must not come between our messages
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from cloak.batch.types import Lost

    groups: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, groups), daemon=True).start()
    while True:
        group, common = groups.get()
        try:
            from cloak.batch import doing  # with the first group, for torch takes seconds

            _one_thread()
            answer: object = doing.do(group, common)
        except MemoryError:
            os._exit(1)  # what is left of the process is not to be trusted
        except Exception as error:  # a defect of ours, or a disk that is gone
            last = traceback.extract_tb(error.__traceback__)[-1]
            answer = Lost(f"{type(error).__name__} in {os.path.basename(last.filename)}, line {last.lineno}")
        send(out, answer)


def _read(stream: IO[bytes], groups: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            groups.put(receive(stream))
    except EOFError:
        os._exit(0)  # threads of libraries may still be at work, and nobody waits for them


def _one_thread() -> None:
    """Bytes must not depend on how many cores a machine has, and workers must not get in each other's way."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


if __name__ == "__main__":
    main()
