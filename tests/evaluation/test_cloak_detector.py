"""The detector of cloaks: arithmetic, then real training on real faces."""

import numpy as np
import pytest
from PIL import Image

from evaluation import arms, cloak_detector
from evaluation.cloak_detector import auc, features_of_chip, fit, try_detector
from evaluation.faces import YuNet, decode, main_face
from evaluation.samples import Sample, SamplesUnusable, read_samples


def test_auc_is_the_share_of_pairs_in_the_right_order_and_ties_count_half():
    assert auc(np.array([1.0, 2, 3]), np.array([2.0, 4])) == pytest.approx((1 + 0.5 + 0 + 3) / 6)
    assert auc(np.zeros(5), np.zeros(7)) == 0.5
    assert auc(np.array([1.0]), np.array([0.0])) == 0


def test_the_fit_is_where_the_gradient_vanishes():
    """The definition of the optimum: the residual's correlation with every feature equals the penalty's pull."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 4)) * [1, 10, 0.1, 1] + [0, 5, 0, 0]
    labels = (generator.random(200) < 1 / (1 + np.exp(-features[:, 0] * 2))).astype(float)
    model = fit(features, labels, ridge=3.0)
    residual = 1 / (1 + np.exp(-model.scores(features))) - labels
    standard = (features - features.mean(0)) / features.std(0)
    assert standard.T @ residual + 3.0 * model.weights == pytest.approx(np.zeros(4), abs=1e-6)
    assert residual.sum() == pytest.approx(0, abs=1e-4)
    assert np.argmax(np.abs(model.weights)) == 0


def test_two_classes_apart_and_a_constant_feature_do_no_harm():
    features = np.array([[0.0, 7], [0.1, 7], [5.0, 7], [5.1, 7]])
    model = fit(features, np.array([0.0, 0, 1, 1]), ridge=0.1)
    assert np.isfinite(model.weights).all() and (model.scores(features) > 0).tolist() == [False, False, True, True]


def test_features_see_two_levels_of_noise_and_not_where_a_face_is_bright(astronaut):
    chip = astronaut[80:192, 170:282]
    plain, brighter = features_of_chip(chip), features_of_chip(np.minimum(chip, 245) + np.uint8(3))
    noise = np.random.default_rng(0).integers(-2, 3, chip.shape)
    noisy = features_of_chip(np.clip(chip + noise, 0, 255).astype(np.uint8))
    assert np.isfinite(plain).all() and plain.shape == noisy.shape
    assert np.abs(noisy - plain).mean() > 3 * np.abs(brighter - plain).mean()


@pytest.fixture(scope="module")
def people(shared_data):
    """32 people, the encoding of their photos made equal to that of the arms: PNG."""
    detector = YuNet(shared_data / "weights" / "yunet_n.onnx")
    return detector, read_samples(shared_data / "lfw-dev", "tuning", 32).probes


def noisy_files(samples, detector, levels, folder):
    made = {}
    for seed, sample in enumerate(samples):
        pixels = decode(sample.probe)
        faces = detector.find(pixels)
        box = faces.boxes[main_face(faces, pixels.shape[:2])]
        made[sample] = arms.noise(sample.probe, folder / sample.subject, box, levels, seed)
    return made


def test_noise_is_found_on_people_it_was_not_trained_on_and_nothing_is_found_in_nothing(people, tmp_path):
    detector, samples = people
    clean = {sample: sample.probe for sample in samples}
    noise = try_detector(clean, noisy_files(samples, detector, 4.0, tmp_path / "noise"), detector, tmp_path / "a")
    same = noisy_files(samples[:20], detector, 0.0, tmp_path / "none")
    nothing = try_detector({sample: clean[sample] for sample in same}, same, detector, tmp_path / "b")
    assert noise["auc"]["value"] > 0.95 and noise["auc"]["low"] > 0.85
    assert nothing["auc"]["value"] == nothing["auc_trained_on"] == 0.5  # the pixels are the same, so are the scores
    assert noise["subjects_trained_on"] + noise["subjects_tried"] == 32 - noise["samples_without_a_face"]
    assert min(noise["subjects_trained_on"], noise["subjects_tried"]) >= 10


def test_the_training_half_is_a_matter_of_the_name():
    halves = [cloak_detector._is_for_training(f"Person_{i}") for i in range(1000)]
    assert 430 < sum(halves) < 570


def test_other_samples_or_too_few_are_refused(people, tmp_path):
    detector, samples = people
    few = {sample: sample.probe for sample in samples[:3]}
    with pytest.raises(SamplesUnusable, match="4 subjects each"):
        try_detector(few, few, detector, tmp_path)
    with pytest.raises(SamplesUnusable, match="different samples"):
        try_detector(few, {}, detector, tmp_path)
    Image.new("RGB", (100, 100)).save(tmp_path / "black.png")
    nobody = {Sample(f"P{i}", tmp_path / "black.png", ()): tmp_path / "black.png" for i in range(20)}
    with pytest.raises(SamplesUnusable, match="0 and 0 photos with a face"):
        try_detector(nobody, nobody, detector, tmp_path / "out")
