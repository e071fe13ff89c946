"""Colour profiles, and what becomes of colours and depths that the cloak does not work on."""

from __future__ import annotations

import functools
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from cloak.icc import colours_only
from cloak.types import Pixels

# Rows worked on at once: few enough that a wide photo takes little memory beside itself.
_BAND = 256


def valid_profile(profile: bytes | None, space: bytes) -> bytes | None:
    """The profile without trailing bytes, or None where no viewer could use it (ICC.1:2022, 7.2).

    Args:
        space: of the pixels, as the profile has to name it: b"RGB ", b"GRAY" or b"CMYK".
    """
    if not profile or len(profile) < 132 or profile[36:40] != b"acsp":
        return None
    size = int.from_bytes(profile[:4], "big")
    if not 132 <= size <= len(profile) or profile[16:20] != space:
        return None
    return profile[:size]


@functools.cache
def srgb_profile() -> bytes:
    """The sRGB profile of Little CMS, without the date that it puts in: the hour of the work is nobody's business."""
    profile = colours_only(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert profile is not None
    return profile


def from_cmyk(inks: Pixels, profile: bytes | None) -> tuple[Pixels, str]:
    """(RGB in sRGB, a note on how they were made).

    Args:
        inks: (H, W, 4), 255 is full ink.
        profile: of the file; without a usable one the colours can only be guessed.
    """
    usable = valid_profile(profile, b"CMYK")
    transform = None
    if usable is not None:
        try:
            # Little CMS reads relative colorimetric with black point compensation as Photoshop's default does.
            transform = ImageCms.buildTransform(
                _opened(usable), _opened(srgb_profile()), "CMYK", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC,
                ImageCms.Flags.BLACKPOINTCOMPENSATION)
        except (ImageCms.PyCMSError, OSError):
            transform = None
    made = np.empty((*inks.shape[:2], 3), np.uint8)
    for top in range(0, len(inks), _BAND):
        band = np.ascontiguousarray(inks[top : top + _BAND])
        image = Image.frombuffer("CMYK", (band.shape[1], band.shape[0]), band, "raw", "CMYK", 0, 1)
        turned = image.convert("RGB") if transform is None else ImageCms.applyTransform(image, transform)
        assert turned is not None  # only in place there is no result
        made[top : top + _BAND] = np.asarray(turned)
    how = "by its colour profile" if transform is not None else "without a usable profile, so colours are approximate"
    return made, f"CMYK became sRGB {how}"


def to_eight_bits(values: NDArray[np.uint16], *, top: int) -> Pixels:
    """Values from 0 to `top` to 0..255, each to the nearest."""
    made = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _BAND):
        band = values[start : start + _BAND].astype(np.uint32)
        made[start : start + _BAND] = np.minimum((band * 255 + top // 2) // top, 255)
    return made


def joined(high: Pixels, low: Pixels) -> NDArray[np.uint16]:
    """The 16-bit values of their two bytes."""
    values = high.astype(np.uint16)
    values <<= 8
    values |= low
    return values


def three_channels(grey: Pixels) -> Pixels:
    """(H, W) to (H, W, 3), all the same."""
    made = np.empty((*grey.shape, 3), np.uint8)
    made[...] = grey[..., None]
    return made


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))
