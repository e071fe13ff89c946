"""A program that treats one clip, watched from outside: its memory over the clip, and what is left when it is killed.

The program says `ready` when all is imported and waits for a line; then it says `STAGE FRAME` for every frame it is
done with, in stages that each begin at 1. All else is read from /proc and from the folder it works in.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.errors import EvaluationFailed

_MB = 1024  # /proc counts in kB
MINUTE_S = 60.0
_LAST_MINUTES = 10


class RunFailed(EvaluationFailed):
    """The program ended in another way than it should."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look at a running program saw."""

    seconds: float
    stage: str
    frame: int  # of the stage, the latest
    own_mb: float  # resident memory
    helpers_mb: float  # of all processes it started, together


@dataclass(slots=True)
class Watched:
    """One run of the program, as far as it came."""

    code: int = 0
    wall_s: float = 0.0
    ready_mb: float = 0.0
    peak_mb: float = 0.0  # the kernel's own count of the largest memory
    samples: list[Sample] = field(default_factory=list)
    first_frame: dict[str, int] = field(default_factory=dict)  # by stage, the first that was told
    last_frame: dict[str, int] = field(default_factory=dict)
    outlived_s: float = 0.0  # how long after it was killed the last process it started was gone


def watch(words: Sequence[str], folder: Path, *, every_s: float = 1.0,
          kill: tuple[str, int] | None = None) -> Watched:
    """Runs the program in `folder` to its end.

    Args:
        kill: a stage and a frame at which SIGKILL goes to its whole process group.
    Raises:
        RunFailed: it was to be killed and ended before.
    """
    run = Watched()
    with open(folder.parent / f"{folder.name}.log", "wb") as log:
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                   start_new_session=True, text=True)
    assert process.stdin is not None and process.stdout is not None
    start, ended = time.monotonic(), threading.Event()
    sampler = threading.Thread(target=_sample, args=(process.pid, run, start, ended, every_s), daemon=True)
    helpers: list[int] = []
    try:
        for line in process.stdout:
            if line == "ready\n":
                run.ready_mb = _status(process.pid, "VmRSS")
                start = time.monotonic()
                process.stdin.write("go\n")
                process.stdin.flush()
                sampler.start()
            elif match := re.fullmatch(r"(\w+) (\d+)\n", line):
                stage, frame = match[1], int(match[2])
                run.first_frame.setdefault(stage, frame)
                run.last_frame[stage] = frame
                if (stage, frame) == kill:
                    helpers = descendants(process.pid)
                    os.killpg(process.pid, signal.SIGKILL)
                    break
        run.code = process.wait()
    finally:
        ended.set()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    run.wall_s = time.monotonic() - start
    if sampler.is_alive():
        sampler.join()
    if kill is not None and run.code != -signal.SIGKILL:
        raise RunFailed(f"{words[0]}: was to be killed at {kill[0]} {kill[1]} and ended before with {run.code}.")
    died = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() for pid in helpers):
        time.sleep(0.05)
    run.outlived_s = time.monotonic() - died if helpers else 0.0
    return run


def descendants(pid: int) -> list[int]:
    """All processes that a process started, and those started by them."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


def memory(run: Watched, frames: int, rate: float) -> dict[str, Any]:
    """What the samples come to: peaks above what the imports take, and growth over the clip, stage by stage.

    Args:
        rate: frames a second of the clip, so that minutes are those of the clip and not of a clock.
    """
    stages: dict[str, Any] = {}
    for stage in dict.fromkeys(sample.stage for sample in run.samples):
        # When all frames of a stage are done, what follows is no part of it
        here = [sample for sample in run.samples if sample.stage == stage and sample.frame < frames]
        if len(here) > 1:
            minutes = [sample.frame / rate / MINUTE_S for sample in here]
            stages[stage] = {name: _over_the_clip(minutes, [get(sample) for sample in here], frames / rate / MINUTE_S)
                             for name, get in _OF}
    together = max((sample.own_mb + sample.helpers_mb for sample in run.samples), default=0.0)
    return {
        "after_import_mb": run.ready_mb,
        "peak_mb": run.peak_mb,
        "peak_above_import_mb": run.peak_mb - run.ready_mb,
        "helpers_peak_mb": max((sample.helpers_mb for sample in run.samples), default=0.0),
        "together_above_import_mb": together - run.ready_mb,
        "samples": len(run.samples),
        "stages": stages,
    }


_OF: tuple[tuple[str, Callable[[Sample], float]], ...] = (
    ("own", lambda sample: sample.own_mb), ("helpers", lambda sample: sample.helpers_mb))


def _over_the_clip(minutes: Sequence[float], mb: Sequence[float], length: float) -> dict[str, Any]:
    """The means of the first and the last ten minutes of the clip, or of its halves where it is shorter than twenty."""
    span = min(_LAST_MINUTES, length / 2)
    first = [value for minute, value in zip(minutes, mb) if minute < span]
    last = [value for minute, value in zip(minutes, mb) if minute >= length - span]
    slope = float(np.polyfit(minutes, mb, 1)[0]) if len(set(minutes)) > 1 else 0.0
    at = {int(minute): value for minute, value in zip(minutes, mb)}  # the last sample of each minute
    return {"first_mb": _mean(first), "last_mb": _mean(last), "mb_per_minute": slope, "peak_mb": max(mb),
            "by_minute_mb": [round(value, 1) for _, value in sorted(at.items())]}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _sample(pid: int, run: Watched, start: float, ended: threading.Event, every_s: float) -> None:
    for number in _ticks(start, ended, every_s):
        own = _status(pid, "VmRSS")
        if own:
            run.peak_mb = max(run.peak_mb, _status(pid, "VmHWM"))
            stage = next(reversed(run.last_frame), "starting")
            helpers = sum(_status(child, "VmRSS") for child in descendants(pid))
            run.samples.append(Sample(number, stage, run.last_frame.get(stage, 0), own, helpers))


def _ticks(start: float, ended: threading.Event, every_s: float) -> Iterator[float]:
    """Seconds since the start, evenly, until the end."""
    number = 0
    while not ended.wait(max(0.0, start + number * every_s - time.monotonic())):
        yield time.monotonic() - start
        number += 1


def resident_mb(pid: int) -> float:
    """Memory that a process holds now; 0 where it has ended."""
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> float:
    """Of a process, in MB; 0 where it has ended."""
    with contextlib.suppress(OSError):
        if match := re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE):
            return int(match[1]) / _MB
    return 0.0
