"""HDR levels -> those of a common screen, for whoever looks at pictures. What is written is never changed by it."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Tones = NDArray[np.uint8]  # (256,): from a level of R, G or B as stored to one of sRGB

# In cd/m2: what white paper is in HDR pictures (ITU-R BT.2408), and what still shows as lighter than that
_PAPER, _BRIGHTEST = 203.0, 1000.0


def tones_of(transfer: str | None) -> Tones | None:
    """None where levels can be looked at as they are.

    PQ spends half of its levels on light that screens do not have, so that faces look flat and dark. HLG does not: it
    was made to be looked at as it is.

    Args:
        transfer: of the clip, as ffmpeg spells it.
    """
    return _of_pq() if transfer == "smpte2084" else None


def shown(pixels: NDArray[np.uint8], tones: Tones | None) -> NDArray[np.uint8]:
    """RGB, (H, W, 3), as a common screen shows it."""
    return pixels if tones is None else np.asarray(cv2.LUT(pixels, tones), np.uint8)


@cache
def _of_pq() -> Tones:
    """SMPTE ST 2084, then Reinhard's curve for light brighter than paper (SIGGRAPH 2002, eq. 4), then sRGB."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = (np.arange(256) / 255) ** (1 / m2)
    light = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) / _PAPER
    light = np.clip(light * (1 + light / (_BRIGHTEST / _PAPER) ** 2) / (1 + light), 0, 1)
    level = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(255 * level), np.uint8)
