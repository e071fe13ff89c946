"""Searchers who know the tool and adapt to it, as functions on files.

- `mean_of_views`: the probe's template is the mean over eight views of the file, so that whatever of a cloak hangs on
  exact pixels averages out.
- `parrot`: the gallery is treated as the probe was, so that both lost the same. Against 60 subjects under a naive blur
  it took MobileFaceNet from none ranked first of 360 to one in four.
- `searched`: what such a searcher finds, at thresholds of his own.

Both cost processor time and no training. On one core, per 250 px photo: eight views are 8 detections and 8 embeddings,
0.1 s with a small matcher and 0.8 s with dlib's; a parrot gallery is once the tool (0.6 to 1.6 s for a cloak,
milliseconds for a redaction) and one embedding per enrolled photo. A police department can afford either for a whole
gallery.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation import metrics
from evaluation.faces import Faces, Pixels, decode, face_at, main_face
from evaluation.matchers import Matcher, Metric, similarities
from evaluation.samples import SamplesUnusable

Box = NDArray[np.float32]  # (4,) x1 y1 x2 y2
Templates = dict[str, NDArray[np.float32]]  # (1, D) by matcher
Process = Callable[[Sequence[Path], Path], Mapping[Path, Path]]  # photos, folder -> written file of each

RANKS = (1, 10, 50)


class Detector(Protocol):
    """Finds faces in upright RGB; `faces.YuNet` is one."""

    def find(self, pixels: Pixels) -> Faces: ...


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at a picture."""

    pixels: Pixels
    matrix: NDArray[np.float64]  # (2, 3), from points of the picture to points of the view


def views(pixels: Pixels) -> tuple[View, ...]:
    """Eight views: as it is, mirrored, turned by 4 degrees both ways, half and one and a half times the size, blurred
    by 1 px, and as a JPEG of quality 75.

    Each is too little to cost a recogniser much, and all of them together move every pixel of a cloak.
    """
    height, width = pixels.shape[:2]
    centre = ((width - 1) / 2, (height - 1) / 2)
    still = np.eye(2, 3)
    mirror = np.array([[-1.0, 0, width - 1], [0, 1, 0]])
    turned = [np.asarray(cv2.getRotationMatrix2D(centre, degrees, 1.0), np.float64) for degrees in (-4, 4)]
    return (
        View(pixels, still),
        View(np.ascontiguousarray(pixels[:, ::-1]), mirror),
        *(View(_warped(pixels, matrix), matrix) for matrix in turned),
        _scaled(pixels, 0.5),
        _scaled(pixels, 1.5),
        View(np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1.0), np.uint8), still),
        View(_jpeg(pixels), still),
    )


def mean_of_views(
    path: Path, detector: Detector, matchers: Mapping[str, Matcher], expected: Box | None = None
) -> Templates | None:
    """The mean template per matcher over the views in which the face is found; None where it is in none.

    Args:
        expected: where the face is in the file; without it the main face of each view.

    Under a cosine every view counts the same, whatever its template's length; under a distance the templates are
    averaged as they are.
    """
    seen: dict[str, list[NDArray[np.float32]]] = {name: [] for name in matchers}
    for view in views(decode(path)):
        faces = detector.find(view.pixels)
        if expected is None:
            index = main_face(faces, view.pixels.shape[:2])
        else:
            index = face_at(faces, _moved(expected, view.matrix))
        if index is None:
            continue
        for name, matcher in matchers.items():
            template = matcher.embed(view.pixels, faces.only(index))
            seen[name].append(_unit(template) if matcher.metric == "cosine" else template)
    if not all(seen.values()):
        return None
    return {name: np.mean(found, axis=0, dtype=np.float32) for name, found in seen.items()}


def parrot(
    photos: Sequence[Path],
    process: Process,
    folder: Path,
    detector: Detector,
    matchers: Mapping[str, Matcher],
    *,
    by_hand: bool = False,
) -> dict[Path, Templates | None]:
    """Templates of photos after the tool under test was run on them: enrol these, search with protected probes.

    Args:
        process: the tool, for example `partial(protect.protect, strength="light")` or an arm.
        folder: for the written files.
        by_hand: take eyes, nose and mouth from the untreated photo. This is the searcher who marks them by hand, and an
            upper bound; a redacted face is seldom found by a detector, which protects nobody from such a searcher.
    Returns:
        None for a photo that was not written or whose face is not found: it cannot be enrolled.
    """
    written = process(photos, folder)
    templates: dict[Path, Templates | None] = {}
    for photo in photos:
        before = decode(photo)
        clean = detector.find(before)
        index = main_face(clean, before.shape[:2])
        if index is None or photo not in written:
            templates[photo] = None
            continue
        pixels = decode(written[photo])
        here = _enlarged(clean.only(index), pixels.shape[0] / before.shape[0])
        if not by_hand:
            found = detector.find(pixels)
            again = face_at(found, here.boxes[0])
            if again is None:
                templates[photo] = None
                continue
            here = found.only(again)
        templates[photo] = {name: matcher.embed(pixels, here) for name, matcher in matchers.items()}
    return templates


def searched(
    probes: Sequence[NDArray[np.float32] | None],
    mates: Sequence[Sequence[NDArray[np.float32] | None]],
    strangers: Sequence[NDArray[np.float32] | None],
    metric: Metric,
    *,
    fmr: float = 1e-3,
    seed: int = 0,
) -> dict[str, Any]:
    """What an adaptive searcher finds with one matcher.

    Args:
        probes: (1, D) of each subject, None where her face was not found.
        mates: of each subject, her enrolled photos.
        strangers: other people; none of them may be a subject.
        fmr: the threshold is set from these very probes against these very strangers, because treated faces are alike
            in ways that clean ones are not.
    Raises:
        SamplesUnusable: a subject without any mate, or nobody to be mistaken for.
        ValueError: too few comparisons to show that FMR.
    """
    enrolled = [template for template in strangers if template is not None]
    if not enrolled or not all(any(mate is not None for mate in row) for row in mates) or not len(probes):
        raise SamplesUnusable("a subject without an enrolled mate, or no subject or stranger at all. Nothing judged.")
    others = np.concatenate(enrolled)
    mated = np.full((len(probes), max(len(row) for row in mates)), np.nan, np.float32)
    non_mated = np.full((len(probes), len(others)), -np.inf, np.float32)
    for i, (probe, row) in enumerate(zip(probes, mates, strict=True)):
        for j, mate in enumerate(row):
            if mate is not None:
                mated[i, j] = -np.inf if probe is None else similarities(probe, mate, metric)[0, 0]
        if probe is not None:
            non_mated[i] = similarities(probe, others, metric)[0]
    threshold = metrics.threshold_at(fmr, non_mated[np.isfinite(non_mated).all(axis=1)])
    best = np.nanmax(mated, axis=1)[:, None]
    ahead, equal = (non_mated > best).sum(axis=1), (non_mated == best).sum(axis=1)
    found = np.array([probe is not None for probe in probes])

    def listed(length: int) -> NDArray[np.float64]:
        """The chance of each mate to be among the first. Ties are broken by lot: a black box is as like everybody."""
        return np.where(found, np.clip((length - ahead) / (equal + 1), 0, 1), 0.0)

    return {
        "subjects": len(probes),
        "not_found": sum(probe is None for probe in probes),
        "gallery_subjects": len(others),
        "gallery_photos_without_a_face": len(strangers) - len(others),
        "fmr": fmr,
        "threshold": threshold,
        "tar": asdict(metrics.rate(metrics.match_rates(mated, threshold), seed)),
        **{f"rank_{k}": asdict(metrics.rate(listed(k), seed)) for k in RANKS},
    }


def _moved(box: Box, matrix: NDArray[np.float64]) -> Box:
    """(4,): the upright box around a box after an affine map."""
    x1, y1, x2, y2 = (float(value) for value in box)
    corners = np.array([[x1, y1, 1], [x2, y1, 1], [x1, y2, 1], [x2, y2, 1]]) @ matrix.T
    return np.concatenate([corners.min(0), corners.max(0)]).astype(np.float32)


def _warped(pixels: Pixels, matrix: NDArray[np.float64]) -> Pixels:
    size = (pixels.shape[1], pixels.shape[0])
    return np.asarray(cv2.warpAffine(pixels, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _scaled(pixels: Pixels, factor: float) -> View:
    height, width = pixels.shape[:2]
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    x, y = size[0] / width, size[1] / height
    # Scaling is about the corner of the picture, and (0, 0) is the centre of its first pixel.
    matrix = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])
    return View(np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8), matrix)


def _jpeg(pixels: Pixels) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=75, subsampling="4:2:0")
    with Image.open(stream) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)


def _enlarged(faces: Faces, factor: float) -> Faces:
    if factor == 1:
        return faces
    shift = (factor - 1) / 2
    scale = np.float32(factor)
    return Faces(faces.boxes * scale, faces.landmarks * scale + np.float32(shift), faces.scores, faces.enlarged)


def _unit(templates: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(templates / np.linalg.norm(templates, axis=1, keepdims=True), np.float32)
