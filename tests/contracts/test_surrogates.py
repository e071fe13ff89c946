"""What every recogniser promises: those that come along, and installed ones behind each reader in the folder."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from torch.testing import assert_close

from cloak import calibration, detectors, io_image, store, surrogates, weights
from cloak.errors import SettingsInvalid, WeightsCorrupt, WeightsMissing
from cloak.networks import Networks
from cloak.settings import Settings
from cloak.surrogates import mobilefacenet_pt

CPU = torch.device("cpu")
each = pytest.mark.parametrize("name", surrogates.bundled())
# Trained ones, from the data pack, and ones with drawn values, of which nothing about faces can be asked
TRAINED = ("mobilefacenet", "edgeface_xxs")
DRAWN = ("mobilefacenet_pt", "inception_resnet_v1")
each_kind = pytest.mark.parametrize("name", (*surrogates.bundled(), *TRAINED, *DRAWN))
each_trained = pytest.mark.parametrize("name", (*surrogates.bundled(), *TRAINED))


def drawn_values(reader: str) -> dict[str, torch.Tensor]:
    """Values of the right names and shapes for a reader of PyTorch files; kept at a scale at which signals survive."""
    generator = torch.Generator().manual_seed(0)
    if reader == "inception_resnet_v1":
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return InceptionResnetV1(pretrained=None).state_dict()
    values: dict[str, torch.Tensor] = {}
    for conv, name, norm in mobilefacenet_pt.empty().convolutions():
        fan_in = conv.weight[0].numel()
        values[f"{name}.weight"] = torch.randn(conv.weight.shape, generator=generator) * (2 / fan_in) ** 0.5
        each = (conv.out_channels,)
        values[f"{norm}.weight"] = 0.9 + 0.2 * torch.rand(each, generator=generator)
        values[f"{norm}.bias"] = 0.1 * torch.randn(each, generator=generator)
        values[f"{norm}.running_mean"] = 0.1 * torch.randn(each, generator=generator)
        values[f"{norm}.running_var"] = 0.9 + 0.2 * torch.rand(each, generator=generator)
        values[f"{norm}.num_batches_tracked"] = torch.tensor(1)
    return {**values, "conv3.bias": 0.1 * torch.randn(128, generator=generator)}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A store of this module's own."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACECLOAK_MODELS", str(folder))
        yield folder
    weights.locate.cache_clear()


@pytest.fixture(scope="module")
def loaded(models, tmp_path_factory, request):
    """Every surrogate, once, when it is first asked for."""

    class Loaded(dict):
        def __missing__(self, name):
            if name in TRAINED:
                recipe = weights.registry()[f"{name}_onnx"].recipe
                file = request.getfixturevalue("shared_data") / "weights" / f"{name}.onnx"
                add(name, file, "onnx", recipe)
            elif name in DRAWN:
                file = tmp_path_factory.mktemp("drawn") / f"{name}.pt"
                torch.save(drawn_values(name), file)
                add(name, file, name, None)
            self[name] = surrogates.load(name, CPU)
            return self[name]

    def add(name, file, loads_as, recipe):
        size, sha256 = store.measure(file)
        store.add(store.Model(name, "surrogate", loads_as, file, size, sha256, "test", "test", "added", recipe=recipe))

    return Loaded()


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


@each_kind
def test_embeddings_have_unit_length_and_differ(loaded, name):
    surrogate = loaded[name]
    assert surrogate.name == name
    with torch.no_grad():
        embedded = surrogate.embed(chips(surrogate))
    assert embedded.ndim == 2 and len(embedded) == 4 and embedded.dtype == torch.float32
    assert_close(embedded.norm(dim=1), torch.ones(4))
    assert len(torch.unique(embedded, dim=0)) == 4


@each_kind
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
    size = 0.005 if name in DRAWN else 0.05  # drawn values make a rougher landscape than trained ones
    with torch.no_grad():
        step = gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * size
        after = (surrogate.embed(pictures - step) * anchors).sum(1)
    slope = (gradient * step).sum((1, 2, 3))
    assert_close(before - after, slope, rtol=0.2, atol=1e-5)


@each_kind
def test_the_weights_take_no_gradient(loaded, name):
    assert not any(p.requires_grad for p in loaded[name].network.parameters())
    assert not any(module.training for module in loaded[name].network.modules())


@each_kind
def test_a_batch_gives_what_its_chips_give_alone(loaded, name):
    surrogate = loaded[name]
    pictures = chips(surrogate, 5)
    with torch.no_grad():
        together = surrogate.embed(pictures)
        alone = torch.cat([surrogate.embed(pictures[i : i + 1]) for i in range(5)])
    assert_close(together, alone, atol=1e-5, rtol=0)


@each_kind
def test_the_template_lies_in_the_chip_upright_and_image_left_first(loaded, name):
    eye_l, eye_r, nose, mouth_l, mouth_r = template = loaded[name].template
    assert template.shape == (5, 2)
    assert (template > 0).all() and (template < loaded[name].size_px).all()
    assert eye_l[0] < nose[0] < eye_r[0] and mouth_l[0] < nose[0] < mouth_r[0]
    assert max(eye_l[1], eye_r[1]) < nose[1] < min(mouth_l[1], mouth_r[1])


@each_trained
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


@each_trained
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


def test_every_reader_is_tested_here():
    kinds = {"onnx", *DRAWN, *surrogates.bundled()}
    assert kinds == set(surrogates.readers())


def test_installed_recognisers_come_after_the_bundled_ones_and_unreadable_kinds_are_left_out(install, tmp_path):
    file = tmp_path / "some.pt"
    torch.save(drawn_values("mobilefacenet_pt"), file)
    install("zoe", file, "mobilefacenet_pt")
    install("ada", file, "mobilefacenet_pt")
    install("eve", file, "")  # the registry knows files that nothing here reads
    assert surrogates.available() == (*surrogates.bundled(), "ada", "zoe")
    assert surrogates.load("zoe", CPU).name == "zoe"
    with pytest.raises(SettingsInvalid, match="'eve'.*ada, zoe"):
        surrogates.load("eve", CPU)


def test_an_installed_file_that_changed_is_refused(install, tmp_path):
    file = tmp_path / "some.pt"
    torch.save(drawn_values("mobilefacenet_pt"), file)
    model = install("ada", file, "mobilefacenet_pt")
    data = bytearray(model.path.read_bytes())
    data[len(data) // 2] ^= 1
    model.path.write_bytes(data)
    with pytest.raises(WeightsCorrupt, match="not loaded"):
        surrogates.load("ada", CPU)


@pytest.mark.parametrize("reader", DRAWN)
@pytest.mark.parametrize("damage", ["cut", "other", "renamed", "reshaped", "missing", "nan", "list", "code"])
def test_a_reader_of_pytorch_files_refuses_what_it_cannot_use(reader, damage, tmp_path):
    """Each by the error that names the file, whatever is wrong with it; and nothing in it is run."""
    values = drawn_values(reader)
    name = next(key for key in values if values[key].ndim == 4)
    file = tmp_path / "damaged.pt"
    if damage == "renamed":
        values = {("foreign" if key == name else key): value for key, value in values.items()}
    elif damage == "reshaped":
        values[name] = values[name][:1]
    elif damage == "missing":
        del values[name]
    elif damage == "nan":
        values[name][0] = float("nan")
    torch.save([values[name]] if damage == "list" else {"x": Runs()} if damage == "code" else values, file)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif damage == "other":
        file.write_bytes(np.random.default_rng(0).bytes(100_000))
    with pytest.raises(WeightsCorrupt, match="not loaded") as error:
        surrogates.read(reader, file, CPU)
    assert str(file) in str(error.value)
    assert not Runs.ran


class Runs:
    """Runs code when it is unpickled the usual way."""

    ran = False

    def __reduce__(self):
        return setattr, (Runs, "ran", True)


def test_facenet_is_upstream_s_network_with_and_without_its_classifier(tmp_path):
    values = drawn_values("inception_resnet_v1")
    upstream = InceptionResnetV1(pretrained=None).eval()
    upstream.load_state_dict(values)
    for extra in ({}, {"logits.weight": torch.zeros(7, 512), "logits.bias": torch.zeros(7)}):
        file = tmp_path / f"{len(extra)}.pt"
        torch.save({**values, **extra}, file)
        surrogate = surrogates.read("inception_resnet_v1", file, CPU)
        pictures = chips(surrogate, 2)
        with torch.no_grad():
            assert_close(surrogate.embed(pictures), upstream((pictures * 255 - 127.5) / 128), atol=1e-5, rtol=0)


@pytest.mark.parametrize("reader", DRAWN)
def test_reading_leaves_torch_s_generator_alone(reader, tmp_path):
    """A draw here would make the same seed give another cloak."""
    torch.save(drawn_values(reader), tmp_path / "drawn.pt")
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    surrogates.read(reader, tmp_path / "drawn.pt", CPU)
    assert torch.equal(torch.random.get_rng_state(), before)
