"""Optimisers of a bounded change. One file each: the file's name is its key. They know nothing of faces.

An attack module has `perturb(loss, pixels, amplitude, *, radius, peak, steps, ...) -> delta`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable

from torch import Tensor

# (n, 3, H, W) pixels in [0, 1] and the (n,) rows of the batch that they are -> (n,), smaller is better protected
Loss = Callable[[Tensor, Tensor], Tensor]


def available() -> tuple[str, ...]:
    """Keys of all attacks: the names of the files in this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
