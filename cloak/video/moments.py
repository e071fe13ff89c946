"""What a person looks at before a plan is rendered: pictures of every track, and whole frames, the risky ones first.

It shows faces as they are. It is for the person who decides, and never for publishing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cloak.types import Pixels
from cloak.video import clips, review
from cloak.video.glimpses import Glimpse
from cloak.video.review import Row
from cloak.video.shapes import NEIGHBOURS, shot_of
from cloak.video.types import Box, Plan

_LONGEST_PX, _SIDE_PX = 960, 160
# So many frames at even distances, to scrub through, and so many of those in which something may be wrong
_EVEN, _RISKY = 60, 60


@dataclass(frozen=True, slots=True)
class Moment:
    """One whole frame to look at."""

    frame: int
    seconds: float  # from the first frame
    why: str  # what may be wrong here, in words; empty for those taken at even distances
    picture: bytes  # JPEG, upright, nothing drawn on it
    size: tuple[int, int]  # of the picture, which may be smaller than the clip
    boxes: tuple[tuple[int, Box], ...]  # number of the track, and where it is, in pixels of the clip


@dataclass(frozen=True, slots=True)
class Review:
    """Everything there is to look at in one clip."""

    rows: tuple[Row, ...]  # the most doubtful tracks first
    moments: tuple[Moment, ...]  # in their order of time


def review_clip(source: Path, plan: Plan, *, on_damage: Callable[[str], None] | None = None,
                on_frame: Callable[[int], None] | None = None) -> Review:
    """Look through a clip once, for all pictures that a person needs to decide on `plan`.

    Args:
        on_damage: see `clips.frames`.
        on_frame: told how many frames were read, now and then.
    Raises:
        ClipUnreadable: see `clips.frames`.
    """
    clip = clips.probe(source)
    reasons = risky_frames(plan)
    steps = min(_EVEN, plan.frames)
    chosen = {round(i * (plan.frames - 1) / max(steps - 1, 1)) for i in range(steps)} | set(reasons)
    found: list[Moment] = []

    def take(glimpse: Glimpse) -> None:
        if glimpse.number in chosen:
            small = _small(glimpse.pixels)
            boxes = tuple((track.number, track.spots[glimpse.number - track.spots[0].frame].box)
                          for track in plan.tracks
                          if track.spots[0].frame <= glimpse.number <= track.spots[-1].frame)
            found.append(Moment(glimpse.number, glimpse.seconds, reasons.get(glimpse.number, ""), review.jpeg(small),
                                (small.shape[1], small.shape[0]), boxes))
        if on_frame is not None:
            on_frame(glimpse.number + 1)

    rows = review.make_sheet(clip, plan, side_px=_SIDE_PX, also=chosen, on_glimpse=take, on_damage=on_damage)
    return Review(tuple(rows), tuple(found))


def risky_frames(plan: Plan, most: int = _RISKY) -> dict[int, str]:
    """Frame -> what to look for there. Where a face got lost, just beyond the last cover; of other doubtful tracks the
    middle; the most telling first, and no more than `most`.
    """
    lost: list[tuple[int, str]] = []
    doubtful: list[tuple[int, str]] = []
    for track in plan.tracks:
        reasons = review.risks(track)
        first, last = track.spots[0].frame, track.spots[-1].frame
        begin, end = shot_of(plan, first)
        if track.is_lost:
            for at in (min(last + NEIGHBOURS + 1, end), max(first - NEIGHBOURS - 1, begin)):
                if not first <= at <= last:
                    lost.append((at, f"track {track.number} is not covered here: is its face still to be seen?"))
        elif reasons:
            doubtful.append(((first + last) // 2, f"track {track.number}: {reasons[0]}"))
    found: dict[int, str] = {}
    for frame, why in (*lost, *doubtful):
        if frame in found:
            found[frame] += f"; {why}"
        elif len(found) < most:
            found[frame] = why
    return found


def _small(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    scale = min(1.0, _LONGEST_PX / max(width, height))
    if scale == 1.0:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
