"""The second detector speaks the language of the first."""

import json

import numpy as np

from evaluation.faces import YuNet, chip, decode, face_at, overlaps
from evaluation.hog import Hog
from evaluation.matchers import load, similarities
from evaluation.matchers.dlib_cpp import dlib_rectangle


def test_its_box_and_landmarks_are_where_yunet_has_them(shared_data, astronaut):
    first = YuNet(shared_data / "weights" / "yunet_n.onnx").find(astronaut)
    second = Hog().find(astronaut)
    assert len(second) == 1 and not second.enlarged and 0 < second.scores[0] < 1
    index = face_at(first, second.boxes[0])
    assert index is not None and overlaps(first.boxes, second.boxes[0])[index] > 0.6
    eyes = np.linalg.norm(first.landmarks[index][1] - first.landmarks[index][0])
    assert np.linalg.norm(second.landmarks[0] - first.landmarks[index], axis=1).max() < 0.25 * eyes
    assert chip(astronaut, second.landmarks[0]).shape == (112, 112, 3)


def test_dlibs_own_square_comes_back_from_the_tall_box(astronaut):
    import dlib

    (square,), _, _ = dlib.get_frontal_face_detector().run(np.ascontiguousarray(astronaut), 0, 0.0)
    again = dlib_rectangle(Hog().find(astronaut).boxes[0])
    corners = [(box.left(), box.top(), box.right(), box.bottom()) for box in (square, again)]
    np.testing.assert_allclose(corners[1], corners[0], atol=1)


def test_both_detectors_give_a_matcher_the_same_person(shared_data, astronaut):
    matcher = load("mobilefacenet", shared_data / "weights")
    first = YuNet(shared_data / "weights" / "yunet_n.onnx").find(astronaut)
    second = Hog().find(astronaut)
    index = face_at(first, second.boxes[0])
    templates = [matcher.embed(astronaut, faces) for faces in (first.only(index), second)]
    # Strangers are below .40 in 9,999 of 10,000 comparisons.
    assert similarities(*templates, "cosine")[0, 0] > 0.8


def test_most_boxed_faces_of_the_group_photos_are_found_and_small_ones_after_enlarging(shared_data):
    folder = shared_data / "photos" / "dlib-faces"
    boxed = json.loads((folder / "boxes.json").read_text())["photos"]
    name, boxes = max(boxed.items(), key=lambda item: len(item[1]))
    found = Hog().find(decode(folder / name))
    hits = sum(overlaps(found.boxes, np.array(box, np.float32)).max() > 0.35 for box in boxes)
    assert hits >= 0.6 * len(boxes)


def test_nothing_is_found_on_grey():
    assert len(Hog().find(np.full((120, 100, 3), 128, np.uint8))) == 0
