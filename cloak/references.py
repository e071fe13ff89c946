"""Other photos of one person, so that a cloak moves away from all of them and not from one shot alone.

This is face recognition, on this machine and at the user's own wish: the person of the reference photos is looked for
among the faces of each photo.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from cloak import calibration, io_image
from cloak.errors import ReferenceUnusable
from cloak.networks import Networks
from cloak.settings import Settings
from cloak.surrogates import Surrogate
from cloak.types import Faces, Photo


@dataclass(frozen=True, slots=True)
class References:
    """One person's face in several photos."""

    embeddings: Mapping[str, Tensor]  # recogniser -> (R, D), unit length
    count: int

    def is_person(self, embedded: Sequence[Tensor], surrogates: Sequence[Surrogate]) -> Tensor:
        """(N,) bool: which faces one of the surrogates takes for the person, by their embeddings (N, D) in each."""
        votes = [
            (each @ F.normalize(self.embeddings[s.name].mean(0), dim=0)) >= _threshold(s)
            for s, each in zip(surrogates, embedded, strict=True)
        ]
        return torch.stack(votes).any(0)

    def strengthen(self, anchors: Sequence[Tensor], surrogates: Sequence[Surrogate]) -> list[Tensor]:
        """Anchors (N, D) per surrogate; the person's become the mean over this photo and the reference photos."""
        is_person = self.is_person(anchors, surrogates)[:, None]
        return [
            torch.where(is_person, F.normalize(each + self.embeddings[s.name].sum(0), dim=1), each)
            for s, each in zip(surrogates, anchors, strict=True)
        ]

    def note(self, faces: Faces, photo: Photo, nets: Networks) -> str:
        """Who was taken for the person, for the report."""
        numbers: list[int] = []
        if len(faces):
            embedded = [nets.embed(surrogate, photo.pixels, faces) for surrogate in nets.surrogates]
            numbers = [i + 1 for i, is_one in enumerate(self.is_person(embedded, nets.surrogates).tolist()) if is_one]
        photos = f"{self.count} reference photo{'s' * (self.count != 1)}"
        if not numbers:
            return f"No face here was taken for the person of the {photos}, so they changed nothing."
        return f"Face {', '.join(map(str, numbers))} was taken for the person of the {photos}; a cloak is made " \
               "against these too."


def read(paths: Sequence[Path], nets: Networks, settings: Settings) -> References:
    """The one face of each photo.

    Raises:
        CloakError: a photo cannot be read.
        ReferenceUnusable: a photo does not hold exactly one face, or the photos show different people.
    """
    embedded: dict[str, list[Tensor]] = {surrogate.name: [] for surrogate in nets.surrogates}
    for path in paths:
        photo = io_image.read_photo(path, max_pixels=settings.max_pixels)
        (faces,) = nets.find([photo.pixels])
        if len(faces) != 1:
            raise ReferenceUnusable(f"{path}: {len(faces) or 'no'} faces found; a reference photo shows one person, "
                                    "or nobody could tell who is meant. Nothing was written.")
        for surrogate in nets.surrogates:
            embedded[surrogate.name].append(nets.embed(surrogate, photo.pixels, faces))
    person = References({name: torch.cat(each) for name, each in embedded.items()}, len(paths))
    for i, path in enumerate(paths[1:], 1):
        if not any(float(person.embeddings[s.name][i] @ person.embeddings[s.name][0]) >= _threshold(s)
                   for s in nets.surrogates):
            raise ReferenceUnusable(f"{path}: no recogniser takes this for the person of {paths[0]}. Reference photos "
                                    "show one and the same person. Nothing was written.")
    return person


def _threshold(surrogate: Surrogate) -> float:
    """Never reached where nobody knows what a similarity means."""
    curve = calibration.find(surrogate.name)
    return math.inf if curve is None else curve.threshold(calibration.VERDICT_FMR)
