"""RGB colours as the numbers that a clip's planes hold, and back: its matrix, range and depth.

Source: ITU-T H.273, 8.3 (Kr and Kb of each matrix, limited and full range).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloak.video.types import Clip, Plane

_KR_KB = {
    "bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt470bg": (0.299, 0.114), "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087), "bt2020nc": (0.2627, 0.0593), "bt2020c": (0.2627, 0.0593),
}
# Of these curves the top is far brighter than paper: where diffuse white lies, ITU-R BT.2408, 2.1
_WHITE = {"smpte2084": 0.58, "arib-std-b67": 0.75}


@dataclass(frozen=True, slots=True)
class Palette:
    """How a clip's planes say colours."""

    depth: int
    is_full: bool
    kr: float
    kb: float
    white: float = 1.0  # what RGB 255 is on the clip's scale

    @classmethod
    def of(cls, clip: Clip) -> Palette:
        """The palette of a clip, by what its stream says and what players assume."""
        colour = clip.colour
        # RGB becomes BT.709 of limited range when it is decoded, and players take that for granted of large pictures
        is_rgb = clip.pixel_format.startswith(("gbr", "rgb", "bgr", "0rgb", "0bgr", "argb", "abgr", "pal8"))
        is_large = max(clip.size) >= 1280 or min(clip.size) >= 720
        matrix = "bt709" if is_rgb or (colour.matrix is None and is_large) else colour.matrix
        kr, kb = _KR_KB.get(matrix or "", _KR_KB["smpte170m"])
        is_full = not is_rgb and (colour.range in ("pc", "jpeg", "full") or clip.pixel_format.startswith("yuvj"))
        return cls(clip.depth, is_full, kr, kb, _WHITE.get(colour.transfer or "", 1.0))

    def codes(self, rgb: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., 3) plane values, not rounded, of (..., 3) RGB from 0 to 255."""
        r, g, b = np.moveaxis(np.asarray(rgb, np.float64) / 255 * self.white, -1, 0)
        top, scale = (1 << self.depth) - 1, float(1 << (self.depth - 8))
        y = self.kr * r + (1 - self.kr - self.kb) * g + self.kb * b
        u, v = (b - y) / (2 * (1 - self.kb)), (r - y) / (2 * (1 - self.kr))
        middle = 128 * scale
        if self.is_full:
            planes = [y * top, u * top + middle, v * top + middle]
        else:
            planes = [(16 + 219 * y) * scale, u * 224 * scale + middle, v * 224 * scale + middle]
        return np.asarray(np.stack(planes, -1).clip(0, top), np.float32)

    def rgb(self, codes: NDArray[np.floating]) -> NDArray[np.uint8]:
        """(..., 3) RGB from 0 to 255 of (..., 3) plane values: the inverse of `codes`, rounded and clipped."""
        first, second, third = np.moveaxis(np.asarray(codes, np.float64), -1, 0)
        top, scale = (1 << self.depth) - 1, float(1 << (self.depth - 8))
        middle = 128 * scale
        if self.is_full:
            y, u, v = first / top, (second - middle) / top, (third - middle) / top
        else:
            y, u, v = (first / scale - 16) / 219, (second - middle) / scale / 224, (third - middle) / scale / 224
        r, b = y + 2 * (1 - self.kr) * v, y + 2 * (1 - self.kb) * u
        rgb = np.stack([r, (y - self.kr * r - self.kb * b) / (1 - self.kr - self.kb), b], -1)
        return np.asarray(np.rint(rgb / self.white * 255).clip(0, 255), np.uint8)

    def solid(self, colour: tuple[int, int, int]) -> tuple[int, int, int]:
        """The value of each plane for one RGB colour."""
        y, u, v = np.rint(self.codes(np.array(colour, np.float64))).astype(int).tolist()
        return y, u, v


def subsampling(luma: tuple[int, ...], plane: tuple[int, ...]) -> tuple[int, int]:
    """How many pixels across and down one sample of a plane stands for, by the shapes of luma and plane."""
    across, down = (next((n for n in (1, 2, 4) if -(-whole // n) == part), 0)
                    for whole, part in ((luma[1], plane[1]), (luma[0], plane[0])))
    if not across or not down:
        raise ValueError(f"a plane of {plane} does not belong to luma of {luma}. Nothing was painted")
    return across, down


def window_rgb(palette: Palette, planes: tuple[Plane, ...], rows: slice, columns: slice) -> NDArray[np.uint8]:
    """(h, w, 3) RGB of part of a frame, each chroma sample held over its pixels."""
    luma = planes[0][rows, columns]
    values = [luma]
    for plane in planes[1:]:
        across, down = subsampling(planes[0].shape, plane.shape)
        y, x = np.arange(rows.start, rows.stop) // down, np.arange(columns.start, columns.stop) // across
        values.append(plane[np.ix_(y, x)])
    if len(values) == 1:  # luma alone
        values += [np.full_like(luma, 1 << (palette.depth - 1))] * 2
    return palette.rgb(np.stack(values, -1))
