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
from cloak.settings import Settings

SHIPPED = sorted(p.name.removesuffix(".json") for p in resources.files("cloak").joinpath("calibration").iterdir()
                 if p.name.endswith(".json"))
each = pytest.mark.parametrize("name", SHIPPED)

LINE = Curve("made-up", "", "", 0, 0, "", fmr=(1e-1, 1e-2, 1e-4), similarity=(0.2, 0.4, 0.8))


def test_every_recogniser_has_a_curve_and_every_curve_a_recogniser():
    assert SHIPPED == list(surrogates.available())


@each
def test_a_curve_is_of_the_weights_that_are_used(name):
    """A curve of other weights would give verdicts about a network nobody runs."""
    curve = calibration.curve(name)
    assert curve.recogniser == name
    assert curve.weights_sha256 == weights.registry()[name].sha256


@each
def test_a_curve_was_measured_behind_the_detector_that_is_used(name):
    """Other landmarks put the chip elsewhere, and strangers come closer or less close."""
    assert calibration.curve(name).detector == Settings().detector


@each
def test_a_curve_falls_in_fmr_as_it_rises_in_similarity(name):
    curve = calibration.curve(name)
    assert len(curve.fmr) == len(curve.similarity) >= 5
    assert (np.diff(curve.fmr) < 0).all() and (np.diff(curve.similarity) > 0).all()
    assert 0 < curve.fmr[-1] and curve.fmr[0] <= 1
    assert -1 <= curve.similarity[0] and curve.similarity[-1] <= 1


@each
def test_a_curve_has_enough_pairs_for_its_smallest_rate(name):
    curve = calibration.curve(name)
    assert curve.impostor_pairs <= curve.subjects * (curve.subjects - 1) // 2
    assert curve.impostor_pairs * curve.fmr[-1] >= 10
    assert curve.source
    assert curve.fmr[-1] <= calibration.VERDICT_FMR <= curve.fmr[0]


@each
def test_the_threshold_at_a_rate_has_that_rate(name):
    curve = calibration.curve(name)
    for fmr in np.geomspace(curve.fmr[-1] * 1.0001, curve.fmr[0] * 0.9999, 50):
        assert curve.fmr_at(curve.threshold(float(fmr))) == pytest.approx(fmr, rel=1e-6)
    for similarity in np.linspace(curve.similarity[0], curve.similarity[-1], 50):
        assert curve.threshold(np.clip(curve.fmr_at(float(similarity)), curve.fmr[-1], curve.fmr[0])) == pytest.approx(
            similarity, abs=1e-6)


@each
def test_the_points_of_a_curve_are_met_exactly(name):
    curve = calibration.curve(name)
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
def test_strangers_match_as_often_as_the_curve_says(name, shared_data):
    """1,770 pairs of 60 people, measured again from the photos through today's detector and alignment."""
    folders = sorted(p for p in (shared_data / "lfw-dev").iterdir() if p.is_dir())
    chosen = folders[3 :: len(folders) // 60][:60]
    nets = networks.load(Settings(device="cpu"))
    surrogate = next(s for s in nets.surrogates if s.name == name)
    pictures = [io_image.read_photo(sorted(p.glob("*.jpg"))[0], max_pixels=10**7).pixels for p in chosen]
    found = nets.detector.detect(pictures)
    embedded = torch.cat([nets.embed(surrogate, p, f.take([0])) for p, f in zip(pictures, found) if len(f)])
    similarity = (embedded @ embedded.T).numpy()[np.triu_indices(len(embedded), 1)]
    curve = calibration.curve(name)
    assert (similarity >= curve.threshold(0.2)).mean() == pytest.approx(0.2, abs=0.08)
    assert (similarity >= curve.threshold(0.02)).mean() == pytest.approx(0.02, abs=0.02)
    assert (similarity >= curve.threshold(1e-3)).mean() < 0.01
