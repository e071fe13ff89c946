"""Groups that results are told apart by: how large a face is, how far it is turned, and what a data set says of people.

Pose is guessed from the five landmarks alone. In the frame of the eyes (x along them, so that tilt does not count) the
nose tip lies between the eyes; it stands out of the face, so a turned head moves it towards one eye:

    turn = 2 (nose - middle of the eyes) / distance of the eyes

With the eyes r to the left and right of the middle and the nose tip d before their plane, a head turned by an angle a,
seen from afar, has its eyes r cos a from the middle and its nose d sin a: turn = (d / r) tan a. That is plain
projection; d / r is an assumption. Pupils are 63 mm apart (Dodgson 2004, https://doi.org/10.1117/12.529999), so r is
31.5 mm, and d is taken to be as much. So the bounds of 20 and 45 degrees are turns of 0.36 and 1.0, where the nose is
in front of one eye. The rule is off for other noses, for wide lenses, and where a detector guesses the hidden eye of a
profile. It sorts, it does not measure.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EvaluationFailed

# Heights of a face box: too small to be cloaked; small in a crowd; a person of a group; a portrait.
SIZES_PX = {"under 32 px": 0, "32-63 px": 32, "64-127 px": 64, "128 px and more": 128}

NOSE_BEFORE_EYES = 1.0  # d / r above
HALF_TURN, PROFILE_TURN = 20.0, 45.0  # degrees

ATTRIBUTES = "attributes.csv"


class AttributesUnusable(EvaluationFailed):
    """The data set's table of attributes cannot be read."""


def of(landmarks: NDArray[np.floating], box: NDArray[np.floating]) -> dict[str, str]:
    """Group of one face by kind of group.

    Args:
        landmarks: (5, 2) x y: eyes, nose, mouth corners; image-left first.
        box: (4,) x1 y1 x2 y2, pixels.
    """
    return {"size": size(box), "pose": pose(landmarks)}


def size(box: NDArray[np.floating]) -> str:
    """Group of a face box (4,) by its height."""
    height = float(box[3] - box[1])
    return [name for name, least in SIZES_PX.items() if height >= least][-1] if height > 0 else "unknown"


def pose(landmarks: NDArray[np.floating]) -> str:
    """frontal, half or profile from landmarks (5, 2); unknown where they are no face."""
    degrees = abs(turn_degrees(landmarks))
    if np.isnan(degrees):
        return "unknown"
    return "frontal" if degrees < HALF_TURN else "half" if degrees < PROFILE_TURN else "profile"


def turn_degrees(landmarks: NDArray[np.floating]) -> float:
    """About how far the head is turned, positive to the right of the picture; NaN where both eyes are in one place."""
    left, right, nose = np.asarray(landmarks, np.float64)[:3]
    across = right - left
    distance = float(np.hypot(*across))
    if not np.isfinite(landmarks).all() or distance < 1e-6:
        return float("nan")
    sideways = float((nose - (left + right) / 2) @ across) / distance
    return float(np.degrees(np.arctan(2 * sideways / distance / NOSE_BEFORE_EYES)))


def attributes(folder: Path) -> dict[str, dict[str, str]]:
    """What a data set says of its people: of each subject, group by kind of group; {} where it says nothing.

    `attributes.csv` has a header whose first field is `subject`; an empty cell is left out.
    Raises:
        AttributesUnusable: another header, an attribute twice, a row of another length, or a subject twice.
    """
    path = folder / ATTRIBUTES
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows or not rows[0] or rows[0][0] != "subject" or len(set(rows[0])) < len(rows[0]):
        raise AttributesUnusable(
            f"{path}: its first line must be subject,<attribute>,... without a name twice. Nothing was judged."
        )
    kinds, found = rows[0][1:], dict[str, dict[str, str]]()
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]) or row[0] in found:
            fields = f"a subject of its own and {len(rows[0])} fields"
            raise AttributesUnusable(f"{path}: line {number} has not {fields}. Nothing was judged.")
        found[row[0]] = {kind: cell for kind, cell in zip(kinds, row[1:]) if cell}
    return found


def count(groups: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, int]]:
    """How many members each group of each kind has: a rate over few of them says little."""
    counted: dict[str, dict[str, int]] = {}
    for one in groups.values():
        for kind, name in one.items():
            of_kind = counted.setdefault(kind, {})
            of_kind[name] = of_kind.get(name, 0) + 1
    return counted
