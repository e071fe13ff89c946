"""The judge's FaceNet against facenet-pytorch's own functions, on seeded weights: the real ones are in no package."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from facenet_pytorch.models.mtcnn import fixed_image_standardization
from facenet_pytorch.models.utils.detect_face import extract_face
from PIL import Image

from evaluation import matchers
from evaluation.faces import Faces, decode
from evaluation.files import FileMismatch
from evaluation.matchers import facenet
from evaluation.mtcnn import own_boxes

NAME = "facenet_vggface2"
BOXES = [(180, 62, 270, 178), (-20, -30, 60, 80), (400, 420, 530, 560), (100.7, 90.2, 131.4, 133.9)]


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return InceptionResnetV1(pretrained=None, classify=False).eval()


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    """As upstream's file is: with the classifier it was trained with."""
    folder = tmp_path_factory.mktemp("weights")
    values = network.state_dict() | {"logits.weight": torch.zeros(7, 512), "logits.bias": torch.zeros(7)}
    torch.save(values, folder / facenet.FILES[NAME])
    return folder


def faces(*boxes):
    n = len(boxes)
    return Faces(np.array(boxes, np.float32), np.zeros((n, 5, 2), np.float32), np.ones(n, np.float32), False)


@pytest.mark.parametrize("box", BOXES)
def test_a_face_is_cut_out_and_scaled_as_upstream_does(portrait, box):
    picture = Image.fromarray(decode(portrait))
    box = np.array(box, np.float32)
    expected = fixed_image_standardization(extract_face(picture, box, facenet.SIZE_PX, facenet.MARGIN_PX))
    assert np.array_equal(facenet.standardised(facenet.cut(picture, box)), expected.numpy())


def test_templates_are_upstreams_network_on_upstreams_crops(network, folder, portrait):
    pixels = decode(portrait)
    given = faces(BOXES[0], BOXES[3])
    crops = [extract_face(Image.fromarray(pixels), box, 160, 14) for box in own_boxes(given.boxes)]
    with torch.no_grad():
        expected = network(fixed_image_standardization(torch.stack(crops))).numpy()
    found = matchers.load(NAME, folder).embed(pixels, given)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-4, "two faces, one template"


def test_a_matcher_without_its_file_is_named_and_one_with_it_is_there(folder, tmp_path):
    names, missing = matchers.present(tmp_path)
    assert names == matchers.names() and missing == facenet.FILES
    names, missing = matchers.present(tmp_path, folder)
    assert NAME in names and set(missing) == {"facenet_casia"}
    with pytest.raises(FileMismatch, match="no such file"):
        matchers.load(NAME, tmp_path)
    assert matchers.load(NAME, tmp_path, folder).name == NAME


def test_the_command_says_which_matchers_it_leaves_out(tmp_path, capsys):
    import argparse

    from evaluation.__main__ import _matchers

    assert _matchers(argparse.Namespace(data=tmp_path, weights=None)) == (matchers.names(), facenet.FILES)
    said = capsys.readouterr().err
    assert all(name in said and file in said for name, file in facenet.FILES.items())


def test_other_files_are_refused_and_code_in_them_is_not_run(tmp_path, network):
    path = tmp_path / facenet.FILES[NAME]
    torch.save({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(FileMismatch, match="not InceptionResnetV1"):
        matchers.load(NAME, tmp_path)
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return ran.touch, ()

    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(Exception, match="[Ww]eights|load"):
        matchers.load(NAME, tmp_path)
    assert not ran.exists()


def test_its_source_and_the_shape_of_its_boxes_decide_a_template(folder):
    matcher = matchers.load(NAME, folder)
    assert matchers.identity(matcher) == matchers.identity(matchers.load(NAME, folder))
    other = matchers.load(NAME, folder)
    other.weights_sha256 = "0" * 64
    assert matchers.identity(other) != matchers.identity(matcher)


def test_the_engines_network_of_these_weights_is_known_to_be_the_same():
    """Or a cloak made against it would count the judge's copy as held out."""
    from cloak import weights
    from evaluation.run import SAME_NETWORK

    assert weights.registry()["inception_resnet_v1"].download.endswith(facenet.FILES[NAME])
    assert SAME_NETWORK["inception_resnet_v1"] == NAME
    assert set(SAME_NETWORK.values()) <= {*matchers.names(), *facenet.FILES}
