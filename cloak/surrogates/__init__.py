"""Recognisers that the optimiser looks through. One file each: the file's name is its key.

A surrogate module has `load(path, device) -> Surrogate`; `weights.toml` has an entry of the same name.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cloak import weights
from cloak.errors import SettingsInvalid


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A differentiable recogniser with its own alignment; mean and scale live inside `network`."""

    name: str
    network: nn.Module
    size_px: int
    template: NDArray[np.float64]  # (5, 2) where eyes, nose tip and mouth corners lie in a chip

    def embed(self, chips: Tensor) -> Tensor:
        """Chips (N, 3, size_px, size_px) RGB in [0, 1] to unit embeddings (N, D)."""
        return F.normalize(self.network(chips), dim=1)


def available() -> tuple[str, ...]:
    """Keys of all surrogates: the names of the files in this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str, device: torch.device) -> Surrogate:
    """Load by key; the weight file is identified by its sha256 first."""
    if name not in available():
        raise SettingsInvalid(f"no recogniser is called {name!r}; there is {', '.join(available())}")
    module = importlib.import_module(f"{__name__}.{name}")
    surrogate: Surrogate = module.load(weights.locate(name), device)
    return surrogate
