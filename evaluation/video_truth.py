"""How often search by video finds the right person, on clips whose people are known.

The clips of the data pack move one photo of each person about. So two galleries are searched. **same photo**: that
photo of everybody, which says how much the clip itself destroys and little about real searches. **other photo**:
another photo of those who have one, and the people of the clip who have none are not enrolled, which shows how often a
stranger is named.

A person counts as found when she is the first of the list; at FPIR 0.01 she must also be above the threshold, which is
the one of photos. Three ways to search a track: one frame (the mean over its frames), the frame with the most alike
answer, and the mean template. Faces that are not detected count as not found, and are tabulated apart.

The copies in results/video-search.json were painted from the truth by tools/paint_gt.py of the data pack: nothing was
missed by a tool: solid and box-blur (an ellipse, as video tools do it) at 1.3 times the box; naive-blur with a sigma of
0.046 of that height, which is `arms.NAIVE_BLUR` of the face's width; leaky-solid leaves every tenth frame as it is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import adaptive, metrics, video_search
from evaluation.faces import overlaps
from evaluation.reading import Reader
from evaluation.samples import SamplesUnusable, photos_by_subject
from evaluation.tracks import Box, Templates, Track
from evaluation.video_search import Answer, Answers, Known

FOUND_IOU = 0.35
# As ../tools/coverage.py of the data pack judges.
MIN_VISIBLE, MIN_HEIGHT_PX = 0.5, 20
HEIGHTS_PX = (20, 40, 80)
WAYS = ("one_frame", "best_frame", "average")

Galleries = dict[str, Known]


@dataclass(frozen=True, slots=True)
class Truth:
    """Who is where in a clip."""

    subjects: dict[int, str]  # by track
    boxes: dict[int, NDArray[np.float32]]  # by frame: (N, 4)
    owners: dict[int, list[int]]  # by frame: the track of each box
    judged: dict[int, set[int]]  # by frame: tracks large and visible enough to be demanded
    height_px: dict[int, float]  # by track: the largest

    def scaled(self, factor: float) -> Truth:
        """Of a copy of another size. Who is demanded stays, so that copies of all sizes are asked for the same."""
        return replace(self, boxes={number: boxes * np.float32(factor) for number, boxes in self.boxes.items()})


def read_truth(path: Path, every: int = 1) -> Truth:
    """A ground truth of tools/crowd_clip.py of the data pack, at every n-th frame; tracks never demanded are left out.

    Raises:
        SamplesUnusable: another format, or nobody is ever large and visible enough.
    """
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SamplesUnusable(f"{path}: no ground truth ({error}). Nothing was judged.") from error
    if not isinstance(document, dict) or document.get("format") != "crowd-gt-1":
        raise SamplesUnusable(f"{path}: not a ground truth of format crowd-gt-1. Nothing was judged.")
    boxes, owners, judged, heights = {}, {}, {}, dict[int, float]()
    for number in range(0, len(document["frames"]), every):
        people = document["frames"][number]
        boxes[number] = np.array([one["box"] for one in people], np.float32).reshape(-1, 4)
        owners[number] = [int(one["track"]) for one in people]
        demanded = [one for one in people if one["visible"] >= MIN_VISIBLE and one["height_px"] >= MIN_HEIGHT_PX]
        judged[number] = {int(one["track"]) for one in demanded}
        for one in demanded:
            heights[int(one["track"])] = max(heights.get(int(one["track"]), 0.0), float(one["height_px"]))
    if not heights:
        raise SamplesUnusable(f"{path}: no face is {MIN_HEIGHT_PX} px high and visible. Nothing was judged.")
    subjects = {track: str(document["tracks"][str(track)]["subject"]) for track in heights}
    return Truth(subjects, boxes, owners, judged, heights)


def photos_to_enrol(folder: Path, truth: Truth) -> dict[str, dict[str, Sequence[Path]]]:
    """Photo of each subject, for both galleries; see the head of this file."""
    photos = photos_by_subject(folder)
    shown = set(truth.subjects.values())
    if missing := sorted(shown - set(photos)):
        raise SamplesUnusable(f"{folder}: no photo of {missing[:3]}, who are in the clip. Nothing was judged.")
    return {
        "same_photo": {subject: paths[:1] for subject, paths in photos.items()},
        "other_photo": {
            subject: paths[1:2] if subject in shown else paths[:1]
            for subject, paths in photos.items()
            if subject not in shown or len(paths) > 1
        },
    }


def parroted(
    photos: Mapping[str, Mapping[str, Sequence[Path]]],
    treat: Callable[[Path, Path, Box], Path],
    folder: Path,
    reader: Reader,
) -> dict[str, Galleries]:
    """The same galleries of the same photos after a treatment of the face: both lost the same, see `adaptive`.

    The searcher has the clear photo, so eyes, nose and mouth are taken from there; no face there, not enrolled.
    """
    every = {path for of in photos.values() for paths in of.values() for path in paths}

    def process(paths: Sequence[Path], _: Path) -> dict[Path, Path]:
        return {path: treat(path, folder / path.parent.name, reader.main_box(path)) for path in paths}

    templates: dict[Path, Templates | None] = {}
    for path in sorted(every):
        # One photo at a time, so that the copies do not pile up.
        if reader.finds(path):
            templates |= adaptive.parrot([path], process, folder, reader.detector(), reader.matchers, by_hand=True)
            (folder / path.parent.name / f"{path.stem}.png").unlink(missing_ok=True)
    galleries = {}
    for kind, of in photos.items():
        there = [(subject, one) for subject, paths in of.items() for path in paths if (one := templates.get(path))]
        galleries[kind] = {
            name: video_search.known([subject for subject, _ in there], [one[name] for _, one in there],
                                     reader.maker(name))
            for name in reader.matchers
        }  # fmt: skip
    return galleries


def rates(sighted: Sequence[Track], truth: Truth, galleries: Mapping[str, Galleries], seed: int = 0) -> dict[str, Any]:
    """How often the tracks of one clip lead to their people, ready for JSON."""
    owners = [_owners(track, truth) for track in sighted]
    demanded = [(number, one) for number, tracks in truth.judged.items() for one in tracks]
    seen = {(s.frame, one) for track, row in zip(sighted, owners) for s, one in zip(track.sightings, row)}
    detected = {one for row in owners for one in row if one in truth.subjects}
    assigned = [Counter(one for one in row if one is not None).most_common(1) for row in owners]
    pure = sum(most[0][1] for most in assigned if most)
    return {
        "people": len(truth.subjects),
        "people_never_detected": len(truth.subjects) - len(detected),
        "faces": len(demanded),
        "faces_detected": sum(one in seen for one in demanded),
        "false_faces": sum(one is None for row in owners for one in row),
        "tracks": len(sighted),
        "purity": pure / max(sum(one is not None for row in owners for one in row), 1),
        "galleries": {
            kind: {
                "enrolled": len(next(iter(of.values())).gallery),
                "matchers": {
                    name: _of_one_matcher(sighted, owners, truth, name, one, seed) for name, one in of.items()
                },
            }
            for kind, of in galleries.items()
        },
    }


def _of_one_matcher(
    sighted: Sequence[Track], owners: Sequence[list[int | None]], truth: Truth, name: str, known: Known, seed: int
) -> dict[str, Any]:
    frames: dict[int, list[Answer]] = {one: [] for one in truth.subjects}
    means: dict[int, list[Answer]] = {one: [] for one in truth.subjects}
    for track, row in zip(sighted, owners):
        answers: Answers = video_search.search(track, {name: known})[name]
        for answer, one in zip(answers.frames, row):
            if one in frames:
                frames[one].append(answer)
        most = Counter(one for one in row if one in means).most_common(1)
        if most and most[0][0] is not None:
            means[most[0][0]].append(answers.average)
    enrolled = set(known.gallery.subjects.tolist())
    mates = [one for one, subject in truth.subjects.items() if subject in enrolled]
    strangers = [one for one, subject in truth.subjects.items() if subject not in enrolled]
    # A frame that was demanded and in which the face was not detected is one without an answer.
    wanted = Counter(one for there in truth.judged.values() for one in there)

    def shares(one: int, right: Any) -> dict[str, float]:
        best, mean = _most_alike(frames[one]), _most_alike(means[one])
        return {
            "one_frame": min(sum(map(right, frames[one])) / max(wanted[one], len(frames[one]), 1), 1.0),
            "best_frame": float(best is not None and right(best)),
            "average": float(mean is not None and right(mean)),
        }

    def rate(people: Sequence[int], by_person: Mapping[int, dict[str, float]], way: str) -> dict[str, Any]:
        return asdict(metrics.rate(np.array([by_person[one][way] for one in people]), seed))

    first = {one: shares(one, lambda a, s=truth.subjects[one]: a.subject == s) for one in mates}
    above = {one: shares(one, lambda a, s=truth.subjects[one]: a.subject == s and a.above) for one in mates}
    false = {one: shares(one, lambda a: a.above) for one in strangers}
    heights = {one: int(np.searchsorted(HEIGHTS_PX, truth.height_px[one], side="right")) - 1 for one in mates}
    return {
        "threshold": known.threshold,
        "mates": len(mates),
        "strangers": len(strangers),
        "rank_1": {way: rate(mates, first, way) for way in WAYS} if mates else {},
        "at_fpir_0.01": {way: rate(mates, above, way) for way in WAYS} if mates else {},
        "strangers_named": {way: rate(strangers, false, way) for way in WAYS} if strangers else {},
        "rank_1_by_height_px": {
            f"from_{low}": {"people": len(group)}
            | {way: float(np.mean([first[one][way] for one in group])) for way in WAYS if group}
            for i, low in enumerate(HEIGHTS_PX)
            for group in [[one for one in mates if heights[one] == i]]
        },
    }


def _most_alike(answers: Sequence[Answer]) -> Answer | None:
    return max(answers, key=lambda answer: answer.similarity, default=None)


def _owners(track: Track, truth: Truth) -> list[int | None]:
    """The true track of each sighting, or None where there is no face."""
    found: list[int | None] = []
    for sighting in track.sightings:
        boxes = truth.boxes[sighting.frame]
        alike = overlaps(boxes, sighting.box) if len(boxes) else np.zeros(1, np.float32)
        found.append(truth.owners[sighting.frame][int(alike.argmax())] if alike.max() > FOUND_IOU else None)
    return found
