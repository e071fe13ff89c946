"""One test for each defect found in the code of older cloaking tools (`cloaking.md` of the design notes).

Each would have failed for the tool it was found in.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, JpegImagePlugin

from cloak import detectors, eot, files, io_image, networks, protect
from cloak.errors import SettingsInvalid
from cloak.networks import Networks
from cloak.protect import cloak_photos
from cloak.settings import PRESETS, Settings

LIGHT = Settings(strength="light", device="cpu")
load_networks = networks.load  # the fixture below replaces it


@pytest.fixture(scope="module", autouse=True)
def quick(nets):
    """Networks loaded once, and a few steps instead of all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "load", lambda settings: nets)
        for name, preset in list(PRESETS.items()):
            patch.setitem(PRESETS, name, dataclasses.replace(preset, steps=6))
        yield


@pytest.fixture(scope="module")
def woman(portrait):
    """(300, 300, 3): the portrait's face and shoulders; the face is about 87 x 110 pixels at (101, 62)."""
    return np.ascontiguousarray(read(portrait)[:300, 80:380])


def read(path):
    return np.array(Image.open(path).convert("RGB"))


def save(pixels, path, **how) -> Path:
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, **how)
    return path


def change_of(pixels, tmp_path, settings=LIGHT, suffix=".png"):
    """What the engine adds to these pixels, (H, W, 3) int."""
    source, output = save(pixels, tmp_path / f"in{suffix}"), tmp_path / f"out{suffix}"
    (outcome,) = cloak_photos([source], [output], dataclasses.replace(settings, overwrite=True))
    assert outcome.kind == "done", outcome.error
    return read(output).astype(int) - read(source)


def test_a_photo_without_a_face_in_a_batch_is_not_copied_under_the_cloaked_name(woman, portrait, tmp_path):
    """People published the copy, believing it cloaked."""
    landscape = tmp_path / "landscape.png"
    landscape.write_bytes((portrait.parent / "coffee.png").read_bytes())
    inputs = [save(woman, tmp_path / "woman.png"), landscape]
    outputs = [tmp_path / "woman.cloaked.png", tmp_path / "landscape.cloaked.png"]
    good, bad = cloak_photos(inputs, outputs, LIGHT)
    assert good.kind == "done" and outputs[0].exists()
    assert bad.kind == "no_face" and bad.output is None and "landscape.png" in bad.error
    assert not outputs[1].exists() and not outputs[1].with_name("landscape.cloaked.png.json").exists()


def test_a_cloak_is_not_pasted_onto_another_place_when_a_box_leaves_the_frame(woman, nets, tmp_path):
    """Two faces, one cut by the left border. A crop index below zero counts from the far side in numpy."""
    half = woman[:, 120:]  # the face is cut in its middle third
    frame = np.full((300, 520, 3), 120, np.uint8)
    frame[:, : half.shape[1]] = half
    frame[40:265, 290:515] = cv2.resize(woman[:, ::-1], (225, 225), interpolation=cv2.INTER_AREA)
    (faces,) = nets.find([frame])
    assert len(faces) == 2 and faces.boxes[0, 0] < 4
    change = np.abs(change_of(frame, tmp_path)).sum(2)
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    allowed = np.zeros(change.shape, bool)
    for x1, y1, x2, y2 in faces.boxes:
        w, h = (x2 - x1) / 2, (y2 - y1) / 2
        around = (x > x1 - w) & (x < x2 + w) & (y > y1 - h) & (y < y2 + h)
        inner = (x > x1 + w / 2) & (x < x2 - w / 2) & (y > y1 + h / 2) & (y < y2 - h / 2)
        assert (change[inner] > 0).mean() > 0.3
        allowed |= around
    assert (change[~allowed] == 0).all()


def test_the_contrast_of_a_dull_face_is_not_stretched(woman, tmp_path):
    """Crops were stretched to the full range and pasted back so: a dull photo came back with a bright face."""
    dull = (woman.astype(float) * 0.25 + 80).astype(np.uint8)  # values from 80 to 143
    change = change_of(dull, tmp_path)
    face = change[62:172, 101:188]
    assert np.abs(change).max() <= PRESETS["light"].peak and face.any()
    assert abs(face.mean()) < 1.5, "brighter or darker as a whole"
    before, after = dull[62:172, 101:188].astype(float), dull[62:172, 101:188] + face.astype(float)
    slope = np.polyfit(before.ravel(), after.ravel(), 1)[0]
    assert slope == pytest.approx(1, abs=0.1)


class Seen(torch.nn.Module):
    """A recogniser that keeps the chips it was shown."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network, self.first, self.optimised = network, None, []

    def forward(self, chips: torch.Tensor) -> torch.Tensor:
        if self.first is None:
            self.first = chips.detach()[0].clone()
        if chips.requires_grad:
            self.optimised.append(chips.detach()[0].clone())
        return self.network(chips)


def chips_seen(pixels, tmp_path, nets, monkeypatch):
    """(the first chip, mean of the chips the optimiser differentiated) of one run."""
    (surrogate,) = nets.surrogates[:1]
    spy = Seen(surrogate.network)
    watched = Networks(nets.device, nets.detector, (dataclasses.replace(surrogate, network=spy),))
    monkeypatch.setattr(networks, "load", lambda settings: watched)
    change_of(pixels, tmp_path)
    assert len(spy.optimised) == PRESETS["light"].steps
    return spy.first.numpy(), torch.stack(spy.optimised).mean(0).numpy()


def alike(a, b):
    """Correlation of the middles of two chips (3, S, S)."""
    inner = (slice(None), slice(25, 125), slice(25, 125))
    return np.corrcoef(a[inner].ravel(), b[inner].ravel())[0, 1]


def test_the_optimiser_looks_at_the_aligned_face_as_a_recogniser_will(woman, tmp_path, nets, monkeypatch):
    """A tilted head must reach the network upright; an unaligned crop of it stays tilted."""
    monkeypatch.setattr(eot, "MIRRORED", 0.0)  # views that would hide where the face is
    monkeypatch.setattr(eot, "MIX", 0.0)
    turn = cv2.getRotationMatrix2D((144, 117), 30, 0.9)
    tilted = cv2.warpAffine(woman, turn, (300, 300), borderMode=cv2.BORDER_REPLICATE)
    upright, optimised_upright = chips_seen(woman, tmp_path, nets, monkeypatch)
    first, optimised = chips_seen(tilted, tmp_path, nets, monkeypatch)
    unaligned = cv2.warpAffine(upright.transpose(1, 2, 0), cv2.getRotationMatrix2D((74.5, 74.5), 30, 1), (150, 150))
    assert alike(upright, unaligned.transpose(2, 0, 1)) < 0.8, "the check below would prove nothing"
    assert alike(upright, first) > 0.9
    assert alike(optimised_upright, optimised) > 0.9
    # and what it differentiates is that same face: jittered and blurred, in the same place
    assert alike(optimised, first) > 0.8


def test_a_jpeg_is_not_written_at_the_encoder_s_default_quality(woman, tmp_path):
    """Default quality 75 with halved chroma wears a cloak away while it is being saved."""
    change_of(woman, tmp_path, suffix=".jpg")
    save(woman, tmp_path / "default.jpg")
    with Image.open(tmp_path / "out.jpg") as out, Image.open(tmp_path / "default.jpg") as default:
        assert JpegImagePlugin.get_sampling(out) == 0, "4:4:4"
        for table, coarse in zip(out.quantization.values(), default.quantization.values()):
            assert sum(table) < 0.4 * sum(coarse)


def test_every_option_does_something(woman, tmp_path):
    """Options that were parsed and never read."""
    sizes = [np.sqrt((change_of(woman, tmp_path, Settings(strength=s, device="cpu")) ** 2).mean()) for s in PRESETS]
    assert sizes == sorted(sizes) and sizes[2] > 1.3 * sizes[0] > 0
    seeds = [change_of(woman, tmp_path, dataclasses.replace(LIGHT, seed=seed)) for seed in (1, 2)]
    assert not np.array_equal(*seeds)
    lengths = []
    for quality in (85, 100):
        change_of(woman, tmp_path, dataclasses.replace(LIGHT, jpeg_quality=quality), suffix=".jpg")
        lengths.append((tmp_path / "out.jpg").stat().st_size)
    assert lengths[1] > 1.5 * lengths[0]
    source = save(woman, tmp_path / "in.png")
    (outcome,) = cloak_photos([source], [tmp_path / "o.png"], dataclasses.replace(LIGHT, max_pixels=1000))
    assert outcome.kind == "failed" and "1,000" in outcome.error
    (tmp_path / "o.png").write_text("here")
    (outcome,) = cloak_photos([source], [tmp_path / "o.png"], LIGHT)
    assert outcome.kind == "failed" and (tmp_path / "o.png").read_text() == "here"
    (outcome,) = cloak_photos([source], [tmp_path / "o.png"], dataclasses.replace(LIGHT, overwrite=True))
    assert outcome.kind == "done"


def test_an_unknown_detector_or_a_device_that_is_not_there_is_refused_and_not_ignored(monkeypatch):
    for wrong in ({"strength": "mighty"}, {"device": "tpu"}, {"jpeg_quality": 10}, {"seed": -1}):
        with pytest.raises(SettingsInvalid):
            Settings(**wrong)
    with pytest.raises(SettingsInvalid, match="no detector is called 'none_such'"):
        detectors.load("none_such", torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsInvalid, match="no CUDA device"):
        load_networks(Settings(device="cuda"))


def test_what_is_verified_is_the_file_that_was_written(woman, tmp_path, monkeypatch):
    """The optimiser may be content; here the disk receives the bare photo, and the report has to say so."""
    source = save(woman, tmp_path / "in.png")
    real = files.write_all

    def write_the_bare_photo(path, data, *, named):
        real(path, source.read_bytes() if named.suffix == ".png" else data, named=named)

    monkeypatch.setattr(files, "write_all", write_the_bare_photo)
    (outcome,) = cloak_photos([source], [tmp_path / "out.png"], LIGHT)
    (face,) = outcome.report.faces
    assert face.status == "matched" and not outcome.report.is_protected
    assert face.verdicts[0].similarity_after > 0.999


def test_photos_are_read_group_by_group_and_not_all_at_once(woman, tmp_path, monkeypatch):
    """A folder of holiday photos filled the memory before the first was written."""
    inputs = [save(woman, tmp_path / f"{i}.png") for i in range(4)]
    outputs = [tmp_path / f"out-{i}.png" for i in range(4)]
    monkeypatch.setattr(protect, "_PIXELS_PER_GROUP", 2 * 300 * 300)
    finished_when_read = {}
    real = io_image.read_photo

    def watched(path, **options):
        if path in inputs:
            finished_when_read[path.name] = sum(output.exists() for output in outputs)
        return real(path, **options)

    monkeypatch.setattr(io_image, "read_photo", watched)
    assert all(outcome.kind == "done" for outcome in cloak_photos(inputs, outputs, LIGHT))
    assert finished_when_read == {"0.png": 0, "1.png": 0, "2.png": 2, "3.png": 2}


def test_an_unreadable_file_does_not_end_the_batch(woman, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    inputs = [broken, save(woman, tmp_path / "good.png")]
    first, second = cloak_photos(inputs, [tmp_path / "b.jpg", tmp_path / "g.png"], LIGHT)
    assert first.kind == "failed" and "broken.jpg" in first.error
    assert second.kind == "done" and (tmp_path / "g.png").exists() and not (tmp_path / "b.jpg").exists()
