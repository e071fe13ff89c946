"""The only bridge to the engine: path in, path out. No other module of `evaluation` may import `cloak`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What the engine can cover a head with.
STYLES = ("solid", "mosaic", "blur", "ring")


class EngineLacks(RuntimeError):
    """The engine that is installed cannot do what an arm needs."""


def protect(paths: Sequence[Path], folder: Path, strength: str, **options: Any) -> dict[Path, Path]:
    """Cloak photos and return where each written file is; a photo that the engine refused is absent.

    Args:
        folder: receives one file per input, numbered, because names of different subjects may be equal.
        strength: a preset of the engine.
        options: further fields of `cloak.Settings`.
    """
    # Imported here, so that the judge alone needs neither the engine nor torch.
    import cloak

    folder.mkdir(parents=True, exist_ok=True)
    outputs = [folder / f"{number:04d}-{path.name}" for number, path in enumerate(paths)]
    cloak.cloak_photos(paths, outputs, cloak.Settings(strength=strength, **options))  # type: ignore[arg-type]
    return {path: output for path, output in zip(paths, outputs, strict=True) if output.is_file()}


def redact(paths: Sequence[Path], folder: Path, style: str, **options: Any) -> dict[Path, Path]:
    """Cover the faces of photos and return where each written file is, as `protect` does.

    Args:
        style: one of `STYLES`; the engine takes it as the treatment.
    Raises:
        EngineLacks: rather than an arm of cloaks that is called a redaction.
    """
    from dataclasses import fields

    import cloak

    if "treatment" not in {field.name for field in fields(cloak.Settings)}:
        raise EngineLacks(f"the engine {cloak.__version__} has no treatments, so no arm redact-{style}. Nothing made.")
    return protect(paths, folder, "balanced", treatment=style, **options)


def engine_settings(strength: str, **options: Any) -> dict[str, Any]:
    """What the engine was asked to do, for the record."""
    from dataclasses import asdict

    import cloak

    settings = cloak.Settings(strength=strength, **options)  # type: ignore[arg-type]
    return asdict(settings) | {"preset": asdict(cloak.PRESETS[settings.strength]), "cloak": cloak.__version__}


def detectors() -> tuple[str, ...]:
    """Keys of the detectors the engine has."""
    from cloak import detectors as engine

    return engine.available()


def find_boxes(path: Path, detector: str) -> NDArray[np.float32]:
    """Face boxes (N, 4) that the engine sees in a file, x1 y1 x2 y2 in pixels."""
    import cloak

    return cloak.find_faces(path, settings=cloak.Settings(detector=detector, device="cpu")).boxes
