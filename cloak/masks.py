"""Where a treatment may act: float masks in [0, 1] on a face's grid."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cloak.types import Pixels


def feathered_ellipse(
    size_px: int, centre: tuple[float, float], axes: tuple[float, float], *, angle_rad: float = 0.0, feather: float
) -> NDArray[np.float32]:
    """1 inside an ellipse, 0 outside, a raised cosine between.

    Args:
        centre: (x, y) of the ellipse on a (size_px, size_px) grid.
        axes: half width and half height in pixels, to where the mask reaches 0.
        feather: share of the half axes over which it falls from 1 to 0, in (0, 1].
    """
    y, x = np.mgrid[:size_px, :size_px].astype(np.float32)
    dx, dy = x - centre[0], y - centre[1]
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    radius = np.hypot((dx * cos + dy * sin) / axes[0], (dy * cos - dx * sin) / axes[1])
    ramp = np.clip((1.0 - radius) / feather, 0.0, 1.0)
    mask: NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.pi * ramp)).astype(np.float32)
    return mask


# Standard deviation of luma in a window, on the [0, 1] scale: what counts as smooth, and what a face in a press photo
# has on average (61 portraits of people used for nothing else)
_SMOOTH, _USUAL = 0.02, 0.065
_WINDOW_PX = 7
_TEXTURE_RANGE = (0.25, 1.3)


def texture(pixels: Pixels) -> NDArray[np.float32]:
    """How much change each pixel of (S, S, 3) hides, compared with a usual face: (S, S) in [0.25, 1.3].

    Grows with the local contrast: contrast masking, Legge and Foley, JOSA 70(12), 1980. Not relative to the face
    itself, so that smooth skin gets a smaller change as a whole. Capped, so that the strong edges of eyes and teeth
    do not collect all of it.
    """
    luma = pixels.mean(2, dtype=np.float32) / 255
    window = (_WINDOW_PX, _WINDOW_PX)
    mean, square = (cv2.blur(x, window, borderType=cv2.BORDER_REFLECT) for x in (luma, luma * luma))
    contrast = np.sqrt(np.maximum(square - mean * mean, 0)) + _SMOOTH
    return np.asarray(np.clip(contrast / _USUAL, *_TEXTURE_RANGE), np.float32)
