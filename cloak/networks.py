"""The networks of one run: a detector and the recognisers, on one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cloak import calibration, detectors, geometry, grids, surrogates
from cloak.detectors import Detector
from cloak.errors import SettingsInvalid
from cloak.geometry import Matrix
from cloak.grids import Square
from cloak.settings import Settings
from cloak.surrogates import Surrogate
from cloak.types import Faces, Pixels

# Half as much again as CenterFace and YuNet usually disagree by on small faces: a twelfth of the distance of the eyes
_OTHER_SHIFT, _OTHER_DEGREES, _OTHER_SCALE = 0.028, 6.0, 0.08


@dataclass(frozen=True, slots=True)
class Networks:
    """What a run looks through. The device is resolved here, once."""

    device: torch.device
    detector: Detector
    surrogates: tuple[Surrogate, ...]  # a cloak is made against them
    judges: tuple[Surrogate, ...] = ()  # kept out of the making

    @property
    def recognisers(self) -> tuple[Surrogate, ...]:
        """All that judge what was written, those it was made against first."""
        return self.surrogates + self.judges

    def with_no_judge(self) -> Networks:
        """The same networks where nobody knows which of them a file was made against."""
        return Networks(self.device, self.detector, self.recognisers)

    def find(self, pictures: Sequence[Pixels]) -> list[Faces]:
        """Faces of each picture, numbered left to right."""
        found = self.detector.detect(pictures)
        return [faces.take(np.argsort(faces.boxes[:, 0], kind="stable")) for faces in found]

    def embed(self, surrogate: Surrogate, pixels: Pixels, faces: Faces) -> Tensor:
        """Unit embeddings (N, D) of the faces of one picture, aligned by their landmarks."""
        return self.embed_aligned(surrogate, pixels, faces, 0)[0]

    def embed_aligned(self, surrogate: Surrogate, pixels: Pixels, faces: Faces, others: int) -> Tensor:
        """The same, and as seen through so many slightly different alignments: (1 + others, N, D).

        They differ about as much as the landmarks of two detectors, and are always the same ones.
        """
        squares = [grids.look(pixels, box) for box in faces.boxes]
        aligned = [chip_to_grid(surrogate, s, points) for s, points in zip(squares, faces.landmarks, strict=True)]
        matrices, seen = to_tensor(aligned, self.device), stack([s.pixels for s in squares], self.device)
        size = surrogate.size_px
        shakes = geometry.jitter(
            others, size, shift_px=_OTHER_SHIFT * size, degrees=_OTHER_DEGREES, scale=_OTHER_SCALE,
            generator=torch.Generator().manual_seed(0),
        ).to(matrices)
        with torch.no_grad():
            # One after the other: all at once a crowd would fill the memory
            return torch.stack([surrogate.embed(geometry.warp(seen, each, size)) for each in (
                matrices, *(geometry.chain(shake.expand_as(matrices), matrices) for shake in shakes))])


def load(settings: Settings) -> Networks:
    """Load what `settings` ask for; by default every recogniser that is installed.

    Of three or more recognisers one is kept out of the making and judges what the others made: the one that `settings`
    name, else the first by name of those that were installed and can judge. The bundled one always takes part.

    Raises:
        SettingsInvalid: a recogniser that is not installed, none that can judge, or none left to make a cloak with.
        CloakError: a weight file is missing or damaged.
    """
    device = device_of(settings)
    names = names_of(settings)
    judge = _judge(names, settings)
    return Networks(
        device,
        detectors.load(settings.detector, device),
        tuple(surrogates.load(name, device) for name in names if name != judge),
        tuple(surrogates.load(name, device) for name in names if name == judge),
    )


def device_of(settings: Settings) -> torch.device:
    """Where the networks of a run are.

    Raises:
        SettingsInvalid: there is no such device here.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise SettingsInvalid("device is cuda, but torch sees no CUDA device here. Choose auto or cpu; "
                              "nothing was written.")
    wants_cuda = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if wants_cuda else "cpu")


def names_of(settings: Settings) -> tuple[str, ...]:
    """The recognisers of a run, in the order in which they are installed. None of them is loaded.

    Raises:
        SettingsInvalid: see `load`.
    """
    installed = surrogates.available()
    wanted = installed if settings.recognisers is None else settings.recognisers
    named = wanted if settings.judge is None else (*wanted, settings.judge)
    if unknown := [name for name in named if name not in installed]:
        raise SettingsInvalid(f"no recogniser is called {unknown[0]!r}; there is {', '.join(installed)}. "
                              "Nothing was written.")
    if settings.judge is not None and settings.judge not in wanted:
        raise SettingsInvalid(f"judge is {settings.judge!r}, which is not among the recognisers {', '.join(wanted)}. "
                              "Nothing was written.")
    names = tuple(name for name in installed if name in wanted)
    if not any(calibration.find(name) for name in names):
        raise SettingsInvalid(f"none of {', '.join(names)} can judge: nobody measured which similarity means what to "
                              "them. Add dlib_resnet29, or install one again with --strangers FOLDER. Nothing was "
                              "written.")
    return names


def _judge(names: Sequence[str], settings: Settings) -> str | None:
    """Which of these recognisers is kept out of the making."""
    if settings.judge is not None:
        if len(names) < 2:
            raise SettingsInvalid(f"judge is {settings.judge!r}, the only recogniser: none would be left to make a "
                                  "cloak with. Nothing was written.")
        if calibration.find(settings.judge) is None:
            raise SettingsInvalid(f"judge is {settings.judge!r}, which cannot judge: nobody measured which similarity "
                                  "means what to it. Nothing was written.")
        return settings.judge
    able = [name for name in names if name not in surrogates.bundled() and calibration.find(name)]
    return min(able) if len(names) >= 3 and able else None


def to_threshold(surrogate: Surrogate) -> float | None:
    """How far below 1 the similarity lies at which this recogniser's verdict turns; None where it cannot judge.

    Recognisers count on scales of their own: of two strangers dlib's ResNet-29 says .84, an ArcFace network 0.
    """
    curve = calibration.find(surrogate.name)
    return None if curve is None else 1 - curve.threshold(calibration.VERDICT_FMR)


def scales(recognisers: Sequence[Surrogate]) -> tuple[float, ...]:
    """By how much a distance from 1 is multiplied to be on the scale of the first that can judge; 0 where unknown."""
    known = [to_threshold(r) for r in recognisers]
    first = next((k for k in known if k is not None), None)
    if first is None:
        return (1.0,) * len(known)
    return tuple(0.0 if k is None else first / k for k in known)


def chip_to_grid(surrogate: Surrogate, square: Square, landmarks: NDArray[np.floating]) -> Matrix:
    """(2, 3) from the surrogate's chip to the grid, for a face with these landmarks (5, 2) in the photo."""
    to_chip = surrogate.to_chip(landmarks)
    return geometry.compose(geometry.invert(to_chip), square.to_grid)


def stack(pictures: Sequence[Pixels], device: torch.device) -> Tensor:
    """Pictures of one size (H, W, 3) u8 as (N, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).float() / 255


def to_tensor(matrices: Sequence[Matrix], device: torch.device) -> Tensor:
    """(N, 2, 3); float32 on the device would be enough for pixels, float64 keeps compositions exact."""
    return torch.from_numpy(np.stack(matrices)).to(device)
