"""What every recogniser in `cloak/surrogates` promises. A new file there is tested by being there."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from cloak import calibration, detectors, io_image, surrogates, weights
from cloak.errors import SettingsInvalid, WeightsCorrupt, WeightsMissing
from cloak.networks import Networks
from cloak.settings import Settings

CPU = torch.device("cpu")
each = pytest.mark.parametrize("name", surrogates.available())


@pytest.fixture(scope="module")
def loaded():
    """Every surrogate, once."""
    return {name: surrogates.load(name, CPU) for name in surrogates.available()}


@pytest.fixture
def vouch(monkeypatch):
    """Puts a file in the place of a registered one; with `whole`, its own hash is what the registry expects."""
    def replace(name: str, path: Path, *, whole: bool = False, **fields: str) -> None:
        entry = dataclasses.replace(weights.registry()[name], path=str(path), **fields)  # type: ignore[arg-type]
        if whole:
            data = path.read_bytes()
            entry = dataclasses.replace(entry, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        table = {**weights.registry(), name: entry}
        monkeypatch.setattr(weights, "registry", lambda: table)
        weights.locate.cache_clear()

    yield replace
    weights.locate.cache_clear()


def chips(surrogate, count=4, seed=0):
    """Smooth random pictures: noise alone is far from any face."""
    coarse = torch.rand((count, 3, 9, 9), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, surrogate.size_px, mode="bicubic").clamp(0, 1)


def face_embeddings(surrogate, paths):
    """(N, D) of the best face of each photo, aligned as the engine aligns it."""
    nets = Networks(CPU, detectors.load(Settings().detector, CPU), (surrogate,))
    pictures = [io_image.read_photo(path, max_pixels=10**7).pixels for path in paths]
    found = nets.detector.detect(pictures)
    return torch.cat([nets.embed(surrogate, p, faces.take([0])) for p, faces in zip(pictures, found)])


def test_the_folder_holds_the_bundled_recogniser():
    assert "dlib_resnet29" in surrogates.available()


@each
def test_embeddings_have_unit_length_and_differ(loaded, name):
    surrogate = loaded[name]
    assert surrogate.name == name
    with torch.no_grad():
        embedded = surrogate.embed(chips(surrogate))
    assert embedded.ndim == 2 and len(embedded) == 4 and embedded.dtype == torch.float32
    assert_close(embedded.norm(dim=1), torch.ones(4))
    assert len(torch.unique(embedded, dim=0)) == 4


@each
def test_the_gradient_reaches_every_corner_of_the_chip_and_points_downhill(loaded, name):
    surrogate = loaded[name]
    pictures = chips(surrogate, 2)
    with torch.no_grad():
        anchors = surrogate.embed(chips(surrogate, 2, seed=1))
    pixels = pictures.clone().requires_grad_(True)
    before = (surrogate.embed(pixels) * anchors).sum(1)
    (gradient,) = torch.autograd.grad(before.sum(), pixels)
    assert torch.isfinite(gradient).all()
    # Not cut off by a clamp, a detach or a resize somewhere: most pixels of each channel count
    assert ((gradient != 0).float().mean((2, 3)) > 0.9).all()
    with torch.no_grad():
        step = gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * 0.05
        after = (surrogate.embed(pictures - step) * anchors).sum(1)
    slope = (gradient * step).sum((1, 2, 3))
    assert_close(before - after, slope, rtol=0.2, atol=1e-5)


@each
def test_the_weights_take_no_gradient(loaded, name):
    assert not any(p.requires_grad for p in loaded[name].network.parameters())
    assert not any(module.training for module in loaded[name].network.modules())


@each
def test_a_batch_gives_what_its_chips_give_alone(loaded, name):
    surrogate = loaded[name]
    pictures = chips(surrogate, 5)
    with torch.no_grad():
        together = surrogate.embed(pictures)
        alone = torch.cat([surrogate.embed(pictures[i : i + 1]) for i in range(5)])
    assert_close(together, alone, atol=1e-5, rtol=0)


@each
def test_the_template_lies_in_the_chip_upright_and_image_left_first(loaded, name):
    eye_l, eye_r, nose, mouth_l, mouth_r = template = loaded[name].template
    assert template.shape == (5, 2)
    assert (template > 0).all() and (template < loaded[name].size_px).all()
    assert eye_l[0] < nose[0] < eye_r[0] and mouth_l[0] < nose[0] < mouth_r[0]
    assert max(eye_l[1], eye_r[1]) < nose[1] < min(mouth_l[1], mouth_r[1])


@each
def test_a_person_is_closer_to_themself_than_to_others(loaded, name, shared_data):
    """Wrong channels, mean, scale or template would show here as they would in no test of numbers alone."""
    people = []
    for folder in sorted((shared_data / "lfw-dev").iterdir()):
        photos = sorted(folder.glob("*.jpg")) if folder.is_dir() else []
        if len(photos) >= 2:
            people.append(photos[:2])
    chosen = people[:: len(people) // 14][:14]
    embedded = face_embeddings(loaded[name], [path for pair in chosen for path in pair]).view(14, 2, -1)
    similarity = (embedded[:, 0] @ embedded[:, 1].T).numpy()
    same, different = np.diag(similarity), similarity[~np.eye(14, dtype=bool)]
    threshold = calibration.curve(name).threshold(1e-2)
    assert (same >= threshold).mean() >= 0.85
    assert (different < threshold).mean() >= 0.95
    assert (similarity.argmax(1) == np.arange(14)).mean() >= 0.85


@each
def test_a_face_stays_itself_when_mirrored(loaded, name, portrait, tmp_path):
    """Known to hold for every recogniser of faces and for no untrained network behind a wrong alignment."""
    photo = io_image.read_photo(portrait, max_pixels=10**7)
    mirrored = tmp_path / "mirrored.png"
    mirrored.write_bytes(io_image.encode_photo(photo, np.ascontiguousarray(photo.pixels[:, ::-1]), jpeg_quality=95))
    a, b = face_embeddings(loaded[name], [portrait, mirrored])
    assert float(a @ b) > calibration.curve(name).threshold(1e-4)


@each
def test_a_flipped_byte_is_refused(vouch, tmp_path, name):
    data = bytearray(weights.locate(name).read_bytes())
    data[len(data) // 2] ^= 1
    copy = tmp_path / "flipped"
    copy.write_bytes(data)
    vouch(name, copy)
    with pytest.raises(WeightsCorrupt, match="not loaded") as error:
        surrogates.load(name, CPU)
    assert str(copy) in str(error.value) and hashlib.sha256(data).hexdigest() in str(error.value)


@each
@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_a_truncated_file_is_refused(vouch, tmp_path, name, share):
    data = weights.locate(name).read_bytes()
    copy = tmp_path / "cut"
    copy.write_bytes(data[: int(share * len(data))])
    vouch(name, copy)
    with pytest.raises(WeightsCorrupt, match="not loaded"):
        surrogates.load(name, CPU)


@each
@pytest.mark.parametrize("share", [0, 0.0001, 0.3, 0.999])
def test_a_reader_refuses_a_truncated_file_that_was_vouched_for(vouch, tmp_path, name, share):
    """Even a wrong entry in the registry gives the error that says what is wrong, not an IndexError."""
    data = weights.locate(name).read_bytes()
    copy = tmp_path / "cut"
    copy.write_bytes(data[: int(share * len(data))])
    vouch(name, copy, whole=True)
    with pytest.raises(WeightsCorrupt, match="not loaded"):
        surrogates.load(name, CPU)


@each
def test_a_reader_refuses_a_file_of_another_kind(vouch, tmp_path, name):
    copy = tmp_path / "other"
    copy.write_bytes(np.random.default_rng(0).bytes(2_000_000))
    vouch(name, copy, whole=True)
    with pytest.raises(WeightsCorrupt, match="not loaded"):
        surrogates.load(name, CPU)


@each
def test_a_missing_file_and_a_missing_package_are_named(vouch, tmp_path, name):
    vouch(name, tmp_path / "nowhere")
    with pytest.raises(WeightsMissing, match="nowhere"):
        surrogates.load(name, CPU)
    vouch(name, tmp_path / "nowhere", package="no_such_package_here")
    with pytest.raises(WeightsMissing, match="no_such_package_here"):
        surrogates.load(name, CPU)


@each
def test_weights_are_not_unpickled(monkeypatch, name):
    """A pickle runs code while it is read. torch.load with weights_only has an unpickler of its own."""
    def refuse(*given, **named):
        raise AssertionError("unpickled")

    real = torch.load

    def careful(*given, **named):
        assert named.get("weights_only") is True
        return real(*given, **named)

    for attribute in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, attribute, refuse)
    monkeypatch.setattr(torch, "load", careful)
    assert surrogates.load(name, CPU).name == name


def test_an_unknown_recogniser_is_refused_by_name():
    with pytest.raises(SettingsInvalid, match="no recogniser is called 'fancy'.*dlib_resnet29"):
        surrogates.load("fancy", CPU)
