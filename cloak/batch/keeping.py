"""Leaves one person clear in photos. Face recognition, on this machine, only where a rule asks.

Whoever is wrongly taken for the person is published uncovered: every recogniser has to agree at a stricter rate than
elsewhere, and of two who look alike in one photo neither is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cloak import calibration, io_image, networks, references
from cloak.choices import Choices
from cloak.errors import CloakError
from cloak.settings import Settings
from cloak.types import KEEP, Treatment
from cloak.video.person import is_person, strict_threshold

# Smaller faces say nothing
_LEAST_PX = 40


def choose(photos: Sequence[Path], kept: Sequence[Path], treatment: Treatment,
           settings: Settings) -> dict[Path, Choices]:
    """What happens in each photo: `treatment`, but for the person of the photos `kept`.

    A photo that cannot be read gets the treatment, and whoever reads it next will say why.

    Raises:
        CloakError: a reference photo cannot be read or does not show exactly one face, or they show different people.
    """
    nets = networks.load(settings).with_no_judge()
    person = references.read(kept, nets, settings)
    able = [surrogate for surrogate in nets.surrogates if calibration.find(surrogate.name) is not None]
    chosen = {}
    for path in photos:
        chosen[path] = Choices(treatment)
        try:
            photo = io_image.read_photo(path, max_pixels=settings.max_pixels, keep_heic=True)
        except CloakError:
            continue
        (faces,) = nets.find([photo.pixels])
        if not len(faces):
            continue
        agreed = faces.boxes[:, 3] - faces.boxes[:, 1] >= _LEAST_PX
        for surrogate in able:
            known = person.embeddings[surrogate.name]
            agreed &= is_person(nets.embed(surrogate, photo.pixels, faces), known, strict_threshold(surrogate.name))
        numbers = np.flatnonzero(agreed)
        if len(numbers) == 1:
            chosen[path] = Choices(treatment, {int(numbers[0]) + 1: KEEP}, (), photo.sha256)
    return chosen
