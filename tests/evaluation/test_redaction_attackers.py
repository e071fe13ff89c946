"""Attackers of redactions, on pictures and features whose answer is known."""

import cv2
import numpy as np
import pytest

from evaluation.faces import Faces
from evaluation.redaction_attackers import averaged, by_hand, classify, pixel_features, sharpened, smoothed
from evaluation.samples import SamplesUnusable

BOX = np.array([172, 64, 274, 208], np.float32)
INNER = np.s_[80:190, 180:265]


def error(one, other):
    return float(np.abs(one[INNER].astype(float) - other[INNER]).mean())


def test_wieners_filter_undoes_much_of_a_blur_whose_width_it_knows(astronaut):
    sigma_px = 0.03 * float(BOX[2] - BOX[0])
    blurred = cv2.GaussianBlur(astronaut, (0, 0), sigma_px)
    restored = sharpened(blurred, BOX, sigma=0.03)
    assert error(restored, astronaut) < 0.75 * error(blurred, astronaut)
    assert np.array_equal(restored[:, :100], blurred[:, :100])


def test_a_plain_area_and_one_at_the_rim_of_the_picture_come_back_as_they_were():
    grey = np.full((60, 60, 3), 90, np.uint8)
    for box in ([10, 10, 40, 50], [-20, -20, 30, 30], [58, 58, 70, 70]):
        assert np.array_equal(sharpened(grey, np.array(box, np.float32), sigma=0.1), grey)
        assert np.array_equal(smoothed(grey, np.array(box, np.float32), cell=0.2), grey)


def test_the_edges_of_a_mosaic_are_smoothed_towards_the_face(astronaut):
    cells = cv2.resize(astronaut, (64, 64), interpolation=cv2.INTER_AREA)
    mosaic = cv2.resize(cells, (512, 512), interpolation=cv2.INTER_NEAREST)
    restored = smoothed(mosaic, BOX, cell=8 / float(BOX[2] - BOX[0]))
    assert error(restored, astronaut) < error(mosaic, astronaut)


def test_landmarks_by_hand_follow_the_size_of_the_file():
    clean = Faces(np.array([[10, 10, 30, 40]], np.float32), np.full((1, 5, 2), 9.5, np.float32), np.ones(1, np.float32),
                  False)
    there = by_hand(clean, (100, 80), (200, 160))
    # The corner between pixels 9 and 10 of the small picture is the one between 19 and 20 of the large.
    assert there.boxes[0].tolist() == [20, 20, 60, 80] and there.landmarks[0, 0].tolist() == [19.5, 19.5]


def test_an_average_weighs_looks_alike_under_the_cosine_and_as_they_are_otherwise():
    long, short = np.array([[10, 0]], np.float32), np.array([[0, 1]], np.float32)
    assert averaged([long, None, short], unit=True)[0].tolist() == [0.5, 0.5]
    assert averaged([long, short], unit=False)[0].tolist() == [5, 0.5]
    assert averaged([None, None], unit=True) is None


def redacted(seed, people=12, photos=8, leak=1.0):
    """Features of photos of people, of whom a redaction lets through so much."""
    draw = np.random.default_rng(seed)
    truth = np.random.default_rng(0).normal(size=(people, 40)) * leak
    rows = np.repeat(truth, photos, axis=0) + draw.normal(size=(people * photos, 40))
    return rows.astype(np.float32), [f"P{k}" for k in range(people) for _ in range(photos)]


def test_people_are_named_as_far_as_the_redaction_leaks():
    leaky, tight = (classify(*redacted(1, leak=leak), *redacted(2, leak=leak)) for leak in (1.5, 0.0))
    assert leaky["top_1"]["value"] > 0.9 and leaky["chance_top_1"] == pytest.approx(1 / 12)
    assert tight["top_1"]["value"] < 0.25
    assert leaky["photos_learnt"] == leaky["photos_tried"] == 96


def test_loud_directions_that_say_nothing_do_not_hide_the_person():
    learnt, names = redacted(1)
    tried, truth = redacted(2)
    loud = np.random.default_rng(9)
    learnt, tried = (np.column_stack([rows, 30 * loud.normal(size=(len(rows), 3))]) for rows in (learnt, tried))
    assert classify(learnt, names, tried, truth)["top_1"]["value"] > 0.6


def test_constants_are_named_at_chance():
    """A solid box: every photo the same. A tie counts as a share, or the first in the alphabet would be found."""
    black = np.array([pixel_features(np.zeros((112, 112, 3), np.uint8))] * 20)
    names = [f"P{k}" for k in range(10)] * 2
    result = classify(black, names, black, names)
    assert result["top_1"]["value"] == pytest.approx(0.1) and result["top_5"]["value"] == pytest.approx(0.5)
    assert result["components"] == 0


def test_a_classifier_that_could_not_learn_is_refused():
    rows = np.zeros((4, 3), np.float32)
    for names, truth in ((["A", "A", "B", "B"], ["C"] * 4), (["A", "B", "C", "D"], ["A"] * 4), (["A"] * 4, ["A"] * 4)):
        with pytest.raises(SamplesUnusable, match="Nothing was learnt"):
            classify(rows, names, rows, truth)
