"""What the detector for clips is taught: scripts/detector_samples.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

PATH = Path(__file__).parent.parent / "scripts" / "detector_samples.py"


@pytest.fixture(scope="module")
def samples():
    spec = importlib.util.spec_from_file_location("detector_samples", PATH)
    module = sys.modules["detector_samples"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def truth_of(samples, box, **more):
    box = np.array(box, float)
    points = box[:2] + np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * (box[2:] - box[:2])
    return samples.Truth(box, points, 0.9, 1, **more)


def test_targets_read_as_the_detector_reads_the_network_give_the_faces_back(samples):
    truths = [truth_of(samples, (40, 60, 81, 110)), truth_of(samples, (200.5, 13, 209, 24.5))]
    heat, counts, told = samples.targets(truths)
    assert heat.shape == counts.shape == (96, 96) and counts.all()
    for truth, row in zip(truths, told):
        y, x = int(row[0]), int(row[1])
        assert heat[y, x] == 1
        size = np.exp(row[[3, 2]]) * 4
        centre = (np.array([x, y]) + row[[5, 4]] + 0.5) * 4
        np.testing.assert_allclose(np.concatenate([centre - size / 2, centre + size / 2]), truth.box, atol=1e-3)
        points = row[6:].reshape(5, 2)[:, ::-1] * size + centre - size / 2
        np.testing.assert_allclose(points, truth.landmarks, atol=1e-3)


@pytest.mark.parametrize(("more", "box"), [({"visible": 0.3}, (40, 60, 81, 110)), ({}, (40, 60, 43, 64)),
                                           ({}, (-60, 60, -20, 110))])
def test_what_is_half_hidden_tiny_or_outside_is_neither_right_nor_wrong(samples, more, box):
    heat, counts, told = samples.targets([truth_of(samples, box, **more)])
    assert not heat.any() and not len(told)
    if box[0] > 0:
        assert not counts[int((box[1] + box[3]) / 8), int((box[0] + box[2]) / 8)]


def test_boxes_follow_the_face_that_is_pasted(samples, tmp_path):
    """A black disc stands for a face in white portraits; what is pasted and said to be one must be dark inside."""
    photo = np.full((250, 250, 3), 255, np.uint8)
    cv2.circle(photo, (125, 125), 40, (0, 0, 0), -1)
    cv2.imwrite(str(tmp_path / "disc.png"), photo)
    points = np.array([[110, 115], [140, 115], [125, 125], [113, 140], [137, 140]], float)
    known = samples.Known(str(tmp_path / "disc.png"), np.array([[85, 85, 165, 165]], float), points[None], np.ones(1))
    rng = np.random.default_rng(3)
    seen = 0
    for _ in range(40):
        canvas, owner = np.full((384, 384, 3), 255, np.uint8), np.zeros((384, 384), np.int32)
        for truth in samples._paste(rng, canvas, owner, 1, known, (60, 90)):
            x, y = ((truth.box[:2] + truth.box[2:]) / 2).astype(int)
            if samples._visible(truth, owner) < 0.99:
                continue
            seen += 1
            assert canvas[y - 3 : y + 4, x - 3 : x + 4].mean() < 200
            assert 50 < truth.box[3] - truth.box[1] < 110
            assert (truth.landmarks[0, 0] < truth.landmarks[1, 0]) and (truth.landmarks[0, 1] < truth.landmarks[3, 1])
    assert seen > 10


def test_a_smear_keeps_the_light_and_is_as_long_as_the_motion(samples):
    kernel = samples._smear(20.0, 0.0)
    assert kernel.sum() == pytest.approx(1) and (kernel.sum(axis=0) > 1e-6).sum() in (21, 22)
    assert (kernel.sum(axis=1) > 1e-6).sum() == 1
    assert samples._smear(1.0, 0.5) is None


def test_one_seed_gives_one_sample_and_another_another(samples, portrait):
    pixels = cv2.resize(cv2.imread(str(portrait)), (250, 250))
    scene = samples.Known("scene", np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros(0), pixels)
    path = portrait.parent / "astronaut-250.png"
    known = samples.Known(str(path), np.array([[98, 30, 130, 72]], float), np.full((1, 5, 2), 50.0), np.ones(1))
    samples._read, before = (lambda name: pixels), samples._read
    try:
        (one, _), (again, _), (other, _) = (samples.sample(np.random.default_rng(n), [known], [scene])
                                            for n in (1, 1, 2))
    finally:
        samples._read = before
    assert one.shape == (384, 384, 3) and (one == again).all() and (one != other).any()
