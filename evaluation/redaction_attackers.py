"""Searchers who want to know who is under a blur, a mosaic or a cover.

- `by_hand`: eyes, nose and mouth marked by hand, as a person can who sees a head. Done from the untreated photo, so it
  is an upper bound; that a detector does not find a redacted face protects nobody from such a searcher.
- `sharpened`: what a photo editor can do before matching.
- `averaged`: one template from several redacted photos of one person, or from the frames of a track.
- `classify`: parrot training. The searcher redacts photos of those he looks for, learns what each looks like redacted,
  and names the person in another redacted photo.

A network that learns to undo a redaction is `purifier`; a gallery redacted alike is `adaptive.parrot`.

Budget on one core: 40 ms per photo to sharpen, a second of training for 50 people with 7 photos each. A network trained
for this on a graphics card does better (McPherson et al. 2016, https://arxiv.org/abs/1609.00408).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation import metrics
from evaluation.adaptive import Box
from evaluation.faces import Faces, Pixels
from evaluation.samples import SamplesUnusable

Features = NDArray[np.float32]  # (N, F)

# What is left of noise in a recompressed photo, as a share of the power of the picture at each frequency.
NOISE = 2e-3
# Components of the features kept before classes are told apart, and the share of the identity in their covariance.
COMPONENTS = 100
SHRINKAGE = 0.3
# Of the picture a classifier starts from that knows nothing of faces; finer than any mosaic it is shown.
PIXEL_SIDE = 28


def by_hand(clean: Faces, before: tuple[int, ...], after: tuple[int, ...]) -> Faces:
    """Where the face of a photo is in a treated file of another size, from where it was."""
    factor = np.float32(after[0] / before[0])
    shift = np.float32((factor - 1) / 2)
    return Faces(clean.boxes * factor, clean.landmarks * factor + shift, clean.scores, clean.enlarged)


def sharpened(pixels: Pixels, box: Box, *, sigma: float) -> Pixels:
    """Wiener's filter for a Gaussian blur, on the face box x 1.6; the rest stays as it is.

    Args:
        sigma: of the blur, as a share of the width of the face box.
    Source: Wiener 1949; Gonzalez and Woods, Digital Image Processing, section 5.8.
    """
    width = float(box[2] - box[0])
    sigma_px = max(sigma * width, 0.3)
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * 1.6
    left, top = np.maximum(centre - half, 0).astype(int)
    right, bottom = np.minimum(centre + half, pixels.shape[1::-1]).astype(int)
    area = pixels[top:bottom, left:right].astype(np.float64)
    if min(area.shape[:2]) < 4:
        return pixels
    # Mirrored at the rim, so that the far side of the area does not ring into this one.
    pad = int(np.ceil(4 * sigma_px))
    wide = np.pad(area, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    rows, columns = (np.fft.fftfreq(side) for side in wide.shape[:2])
    # The Fourier transform of a Gaussian of that deviation
    transfer = np.exp(-2 * (np.pi * sigma_px) ** 2 * (rows[:, None] ** 2 + columns[None] ** 2))
    inverse = (transfer / (transfer**2 + NOISE))[..., None]
    restored = np.fft.ifft2(np.fft.fft2(wide, axes=(0, 1)) * inverse / inverse[0, 0], axes=(0, 1)).real
    result = np.array(pixels, np.uint8)
    result[top:bottom, left:right] = np.clip(np.rint(restored[pad:-pad, pad:-pad]), 0, 255)
    return result


def smoothed(pixels: Pixels, box: Box, *, cell: float) -> Pixels:
    """The edges of a mosaic's cells taken away, then sharpened.

    Sigmas of 0.35 and 0.3 cells came nearest to the picture, on a portrait that nobody is judged by.

    Args:
        cell: side of a cell, as a share of the width of the face box.
    """
    sigma_px = max(0.35 * cell * float(box[2] - box[0]), 0.3)
    blurred = np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma_px), np.uint8)
    left, top, right, bottom = np.rint(np.concatenate([box[:2], box[2:]])).astype(int)
    result = pixels.copy()
    place = np.s_[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    result[place] = blurred[place]
    return sharpened(result, box, sigma=0.3 * cell)


def averaged(templates: Sequence[NDArray[np.float32] | None], *, unit: bool) -> NDArray[np.float32] | None:
    """The mean template (1, D) of several looks at one person; None where none of them shows a face.

    Args:
        unit: every look counts the same, whatever the length of its template, as is right under the cosine.
    """
    seen = [template for template in templates if template is not None]
    if not seen:
        return None
    rows = np.concatenate(seen).astype(np.float64)
    if unit:
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(rows.mean(0, keepdims=True), np.float32)


def pixel_features(chip: Pixels) -> NDArray[np.float32]:
    """(F,): the colours of a chip, made small."""
    small = cv2.resize(chip, (PIXEL_SIDE, PIXEL_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small.astype(np.float32).ravel() / 255, np.float32)


def classify(
    learnt: Features, names: Sequence[str], tried: Features, truth: Sequence[str], *, seed: int = 0
) -> dict[str, Any]:
    """Name the person in each redacted photo, from other redacted photos of everybody.

    Discriminant analysis: principal components, shrunk within-person whitening, the nearest person's mean by the
    cosine. Ties share a hit.

    Args:
        learnt: (N, F) of photos of `names`, two or more of each person.
        tried: (M, F) of other photos of the same people, `truth`.
    Returns:
        top-1 and top-5 accuracy with 95 % interval by person, and the chance of each.
    Raises:
        SamplesUnusable: somebody to be named who was not learnt, or with one photo only, or fewer than two people.
    """
    people = sorted(set(names))
    counts = np.array([list(names).count(name) for name in people])
    if len(people) < 2 or counts.min() < 2 or not set(truth) <= set(people):
        raise SamplesUnusable("a classifier needs two people or more, two photos of each, and to know whom it is tried "
                              "on. Nothing was learnt.")
    started = time.process_time()
    owners = np.array([people.index(name) for name in names])
    mean = learnt.mean(0, dtype=np.float64)
    _, strengths, axes = np.linalg.svd(learnt - mean, full_matrices=False)
    # What 8 bits cannot tell apart is no component: constants have none at all.
    kept = int((strengths[:COMPONENTS] > 1e-4 * np.sqrt(len(learnt))).sum())
    if kept:
        x, z = ((side - mean) @ axes[:kept].T for side in (learnt, tried))
        means = np.stack([x[owners == k].mean(0) for k in range(len(people))])
        residual = x - means[owners]
        values, vectors = np.linalg.eigh(residual.T @ residual / max(len(x) - len(people), 1))
        whitening = vectors / np.sqrt((1 - SHRINKAGE) * np.maximum(values, 0) + SHRINKAGE * values.mean() + 1e-12)
        scores = _directions(z @ whitening) @ _directions(means @ whitening).T
    else:
        scores = np.zeros((len(tried), len(people)))
    right = np.array([people.index(name) for name in truth])
    own = scores[np.arange(len(right)), right][:, None]
    ahead, equal = (scores > own).sum(1), (scores == own).sum(1)  # equal counts the person herself
    by_person = [np.flatnonzero(right == k) for k in sorted(set(right.tolist()))]

    def top(length: int) -> dict[str, float]:
        hits = np.clip((length - ahead) / equal, 0, 1)
        return asdict(metrics.rate(np.array([hits[rows].mean() for rows in by_person]), seed))

    return {
        "people": len(people),
        "photos_learnt": len(learnt),
        "photos_tried": len(tried),
        "components": kept,
        "top_1": top(1),
        "top_5": top(5),
        "chance_top_1": 1 / len(people),
        "chance_top_5": min(5 / len(people), 1.0),
        "cpu_s": time.process_time() - started,
        "seed": seed,
    }


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float64)
