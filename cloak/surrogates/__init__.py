"""Recognisers that the optimiser looks through. One reader a file: the file's name is its key.

A reader has `load(path, device) -> Surrogate`. The bundled recognisers are read by the file of their own name, those a
user installed by the one that their `loads_as` names. `onnx` reads any network, so it is told what to feed it:
`load(path, device, recipe)`.
"""

from __future__ import annotations

import dataclasses
import importlib
import pickle
import pkgutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cloak import crops, store, weights
from cloak.crops import Crop
from cloak.errors import SettingsInvalid, WeightsCorrupt
from cloak.geometry import Matrix
from cloak.store import Recipe

_TOLD_WHAT_TO_FEED = "onnx"


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A differentiable recogniser with its own alignment; mean and scale live inside `network`."""

    name: str
    network: nn.Module
    size_px: int
    template: NDArray[np.float64]  # (5, 2) where eyes, nose tip and mouth corners lie in a chip
    stretch: float = 1.0  # how much wider a chip shows a face than it is

    def embed(self, chips: Tensor) -> Tensor:
        """Chips (N, 3, size_px, size_px) RGB in [0, 1] to unit embeddings (N, D)."""
        return F.normalize(self.network(chips), dim=1)

    def to_chip(self, landmarks: NDArray[np.floating]) -> Matrix:
        """(2, 3) from a picture in which a face has these landmarks (5, 2) to the chip."""
        return Crop(self.size_px, self.template, self.stretch).matrix(landmarks)


class Prepared(nn.Module):
    """A network behind its preprocessing: chips (N, 3, S, S) RGB in [0, 1] in, embeddings (N, D) out."""

    mean: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self._recipe = recipe
        self.register_buffer("mean", torch.tensor(recipe.mean).view(1, 3, 1, 1) / 255)
        self.register_buffer("scale", torch.tensor(recipe.scale).view(1, 3, 1, 1) / 255)

    def feed(self, chips: Tensor) -> Tensor:
        """What the network itself is given for these chips."""
        channels = chips.flip(1) if self._recipe.channels == "bgr" else chips
        ready = (channels - self.mean) / self.scale
        return ready.permute(0, 2, 3, 1) if self._recipe.layout == "nhwc" else ready

    def forward(self, chips: Tensor) -> Tensor:
        out: Tensor = self.network(self.feed(chips))
        return out.flatten(1)


def readers() -> tuple[str, ...]:
    """Keys of all readers: the names of the files in this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def bundled() -> tuple[str, ...]:
    """The recognisers that come along with facecloak."""
    return tuple(name for name in readers() if name in (known := weights.registry()) and known[name].is_bundled)


def available() -> tuple[str, ...]:
    """Every recogniser on this machine that can be loaded: the bundled ones, then the installed ones by name."""
    known = readers()
    return (*bundled(), *(model.name for model in store.installed() if model.loads_as in known))


def load(name: str, device: torch.device) -> Surrogate:
    """Load by name; the weight file is identified by its sha256 first.

    Raises:
        SettingsInvalid: there is no recogniser of that name, or its file is none.
        WeightsMissing, WeightsCorrupt: the file is gone, or not the one that was vouched for.
    """
    if name not in available():
        raise SettingsInvalid(f"no recogniser is called {name!r}; there is {', '.join(available())}")
    if name in bundled():
        return read(name, weights.locate(name), device)
    model = store.describe(name)
    return dataclasses.replace(read(model.loads_as, weights.locate(name), device, model.recipe), name=name)


def read(reader: str, path: Path, device: torch.device, recipe: Recipe | None = None) -> Surrogate:
    """The recogniser in a file that was verified before. `recipe` is needed where the reader has none of its own."""
    if reader not in readers():
        raise SettingsInvalid(f"{path}: nothing here reads {reader!r}; there is {', '.join(readers())}. "
                              "The file was not loaded.")
    module = importlib.import_module(f"{__name__}.{reader}")
    if reader != _TOLD_WHAT_TO_FEED:
        own: Surrogate = module.load(path, device)
        return own
    if recipe is None:
        raise SettingsInvalid(f"{path}: it is not said what this network wants to be fed. Install it again with "
                              "--crop, --mean, --scale and --channels; it was not loaded.")
    told: Surrogate = module.load(path, device, recipe)
    return told


def prepared(network: nn.Module, recipe: Recipe, device: torch.device, name: str) -> Surrogate:
    """A bare network as a surrogate: preprocessing in front, alignment beside, nothing left to train."""
    crop = crops.crop(recipe.crop, recipe.size_px)
    whole = Prepared(network, recipe).to(device).float().eval().requires_grad_(False)
    return Surrogate(name, whole, crop.size_px, crop.template, crop.stretch)


def state_dict(path: Path) -> dict[str, Tensor]:
    """The named tensors of a PyTorch file, read without running what it says.

    Raises:
        WeightsCorrupt: it is no such file, or holds a value that is not finite.
    """
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError,
            OSError) as error:
        raise WeightsCorrupt(f"{path}: no PyTorch file of plain tensors ({str(error).splitlines()[0][:200]}). "
                             "The file was not loaded.") from error
    if not isinstance(values, dict) or not values or not all(isinstance(v, Tensor) for v in values.values()):
        raise WeightsCorrupt(f"{path}: holds a {type(values).__name__}, expected tensors by name. "
                             "The file was not loaded.")
    broken = [name for name, value in values.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise WeightsCorrupt(f"{path}: {broken[0]} holds a value that is not finite. The file was not loaded.")
    return values
