"""How the camera moved from frame to frame, so that people's own ways can be told from the shaking of a hand.

Who walks goes straight on for a while; a camera that is held does not. Places extrapolated over 10 frames of a
generated clip with a shaking camera are off by .50 of a face's height with its motion taken out, else by .88 (median).
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from cloak.video.types import Box

# Row by row the 2 x 3 matrix that takes a place in one frame to where what stands there is in the next one
Move: TypeAlias = tuple[float, float, float, float, float, float]
STILL: Move = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

# The motion of a whole picture shows in a small one
_SIDE_PX = 400
_CORNERS, _QUALITY, _APART_PX = 150, 0.01, 8
_WINDOW_PX, _LEVELS = 15, 3
# Most people of a crowd move otherwise than the camera; the largest number of corners that agree is believed
_AGREE_PX, _FEWEST = 1.0, 12
# Corners that agree must lie in so many of 4 x 4 parts of the picture: before a plain wall all of them are one person's
_PARTS = 6
# No camera zooms or turns more than so much from one frame to the next
_MOST_ZOOM, _MOST_TURN = 0.12, 0.12
_MOST_KEPT = 50_000


def small(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) -> the reduced picture that `motion` compares."""
    reduction = math.ceil(max(luma.shape) / _SIDE_PX)  # a whole number is much faster
    size = tuple(max(16, round(side / reduction)) for side in luma.shape[::-1])
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def motion(before: NDArray[np.uint8], after: NDArray[np.uint8], width: int) -> Move:
    """From one small picture to the next, in pixels of the `width` wide original; still where nothing agrees.

    Corners followed by optical flow, and the turn, zoom and shift that most of them share: Bouguet's pyramidal
    Lucas-Kanade and RANSAC, as OpenCV has them.
    """
    corners = cv2.goodFeaturesToTrack(before, _CORNERS, _QUALITY, _APART_PX)
    if corners is None or len(corners) < _FEWEST:
        return STILL
    follow: Any = cv2.calcOpticalFlowPyrLK  # its stub asks for an array where None is right
    found, is_found, _ = follow(before, after, corners, None, winSize=(_WINDOW_PX, _WINDOW_PX), maxLevel=_LEVELS)
    known = is_found.ravel() == 1
    if known.sum() < _FEWEST:
        return STILL
    matrix, agree = cv2.estimateAffinePartial2D(corners[known], found[known], ransacReprojThreshold=_AGREE_PX,
                                                maxIters=300)
    if matrix is None or agree.sum() < _FEWEST or not np.isfinite(matrix).all():
        return STILL
    places = corners[known][agree.ravel() == 1].reshape(-1, 2) * 4 / before.shape[::-1]
    if len(np.unique(places.astype(int) @ (1, 4))) < _PARTS:
        return STILL
    zoom, turn = math.hypot(matrix[0, 0], matrix[1, 0]), math.atan2(matrix[1, 0], matrix[0, 0])
    if abs(zoom - 1) > _MOST_ZOOM or abs(turn) > _MOST_TURN:
        return STILL
    scale = width / before.shape[1]
    (a, b, x), (c, d, y) = matrix.tolist()
    return (round(a, 5), round(b, 5), round(x * scale, 2), round(c, 5), round(d, 5), round(y * scale, 2))


class Camera:
    """The motion into each frame, and places carried from any frame to another near it."""

    def __init__(self) -> None:
        self._moves: dict[int, Move] = {}
        self._kept: dict[tuple[int, int], NDArray[np.float64]] = {}

    def add(self, frame: int, move: Move) -> None:
        """How the frame before moved into this one."""
        self._moves[frame] = move

    def forget(self, before: int) -> None:
        """What lies before a frame will not be asked for any more."""
        for frame in [frame for frame in self._moves if frame < before]:
            del self._moves[frame]
        self._kept.clear()

    def steps(self, frames: range) -> tuple[Move, ...]:
        """The motions into these frames."""
        return tuple(self._moves.get(frame, STILL) for frame in frames)

    def between(self, start: int, end: int) -> NDArray[np.float64]:
        """(2, 3): takes places in frame `start` to where they are in frame `end`, which may come before."""
        return self._whole(start, end)[:2]

    def centre(self, box: Box, start: int, end: int) -> NDArray[np.float64]:
        """(2,): where the middle of a box of frame `start` is in frame `end`, had it stood still."""
        matrix = self._whole(start, end)
        middle: NDArray[np.float64] = matrix[:2, :2] @ ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) + matrix[:2, 2]
        return middle

    def _whole(self, start: int, end: int) -> NDArray[np.float64]:
        if start == end:
            return np.eye(3)
        if (known := self._kept.get((start, end))) is not None:
            return known
        if start > end:
            found = np.asarray(np.linalg.inv(self._whole(end, start)), np.float64)
        else:
            step = np.array([*self._moves.get(end, STILL), 0, 0, 1], np.float64).reshape(3, 3)
            found = step @ self._whole(start, end - 1)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[start, end] = found
        return found
