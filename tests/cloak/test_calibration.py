"""From a similarity to a false match rate and back, by the curves that are shipped."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cloak import calibration, io_image, networks, surrogates, weights
from cloak.calibration import Curve
from cloak.errors import SettingsInvalid
from cloak.settings import Settings

SHIPPED = sorted(p.name.removesuffix(".json") for p in resources.files("cloak").joinpath("calibration").iterdir()
                 if p.name.endswith(".json"))
each = pytest.mark.parametrize("name", SHIPPED)

LINE = Curve("made-up", "", "", 0, 0, "", fmr=(1e-1, 1e-2, 1e-4), similarity=(0.2, 0.4, 0.8))


def shipped(name: str) -> Curve:
    """The curve in a file of that name, whether or not its recogniser is installed."""
    return next(curve for curve in calibration._shipped() if curve.recogniser == name)


def test_every_bundled_recogniser_has_a_curve():
    for name in surrogates.bundled():
        assert calibration.curve(name) == shipped(name)


@each
def test_a_curve_is_of_the_weights_that_are_used(name):
    """A curve of other weights would give verdicts about a network nobody runs."""
    curve = shipped(name)
    known = {f"{entry}".removesuffix("_onnx"): weights.registry()[entry].sha256 for entry in weights.registry()}
    assert curve.recogniser == name and curve.made == "measured"
    assert curve.weights_sha256 == known[name]


@each
def test_a_curve_was_measured_behind_the_detector_that_is_used(name):
    """Other landmarks put the chip elsewhere, and strangers come closer or less close."""
    assert shipped(name).detector == Settings().detector


@each
def test_a_curve_falls_in_fmr_as_it_rises_in_similarity(name):
    curve = shipped(name)
    assert len(curve.fmr) == len(curve.similarity) >= 5
    assert (np.diff(curve.fmr) < 0).all() and (np.diff(curve.similarity) > 0).all()
    assert 0 < curve.fmr[-1] and curve.fmr[0] <= 1
    assert -1 <= curve.similarity[0] and curve.similarity[-1] <= 1


@each
def test_a_curve_has_enough_pairs_for_its_smallest_rate(name):
    curve = shipped(name)
    assert curve.impostor_pairs <= curve.subjects * (curve.subjects - 1) // 2
    assert curve.impostor_pairs * curve.fmr[-1] >= 10
    assert curve.source
    assert curve.fmr[-1] <= calibration.VERDICT_FMR <= curve.fmr[0]


@each
def test_the_threshold_at_a_rate_has_that_rate(name):
    curve = shipped(name)
    for fmr in np.geomspace(curve.fmr[-1] * 1.0001, curve.fmr[0] * 0.9999, 50):
        assert curve.fmr_at(curve.threshold(float(fmr))) == pytest.approx(fmr, rel=1e-6)
    for similarity in np.linspace(curve.similarity[0], curve.similarity[-1], 50):
        assert curve.threshold(np.clip(curve.fmr_at(float(similarity)), curve.fmr[-1], curve.fmr[0])) == pytest.approx(
            similarity, abs=1e-6)


@each
def test_the_points_of_a_curve_are_met_exactly(name):
    curve = shipped(name)
    for fmr, similarity in zip(curve.fmr, curve.similarity):
        assert curve.threshold(fmr) == pytest.approx(similarity, abs=1e-9)
        assert curve.fmr_at(similarity) == pytest.approx(fmr, rel=1e-9)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_similarity_never_has_a_higher_rate(a, b):
    curve = calibration.curve("dlib_resnet29")
    low, high = sorted((a, b))
    assert curve.fmr_at(low) >= curve.fmr_at(high)


def test_beyond_the_ends_the_rate_is_held_and_never_extrapolated():
    for similarity in (-1.0, 0.0, 0.2):
        assert LINE.fmr_at(similarity) == pytest.approx(1e-1)
    for similarity in (0.8, 0.95, 1.0):
        assert LINE.fmr_at(similarity) == pytest.approx(1e-4)


def test_between_two_points_the_logarithm_of_the_rate_is_straight():
    assert LINE.fmr_at(0.6) == pytest.approx(1e-3)
    assert LINE.threshold(1e-3) == pytest.approx(0.6)


@pytest.mark.parametrize("fmr", [0.0, 5e-5, 0.5, float("nan")])
def test_a_threshold_outside_the_calibrated_range_is_refused(fmr):
    with pytest.raises(ValueError, match="made-up: FMR .* outside the calibrated"):
        LINE.threshold(fmr)


def test_a_shipped_curve_holds_numbers_only_about_pairs_and_nobody_s_name():
    for name in SHIPPED:
        text = resources.files("cloak").joinpath("calibration", f"{name}.json").read_text("utf-8")
        assert set(json.loads(text)) == set(Curve.__dataclass_fields__)


@each
def test_strangers_match_as_often_as_the_curve_says(name, shared_data, install_known):
    """1,770 pairs of 60 people, measured again from the photos through today's detector and alignment."""
    folders = sorted(p for p in (shared_data / "lfw-dev").iterdir() if p.is_dir())
    chosen = folders[3 :: len(folders) // 60][:60]
    if name not in surrogates.bundled():
        install_known(name)
    nets = networks.load(Settings(device="cpu", recognisers=(name,)))
    surrogate = next(s for s in nets.recognisers if s.name == name)
    pictures = [io_image.read_photo(sorted(p.glob("*.jpg"))[0], max_pixels=10**7).pixels for p in chosen]
    found = nets.detector.detect(pictures)
    embedded = torch.cat([nets.embed(surrogate, p, f.take([0])) for p, f in zip(pictures, found) if len(f)])
    similarity = (embedded @ embedded.T).numpy()[np.triu_indices(len(embedded), 1)]
    curve = shipped(name)
    assert (similarity >= curve.threshold(0.2)).mean() == pytest.approx(0.2, abs=0.08)
    assert (similarity >= curve.threshold(0.02)).mean() == pytest.approx(0.02, abs=0.02)
    assert (similarity >= curve.threshold(1e-3)).mean() < 0.01


def normal_scores(count, seed=0):
    return np.random.default_rng(seed).normal(0.02, 0.1, count)


def test_many_pairs_are_measured_and_no_rate_is_named_that_they_do_not_show():
    rates, similarity, made = calibration.measure(normal_scores(100_000))
    assert made == "measured" and min(rates) * 100_000 >= calibration.PAIRS_BEYOND > min(rates) * 100_000 / 3
    fresh = normal_scores(1_000_000, seed=1)
    for rate, value in zip(rates, similarity):
        assert (fresh >= value).mean() == pytest.approx(rate, rel=0.35)


@pytest.mark.parametrize("count", [28, 60, 300, 3000, 20_000])
def test_few_pairs_are_fitted_on_the_careful_side(count):
    """The threshold may lie too low, which calls too much a match; above the true one at most as often as is stated."""
    true = 0.02 + 0.1 * 3.0902  # the normal quantile of 0.999
    made = [calibration.measure(normal_scores(count, seed)) for seed in range(40)]
    found = []
    for rates, similarity, how in made:
        assert how == "fitted" and rates[-1] == calibration.VERDICT_FMR
        assert (np.diff(rates) < 0).all() and (np.diff(similarity) > 0).all()
        found.append(similarity[-1])
    assert np.mean(np.array(found) > true) <= 0.1
    assert np.median(found) > true - 0.2  # and still of use


def test_a_fitted_threshold_is_never_above_what_was_seen():
    scores = np.concatenate([np.full(20, -0.5), np.full(20, 0.1)])
    assert calibration.measure(scores)[1][-1] <= 0.1 + 1e-4


@pytest.mark.parametrize("scores", [np.zeros(0), np.zeros(27), np.full(100, np.nan)])
def test_too_few_pairs_give_no_curve(scores):
    with pytest.raises(SettingsInvalid, match="Nothing was calibrated"):
        calibration.measure(scores)
