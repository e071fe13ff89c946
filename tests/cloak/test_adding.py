"""A recogniser is tried before it is installed, and what is said of it is what was seen."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cloak import adding, calibration, weights
from cloak.errors import SettingsInvalid, WeightsCorrupt


@pytest.fixture(scope="module")
def files(shared_data) -> Path:
    return shared_data / "weights"


@pytest.fixture
def recipe():
    return weights.registry()["edgeface_xxs_onnx"].recipe


@pytest.fixture
def unknown(files, tmp_path) -> Path:
    """The same network in a file that nobody shipped a curve for."""
    model = onnx.load(files / "edgeface_xxs.onnx")
    model.producer_name = "somebody else"
    onnx.save(model, tmp_path / "unknown.onnx")
    return tmp_path / "unknown.onnx"


@pytest.fixture(scope="module")
def people(shared_data) -> list[Path]:
    return sorted(folder for folder in (shared_data / "lfw-dev").iterdir() if folder.is_dir())


def test_a_known_file_uses_the_curve_that_came_along(files):
    recipe = weights.registry()["mobilefacenet_onnx"].recipe
    checked = adding.check(files / "mobilefacenet.onnx", recipe, strangers=None)
    assert checked.calibration is None
    words = " ".join(checked.words)
    assert "agree on its embeddings" in words and "measured on 5819166 pairs of 3412 strangers" in words
    wrong = dataclasses.replace(recipe, channels="bgr")
    assert "will not judge" in " ".join(adding.check(files / "mobilefacenet.onnx", wrong, strangers=None).words)


def test_without_strangers_an_unknown_recogniser_does_not_judge_and_it_is_said(unknown, recipe):
    checked = adding.check(unknown, recipe, strangers=None)
    assert checked.calibration is None
    assert "will not judge" in checked.words[-1] and "--strangers" in checked.words[-1]


def test_strangers_give_a_curve_and_one_that_is_careful(unknown, recipe, people, tmp_path):
    folder = tmp_path / "strangers"
    for person in people[:: len(people) // 12][:12]:
        (folder / person.name).mkdir(parents=True)
        shutil.copy(sorted(person.glob("*.jpg"))[0], folder / person.name)
    (folder / "nobody").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "1.jpg").write_bytes(b"no photo")
    checked = adding.check(unknown, recipe, strangers=folder)
    assert checked.calibration is not None
    curve = calibration._read(json.dumps(checked.calibration), "made")
    assert (curve.subjects, curve.impostor_pairs, curve.made) == (12, 66, "fitted")
    assert "fitted" in " ".join(checked.words)
    true = calibration.shipped(weights.registry()["edgeface_xxs_onnx"].sha256, recipe)
    assert true is not None
    # Too low calls too much a match; too high would call a recognisable face safe
    assert 0.05 < curve.threshold(calibration.VERDICT_FMR) <= true.threshold(calibration.VERDICT_FMR)


def test_faces_within_one_photo_are_strangers(unknown, recipe, people, tmp_path):
    from PIL import Image

    for i in range(2):
        row = [Image.open(sorted(p.glob("*.jpg"))[0]) for p in people[i::  len(people) // 8][:8]]
        wide = Image.new("RGB", (8 * 250, 250))
        for k, one in enumerate(row):
            wide.paste(one, (k * 250, 0))
        wide.save(tmp_path / f"{i}.png")
    checked = adding.check(unknown, recipe, strangers=tmp_path)
    assert checked.calibration is not None
    # A few portraits of LFW hold a bystander
    assert 16 <= checked.calibration["subjects"] <= 24
    assert checked.calibration["source"].endswith("in one photo")


def test_too_few_strangers_are_refused(unknown, recipe, tmp_path, portrait):
    (tmp_path / "few").mkdir()
    shutil.copy(portrait, tmp_path / "few")
    with pytest.raises(SettingsInvalid, match="few: 0 pairs of strangers; at least 28"):
        adding.check(unknown, recipe, strangers=tmp_path / "few")


def test_strangers_that_are_no_folder_are_refused_at_once(unknown, recipe, tmp_path):
    with pytest.raises(SettingsInvalid, match="nowhere: is no folder"):
        adding.check(unknown, recipe, strangers=tmp_path / "nowhere")


def test_a_recipe_that_makes_all_faces_alike_is_refused(unknown, recipe):
    blind = dataclasses.replace(recipe, mean=(-2000.0, 3000.0, 0.0), scale=(9.0, 1.0, 1.0))
    with pytest.raises(SettingsInvalid, match="tells nobody from anybody.*not added"):
        adding.check(unknown, blind, strangers=None)


def test_a_network_without_training_is_refused(files, recipe, tmp_path):
    model = onnx.load(files / "mobilefacenet.onnx")
    draw = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim == 4:
            drawn = draw.normal(size=values.shape) / np.sqrt(values[0].size)
            tensor.CopyFrom(numpy_helper.from_array(drawn.astype(np.float32), tensor.name))
    onnx.save(model, tmp_path / "untrained.onnx")
    with pytest.raises((SettingsInvalid, WeightsCorrupt), match="not (added|loaded)"):
        adding.check(tmp_path / "untrained.onnx", recipe, strangers=None)


def test_another_embedding_than_onnxruntime_s_is_refused(unknown, recipe, monkeypatch):
    """Such as a newer PyTorch reading an operator another way."""
    monkeypatch.setattr(adding.surrogates.Prepared, "feed", lambda self, chips: chips)
    real = adding.surrogates.Prepared.forward
    monkeypatch.setattr(adding.surrogates.Prepared, "forward", lambda self, chips: real(self, chips * 1.5))
    with pytest.raises(SettingsInvalid, match="other embeddings than in onnxruntime"):
        adding.check(unknown, recipe, strangers=None)


def test_without_onnxruntime_it_is_said_that_nothing_else_was_asked(unknown, recipe, monkeypatch):
    real = adding.importlib.util.find_spec
    monkeypatch.setattr(adding.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else real(name))
    assert "onnxruntime is not installed" in adding.check(unknown, recipe, strangers=None).words[0]
