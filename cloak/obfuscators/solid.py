"""One colour. What is covered is gone, whoever asks: the safest, and the default."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloak.types import Pixels


def obfuscate(
    pixels: Pixels, mask: NDArray[np.bool_], *, seed: int = 0, colour: tuple[int, int, int] = (0, 0, 0)
) -> Pixels:
    """See `Obfuscate`. `colour`: RGB, 0 to 255. Depends on no pixel under the mask, and not on the seed."""
    covered: Pixels = pixels.copy()
    covered[mask] = colour
    return covered
