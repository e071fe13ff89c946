"""A matcher's network with its gradient, for searchers who learn from it; the matchers that judge have none.

recogniser = load("mobilefacenet", weights)
templates = recogniser(chips)

The graph is translated by onnx2torch, and its preprocessing is that of the matcher's own TOML.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.errors import ChoiceUnknown
from evaluation.files import verified
from evaluation.matchers import HERE

if TYPE_CHECKING:
    import torch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

# Whose file has a licence that lets anybody use it, and that is small enough for minutes of one core
OPEN = "mobilefacenet"


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Called with (N, 3, 112, 112) RGB chips in [0, 1], gives (N, D) of unit length, differentiable."""

    name: str
    network: Any  # torch module
    mean: torch.Tensor  # (1, 3, 1, 1)
    std: torch.Tensor

    def __call__(self, chips: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.normalize(self.network((chips - self.mean) / self.std))


def load(name: str, weights: Path) -> Recogniser:
    """A matcher that is an ONNX file fed with RGB.

    Raises:
        FileMissing, FileMismatch: its file is not here, or is another one.
        ChoiceUnknown: it is no such matcher.
    """
    import onnx
    import onnx2torch
    import torch

    if not (HERE / f"{name}.toml").is_file():
        raise ChoiceUnknown(f"{name}: no matcher that is an ONNX file. It was not loaded.")
    fields = tomllib.loads((HERE / f"{name}.toml").read_text())
    if fields["channels"] != "RGB" or fields["size"] != 112:
        raise ChoiceUnknown(f"{name}: wants {fields['channels']} of {fields['size']} px. It was not loaded.")
    path = verified(weights / fields["file"], fields["sha256"])
    network = onnx2torch.convert(onnx.load_model_from_string(path.read_bytes())).eval().requires_grad_(False)
    mean, std = (torch.tensor(fields[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return Recogniser(name, network, mean, std)
