"""A defect of the engine must show in the judge's figures, which it could not if they shared the defect."""

import itertools

import numpy as np
import pytest
import torch

from cloak import geometry
from cloak.surrogates import dlib_resnet29
from evaluation import protect
from evaluation.faces import decode
from evaluation.matchers import similarities
from evaluation.reading import Reader
from evaluation.samples import read_samples

MATCHERS = ["dlib_cpp", "edgeface_xxs"]


@pytest.fixture(scope="module")
def probes(shared_data):
    return read_samples(shared_data / "lfw-dev", "tuning", 3).probes


@pytest.fixture
def swapped(monkeypatch):
    """The engine's recogniser is shown blue for red."""
    forward = dlib_resnet29.ResNet29.forward
    monkeypatch.setattr(dlib_resnet29.ResNet29, "forward", lambda self, chips: forward(self, chips.flip(1)))


@pytest.fixture
def shifted(monkeypatch):
    """The engine cuts every chip 4 px beside the face."""
    warp = geometry.warp

    def beside(pixels, matrices, size_px):
        return warp(pixels, torch.cat([matrices[:, :, :2], matrices[:, :, 2:] + 4], 2), size_px)

    monkeypatch.setattr(geometry, "warp", beside)


@pytest.fixture
def figures(shared_data, tmp_path):
    """Mean similarity with the mates by matcher; read anew every time, never from a cache."""

    fresh = (tmp_path / f"cache-{number}" for number in itertools.count())

    def mean(files):
        reader = Reader(shared_data / "weights", MATCHERS, next(fresh))
        found = {name: [] for name in MATCHERS}
        for sample, path in files.items():
            templates = reader.templates(path, reader.main_box(sample.probe))
            for name in MATCHERS:
                for mate in sample.mates[:2]:
                    metric = reader.matchers[name].metric
                    found[name].append(similarities(templates[name], reader.templates(mate)[name], metric)[0, 0])
        return {name: float(np.mean(values)) for name, values in found.items()}

    return mean


@pytest.fixture(scope="module")
def healthy(probes, tmp_path_factory):
    return cloaked(probes, tmp_path_factory.mktemp("healthy"))


@pytest.fixture(scope="module")
def healthy_files(probes, healthy):
    return {sample: healthy[sample.probe] for sample in probes}


def cloaked(probes, folder):
    return protect.protect([sample.probe for sample in probes], folder, "balanced", device="cpu")


@pytest.mark.parametrize("sabotage", ["swapped", "shifted"])
def test_the_judge_does_not_follow_a_sabotaged_engine(sabotage, request, probes, healthy_files, figures, nets):
    """Neither its clean figures nor what it says of one file move, while the engine's own view of the face does."""
    clean = {sample: sample.probe for sample in probes}

    def engine_sees():
        pixels = decode(probes[0].probe)
        (faces,) = nets.find([pixels])
        return nets.embed(nets.surrogates[0], pixels, faces)[0]

    before, own_before = (figures(clean), figures(healthy_files)), engine_sees()
    request.getfixturevalue(sabotage)
    assert (figures(clean), figures(healthy_files)) == before
    assert float(engine_sees() @ own_before) < 0.995


def test_a_cloak_made_with_swapped_channels_protects_less_by_the_judge(swapped, probes, healthy_files, figures,
                                                                      tmp_path):
    """The engine is as content as ever. Of 4 people, mates were .06 to .12 more alike to the judge's matchers."""
    written = cloaked(probes, tmp_path)
    sabotaged = figures({sample: written[sample.probe] for sample in probes})
    working = figures(healthy_files)
    assert np.mean([sabotaged[name] - working[name] for name in MATCHERS]) > 0.03
    assert sabotaged["dlib_cpp"] > working["dlib_cpp"]

