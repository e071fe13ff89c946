"""Which recognisers a run looks through, and which one is kept out of the making."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from cloak import calibration, cloak_photos, io_image, networks, surrogates, verify
from cloak.errors import SettingsInvalid, WeightsCorrupt
from cloak.settings import PRESETS, Settings

SETTINGS = Settings(device="cpu")
NAMES = ("dlib_resnet29", "edgeface_xxs", "mobilefacenet")


def names(recognisers):
    return tuple(r.name for r in recognisers)


@pytest.fixture
def three(install_known):
    """The bundled recogniser and two installed ones that can judge."""
    install_known("mobilefacenet")
    install_known("edgeface_xxs")


@pytest.fixture
def mute(install_known, monkeypatch):
    """Takes away the curve of a recogniser."""
    def one(name):
        real = calibration.find
        monkeypatch.setattr(calibration, "find", lambda asked: None if asked == name else real(asked))
    return one


def test_alone_the_bundled_recogniser_makes_and_judges():
    nets = networks.load(SETTINGS)
    assert names(nets.surrogates) == names(nets.recognisers) == ("dlib_resnet29",) and nets.judges == ()


def test_two_recognisers_both_take_part(install_known):
    install_known("mobilefacenet")
    nets = networks.load(SETTINGS)
    assert names(nets.surrogates) == ("dlib_resnet29", "mobilefacenet") and nets.judges == ()


def test_of_three_one_is_kept_out_and_never_the_bundled_one(three, mute):
    nets = networks.load(SETTINGS)
    assert names(nets.surrogates) == ("dlib_resnet29", "mobilefacenet") and names(nets.judges) == ("edgeface_xxs",)
    assert names(nets.recognisers) == ("dlib_resnet29", "mobilefacenet", "edgeface_xxs")
    mute("edgeface_xxs")  # one that cannot judge is no judge
    assert names(networks.load(SETTINGS).judges) == ("mobilefacenet",)


def test_the_judge_can_be_named(three):
    for judge in NAMES:
        nets = networks.load(dataclasses.replace(SETTINGS, judge=judge))
        assert names(nets.judges) == (judge,) and set(names(nets.surrogates)) == set(NAMES) - {judge}


def test_the_order_in_which_recognisers_are_named_means_nothing(three):
    one, other = (networks.load(dataclasses.replace(SETTINGS, recognisers=order))
                  for order in (("mobilefacenet", "dlib_resnet29"), ("dlib_resnet29", "mobilefacenet")))
    assert names(one.recognisers) == names(other.recognisers) == ("dlib_resnet29", "mobilefacenet")


@pytest.mark.parametrize("fields, reason", [
    ({"recognisers": ("fancy",)}, "'fancy'; there is dlib_resnet29, edgeface_xxs, mobilefacenet"),
    ({"judge": "fancy"}, "'fancy'; there is dlib_resnet29"),
    ({"recognisers": ("dlib_resnet29",), "judge": "mobilefacenet"}, "not among the recognisers dlib_resnet29"),
    ({"recognisers": ("dlib_resnet29",), "judge": "dlib_resnet29"}, "none would be left"),
])
def test_a_choice_that_cannot_be_is_refused(three, fields, reason):
    with pytest.raises(SettingsInvalid, match=reason):
        networks.load(dataclasses.replace(SETTINGS, **fields))


def test_none_at_all_is_refused():
    with pytest.raises(SettingsInvalid, match="recognisers names none"):
        Settings(recognisers=())


def test_who_cannot_judge_is_never_alone_and_never_the_judge(three, mute):
    """A verdict by nobody would say that a face is safe because nobody objected."""
    mute("mobilefacenet")
    with pytest.raises(SettingsInvalid, match="none of mobilefacenet can judge"):
        networks.load(dataclasses.replace(SETTINGS, recognisers=("mobilefacenet",)))
    with pytest.raises(SettingsInvalid, match="'mobilefacenet', which cannot judge"):
        networks.load(dataclasses.replace(SETTINGS, judge="mobilefacenet"))


def test_each_scale_counts_by_its_own_threshold(three, mute):
    recognisers = networks.load(SETTINGS).recognisers
    scales = networks.scales(recognisers)
    thresholds = [calibration.curve(r.name).threshold(calibration.VERDICT_FMR) for r in recognisers]
    # At each one's own threshold the judged value is the first one's threshold
    for scale, threshold in zip(scales, thresholds, strict=True):
        assert 1 - (1 - threshold) * scale == pytest.approx(thresholds[0])
    assert scales[0] == 1.0
    mute("mobilefacenet")
    assert networks.scales(recognisers)[1] == 0.0 and networks.scales(recognisers[1:2]) == (1.0,)


def test_a_photo_is_made_against_two_and_judged_by_three(three, portrait, tmp_path):
    """The judge's network is not asked before the file is written; the report says who was what."""
    asked = []
    real = surrogates.Surrogate.embed

    def watch(self, chips):
        asked.append((self.name, torch.is_grad_enabled() and chips.requires_grad))
        return real(self, chips)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surrogates.Surrogate, "embed", watch)
        patch.setitem(PRESETS, "balanced", dataclasses.replace(PRESETS["balanced"], steps=15))
        (outcome,) = cloak_photos([portrait], [tmp_path / "out.png"], SETTINGS)
    assert outcome.report is not None
    assert ("edgeface_xxs", True) not in asked and ("mobilefacenet", True) in asked
    assert not any(needs for _, needs in asked[asked.index(("edgeface_xxs", False)):])  # the making was over
    (face,) = outcome.report.faces
    assert {v.recogniser: v.is_surrogate for v in face.verdicts} == {
        "dlib_resnet29": True, "mobilefacenet": True, "edgeface_xxs": False}
    assert "Made against 2, judged by 3: edgeface_xxs was kept out of the making." in outcome.report.words
    assert set(NAMES) <= set(outcome.report.weights)
    by_dlib, by_mobile, _ = face.verdicts
    assert (by_dlib.recogniser, by_mobile.recogniser) == ("dlib_resnet29", "mobilefacenet")
    assert by_dlib.similarity_after < by_dlib.similarity_before and not by_dlib.is_matched
    assert by_mobile.similarity_after < by_mobile.similarity_before - 0.2
    # Judged again, nobody knows who made it: no independence is claimed
    again = verify.verify_photo(tmp_path / "out.png", original=portrait, settings=SETTINGS)
    assert all(v.is_surrogate for v in again.faces[0].verdicts) and "kept out" not in again.words


def test_any_recogniser_that_matches_makes_the_face_matched(three, portrait):
    """One no is enough, also from the one that had no part in the making."""
    nets = networks.load(SETTINGS)
    photo = io_image.read_photo(portrait, max_pixels=10**7)
    (faces,) = nets.find([photo.pixels])
    (face,) = verify.judge(photo, photo, faces, nets, SETTINGS)
    assert face.status == "matched" and {v.recogniser for v in face.verdicts} == set(NAMES)
    assert all(name in face.words for name in NAMES)


def test_who_did_not_judge_is_named(three, mute, portrait):
    mute("edgeface_xxs")
    nets = networks.load(SETTINGS)
    photo = io_image.read_photo(portrait, max_pixels=10**7)
    (faces,) = nets.find([photo.pixels])
    reports = verify.judge(photo, photo, faces, nets, SETTINGS)
    assert {v.recogniser for v in reports[0].verdicts} == {"dlib_resnet29", "mobilefacenet"}
    assert "edgeface_xxs did not judge" in verify.summary(reports, nets)


def test_a_curve_belongs_to_bytes_and_to_what_they_are_fed(three, install, install_known, shared_data):
    assert calibration.curve("mobilefacenet").recogniser == "mobilefacenet"
    model = next(m for m in networks.surrogates.store.installed() if m.name == "mobilefacenet")
    fields = calibration.curve("mobilefacenet").fields()
    file, turned = shared_data / "weights" / "mobilefacenet.onnx", dataclasses.replace(model.recipe, channels="bgr")
    install("turned", file, "onnx", turned)
    assert calibration.find("turned") is None
    with pytest.raises(SettingsInvalid, match="turned: nobody measured"):
        calibration.curve("turned")
    install("own", file, "onnx", turned, calibration={**fields, "recipe": dataclasses.asdict(turned)})
    assert calibration.curve("own").recogniser == "own"
    install("foreign", file, "onnx", turned, calibration=fields)
    with pytest.raises(WeightsCorrupt, match="another preprocessing"):
        calibration.find("foreign")
    install("damaged", file, "onnx", turned, calibration={**fields, "similarity": [0.5] * len(fields["fmr"])})
    with pytest.raises(WeightsCorrupt, match="must fall in FMR"):
        calibration.find("damaged")


def test_other_alignments_see_the_face_a_little_differently_and_always_the_same_way(nets, portrait):
    pixels = np.array(Image.open(portrait).convert("RGB"))
    (faces,) = nets.find([pixels])
    for surrogate in nets.recognisers:
        plain = nets.embed(surrogate, pixels, faces)
        seen, again = (nets.embed_aligned(surrogate, pixels, faces, 8) for _ in range(2))
        assert seen.shape == (9, *plain.shape)
        torch.testing.assert_close(seen[0], plain)
        assert torch.equal(seen, again)
        alike = (seen[1:] * plain).sum(2)
        assert (alike > 0.9).all() and (alike < 0.9999).all() and len(torch.unique(alike)) == alike.numel()
