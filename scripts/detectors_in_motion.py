"""What CenterFace finds of smeared faces as published and as taught: writes `evaluation/results/detectors-motion.json`.

    python scripts/detectors_in_motion.py REAL.mp4 [--truth crowd.mp4 ...] [--out FILE]

The real clip has no ground truth, and takes part in no training. What the published network finds in its sharp frames
at full size is taken for the truth, which favours that network; then the frames are smeared by a share of the faces'
height, darkened and made noisy, and both networks look at them as `cloak video` does. Clips with ground truth beside
them (`crowd.json`) are looked at as they are.

Networks score differently. Each is given the threshold at which it says one face too many per frame, and three.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from cloak.detectors.centerface import CenterFace
from cloak.types import Pixels
from evaluation import metrics, record

RESULT = Path(__file__).parent.parent / "evaluation" / "results" / "detectors-motion.json"
NETWORKS = {"CenterFace": False, "CenterFace in motion": True}
SMEARS = (0.0, 0.4, 0.8, 1.2)
FALSE_PER_FRAME = (1.0, 3.0)
_EVERY = 8
_LOOKED_AT_PX = 960
_LOWEST = 0.05
_SAME_IOU = 0.3
# What the published network must be sure of in a sharp frame to be the truth, and what may be there as well
_SURE, _MAYBE = 0.5, 0.15
_SMALLEST_PX = 20
_LIGHT, _NOISE = 0.6, 6.0

Boxes = NDArray[np.float64]


def overlaps(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    """(N, M) intersection over union."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = (high - low).clip(0).prod(-1)
    areas = [(one[:, 2:] - one[:, :2]).prod(-1) for one in (boxes, others)]
    return np.asarray(both / np.maximum(areas[0][:, None] + areas[1][None] - both, 1e-9))


def smeared(pixels: Pixels, length: float, rng: np.random.Generator) -> Pixels:
    """The frame as a camera in the dark would see it that moves by `length` pixels, mostly sideways."""
    picture: Any = pixels.astype(np.float32)
    if length >= 1:
        heading = rng.normal(0, 0.5)
        side = 2 * math.ceil(length / 2) + 1
        kernel = np.zeros((side, side), np.float32)
        for share in np.linspace(-0.5, 0.5, 8 * side):
            x, y = (round(side // 2 + share * length * by) for by in (math.cos(heading), math.sin(heading)))
            kernel[y, x] += 1
        picture = cv2.filter2D(picture, -1, kernel / kernel.sum())
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * _NOISE
    return np.asarray(np.clip(picture * _LIGHT + noise, 0, 255), np.uint8)


class Tally:
    """The scores of faces that are there, and of what is said to be one and is not."""

    def __init__(self) -> None:
        self.hits: list[float] = []
        self.false: list[float] = []
        self.frames = 0

    def add(self, boxes: Boxes, scores: NDArray[np.float64], faces: Boxes, others: Boxes) -> None:
        """One frame: what was found, the faces that count, and places where finding something is not wrong."""
        self.frames += 1
        near = overlaps(faces, boxes) > _SAME_IOU
        self.hits += [float(np.where(row, scores, 0).max(initial=0)) for row in near]
        elsewhere = ~(near.any(0) | (overlaps(others, boxes) > _SAME_IOU).any(0))
        self.false += scores[elsewhere].tolist()

    def at(self, false_per_frame: float) -> dict[str, Any]:
        worst = sorted(self.false, reverse=True)
        allowed = int(false_per_frame * self.frames)
        threshold = worst[allowed] if allowed < len(worst) else _LOWEST
        found = sum(score > threshold for score in self.hits)
        rate = metrics.proportion(found, len(self.hits))
        return {"threshold": threshold, "faces": len(self.hits), "found": found, "recall": dataclasses.asdict(rate)}


def _frames(clip: Path) -> Iterator[tuple[int, Pixels]]:
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % _EVERY == 0:
                yield number, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _found(network: CenterFace, pixels: Pixels, longest: int) -> tuple[Boxes, NDArray[np.float64]]:
    scale = min(1.0, longest / max(pixels.shape[:2]))
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    faces = network.glance(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), _LOWEST)
    return faces.boxes.astype(float) / scale, faces.scores.astype(float)


def on_real(clip: Path, networks: dict[str, CenterFace]) -> dict[str, Any]:
    """Recall of both networks by how much the frames of a clip were smeared, in heights of the median face."""
    teacher = networks["CenterFace"]
    tallies = {(smear, name): Tally() for smear in SMEARS for name in networks}
    rng = np.random.default_rng(0)
    for _, pixels in _frames(clip):
        boxes, scores = _found(teacher, pixels, max(pixels.shape[:2]))
        tall = boxes[:, 3] - boxes[:, 1] >= _SMALLEST_PX
        faces, others = boxes[tall & (scores >= _SURE)], boxes[scores >= _MAYBE]
        height = float(np.median(faces[:, 3] - faces[:, 1])) if len(faces) else 0.0
        for smear in SMEARS:
            shown = smeared(pixels, smear * height, rng)
            for name, network in networks.items():
                tallies[smear, name].add(*_found(network, shown, _LOOKED_AT_PX), faces, others)
    return {f"{smear:g}": {name: _rates(tallies[smear, name]) for name in networks} for smear in SMEARS}


def on_truth(clip: Path, networks: dict[str, CenterFace]) -> dict[str, Any]:
    """Recall of both networks in a clip with ground truth, by how much each face is smeared."""
    truth = json.loads(clip.with_suffix(".json").read_text("utf-8"))["frames"]
    bands = {"under 0.2": (0.0, 0.2), "0.2 to 0.5": (0.2, 0.5), "0.5 to 0.8": (0.5, 0.8), "over 0.8": (0.8, math.inf)}
    tallies = {(band, name): Tally() for band in bands for name in networks}
    for number, pixels in _frames(clip):
        judged = [face for face in truth[number] if face["visible"] >= 0.5 and face["height_px"] >= _SMALLEST_PX]
        everyone = _boxes(truth[number])
        for name, network in networks.items():
            found = _found(network, pixels, _LOOKED_AT_PX)
            for band, (low, high) in bands.items():
                inside = [face for face in judged if low <= face["blur_px"] / face["height_px"] < high]
                tallies[band, name].add(*found, _boxes(inside), everyone)
    return {band: {name: _rates(tallies[band, name]) for name in networks} for band in bands}


def _rates(tally: Tally) -> dict[str, Any]:
    return {f"{allowed:g}": tally.at(allowed) for allowed in FALSE_PER_FRAME}


def _boxes(faces: Iterable[dict[str, Any]]) -> Boxes:
    return np.array([face["box"] for face in faces], float).reshape(-1, 4)


def measure(real: Path, truths: Sequence[Path]) -> dict[str, Any]:
    networks = {name: CenterFace(in_motion=in_motion) for name, in_motion in NETWORKS.items()}
    return {"protocol": {"real": real.name, "truth": [clip.name for clip in truths], "every_nth_frame": _EVERY,
                         "longest_side_px": _LOOKED_AT_PX, "light": _LIGHT, "noise_levels": _NOISE,
                         "same_iou": _SAME_IOU, "smallest_px": _SMALLEST_PX},
            "real": on_real(real, networks), "truth": {clip.stem: on_truth(clip, networks) for clip in truths}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("--truth", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    content = measure(given.real, given.truth)
    record.write(given.out, "detectors_motion", content)
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
