"""ONNX files as recognisers: what is read, what is fed, and what is refused by the name of the reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch.testing import assert_close

from cloak import surrogates
from cloak.errors import SettingsInvalid, WeightsCorrupt
from cloak.store import Recipe
from cloak.surrogates import onnx as reader

CPU = torch.device("cpu")
SIZE = 32
PLAIN = Recipe("arcface112", (127.5,) * 3, (128.0,) * 3, "rgb", size_px=SIZE)
NUMBERS = 48
COLUMNS = 4 * 8 * 8


def graph(*, batch="N", opset=13, side=SIZE, numbers=NUMBERS, nodes=None, outputs=("out",), kind=TensorProto.FLOAT,
          flatten=True, layout="nchw", values=None, domain=""):
    """A small network: one convolution, one matrix. `nodes` come before it and turn `input` into `fed`."""
    draw = np.random.default_rng(0)
    constants = {
        "filter": draw.normal(size=(4, 3, 4, 4)).astype(np.float32) / 4,
        "matrix": draw.normal(size=(COLUMNS, numbers)).astype(np.float32) / 16,
        "rows": np.array([1, COLUMNS], np.int64),
        **(values or {}),
    }
    shape = (batch, 3, side, side) if layout == "nchw" else (batch, side, side, 3)
    flat = helper.make_node("Flatten", ["kept"], ["flat"]) if flatten else \
        helper.make_node("Reshape", ["kept", "rows"], ["flat"])
    made = helper.make_model(
        helper.make_graph(
            [
                *(nodes or [helper.make_node("Identity", ["input"], ["fed"])]),
                helper.make_node("Conv", ["fed", "filter"], ["maps"], strides=[4, 4]),
                helper.make_node("Tanh", ["maps"], ["kept"], domain=domain),
                flat,
                helper.make_node("MatMul", ["flat", "matrix"], ["out"]),
            ],
            "small",
            [helper.make_tensor_value_info("input", kind, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * (2 if name == "out" else 4))
             for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])],
    )
    made.ir_version = 8
    return made


@pytest.fixture
def load(tmp_path):
    """Writes a graph into a file and reads it as a recogniser."""
    def one(model, recipe=PLAIN):
        file = tmp_path / "some.onnx"
        file.write_bytes(model.SerializeToString() if isinstance(model, onnx.ModelProto) else model)
        return surrogates.read("onnx", file, CPU, recipe)

    return one


def expected(chips):
    """The small network once more, by hand."""
    draw = np.random.default_rng(0)
    filters = torch.from_numpy(draw.normal(size=(4, 3, 4, 4)).astype(np.float32) / 4)
    matrix = torch.from_numpy(draw.normal(size=(COLUMNS, NUMBERS)).astype(np.float32) / 16)
    out = torch.tanh(torch.nn.functional.conv2d(chips, filters, stride=4)).flatten(1) @ matrix
    return torch.nn.functional.normalize(out, dim=1)


def pictures(count=5):
    return torch.rand((count, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("opset", [8, 9, 11, 13, 16, 17, 18, 20, 21])
def test_a_network_gives_what_it_should_in_every_version_of_the_language(load, opset):
    assert_close(load(graph(opset=opset)).embed(pictures()), expected((pictures() * 255 - 127.5) / 128))


def test_channels_means_and_scales_are_fed_in_the_order_that_the_recipe_states(load):
    recipe = Recipe("arcface112", (10.0, 20.0, 30.0), (1.0, 2.0, 4.0), "bgr", size_px=SIZE)
    blue_first = (pictures()[:, [2, 1, 0]] * 255 - torch.tensor([10.0, 20, 30]).view(1, 3, 1, 1)) / torch.tensor(
        [1.0, 2, 4]).view(1, 3, 1, 1)
    assert_close(load(graph(), recipe).embed(pictures()), expected(blue_first), atol=1e-5, rtol=1e-4)


def test_a_network_that_wants_channels_last_gets_them_last(load):
    turn = helper.make_node("Transpose", ["input"], ["fed"], perm=[0, 3, 1, 2])
    surrogate = load(graph(nodes=[turn], layout="nhwc"), dataclasses.replace(PLAIN, layout="nhwc"))
    assert_close(surrogate.embed(pictures()), expected((pictures() * 255 - 127.5) / 128))


@pytest.mark.parametrize("start, end, step", [(0, 32, 1), (31, -64, -1), (4, 2**40, 1), (-1, -(2**40), -2),
                                              (1, -1, 3)])
@pytest.mark.parametrize("axis", [2, -1])
def test_a_slice_is_what_onnx_itself_says_it_is(start, end, step, axis):
    slicing = helper.make_graph(
        [helper.make_node("Slice", ["x", "start", "end", "axis", "step"], ["y"])], "slice",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3, 32, 32))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(np.array([v], np.int64), n) for n, v in
         (("start", start), ("end", end), ("axis", axis), ("step", step))],
    )
    model = helper.make_model(slicing, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    (expected_slice,) = ReferenceEvaluator(model).run(None, {"x": x})
    ours = reader.translate(Path("slice.onnx"), model)(torch.from_numpy(x)).numpy()
    assert ours.shape == expected_slice.shape and np.array_equal(ours, expected_slice)


@pytest.mark.parametrize("batch", ["N", 1])
def test_a_batch_of_one_written_into_the_graph_is_worked_around(load, batch):
    """Five chips through a graph that reshapes to (1, 256) would else fail, or worse, come out mixed."""
    surrogate = load(graph(batch=batch, flatten=False))
    assert_close(surrogate.embed(pictures()), expected((pictures() * 255 - 127.5) / 128))
    assert surrogate.embed(pictures()).shape == (5, NUMBERS)


def test_the_gradient_is_the_one_of_the_network(load):
    ours, theirs = (pictures(2).requires_grad_(True) for _ in range(2))
    goal = expected(torch.zeros(1, 3, SIZE, SIZE) + 0.3)
    (load(graph()).embed(ours) * goal).sum().backward()
    (expected((theirs * 255 - 127.5) / 128) * goal).sum().backward()
    assert_close(ours.grad, theirs.grad)


def rounded():
    return graph(nodes=[helper.make_node("Round", ["input"], ["fed"])])


def constant():
    return graph(nodes=[helper.make_node("Mul", ["input", "nought"], ["fed"])],
                 values={"nought": np.zeros(1, np.float32)})


def outside():
    model = graph()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return model


REFUSED = {
    "no line of numbers": (lambda: graph(outputs=("out", "kept")), "1 inputs and 2 outputs"),
    "few numbers": (lambda: graph(numbers=7), "expected at least 32"),
    "whole numbers": (lambda: graph(kind=TensorProto.UINT8, nodes=[helper.make_node("Cast", ["input"], ["fed"], to=1)]),
                      "the input is UINT8"),
    "another side": (lambda: graph(side=48), r"\(0, 3, 48, 48\), and the chips are \(N, 3, 32, 32\)"),
    "channels last": (lambda: graph(layout="nhwc", nodes=[helper.make_node("Transpose", ["input"], ["fed"],
                                                                           perm=[0, 3, 1, 2])]), "another crop, size"),
    "a batch of four": (lambda: graph(batch=4), "takes 4 faces at a time"),
    "operators of somebody's own": (lambda: graph(domain="com.microsoft"), "not ONNX's own: com.microsoft.Tanh"),
    "tensors in other files": (outside, "in other files"),
    "no gradient": (rounded, "no gradient|nothing to follow"),
    "the same for all": (constant, "same for every picture|finite"),
    "an operator nobody knows": (lambda: graph(nodes=[helper.make_node("Det", ["input"], ["fed"])]), "."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_usable_recogniser_is_refused_by_its_reason(load, tmp_path, case):
    make, reason = REFUSED[case]
    with pytest.raises(SettingsInvalid, match=reason) as error:
        load(make())
    assert str(tmp_path / "some.onnx") in str(error.value) and "not loaded" in str(error.value)


def test_values_that_are_not_finite_are_refused(load):
    broken = np.full((4, 3, 4, 4), np.nan, np.float32)
    with pytest.raises(WeightsCorrupt, match="not finite.*not loaded"):
        load(graph(values={"filter": broken}))


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_cut_file_is_refused(load, share):
    data = graph().SerializeToString()
    with pytest.raises(WeightsCorrupt, match="not loaded"):
        load(data[: int(share * len(data))])


def test_a_file_of_another_kind_is_refused(load):
    with pytest.raises(WeightsCorrupt, match="not loaded"):
        load(np.random.default_rng(0).bytes(10_000))


def test_a_graph_without_a_recipe_is_refused(tmp_path):
    (tmp_path / "some.onnx").write_bytes(graph().SerializeToString())
    with pytest.raises(SettingsInvalid, match="not said what this network wants"):
        surrogates.read("onnx", tmp_path / "some.onnx", CPU)


def test_a_detector_is_told_from_a_recogniser(shared_data):
    with pytest.raises(SettingsInvalid, match="12 outputs; a face recogniser has one"):
        surrogates.read("onnx", shared_data / "weights" / "yunet_n.onnx", CPU, PLAIN)
