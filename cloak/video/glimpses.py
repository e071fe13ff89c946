"""Looks into a clip at chosen frames, for people who review it and for recognisers: one pass, one picture at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from cloak.types import Pixels
from cloak.video import clips
from cloak.video.types import Box, Clip, Spot, Track

_FRAME = (255, 221, 0)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """One chosen frame."""

    number: int
    seconds: float  # from the first frame
    pixels: Pixels  # (H, W, 3) RGB, upright


def glimpses(clip: Clip, wanted: Collection[int], *, on_damage: Callable[[str], None] | None = None,
             times: dict[int, float] | None = None) -> Iterator[Glimpse]:
    """The wanted frames in their order.

    Args:
        times: filled with the time in seconds of every frame up to the last wanted one.
    """
    chosen, last = set(wanted), max(wanted, default=-1)
    if last < 0:
        return
    for frame in clips.frames(clip, on_damage=on_damage):
        if times is not None:
            times[frame.number] = frame.seconds
        if frame.number in chosen:
            yield Glimpse(frame.number, frame.seconds, frame.to_rgb())
        if frame.number >= last:
            return


def best(track: Track, count: int) -> list[Spot]:
    """At most `count` spots in which the face is seen best, from different parts of the track, in their order.

    Best is large and sure, and seen rather than worked out; a track that no detector saw gives its middle.
    """
    seen = [spot for spot in track.spots if spot.source == "seen"]
    if not seen:
        return [track.spots[len(track.spots) // 2]]
    parts = min(count, len(seen))
    ends = [round(i * len(seen) / parts) for i in range(parts + 1)]
    return [max(seen[a:b], key=lambda spot: spot.score * (spot.box[2] - spot.box[0]) * (spot.box[3] - spot.box[1]))
            for a, b in zip(ends, ends[1:])]


def thumbnail(pixels: Pixels, box: Box, side_px: int, *, enlarged: float = 1.8) -> Pixels:
    """(side_px, side_px, 3): the square around a face, `enlarged` times the longer side of its box, with the box drawn
    in, for neighbours may be on it too; grey beyond the picture.
    """
    half = max(enlarged * max(box[2] - box[0], box[3] - box[1]) / 2, 4.0)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, top, side = math.floor(x - half), math.floor(y - half), math.ceil(2 * half)
    height, width = pixels.shape[:2]
    square = np.full((side, side, 3), 128, np.uint8)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x1 < x2 and y1 < y2:
        square[y1 - top : y2 - top, x1 - left : x2 - left] = pixels[y1:y2, x1:x2]
    how = cv2.INTER_AREA if side > side_px else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(square, (side_px, side_px), interpolation=how), np.uint8)
    scale = side_px / side
    x1, y1, x2, y2 = (round((v - corner) * scale) for v, corner in zip(box, (left, top, left, top)))
    cv2.rectangle(small, (x1 - 1, y1 - 1), (x2, y2), _FRAME, 1)
    return small
