"""Follows one face from frame to frame by its pixels, in either direction of time.

A small template of the face, cut out where a detector saw it, is looked for around where the face was heading
(normalised cross-correlation). The template is never renewed on the way, so it cannot drift onto what hides the face:
where nothing is like it, the path goes on at its last speed for a few frames, and then it ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cloak.video.types import Box

# People crossing the picture move up to 0.7 of their face's height in 1/25 s, half of them 0.2 (generated street clip)
_FIRST_REACH, _REACH = 0.8, 0.4
# Height of the template in pixels: enough to tell faces apart, and 0.1 ms for one step
_TEMPLATE_PX = 24
# Of the box, taken into the template: a little of hair and chin
_TEMPLATE_SHARE = 1.1
# Correlation from which a place is believed to show the same face: of a small one much of a street looks like it
_ALIKE_SMALL, _ALIKE = 0.75, 0.6
_SMALL_PX = 48
_STILL = np.eye(2, 3)
MAX_BLIND = 4  # steps that a path goes on without being believed


@dataclass(frozen=True, slots=True)
class Step:
    """One frame further: where the face is, and how alike it is to the template; 0 where it only went on."""

    box: Box
    alike: float


def follow(lumas: Sequence[NDArray[np.uint8]], box: Box, velocity: tuple[float, float] | None = None,
           moves: Sequence[NDArray[np.float64]] | None = None) -> list[Step]:
    """The path of one face through pictures.

    Args:
        lumas: the pictures (H, W), from the one with the face on, in the order of following (backwards in time too).
        box: of the face in the first of them.
        velocity: pixels per step in that order, the camera's motion left out, where known.
        moves: (2, 3) each, the camera's motion from each picture to the next; it stands still when not given.
    Returns:
        one step for each picture after the first, as far as the face was followed; the last ones may be blind.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    scale = min(1.0, _TEMPLATE_PX / max(height, 1e-6))
    centre = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    half = np.array([width, height]) / 2
    alike = _ALIKE_SMALL if height < _SMALL_PX else _ALIKE
    template = _cut(lumas[0], centre, half * _TEMPLATE_SHARE, scale)
    if template.size < 32 or float(template.std()) < 1.0:
        return []
    is_known = velocity is not None
    speed = np.array(velocity if velocity is not None else (0.0, 0.0), np.float64)
    steps: list[Step] = []
    blind = 0
    for number, luma in enumerate(lumas[1:]):
        move = _STILL if moves is None else moves[number]
        carried = move[:, :2] @ centre + move[:, 2]
        half = half * math.sqrt(abs(np.linalg.det(move[:, :2])))
        expected = carried + speed
        reach = (_REACH if is_known else _FIRST_REACH) * height * (1 + 0.5 * blind)
        window = _cut(luma, expected, half * _TEMPLATE_SHARE + reach, scale)
        scores = np.nan_to_num(cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED), posinf=0.0, neginf=0.0)
        _, best, _, (x, y) = cv2.minMaxLoc(scores)
        if best >= alike:
            middle = (np.array(scores.shape[::-1]) - 1) / 2
            found = expected + (np.array([x, y]) - middle) / scale
            moved = found - carried
            speed = (speed + moved) / 2 if is_known else moved
            is_known, blind, centre = True, 0, found
        else:
            blind += 1
            if blind > MAX_BLIND:
                break
            centre = expected
        steps.append(Step(_around(centre, half), float(best) if best >= alike else 0.0))
        if _is_outside(steps[-1].box, luma.shape):
            break
    return steps


def _around(centre: NDArray[np.float64], half: NDArray[np.float64]) -> Box:
    return (float(centre[0] - half[0]), float(centre[1] - half[1]),
            float(centre[0] + half[0]), float(centre[1] + half[1]))


def _cut(luma: NDArray[np.uint8], centre: NDArray[np.float64], half: NDArray[np.float64],
         scale: float) -> NDArray[np.uint8]:
    """A window of the picture, reduced by `scale`; what lies beyond the rim repeats it."""
    size = np.maximum(1, np.round(2 * half * scale)).astype(int)
    if scale == 1.0:
        return np.asarray(cv2.getRectSubPix(luma, (int(size[0]), int(size[1])),
                                            (float(centre[0] - 0.5), float(centre[1] - 0.5))), np.uint8)
    x1, y1 = np.floor(centre - half).astype(int)
    x2, y2 = np.ceil(centre + half).astype(int)
    rows, columns = luma.shape
    left, top = max(0, -x1), max(0, -y1)
    right, bottom = max(0, x2 - columns), max(0, y2 - rows)
    part: NDArray[Any] = luma[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)]
    if not part.size:
        return np.zeros((size[1], size[0]), np.uint8)
    if left or top or right or bottom:
        part = cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(part, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA), np.uint8)


def _is_outside(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether less than a third of the box is in the picture."""
    rows, columns = shape[:2]
    seen = max(0.0, min(box[2], columns) - max(box[0], 0)) * max(0.0, min(box[3], rows) - max(box[1], 0))
    return seen < (box[2] - box[0]) * (box[3] - box[1]) / 3
