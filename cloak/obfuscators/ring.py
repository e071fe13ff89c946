"""A soft gradient of the colours around the head, which calls less for attention than black. It holds nothing of the
face, and looks as if nobody had been there only from afar: that is meant.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cloak.obfuscators import CONTEXT, solid
from cloak.types import Pixels

# The gradient is worked out on a grid of so many cells across the head and its ring
_GRID = 24


def obfuscate(pixels: Pixels, mask: NDArray[np.bool_], *, seed: int = 0) -> Pixels:
    """See `Obfuscate`. Depends on no pixel under the mask, and not on the seed. Nothing around: `solid`.

    Each point is the mean of the ring weighted by distance to the power of -3. Source: Shepard, ACM 1968,
    https://doi.org/10.1145/800186.810616.
    """
    if not mask.any() or mask.all():
        return solid.obfuscate(pixels, mask, seed=seed)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    reach = CONTEXT * max(bottom - top, right - left) + 1
    margin = int(np.ceil(reach))
    window = np.s_[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]
    covered: Pixels = pixels.copy()
    inside = mask[window]
    distance = cv2.distanceTransform(inside.astype(np.uint8) ^ 1, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ring = ~inside & (distance <= reach)
    height, width = inside.shape
    cell = max(height, width, _GRID) / _GRID
    size = (max(round(width / cell), 1), max(round(height / cell), 1))
    share = _mean(ring.astype(np.float32), size)
    y, x = np.mgrid[: size[1], : size[0]].reshape(2, -1)
    known = np.flatnonzero(share.ravel() > 0)
    squared = (y[:, None] - y[known]) ** 2 + (x[:, None] - x[known]) ** 2
    weights = share.ravel()[known] * (squared + 1.0) ** -1.5
    weights /= weights.sum(1, keepdims=True)
    for channel in range(3):  # each by itself, so that grey is summed in the same order and stays grey
        seen = np.where(ring, pixels[window][..., channel], 0).astype(np.float32)
        colours = _mean(seen, size).ravel()[known] / share.ravel()[known]
        coarse = np.asarray(weights @ colours, np.float32).reshape(size[::-1])
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        covered[window][..., channel][inside] = np.rint(smooth).clip(0, 255)[inside]
    return covered


def _mean(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Averages over the cells of a grid of `size` (columns, rows)."""
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
