"""MobileFaceNet from the PyTorch file of foamliu/MobileFaceNet, every batch norm folded into the convolution before it.

Source: architecture from Chen et al., https://arxiv.org/abs/1804.07573, table 1, with the repository's changes: ReLU6
in place of PReLU, ReLU in the first depthwise pair, and no batch norm between the halves of the embedding but one
after it; checked against the graph of an ONNX export of the same weights. Preprocessing from its `data_gen.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cloak import surrogates
from cloak.errors import WeightsCorrupt
from cloak.store import Recipe
from cloak.surrogates import Surrogate

# ImageNet's mean and standard deviation on the scale of 0 to 255
RECIPE = Recipe("arcface112", mean=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375), channels="rgb")

# (expansion, channels, blocks, stride of the first one), table 1
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
_EPSILON = 1e-5  # torch's default, which upstream keeps


class _Bottleneck(nn.Module):
    """Widen, look around in each channel, narrow; beside a shortcut where the shapes allow one."""

    def __init__(self, channels_in: int, channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.widen = nn.Conv2d(channels_in, inner, 1)
        self.around = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner)
        self.narrow = nn.Conv2d(inner, channels, 1)
        self.has_shortcut = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.narrow(F.relu6(self.around(F.relu6(self.widen(x)))))
        return x + out if self.has_shortcut else out


class MobileFaceNet(nn.Module):
    """Normalised chips (N, 3, 112, 112) to embeddings (N, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, 2, padding=1)
        self.stem_around = nn.Conv2d(64, 64, 3, padding=1, groups=64)
        self.stem_mix = nn.Conv2d(64, 64, 1)
        blocks, channels_in = [], 64
        for expansion, channels, count, stride in _STAGES:
            for i in range(count):
                blocks.append(_Bottleneck(channels_in, channels, expansion, stride if i == 0 else 1))
                channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.widen = nn.Conv2d(128, 512, 1)
        self.gather = nn.Conv2d(512, 512, 7, groups=512)
        self.head = nn.Conv2d(512, 128, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.stem(x))
        x = F.relu(self.stem_mix(F.relu(self.stem_around(x))))
        x = F.relu6(self.widen(self.blocks(x)))
        return torch.flatten(self.head(self.gather(x)), 1)

    def convolutions(self) -> list[tuple[nn.Conv2d, str, str]]:
        """Every convolution in the order of the computation, with upstream's names for it and its batch norm."""
        found = [
            (self.stem, "conv1.0", "conv1.1"),
            (self.stem_around, "dw_conv.depthwise", "dw_conv.bn1"),
            (self.stem_mix, "dw_conv.pointwise", "dw_conv.bn2"),
        ]
        for i, block in enumerate(self.blocks):
            assert isinstance(block, _Bottleneck)
            inside = f"features.{i}.conv"
            found += [
                (block.widen, f"{inside}.0.0", f"{inside}.0.1"),
                (block.around, f"{inside}.1.0", f"{inside}.1.1"),
                (block.narrow, f"{inside}.2", f"{inside}.3"),
            ]
        return [
            *found,
            (self.widen, "conv2.0", "conv2.1"),
            (self.gather, "gdconv.depthwise", "gdconv.bn"),
            (self.head, "conv3", "bn"),
        ]


def empty() -> MobileFaceNet:
    """The network without values; drawing them would move torch's global generator."""
    with torch.device("meta"):
        network = MobileFaceNet()
    return network.to_empty(device="cpu")


def fold(values: Mapping[str, Tensor], path: Path) -> MobileFaceNet:
    """The network with upstream's values, read from `path`."""
    network, used = empty(), set()

    def take(name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in values or tuple(values[name].shape) != shape:
            found = f"has the shape {tuple(values[name].shape)}" if name in values else "is not there"
            raise WeightsCorrupt(f"{path}: {name} {found}, expected {shape}: not foamliu's MobileFaceNet. "
                                 "The file was not loaded.")
        used.add(name)
        return values[name].double()

    with torch.no_grad():
        for conv, name, norm in network.convolutions():
            weight = take(f"{name}.weight", tuple(conv.weight.shape))
            each = (conv.out_channels,)
            bias = take(f"{name}.bias", each) if name == "conv3" else weight.new_zeros(each)
            mean, variance = take(f"{norm}.running_mean", each), take(f"{norm}.running_var", each)
            gain = take(f"{norm}.weight", each) / (variance + _EPSILON).sqrt()
            assert conv.bias is not None
            conv.weight.copy_(weight * gain.view(-1, 1, 1, 1))
            conv.bias.copy_((bias - mean) * gain + take(f"{norm}.bias", each))
    foreign = sorted(name for name in set(values) - used if not name.endswith("num_batches_tracked"))
    if foreign:
        raise WeightsCorrupt(f"{path}: {foreign[0]} has no place in foamliu's MobileFaceNet. The file was not loaded.")
    if not all(value.isfinite().all() for value in network.parameters()):
        raise WeightsCorrupt(f"{path}: a batch norm has a variance below 0. The file was not loaded.")
    return network


def load(path: Path, device: torch.device) -> Surrogate:
    """The surrogate on `device`. `path` has been verified by `weights.locate`."""
    return surrogates.prepared(fold(surrogates.state_dict(path), path), RECIPE, device, "mobilefacenet_pt")
