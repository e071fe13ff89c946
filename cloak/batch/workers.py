"""Workers on this machine: one process each, begun again when it dies."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cloak.batch import worker
from cloak.batch.types import Common, Group, Lost, Result

# What one worker takes while it works on photos of a group together, or on a clip of high resolution
BYTES_PER_WORKER = 2 * 2**30
_LEFT_FREE_BYTES = 2**30
_SECONDS_TO_END = 5.0


def how_many(*, cores: int, free_bytes: int, gpus: int) -> int:
    """One worker a GPU; else one a core, as far as the memory goes."""
    if gpus:
        return gpus
    return max(1, min(cores, (free_bytes - _LEFT_FREE_BYTES) // BYTES_PER_WORKER))


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_bytes() -> int:
    """Memory that can be had without swapping, within the limit of the control group; much where nobody says."""
    found = [2**40]
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/meminfo", encoding="ascii") as file:
        found.append(next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")))
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            limit = int(file.read())  # or "max"
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
            found.append(limit - int(file.read()))
    return min(found)


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    group: Group | None = None


class Local:
    """See `cloak.batch.types.Runner`.

    Args:
        count: how many processes.
        gpus: how many devices they share out, one each; 0 for none.
        handle: of the lock that they hold as long as they live.
        command: instead of our worker, for tests.
    """

    def __init__(self, count: int, *, gpus: int = 0, handle: int | None = None,
                 command: Sequence[str] = (sys.executable, "-m", "cloak.batch.worker")) -> None:
        self._count, self._gpus, self._handle, self._command = count, gpus, handle, tuple(command)

    def run(self, groups: Iterable[Group], common: Common) -> Iterator[tuple[Group, tuple[Result, ...] | Lost]]:
        """A worker gets its next group before the caller hears of its last, so that it never waits."""
        waiting = iter(groups)
        with selectors.DefaultSelector() as selector:
            busy: dict[int, _Worker] = {}  # by place
            try:
                for place in range(self._count):
                    self._hand_out(place, None, waiting, common, selector, busy)
                while busy:
                    for key, _ in selector.select():
                        place = key.data
                        one = busy.pop(place)
                        selector.unregister(key.fileobj)
                        assert one.group is not None and one.process.stdout is not None
                        group, one.group = one.group, None
                        answer: tuple[Result, ...] | Lost
                        process: _Worker | None = one
                        try:
                            answer = worker.receive(one.process.stdout)
                        except EOFError:
                            answer, process = Lost(_death(one.process)), None
                        self._hand_out(place, process, waiting, common, selector, busy)
                        yield group, answer
            finally:
                for one in busy.values():
                    _end(one.process)

    def _hand_out(self, place: int, one: _Worker | None, waiting: Iterator[Group], common: Common,
                  selector: selectors.BaseSelector, busy: dict[int, _Worker]) -> None:
        """The next group to the worker in this place, or to a new one; ends the worker where nothing is left."""
        group = next(waiting, None)
        if group is None:
            if one is not None:
                _end(one.process)
            return
        if one is None:
            one = _Worker(self._start(place))
        one.group = group
        assert one.process.stdin is not None and one.process.stdout is not None
        with contextlib.suppress(OSError):  # it died while it had nothing to do; the end of its answers will say so
            worker.send(one.process.stdin, (group, common))
        selector.register(one.process.stdout, selectors.EVENT_READ, place)
        busy[place] = one

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ,
                       **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = _device(place % self._gpus)
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                env=environment, pass_fds=() if self._handle is None else (self._handle,))


def _device(number: int) -> str:
    """The name of a GPU among those that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name for name in visible.split(",") if name]
    return names[number] if number < len(names) else str(number)


def _end(process: subprocess.Popen[bytes]) -> None:
    """By the end of its input, at which it stops in the middle of its work."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _death(process: subprocess.Popen[bytes]) -> str:
    _end(process)
    code = process.returncode
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            return f"it was ended by {name}" + ", perhaps for want of memory" * (name == "SIGKILL")
    return f"it ended with exit code {code}"
