"""What happens to a file on its way to the reader: path in, path out.

A step is named by a word and a number: "jpeg90" (4:2:0), "jpeg90-444", "half" (half the size and back),
"blur1" (Gaussian, sigma in px), "none". Steps other than JPEG write PNG, so that they measure one thing only.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from evaluation.faces import Pixels, decode

JPEG = re.compile(r"jpeg(\d{1,3})(-444)?")
BLUR = re.compile(r"blur(\d+(?:\.\d+)?)")


def publish(source: Path, folder: Path, step: str) -> Path:
    """Write `source` after one step into `folder`, under the name of the source, and return the new path."""
    if step == "none":
        return source
    pixels = decode(source)
    folder.mkdir(parents=True, exist_ok=True)
    if jpeg := JPEG.fullmatch(step):
        path = folder / f"{source.stem}.jpg"
        subsampling = "4:4:4" if jpeg[2] else "4:2:0"
        Image.fromarray(pixels).save(path, "JPEG", quality=int(jpeg[1]), subsampling=subsampling)
        return path
    path = folder / f"{source.stem}.png"
    Image.fromarray(_filtered(pixels, step)).save(path, "PNG")
    return path


def _filtered(pixels: Pixels, step: str) -> Pixels:
    height, width = pixels.shape[:2]
    if step == "half":
        half = Image.fromarray(pixels).resize((width // 2, height // 2), Image.Resampling.LANCZOS)
        return np.asarray(half.resize((width, height), Image.Resampling.BICUBIC))
    if blur := BLUR.fullmatch(step):
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(blur[1])), np.uint8)
    raise ValueError(f"no publishing step is called {step!r}; there are none, jpegQ, jpegQ-444, half, blurS.")
