"""The network that learns a tool's way back, on patterns whose way back is known."""

import numpy as np
import pytest
import torch

from evaluation import differentiable, matchers, purifier
from evaluation.faces import ARCFACE_TEMPLATE, Faces, YuNet, chip
from evaluation.files import FileMissing
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
    return purifier.train(with_pattern(clean), clean)


def test_it_learns_to_take_away_a_pattern_it_has_seen_on_other_pictures(trained):
    clean = smooth_pictures(8, 32, seed=1)
    before = np.abs(with_pattern(clean).astype(int) - clean).mean()
    after = np.abs(trained.restore(with_pattern(clean)).astype(int) - clean).mean()
    assert before == 12 and after < 1
    errors = trained.record["errors"]
    assert errors["untreated"]["rms_levels"] == pytest.approx(12) and errors["restored"]["rms_levels"] < 1
    assert trained.record["cpu_s"] > 0 and (trained.record["pairs"], trained.record["held_out"]) == (24, 4)


def test_where_nothing_was_done_it_learns_to_do_nothing():
    clean = smooth_pictures(6, 32, seed=2)
    learnt = purifier.train(clean, clean)
    assert np.array_equal(learnt.restore(clean), clean) and learnt.restore(clean[:0]).shape == (0, 32, 32, 3)


def test_the_closed_form_is_that_of_least_squares():
    """Against numpy's solver, on the same features with the same penalty."""
    clean = smooth_pictures(5, 64, seed=4)
    treated = np.clip(with_pattern(clean) + np.random.default_rng(0).integers(-9, 10, clean.shape), 0, 255)
    treated = treated.astype(np.uint8)
    learnt = purifier.train(treated, clean)
    x = purifier._features(purifier._tensor_of(treated[:4])).double().numpy()
    change = (clean[:4].astype(float) - treated[:4]) / 255
    # Rows by block, columns by colour and place in the block
    wanted = change.reshape(4, 16, 4, 16, 4, 3).transpose(0, 1, 3, 5, 2, 4).reshape(-1, 48)
    penalty = np.sqrt(purifier.RIDGE * np.square(x).sum(0).mean())
    rows = np.concatenate([x, penalty * np.eye(x.shape[1])])
    expected = np.linalg.lstsq(rows, np.concatenate([wanted, np.zeros((x.shape[1], 48))]), rcond=None)[0]
    np.testing.assert_allclose(x @ learnt.weights.double().numpy(), x @ expected, atol=2e-4)


def test_the_cosines_of_a_block_keep_its_length():
    """Orthonormal in luma; a grey block has no colour."""
    cosines = purifier._cosines().numpy().astype(np.float64)
    grey = np.tile(np.random.default_rng(0).normal(size=16), 3)
    seen = cosines @ grey
    assert np.linalg.norm(seen[:16]) == pytest.approx(np.linalg.norm(grey[:16]), rel=1e-6)
    assert np.abs(seen[16:]).max() < 1e-6 and seen[0] == pytest.approx(grey[:16].sum() / 4, rel=1e-6)


class Halves:
    """A recogniser that knows a picture by how much darker its left half is, in each colour; learnable by hand."""

    name = "halves"

    def __call__(self, chips):
        difference = chips[..., :56].mean((2, 3)) - chips[..., 56:].mean((2, 3))
        return torch.nn.functional.normalize(difference + 1e-6)


class Blind:
    """Nobody differs from anybody, so that there is nothing to gain."""

    name = "blind"

    def __call__(self, chips):
        return torch.tensor([[0.6, 0.8]]) + 0 * chips.mean((1, 2, 3))[:, None]


def test_a_recogniser_leads_it_where_pixels_alone_do_not():
    """The treatment turns what little the recogniser looks at around; the rest of the picture is loud noise."""
    draw = np.random.default_rng(5)
    colours = draw.integers(-8, 9, (40, 1, 1, 3))
    sides = np.where(np.arange(32)[None, None, :, None] < 16, 1, -1)
    loud = draw.normal(0, 25, (40, 32, 32, 3))
    clean = np.clip(128 + sides * colours + loud, 0, 255).astype(np.uint8)
    treated = np.clip(128 - sides * colours // 2 + loud + draw.normal(0, 6, loud.shape), 0, 255).astype(np.uint8)
    plain = purifier.train(treated[:30], clean[:30], Halves(), passes=0)
    led = purifier.train(treated[:30], clean[:30], Halves(), passes=6)
    before, closed, after = (led.record["errors"][key] for key in ("untreated", "closed_form", "restored"))
    assert plain.record["errors"]["restored"] == closed and plain.record["passes_kept"] == 0
    assert after["apart"] > closed["apart"] and after["distance"] < before["distance"]
    assert 0 < led.record["passes_kept"] <= led.record["passes"] == 6 and led.record["recogniser"] == "halves"


def test_a_pass_that_makes_held_out_people_no_better_known_is_not_kept():
    clean = smooth_pictures(20, 32, seed=6)
    learnt = purifier.train(with_pattern(clean), clean, Blind(), passes=2)
    assert learnt.record["passes_kept"] == 0
    assert torch.equal(learnt.weights, purifier.train(with_pattern(clean), clean).weights)


def test_the_same_pairs_give_the_same_purifier_and_global_state_is_left_alone():
    clean = smooth_pictures(10, 32, seed=3)
    state = torch.get_rng_state()
    one, two = (purifier.train(with_pattern(clean), clean, Halves(), passes=2) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(one.weights, two.weights)


def test_rows_that_are_no_pairs_are_refused():
    clean = smooth_pictures(2, 32, seed=0)
    for treated in (clean[:1], clean[:, :16]):
        with pytest.raises(SamplesUnusable, match="not pairs"):
            purifier.train(treated, clean)
    with pytest.raises(SamplesUnusable):
        purifier.train(clean[:0], clean[:0])
    with pytest.raises(SamplesUnusable, match="10 are needed"):
        purifier.train(clean, clean, Halves(), passes=1)


def test_its_recogniser_gives_the_templates_of_the_matcher_and_a_gradient(shared_data, astronaut):
    """On the crop the judge cuts itself: chips taken from the larger crop must be those of the ArcFace template."""
    weights = shared_data / "weights"
    (faces,) = [YuNet(weights / "yunet_n.onnx").find(astronaut)]
    faces = faces.only(0)
    recogniser = differentiable.load(differentiable.OPEN, weights)
    expected = matchers.load(differentiable.OPEN, weights).embed(astronaut, faces)[0]
    chip_ = torch.from_numpy(chip(astronaut, faces.landmarks[0]).transpose(2, 0, 1)[None].copy()).float() / 255
    exact = recogniser(chip_)[0].numpy()
    assert exact @ expected / np.linalg.norm(expected) == pytest.approx(1, abs=1e-4)
    crops = purifier._tensor_of(purifier.crop(astronaut, faces)[0][None]).requires_grad_()
    through = recogniser(purifier._chips(crops))
    assert float(through[0].detach() @ torch.from_numpy(exact)) > 0.97
    (gradient,) = torch.autograd.grad(through.sum(), crops)
    assert gradient.abs().max() > 0 and torch.isfinite(gradient).all()


def test_a_matcher_that_is_no_such_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no matcher that is an ONNX file"):
        differentiable.load("dlib_cpp", tmp_path)
    with pytest.raises(FileMissing, match="no such file"):
        differentiable.load(differentiable.OPEN, tmp_path)


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
    assert faces.landmarks[0] == pytest.approx(ARCFACE_TEMPLATE * purifier.SCALE + purifier.MARGIN_PX, abs=0.1)
    assert all(picture[round(float(y)), round(float(x))].min() > 200 for x, y in faces.landmarks[0])
    assert faces.boxes[0, 2] - faces.boxes[0, 0] == pytest.approx(70 * purifier.SCALE, abs=0.1)
