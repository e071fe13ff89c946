"""The third detector speaks the language of the first."""

import json

import numpy as np
import torch

from evaluation.faces import YuNet, decode, face_at, overlaps
from evaluation.mtcnn import Mtcnn, own_boxes, tall_boxes


def test_its_box_and_landmarks_are_where_yunet_has_them(shared_data, astronaut):
    first = YuNet(shared_data / "weights" / "yunet_n.onnx").find(astronaut)
    second = Mtcnn().find(astronaut)
    index = face_at(first, second.boxes[0])
    assert index is not None and overlaps(first.boxes, second.boxes[0])[index] > 0.75 and not second.enlarged
    eyes = np.linalg.norm(first.landmarks[index][1] - first.landmarks[index][0])
    assert np.linalg.norm(second.landmarks[0] - first.landmarks[index], axis=1).max() < 0.2 * eyes
    assert 0.7 < second.scores[0] <= 1


def test_most_boxed_faces_of_a_group_photo_are_found(shared_data):
    folder = shared_data / "photos" / "dlib-faces"
    boxed = json.loads((folder / "boxes.json").read_text())["photos"]
    name, boxes = max(boxed.items(), key=lambda item: len(item[1]))
    found = Mtcnn().find(decode(folder / name))
    assert sum(overlaps(found.boxes, np.array(box, np.float32)).max() > 0.35 for box in boxes) >= 0.8 * len(boxes)


def test_a_face_too_small_is_found_after_enlarging(astronaut):
    import cv2

    small = np.asarray(cv2.resize(astronaut[40:240, 140:320], (18, 20), interpolation=cv2.INTER_AREA))
    found = Mtcnn().find(small)
    assert len(found) == 1 and found.enlarged
    face = np.array([180, 62, 270, 178], np.float32)  # of the portrait, by eye
    assert overlaps(found.boxes * 10 + [140, 40, 140, 40], face)[0] > 0.5


def test_a_box_comes_back_in_its_own_shape():
    boxes = np.array([[10, 20, 82.5, 120]], np.float32)
    np.testing.assert_allclose(tall_boxes(own_boxes(boxes)), boxes, atol=1e-3)


def test_nothing_is_found_on_grey_or_on_hardly_any_pixels_and_no_random_number_is_drawn():
    state = torch.get_rng_state()
    assert len(Mtcnn().find(np.full((120, 100, 3), 128, np.uint8))) == 0
    assert len(Mtcnn().find(np.full((4, 9, 3), 128, np.uint8))) == 0
    assert torch.equal(torch.get_rng_state(), state)
