"""Whether what `--ensure` lets through is still matched, judged on the written files of real photos.

The judge looks for the faces itself, in the original. A face that only the judge sees was never protected, and is
counted apart: `--ensure` can promise nothing about it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import arms, metrics, protect
from evaluation.errors import EvaluationFailed
from evaluation.faces import Faces, Pixels, decode, face_at, overlaps
from evaluation.files import sha256_of
from evaluation.matchers import similarities
from evaluation.reading import Reader
from evaluation.run import SAME_NETWORK
from evaluation.samples import MATES, SamplesUnusable, photos_by_subject

FMR = 1e-3
SAME_FACE_IOU = 0.3
# Nobody chooses to keep a face in this measurement, so a kept one is no less bare than a matched one.
SETTLED = frozenset({"protected", "redacted"})
COVERED = "redact"


class WrittenUnusable(EvaluationFailed):
    """A written file cannot be laid over its original."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The photos of one run, and who sets the thresholds: nobody is in both."""

    groups: tuple[Path, ...]
    portraits: tuple[Path, ...]
    strangers: tuple[Path, ...]  # one photo of each other person

    @property
    def photos(self) -> tuple[Path, ...]:
        return self.groups + self.portraits


@dataclass(frozen=True, slots=True)
class Judged:
    """One face that the judge sees in an original, looked for in the written file."""

    photo: str  # first digits of the sha256 of the original
    height_px: float
    treatment: str | None  # that remained, as the engine says; None: the engine saw no face here
    # Similarities of the face in the original, by matcher
    in_place: dict[str, float]  # with the written file, at the place the face has in the original
    found_again: dict[str, float] | None  # with the face that the judge finds there in the written file, if any
    to_black: dict[str, float]  # with a black picture


def choose(data: Path, folder: str, count: int, *, skip: int = 0) -> Chosen:
    """All group photos of the data pack, filled up to `count` with one photo each of people of an LFW folder.

    Only people with at most `MATES` photos: they are too few to be probes, so no measurement has cloaked them and no
    preset was tuned on them. They come in the order of the digests of their names.

    Args:
        skip: leave out so many of these people, who were looked at before.
    Raises:
        SamplesUnusable: too few photos.
    """
    groups = (*sorted((data / "photos" / "dlib-faces").glob("*.jpg")), data / "photos" / "two-faces.jpg")
    people = photos_by_subject(data / folder)
    fresh = [subject for subject, paths in people.items() if len(paths) <= MATES]
    fresh.sort(key=lambda subject: hashlib.sha1(subject.encode()).digest()[-4:])
    wanted = fresh[skip : skip + max(count - len(groups), 0)]
    if len(groups) + len(wanted) != count:
        raise SamplesUnusable(
            f"{data}: {len(groups)} group photos and {len(fresh)} people who were never cloaked do not give {count} "
            "photos. Nothing was judged."
        )
    strangers = tuple(paths[0] for subject, paths in people.items() if subject not in set(wanted))
    return Chosen(groups, tuple(people[subject][0] for subject in wanted), strangers)


def measure(reader: Reader, chosen: Chosen, strength: str, work: Path, **options: Any) -> dict[str, Any]:
    """Let the engine ensure the photos and judge what it wrote.

    Args:
        strength: where the engine starts.
        work: folder for the written files.
        options: passed on to the engine.
    """
    thresholds, comparisons = thresholds_among(reader, chosen.strangers)
    outcomes = protect.outcomes(chosen.photos, work / "written", strength, ensure=True, **options)
    written = [one for one in outcomes if one.written is not None]
    faces = [face for one in written for face in judge(reader, one)]
    made = protect.recognisers(strength, **options)
    installed = {SAME_NETWORK.get(name, name) for names in made.values() for name in names}
    matchers = {
        name: {
            "installed": name in installed,
            "threshold": thresholds[name],
            "non_mated_comparisons": comparisons[name],
            **counts(faces, {name: thresholds[name]}),
        }
        for name in reader.matchers
    }
    controls = {name: _control(reader, written, name, thresholds, work) for name in ("no-op", "solid box")}
    reader.save()
    return {
        "engine": protect.engine_settings(strength, ensure=True, **options),
        "recognisers": {
            name: {"sha256": sha256, "made_against": name in made["made_against"]}
            for one in written[:1]
            for name, sha256 in one.weights.items()
            if name in made["made_against"] + made["kept_out"]
        },
        "photos": {
            "asked": len(outcomes),
            "groups": len(chosen.groups),
            "written": len(written),
            "refused": [{"photo": _label(one.source), "why": one.error} for one in outcomes if one.written is None],
        },
        "engine_faces": _engine_faces(written, faces),
        "judge_faces": {
            "seen": len(faces),
            "never_seen_by_the_engine": sum(face.treatment is None for face in faces),
        },
        "matchers": matchers,
        "any_installed": counts(faces, {name: thresholds[name] for name in reader.matchers if name in installed}),
        "controls": controls,
        "faces": [asdict(face) for face in faces],
        "warnings": _warnings(matchers, controls, written),
    }


def thresholds_among(reader: Reader, strangers: Sequence[Path]) -> tuple[dict[str, float], dict[str, int]]:
    """By matcher the threshold at `FMR`, and the comparisons behind it: every photo with every other one, clean.

    Args:
        strangers: one photo each of different people; one without a face is left out.
    """
    try:
        found = [templates for path in strangers if (templates := reader.templates(path)) is not None]
    finally:
        reader.save()
    thresholds, comparisons = {}, {}
    for name, matcher in reader.matchers.items():
        rows = np.concatenate([templates[name] for templates in found])
        scores = similarities(rows, rows, matcher.metric)[np.triu_indices(len(rows), 1)]
        thresholds[name], comparisons[name] = metrics.threshold_at(FMR, scores), int(scores.size)
    return thresholds, comparisons


def judge(reader: Reader, outcome: protect.Outcome) -> list[Judged]:
    """Every face that the judge sees in the original of a written photo, looked for in the file.

    The file is read at the very place of the face in the original, and again where the judge still finds a face in
    that place: a searcher may hold the original or not. Either is enough for a match. The place is what a matcher
    reads of it: an ONNX network takes the five landmarks, dlib the box, in which it looks for landmarks of its own.

    Raises:
        WrittenUnusable: the file has not the size of its original.
    """
    assert outcome.written is not None
    _, faces, _ = reader.find(outcome.source)
    _, found, _ = reader.find(outcome.written)
    original, written = decode(outcome.source), decode(outcome.written)
    if original.shape != written.shape:
        raise WrittenUnusable(f"{outcome.written}: {written.shape}, its original {original.shape}. Nothing was judged.")
    treated = partners(faces.boxes, outcome.boxes)
    nothing = np.zeros_like(original)
    judged = []
    for i, place in enumerate(treated):
        face = faces.only(i)
        again = face_at(found, faces.boxes[i])
        partner = None if again is None else found.only(again)
        judged.append(Judged(
            photo=_label(outcome.source),
            height_px=round(float(faces.boxes[i, 3] - faces.boxes[i, 1]), 1),
            treatment=None if place is None else outcome.treatments[place],
            in_place=_alike(reader, original, face, written, face),
            found_again=None if partner is None else _alike(reader, original, face, written, partner),
            to_black=_alike(reader, original, face, nothing, face),
        ))
    return judged


def counts(faces: Sequence[Judged], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """How many faces any of these matchers still matches: with a similarity at or above its threshold.

    A covered face that is as alike to a black picture is counted apart, in `alike_when_empty`: darkness matches
    darkness, and no wider cover would change that. A face that was not covered has no such excuse.
    """
    seen = [face for face in faces if face.treatment is not None]
    unseen = [face for face in faces if face.treatment is None]
    by = {id(face): _matching(face, thresholds) for face in faces}
    empty = [face for face in seen if by[id(face)] and all(_is_empty(face, name, thresholds) for name in by[id(face)])]
    matched = [face for face in seen if by[id(face)] and face not in empty]
    of, still = Counter(face.treatment for face in seen), Counter(face.treatment for face in matched)
    return {
        "matched": _share(len(matched), len(seen)),
        "matched_at_the_place_in_the_original": sum(
            any(face.in_place[name] >= threshold for name, threshold in thresholds.items()) for face in matched
        ),
        "by_treatment": {str(name): _share(still[name], of[name]) for name in sorted(of, key=str)},
        "alike_when_empty": len(empty),
        "never_seen": _share(sum(bool(by[id(face)]) for face in unseen), len(unseen)),
    }


def partners(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> list[int | None]:
    """For each of the boxes (N, 4) the index of the other one (M, 4) in its place, each used once at most."""
    if not len(boxes) or not len(others):
        return [None] * len(boxes)
    overlap = np.stack([overlaps(others, box) for box in boxes])
    best = overlap.argmax(axis=1)
    return [
        int(j) if overlap[i, j] > SAME_FACE_IOU and int(overlap[:, j].argmax()) == i else None
        for i, j in enumerate(best)
    ]


def _matching(face: Judged, thresholds: Mapping[str, float]) -> list[str]:
    """The matchers to which the face in the file is the one in the original."""
    return [
        name for name, threshold in thresholds.items()
        if face.in_place[name] >= threshold or (face.found_again is not None and face.found_again[name] >= threshold)
    ]


def _is_empty(face: Judged, matcher: str, thresholds: Mapping[str, float]) -> bool:
    return str(face.treatment).startswith(COVERED) and face.to_black[matcher] >= thresholds[matcher]


def _alike(reader: Reader, original: Pixels, face: Faces, written: Pixels, place: Faces) -> dict[str, float]:
    """By matcher the similarity of one face of the original with what stands at one place of another picture."""
    return {
        name: float(similarities(matcher.embed(original, face), matcher.embed(written, place), matcher.metric)[0, 0])
        for name, matcher in reader.matchers.items()
    }


def _engine_faces(written: Sequence[protect.Outcome], faces: Sequence[Judged]) -> dict[str, Any]:
    """What the reports say of the faces in the written files."""
    treatments = [treatment for one in written for treatment in one.treatments]
    statuses = [status for one in written for status in one.statuses]
    return {
        "seen": len(treatments),
        "by_treatment": dict(sorted(Counter(treatments).items())),
        "covered_as_too_small": sum(sum(one.too_small) for one in written),
        "by_status": dict(sorted(Counter(statuses).items())),
        "not_settled": sum(status not in SETTLED for status in statuses),
        "not_seen_by_the_judge": len(treatments) - sum(face.treatment is not None for face in faces),
    }


def _control(
    reader: Reader, written: Sequence[protect.Outcome], kind: str, thresholds: Mapping[str, float], work: Path
) -> dict[str, Any]:
    """The same judgement of files whose outcome is known: every face stands as it was, or under a black box."""
    judged = []
    for number, one in enumerate(written):
        folder = work / kind.replace(" ", "-") / str(number)
        _, faces, _ = reader.find(one.source)
        file = arms.no_op(one.source, folder)
        if kind == "solid box":
            for box in faces.boxes:
                file = arms.solid_box(file, folder / "boxed", box)
        treatment = "cloak" if kind == "no-op" else COVERED
        n = len(faces)
        judged += judge(reader, protect.Outcome(
            one.source, file, None, faces.boxes, (treatment,) * n, ("protected",) * n, (False,) * n, {}
        ))
    return {name: counts(judged, {name: threshold}) for name, threshold in thresholds.items()}


def _warnings(
    matchers: Mapping[str, Any], controls: Mapping[str, Any], written: Sequence[protect.Outcome]
) -> list[str]:
    """What contradicts the promise of `--ensure`, and controls that misbehave."""
    found = []
    for name, one in matchers.items():
        if one["installed"] and one["matched"]["count"]:
            found.append(f"{name}, which is installed, still matches {one['matched']['count']} faces.")
        if controls["no-op"][name]["matched"]["count"] != controls["no-op"][name]["matched"]["of"]:
            found.append(f"no-op: {name} does not match every face with itself.")
        if controls["solid box"][name]["matched"]["count"]:
            found.append(f"solid box: {name} still matches {controls['solid box'][name]['matched']['count']} faces.")
    unsettled = sum(status not in SETTLED for one in written for status in one.statuses)
    if unsettled:
        found.append(f"{unsettled} faces in written files are not settled, by the engine's own reports.")
    return found


def _share(count: int, of: int) -> dict[str, Any]:
    """Of none there is no rate."""
    return {"count": count, "of": of, **(asdict(metrics.proportion(count, of)) if of else {})}


def _label(photo: Path) -> str:
    """A result is published and names nobody."""
    return sha256_of(photo)[:12]
