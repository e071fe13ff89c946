"""How many faces a detector misses, one of the engine or of the judge: it decides what gets protected at all.

Pictures and boxes come from the data pack. A face counts as found when a box overlaps its own by more than
0.35 (intersection over union). Boxes that touch no labelled face are false positives where the labels are
complete.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.clips import ClipUnreadable
from evaluation.faces import Pixels, decode, overlaps
from evaluation.samples import SamplesUnusable

Boxes = NDArray[np.float32]  # (N, 4) x1 y1 x2 y2, pixels
Find = Callable[[Path], Boxes]

FOUND_IOU = 0.35
# A box on nothing: below this overlap with every label. Between the two it is badly placed, and no error.
NOTHING_IOU = 0.1
HEIGHTS_PX = (20, 32, 64, 128)
CLIPS = ("crowd-street", "crowd-hard")
EVERY = 10  # frames; neighbours look alike
MIN_VISIBLE = 0.5  # as ../tools/coverage.py of the data pack judges


@dataclass(frozen=True, slots=True)
class Labelled:
    """One picture and its faces. All faces, `judged` or not, excuse a box that lies on them."""

    path: Path
    boxes: Boxes
    judged: NDArray[np.bool_]  # (N,) large and visible enough to be demanded
    complete: bool  # no face in the picture is without a box


def measure(detectors: Mapping[str, Find], data: Path, work: Path) -> dict[str, Any]:
    """Recall by face height, false positives and processor seconds per megapixel, decoding included."""
    sets = {"dlib-faces": list(group_photos(data)), "lfw-dev": list(portraits(data))}
    sets |= {clip: list(frames(data, clip, work / clip)) for clip in CLIPS}
    return {
        name: {of: score(find, pictures) for of, pictures in sets.items()} for name, find in detectors.items()
    }


def score(find: Find, pictures: list[Labelled]) -> dict[str, Any]:
    """One detector on one set."""
    wanted, hits = np.zeros(len(HEIGHTS_PX), int), np.zeros(len(HEIGHTS_PX), int)
    false_positives, seconds, megapixels = 0, 0.0, 0.0
    for picture in pictures:
        started = time.process_time()
        found = find(picture.path)
        seconds += time.process_time() - started
        with Image.open(picture.path) as header:
            megapixels += header.width * header.height / 1e6
        for box in picture.boxes[picture.judged]:
            bucket = max(int(np.searchsorted(HEIGHTS_PX, box[3] - box[1], side="right")) - 1, 0)
            wanted[bucket] += 1
            hits[bucket] += len(found) > 0 and overlaps(found, box).max() > FOUND_IOU
        if picture.complete:
            labels = picture.boxes
            false_positives += sum(
                not len(labels) or overlaps(labels, box).max() < NOTHING_IOU for box in found
            )
    return {
        "faces": int(wanted.sum()),
        "recall": float(hits.sum() / max(wanted.sum(), 1)),
        "by_height_px": {
            f"from_{low}": {"faces": int(n), "found": int(hit)}
            for low, n, hit in zip(HEIGHTS_PX, wanted, hits, strict=True)
        },
        "false_positives": int(false_positives),
        "pictures_with_complete_labels": sum(picture.complete for picture in pictures),
        "processor_s_per_megapixel": seconds / megapixels,
    }


def group_photos(data: Path) -> Iterator[Labelled]:
    """Nine group photos with 43 boxes, and one photo with two."""
    folder = data / "photos"
    for name, boxes in _labels(folder / "dlib-faces" / "boxes.json")["photos"].items():
        yield _all_judged(folder / "dlib-faces" / name, boxes, complete=True)
    two = _labels(folder / "two-faces.json")
    yield _all_judged(folder / "two-faces.jpg", two["boxes"], complete=True)


def portraits(data: Path) -> Iterator[Labelled]:
    """The main face of 699 photos; complete where three detectors saw no other."""
    folder = data / "lfw-dev"
    for name, face in _labels(folder / "face-boxes.json")["photos"].items():
        yield _all_judged(folder / name, [face["box"]], complete=face["faces"] == 1)


def frames(data: Path, clip: str, folder: Path) -> Iterator[Labelled]:
    """Every tenth frame of a clip with exact labels, written as PNG: detectors read files as always."""
    labels = _labels(data / "video" / f"{clip}.json")["frames"]
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(_frames(data / "video" / f"{clip}.mp4")):
        if number % EVERY:
            continue
        path = folder / f"{number:05d}.png"
        Image.fromarray(pixels).save(path, compress_level=1)
        people = labels[number]
        boxes = np.array([person["box"] for person in people], np.float32).reshape(-1, 4)
        judged = [p["visible"] >= MIN_VISIBLE and p["height_px"] >= HEIGHTS_PX[0] for p in people]
        yield Labelled(path, boxes, np.array(judged, bool), complete=True)


def own(weights: Path) -> dict[str, Find]:
    """The judge's own detectors, for comparison. Those that have their boxes in YuNet's shape have them so here too."""
    from evaluation.faces import YuNet
    from evaluation.hog import Hog
    from evaluation.mtcnn import Mtcnn

    def finder(detector: YuNet | Hog | Mtcnn) -> Find:
        return lambda path: detector.find(decode(path)).boxes

    return {"yunet": finder(YuNet(weights / "yunet_n.onnx")), "hog": finder(Hog()), "mtcnn": finder(Mtcnn())}


def _all_judged(path: Path, boxes: list[list[float]], *, complete: bool) -> Labelled:
    return Labelled(path, np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), bool), complete)


def _labels(path: Path) -> dict[str, Any]:
    try:
        labels = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SamplesUnusable(f"{path}: no labels ({error}). Nothing was judged.") from error
    return dict(labels)


def _frames(path: Path) -> Iterator[Pixels]:
    clip = cv2.VideoCapture(str(path))
    if not clip.isOpened():
        raise ClipUnreadable(f"{path}: not a readable clip. Nothing measured.")
    try:
        while True:
            read, bgr = clip.read()
            if not read:
                return
            yield np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        clip.release()
