"""Alignment and choice of face: known answers."""

import numpy as np
import pytest
from PIL import Image

from evaluation.faces import (
    ARCFACE_TEMPLATE,
    Faces,
    PhotoUnreadable,
    YuNet,
    chip,
    decode,
    face_at,
    main_face,
    overlaps,
    similarity_transform,
)
from evaluation.files import FileMismatch


def faces(*boxes: tuple[float, float, float, float]) -> Faces:
    n = len(boxes)
    return Faces(
        np.array(boxes, np.float32).reshape(n, 4),
        np.zeros((n, 5, 2), np.float32),
        np.ones(n, np.float32),
        False,
    )


def test_similarity_transform_recovers_a_known_rotation_scale_and_shift():
    angle, scale, shift = np.deg2rad(25), 1.7, np.array([12.0, -3.0])
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = ARCFACE_TEMPLATE @ rotation.T + shift
    np.testing.assert_allclose(
        similarity_transform(ARCFACE_TEMPLATE, target), np.column_stack([rotation, shift]), atol=1e-9
    )


def test_similarity_transform_does_not_mirror_a_face():
    mirrored = ARCFACE_TEMPLATE * [-1, 1]
    assert np.linalg.det(similarity_transform(mirrored, ARCFACE_TEMPLATE)[:, :2]) > 0


def test_similarity_transform_agrees_with_scikit_image_on_scattered_points():
    from skimage.transform import SimilarityTransform

    points = ARCFACE_TEMPLATE + np.random.default_rng(3).normal(0, 6, (5, 2))
    expected = SimilarityTransform.from_estimate(points, ARCFACE_TEMPLATE).params[:2]
    np.testing.assert_allclose(similarity_transform(points, ARCFACE_TEMPLATE), expected, atol=1e-9)


def test_a_chip_of_landmarks_on_the_template_is_the_picture_itself(astronaut):
    picture = astronaut[64:176, 172:284]
    assert np.array_equal(chip(picture, ARCFACE_TEMPLATE.astype(np.float32)), picture)


def test_the_main_face_is_large_and_central_not_merely_large():
    at_the_rim, central = (0.0, 0.0, 110.0, 140.0), (80.0, 70.0, 170.0, 180.0)
    assert main_face(faces(at_the_rim, central), (250, 250)) == 1
    assert main_face(faces(), (250, 250)) is None


def test_another_face_does_not_stand_in_for_a_lost_one():
    expected = np.array([80, 70, 170, 180], np.float32)
    assert face_at(faces((0, 0, 60, 60)), expected) is None
    assert face_at(faces((0, 0, 60, 60), (85, 72, 172, 185)), expected) == 1


def test_overlap_of_boxes_that_share_a_quarter():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]], np.float32)
    np.testing.assert_allclose(overlaps(boxes, boxes[0]), [1, 1 / 7, 0], atol=1e-6)


def test_a_weight_file_with_other_bytes_is_not_loaded(tmp_path):
    (tmp_path / "yunet_n.onnx").write_bytes(b"not a network")
    with pytest.raises(FileMismatch, match="expected 104ee26c.*not loaded"):
        YuNet(tmp_path / "yunet_n.onnx")


def test_decode_applies_the_orientation(astronaut, tmp_path):
    picture = Image.fromarray(astronaut[:100, :60])
    exif = picture.getexif()
    exif[0x0112] = 6  # stored lying, to be turned a quarter clockwise
    picture.save(tmp_path / "lying.png", exif=exif)
    assert np.array_equal(decode(tmp_path / "lying.png"), np.rot90(astronaut[:100, :60], -1))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0" + bytes(40)])
def test_a_damaged_photo_is_named(tmp_path, content):
    (tmp_path / "damaged.jpg").write_bytes(content)
    with pytest.raises(PhotoUnreadable, match=r"damaged\.jpg: not a readable photo"):
        decode(tmp_path / "damaged.jpg")


def test_half_a_jpeg_is_refused(astronaut, tmp_path):
    Image.fromarray(astronaut).save(tmp_path / "whole.jpg", quality=90)
    half = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(half[: len(half) // 2])
    with pytest.raises(PhotoUnreadable, match=r"half\.jpg"):
        decode(tmp_path / "half.jpg")


def test_every_boxed_face_of_the_group_photos_is_found(shared_data):
    """Known answer of weights/README.md: 43 of 43 at score 0.6, IoU > 0.35, native size."""
    import json

    detector = YuNet(shared_data / "weights" / "yunet_n.onnx")
    folder = shared_data / "photos" / "dlib-faces"
    boxed = json.loads((folder / "boxes.json").read_text())["photos"]
    hits = 0
    for name, boxes in boxed.items():
        found = detector.find(decode(folder / name))
        assert not found.enlarged
        hits += sum(overlaps(found.boxes, np.array(box, np.float32)).max() > 0.35 for box in boxes)
    assert (hits, sum(map(len, boxed.values()))) == (43, 43)
