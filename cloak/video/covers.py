"""What stands in place of a face: a few numbers a plane, drawn out to the size of each frame's cover.

Nothing here is a function of the frame's own pixels under the cover. A mosaic has its few noisy colours from the first
frame in which the track is covered and keeps them; a ring has those of what lies around the cover in each frame, of
which everything covered is left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cloak.errors import SettingsInvalid
from cloak.masks import Patch
from cloak.obfuscators import mosaic
from cloak.video.palette import Palette, subsampling, window_rgb
from cloak.video.shapes import clipped
from cloak.video.types import Plane

# Standard deviation of the Gaussian over the cells of `blur`, in cells, as in cloak.obfuscators.blur
_SIGMA_CELLS = 0.55
# A ring reads what lies this share of the longer side of the cover around it, on a grid of so many cells
_RING_SHARE, _RING_CELLS = 0.125, 8
# Of its colours, how much each frame keeps of the last one's: what is beside a walking face changes quickly
_RING_HELD = 0.85
_PICTURE_PX = 512
_MAX_PICTURE_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class Texture:
    """Values of each plane on a small grid (R, C), and how they fill a cover."""

    planes: tuple[NDArray[np.float32], ...]
    how: Literal["cells", "soft", "smooth"]  # squares; squares made soft; between the cells' centres

    def fill(self, index: int, height: int, width: int) -> NDArray[np.float32]:
        """Plane `index` drawn out over a window (height, width)."""
        grid = self.planes[index]
        if self.how == "soft":
            return np.asarray(_shares(height, grid.shape[0]) @ grid @ _shares(width, grid.shape[1]).T, np.float32)
        method = cv2.INTER_NEAREST if self.how == "cells" else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(grid, (width, height), interpolation=method), np.float32)


def mosaic_of(palette: Palette, planes: tuple[Plane, ...], patch: Patch, how: Literal["cells", "soft"], *, key: str
              ) -> Texture | None:
    """The few colours of the head under a patch, noisy and quantised; None where the patch lies outside the frame.

    The noise hangs on the covered pixels themselves, which nobody has who has the output alone, and on `key`.
    """
    (rows, columns), mask = clipped(patch, planes[0].shape)
    if not mask.any():
        return None
    secret = hashlib.sha256(key.encode() + planes[0][rows, columns][mask].tobytes()).digest()
    cells = mosaic.reduce(window_rgb(palette, planes, rows, columns), mask, seed=int.from_bytes(secret[:8], "big"))
    codes = palette.codes(cells.colours)
    return Texture(tuple(np.ascontiguousarray(codes[..., i]) for i in range(len(planes))), how)


def ring_of(planes: tuple[Plane, ...], patch: Patch, covered: tuple[NDArray[np.bool_], ...], before: Texture | None
            ) -> Texture | None:
    """The colours around a patch, without any sample that is covered for any face (`covered`, one mask a plane).

    Args:
        before: of the same track in the last frame.
    Returns:
        `before` where everything around is covered, or outside the frame.
    """
    rows, columns = patch.mask.shape
    margin = int(np.ceil(_RING_SHARE * max(rows, columns))) + 1
    grids = []
    for plane, taken in zip(planes, covered, strict=True):
        across, down = subsampling(planes[0].shape, plane.shape)
        y1, x1 = (patch.top - margin) // down, (patch.left - margin) // across
        y2, x2 = -(-(patch.top + rows + margin) // down), -(-(patch.left + columns + margin) // across)
        there = np.s_[max(y1, 0) : max(min(y2, plane.shape[0]), 0), max(x1, 0) : max(min(x2, plane.shape[1]), 0)]
        here = np.s_[there[0].start - y1 : there[0].stop - y1, there[1].start - x1 : there[1].stop - x1]
        free = np.zeros((y2 - y1, x2 - x1), np.float32)
        values = np.zeros_like(free)
        if values[here].size:
            free[here] = ~taken[there]
            values[here] = plane[there]
        grid = _spread(values * free, free)
        if grid is None:
            return before
        # Of the window with its ring only the cover itself is drawn, so the margin is cut off on the grid's scale
        grids.append(_inner(grid, margin / (rows + 2 * margin), margin / (columns + 2 * margin)))
    if before is not None:
        grids = [_RING_HELD * old + (1 - _RING_HELD) * new for old, new in zip(before.planes, grids)]
    return Texture(tuple(grids), "smooth")


def read_picture(path: Path, palette: Palette, colour: tuple[int, int, int]) -> NDArray[np.float32]:
    """(h, w, 3) plane values of a picture, at most 512 pixels a side, laid on a colour: what is clear in it is opaque
    there, so that it never lets a face through.

    Raises:
        SettingsInvalid: it cannot be read as a picture.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MAX_PICTURE_PIXELS:
                raise SettingsInvalid(f"{path}: {image.width} x {image.height} pixels are too many for a cover. "
                                      "Nothing was written.")
            image.thumbnail((_PICTURE_PX, _PICTURE_PX))
            rgba = np.asarray(image.convert("RGBA"), np.float64)
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, SettingsInvalid):
            raise
        raise SettingsInvalid(f"{path}: no picture can be read from it ({error}). Nothing was written.") from error
    alpha = rgba[..., 3:] / 255
    return palette.codes(rgba[..., :3] * alpha + np.array(colour) * (1 - alpha))


def _spread(total: NDArray[np.float32], free: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """(G, G) means of what is free, and where nothing is, of what lies around by distance to the power of -3.

    Source: Shepard, ACM 1968, https://doi.org/10.1145/800186.810616, as in cloak.obfuscators.ring.
    """
    size = (_RING_CELLS, _RING_CELLS)
    share = np.asarray(cv2.resize(free, size, interpolation=cv2.INTER_AREA), np.float32)
    known = np.flatnonzero(share.ravel() > 0)
    if not len(known):
        return None
    sums = np.asarray(cv2.resize(total, size, interpolation=cv2.INTER_AREA), np.float32)
    means = sums.ravel()[known] / share.ravel()[known]
    y, x = np.mgrid[:_RING_CELLS, :_RING_CELLS].reshape(2, -1)
    weights = ((y[:, None] - y[known]) ** 2 + (x[:, None] - x[known]) ** 2 + 1.0) ** -1.5
    spread: NDArray[np.float32] = (weights @ means / weights.sum(1)).astype(np.float32).reshape(size)
    return spread


def _inner(grid: NDArray[np.float32], top: float, left: float) -> NDArray[np.float32]:
    """The same number of cells over the middle part, without these shares at each side."""
    y, x = ((share + (np.arange(_RING_CELLS) + 0.5) / _RING_CELLS * (1 - 2 * share)) * _RING_CELLS - 0.5
            for share in (top, left))
    at_x, at_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return np.asarray(cv2.remap(grid, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _shares(length: int, count: int) -> NDArray[np.float32]:
    """(length, count) share of each cell at each position; rows add up to 1."""
    distance = (np.arange(length) + 0.5)[:, None] / length * count - (np.arange(count) + 0.5)
    weights = np.exp(-0.5 * (distance / _SIGMA_CELLS) ** 2)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)
