"""How far a job on a clip is, and how fast it goes, in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Options: TypeAlias = dict[str, Any]
OnShare: TypeAlias = Callable[[float, str], None]  # a share in [0, 1], and words

_WORDS = {"looking": "looking for faces", "picturing": "taking pictures of them", "writing": "covering faces",
          "checking": "looking at the written clip again"}
_TOO_EARLY_S = 1.0  # before it nobody knows how long the rest takes


class Pace:
    """Turns what the engine tells of its stages into one share of all of them."""

    def __init__(self, on_share: OnShare, stages: Mapping[str, tuple[float, float]],
                 clock: Callable[[], float] = time.monotonic) -> None:
        """`stages`: where each stage begins and ends, as shares of the whole."""
        self._on_share, self._stages, self._clock = on_share, stages, clock
        self._stage, self._began, self._at = "", 0.0, 0

    def tell(self, stage: str, done: int, frames: int | None) -> None:
        """`done` frames of `frames`, which nobody may know, in one of the stages."""
        if stage not in self._stages:
            return
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._at = stage, now, max(done - 1, 0)  # a resumed one begins further on
        begin, end = self._stages[stage]
        share = min(done / frames, 1.0) if frames else 0.0
        count = f"{done:,} of {frames:,} frames" if frames else f"{done:,} frames"
        words = f"{_WORDS[stage]}: {count}"
        took = now - self._began
        if took >= _TOO_EARLY_S and done > self._at:
            speed = (done - self._at) / took
            words += f", {speed:.1f} a second"
            if frames:
                words += f", about {_clock(max(frames - done, 0) / speed)} left of this step"
        self._on_share(begin + (end - begin) * share, words)


def _clock(seconds: float) -> str:
    """75 -> 1:15"""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
