"""Any face recogniser in an ONNX file, described by a small TOML.

The TOML names: file, sha256, licence, size (px), channels ("RGB" or "BGR"), mean and std (per channel, on the
[0, 1] scale, in the order of `channels`), template ("arcface").
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from evaluation.faces import Faces, Pixels, chip
from evaluation.files import verified
from evaluation.matchers import Metric, TemplateBroken

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

FIELDS = {"file", "sha256", "licence", "size", "channels", "mean", "std", "template"}


class OnnxMatcher:
    """One network through onnxruntime on one thread: the same bits every time, and it shares the machine."""

    def __init__(self, description: Path, weights: Path) -> None:
        fields = tomllib.loads(description.read_text())
        if set(fields) != FIELDS:
            raise ValueError(
                f"{description}: fields differ from {sorted(FIELDS)}: {sorted(set(fields) ^ FIELDS)}."
            )
        if fields["channels"] not in ("RGB", "BGR") or fields["template"] != "arcface":
            raise ValueError(f"{description}: channels must be RGB or BGR and template must be arcface.")
        path = verified(weights / fields["file"], fields["sha256"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._size_px = int(fields["size"])
        self._reverse = fields["channels"] == "BGR"
        self._mean = np.array(fields["mean"], np.float32)
        self._std = np.array(fields["std"], np.float32)
        self.name = description.stem
        self.metric: Metric = "cosine"
        self.weights_sha256 = str(fields["sha256"])
        self.runtime = f"onnxruntime {onnxruntime.__version__}"

    def embed(self, pixels: Pixels, faces: Faces) -> NDArray[np.float32]:
        """See `Matcher.embed`."""
        chips = np.stack([chip(pixels, points, self._size_px) for points in faces.landmarks])
        channels = chips[..., ::-1] if self._reverse else chips
        scaled = (channels.astype(np.float32) / 255 - self._mean) / self._std
        (vectors,) = self._session.run(
            None, {self._input: np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))}
        )
        templates = np.asarray(vectors, np.float32)
        if templates.ndim != 2 or len(templates) != len(chips):
            raise TemplateBroken(
                f"{self.name}: output is {templates.shape} for {len(chips)} faces: no face recogniser."
            )
        return templates
