"""The network that learns a tool's way back, on patterns whose way back is known."""

import numpy as np
import pytest
import torch

from evaluation import purifier
from evaluation.faces import ARCFACE_TEMPLATE, Faces
from evaluation.samples import SamplesUnusable


def smooth_pictures(count, side, seed):
    """Soft blots: pictures in which a fine pattern is the only fine thing."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = draw.normal(size=(count, 3, 4))
    shapes = (np.stack([np.sin(3 * x), np.cos(3 * y), x * y, x - y]).reshape(4, -1))
    values = 128 + 40 * (waves @ shapes).reshape(count, 3, side, side).transpose(0, 2, 3, 1)
    return np.clip(values, 30, 225).astype(np.uint8)


def with_pattern(pictures):
    """The same chequered pattern of 12 levels on every picture."""
    y, x = np.mgrid[: pictures.shape[1], : pictures.shape[2]]
    sign = np.where((x // 2 + y // 2) % 2 == 0, 12, -12)[None, :, :, None]
    return (pictures.astype(int) + sign).astype(np.uint8)


@pytest.fixture(scope="module")
def trained():
    clean = smooth_pictures(24, 32, seed=0)
    return purifier.train(with_pattern(clean), clean, steps=150, seed=0)


def test_it_learns_to_take_away_a_pattern_it_has_seen_on_other_pictures(trained):
    clean = smooth_pictures(8, 32, seed=1)
    before = np.abs(with_pattern(clean).astype(int) - clean).mean()
    after = np.abs(trained.restore(with_pattern(clean)).astype(int) - clean).mean()
    assert before == 12 and after < 4
    assert trained.record["mean_error_levels"]["last_steps"] < trained.record["mean_error_levels"]["first_steps"] / 2
    assert trained.record["cpu_s"] > 0 and trained.record["pairs"] == 24


def test_untrained_it_changes_nothing():
    clean = smooth_pictures(3, 32, seed=2)
    network = purifier.train(clean, clean, steps=0, seed=0)
    assert np.array_equal(network.restore(clean), clean) and network.restore(clean[:0]).shape == (0, 32, 32, 3)


def test_the_same_seed_gives_the_same_network_and_global_state_is_left_alone():
    clean = smooth_pictures(4, 32, seed=3)
    state = torch.get_rng_state()
    one, two, other = (purifier.train(with_pattern(clean), clean, steps=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    restored = [network.restore(with_pattern(clean)) for network in (one, two, other)]
    assert np.array_equal(restored[0], restored[1]) and not np.array_equal(restored[0], restored[2])


def test_rows_that_are_no_pairs_are_refused():
    clean = smooth_pictures(2, 32, seed=0)
    for treated in (clean[:1], clean[:, :16]):
        with pytest.raises(SamplesUnusable, match="not pairs"):
            purifier.train(treated, clean, steps=1, seed=0)
    with pytest.raises(SamplesUnusable):
        purifier.train(clean[:0], clean[:0], steps=1, seed=0)


@pytest.mark.parametrize("size", [0.8, 2.5])
def test_a_crop_knows_where_the_face_went(size):
    """Five dots where the landmarks are: in the crop they are where it says, in the place the template has."""
    points = (ARCFACE_TEMPLATE * size + [40, 30]).astype(np.float32)
    pixels = np.zeros((400, 420, 3), np.uint8)
    y, x = np.mgrid[:400, :420]
    for px, py in points:
        pixels[np.hypot(x - px, y - py) <= 2.5 * size] = 255
    box = np.array([[60, 50, 60 + 70 * size, 50 + 90 * size]], np.float32)
    picture, faces = purifier.crop(pixels, Faces(box, points[None], np.ones(1, np.float32), False))
    assert picture.shape == (purifier.CROP_PX, purifier.CROP_PX, 3)
    margin = (purifier.CROP_PX - 112 * purifier.SCALE) / 2
    assert faces.landmarks[0] == pytest.approx(ARCFACE_TEMPLATE * purifier.SCALE + margin, abs=0.1)
    assert all(picture[round(float(y)), round(float(x))].min() > 200 for x, y in faces.landmarks[0])
    assert faces.boxes[0, 2] - faces.boxes[0, 0] == pytest.approx(70 * purifier.SCALE, abs=0.1)
