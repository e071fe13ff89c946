"""What is done to files, on a portrait that needs no data pack."""

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from evaluation import arms
from evaluation.faces import decode
from evaluation.publishing import publish
from tests.evaluation.conftest import ASTRONAUT_BOX


@pytest.mark.parametrize(("step", "sampling"), [("jpeg90", 2), ("jpeg90-444", 0)])
def test_jpeg_has_the_subsampling_it_is_named_after(astronaut_png, tmp_path, step, sampling):
    path = publish(astronaut_png, tmp_path / "out", step)
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        assert JpegImagePlugin.get_sampling(picture) == sampling


def test_lower_jpeg_quality_loses_more(astronaut_png, tmp_path):
    original = decode(astronaut_png).astype(float)
    errors = [
        np.abs(decode(publish(astronaut_png, tmp_path / step, step)) - original).mean()
        for step in ("jpeg95", "jpeg75", "jpeg50")
    ]
    assert errors == sorted(errors) and errors[0] > 0


def test_half_scale_keeps_the_size_and_loses_fine_detail(astronaut_png, tmp_path):
    pixels = decode(publish(astronaut_png, tmp_path / "out", "half"))
    original = decode(astronaut_png)
    assert pixels.shape == original.shape
    assert (
        np.abs(np.diff(pixels.astype(int), axis=0)).mean()
        < np.abs(np.diff(original.astype(int), axis=0)).mean()
    )


def test_blur_of_a_point_is_a_gaussian_of_that_sigma(tmp_path):
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    Image.fromarray(point).save(tmp_path / "point.png")
    blurred = decode(publish(tmp_path / "point.png", tmp_path / "out", "blur1"))
    assert blurred[20, 20, 0] == pytest.approx(255 / (2 * np.pi), abs=2)


def test_none_is_the_file_itself_and_unknown_steps_are_refused(astronaut_png, tmp_path):
    assert publish(astronaut_png, tmp_path / "out", "none") == astronaut_png
    with pytest.raises(ValueError, match="no publishing step is called 'sharpen'"):
        publish(astronaut_png, tmp_path / "out", "sharpen")


def test_the_no_op_arm_copies_the_bytes(astronaut_png, tmp_path):
    copy = arms.no_op(astronaut_png, tmp_path / "no-op")
    assert copy != astronaut_png and copy.read_bytes() == astronaut_png.read_bytes()


def test_the_placebo_has_the_size_asked_for_and_stays_on_the_face(astronaut_png, tmp_path):
    noisy = decode(arms.noise(astronaut_png, tmp_path / "noise", ASTRONAUT_BOX, 8.0, seed=1))
    original = decode(astronaut_png)
    outside = ~arms.ellipse(original.shape[:2], ASTRONAUT_BOX)
    assert np.array_equal(noisy[outside], original[outside])
    assert arms.change_rms(original, noisy, ASTRONAUT_BOX) == pytest.approx(8, abs=0.4)


def test_the_solid_box_leaves_nothing_of_the_face_and_everything_else(astronaut_png, tmp_path):
    boxed = decode(arms.solid_box(astronaut_png, tmp_path / "box", ASTRONAUT_BOX))
    left, top, right, bottom = ASTRONAUT_BOX.astype(int)
    assert not boxed[top:bottom, left:right].any()
    assert np.array_equal(boxed[300:], decode(astronaut_png)[300:])
