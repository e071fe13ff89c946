"""The judge of what was written: it says MATCHED where a searcher would, and never calls doubt protection."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cloak import calibration, io_image, networks, verify, weights
from cloak.errors import PhotoUnreadable
from cloak.networks import Networks
from cloak.settings import Settings
from cloak.types import Faces, Treatment

SETTINGS = Settings(device="cpu")


@pytest.fixture(autouse=True)
def one_load(monkeypatch, nets):
    """The networks once for the whole file."""
    monkeypatch.setattr(networks, "load", lambda settings: nets)


@pytest.fixture(scope="module")
def box(portrait, nets) -> tuple[int, int, int, int]:
    (faces,) = nets.find([read(portrait).pixels])
    return tuple(int(v) for v in faces.boxes[0])


def read(path):
    return io_image.read_photo(path, max_pixels=10**8)


def save(pixels, path, **how) -> Path:
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **how)
    return path


def judged(path, original):
    report = verify.verify_photo(path, original=original, settings=SETTINGS)
    assert report.faces
    return report


def only(report):
    (face,) = report.faces
    return face


def test_an_unprotected_copy_is_matched(portrait, tmp_path):
    report = judged(save(read(portrait).pixels, tmp_path / "copy.png"), portrait)
    face = only(report)
    assert face.status == "matched" and "STILL MATCHED" in face.words and "STILL MATCHED" in report.words
    assert not report.is_protected
    for verdict in face.verdicts:
        assert verdict.is_matched
        assert verdict.similarity_after == pytest.approx(1, abs=1e-5)
        assert -1 <= verdict.similarity_after <= 1 and -1 <= verdict.similarity_before <= 1
        assert verdict.fmr_after == calibration.curve(verdict.recogniser).fmr[-1]


@pytest.mark.parametrize(("scale", "quality"), [(1, 95), (1, 30), (0.5, 85), (0.75, 75), (2, 90)])
def test_a_resized_and_recompressed_copy_is_matched(portrait, tmp_path, scale, quality):
    image = Image.open(portrait).convert("RGB")
    small = image.resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS)
    face = only(judged(save(small, tmp_path / "copy.jpg", quality=quality), portrait))
    assert face.status == "matched" and face.verdicts[0].similarity_after > 0.95


@pytest.mark.parametrize("crop", [
    (120, 10, 330, 260),  # another shape
    (100, 0, 400, 300),  # the shape of the original: places look comparable and are not
    (0, 0, 400, 400),
    (171, 52, 278, 182),
])
def test_a_cropped_copy_is_matched(portrait, tmp_path, crop):
    face = only(judged(save(Image.open(portrait).convert("RGB").crop(crop), tmp_path / "crop.png"), portrait))
    assert face.status == "matched"
    assert face.verdicts[0].similarity_after > 0.95


def test_a_mirrored_copy_is_matched(portrait, tmp_path):
    mirrored = np.ascontiguousarray(read(portrait).pixels[:, ::-1])
    assert only(judged(save(mirrored, tmp_path / "mirrored.png"), portrait)).status == "matched"


def test_a_face_that_the_detector_loses_is_lost_and_not_protected(portrait, box, tmp_path):
    """A detector that finds nothing says nothing about the next one."""
    pixels = read(portrait).pixels.copy()
    x1, y1, x2, y2 = box
    pixels[y1 - 10 : y2 + 10, x1 - 10 : x2 + 10] = (128, 90, 70)
    report = judged(save(pixels, tmp_path / "covered.png"), portrait)
    assert only(report).status == "lost"
    assert not report.is_protected
    assert "not protection" in report.words


def test_a_lost_face_that_still_matches_in_its_place_is_matched(portrait, tmp_path, monkeypatch, nets):
    """The adversary may know where the face is. Here the detector finds it in the original only."""
    copy = save(read(portrait).pixels, tmp_path / "copy.png")
    calls = []

    def find(self, pictures):
        calls.append(1)
        return [nets_find(nets, p) if len(calls) == 1 else Faces.none() for p in pictures]

    def nets_find(nets, picture):
        found = nets.detector.detect([picture])[0]
        return found

    monkeypatch.setattr(Networks, "find", find)
    assert only(judged(copy, portrait)).status == "matched"


def test_another_persons_photo_is_not_matched(shared_data, portrait, tmp_path):
    """The same frame with another face in it, as a face swap would leave it."""
    people = shared_data / "lfw-dev"
    a, b = (read(people / name / f"{name}_0001.jpg").pixels for name in ("Al_Pacino", "Aishwarya_Rai"))
    face = only(judged(save(b, tmp_path / "b.png"), save(a, tmp_path / "a.png")))
    assert face.status != "matched" and not face.verdicts[0].is_matched
    assert face.verdicts[0].similarity_after < face.verdicts[0].threshold
    assert face.verdicts[0].fmr_after > calibration.VERDICT_FMR


def test_without_an_original_a_face_is_listed_and_not_judged(portrait):
    report = verify.verify_photo(portrait, original=None, settings=SETTINGS)
    face = only(report)
    assert face.status == "unjudged" and face.verdicts == () and not report.is_protected
    assert "original" in report.words
    assert report.output is None and report.input == portrait.name
    x1, y1, x2, y2 = face.box
    assert 150 < x1 < 220 < x2 < 300 and 40 < y1 < 100 < y2 < 200


def test_a_photo_without_a_face_proves_nothing(portrait):
    report = verify.verify_photo(portrait.parent / "coffee.png", original=None, settings=SETTINGS)
    assert report.faces == () and not report.is_protected and "does not prove" in report.words


def test_an_original_without_a_face_judges_nothing(portrait):
    report = verify.verify_photo(portrait, original=portrait.parent / "coffee.png", settings=SETTINGS)
    assert report.faces == () and not report.is_protected and "nothing was judged" in report.words


def test_a_small_face_below_the_threshold_is_too_small_and_not_protected(shared_data, tmp_path):
    """Some thirty pixels hold too little for a similarity to mean what the curve says."""
    people = shared_data / "lfw-dev"
    frames = []
    for name in ("Al_Pacino", "Aishwarya_Rai"):
        small = Image.open(people / name / f"{name}_0001.jpg").resize((68, 68), Image.Resampling.LANCZOS)
        frame = np.full((200, 200, 3), 110, np.uint8)
        frame[60:128, 60:128] = np.asarray(small)
        frames.append(save(frame, tmp_path / f"{name}.png"))
    face = only(judged(frames[1], frames[0]))
    assert face.box[3] - face.box[1] < verify.MIN_JUDGED_PX
    assert face.status == "too_small" and "Redact" in face.words


def two_people(portrait, nets):
    """The portrait twice in one picture, the second smaller: (pixels, faces left to right)."""
    pixels = read(portrait).pixels[:300, 80:380]
    second = np.asarray(Image.fromarray(np.ascontiguousarray(pixels[:, ::-1])).resize((225, 225)))
    frame = np.full((300, 560, 3), 120, np.uint8)
    frame[:, :300] = pixels
    frame[40:265, 320:545] = second
    (faces,) = nets.find([frame])
    assert len(faces) == 2
    return frame, faces


def test_each_face_is_judged_in_its_own_place(portrait, nets, tmp_path):
    """The right one covered, the left one bare: two verdicts, left to right, and the photo is not protected."""
    frame, faces = two_people(portrait, nets)
    covered = frame.copy()
    x1, y1, x2, y2 = (int(v) for v in faces.boxes[1])
    covered[y1 - 8 : y2 + 8, x1 - 8 : x2 + 8] = (128, 90, 70)
    left, right = judged(save(covered, tmp_path / "b.png"), save(frame, tmp_path / "a.png")).faces
    assert (left.number, right.number) == (1, 2) and left.box[0] < right.box[0]
    assert left.status == "matched"
    # The same person stands bare beside it, so this face is found by a search all the same.
    assert right.status in ("lost", "matched")


def test_the_operating_point_is_the_one_that_is_named(portrait, tmp_path):
    for verdict in only(judged(portrait, portrait)).verdicts:
        curve = calibration.curve(verdict.recogniser)
        assert verdict.threshold_fmr == calibration.VERDICT_FMR
        assert verdict.threshold == curve.threshold(calibration.VERDICT_FMR)
        assert verdict.is_matched == (verdict.similarity_after >= verdict.threshold)
        assert verdict.fmr_after == curve.fmr_at(verdict.similarity_after)


def test_a_report_names_files_hashes_versions_and_weights(portrait, tmp_path):
    copy = save(read(portrait).pixels, tmp_path / "copy.jpg", quality=95)
    report = judged(copy, portrait)
    assert (report.input, report.output) == (portrait.name, "copy.jpg")
    assert report.input_sha256 == read(portrait).sha256 and report.output_sha256 == read(copy).sha256
    assert report.size == (512, 512)
    assert report.settings["detector"] == SETTINGS.detector and report.settings["seed"] == 0
    assert {"facecloak", "torch", "pillow"} <= set(report.versions)
    registry = weights.registry()
    assert all(registry[name].sha256 == value for name, value in report.weights.items())
    assert "dlib_resnet29" in report.weights and any(name.startswith(SETTINGS.detector) for name in report.weights)


def test_a_broken_file_is_an_error_and_no_verdict(portrait, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(portrait.read_bytes()[:5000])
    for path, original in ((broken, portrait), (portrait, broken)):
        with pytest.raises(PhotoUnreadable, match="broken.png"):
            verify.verify_photo(path, original=original, settings=SETTINGS)


def test_before_is_what_the_file_format_alone_does(portrait, nets, tmp_path):
    """An original JPEG is compared with itself written at the quality of the output, not with perfection."""
    image = Image.open(portrait).convert("RGB")
    original = read(save(image, tmp_path / "a.jpg", quality=98))
    (faces,) = nets.find([original.pixels])
    low = dataclasses.replace(SETTINGS, jpeg_quality=85)
    (fine,), (coarse,) = (verify.judge(original, original, faces, nets, s) for s in (SETTINGS, low))
    assert coarse.verdicts[0].similarity_before < fine.verdicts[0].similarity_before < 1
    assert coarse.verdicts[0].similarity_after == pytest.approx(fine.verdicts[0].similarity_after)


def test_verifying_changes_neither_file(portrait, tmp_path):
    a, b = (save(read(portrait).pixels, tmp_path / name) for name in ("a.png", "b.png"))
    before = [(p.read_bytes(), p.stat().st_mtime_ns) for p in (a, b)]
    verify.verify_photo(b, original=a, settings=SETTINGS)
    assert [(p.read_bytes(), p.stat().st_mtime_ns) for p in (a, b)] == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("how", ["shifted", "exchanged", "mirrored"])
def test_a_stranger_in_the_old_place_does_not_hide_a_bare_face(shared_data, tmp_path, how):
    """Copies of the same size in which another person's face lies where the first one was."""
    people = shared_data / "lfw-dev"
    first, second = (read(people / name / f"{name}_0001.jpg").pixels[:, 40:210]
                     for name in ("Al_Pacino", "Aishwarya_Rai"))
    empty = np.full((250, 160, 3), 120, np.uint8)
    original, moved = {
        "shifted": ([first, second, empty], [second, empty, first]),
        "exchanged": ([first, second], [second, first]),
        "mirrored": ([first, second], [second[:, ::-1], first[:, ::-1]]),
    }[how]
    paths = [save(np.hstack(parts), tmp_path / name) for parts, name in ((moved, "b.png"), (original, "a.png"))]
    report = judged(*paths)
    assert [face.status for face in report.faces] == ["matched", "matched"]


@pytest.mark.parametrize(("fmr", "is_barely"), [(0.002, True), (0.04, True), (0.06, False), (0.9, False)])
def test_a_face_that_is_protected_by_a_hair_is_not_praised(fmr, is_barely):
    """No longer matched at FMR 1e-3 is all that `protected` says; a patient searcher accepts more strangers."""
    curve = calibration.curve("dlib_resnet29")
    after = curve.threshold(fmr)
    verdict = verify._verdict(next(iter(networks.load(SETTINGS).surrogates)), 0.99, after)
    faces = Faces(np.array([[0, 0, 90, 120]], np.float32), np.zeros((1, 5, 2), np.float32), np.ones(1, np.float32))
    face = verify._face_report(0, faces, (verdict,), None, is_lost=False)
    assert face.status == "protected"
    assert ("barely" in face.words) == is_barely
    if is_barely:
        assert f"1 stranger in {1 / fmr:.0f}" in face.words


def test_the_alignment_that_matches_best_counts(portrait, nets, monkeypatch):
    """Another detector places its landmarks elsewhere; one view that matches is a match."""
    photo = io_image.read_photo(portrait, max_pixels=10**7)
    (faces,) = nets.find([photo.pixels])
    other = io_image.read_photo(portrait, max_pixels=10**7)
    dark = dataclasses.replace(other, pixels=np.ascontiguousarray(255 - other.pixels))
    monkeypatch.setattr(verify, "_partners", lambda *_: ([0], faces))
    plain = verify.judge(dark, photo, faces, nets, SETTINGS)[0].verdicts[0].similarity_after
    real = type(nets).embed_aligned

    def one_view_matches(self, surrogate, pixels, faces, others):
        seen = real(self, surrogate, pixels, faces, others)
        if others:
            seen[-1] = real(self, surrogate, photo.pixels, faces, 0)[0]
        return seen

    monkeypatch.setattr(type(nets), "embed_aligned", one_view_matches)
    through_one = verify.judge(dark, photo, faces, nets, SETTINGS)[0]
    assert through_one.verdicts[0].similarity_after > 0.99 > plain and through_one.status == "matched"
    covered = verify.judge(dark, photo, faces, nets, SETTINGS, treatments=[Treatment("redact", "solid")])[0]
    assert covered.verdicts[0].similarity_after == pytest.approx(plain, abs=0.05)
