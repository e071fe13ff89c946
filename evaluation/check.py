"""Two files, in seconds: do the judge's own detectors and matchers still know the faces of the first in the second?

check = compare(Path("march.jpg"), Path("march.cloaked.jpg"), open_judges(weights))
check.faces[0].status, exit_code(check)

Each face is looked at twice, by the detectors and at the place where it was in the original, and the higher
similarity counts: a searcher may mark the eyes by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation import calibration, matchers
from evaluation.calibration import Thresholds
from evaluation.errors import EvaluationFailed
from evaluation.faces import Faces, PhotoUnreadable, Pixels, YuNet, decode, overlaps
from evaluation.files import FileMissing, sha256_of
from evaluation.hog import Hog
from evaluation.matchers import Matcher, similarities
from evaluation.reading import Detector

FMR = "1e-3"
ONE_IN = {"1e-2": "100", "1e-3": "1,000", "1e-4": "10,000", "1e-5": "100,000"}
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})

# One face, as `faces.face_at` has it.
SAME_FACE_IOU = 0.3
# The faces behind the thresholds are about 64 to 180 px high; the engine gives no verdict below this height either.
SMALL_PX = 32
# Sides that differ by more were cropped: rounding after scaling stays below it.
SAME_ASPECT = 0.02
# What lies around the faces must correlate so much, in 32 x 32 grey pixels, for places to mean the same in both files.
# Re-encoding and scaling leave 0.99 and more; a picture that fails only gets the stricter comparison with every face.
SAME_VIEW = 0.9
AROUND = 2.0  # a cover takes hair, ears and chin with the face

Status = Literal["matched", "unmatched", "lost", "unclear", "too small"]
Templates = dict[str, NDArray[np.float32]]  # by matcher, (N, D)


class CheckImpossible(EvaluationFailed):
    """The question makes no sense as it was asked."""


@dataclass(frozen=True, slots=True)
class Judges:
    """Who is asked, and who is not."""

    detectors: Mapping[str, Detector]
    matchers: Mapping[str, Matcher]
    thresholds: Mapping[str, Thresholds]  # by matcher
    not_asked: Mapping[str, str]  # by name, why
    uncalibrated: tuple[str, ...] = ()  # those of `not_asked` whose file is here


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a picture, as each detector that found it sees it."""

    box: NDArray[np.float32]  # (4,) of the first detector
    seen: Mapping[str, Faces]  # by detector, one face each


@dataclass(frozen=True, slots=True)
class Answer:
    """What one matcher says."""

    matcher: str
    similarity: float
    threshold: float
    is_matched: bool
    strictest: str | None  # name of the lowest false match rate at which it matches; None when at none that is known


@dataclass(frozen=True, slots=True)
class Search:
    """What one matcher finds among the photos of a folder with one protected face."""

    matcher: str
    nearest: str  # file most like the protected face
    similarity: float
    is_matched: bool
    mates: int  # files in which it knows the person from the original
    mate: str | None  # the one of those that comes first
    rank: int | None  # its place
    photos: int  # searched


@dataclass(frozen=True, slots=True)
class FaceCheck:
    """One face of the original."""

    number: int
    box: tuple[int, int, int, int]  # x1 y1 x2 y2 in the original, pixels
    found_by: tuple[str, ...]  # in the original
    found_again_by: tuple[str, ...]  # in its place in the protected file
    status: Status
    answers: tuple[Answer, ...]
    searches: tuple[Search, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """Everything there is to say of two files."""

    original: str
    protected: str
    relation: Literal["one file", "identical files", "same pixels", "same view", "another view"]
    fmr: str
    faces: tuple[FaceCheck, ...]
    faces_in_protected: int
    detectors: tuple[str, ...]
    matchers: tuple[str, ...]
    not_asked: Mapping[str, str]
    uncalibrated: tuple[str, ...]  # here, and could not judge: nobody measured which similarity means what to them
    gallery: str | None
    notes: tuple[str, ...]  # of the gallery: what could not be searched


def open_judges(weights: Path, *, further: Path | None = None, calibrated: Path = calibration.PATH) -> Judges:
    """Everybody who can be asked on this machine.

    Args:
        weights: folder of the network files that come with no package; whoever's file is absent is named, not asked.
        further: folder of those that the data pack has not either; `weights` where it is None.
        calibrated: file of thresholds. Who is not in it is named, not asked: a guessed threshold would be a guessed
            verdict.
    Raises:
        FileMismatch: a file is there and is not the one it should be.
        ResultUnreadable: `calibrated` holds no thresholds.
    """
    known = calibration.read(calibrated)
    not_asked, asked, thresholds = dict[str, str](), dict[str, Matcher](), dict[str, Thresholds]()
    uncalibrated = list[str]()
    detectors = dict[str, Detector]()
    try:
        detectors["yunet"] = YuNet(weights / "yunet_n.onnx")
    except FileMissing:
        not_asked["yunet"] = f"no yunet_n.onnx in {weights}"
    detectors["hog"] = Hog()
    for name in matchers.known():
        try:
            matcher = matchers.load(name, weights, further)
        except FileMissing as error:
            not_asked[name] = str(error).partition(";")[0]
            continue
        limits = calibration.thresholds_of(matcher, known)
        if limits is None or FMR not in limits:
            not_asked[name] = (
                "its file is here, and nobody measured which similarity means what to it: cloak-eval calibrate does, "
                "on photos of many people"
            )
            uncalibrated.append(name)
            continue
        asked[name], thresholds[name] = matcher, limits
    return Judges(detectors, asked, thresholds, not_asked, tuple(uncalibrated))


def compare(
    original: Path, protected: Path, judges: Judges, *, fmr: str = FMR, gallery: Path | None = None
) -> Check:
    """Judge one protected file.

    Args:
        fmr: name of the false match rate that the searcher accepts, a key of `ONE_IN`.
        gallery: folder of photos, of one or several people, in which the protected faces are searched for.
    Raises:
        PhotoUnreadable: one of the two files is no photo.
        CheckImpossible: an empty gallery, or a rate that no threshold is known for.
    """
    if absent := [name for name in judges.matchers if fmr not in judges.thresholds[name]]:
        raise CheckImpossible(f"no threshold at {fmr} is known for {', '.join(absent)}. Nothing was judged.")
    before, after = decode(original), decode(protected)
    known, there = _faces(before, judges), _faces(after, judges)
    relation = _relation(original, protected, before, after, [face.box for face in known])
    photos, notes = _gallery(gallery, original, protected, judges) if gallery else ({}, [])
    checks = []
    for number, face in enumerate(known, start=1):
        partners, looked_at = _looks(face, there, before, after, relation)
        own, now = _templates(before, list(face.seen.values()), judges), _templates(after, looked_at, judges)
        answers = tuple(_answer(name, own[name], now[name], judges, fmr) for name in judges.matchers if name in now)
        searches = tuple(
            _search(name, own[name], now[name], photos, judges, fmr)
            for name in judges.matchers
            if photos and name in now
        )
        again = tuple(dict.fromkeys(detector for partner in partners for detector in partner.seen))
        x1, y1, x2, y2 = (round(float(value)) for value in face.box)
        is_hit = any(one.is_matched for one in answers) or any(one.is_matched for one in searches)
        checks.append(
            FaceCheck(
                number, (x1, y1, x2, y2), tuple(face.seen), again,
                _status(face, again, is_hit, bool(answers), relation, len(known), len(there)), answers, searches,
            )  # fmt: skip
        )
    return Check(
        original.name, protected.name, relation, fmr, tuple(checks), len(there), tuple(judges.detectors),
        tuple(judges.matchers), dict(judges.not_asked), judges.uncalibrated, str(gallery) if gallery else None,
        tuple(notes),
    )  # fmt: skip


def exit_code(check: Check) -> int:
    """0 when every face was judged by every recogniser that is here, and none is matched; 3 otherwise."""
    is_judged = check.faces and check.matchers and not check.uncalibrated
    return 0 if is_judged and all(face.status == "unmatched" for face in check.faces) else 3


def _status(
    face: Face, again: Sequence[str], is_hit: bool, is_judged: bool, relation: str, known: int, there: int
) -> Status:
    if is_hit:
        return "matched"
    if not is_judged or (relation == "another view" and there < known):
        # Which of the faces is missing cannot be said, so none may pass.
        return "unclear"
    if float(face.box[3] - face.box[1]) < SMALL_PX:
        return "too small"
    return "unmatched" if again else "lost"


def _relation(
    original: Path, protected: Path, before: Pixels, after: Pixels, faces: Sequence[NDArray[np.float32]]
) -> Literal["one file", "identical files", "same pixels", "same view", "another view"]:
    if original.resolve() == protected.resolve():
        return "one file"
    if sha256_of(original) == sha256_of(protected):
        return "identical files"
    if before.shape == after.shape and np.array_equal(before, after):
        return "same pixels"
    (height, width), (new_height, new_width) = before.shape[:2], after.shape[:2]
    if abs(new_width * height / (width * new_height) - 1) > SAME_ASPECT:
        return "another view"
    around = _around(faces, width, height)
    first, second = (_thumbnail(pixels)[around] for pixels in (before, after))
    first, second = first - first.mean(), second - second.mean()
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return "same view" if lengths and float(first @ second) / lengths >= SAME_VIEW else "another view"


def _around(faces: Sequence[NDArray[np.float32]], width: int, height: int) -> NDArray[np.bool_]:
    """(32, 32), true where no face is; everywhere in a picture that is nothing but faces."""
    around = np.ones((32, 32), np.bool_)
    for box in faces:
        centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * AROUND
        shares = np.concatenate([centre - half, centre + half]) / np.array([width, height, width, height])
        x1, y1 = np.floor(np.maximum(shares[:2], 0) * 32).astype(int)
        x2, y2 = np.ceil(np.maximum(shares[2:], 0) * 32).astype(int)
        around[y1:y2, x1:x2] = False
    return around if around.mean() >= 0.1 else np.ones_like(around)


def _thumbnail(pixels: Pixels) -> NDArray[np.float64]:
    """(32, 32) grey."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA), np.float64)


def _faces(pixels: Pixels, judges: Judges) -> list[Face]:
    """What any detector finds, each face once, from left to right."""
    merged: list[tuple[NDArray[np.float32], dict[str, Faces]]] = []
    for detector, one in judges.detectors.items():
        found = one.find(pixels)
        for i in range(len(found)):
            box = np.asarray(found.boxes[i], np.float32)
            boxes = np.array([other for other, _ in merged], np.float32).reshape(-1, 4)
            shared = overlaps(boxes, box)
            if len(shared) and float(shared.max()) > SAME_FACE_IOU:
                merged[int(shared.argmax())][1].setdefault(detector, found.only(i))
            else:
                merged.append((box, {detector: found.only(i)}))
    return [Face(box, seen) for box, seen in sorted(merged, key=lambda one: float(one[0][0]))]


def _looks(
    face: Face, there: Sequence[Face], before: Pixels, after: Pixels, relation: str
) -> tuple[list[Face], list[Faces]]:
    """The faces of the protected file that may be this one, and every way to look at them."""
    sx, sy = after.shape[1] / before.shape[1], after.shape[0] / before.shape[0]
    if relation == "another view":
        # The face may be anywhere, so all of them count.
        return list(there), [one for other in there for one in other.seen.values()]
    box = (face.box * np.array([sx, sy, sx, sy])).astype(np.float32)
    boxes = np.array([other.box for other in there], np.float32).reshape(-1, 4)
    partners = [other for other, shared in zip(there, overlaps(boxes, box)) if shared > SAME_FACE_IOU]
    by_hand = [_scaled(one, sx, sy) for one in face.seen.values()]
    return partners, [*(one for partner in partners for one in partner.seen.values()), *by_hand]


def _scaled(face: Faces, sx: float, sy: float) -> Faces:
    """The same place in a picture of another size; (0, 0) is the centre of the first pixel."""
    landmarks = ((face.landmarks + 0.5) * np.array([sx, sy]) - 0.5).astype(np.float32)
    boxes = (face.boxes * np.array([sx, sy, sx, sy])).astype(np.float32)
    return Faces(boxes, landmarks, face.scores, face.enlarged)


def _templates(pixels: Pixels, ways: Sequence[Faces], judges: Judges) -> Templates:
    """Of every way to look at a face; empty when there is none."""
    if not ways:
        return {}
    together = Faces(
        np.concatenate([one.boxes for one in ways]), np.concatenate([one.landmarks for one in ways]),
        np.concatenate([one.scores for one in ways]), enlarged=False,
    )  # fmt: skip
    return {name: matcher.embed(pixels, together) for name, matcher in judges.matchers.items()}


def _answer(
    name: str, own: NDArray[np.float32], now: NDArray[np.float32], judges: Judges, fmr: str
) -> Answer:
    similarity = float(similarities(own, now, judges.matchers[name].metric).max())
    limits = judges.thresholds[name]
    matching = [rate for rate in sorted(limits, key=float) if similarity >= limits[rate]]
    return Answer(name, similarity, limits[fmr], similarity >= limits[fmr], matching[0] if matching else None)


def _gallery(
    folder: Path, original: Path, protected: Path, judges: Judges
) -> tuple[dict[str, Templates], list[str]]:
    """Templates of all faces of each photo of a folder, and what could not be searched."""
    if not folder.is_dir():
        raise CheckImpossible(f"{folder}: no such folder. Nothing was judged.")
    digests = {sha256_of(protected): "the protected file itself", sha256_of(original): "the original itself"}
    photos, notes = dict[str, Templates](), list[str]()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        if same := digests.get(sha256_of(path)):
            notes.append(f"{name} is {same} and was left out")
            continue
        try:
            pixels = decode(path)
        except PhotoUnreadable:
            notes.append(f"{name} cannot be read and was not searched")
            continue
        found = _templates(pixels, [one for face in _faces(pixels, judges) for one in face.seen.values()], judges)
        if found:
            photos[name] = found
        else:
            notes.append(f"no face was found in {name}; it was not searched")
    if not photos:
        raise CheckImpossible(f"{folder}: holds no other photo with a face that is found. Nothing was judged. "
                              + "; ".join(notes))  # fmt: skip
    return photos, notes


def _search(
    name: str,
    own: NDArray[np.float32],
    now: NDArray[np.float32],
    photos: Mapping[str, Templates],
    judges: Judges,
    fmr: str,
) -> Search:
    metric, threshold = judges.matchers[name].metric, judges.thresholds[name][fmr]
    files = list(photos)
    by_original = np.array([similarities(own, photos[file][name], metric).max() for file in files])
    by_protected = np.array([similarities(now, photos[file][name], metric).max() for file in files])
    nearest = int(by_protected.argmax())
    is_mate = by_original >= threshold
    mate, rank = None, None
    if is_mate.any():
        best = int(np.where(is_mate, by_protected, -np.inf).argmax())
        mate, rank = files[best], 1 + int((by_protected[~is_mate] > by_protected[best]).sum())
    return Search(
        name, files[nearest], float(by_protected[nearest]), bool(by_protected[nearest] >= threshold),
        int(is_mate.sum()), mate, rank, len(files),
    )  # fmt: skip
