"""Face detectors. One file each: the file's name is its key.

A detector module has `load(device) -> Detector`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from cloak.errors import SettingsInvalid
from cloak.types import Faces, Pixels

if TYPE_CHECKING:  # video finds faces without it, and it takes seconds
    import torch


class Detector(Protocol):
    """Finds faces in upright pictures."""

    name: str

    def detect(self, pictures: Sequence[Pixels]) -> list[Faces]:
        """Faces of each picture (H, W, 3) u8 RGB, best first. Sizes may differ; no face is an empty Faces."""
        ...


def available() -> tuple[str, ...]:
    """Keys of all detectors: the names of the files in this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str, device: torch.device) -> Detector:
    """Load by key; weight files are identified by their sha256 first."""
    if name not in available():
        raise SettingsInvalid(f"no detector is called {name!r}; there is {', '.join(available())}")
    detector: Detector = importlib.import_module(f"{__name__}.{name}").load(device)
    return detector
