"""Control arms: files whose verdict is known before the judge sees them.

A no-op must equal clean exactly, a solid box must not be found or not be matched, and noise of the size of a
cloak shows how much of the cloak's effect any change of that size would have had. All write PNG: what
publishing does to them comes later, as it does to a cloak.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.faces import Pixels, decode

# Ellipse of the placebo: random signs of 8 and 12 levels inside it give the figures of design/baselines.md
# (tests).
ELLIPSE = 1.3


def no_op(source: Path, folder: Path) -> Path:
    """The same bytes under another path."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, folder / source.name))


def noise(source: Path, folder: Path, box: NDArray[np.float32], rms_levels: float, seed: int) -> Path:
    """Independent random signs times `rms_levels` (of 255) in each channel, inside an ellipse on the face.

    Args:
        box: (4,) face box; the ellipse is inscribed in this box enlarged 1.3x.
    """
    pixels = decode(source)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], pixels.shape)
    inside = ellipse(pixels.shape[:2], box)[..., None]
    return _write(np.clip(np.rint(pixels + rms_levels * signs * inside), 0, 255), source, folder)


def solid_box(source: Path, folder: Path, box: NDArray[np.float32]) -> Path:
    """Black over the face box enlarged 1.3x."""
    pixels = decode(source).copy()
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * 1.3
    left, top = np.maximum(centre - half, 0).astype(int)
    right, bottom = np.ceil(centre + half).astype(int)
    pixels[top:bottom, left:right] = 0
    return _write(pixels, source, folder)


def change_rms(original: Pixels, changed: Pixels, box: NDArray[np.float32]) -> float:
    """Root mean square change, in levels of 255, inside the ellipse of the placebo."""
    inside = ellipse(original.shape[:2], box)
    return float(np.sqrt(((original.astype(np.float64) - changed)[inside] ** 2).mean()))


def ellipse(size: tuple[int, ...], box: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(H, W), true inside the ellipse inscribed in the box enlarged 1.3x."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * ELLIPSE
    y, x = np.mgrid[: size[0], : size[1]]
    return np.asarray(((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 <= 1)


def _write(pixels: NDArray[np.float64] | Pixels, source: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{source.stem}.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path
