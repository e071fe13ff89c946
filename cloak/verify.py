"""Reads what was written again and judges it. Nothing here trusts what the optimiser believed."""

from __future__ import annotations

import dataclasses
import platform
import typing
from collections.abc import Collection, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import cloak
from cloak import calibration, io_image, networks, weights
from cloak.choices import Region
from cloak.networks import Networks
from cloak.settings import Settings
from cloak.surrogates import Surrogate
from cloak.types import KEEP, FaceReport, Faces, FaceStatus, Photo, Pixels, Report, Treatment, Verdict

# Below this box height a chip is enlarged about fivefold: too few pixels for a calibrated similarity to mean much.
MIN_JUDGED_PX = 32
# A face that a searcher matches again who accepts one stranger in twenty is not far from being matched
_BARELY_FMR = 0.05
_SAME_FACE_IOU = 0.3
# Through the landmarks of one detector alone, faces were called protected that are matched through another's:
# `earlier_looks` in evaluation/results/ensure.json
_OTHER_ALIGNMENTS = 8
_SAME_ASPECT = 0.01

LIMITS = (
    "Publishing cannot be undone and recognisers improve. A verdict speaks of the recognisers it names and of this "
    "file as written, not of others. Clothes, place and company still identify people; for strangers, redact."
)


# evaluation/results/photos_two_recognisers.json against standard.json
ALONE = (
    "Made and judged with one recogniser. With a second one the same change protects much better from others: "
    "`cloak models fetch recommended`."
)


def verify_photo(path: Path, *, original: Path | None, settings: Settings) -> Report:
    """Judge any file, against the unprotected photo where there is one.

    Args:
        path: the photo as it would be published; may have been resized or recompressed since.
        original: without it only the faces can be listed; whether they match cannot be said.
    Raises:
        CloakError: a file cannot be read. An original without a face gives a report without faces.
    """
    # Whoever made the file may have made it against any of them: none is called independent here
    nets = networks.load(settings).with_no_judge()
    photo = io_image.read_photo(path, max_pixels=settings.max_pixels, keep_heic=True)  # nothing is written
    if original is None:
        (faces,) = nets.find([photo.pixels])
        words = "Without the original nothing can be said about matching; pass --original."
        reports = tuple(
            FaceReport(i + 1, _box(faces.boxes[i]), float(faces.scores[i]), "", "unjudged", (), "found, not judged")
            for i in range(len(faces))
        )
        if not reports:
            words = f"{settings.detector} finds no face here. That does not prove that there is none."
        return _report(photo, None, reports, words, nets, settings)
    source = io_image.read_photo(original, max_pixels=settings.max_pixels, keep_heic=settings.keep_heic)
    (faces,) = nets.find([source.pixels])
    reports = judge(photo, source, faces, nets, settings)
    return _report(photo, source, reports, summary(reports, nets), nets, settings)


def judge(
    written: Photo,
    original: Photo,
    faces: Faces,
    nets: Networks,
    settings: Settings,
    *,
    treatments: Sequence[Treatment] | None = None,
) -> tuple[FaceReport, ...]:
    """Compare each face of the original with the written file, which must have been read from the disk again.

    The written face is aligned by the landmarks found in it, by those of the original and, where it was not covered,
    by some that differ as those of two detectors do. The highest similarity counts: an adversary may have any.

    Args:
        treatments: what was done to each face, where this process did it; a file from elsewhere says nothing of that.
    """
    if not len(faces):
        return ()
    (found,) = nets.find([written.pixels])
    partner, in_place = _partners(faces, found, original, written)
    plain = _reencoded(original, settings)
    made_against = {s.name for s in nets.surrogates}
    is_covered = [t.kind == "redact" for t in treatments or [KEEP] * len(faces)]
    verdicts: list[list[Verdict]] = [[] for _ in range(len(faces))]
    blind: list[set[str]] = [set() for _ in range(len(faces))]
    for surrogate in nets.recognisers:
        curve = calibration.find(surrogate.name)
        if curve is None:  # `summary` says so
            continue
        reference = nets.embed(surrogate, original.pixels, faces)
        before = (nets.embed(surrogate, plain, faces) * reference).sum(1).clamp(-1, 1).tolist()
        after = np.full(len(faces), -1.0)
        if in_place is not None:
            same_place = nets.embed_aligned(surrogate, written.pixels, in_place, _OTHER_ALIGNMENTS)
            each = (same_place * reference).sum(2).double().cpu().numpy()
            # Under a cover nothing of a face is left that another alignment could bring out
            after = np.where(is_covered, each[0], each.max(0))
        if len(found):
            every = (nets.embed(surrogate, written.pixels, found) @ reference.T).double().cpu().numpy()
            strangers = [j for j in range(len(found)) if j not in partner]
            for i, j in enumerate(partner):
                if is_covered[i]:
                    # Covered in place by us, so nobody moved: only what is seen where it was can be this face
                    after[i] = max(after[i], -1.0 if j is None else every[j, i])
                    continue
                # A face in no one's place may be anyone's, and one without a face in its place may be anywhere: a
                # crop of the same shape or a mirrored copy looks like the original to `_partners`. A face in another
                # one's place counts where strangers hardly ever come: two may have changed places.
                counts = every[:, i] >= curve.similarity[-1]
                counts[range(len(found)) if j is None else [j, *strangers]] = True
                after[i] = max(after[i], every[counts, i].max())
        after = after.clip(-1, 1)  # rounding: 1.0000001 is no cosine
        for i in _empty(surrogate, reference, curve.threshold(calibration.VERDICT_FMR)):
            blind[i].add(surrogate.name)
        for i in range(len(faces)):
            is_surrogate = surrogate.name in made_against
            verdicts[i].append(_verdict(surrogate, before[i], float(after[i]), is_surrogate=is_surrogate))
    return tuple(
        _face_report(i, faces, tuple(verdicts[i]), None if treatments is None else treatments[i],
                     is_lost=partner[i] is None, blind=blind[i])
        for i in range(len(faces))
    )


def _empty(surrogate: Surrogate, reference: Tensor, threshold: float) -> list[int]:
    """Which of the faces (N, D) this recogniser takes for an empty picture: black, dark or grey all over.

    So it is with faces that are little more than darkness; whatever covers them, they stay alike to themselves.
    """
    levels = reference.new_tensor([0.0, 0.25, 0.5]).view(-1, 1, 1, 1)
    with torch.no_grad():
        nothing = surrogate.embed(levels.expand(-1, 3, surrogate.size_px, surrogate.size_px))
    return [int(i) for i in ((reference @ nothing.T).amax(1) >= threshold).nonzero()[:, 0]]


def regions(drawn: Sequence[Region], *, after: int) -> tuple[FaceReport, ...]:
    """Reports of regions that a person drew, numbered `after` the faces. No face was found there to compare with."""
    return tuple(
        FaceReport(after + k, _box(region.box), 0.0, str(region.treatment), "redacted", (),
                   f"covered as drawn ({region.treatment.how})")
        for k, region in enumerate(drawn, 1)
    )


def is_too_small(box: NDArray[np.float32]) -> bool:
    """Whether a face in this box (x1 y1 x2 y2) has too few pixels for a verdict on it to mean much."""
    return float(box[3] - box[1]) < MIN_JUDGED_PX


def summary(reports: Sequence[FaceReport], nets: Networks) -> str:
    """The verdict on a photo in one or two sentences."""
    if not reports:
        return f"{nets.detector.name} finds no face in the original, so nothing was judged."
    counts = {status: sum(face.status == status for face in reports) for status in typing.get_args(FaceStatus)}
    silent = [s.name for s in nets.recognisers if calibration.find(s.name) is None]
    count = len(nets.recognisers) - len(silent)
    if count > 1:
        recognisers = f"any of the {count} recognisers here"
    elif nets.judges or len(nets.surrogates) > 1:
        recognisers = "the one recogniser here that can judge"
    else:
        recognisers = "the one recogniser here, which is the one it was made against"
    parts = []
    if counts["protected"]:
        parts.append(f"{counts['protected']} of {len(reports)} faces no longer matched by {recognisers}")
    if counts["redacted"]:
        parts.append(f"{counts['redacted']} covered")
    if counts["kept"]:
        parts.append(f"{counts['kept']} LEFT AS IT WAS, as you chose" if counts["kept"] == 1 else
                     f"{counts['kept']} LEFT AS THEY WERE, as you chose")
    if counts["matched"]:
        parts.append(f"{counts['matched']} STILL MATCHED")
    if counts["lost"]:
        parts.append(f"{counts['lost']} not found in their place any more, which is not protection")
    if counts["too_small"]:
        parts.append(f"{counts['too_small']} too small to judge")
    words = "; ".join(parts) + "."
    if nets.judges:
        words += (f" Made against {len(nets.surrogates)}, judged by {count}: "
                  f"{', '.join(s.name for s in nets.judges)} was kept out of the making.")
    if silent:
        words += f" {', '.join(silent)} did not judge: nobody measured which similarity means what to it."
    return words


def report(
    written: Photo, output: Path, original: Photo, faces: Sequence[FaceReport], nets: Networks, settings: Settings
) -> Report:
    """The report of a file just written; `output` is the name it is about to get."""
    made = _report(written, original, tuple(faces), summary(faces, nets), nets, settings)
    return dataclasses.replace(made, output=output.name, notes=(*made.notes, *original.notes))


def _report(
    photo: Photo, original: Photo | None, faces: tuple[FaceReport, ...], words: str, nets: Networks, settings: Settings
) -> Report:
    names = [s.name for s in nets.recognisers]
    is_alone = len(names) == 1 and any(face.treatment.startswith("cloak") for face in faces)
    return Report(
        input=photo.path.name if original is None else original.path.name,
        output=None if original is None else photo.path.name,
        input_sha256=photo.sha256 if original is None else original.sha256,
        output_sha256=None if original is None else photo.sha256,
        size=(photo.pixels.shape[1], photo.pixels.shape[0]),
        faces=faces,
        words=words,
        settings=dataclasses.asdict(settings),
        versions={
            "facecloak": cloak.__version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("torch", "facenet-pytorch", "opencv-python", "pillow")},
        },
        weights={
            **{name: entry.sha256 for name, entry in weights.registry().items() if name.startswith(settings.detector)},
            **{name: weights.sha256_of(name) for name in names},
        },
        notes=(*(() if original is None else original.notes), *([ALONE] if is_alone else ()), LIMITS),
    )


def _verdict(surrogate: Surrogate, before: float, after: float, *, is_surrogate: bool = True) -> Verdict:
    curve = calibration.curve(surrogate.name)
    threshold = curve.threshold(calibration.VERDICT_FMR)
    return Verdict(
        recogniser=surrogate.name,
        is_surrogate=is_surrogate,
        similarity_before=before,
        similarity_after=after,
        fmr_before=curve.fmr_at(before),
        fmr_after=curve.fmr_at(after),
        is_matched=after >= threshold,
        threshold=threshold,
        threshold_fmr=calibration.VERDICT_FMR,
    )


def _face_report(
    i: int,
    faces: Faces,
    verdicts: tuple[Verdict, ...],
    treatment: Treatment | None,
    *,
    is_lost: bool,
    blind: Collection[str] = (),
) -> FaceReport:
    """`blind`: recognisers to which the original face is as good as an empty picture."""
    if treatment == KEEP:
        return FaceReport(i + 1, _box(faces.boxes[i]), float(faces.scores[i]), str(treatment), "kept", (),
                          "left as it was, as you chose")
    matching = [v.recogniser for v in verdicts if v.is_matched]
    height = float(faces.boxes[i, 3] - faces.boxes[i, 1])
    status: FaceStatus
    is_covered = treatment is not None and treatment.kind == "redact"
    if is_covered and set(matching) <= set(blind):
        # They match what is empty with what is empty: no wider cover would change that
        status, words = "redacted", f"covered ({treatment.how})"  # type: ignore[union-attr]
        if matching:
            words += f"; to {', '.join(matching)} it looked like an empty picture before and after"
    elif matching:
        status, words = "matched", f"STILL MATCHED by {', '.join(matching)}"
    elif is_lost:
        status, words = "lost", "not found in its place any more; others may find it. Not protected"
    elif is_too_small(faces.boxes[i]):
        status, words = "too_small", f"{height:.0f} px high, too small to judge. Redact it"
    else:
        status, words = "protected", f"no longer matched by {', '.join(v.recogniser for v in verdicts)}"
        if (weakest := min(v.fmr_after for v in verdicts)) < _BARELY_FMR:
            words += f", but barely: whoever accepts 1 stranger in {1 / weakest:.0f} still does"
    named = "" if treatment is None else str(treatment)
    return FaceReport(i + 1, _box(faces.boxes[i]), float(faces.scores[i]), named, status, verdicts, words)


def _partners(
    faces: Faces, found: Faces, original: Photo, written: Photo
) -> tuple[list[int | None], Faces | None]:
    """For each original face the index of the found face in its place; and the original faces at the written size.

    The second is None where the file was cropped or turned, so that places mean nothing.
    """
    height, width = written.pixels.shape[:2]
    sx, sy = width / original.pixels.shape[1], height / original.pixels.shape[0]
    if abs(sx / sy - 1) > _SAME_ASPECT:
        return [None] * len(faces), None
    # Pixel centres: the point p of the original lies at (p + 0.5) * s - 0.5; box edges are not centres.
    landmarks = ((faces.landmarks + 0.5) * (sx, sy) - 0.5).astype(np.float32)
    placed = Faces((faces.boxes * (sx, sy, sx, sy)).astype(np.float32), landmarks, faces.scores)
    partners: list[int | None] = []
    for box in placed.boxes:
        overlap = _iou(found.boxes, box)
        best = int(np.argmax(overlap)) if len(found) else -1
        partners.append(best if best >= 0 and overlap[best] > _SAME_FACE_IOU else None)
    return partners, placed


def _iou(boxes: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of (N, 4) boxes with one (4,)."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.clip(sides, 0, None).prod(1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - shared
    return np.asarray(shared / np.maximum(area, 1e-9), np.float32)


def _reencoded(original: Photo, settings: Settings) -> Pixels:
    """The unprotected photo written the way the output is: what the file alone does to a similarity."""
    return io_image.decode_pixels(
        io_image.encode_photo(original, original.pixels, jpeg_quality=settings.jpeg_quality)
    )


def _box(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(float(v), 1) for v in box)
    return x1, y1, x2, y2
