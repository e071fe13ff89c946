"""The photo measurement with Amazon Rekognition as the searcher.

Per arm: is the person a candidate at similarity 80 and at 99, at which rank is she when no threshold is used, and in
how many files does the service see no face at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import metrics
from evaluation.files import sha256_of
from evaluation.rekognition import THRESHOLDS, Box, Candidates, Collection, Service, collection, left_over, prepare
from evaluation.samples import Sample, SamplesUnusable

RANKS = (1, 10, 50)
Files = Mapping[Sample, Path]


def photos_to_send(arms: Mapping[str, Files], probes: Sequence[Sample], distractors: Mapping[str, Path]) -> int:
    """How many different photos `measure` would send: the number to ask consent for."""
    return len({sha256_of(path) for path in _all(arms, probes, distractors)})


def measure(
    arms: Mapping[str, Files],
    probes: Sequence[Sample],
    distractors: Mapping[str, Path],
    boxes: Mapping[Sample, Box],
    service: Service,
    seed: int = 0,
) -> dict[str, Any]:
    """Enrol the mates and the distractors, search for every file of every arm, delete the collection.

    Args:
        distractors: one photo per subject; a probe's own entry is left out, her mates stand for her.
        boxes: where the face is in each clean probe, in pixels.
    Raises:
        SamplesUnusable: an arm without files, or a probe of whom no mate could be enrolled.
        RekognitionFailed: see `rekognition`; also when a photo is too small, before anything is sent.
    """
    if not arms or not all(arms.values()):
        raise SamplesUnusable("an arm without files. Nothing was sent.")
    for path in _all(arms, probes, distractors):
        prepare(path)
    warnings = [
        f"collection {one.name} is left over from {one.started:%Y-%m-%d %H:%M} UTC, or another run is using it."
        for one in left_over(service)
    ]
    with collection(service) as people:
        not_enrolled = _enrol(people, probes, distractors)
        faces = people.check()
        heights = {sample: prepare(sample.probe).height for sample in probes}
        results = {name: _searched(files, people, boxes, heights, seed) for name, files in arms.items()}
    return {
        "service": {"name": "Amazon Rekognition", "region": service.upload.region, "photos_sent": service.sent},
        "gallery_faces": faces,
        "gallery_photos_without_a_face": not_enrolled,
        "arms": results,
        "warnings": warnings,
    }


def _enrol(people: Collection, probes: Sequence[Sample], distractors: Mapping[str, Path]) -> int:
    """Fills the gallery and counts the photos in which the service saw no face."""
    lost = 0
    for sample in probes:
        enrolled = [people.enrol(sample.subject, prepare(path)) for path in sample.mates]
        if not any(enrolled):
            raise SamplesUnusable(f"{sample.subject}: the service sees no face in any mate. Nothing was judged.")
        lost += enrolled.count(False)
    known = {sample.subject for sample in probes}
    for subject, path in distractors.items():
        if subject not in known:
            lost += not people.enrol(subject, prepare(path))
    return lost


def _searched(
    files: Files, people: Collection, boxes: Mapping[Sample, Box], heights: Mapping[Sample, int], seed: int
) -> dict[str, Any]:
    found: list[Candidates | None] = []
    for sample, path in files.items():
        picture = prepare(path)
        found.append(people.search(picture, boxes[sample] * np.float32(picture.height / heights[sample])))
    subjects = [sample.subject for sample in files]

    def rate(values: list[bool]) -> dict[str, float]:
        return asdict(metrics.rate(np.array(values, np.float64), seed))

    similarities = [_similarity(one, subject) for one, subject in zip(found, subjects, strict=True)]
    ranks = [_rank(one, subject) for one, subject in zip(found, subjects, strict=True)]
    return {
        "subjects": len(subjects),
        "not_found": found.count(None),
        # The service returns what is at least as alike as its threshold.
        "candidate": {str(threshold): rate([s >= threshold for s in similarities]) for threshold in THRESHOLDS},
        "strangers_per_search": {str(t): _strangers(found, subjects, t) for t in THRESHOLDS},
        **{f"rank_{k}": rate([rank <= k for rank in ranks]) for k in RANKS},
    }


def _similarity(found: Candidates | None, subject: str) -> float:
    if found is None or subject not in found.subjects:
        return float("-inf")
    return found.similarities[found.subjects.index(subject)]


def _rank(found: Candidates | None, subject: str) -> float:
    """1 is first; ties go to the mate, that is against the protection."""
    own = _similarity(found, subject)
    if found is None or own == float("-inf"):
        return float("inf")
    return 1 + sum(similarity > own for similarity in found.similarities)


def _strangers(found: Sequence[Candidates | None], subjects: Sequence[str], threshold: int) -> float:
    """Mean number of other people on the list of one search."""
    counts = [
        0 if one is None else sum(
            name != subject and similarity >= threshold
            for name, similarity in zip(one.subjects, one.similarities, strict=True)
        )
        for one, subject in zip(found, subjects, strict=True)
    ]  # fmt: skip
    return float(np.mean(counts))


def _all(arms: Mapping[str, Files], probes: Sequence[Sample], distractors: Mapping[str, Path]) -> list[Path]:
    known = {sample.subject for sample in probes}
    return [
        *(path for files in arms.values() for path in files.values()),
        *(mate for sample in probes for mate in sample.mates),
        *(path for subject, path in distractors.items() if subject not in known),
    ]
