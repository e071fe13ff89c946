"""What every detector in `cloak/detectors` promises. A new file there is tested by being there."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import cv2
import numpy as np
import pytest
import torch

from cloak import detectors, io_image, weights
from cloak.detectors import centerface
from cloak.errors import SettingsInvalid, WeightsCorrupt, WeightsMissing
from cloak.types import Faces

CPU = torch.device("cpu")
# The face of the portrait, by eye on the enlarged picture: hairline to chin; pupils, nose tip, corners of the mouth.
BOX = np.array([180, 62, 270, 178], np.float32)
POINTS = np.array([[203, 102], [247, 104], [224, 127], [203, 141], [244, 143]], np.float32)
each = pytest.mark.parametrize("name", detectors.available())


@pytest.fixture(scope="module")
def loaded():
    """Every detector, once."""
    return {name: detectors.load(name, CPU) for name in detectors.available()}


@pytest.fixture(scope="module")
def astronaut(portrait):
    return io_image.read_photo(portrait, max_pixels=10**7).pixels


@pytest.fixture(scope="module")
def two_faces(shared_data):
    """(450, 700, 3) and boxes (2, 4); half size, which is a quarter of the time."""
    pixels = io_image.read_photo(shared_data / "photos" / "two-faces.jpg", max_pixels=10**7).pixels
    boxes = json.loads((shared_data / "photos" / "two-faces.json").read_text())["boxes"]
    return halved(pixels), np.array(boxes, np.float32) / 2


def halved(pixels):
    return cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def overlaps(boxes, box):
    """Intersection over union of (N, 4) boxes with one: (N,)."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    return shared / ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - shared)


def same(a: Faces, b: Faces) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(Faces))


def canvas(width, height):
    """A soft ramp: no face, and no flat black either."""
    ramp = np.add.outer(np.linspace(60, 120, height), np.linspace(0, 60, width))
    return np.repeat(ramp[:, :, None], 3, axis=2).astype(np.uint8)


@each
def test_the_face_of_a_portrait_is_found_with_its_landmarks(loaded, name, astronaut):
    (faces,) = loaded[name].detect([astronaut])
    assert len(faces) == 1 and loaded[name].name == name
    assert overlaps(faces.boxes, BOX)[0] > 0.6 and 0.5 < faces.scores[0] <= 1
    assert {faces.boxes.dtype, faces.landmarks.dtype, faces.scores.dtype} == {np.dtype(np.float32)}
    points = faces.landmarks[0]
    assert (points > faces.boxes[0, :2]).all() and (points < faces.boxes[0, 2:]).all()
    left_eye, right_eye, nose, left_mouth, right_mouth = points
    assert left_eye[0] < nose[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert np.abs(points - POINTS).max() < 4


@each
def test_the_same_pictures_give_the_same_faces_alone_or_together(loaded, name, astronaut, two_faces):
    pictures = [astronaut, two_faces[0], canvas(64, 48), np.ascontiguousarray(astronaut[::-1]), astronaut]
    before = [p.copy() for p in pictures]
    together = loaded[name].detect(pictures)
    alone = [loaded[name].detect([p])[0] for p in pictures]
    assert len(together) == len(pictures)
    for a, b in [*zip(together, alone, strict=True), (together[0], together[4])]:
        # A batched convolution may sum in another order, by its place in the batch and the number of threads:
        # a hundredth of a pixel is no other face
        assert len(a) == len(b)
        np.testing.assert_allclose(a.boxes, b.boxes, atol=0.01)
        np.testing.assert_allclose(a.landmarks, b.landmarks, atol=0.01)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-4)
    assert all(same(a, b) for a, b in zip(together, loaded[name].detect(pictures), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(pictures, before, strict=True))


@each
def test_the_best_face_comes_first(loaded, name, shared_data):
    photo = shared_data / "photos" / "dlib-faces" / "2007_007763.jpg"
    (faces,) = loaded[name].detect([io_image.read_photo(photo, max_pixels=10**7).pixels])
    assert len(faces) > 5 and (np.diff(faces.scores) <= 0).all()


@each
def test_nothing_gives_nothing(loaded, name, shared_data):
    assert loaded[name].detect([]) == []
    drawing = io_image.read_photo(shared_data / "photos" / "no-face.jpg", max_pixels=10**8).pixels
    for picture in (drawing, canvas(320, 200), np.zeros((240, 240, 3), np.uint8)):
        assert same(loaded[name].detect([picture])[0], Faces.none())


@each
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 700), (700, 1), (19, 21), (20, 20), (21, 21), (31, 33),
                                  (23, 1500), (1025, 24)])
def test_any_size_is_a_picture(loaded, name, size, astronaut):
    height, width = size
    for picture in (canvas(width, height), np.resize(astronaut, (height, width, 3))):
        (faces,) = loaded[name].detect([picture])
        assert np.isfinite(faces.boxes).all() and np.isfinite(faces.landmarks).all()


@each
def test_odd_sides_and_views_of_larger_pictures_are_read_as_they_look(loaded, name, astronaut):
    view = astronaut[13:500, 7:480]  # not contiguous, and no side a multiple of anything
    (faces,) = loaded[name].detect([view])
    assert overlaps(faces.boxes, BOX - [7, 13, 7, 13])[0] > 0.6
    assert same(faces, loaded[name].detect([np.ascontiguousarray(view)])[0])


@each
def test_a_mirrored_picture_gives_mirrored_faces(loaded, name, two_faces):
    pixels, boxes = two_faces
    width = pixels.shape[1]
    (faces,), (mirrored,) = (loaded[name].detect([p]) for p in (pixels, np.ascontiguousarray(pixels[:, ::-1])))
    for box in boxes:
        # Half-open boxes turn around width / 2, points around (width - 1) / 2
        turned = mirrored.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width, 0, width, 0]
        points = mirrored.landmarks[:, [1, 0, 2, 4, 3]] * [-1, 1] + [width - 1, 0]
        a, b = overlaps(faces.boxes, box), overlaps(turned, box)
        assert a.max() > 0.35 and b.max() > 0.35
        # Faces of 97 and 82 pixels, turned aside: MTCNN is up to 8.6 off, CenterFace 7.2
        assert np.abs(faces.boxes[a.argmax()] - turned[b.argmax()]).max() < 9
        assert np.abs(faces.landmarks[a.argmax()] - points[b.argmax()]).max() < 6


@each
def test_photos_of_all_eight_orientations_are_searched_upright(loaded, name, shared_data, two_faces):
    photos = [shared_data / "photos" / f"orientation-{i}.jpg" for i in range(1, 9)]
    for faces in loaded[name].detect([halved(io_image.read_photo(p, max_pixels=10**7).pixels) for p in photos]):
        assert all(overlaps(faces.boxes, box).max() > 0.5 for box in two_faces[1])


@each
@pytest.mark.parametrize("height_px", [24, 48, 110, 180, 300])
def test_a_face_is_found_once_wherever_it_lies(loaded, name, astronaut, height_px):
    """In a row, so that some lie across whatever a detector cuts a large picture into."""
    scale = height_px / (BOX[3] - BOX[1])
    head = cv2.resize(astronaut[10:260, 110:330], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = canvas(2300, max(400, head.shape[0] + 21))
    step = head.shape[1] + 5
    lefts = range(0, picture.shape[1] - head.shape[1], step)
    for left in lefts:
        picture[11 : 11 + head.shape[0], left : left + head.shape[1]] = head
    (faces,) = loaded[name].detect([picture])
    box = (BOX - [110, 10, 110, 10]) * scale
    hits = [int((overlaps(faces.boxes, box + [left, 11, left, 11]) > 0.35).sum()) for left in lefts]
    assert hits == [1] * len(lefts)
    assert len(faces) == len(lefts)


@each
def test_a_face_that_fills_a_large_photo_is_one_face(loaded, name, astronaut):
    enlarged = cv2.resize(astronaut[20:260, 90:330], None, fx=7, fy=7, interpolation=cv2.INTER_CUBIC)
    (faces,) = loaded[name].detect([enlarged])  # 1680 x 1680, the face 800 pixels high
    overlap = overlaps(faces.boxes, (BOX - [90, 20, 90, 20]) * 7)
    # A false box on the collar is none of this test's business, half of the face as a second one is
    assert overlap[0] > 0.6 and (overlap[1:] < 0.1).all()


@each
def test_detecting_is_silent_and_changes_no_global_setting(name, astronaut, capfd):
    def settings():
        return cv2.getNumThreads(), torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()

    before = settings()
    detector = detectors.load(name, CPU)
    numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
    detector.detect([astronaut[:300, 100:400]])
    assert settings() == before
    assert torch.equal(torch.get_rng_state(), numbers[0]) and np.array_equal(np.random.get_state()[1], numbers[1])
    assert capfd.readouterr() == ("", "")


def files_of(name: str) -> list[str]:
    return [file for file, entry in weights.registry().items() if entry.loads_as == name]


@pytest.fixture
def vouch(monkeypatch):
    """Changes one entry of the registry."""
    def replace(file: str, **fields: str) -> None:
        table = {**weights.registry(), file: dataclasses.replace(weights.registry()[file], **fields)}
        monkeypatch.setattr(weights, "registry", lambda: table)
        weights.locate.cache_clear()
    yield replace
    monkeypatch.undo()
    weights.locate.cache_clear()


@pytest.mark.parametrize("name, file", [(name, file) for name in detectors.available() for file in files_of(name)])
def test_weights_that_are_corrupt_or_missing_are_refused(vouch, tmp_path, name, file):
    whole = weights.locate(file).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for data in (bytes(flipped), whole[: len(whole) // 2], b""):
        (tmp_path / "damaged").write_bytes(data)
        vouch(file, path=str(tmp_path / "damaged"))
        with pytest.raises(WeightsCorrupt, match="not loaded") as error:
            detectors.load(name, CPU)
        assert hashlib.sha256(data).hexdigest() in str(error.value)
    vouch(file, path=str(tmp_path / "nowhere"))
    with pytest.raises(WeightsMissing, match="nowhere"):
        detectors.load(name, CPU)


def test_what_centerface_was_taught_for_clips_is_refused_as_well_when_it_is_corrupt(vouch, tmp_path):
    (tmp_path / "damaged").write_bytes(weights.locate(centerface.IN_MOTION).read_bytes()[:-1])
    vouch(centerface.IN_MOTION, path=str(tmp_path / "damaged"))
    with pytest.raises(WeightsCorrupt, match="not loaded"):
        centerface.CenterFace(in_motion=True)


def test_every_detector_has_weights_that_are_hashed():
    assert all(files_of(name) for name in detectors.available())


def test_an_unknown_detector_is_refused():
    with pytest.raises(SettingsInvalid, match="no detector is called 'nobody'"):
        detectors.load("nobody", CPU)
