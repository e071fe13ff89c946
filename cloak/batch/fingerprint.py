"""All that decides the bytes of an output besides its input, as one hash: another one means made again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import cloak
from cloak import networks, weights
from cloak.batch.types import Common, Media, Recipe
from cloak.errors import ReferenceUnusable
from cloak.video import ffmpeg, planning

# Packages through which pixels go
_PHOTO_PACKAGES = ("torch", "numpy", "opencv-python", "onnxruntime", "pillow", "pillow-heif", "simplejpeg")
_CLIP_PACKAGES = ("numpy", "opencv-python", "onnxruntime", "av")


def settings_hash(recipe: Recipe, media: Media, common: Common) -> str:
    """Hex digits. The same on every machine that makes the same bytes.

    Raises:
        CloakError: what is asked for is not installed, or a reference photo cannot be read.
    """
    text = json.dumps(_decisive(recipe, media, common), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def versions(media: Media) -> dict[str, str]:
    """What the bytes depend on: package -> version."""
    packages = _PHOTO_PACKAGES if media == "photo" else _CLIP_PACKAGES
    found = {"facecloak": cloak.__version__, **{name: metadata.version(name) for name in packages}}
    return found if media == "photo" else {**found, "ffmpeg": ffmpeg.version_here()}


def weights_of(media: Media, common: Common, *, keeps_person: bool = False) -> dict[str, str]:
    """The weight files that take part: name -> sha256."""
    found: dict[str, str] = {}
    if media == "clip":
        found |= {name: weights.registry()[name].sha256 for name in planning.DETECTORS}
    else:
        found |= {name: one.sha256 for name, one in weights.registry().items()
                  if name.startswith(common.photo.detector)}
    if media == "photo" or keeps_person:
        found |= {name: weights.sha256_of(name) for name in networks.names_of(common.photo)}
    return found


def _decisive(recipe: Recipe, media: Media, common: Common) -> dict[str, Any]:
    settings: dict[str, Any] = dataclasses.asdict(common.photo if media == "photo" else common.clip)
    for name in ("overwrite", "recognisers", "keep_person", "look"):
        settings.pop(name, None)
    if media == "photo":
        settings["device"] = networks.device_of(common.photo).type
        settings["recognisers"] = networks.names_of(common.photo)
    else:
        settings.pop("device")  # detectors run on the processor, and keep_person decides by a margin
    return {
        "media": media, "treatment": str(recipe.treatment), "settings": settings, "versions": versions(media),
        "keep_person": [_sha256_of(path) for path in recipe.keep_person],
        "weights": weights_of(media, common, keeps_person=bool(recipe.keep_person)),
    }


@lru_cache(maxsize=64)
def _sha256_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ReferenceUnusable(f"{path}: cannot be read ({error.strerror}). Nothing was written.") from error
