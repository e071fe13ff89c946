"""The networks of one run: a detector and the recognisers, on one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cloak import detectors, geometry, grids, surrogates
from cloak.detectors import Detector
from cloak.errors import SettingsInvalid
from cloak.geometry import Matrix
from cloak.grids import Square
from cloak.settings import Settings
from cloak.surrogates import Surrogate
from cloak.types import Faces, Pixels


@dataclass(frozen=True, slots=True)
class Networks:
    """What a run looks through. The device is resolved here, once."""

    device: torch.device
    detector: Detector
    surrogates: tuple[Surrogate, ...]

    def find(self, pictures: Sequence[Pixels]) -> list[Faces]:
        """Faces of each picture, numbered left to right."""
        found = self.detector.detect(pictures)
        return [faces.take(np.argsort(faces.boxes[:, 0], kind="stable")) for faces in found]

    def embed(self, surrogate: Surrogate, pixels: Pixels, faces: Faces) -> Tensor:
        """Unit embeddings (N, D) of the faces of one picture, aligned by their landmarks."""
        squares = [grids.look(pixels, box) for box in faces.boxes]
        aligned = [chip_to_grid(surrogate, s, points) for s, points in zip(squares, faces.landmarks, strict=True)]
        matrices = to_tensor(aligned, self.device)
        with torch.no_grad():
            chips = geometry.warp(stack([s.pixels for s in squares], self.device), matrices, surrogate.size_px)
            return surrogate.embed(chips)


def load(settings: Settings) -> Networks:
    """Load what `settings` ask for, every recogniser that is installed included."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise SettingsInvalid("device is cuda, but torch sees no CUDA device here. Choose auto or cpu; "
                              "nothing was written.")
    wants_cuda = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    device = torch.device("cuda" if wants_cuda else "cpu")
    return Networks(
        device,
        detectors.load(settings.detector, device),
        tuple(surrogates.load(name, device) for name in surrogates.available()),
    )


def chip_to_grid(surrogate: Surrogate, square: Square, landmarks: NDArray[np.floating]) -> Matrix:
    """(2, 3) from the surrogate's chip to the grid, for a face with these landmarks (5, 2) in the photo."""
    to_chip = geometry.similarity(landmarks, surrogate.template)
    return geometry.compose(geometry.invert(to_chip), square.to_grid)


def stack(pictures: Sequence[Pixels], device: torch.device) -> Tensor:
    """Pictures of one size (H, W, 3) u8 as (N, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).float() / 255


def to_tensor(matrices: Sequence[Matrix], device: torch.device) -> Tensor:
    """(N, 2, 3); float32 on the device would be enough for pixels, float64 keeps compositions exact."""
    return torch.from_numpy(np.stack(matrices)).to(device)
