"""Our port of dlib's ResNet-29 and of its alignment, against dlib's own C++ (package dlib-bin).

dlib's numbers come from its own reading of the same file, so a wrong reader, mean, channel order, padding or
template of ours cannot hide behind itself.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
import torch

from cloak import detectors, geometry, grids, io_image, networks, surrogates, weights

CPU = torch.device("cpu")
LARGEST_DIFFERENCE = 1e-5
PHOTOS = 24


@pytest.fixture(scope="module")
def ours():
    return surrogates.load("dlib_resnet29", CPU)


@pytest.fixture(scope="module")
def theirs():
    return dlib.face_recognition_model_v1(str(weights.locate("dlib_resnet29")))


@pytest.fixture(scope="module")
def lfw(shared_data) -> list[Path]:
    """Photos of different people, spread over the pack."""
    people = sorted(folder for folder in (shared_data / "lfw-dev").iterdir() if folder.is_dir())
    return [sorted(folder.glob("*.jpg"))[0] for folder in people[:: len(people) // PHOTOS][:PHOTOS]]


@pytest.fixture(scope="module", params=detectors.available())
def detector(request):
    return detectors.load(request.param, CPU)


@pytest.fixture(scope="module")
def dlib_landmarks():
    """dlib's own detector and 5-point predictor: image -> shapes, best first."""
    folder = weights.locate("dlib_resnet29").parent
    predictor = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    hog = dlib.get_frontal_face_detector()
    return lambda pixels: [predictor(pixels, box) for box in hog(pixels, 1)]


def read(path):
    return io_image.read_photo(path, max_pixels=10**7).pixels


def our_chip(surrogate, pixels, box, landmarks):
    """(150, 150, 3) u8, cut as the engine cuts it."""
    grid = grids.cut(pixels, box)
    matrix = networks.to_tensor([networks.chip_to_grid(surrogate, grid, landmarks)], CPU)
    chip = geometry.warp(networks.stack([grid.pixels], CPU), matrix, surrogate.size_px)
    return np.rint(chip[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def our_descriptors(surrogate, chips):
    """Raw, before they are brought to unit length."""
    with torch.no_grad():
        return surrogate.network(networks.stack(chips, CPU)).numpy()


def their_descriptors(model, chips):
    return np.array([model.compute_face_descriptor(np.ascontiguousarray(chip)) for chip in chips])


def test_the_descriptors_of_real_faces_are_those_of_dlib(ours, theirs, lfw):
    pictures = [read(path) for path in lfw]
    found = detectors.load("mtcnn", CPU).detect(pictures)
    chips = [our_chip(ours, p, f.boxes[0], f.landmarks[0]) for p, f in zip(pictures, found) if len(f)]
    assert len(chips) >= 20
    expected = their_descriptors(theirs, chips)
    assert np.abs(our_descriptors(ours, chips) - expected).max() < LARGEST_DIFFERENCE
    # a constant would pass against itself: the descriptors are those of different people
    distance = np.linalg.norm(expected[:, None] - expected, axis=2)[~np.eye(len(chips), dtype=bool)]
    assert np.median(distance) > 0.6


def test_the_descriptors_of_what_is_no_face_are_those_of_dlib(ours, theirs, portrait):
    """Cut anywhere out of pictures of every kind: always at hand, and far from the values of faces."""
    chips = []
    for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "retina.jpg", "color.png"):
        picture = read(portrait.parent / name)
        for part in (0.1, 0.5):
            top, left = (int(part * (side - 150)) for side in picture.shape[:2])
            chips.append(picture[top : top + 150, left : left + 150])
    chips += [np.zeros((150, 150, 3), np.uint8), np.full((150, 150, 3), 255, np.uint8)]
    chips += [np.random.default_rng(i).integers(0, 256, (150, 150, 3), np.uint8) for i in range(2)]
    face = cv2.resize(read(portrait)[50:190, 155:295], (150, 150))
    chips += [face, np.ascontiguousarray(face[:, ::-1]), np.ascontiguousarray(face[..., ::-1]), face // 3]
    assert len(chips) == 20
    difference = our_descriptors(ours, chips) - their_descriptors(theirs, chips)
    assert np.abs(difference).max() < LARGEST_DIFFERENCE


def test_swapped_channels_would_show(ours, theirs, portrait):
    """The comparison above is worth something only if such a mistake fails it by far."""
    face = cv2.resize(read(portrait)[50:190, 155:295], (150, 150))
    swapped = np.ascontiguousarray(face[..., ::-1])
    assert np.abs(our_descriptors(ours, [swapped]) - their_descriptors(theirs, [face])).max() > 1e-2


def cosine_of_chips(surrogate, pixels, box, landmarks, shape):
    chips = [our_chip(surrogate, pixels, box, landmarks), dlib.get_face_chip(pixels, shape, size=150, padding=0.25)]
    with torch.no_grad():
        a, b = surrogate.embed(networks.stack(chips, CPU))
    return float(a @ b)


def test_a_face_aligned_by_us_is_the_face_aligned_by_dlib(ours, detector, dlib_landmarks, lfw):
    """Other detector, other landmarks, other resampling: the embedding has to stay the same person's."""
    cosines = []
    for path in lfw:
        pixels = read(path)
        faces, shapes = detector.detect([pixels])[0], dlib_landmarks(pixels)
        if len(faces) == len(shapes) == 1:
            cosines.append(cosine_of_chips(ours, pixels, faces.boxes[0], faces.landmarks[0], shapes[0]))
    assert len(cosines) >= 12
    assert min(cosines) >= 0.95
    assert np.mean(cosines) >= 0.985


def test_the_portrait_aligned_by_us_is_the_portrait_aligned_by_dlib(ours, detector, dlib_landmarks, portrait):
    pixels = read(portrait)
    (faces,), (shape, *_) = detector.detect([pixels]), dlib_landmarks(pixels)
    assert cosine_of_chips(ours, pixels, faces.boxes[0], faces.landmarks[0], shape) >= 0.985


def test_the_template_is_where_dlib_puts_its_own_landmarks(ours, dlib_landmarks, portrait):
    """dlib's five points are the corners of the eyes and the base of the nose: only the middles of the eyes compare."""
    pixels = read(portrait)
    shape, *_ = dlib_landmarks(pixels)  # the best; dlib takes a patch for a second face
    chip = dlib.get_face_chip(pixels, shape, size=150, padding=0.25)
    again = dlib.shape_predictor(str(weights.locate("dlib_resnet29").parent / "shape_predictor_5_face_landmarks.dat"))
    points = np.array([(p.x, p.y) for p in again(chip, dlib.rectangle(25, 25, 125, 125)).parts()])
    # dlib: 0, 1 are the corners of the image-right eye, 2, 3 of the image-left eye, 4 lies below the nose
    left_eye, right_eye = points[[2, 3]].mean(0), points[[0, 1]].mean(0)
    assert np.abs(left_eye - ours.template[0]).max() < 2.5
    assert np.abs(right_eye - ours.template[1]).max() < 2.5
