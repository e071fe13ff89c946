"""Counting of found and false boxes, by hand."""

import numpy as np
import pytest
from PIL import Image

from evaluation.detectors import FOUND_IOU, Labelled, frames, own, score
from evaluation.faces import overlaps


def labelled(path, boxes, judged, complete=True):
    return Labelled(path, np.array(boxes, np.float32).reshape(-1, 4), np.array(judged, bool), complete)


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (1000, 1000)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_recall_is_counted_by_height_and_boxes_on_nothing_are_false(picture):
    truth = labelled(
        picture, [[0, 0, 20, 24], [100, 100, 200, 230], [500, 500, 540, 550]], [True, True, False]
    )
    boxes = np.array([[105, 100, 205, 230], [500, 500, 540, 550], [700, 700, 750, 750]], np.float32)
    result = score(lambda path: boxes, [truth])
    assert (result["faces"], result["recall"]) == (2, 0.5)
    assert result["by_height_px"]["from_20"] == {"faces": 1, "found": 0}
    assert result["by_height_px"]["from_128"] == {"faces": 1, "found": 1}
    # The box on the face that is not demanded is excused, the one on nothing is not.
    assert result["false_positives"] == 1


def test_false_boxes_are_not_counted_where_faces_are_unlabelled(picture):
    truth = labelled(picture, [[0, 0, 20, 24]], [True], complete=False)
    assert score(lambda path: np.array([[700, 700, 750, 750]], np.float32), [truth])["false_positives"] == 0


def test_a_detector_that_finds_nothing_has_no_recall_and_no_error(picture):
    result = score(lambda path: np.zeros((0, 4), np.float32), [labelled(picture, [[0, 0, 20, 24]], [True])])
    assert (result["recall"], result["false_positives"]) == (0, 0)


def test_the_street_clip_demands_the_205_faces_of_the_baselines(shared_data, tmp_path):
    """design/baselines.md: MTCNN .878 of every tenth frame is 180 of 205."""
    pictures = list(frames(shared_data, "crowd-street", tmp_path))
    assert (len(pictures), sum(p.judged.sum() for p in pictures)) == (25, 205)


def test_the_bridge_loads_the_engines_networks_once_and_sees_what_the_engine_sees(portrait, monkeypatch):
    import cloak
    from cloak import networks
    from evaluation import protect

    loads = []
    load = networks.load
    monkeypatch.setattr(networks, "load", lambda settings: loads.append(settings) or load(settings))
    find = protect.finder("mtcnn")
    boxes = [find(portrait) for _ in range(2)]
    assert len(loads) == 1
    expected = cloak.find_faces(portrait, settings=cloak.Settings(detector="mtcnn", device="cpu"))[1].boxes
    assert len(expected) == 1 and all(np.array_equal(one, expected) for one in boxes)


def test_the_judges_three_detectors_find_the_portrait(shared_data, portrait):
    found = own(shared_data / "weights")
    assert set(found) == {"yunet", "hog", "mtcnn"}
    for find in found.values():
        assert overlaps(find(portrait), np.array([180, 62, 270, 178], np.float32)).max() > FOUND_IOU
