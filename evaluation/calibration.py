"""How alike strangers are to each matcher: what a quick check goes by when no gallery is at hand.

The committed file holds thresholds and counts; no name, no template and no photo can be had from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evaluation import metrics, record
from evaluation.matchers import Matcher, similarities
from evaluation.reading import Reader
from evaluation.samples import SamplesUnusable, photos_by_subject

PATH = Path(__file__).parent / "calibration.json"
KIND = "calibration"
FMRS = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4, "1e-5": 1e-5}

Thresholds = dict[str, float]  # by name of the FMR


def measure(reader: Reader, folder: Path) -> dict[str, Any]:
    """Compare one photo of everybody with one of everybody else.

    Args:
        folder: in LFW layout.
    Raises:
        SamplesUnusable: fewer than two people whose face is found.
    """
    photos = [paths[0] for paths in photos_by_subject(folder).values()]
    try:
        templates = [found for path in photos if (found := reader.templates(path)) is not None]
    finally:
        reader.save()
    if len(templates) < 2:
        raise SamplesUnusable(f"{folder}: {len(templates)} people with a face that is found; nobody to compare.")
    above = np.triu_indices(len(templates), 1)
    matchers = {}
    for name, matcher in reader.matchers.items():
        stacked = np.concatenate([found[name] for found in templates])
        non_mated = similarities(stacked, stacked, matcher.metric)[above]
        matchers[name] = {
            "metric": matcher.metric,
            "weights_sha256": matcher.weights_sha256,
            "comparisons": non_mated.size,
            "thresholds": {fmr: round(t, 5) for fmr, t in metrics.thresholds_shown(FMRS, non_mated).items()},
        }
    return {"people": len(templates), "people_without_a_face": len(photos) - len(templates), "matchers": matchers}


def thresholds_of(matcher: Matcher, document: dict[str, Any]) -> Thresholds | None:
    """Of the network that this matcher runs; None when the file does not know that one."""
    known = document["matchers"].get(matcher.name)
    if known is None or known["weights_sha256"] != matcher.weights_sha256 or known["metric"] != matcher.metric:
        return None
    return {str(fmr): float(threshold) for fmr, threshold in known["thresholds"].items()}


def read(path: Path = PATH) -> dict[str, Any]:
    """The committed thresholds.

    Raises:
        ResultUnreadable: no such file, or one of another kind.
    """
    document = record.read(path)
    if document["kind"] != KIND:
        raise record.ResultUnreadable(f"{path}: is of kind {document['kind']!r}, not {KIND}. Nothing was judged.")
    return document
