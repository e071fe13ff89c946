"""Faces that are covered, kept, drawn by hand or raised: real photos through the whole engine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cloak import io_image, masks, networks, obfuscators, protect, references, verify
from cloak.choices import Choices, Region
from cloak.errors import ReferenceUnusable
from cloak.protect import cloak_photos
from cloak.report import load_report, report_path_for
from cloak.settings import PRESETS, Settings
from cloak.types import KEEP, STRENGTHS, STYLES, FaceReport, Faces, Treatment, Verdict

LIGHT = Settings(strength="light", device="cpu")
SOLID = Treatment("redact", "solid")
CLOAK = Treatment("cloak", "light")


@pytest.fixture(autouse=True)
def quick(nets, monkeypatch):
    """Networks loaded once, and presets of a few steps: far too few to protect anybody."""
    monkeypatch.setattr(networks, "load", lambda settings: nets)
    for strength in STRENGTHS:
        monkeypatch.setitem(PRESETS, strength, dataclasses.replace(PRESETS[strength], radius=1, peak=2, steps=2))


def save(pixels, path):
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)
    return path


def read(path):
    return np.array(Image.open(path).convert("RGB"))


def treat(pixels, tmp_path, choices, settings=LIGHT, **more):
    """(outcome, pixels of the output) of one PNG."""
    source = save(pixels, tmp_path / "in.png")
    (outcome,) = cloak_photos([source], [tmp_path / "out.png"], settings, choices={source: choices}, **more)
    return outcome, read(tmp_path / "out.png") if outcome.kind == "done" else None


def heads(pixels, nets):
    """(H, W) bool for each face."""
    (faces,) = nets.find([pixels])
    covered = []
    for box, landmarks in zip(faces.boxes, faces.landmarks):
        area = np.zeros(pixels.shape, np.uint8)
        obfuscators.cover(area, masks.head(box, landmarks), "solid", seed=0)
        white = np.full(pixels.shape, 255, np.uint8)
        obfuscators.cover(white, masks.head(box, landmarks), "solid", seed=0)
        covered.append((area != 0).any(2) | (white != 255).any(2))
    return covered


@pytest.mark.parametrize("style", STYLES)
def test_a_covered_face_is_no_longer_matched_and_nothing_else_changed(two_people, nets, tmp_path, style):
    outcome, after = treat(two_people, tmp_path, Choices(Treatment("redact", style)))
    assert [f.status for f in outcome.report.faces] == ["redacted", "redacted"], outcome.report.words
    assert outcome.report.is_protected and "2 covered" in outcome.report.words
    for face in outcome.report.faces:
        assert face.treatment == f"redact {style}"
        assert all(v.similarity_before > v.threshold > v.similarity_after for v in face.verdicts)
    area = np.any(heads(two_people, nets), 0)
    assert np.array_equal(after[~area], two_people[~area])
    assert np.abs(after[area].astype(int) - two_people[area]).mean() > 10
    assert load_report(report_path_for(outcome.output)) == outcome.report


def test_a_kept_face_keeps_every_byte_and_is_reported_as_kept(two_people, nets, tmp_path):
    outcome, after = treat(two_people, tmp_path, Choices(SOLID, {1: KEEP}))
    kept, covered = heads(two_people, nets)
    assert np.array_equal(after[~covered], two_people[~covered]) and not after[covered].any()
    assert [f.status for f in outcome.report.faces] == ["kept", "redacted"]
    assert outcome.report.is_protected and "1 LEFT AS IT WAS, as you chose" in outcome.report.words
    assert outcome.report.faces[0].verdicts == ()


def test_each_face_gets_its_own_treatment(two_people, nets, tmp_path):
    outcome, after = treat(two_people, tmp_path, Choices(KEEP, {1: SOLID, 2: CLOAK}))
    first, second = heads(two_people, nets)
    assert not after[first].any()
    change = np.abs(after.astype(int) - two_people)
    assert 0 < change[second].max() <= 2
    assert [f.treatment for f in outcome.report.faces] == ["redact solid", "cloak light"]


def test_a_photo_without_faces_is_cleaned_only_where_that_was_chosen(tmp_path):
    empty = np.full((90, 120, 3), 77, np.uint8)
    exif = Image.Exif()
    exif[0x9286] = "somebody was here"
    source = tmp_path / "empty.png"
    Image.fromarray(empty).save(source, exif=exif)
    output = tmp_path / "out.png"
    (refused,) = cloak_photos([source], [output], LIGHT)
    assert (refused.kind, output.exists()) == ("no_face", False)
    (cleaned,) = cloak_photos([source], [output], dataclasses.replace(LIGHT, no_face="clean"))
    assert cleaned.kind == "done" and cleaned.report.faces == () and "finds no face" in cleaned.report.words
    assert not cleaned.report.is_protected, "nothing was judged"
    assert np.array_equal(read(output), empty)
    assert b"somebody was here" in source.read_bytes() and b"somebody was here" not in output.read_bytes()


def test_a_region_is_covered_where_no_face_was_found(tmp_path):
    wall = np.full((90, 120, 3), 77, np.uint8)
    outcome, after = treat(wall, tmp_path, Choices(CLOAK, {}, (Region(10, 20, 30, 40, SOLID),)))
    expected = wall.copy()
    expected[20:60, 10:40] = 0
    assert np.array_equal(after, expected)
    (face,) = outcome.report.faces
    assert (face.number, face.status, face.treatment) == (1, "redacted", "redact solid")
    assert face.box == (10, 20, 40, 60)


def test_a_region_over_the_edge_covers_what_there_is(tmp_path):
    wall = np.full((90, 120, 3), 77, np.uint8)
    _, after = treat(wall, tmp_path, Choices(CLOAK, {}, (Region(100, -5, 50, 20, SOLID),)))
    assert not after[:15, 100:].any() and (after[15:] == 77).all() and (after[:, :100] == 77).all()


def test_a_face_that_is_not_there_fails_this_photo_and_no_other(two_people, tmp_path):
    sources = [save(two_people, tmp_path / f"{n}.png") for n in "ab"]
    outcomes = cloak_photos(sources, [tmp_path / f"out-{n}.png" for n in "ab"], LIGHT,
                            choices={sources[0]: Choices(SOLID, {3: KEEP}), sources[1]: Choices(SOLID)})
    assert [o.kind for o in outcomes] == ["failed", "done"] and "face 3 was named" in outcomes[0].error
    assert not (tmp_path / "out-a.png").exists()


# --- small faces ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small(woman):
    """A face about 25 px high in an otherwise empty picture."""
    frame = np.full((120, 160, 3), 120, np.uint8)
    frame[20:90, 30:100] = cv2.resize(woman[:300, 80:380], (70, 70), interpolation=cv2.INTER_AREA)
    return frame


def test_a_face_too_small_to_cloak_is_covered_and_the_report_says_why(small, tmp_path):
    outcome, after = treat(small, tmp_path, Choices(CLOAK))
    (face,) = outcome.report.faces
    assert face.status == "redacted" and "too small to cloak" in face.words and face.treatment == "redact solid"
    assert not after[40, 60].any()


def test_a_small_face_is_reported_instead_where_that_was_asked(small, tmp_path):
    outcome, after = treat(small, tmp_path, Choices(CLOAK), dataclasses.replace(LIGHT, small="report"))
    (face,) = outcome.report.faces
    assert face.treatment == "cloak light" and not outcome.report.is_protected
    assert np.abs(after.astype(int) - small).max() <= 2


def test_a_small_face_that_was_to_be_kept_is_kept(small, tmp_path):
    outcome, after = treat(small, tmp_path, Choices(KEEP))
    assert outcome.report.faces[0].status == "kept" and np.array_equal(after, small)


# --- ensure --------------------------------------------------------------------------------------------------------


def test_what_does_not_hold_is_written_all_the_same_without_ensure(two_people, tmp_path):
    outcome, _ = treat(two_people, tmp_path, Choices(CLOAK))
    assert [f.status for f in outcome.report.faces] == ["matched", "matched"] and not outcome.report.is_protected


def test_ensure_covers_at_last_what_no_strength_protects(two_people, tmp_path, monkeypatch):
    tried = []
    real = protect._Batch

    def record(jobs, chosen, strength, *rest):
        tried.append((strength, len(chosen)))
        return real(jobs, chosen, strength, *rest)

    monkeypatch.setattr(protect, "_Batch", record)
    outcome, after = treat(two_people, tmp_path, Choices(CLOAK, {1: KEEP}),
                           dataclasses.replace(LIGHT, ensure=True, cover="ring"))
    assert tried == [("balanced", 1), ("strong", 1)], "light is never ensured"
    kept, raised = outcome.report.faces
    assert kept.status == "kept"
    assert raised.status == "redacted" and raised.treatment == "redact ring" and "did not hold" in raised.words
    assert outcome.report.is_protected
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.png", "out.png", "out.png.json"]


@pytest.mark.parametrize(("score", "box", "unsure"), [
    (0.9, (100, 100, 200, 220), False), (0.6, (100, 100, 200, 220), True), (0.9, (5, 100, 105, 220), True),
    (0.9, (100, 290, 200, 395), True), (0.9, (100, -20, 200, 90), True),
])
def test_ensure_does_not_cloak_what_is_half_hidden_or_cut_off(nets, score, box, unsure):
    photo = io_image.Photo(Path("march.png"), np.zeros((400, 600, 3), np.uint8), "PNG", "0" * 64)
    faces = Faces(np.float32([box]), np.zeros((1, 5, 2), np.float32), np.float32([score]))
    for settings, how in ((LIGHT, "cloak light"), (dataclasses.replace(LIGHT, ensure=True), "cloak balanced")):
        job = protect._decide(0, photo, faces, Choices(CLOAK), settings)
        assert str(job.treatments[0]) == ("redact solid" if unsure and settings.ensure else how)
    kept = protect._decide(0, photo, faces, Choices(KEEP), dataclasses.replace(LIGHT, ensure=True))
    assert kept.treatments == [KEEP], "a choice is a choice"


def test_ensure_stops_at_the_strength_that_holds(two_people, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "balanced", dataclasses.replace(PRESETS["strong"], radius=40, peak=80, steps=6))
    outcome, after = treat(two_people, tmp_path, Choices(CLOAK), dataclasses.replace(LIGHT, ensure=True))
    assert [f.status for f in outcome.report.faces] == ["protected", "protected"]
    assert {f.treatment for f in outcome.report.faces} == {"cloak balanced"}


@pytest.mark.parametrize(("fmr", "holds"), [(0.002, False), (0.009, False), (0.011, True), (0.9, True)])
def test_ensure_asks_for_a_margin(fmr, holds):
    """Whoever finds the landmarks with another detector sees the face a little differently, and may just match it."""
    verdict = Verdict("dlib_resnet29", True, 0.99, 0.8, 1e-5, fmr, False, 0.9, 1e-3)
    face = FaceReport(1, (0, 0, 40, 50), 0.9, "cloak light", "protected", (verdict,), "")
    assert protect._holds(face) == holds
    assert protect._holds(dataclasses.replace(face, status="redacted", treatment="redact solid"))


def test_ensure_writes_nothing_where_even_a_cover_is_matched(two_people, tmp_path, monkeypatch):
    real = verify.judge

    def all_matched(*given, **named):
        return tuple(dataclasses.replace(face, status="matched") for face in real(*given, **named))

    monkeypatch.setattr(verify, "judge", all_matched)
    outcome, _ = treat(two_people, tmp_path, Choices(CLOAK), dataclasses.replace(LIGHT, ensure=True))
    assert outcome.kind == "failed" and "still matched although it was covered" in outcome.error
    assert [p.name for p in tmp_path.iterdir()] == ["in.png"]


# --- secrets -------------------------------------------------------------------------------------------------------


def test_the_noise_of_a_mosaic_is_the_same_for_the_same_photo_and_no_other(two_people, tmp_path, monkeypatch):
    seeds = []
    real = obfuscators.cover

    def record(pixels, patch, style, *, seed):
        seeds.append(seed)
        real(pixels, patch, style, seed=seed)

    monkeypatch.setattr(obfuscators, "cover", record)
    other = two_people.copy()
    other[0, 0] ^= 1
    for pixels in (two_people, two_people, other):
        (tmp_path / "out.png").unlink(missing_ok=True)
        (tmp_path / "out.png.json").unlink(missing_ok=True)
        treat(pixels, tmp_path, Choices(Treatment("redact", "mosaic")))
    assert seeds[:2] == seeds[2:4] and len(set(seeds)) == 4, "one for each head, known only with the photo"


# --- references ----------------------------------------------------------------------------------------------------


def test_the_person_of_the_reference_photos_is_cloaked_against_them_too(two_people, woman, nets, tmp_path):
    reference = save(cv2.convertScaleAbs(woman[:320, 60:400], alpha=0.8, beta=20), tmp_path / "me.png")
    outcome, after = treat(two_people, tmp_path, Choices(CLOAK), reference_photos=[reference])
    (plain,) = cloak_photos([tmp_path / "in.png"], [tmp_path / "plain.png"], LIGHT)
    assert "Face 1, 2 was taken for the person of the 1 reference photo" in outcome.report.notes[-1]
    assert not np.array_equal(after, read(plain.output))
    assert "me.png" not in report_path_for(outcome.output).read_text()


def test_strangers_are_cloaked_as_if_there_were_no_reference(nets):
    unit = np.eye(128, dtype=np.float32)
    import torch

    person = references.References({s.name: torch.tensor(unit[:2]) for s in nets.surrogates}, 2)
    anchors = [torch.tensor(unit[[0, 5]]) for _ in nets.surrogates]
    for before, after in zip(anchors, person.strengthen(anchors, nets.surrogates)):
        assert torch.equal(before[1], after[1])
    close = [torch.nn.functional.normalize(torch.tensor(unit[[0]] + 0.7 * unit[[1]]), dim=1) for _ in nets.surrogates]
    for before, after, s in zip(close, person.strengthen(close, nets.surrogates), nets.surrogates):
        assert (after @ person.embeddings[s.name].T).mean() > (before @ person.embeddings[s.name].T).mean()


def test_reference_photos_show_one_person_and_the_same(two_people, woman, portrait, nets, tmp_path):
    group = save(two_people, tmp_path / "group.png")
    wall = save(np.full((90, 90, 3), 90, np.uint8), tmp_path / "wall.png")
    for path, words in ((group, "2 faces found"), (wall, "no faces found")):
        with pytest.raises(ReferenceUnusable, match=words):
            references.read([path], nets, LIGHT)


def test_a_reference_photo_of_somebody_else_is_refused(shared_data, portrait, nets):
    other = sorted((shared_data / "lfw-dev").glob("Aaron_P*/*.jpg"))[0]
    with pytest.raises(ReferenceUnusable, match="one and the same person"):
        references.read([portrait, other], nets, LIGHT)


# --- pictures with numbers -------------------------------------------------------------------------------------------


def test_the_picture_with_numbers_is_written_beside_and_never_over_the_photo(two_people, tmp_path):
    source = save(two_people, tmp_path / "two.png")
    photo, faces = protect.find_faces(source, settings=LIGHT)
    protect.draw_faces(photo, faces, tmp_path / "two.faces.jpg", settings=LIGHT)
    drawn = io_image.read_photo(tmp_path / "two.faces.jpg", max_pixels=10**7)
    assert drawn.format == "JPEG" and drawn.pixels.shape[0] >= 300
    assert np.array_equal(read(source), two_people)


# --- faces that are nothing to a recogniser --------------------------------------------------------------------------


def test_a_cover_holds_where_the_recogniser_saw_nothing_before_either(two_people, nets, tmp_path, monkeypatch):
    """A dark blur is as alike to a black cover as to itself: that says nothing of who it was."""
    monkeypatch.setattr(verify, "_empty", lambda surrogate, reference, threshold: [1])
    real = verify._verdict

    def all_matched(surrogate, before, after, *, is_surrogate=True):
        return real(surrogate, before, 0.99, is_surrogate=is_surrogate)

    monkeypatch.setattr(verify, "_verdict", all_matched)
    outcome, _ = treat(two_people, tmp_path, Choices(SOLID))
    plain, dark = outcome.report.faces
    assert plain.status == "matched"
    assert dark.status == "redacted" and "looked like an empty picture" in dark.words


def test_a_face_is_not_an_empty_picture_and_darkness_is(two_people, nets):
    (faces,) = nets.find([two_people])
    for surrogate in nets.surrogates:
        threshold = 0.9266 if surrogate.name == "dlib_resnet29" else 0.4
        seen = [nets.embed(surrogate, pixels, faces) for pixels in (two_people, two_people // 40)]
        assert verify._empty(surrogate, seen[0], threshold) == []
        assert verify._empty(surrogate, seen[1], threshold) == [0, 1]


def test_a_cloak_made_with_one_recogniser_says_how_to_make_a_better_one(two_people, nets, tmp_path):
    assert len(nets.recognisers) == 1
    cloaked, _ = treat(two_people, tmp_path, Choices(CLOAK, {1: KEEP}))
    assert any("cloak models fetch recommended" in note for note in cloaked.report.notes)
    (tmp_path / "out.png").unlink()
    (tmp_path / "out.png.json").unlink()
    covered, _ = treat(two_people, tmp_path, Choices(SOLID))
    assert covered.report.notes == (verify.LIMITS,), "it would change nothing for a cover"
