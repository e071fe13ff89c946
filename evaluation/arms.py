"""Files whose verdict is known before the judge sees them, or that another tool made.

A no-op must equal clean exactly, a solid box must not be found or not be matched, and noise of the size of a
cloak shows how much of the cloak's effect any change of that size would have had. A naive blur and a naive mosaic
look safe and are not: a searcher who treats his gallery the same way reads through them (arXiv 1905.05243; McPherson
et al. 2016, arXiv 1609.00408). All write PNG: what publishing does to them comes later, as it does to a cloak.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation import protect
from evaluation.errors import ChoiceUnknown, EvaluationFailed
from evaluation.faces import Pixels, decode

Box = NDArray[np.float32]  # (4,) x1 y1 x2 y2, pixels

# Ellipse of the placebo: random signs of 8 and 12 levels inside it give the figures of design/baselines.md
# (tests).
ELLIPSE = 1.3

# By eye: what a person would take for unrecognisable. Sigma is a share of the width of the face, cells go across it.
NAIVE_BLUR = 0.08
NAIVE_CELLS = 16

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class ArmIncomplete(EvaluationFailed):
    """A folder of another tool's files does not hold one file for every probe."""


def names() -> tuple[str, ...]:
    """The arms that `make` knows beside those that always run."""
    return (*NAIVE, *(f"redact-{style}" for style in protect.STYLES))


def make(name: str, boxes: Mapping[Path, Box], folder: Path) -> dict[Path, Path]:
    """One of the named arms: photo to written file; a photo that the engine refused is absent.

    Args:
        boxes: the face box of every photo.
        folder: receives one file per photo, numbered, because names of different subjects may be equal.
    """
    if name in NAIVE:
        return {
            source: NAIVE[name](source, folder / f"{number:04d}", box)
            for number, (source, box) in enumerate(boxes.items())
        }
    style = name.removeprefix("redact-")
    if style == name or style not in protect.STYLES:
        raise ChoiceUnknown(f"no arm is called {name!r}; there are {', '.join(names())}.")
    for left_over in folder.glob("*"):  # of an earlier run: it would pass for a file of this one
        if left_over.is_file():
            left_over.unlink()
    return protect.redact(list(boxes), folder, style)


def supplied(folder: Path, photos: Sequence[Path], root: Path) -> dict[Path, Path]:
    """Files that another tool made, by the photo each was made from.

    Args:
        folder: holds them under the photo's path below `root` (`<subject>/<photo>`) or under its bare name; the
            suffix may differ, as tools change formats.
    Raises:
        ArmIncomplete: no folder, an empty one, a photo without a file, or one with several.
    """
    if not folder.is_dir():
        raise ArmIncomplete(f"{folder}: no such folder. Nothing was judged.")
    by_stem: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            by_stem.setdefault(path.relative_to(folder).with_suffix(""), []).append(path)
    if not by_stem:
        raise ArmIncomplete(f"{folder}: holds no photo ({', '.join(sorted(SUFFIXES))}). Nothing was judged.")
    bare = [photo.stem for photo in photos]
    found, missing = {}, []
    for photo in photos:
        relative = photo.relative_to(root).with_suffix("")
        one_of_its_name = Path(photo.stem) if bare.count(photo.stem) == 1 else relative
        candidates = by_stem.get(relative) or by_stem.get(one_of_its_name) or []
        if len(candidates) > 1:
            raise ArmIncomplete(
                f"{folder}: {' and '.join(p.name for p in candidates)} could both stand for {relative}. "
                "Leave one. Nothing was judged."
            )
        if candidates:
            found[photo] = candidates[0]
        else:
            missing.append(str(relative))
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ArmIncomplete(
            f"{folder}: no file for {len(missing)} of {len(photos)} photos: {', '.join(missing[:5])}{more}. "
            "A photo left out would look protected, so nothing was judged."
        )
    return found


def no_op(source: Path, folder: Path) -> Path:
    """The same bytes under another path."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, folder / source.name))


def noise(source: Path, folder: Path, box: Box, rms_levels: float, seed: int) -> Path:
    """Independent random signs times `rms_levels` (of 255) in each channel, inside an ellipse on the face.

    Args:
        box: (4,) face box; the ellipse is inscribed in this box enlarged 1.3x.
    """
    pixels = decode(source)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], pixels.shape)
    inside = ellipse(pixels.shape[:2], box)[..., None]
    return _write(np.clip(np.rint(pixels + rms_levels * signs * inside), 0, 255), source, folder)


def solid_box(source: Path, folder: Path, box: Box) -> Path:
    """Black over the face box enlarged 1.3x."""
    pixels = decode(source).copy()
    pixels[_square(pixels, box)] = 0
    return _write(pixels, source, folder)


def naive_blur(source: Path, folder: Path, box: Box) -> Path:
    """Gaussian blur of the face box enlarged 1.3x, as common tools do it. Not safe; that is what it is for."""
    pixels = decode(source).copy()
    place = _square(pixels, box)
    blurred = cv2.GaussianBlur(pixels, (0, 0), max(NAIVE_BLUR * float(box[2] - box[0]), 0.5))
    pixels[place] = blurred[place]
    return _write(pixels, source, folder)


def naive_mosaic(source: Path, folder: Path, box: Box) -> Path:
    """Square cells over the face box enlarged 1.3x, 16 across the face, each the mean of its pixels. Not safe."""
    pixels = decode(source).copy()
    place = _square(pixels, box)
    area = pixels[place]
    if not area.size:
        return _write(pixels, source, folder)
    cell_px = max(float(box[2] - box[0]) / NAIVE_CELLS, 1.0)
    columns, rows = (max(round(side / cell_px), 1) for side in (area.shape[1], area.shape[0]))
    cells = cv2.resize(area, (columns, rows), interpolation=cv2.INTER_AREA)
    pixels[place] = cv2.resize(cells, (area.shape[1], area.shape[0]), interpolation=cv2.INTER_NEAREST)
    return _write(pixels, source, folder)


NAIVE: dict[str, Callable[[Path, Path, Box], Path]] = {"naive-blur": naive_blur, "naive-mosaic": naive_mosaic}


def change_rms(original: Pixels, changed: Pixels, box: Box) -> float:
    """Root mean square change, in levels of 255, inside the ellipse of the placebo."""
    inside = ellipse(original.shape[:2], box)
    return float(np.sqrt(((original.astype(np.float64) - changed)[inside] ** 2).mean()))


def ellipse(size: tuple[int, ...], box: Box) -> NDArray[np.bool_]:
    """(H, W), true inside the ellipse inscribed in the box enlarged 1.3x."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * ELLIPSE
    y, x = np.mgrid[: size[0], : size[1]]
    return np.asarray(((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 <= 1)


def _square(pixels: Pixels, box: Box) -> tuple[slice, slice]:
    """Rows and columns of the face box enlarged 1.3x, cut at the rim of the picture."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * 1.3
    left, top = np.maximum(centre - half, 0).astype(int)
    right, bottom = np.maximum(np.ceil(centre + half), 0).astype(int)
    return slice(top, bottom), slice(left, right)


def _write(pixels: NDArray[np.float64] | Pixels, source: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{source.stem}.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path
