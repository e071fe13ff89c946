"""Ways to cover a head so that nobody, people included, recognises it. One file each: the file's name is its key.

An obfuscator module has `obfuscate(pixels, mask, *, seed) -> Pixels`.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cloak.errors import SettingsInvalid
from cloak.masks import Patch
from cloak.types import Pixels

# What `ring` needs to see around a head, as a share of the longer side of its window
CONTEXT = 0.125


class Obfuscate(Protocol):
    """Covers one head."""

    def __call__(self, pixels: Pixels, mask: NDArray[np.bool_], *, seed: int) -> Pixels:
        """A copy of `pixels` (H, W, 3) with the area `mask` (H, W) covered and every other byte as it was.

        The same for the same arguments; grey (R = G = B) stays grey. An empty mask covers nothing. `mask` should be
        one whole head: sizes are relative to its extent.
        """
        ...


def available() -> tuple[str, ...]:
    """Keys of all obfuscators: the names of the files in this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> Obfuscate:
    """Load by key."""
    if name not in available():
        raise SettingsInvalid(f"no way to cover a face is called {name!r}; there is {', '.join(available())}")
    obfuscate: Obfuscate = importlib.import_module(f"{__name__}.{name}").obfuscate
    return obfuscate


def cover(pixels: Pixels, patch: Patch, style: str, *, seed: int) -> None:
    """Cover one head of a photo or frame (H, W, 3), in place: only the window of `patch` is worked on.

    A head that the edge of the picture cuts is covered as coarsely as if all of it were there. Give each head its own
    `seed`, and keep it out of reports: whoever knows it can take the noise of a mosaic away again.

    Raises:
        SettingsInvalid: there is no such style. Nothing was changed.
    """
    obfuscate = load(style)
    height, width = pixels.shape[:2]
    rows, columns = patch.mask.shape
    x1, y1, x2, y2 = patch.left, patch.top, patch.left + columns, patch.top + rows
    if max(x1, 0) >= min(x2, width) or max(y1, 0) >= min(y2, height):
        return
    context = math.ceil(CONTEXT * max(rows, columns)) + 1
    # Context within the picture, and beyond its edges only what the window itself reaches
    left, top = min(x1, max(x1 - context, 0)), min(y1, max(y1 - context, 0))
    right, bottom = max(x2, min(x2 + context, width)), max(y2, min(y2 + context, height))
    x, y = np.clip(np.arange(left, right), 0, width - 1), np.clip(np.arange(top, bottom), 0, height - 1)
    mask = np.zeros((bottom - top, right - left), np.bool_)
    mask[y1 - top : y2 - top, x1 - left : x2 - left] = patch.mask
    there = np.s_[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    here = np.s_[there[0].start - top : there[0].stop - top, there[1].start - left : there[1].stop - left]
    # Beyond the edge stands the nearest pixel of the picture. Where that one is covered it must not pass for what
    # lies around the head, so it is covered too
    mask |= mask[np.ix_(y - top, x - left)]
    pixels[there] = obfuscate(pixels[np.ix_(y, x)], mask, seed=seed)[here]
