"""Real photos through the whole engine, judged from outside on the files it leaves.

Most runs take a few steps only: what they guard does not depend on how strong the cloak is. The fixture `cloaked`
is one whole run.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
import torch
from PIL import Image

from cloak import eot, files, grids, io_image, networks, objectives, protect, verify, weights
from cloak.errors import OutputRefused
from cloak.protect import cloak_photos
from cloak.report import load_report, report_path_for
from cloak.settings import PRESETS, Settings

LIGHT = Settings(strength="light", device="cpu")
STEPS = 3


@pytest.fixture(scope="module", autouse=True)
def quick(nets):
    """Networks loaded once, and `light` with a few steps; `balanced` stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "load", lambda settings: nets)
        patch.setitem(PRESETS, "light", dataclasses.replace(PRESETS["light"], steps=STEPS))
        yield


def read(path):
    return np.array(Image.open(path).convert("RGB"))


def save(pixels, path, **how) -> Path:
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.ascontiguousarray(pixels))).save(path, **how)
    return path


def run(inputs, outputs, settings=LIGHT, **more):
    return cloak_photos(inputs, outputs, settings, **more)


def cloak_one(path, output, settings=LIGHT, **more):
    (outcome,) = run([path], [output], settings, **more)
    assert outcome.kind == "done", outcome.error
    return outcome


def union_of_masks(pixels, faces):
    """Where a delta of any of the faces could lie, (H, W) bool."""
    reached = np.zeros(pixels.shape, np.float32)
    for box in faces.boxes:
        grid = grids.cut(pixels, box)
        everywhere = (grid.amplitude[..., None] > 0).repeat(3, 2).astype(np.float32)
        grids.lay(everywhere, grid, reached)
    return (reached != 0).any(2)


def near(shape, box, share=0.5):
    """The box enlarged by `share` of its sides on each side, (H, W) bool: known without any mask of ours."""
    x1, y1, x2, y2 = box
    w, h = share * (x2 - x1), share * (y2 - y1)
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (x >= x1 - w) & (x <= x2 + w) & (y >= y1 - h) & (y <= y2 + h)


# --- one whole run -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloaked(portrait, tmp_path_factory):
    """(outcome, output) of the portrait at `balanced`."""
    output = tmp_path_factory.mktemp("balanced") / "portrait.png"
    return cloak_one(portrait, output, Settings(strength="balanced", device="cpu")), output


def test_a_cloaked_portrait_is_no_longer_matched(cloaked):
    outcome, _ = cloaked
    (face,) = outcome.report.faces
    assert outcome.report.is_protected and face.status == "protected"
    for verdict in face.verdicts:
        assert verdict.similarity_before >= verdict.threshold, "it would prove nothing if it had never matched"
        assert verdict.similarity_after < verdict.threshold and not verdict.is_matched


def test_dlib_itself_no_longer_takes_the_cloaked_face_for_the_person(cloaked, woman):
    """dlib's C++ with its own detector and landmarks: http://dlib.net/face_recognition.py.html, same below 0.6."""
    folder = weights.locate("dlib_resnet29").parent
    predictor = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    recogniser = dlib.face_recognition_model_v1(str(weights.locate("dlib_resnet29")))
    detector = dlib.get_frontal_face_detector()

    def descriptor(pixels):
        box = detector(pixels, 1)[0]
        return np.array(recogniser.compute_face_descriptor(pixels, predictor(pixels, box)))

    before, after, mirrored = map(descriptor, (woman, read(cloaked[1]), np.ascontiguousarray(woman[:, ::-1])))
    assert np.linalg.norm(before - mirrored) < 0.6
    assert np.linalg.norm(before - after) > 0.6


def test_outside_the_masks_every_byte_is_the_same(cloaked, woman, nets):
    after = read(cloaked[1])
    (faces,) = nets.find([woman])
    reached = union_of_masks(woman, faces)
    assert np.array_equal(after[~reached], woman[~reached])
    assert np.array_equal(after[~near(woman.shape, faces.boxes[0])], woman[~near(woman.shape, faces.boxes[0])])
    assert (after[reached] != woman[reached]).mean() > 0.3


def test_no_value_changes_by_more_than_the_peak(cloaked, woman):
    change = read(cloaked[1]).astype(int) - woman
    # a file holds whole levels: rounding adds up to half of one
    assert 2 < np.abs(change).max() <= PRESETS["balanced"].peak + 0.5


def test_the_report_beside_the_output_is_the_report_that_was_returned(cloaked, portrait):
    outcome, output = cloaked
    assert load_report(report_path_for(output)) == outcome.report
    report = outcome.report
    assert (report.input, report.output) == (portrait.name, output.name)
    assert report.output_sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    assert report.input_sha256 == hashlib.sha256(portrait.read_bytes()).hexdigest()
    assert sorted(p.name for p in output.parent.iterdir()) == ["portrait.png", "portrait.png.json"]


def test_judging_the_file_again_gives_the_verdict_of_the_report(cloaked, portrait):
    outcome, output = cloaked
    again = verify.verify_photo(output, original=portrait, settings=Settings(strength="balanced", device="cpu"))
    (asked,) = outcome.report.faces
    assert again.faces == (dataclasses.replace(asked, treatment=""),), "a file does not say what was done to it"


# --- what does not depend on strength --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_the_seed_decides_the_bytes(woman, tmp_path, name):
    source = save(woman[:300, 80:380], tmp_path / name)
    outputs = [tmp_path / f"{i}{source.suffix}" for i in range(3)]
    for output, seed in zip(outputs, (7, 7, 8)):
        cloak_one(source, output, dataclasses.replace(LIGHT, seed=seed))
    first, again, other = (output.read_bytes() for output in outputs)
    assert first == again and first != other


def test_two_faces_of_a_photo_are_both_changed_and_both_judged(two_people, nets, tmp_path):
    source = save(two_people, tmp_path / "two.png")
    outcome = cloak_one(source, tmp_path / "out.png")
    left, right = outcome.report.faces
    assert (left.number, right.number) == (1, 2) and left.box[0] < 280 < right.box[0]
    assert all(len(face.verdicts) == len(nets.surrogates) for face in (left, right))
    after = read(tmp_path / "out.png")
    for face in (left, right):
        inside = near(after.shape, face.box, share=0)
        assert (after[inside] != two_people[inside]).mean() > 0.3
        for verdict in face.verdicts:
            assert verdict.similarity_after < verdict.similarity_before - 0.005
    (faces,) = nets.find([two_people])
    outside = ~union_of_masks(two_people, faces)
    assert np.array_equal(after[outside], two_people[outside])


def test_where_two_masks_overlap_the_change_stays_within_the_peak(woman, nets, tmp_path, monkeypatch):
    """Both cloaks want the pixels between two heads; each is within the budget, and so must be their sum."""
    head = woman[50:185, 171:278]
    frame = np.full((300, 400, 3), 120, np.uint8)
    frame[80:215, 90:197], frame[80:215, 197:304] = head, head[:, ::-1]
    (faces,) = nets.find([frame])
    masks = [union_of_masks(frame, faces.take([i])) for i in range(len(faces))]
    assert len(masks) == 2 and (masks[0] & masks[1]).sum() > 100
    monkeypatch.setitem(PRESETS, "light", dataclasses.replace(PRESETS["light"], radius=60, peak=6, steps=6))
    cloak_one(save(frame, tmp_path / "two.png"), tmp_path / "out.png")
    change = np.abs(read(tmp_path / "out.png").astype(int) - frame)
    assert change.max() <= 6


@pytest.mark.parametrize("scale", [0.4, 3])
def test_faces_smaller_and_larger_than_the_grid_stay_within_the_peak_and_the_mask(
    woman, nets, tmp_path, monkeypatch, scale
):
    pixels = cv2.resize(woman[:300, 80:380], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    monkeypatch.setitem(PRESETS, "light", dataclasses.replace(PRESETS["light"], radius=60, peak=9))
    outcome = cloak_one(save(pixels, tmp_path / "in.png"), tmp_path / "out.png")
    after = read(tmp_path / "out.png")
    change = after.astype(int) - pixels
    assert change.any() and np.abs(change).max() <= 9
    (faces,) = nets.find([pixels])
    reached = union_of_masks(pixels, faces)
    assert np.array_equal(after[~reached], pixels[~reached])
    assert outcome.report.faces[0].verdicts[0].similarity_after < outcome.report.faces[0].verdicts[0].similarity_before


@pytest.mark.parametrize(("rows", "columns"), [
    (slice(80, 400), slice(60, 400)), (slice(0, 150), slice(60, 400)),
    (slice(0, 300), slice(200, 512)), (slice(0, 300), slice(0, 252)),
], ids=["top", "bottom", "left", "right"])
def test_a_face_cut_by_the_border_is_cloaked_where_it_is(woman, nets, tmp_path, rows, columns):
    pixels = np.ascontiguousarray(woman[rows, columns])
    (faces,) = nets.find([pixels])
    assert len(faces) == 1
    cloak_one(save(pixels, tmp_path / "in.png"), tmp_path / "out.png")
    change = np.abs(read(tmp_path / "out.png").astype(float) - pixels).sum(2)
    # where the face of the whole portrait is, moved with the crop
    x1, y1, x2, y2 = 181 - columns.start, 62 - rows.start, 268 - columns.start, 172 - rows.start
    assert change.sum() > 0 and change[~near(change.shape, (x1, y1, x2, y2))].sum() == 0
    visible = near(change.shape, (x1, y1, x2, y2), share=-0.1)
    assert (change[visible] > 0).mean() > 0.3


def test_one_batch_with_good_and_bad_files_gives_each_its_outcome(portrait, woman, tmp_path):
    text, empty, nothing, cut = (tmp_path / name for name in ("text.jpg", "empty.png", "no-face.png", "cut.png"))
    text.write_text("not a picture")
    empty.write_bytes(b"")
    nothing.write_bytes((portrait.parent / "coffee.png").read_bytes())
    cut.write_bytes(portrait.read_bytes()[:20_000])
    good = save(woman[:300, 80:380], tmp_path / "good.jpg", quality=95)
    inputs = [text, portrait, empty, nothing, cut, tmp_path / "missing.jpg", good]
    out = tmp_path / "out"
    out.mkdir()
    outcomes = run(inputs, [out / path.name for path in inputs])
    assert [outcome.input for outcome in outcomes] == inputs
    assert [o.kind for o in outcomes] == ["failed", "done", "failed", "no_face", "failed", "failed", "done"]
    for outcome in outcomes:
        assert (outcome.report is None) == (outcome.output is None) == (outcome.error is not None)
        if outcome.error:
            assert outcome.input.name in outcome.error and "othing was written" in outcome.error
    assert sorted(p.name for p in out.iterdir()) == [
        "astronaut.png", "astronaut.png.json", "good.jpg", "good.jpg.json"]


def test_photos_of_several_sizes_and_kinds_keep_them(woman, nets, tmp_path):
    """In one batch: colour, grey and transparent, small and large, PNG and JPEG."""
    part = woman[:300, 80:380]
    large = cv2.resize(part, (700, 620), interpolation=cv2.INTER_CUBIC)
    alpha = np.tile(np.linspace(0, 255, 300).astype(np.uint8), (300, 1))
    rgba = np.dstack([part, alpha])
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    made = {
        "plain.png": part[:, 20:280], "large.jpg": large, "grey.png": grey, "grey.jpg": grey, "alpha.png": rgba,
    }
    inputs = [save(pixels, tmp_path / name) for name, pixels in made.items()]
    out = tmp_path / "out"
    out.mkdir()
    for outcome in run(inputs, [out / path.name for path in inputs]):
        assert outcome.kind == "done", outcome.error
        before, after = Image.open(outcome.input), Image.open(outcome.output)
        assert (after.size, after.mode, after.format) == (before.size, before.mode, before.format)
        assert outcome.report.size == before.size and len(outcome.report.faces) == 1
        verdict = outcome.report.faces[0].verdicts[0]
        assert verdict.similarity_after < verdict.similarity_before - 0.003
    with Image.open(out / "alpha.png") as after:
        assert np.array_equal(np.asarray(after)[..., 3], alpha)


def test_a_jpeg_differs_from_the_plain_one_at_the_same_quality_only_around_the_face(woman, nets, tmp_path):
    """Every 8 x 8 block that the mask does not touch is coded as it would have been without a cloak."""
    source = save(woman[:300, 80:380], tmp_path / "in.jpg", quality=97)
    cloak_one(source, tmp_path / "out.jpg")
    photo = io_image.read_photo(source, max_pixels=10**7)
    plain = io_image.decode_pixels(io_image.encode_photo(photo, photo.pixels, jpeg_quality=LIGHT.jpeg_quality))
    after = read(tmp_path / "out.jpg")
    (faces,) = nets.find([photo.pixels])
    reached = union_of_masks(photo.pixels, faces)
    blocks = cv2.dilate(reached.astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
    assert np.array_equal(after[~blocks], plain[~blocks])
    assert not np.array_equal(after[reached], plain[reached])


def test_the_input_keeps_its_bytes_and_its_time(woman, tmp_path):
    source = save(woman[:300, 80:380], tmp_path / "in.png")
    before = source.read_bytes(), source.stat().st_mtime_ns, source.stat().st_mode
    cloak_one(source, tmp_path / "out.png")
    assert (source.read_bytes(), source.stat().st_mtime_ns, source.stat().st_mode) == before


@pytest.mark.parametrize("taken", ["out.png", "out.png.json"])
def test_an_output_or_report_that_exists_is_refused_and_left_as_it_is(woman, tmp_path, taken):
    source = save(woman[:300, 80:380], tmp_path / "in.png")
    (tmp_path / taken).write_text("precious")
    (outcome,) = run([source], [tmp_path / "out.png"])
    assert outcome.kind == "failed" and taken in outcome.error and "exists" in outcome.error
    assert (tmp_path / taken).read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.png", taken]


def test_overwrite_replaces_an_output_and_never_the_input(woman, tmp_path):
    source = save(woman[:300, 80:380], tmp_path / "in.png")
    before = source.read_bytes()
    (tmp_path / "out.png").write_text("old")
    overwrite = dataclasses.replace(LIGHT, overwrite=True)
    cloak_one(source, tmp_path / "out.png", overwrite)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    (outcome,) = run([source], [source], overwrite)
    assert outcome.kind == "failed" and "never changed" in outcome.error
    other = save(woman[:300, 80:380], tmp_path / "other.png")
    first, _ = run([source, other], [other, tmp_path / "out2.png"], overwrite)
    assert first.kind == "failed" and "never changed" in first.error  # nor another input of the batch
    assert source.read_bytes() == before and other.read_bytes() == before


def failing(error):
    def fail(*given, **named):
        raise error

    return fail


@pytest.mark.parametrize("error", [OutputRefused("no room. Nothing was written."), RuntimeError("defect")])
@pytest.mark.parametrize(("module", "name"), [
    (files, "write_all"), (verify, "judge"), (verify, "report"), (protect, "write_report"),
    (files.PendingFile, "commit"), (protect, "_add"),
])
def test_a_failure_in_the_middle_leaves_nothing_behind(woman, tmp_path, monkeypatch, module, name, error):
    """A refusal becomes an outcome; a defect of ours surfaces. Neither leaves an output, a report or a temporary."""
    source = save(woman[:300, 80:380], tmp_path / "in.png")
    before = source.read_bytes()
    monkeypatch.setattr(module, name, failing(error))
    if isinstance(error, RuntimeError) or name == "_add":
        with pytest.raises(type(error)):
            run([source], [tmp_path / "out.png"])
    else:
        (outcome,) = run([source], [tmp_path / "out.png"])
        assert outcome.kind == "failed" and "no room" in outcome.error
    assert [p.name for p in tmp_path.iterdir()] == ["in.png"]
    assert source.read_bytes() == before


def test_a_failure_at_one_photo_does_not_undo_another(woman, two_people, tmp_path, monkeypatch):
    inputs = [save(woman[:300, 80:380], tmp_path / "a.png"), save(two_people, tmp_path / "b.png")]
    real = files.write_all

    def full_disk(path, data, *, named):
        if named.name == "out-a.png":
            raise OutputRefused(f"{named}: no room. Nothing was written.")
        real(path, data, named=named)

    monkeypatch.setattr(files, "write_all", full_disk)
    a, b = run(inputs, [tmp_path / "out-a.png", tmp_path / "out-b.png"])
    assert (a.kind, b.kind) == ("failed", "done")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png", "out-b.png", "out-b.png.json"]


def test_a_face_that_has_reached_the_goal_is_left_alone(woman, tmp_path, monkeypatch):
    """At a goal that every face meets there is no step at all, and the written pixels are those of the input."""
    source = save(woman[:300, 80:380], tmp_path / "in.png")
    monkeypatch.setitem(PRESETS, "light", dataclasses.replace(PRESETS["light"], goal=1.1))
    seen = []
    outcome = cloak_one(source, tmp_path / "out.png", progress=seen.append)
    assert not any(p.step for p in seen)
    assert np.array_equal(read(tmp_path / "out.png"), read(source))
    assert outcome.report.faces[0].status == "matched", "judged all the same"


def test_progress_counts_the_steps_and_the_faces_of_the_whole_batch(woman, two_people, tmp_path):
    inputs = [save(woman[:300, 80:380], tmp_path / "a.png"), save(two_people, tmp_path / "b.png")]
    seen = []
    run(inputs, [tmp_path / "oa.png", tmp_path / "ob.png"], progress=seen.append)
    assert {p.faces for p in seen} == {3} and {p.steps for p in seen} == {STEPS}
    assert [p.step for p in seen if p.step] == sorted(p.step for p in seen if p.step)
    assert seen[-1].step == STEPS
    assert {p.photo for p in seen} <= {"a.png", "b.png"}


def test_photos_in_one_batch_get_what_they_would_get_alone(woman, two_people, tmp_path, monkeypatch):
    """A face must not be moved by whoever shares its batch. Without random views, which a batch draws in turn."""
    for name in ("JITTER_SHIFT", "JITTER_DEGREES", "JITTER_SCALE"):
        monkeypatch.setattr(objectives, name, 0.0)

    def plain(count, size_px, *, generator, device):
        nothing = torch.zeros(count, 1, 1, 1)
        same = torch.eye(size_px).expand(count, -1, -1)
        return eot.Views(same, same, 0.0, (0, 0), nothing + 1, nothing, nothing)

    monkeypatch.setattr(eot, "draw", plain)
    single = save(woman[:300, 80:380], tmp_path / "a.png")
    pair = save(two_people, tmp_path / "b.png")
    run([single, pair], [tmp_path / "a-together.png", tmp_path / "b-together.png"])
    cloak_one(single, tmp_path / "a-alone.png")
    difference = read(tmp_path / "a-together.png").astype(int) - read(tmp_path / "a-alone.png")
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01


def test_no_photos_no_outcomes():
    assert run([], []) == []


def test_find_faces_lists_them_left_to_right(two_people, tmp_path):
    photo, faces = protect.find_faces(save(two_people, tmp_path / "two.png"), settings=LIGHT)
    assert np.array_equal(photo.pixels, two_people)
    assert len(faces) == 2 and faces.boxes[0, 0] < faces.boxes[1, 0]
    assert len(protect.find_faces(save(np.full((80, 80, 3), 90, np.uint8), tmp_path / "n.png"), settings=LIGHT)[1]) == 0
