"""Recognisers in PyTorch against onnxruntime and against the judge's own preprocessing, on real faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from cloak import calibration, crops, detectors, geometry, io_image, networks, surrogates, weights
from cloak.surrogates import dlib_resnet29, mobilefacenet_pt
from cloak.surrogates import onnx as reader
from evaluation import matchers
from evaluation.faces import Faces as TheirFaces
from evaluation.matchers.onnx import OnnxMatcher

CPU = torch.device("cpu")
LARGEST_DIFFERENCE = 1e-4
NAMES = ("mobilefacenet", "edgeface_xxs")
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def faces(shared_data):
    """Seven people's photos with the landmarks of the face in each."""
    people = sorted(folder for folder in (shared_data / "lfw-dev").iterdir() if folder.is_dir())
    detector = detectors.load("centerface", CPU)
    photos = [sorted(person.glob("*.jpg"))[0] for person in people[:: len(people) // 7][:7]]
    pictures = [io_image.read_photo(path, max_pixels=10**7).pixels for path in photos]
    return [(pixels, found.landmarks[0]) for pixels, found in zip(pictures, detector.detect(pictures))]


def load(shared_data, name):
    recipe = weights.registry()[f"{name}_onnx"].recipe
    return surrogates.read("onnx", shared_data / "weights" / f"{name}.onnx", CPU, recipe)


def chips(surrogate, faces):
    matrices = networks.to_tensor([geometry.invert(surrogate.to_chip(points)) for _, points in faces], CPU)
    return geometry.warp(networks.stack([pixels for pixels, _ in faces], CPU), matrices, surrogate.size_px)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@each
@pytest.mark.parametrize("batch", [1, 7])
def test_embeddings_of_real_faces_are_those_of_onnxruntime(shared_data, faces, name, batch):
    surrogate = load(shared_data, name)
    cut = chips(surrogate, faces)[:batch]
    with torch.no_grad():
        ours, fed = surrogate.network(cut), surrogate.network.feed(cut)
    (theirs,) = session(shared_data / "weights" / f"{name}.onnx").run(None, {"input": fed.numpy()})
    assert np.abs(ours.numpy() - theirs).max() < LARGEST_DIFFERENCE
    assert len(torch.unique(ours, dim=0)) == batch  # different people, not one constant


@each
def test_a_face_is_cut_and_fed_as_the_judge_cuts_and_feeds_it(shared_data, faces, name):
    """Written twice, from the same upstream: swapped channels, another mean or a shifted template would show."""
    surrogate = load(shared_data, name)
    with torch.no_grad():
        ours = surrogate.embed(chips(surrogate, faces)).numpy()
    judge = OnnxMatcher(Path(matchers.__file__).parent / f"{name}.toml", shared_data / "weights")
    theirs = np.concatenate([
        judge.embed(pixels, TheirFaces(np.zeros((1, 4), np.float32), points[None], np.ones(1, np.float32), False))
        for pixels, points in faces
    ])
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    assert (ours * theirs).sum(1).min() > 0.98
    swapped = surrogate.embed(chips(surrogate, faces).flip(1)).detach().numpy()
    assert ((swapped * theirs).sum(1) < (ours * theirs).sum(1)).all()


@pytest.fixture(scope="module")
def upstream_values(shared_data):
    """The values that upstream's file would hold, got from the export by undoing the folding of each batch norm."""
    model = onnx.load(shared_data / "weights" / "mobilefacenet.onnx")
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    folded = [(tensors[n.input[1]], tensors[n.input[2]]) for n in model.graph.node if n.op_type == "Conv"]
    draw, values = np.random.default_rng(0), {}
    network = mobilefacenet_pt.empty()
    assert len(folded) == len(network.convolutions())
    for (weight, bias), (_, name, norm) in zip(folded, network.convolutions()):
        gamma, variance = draw.uniform(0.5, 2, (2, len(bias)))
        mean, own = draw.normal(size=(2, len(bias))) if name == "conv3" else (draw.normal(size=len(bias)), 0.0)
        gain = gamma / np.sqrt(variance + 1e-5)
        values |= {f"{name}.weight": weight / gain[:, None, None, None], f"{norm}.weight": gamma,
                   f"{norm}.bias": bias - (own - mean) * gain, f"{norm}.running_mean": mean,
                   f"{norm}.running_var": variance, f"{norm}.num_batches_tracked": np.array(3)}
        if name == "conv3":
            values[f"{name}.bias"] = own
    return {key: torch.from_numpy(np.asarray(value)) for key, value in values.items()}


def test_mobilefacenet_with_the_export_s_values_is_the_export(shared_data, faces, upstream_values, tmp_path):
    torch.save({key: value.float() if value.is_floating_point() else value for key, value in upstream_values.items()},
               tmp_path / "mobilefacenet.pt")
    surrogate = surrogates.read("mobilefacenet_pt", tmp_path / "mobilefacenet.pt", CPU)
    cut = chips(surrogate, faces)
    with torch.no_grad():
        ours, fed = surrogate.network(cut), surrogate.network.feed(cut)
    (theirs,) = session(shared_data / "weights" / "mobilefacenet.onnx").run(None, {"input": fed.numpy()})
    assert np.abs(ours.numpy() - theirs).max() < LARGEST_DIFFERENCE


def test_mobilefacenet_has_upstream_s_names(upstream_values):
    """As the modules of foamliu/MobileFaceNet are called: 51 convolutions, each with a batch norm, one with a bias."""
    assert len(upstream_values) == 51 * 6 + 1
    for name, shape in {
        "conv1.0.weight": (64, 3, 3, 3), "conv1.1.running_var": (64,), "dw_conv.depthwise.weight": (64, 1, 3, 3),
        "dw_conv.pointwise.weight": (64, 64, 1, 1), "dw_conv.bn1.weight": (64,), "dw_conv.bn2.bias": (64,),
        "features.0.conv.0.0.weight": (128, 64, 1, 1), "features.5.conv.1.0.weight": (256, 1, 3, 3),
        "features.12.conv.2.weight": (128, 512, 1, 1), "features.14.conv.3.running_mean": (128,),
        "conv2.0.weight": (512, 128, 1, 1), "gdconv.depthwise.weight": (512, 1, 7, 7), "gdconv.bn.weight": (512,),
        "conv3.weight": (128, 512, 1, 1), "conv3.bias": (128,), "bn.running_mean": (128,),
    }.items():
        assert tuple(upstream_values[name].shape) == shape


def test_the_preprocessing_of_both_mobilefacenets_is_one(shared_data):
    known = weights.registry()["mobilefacenet_onnx"].recipe
    assert known is not None
    assert known.crop == mobilefacenet_pt.RECIPE.crop and known.channels == mobilefacenet_pt.RECIPE.channels
    assert np.allclose(known.mean, mobilefacenet_pt.RECIPE.mean)
    assert np.allclose(known.scale, mobilefacenet_pt.RECIPE.scale)


def test_dlib_s_crop_has_one_meaning():
    assert np.allclose(crops.crop("dlib150").template, dlib_resnet29.TEMPLATE)


def test_facenet_s_crop_lies_where_its_box_would(shared_data, faces):
    """Against `extract_face`: MTCNN's box, squeezed to a square. One point is one pixel of 160."""
    mtcnn = detectors.load("mtcnn", CPU)
    crop = crops.crop("facenet160")
    differences = []
    for pixels, _ in faces:
        (found,) = mtcnn.detect([pixels])
        x1, y1, x2, y2 = found.boxes[0]
        corners = np.array([(x1, y1), (x2, y1), (x1, y2), (x2, y2)]) - 0.5
        matrix = crop.matrix(found.landmarks[0])
        ours = corners @ matrix[:, :2].T + matrix[:, 2]
        differences.append(np.abs(ours - (np.array([(0, 0), (160, 0), (0, 160), (160, 160)]) - 0.5)).mean())
    assert np.median(differences) < 16


def test_the_largest_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    file = tmp_path / "huge.onnx"
    with file.open("wb") as sparse:
        sparse.truncate(reader.LARGEST_FILE + 1)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _: pytest.fail("read"))
    with pytest.raises(Exception, match="at most 2147483647.*not loaded"):
        reader.read(file)


def test_a_shipped_curve_names_the_files_it_is_for():
    known = {entry.sha256 for entry in weights.registry().values()}
    for curve in calibration._shipped():
        assert {curve.weights_sha256, *curve.same_network} <= known
