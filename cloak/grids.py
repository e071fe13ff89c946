"""The working square of one face: cut out of its photo, and its delta laid back onto it.

Every face works on a grid of the same size, whatever its size in the photo, so that faces of many photos share a
batch. A face that fits is worked on pixel by pixel; a larger one is shrunk, and its delta is enlarged again: such a
delta is low-frequency, which survives JPEG and resizing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cloak import masks
from cloak.geometry import Matrix
from cloak.types import Pixels

SIZE_PX = 224
# Side of the square as a multiple of the longer side of the detector's box: room for every recogniser's crop.
_ENLARGED = 1.7
# Half axes of the mask as multiples of the box's width and height.
_MASK_AXES = (0.75, 0.75)
_FEATHER = 0.35


@dataclass(frozen=True, slots=True)
class Square:
    """What a recogniser looks at: one face's square. `to_grid` maps points of the photo to points of the grid."""

    left: int  # of the square in the photo; may be negative or reach over the far edge
    top: int
    side_px: int  # of the square in the photo, >= SIZE_PX
    pixels: Pixels  # (SIZE_PX, SIZE_PX, 3), black outside the photo

    @property
    def scale(self) -> float:
        """Grid pixels per photo pixel, at most 1."""
        return SIZE_PX / self.side_px

    @property
    def to_grid(self) -> Matrix:
        """(2, 3) from photo points to grid points."""
        s = self.scale
        return np.array([[s, 0, (0.5 - self.left) * s - 0.5], [0, s, (0.5 - self.top) * s - 0.5]])


@dataclass(frozen=True, slots=True)
class Grid(Square):
    """A square that is worked on."""

    amplitude: NDArray[np.float32]  # (SIZE_PX, SIZE_PX) >= 0, how much each pixel may change; 0 off the mask


def look(photo: Pixels, box: NDArray[np.floating]) -> Square:
    """The square of the face in `box` (x1 y1 x2 y2, half-open); the box may leave the photo."""
    (x, y), width, height = _centre_and_size(box)
    side = max(SIZE_PX, math.ceil(_ENLARGED * max(width, height)))
    left, top = (round(c - (side - 1) / 2) for c in (x, y))
    pixels = np.zeros((side, side, 3), np.uint8)
    there, here = _overlap(photo.shape, left, top, side)
    pixels[here] = photo[there]
    if side > SIZE_PX:
        pixels = np.asarray(cv2.resize(pixels, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA), np.uint8)
    return Square(left, top, side, pixels)


def cut(photo: Pixels, box: NDArray[np.floating]) -> Grid:
    """The square of `look` with what may change in it. Half of the work is the mask: to look, `look` is enough."""
    square = look(photo, box)
    (x, y), width, height = _centre_and_size(box)
    inside = np.zeros((square.side_px, square.side_px), np.float32)
    inside[_overlap(photo.shape, square.left, square.top, square.side_px)[1]] = 1
    if square.side_px > SIZE_PX:
        inside = np.asarray(cv2.resize(inside, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA), np.float32)
    scale = square.scale
    mask = masks.feathered_ellipse(
        SIZE_PX,
        ((x - square.left + 0.5) * scale - 0.5, (y - square.top + 0.5) * scale - 0.5),
        (_MASK_AXES[0] * width * scale, _MASK_AXES[1] * height * scale),
        feather=_FEATHER,
    )
    mask *= inside > 0.999
    return Grid(square.left, square.top, square.side_px, square.pixels, mask * masks.texture(square.pixels))


def lay(delta: NDArray[np.float32], grid: Grid, onto: NDArray[np.float32]) -> None:
    """Add a grid's delta (SIZE_PX, SIZE_PX, 3), in levels of 255, to the photo-sized `onto` (H, W, 3), in place.

    Exactly 0 where the mask is 0 at photo size, and nowhere more than the largest value of the delta.
    """
    if grid.side_px > SIZE_PX:
        size = (grid.side_px, grid.side_px)
        # The cubic filter overshoots, the mask by two grid pixels and the peak by up to two thirds: cut off again
        peak = float(np.abs(delta).max())
        enlarged = np.asarray(cv2.resize(delta, size, interpolation=cv2.INTER_CUBIC), np.float32)
        is_inside = cv2.resize(grid.amplitude, size, interpolation=cv2.INTER_LINEAR) > 0
        delta = np.clip(enlarged, -peak, peak) * is_inside[..., None]
    there, here = _overlap(onto.shape, grid.left, grid.top, grid.side_px)
    onto[there] += delta[here]


def windows(squares: Sequence[Square], shape: tuple[int, ...]) -> list[tuple[tuple[slice, slice], list[int]]]:
    """Parts of a picture (rows, columns) that cover all squares without overlapping, each with its squares' indices.

    So that the changes to a large photo can be added up part by part: a float for each value of 100 megapixels would
    take 1.2 GB.
    """
    parts: list[tuple[list[int], list[int]]] = []  # [top, bottom, left, right], members
    for index, square in enumerate(squares):
        rows, columns = _overlap(shape, square.left, square.top, square.side_px)[0]
        edges, members = [rows.start, rows.stop, columns.start, columns.stop], [index]
        # What touches is united, which makes it larger, so that it may touch another one
        while touching := [part for part in parts if _touch(part[0], edges)]:
            for part in touching:
                parts.remove(part)
                edges = [min(edges[0], part[0][0]), max(edges[1], part[0][1]),
                         min(edges[2], part[0][2]), max(edges[3], part[0][3])]
                members += part[1]
        parts.append((edges, members))
    return [((slice(top, bottom), slice(left, right)), sorted(members))
            for (top, bottom, left, right), members in parts]


def _touch(a: list[int], b: list[int]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def _centre_and_size(box: NDArray[np.floating]) -> tuple[tuple[float, float], float, float]:
    """Centre (x, y) as a pixel position, width and height of a half-open box."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return ((x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2), x2 - x1, y2 - y1


def _overlap(shape: tuple[int, ...], left: int, top: int, side: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns shared by a picture and a square: in the picture, and in the square."""
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = max(min(left + side, shape[1]), x1), max(min(top + side, shape[0]), y1)
    return (slice(y1, y2), slice(x1, x2)), (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
