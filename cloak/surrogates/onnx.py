"""Any face recogniser in an ONNX file as a differentiable PyTorch module.

The graph is translated by onnx2torch (Apache-2.0), operator by operator, and then tried: what is no recogniser, or
loses the gradient on the way, is refused here and not noticed later as a cloak that does nothing.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.checker
import onnx.version_converter
import onnx2torch
import torch
from google.protobuf.message import DecodeError
from onnx2torch.node_converters.slice import OnnxSlice
from torch import Tensor, nn

from cloak import crops, surrogates
from cloak.errors import SettingsInvalid, WeightsCorrupt
from cloak.store import Recipe
from cloak.surrogates import Surrogate

LARGEST_FILE = 2**31 - 1  # bytes; what protobuf can hold
# The smallest embeddings in use have 64 numbers, an age or an emotion a handful
FEWEST_NUMBERS = 32
# onnx2torch 1.5.15 knows hardly any operator from before version 11 of the language or from after 17
_OLDEST_OPSET, _BEST_OPSET = 11, 17
_OWN_DOMAINS = ("", "ai.onnx")
_TOLERANCE = 1e-3


class _OneByOne(nn.Module):
    """For a graph with its batch of one written into it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.network(one) for one in x.split(1)])


def read(path: Path) -> onnx.ModelProto:
    """The graph in a file, all of it inside the file and of standard operators.

    Raises:
        WeightsCorrupt: it is not a whole ONNX file.
        SettingsInvalid: it is one that cannot be used.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise SettingsInvalid(f"{path}: {size} bytes; an ONNX file with everything in it has at most {LARGEST_FILE}. "
                              "The file was not loaded.")
    try:
        # Not onnx.load: it would follow the paths that the file names
        model = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, ValueError) as error:
        raise WeightsCorrupt(f"{path}: no whole ONNX file ({error}). The file was not loaded.") from error
    if not model.graph.node:
        raise WeightsCorrupt(f"{path}: no ONNX file, or one without a network. The file was not loaded.")
    outside = [t.name for t in _tensors(model.graph) if t.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise SettingsInvalid(f"{path}: keeps {len(outside)} tensors in other files ({outside[0]}), which nobody "
                              "vouches for. Save it as one file (onnx.save_model with save_as_external_data=False); "
                              "it was not loaded.")
    foreign = sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in _OWN_DOMAINS})
    if foreign:
        raise SettingsInvalid(f"{path}: uses operators that are not ONNX's own: {', '.join(foreign)}. Export it "
                              "without them; it was not loaded.")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise WeightsCorrupt(f"{path}: not a valid ONNX graph ({str(error).splitlines()[0][:200]}). "
                             "The file was not loaded.") from error
    return model


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Every constant of the graph."""
    inside = [a.t for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.TENSOR]
    return [*graph.initializer, *inside]


def check_signature(path: Path, model: onnx.ModelProto, recipe: Recipe) -> None:
    """Refuse by name what cannot be a recogniser of such chips, before anything is computed."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    size_px = crops.crop(recipe.crop, recipe.size_px).size_px
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise SettingsInvalid(f"{path}: {len(inputs)} inputs and {len(model.graph.output)} outputs; a face recogniser "
                              "has one of each (a detector has more). It was not loaded.")
    about = inputs[0].type.tensor_type
    if about.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(about.elem_type)
        raise SettingsInvalid(f"{path}: the input is {kind}, expected FLOAT. Export it in float32; it was not loaded.")
    want = (3, size_px, size_px) if recipe.layout == "nchw" else (size_px, size_px, 3)
    have = tuple(d.dim_value if d.HasField("dim_value") else 0 for d in about.shape.dim)
    if len(have) != 4 or any(h not in (0, w) for h, w in zip(have[1:], want, strict=True)):
        raise SettingsInvalid(f"{path}: the input has the shape {have}, and the chips are (N, {want[0]}, {want[1]}, "
                              f"{want[2]}). Choose another crop, size or layout; it was not loaded.")
    if have[0] > 1:
        raise SettingsInvalid(f"{path}: takes {have[0]} faces at a time and no other number. Export it for one, or for "
                              "any; it was not loaded.")


class _Slice(nn.Module):
    """ONNX's Slice. onnx2torch's own indexes with a list, which PyTorch announces to read as something else one day."""

    def forward(
        self, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
    ) -> Tensor:
        given = range(len(starts)) if axes is None else axes.tolist()
        index = [slice(None)] * x.ndim
        for i, axis in enumerate(given):
            start, end, step = int(starts[i]), int(ends[i]), 1 if steps is None else int(steps[i])
            if step < 0:  # PyTorch has no backward slices: mirrored, the first from the end is the last
                x, start, end, step = x.flip(axis), -start - 1, -end - 1, -step
            index[axis] = slice(start, end, step)
        return x[tuple(index)]


def translate(path: Path, model: onnx.ModelProto) -> nn.Module:
    """The graph as a module. A version of the language that onnx2torch does not know is converted first."""
    error: Exception | None = None
    is_old = any(o.domain in _OWN_DOMAINS and o.version < _OLDEST_OPSET for o in model.opset_import)
    for opset in (_BEST_OPSET, None) if is_old else (None, _BEST_OPSET):
        try:
            graph = model if opset is None else onnx.version_converter.convert_version(model, opset)
            network: nn.Module = onnx2torch.convert(graph)
            for name, module in list(network.named_modules()):
                if isinstance(module, OnnxSlice):
                    network.set_submodule(name, _Slice())
            return network.float().eval().requires_grad_(False)
        # Whatever either of them stumbles over: neither has an error of its own
        except Exception as caught:  # noqa: BLE001
            error = error or caught
    raise SettingsInvalid(f"{path}: cannot be translated to PyTorch ({type(error).__name__}: "
                          f"{str(error).splitlines()[0][:200] if str(error) else ''}). It was not loaded.") from error


def load(path: Path, device: torch.device, recipe: Recipe) -> Surrogate:
    """The surrogate on `device`, tried on two pictures. `path` has been verified by `weights.locate`.

    Raises:
        WeightsCorrupt: the file is damaged.
        SettingsInvalid: it is no recogniser of such chips, or cannot be looked through.
    """
    model = read(path)
    check_signature(path, model, recipe)
    network = translate(path, model)
    surrogate = surrogates.prepared(network, recipe, device, "onnx")
    if not _is_batched(path, surrogate):
        surrogate = surrogates.prepared(_OneByOne(network), recipe, device, "onnx")
    _try(path, surrogate)
    return surrogate


def _pictures(surrogate: Surrogate, device: torch.device) -> Tensor:
    """Two unlike chips, always the same ones, without moving torch's global generator."""
    coarse = torch.rand((2, 3, 9, 9), generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(coarse, surrogate.size_px, mode="bicubic").clamp(0, 1).to(device)


def _run(path: Path, surrogate: Surrogate, chips: Tensor) -> Tensor:
    try:
        out: Tensor = surrogate.network(chips)
    # Whatever a translated operator stumbles over
    except Exception as error:  # noqa: BLE001
        raise SettingsInvalid(f"{path}: fails on a chip of {surrogate.size_px} pixels "
                              f"({str(error).splitlines()[0][:200]}). Choose another crop, size or layout; it was "
                              "not loaded.") from error
    if not isinstance(out, Tensor) or out.ndim != 2:
        raise SettingsInvalid(f"{path}: gives no list of numbers for a face; no face recogniser. It was not loaded.")
    return out


def _device(surrogate: Surrogate) -> torch.device:
    return next(surrogate.network.buffers()).device


def _is_batched(path: Path, surrogate: Surrogate) -> bool:
    """Whether two chips together give what each gives alone. Raises where not even one alone works."""
    chips = _pictures(surrogate, _device(surrogate))
    with torch.no_grad():
        alone = torch.cat([_run(path, surrogate, chip) for chip in chips.split(1)])
        try:
            together = _run(path, surrogate, chips)
        except SettingsInvalid:
            return False
    return together.shape == alone.shape and bool(torch.allclose(together, alone, atol=_TOLERANCE, rtol=_TOLERANCE))


def _try(path: Path, surrogate: Surrogate) -> None:
    chips = _pictures(surrogate, _device(surrogate)).requires_grad_(True)
    embedded = _run(path, surrogate, chips)
    if len(embedded) != len(chips) or embedded.shape[1] < FEWEST_NUMBERS:
        raise SettingsInvalid(f"{path}: gives {tuple(embedded.shape)} numbers for {len(chips)} faces, expected at "
                              f"least {FEWEST_NUMBERS} for each; no face recogniser. It was not loaded.")
    if not embedded.isfinite().all():
        raise WeightsCorrupt(f"{path}: gives values that are not finite. The file was not loaded.")
    unit = nn.functional.normalize(embedded, dim=1)
    if float((unit[0] - unit[1]).detach().norm()) < _TOLERANCE:
        raise SettingsInvalid(f"{path}: gives the same for every picture; no face recogniser. It was not loaded.")
    if not unit.requires_grad:
        raise SettingsInvalid(f"{path}: its output does not hang on its input smoothly, so there is nothing to "
                              "follow. It was not loaded.")
    (gradient,) = torch.autograd.grad((unit[0] * unit[1].detach()).sum(), chips)
    if not gradient.isfinite().all() or not gradient[0].any():
        raise SettingsInvalid(f"{path}: no gradient reaches the picture (a rounded or integer network?). "
                              "It was not loaded.")
