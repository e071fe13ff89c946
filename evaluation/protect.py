"""The only bridge to the engine: path in, path out. No other module of `evaluation` may import `cloak`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EvaluationFailed

# What the engine can cover a head with.
STYLES = ("solid", "mosaic", "blur", "ring")


class EngineRefused(EvaluationFailed):
    """The engine cannot work as it was asked to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the engine says became of one photo. The faces are those it saw, N of them, 0 where nothing was written."""

    source: Path
    written: Path | None
    error: str | None  # why nothing was written; names no folder
    boxes: NDArray[np.float32]  # (N, 4) x1 y1 x2 y2 in pixels of the source
    treatments: tuple[str, ...]  # that remained: "cloak light", "redact solid"
    statuses: tuple[str, ...]
    too_small: tuple[bool, ...]  # too small to be cloaked, so covered without trying
    weights: dict[str, str]  # sha256 of every network the engine used


def protect(paths: Sequence[Path], folder: Path, strength: str, **options: Any) -> dict[Path, Path]:
    """Cloak photos and return where each written file is; a photo that the engine refused is absent.

    Args:
        folder: receives one file per input, numbered, because names of different subjects may be equal.
        strength: a preset of the engine.
        options: further fields of `cloak.Settings`.
    """
    return {one.source: one.written for one in outcomes(paths, folder, strength, **options) if one.written is not None}


def redact(paths: Sequence[Path], folder: Path, style: str, **options: Any) -> dict[Path, Path]:
    """Cover the faces of photos and return where each written file is, as `protect` does.

    Args:
        style: one of `STYLES`.
    """
    return _all_alike(paths, folder, ("redact", style), options)


def outcomes(paths: Sequence[Path], folder: Path, strength: str, **options: Any) -> list[Outcome]:
    """Cloak photos as `protect` does, and say of each what the engine reports."""
    from cloak.verify import is_too_small

    found = []
    for one in _run(paths, folder, strength, options, choices=None):
        faces = () if one.report is None else one.report.faces
        boxes = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
        found.append(Outcome(
            source=one.input,
            written=one.output,
            error=None if one.error is None else one.error.replace(f"{one.input.parent}/", ""),
            boxes=boxes,
            treatments=tuple(face.treatment for face in faces),
            statuses=tuple(face.status for face in faces),
            too_small=tuple(is_too_small(box) for box in boxes),
            weights={} if one.report is None else one.report.weights,
        ))
    return found


def kept(paths: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Write photos with every face left as it is: what the engine's encoder alone does, returned as `protect` does."""
    return _all_alike(paths, folder, ("keep", ""), {})


def recognisers(strength: str, **options: Any) -> dict[str, list[str]]:
    """Names of those a cloak is made against, and of those the engine keeps out of the making."""
    with _engine():
        from cloak import networks

        nets = networks.load(_settings(strength, options))
    return {"made_against": [s.name for s in nets.surrogates], "kept_out": [s.name for s in nets.judges]}


def engine_settings(strength: str, **options: Any) -> dict[str, Any]:
    """What the engine was asked to do, for the record."""
    from dataclasses import asdict

    import cloak

    with _engine():
        settings = _settings(strength, options)
    return asdict(settings) | {"preset": asdict(cloak.PRESETS[settings.strength]), "cloak": cloak.__version__}


def _all_alike(
    paths: Sequence[Path], folder: Path, treatment: tuple[str, str], options: dict[str, Any]
) -> dict[Path, Path]:
    """Treat every face of every photo in one way, said as the kind and the how of the engine's treatment."""
    # Imported where it is needed, so that the judge alone needs neither the engine nor torch.
    import cloak

    kind, how = treatment
    chosen = cloak.Choices(cloak.Treatment(kind, how))  # type: ignore[arg-type]
    made = _run(paths, folder, "balanced", options, choices=dict.fromkeys(paths, chosen))
    return {one.input: one.output for one in made if one.output is not None}


def _run(paths: Sequence[Path], folder: Path, strength: str, options: dict[str, Any], *, choices: Any) -> list[Any]:
    """The engine's own outcome of each photo. A file of an earlier run in the way is an error, never an outcome."""
    import cloak

    folder.mkdir(parents=True, exist_ok=True)
    outputs = [folder / f"{number:04d}-{path.name}" for number, path in enumerate(paths)]
    with _engine():
        found: list[Any] = cloak.cloak_photos(paths, outputs, _settings(strength, options), choices=choices)
    return found


def _settings(strength: str, options: dict[str, Any]) -> Any:
    """Only the bundled recogniser unless others are asked for: what is installed here must not change a result."""
    import cloak

    return cloak.Settings(strength=strength, **{"recognisers": ("dlib_resnet29",), **options})  # type: ignore[arg-type]


def strengths() -> tuple[str, ...]:
    """The engine's presets."""
    import cloak

    return tuple(cloak.PRESETS)


def check(**options: Any) -> None:
    """Nothing where the engine takes these options.

    Raises:
        EngineRefused: says which it does not take.
    """
    with _engine():
        _settings(strengths()[0], options)
    if "detector" in options and options["detector"] not in detectors():
        raise EngineRefused(f"detector is {options['detector']!r}; the engine has {', '.join(detectors())}.")


def source_sha256() -> str:
    """Digest of the engine's own source: what another version of it wrote is not this version's work."""
    import cloak

    root = Path(cloak.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".toml", ".json")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def _engine() -> Iterator[None]:
    """What the engine refuses, in the harness' own words."""
    from cloak.errors import CloakError

    try:
        yield
    except CloakError as error:
        raise EngineRefused(str(error)) from error


def detectors() -> tuple[str, ...]:
    """Keys of the detectors the engine has."""
    from cloak import detectors as engine

    return engine.available()


def finder(detector: str) -> Callable[[Path], NDArray[np.float32]]:
    """What the engine sees with one of its detectors, loaded once: photo to face boxes (N, 4) x1 y1 x2 y2 in pixels.
    """
    import cloak
    from cloak import io_image, networks

    settings = cloak.Settings(detector=detector, device="cpu", recognisers=("dlib_resnet29",))
    nets = networks.load(settings)

    def find(path: Path) -> NDArray[np.float32]:
        photo = io_image.read_photo(path, max_pixels=settings.max_pixels, keep_heic=True)
        return nets.find([photo.pixels])[0].boxes

    return find
