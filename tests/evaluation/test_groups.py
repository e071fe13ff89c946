"""Heads of known geometry, turned by known angles."""

import numpy as np
import pytest

from evaluation import groups

# Right, down, towards the camera; eyes one half apart from the middle, nose tip as far before them. Image-left first.
HEAD = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.6, 0.5], [-0.35, 1.1, 0.2], [0.35, 1.1, 0.2]])


def seen(turned=0.0, tilted=0.0, nodded=0.0, size=100.0):
    """Landmarks (5, 2) from afar, by degrees: to the picture's right, clockwise in the picture, down."""
    a, b, c = np.radians([turned, tilted, nodded])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    nod = np.array([[1, 0, 0], [0, np.cos(c), np.sin(c)], [0, -np.sin(c), np.cos(c)]])
    tilt = np.array([[np.cos(b), -np.sin(b)], [np.sin(b), np.cos(b)]])
    return ((HEAD @ nod.T @ turn.T)[:, :2] @ tilt.T * size + 300).astype(np.float32)


@pytest.mark.parametrize("degrees", [-80, -60, -45, -20, -5, 0, 5, 20, 45, 60, 80])
def test_the_turn_of_a_known_head_comes_back_at_any_tilt_and_size(degrees):
    for tilted, size in [(0, 100), (25, 30), (-70, 400)]:
        assert groups.turn_degrees(seen(degrees, tilted, size=size)) == pytest.approx(degrees, abs=0.1)


def test_a_nod_changes_no_pose():
    assert groups.pose(seen(0, nodded=30)) == "frontal"


@pytest.mark.parametrize(
    ("degrees", "pose"),
    [(0, "frontal"), (19, "frontal"), (21, "half"), (-44, "half"), (46, "profile"), (-85, "profile")],
)
def test_poses_begin_where_the_rule_says(degrees, pose):
    assert groups.pose(seen(degrees)) == pose


@pytest.mark.parametrize(
    ("height", "size"),
    [
        (0, "unknown"), (31.9, "under 32 px"), (32, "32-63 px"), (63.9, "32-63 px"), (64, "64-127 px"),
        (128, "128 px and more"),
    ],
)
def test_sizes_begin_where_they_say(height, size):
    assert groups.size(np.array([10, 10, 40, 10 + height])) == size


def test_a_face_has_a_size_and_a_pose():
    assert groups.of(seen(30), np.array([0, 0, 50, 70])) == {"size": "64-127 px", "pose": "half"}


def test_landmarks_in_one_place_are_no_pose():
    assert groups.pose(np.zeros((5, 2), np.float32)) == "unknown"
    assert groups.pose(np.full((5, 2), np.nan, np.float32)) == "unknown"


def test_the_portrait_is_nearly_frontal(shared_data, astronaut):
    from evaluation.faces import YuNet

    (landmarks,) = YuNet(shared_data / "weights" / "yunet_n.onnx").find(astronaut).landmarks[:1]
    assert groups.pose(landmarks) == "frontal"
    assert groups.turn_degrees(landmarks) == pytest.approx(-groups.turn_degrees(mirrored(landmarks)), abs=1e-4)


def mirrored(landmarks):
    """As a mirrored picture of width 0 has them, image-left first again."""
    return (landmarks * [-1, 1])[[1, 0, 2, 4, 3]]


def test_attributes_are_read_and_empty_cells_left_out(tmp_path):
    assert groups.attributes(tmp_path) == {}
    (tmp_path / "attributes.csv").write_text("subject,skin,age\nAda,dark,\nBob,light,old\n")
    found = groups.attributes(tmp_path)
    assert found == {"Ada": {"skin": "dark"}, "Bob": {"skin": "light", "age": "old"}}
    assert groups.count(found) == {"skin": {"dark": 1, "light": 1}, "age": {"old": 1}}


@pytest.mark.parametrize("text", [
    "", "name,skin\n", "subject,skin,skin\nAda,dark,pale\n", "subject,skin\nAda\n",
    "subject,skin\nAda,dark\nAda,light\n",
])
def test_a_table_of_attributes_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "attributes.csv").write_text(text)
    with pytest.raises(groups.AttributesUnusable, match="Nothing was judged"):
        groups.attributes(tmp_path)
