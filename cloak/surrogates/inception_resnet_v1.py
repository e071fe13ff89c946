"""FaceNet's InceptionResnetV1 from facenet-pytorch's own class and file; never bundled, only where it is installed.

Source: Schroff et al., https://arxiv.org/abs/1503.03832, in the form of facenet-pytorch 2.5.3,
`models/inception_resnet_v1.py`; preprocessing from its `fixed_image_standardization`, alignment from its
`extract_face` (see `crops`). The file may end with the classifier it was trained with, which is left out.
"""

from __future__ import annotations

from pathlib import Path

import torch
from facenet_pytorch.models.inception_resnet_v1 import BasicConv2d, InceptionResnetV1
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cloak import surrogates
from cloak.errors import WeightsCorrupt
from cloak.store import Recipe
from cloak.surrogates import Surrogate

RECIPE = Recipe("facenet160", mean=(127.5, 127.5, 127.5), scale=(128.0, 128.0, 128.0), channels="rgb")
_CLASSIFIER = {"logits.weight", "logits.bias"}


class _ChannelsLast(nn.Module):
    """The same network with channels beside each other in memory: on a CPU about twice as fast."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        return out


def read(path: Path) -> nn.Module:
    """Chips (N, 3, 160, 160) as the recipe wants them to embeddings (N, 512)."""
    values = surrogates.state_dict(path)
    with torch.device("meta"):  # drawing initial weights would move torch's global generator
        network = InceptionResnetV1(pretrained=None)
    try:
        missing, foreign = network.load_state_dict(values, strict=False, assign=True)
    except RuntimeError as error:
        raise WeightsCorrupt(f"{path}: not facenet-pytorch's InceptionResnetV1 "
                             f"({str(error).splitlines()[-1].strip()}). The file was not loaded.") from error
    if missing or set(foreign) - _CLASSIFIER:
        wrong = f"{missing[0]} is not there" if missing else f"{foreign[0]} has no place in it"
        raise WeightsCorrupt(f"{path}: not facenet-pytorch's InceptionResnetV1: {wrong}. The file was not loaded.")
    network.eval()
    for part in network.modules():
        if isinstance(part, BasicConv2d):
            part.conv, part.bn = fuse_conv_bn_eval(part.conv, part.bn), nn.Identity()
    if not all(value.isfinite().all() for value in network.parameters()):
        raise WeightsCorrupt(f"{path}: a batch norm has a variance below 0. The file was not loaded.")
    return _ChannelsLast(network)


def load(path: Path, device: torch.device) -> Surrogate:
    """The surrogate on `device`. `path` has been verified by `weights.locate`."""
    return surrogates.prepared(read(path), RECIPE, device, "inception_resnet_v1")
