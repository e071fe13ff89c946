"""Teaches CenterFace to find the smeared, small, dark faces of clips: writes `centerface_motion.npz`.

    python scripts/train_detector.py --portraits lfw-dev --without lfw-dev/face-boxes.json --scenes A.mp4 B.png \\
        [--minutes 75] [--seed 1000000] [--out FILE]

The network stays as it is, and all its weights but those of the first five layers are learnt on. It is its own teacher:
what it found in sharp portraits and scenes it learns to find in pictures of crowds made of them and spoilt
(`detector_samples.py`). No frame of a clip on which detectors are judged is used, and none of the people in them.

Focal loss of the map of centres and absolute differences of the rest, as CenterFace was trained
(https://arxiv.org/abs/1911.03599, section 3.3). Steps are repeated on earlier pictures while new ones are made, so two
runs give weights that are as good and not the same.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnx2torch
import torch
from detector_samples import Known, known_portraits, known_scenes, sample, targets
from numpy.typing import NDArray
from torch import Tensor, nn

from cloak import weights
from cloak.detectors import centerface

OUT = Path(centerface.__file__).with_name("centerface_motion.npz")
_BATCH = 6
_RATE, _LEAST_RATE_SHARE, _WARM_UP_STEPS = 4e-4, 0.02, 100
_FROZEN = 5  # layers; half the time of a step goes into their gradients, and edges are edges
_KEPT, _USES = 400, 3  # batches that are used again, and how often while new ones are on their way
_AVERAGED_STEPS = 500
_LARGEST_GRADIENT = 5.0
# Every so many frames of a scene, and their longest side
_SCENES_EVERY, _SCENES_PX = 24, 1280

Batch = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def network() -> tuple[nn.Module, dict[str, str]]:
    """The published network in PyTorch, and what its parameters are called in the ONNX file."""
    model = onnx.load(weights.locate("centerface"))
    graph = model.graph
    centerface.loosen(graph)
    names, seen = dict[str, str](), dict[str, int]()
    for node in graph.node:
        number = seen[node.op_type] = seen.get(node.op_type, -1) + 1
        module = node.op_type if number == 0 else f"{node.op_type}_{number}"
        names |= {f"{module}.{kind}": name for kind, name in zip(("weight", "bias"), node.input[1:3])}
    found = onnx2torch.convert(model)
    found.train(False)
    return found, names


def loss(answer: list[Tensor], heat: Tensor, counts: Tensor, told: Tensor) -> Tensor:
    """Of one batch: score, log size, offset and landmarks against what `targets` says, rows led by the picture."""
    score = answer[0].float().clamp(1e-4, 1 - 1e-4)
    focal = torch.where(heat == 1, (1 - score) ** 2 * score.log(),
                        (1 - heat) ** 4 * score**2 * (1 - score).log()) * counts
    total = -focal.sum() / max(int((heat == 1).sum()), 1)
    if len(told):
        picture, row, column = (told[:, n].long() for n in range(3))
        size, offset, points = (maps.float()[picture, :, row, column] for maps in answer[1:])
        total = (total + (size - told[:, 3:5]).abs().mean() + (offset - told[:, 5:7]).abs().mean()
                 + 0.5 * (points - told[:, 7:17]).abs().mean())
    return total


def _feed(queue: Any, portraits: list[Known], scenes: list[Known], seed: int) -> None:
    cv2.setNumThreads(1)
    while True:
        made = []
        for _ in range(_BATCH):
            pixels, truths = sample(np.random.default_rng(seed), portraits, scenes)
            made.append((pixels, *targets(truths)))
            seed += 1
        told = [np.insert(rows, 0, number, axis=1) for number, (*_, rows) in enumerate(made)]
        pictures, heat, counts = (np.stack([one[n] for one in made]) for n in range(3))
        queue.put((pictures.transpose(0, 3, 1, 2), heat[:, None], counts[:, None], np.concatenate(told)))


def train(portraits: list[Known], scenes: list[Known], minutes: float, seed: int) -> dict[str, Tensor]:
    """The averaged weights after so many minutes, by their names in the ONNX file."""
    net, names = network()
    net = net.to(memory_format=torch.channels_last)
    frozen = {"Conv", *(f"Conv_{number}" for number in range(1, _FROZEN))}
    learnt = {name: p for name, p in net.named_parameters() if name.split(".")[0] not in frozen}
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in learnt)
    averaged = {name: p.detach().clone() for name, p in learnt.items()}
    optimiser = torch.optim.AdamW(learnt.values(), lr=_RATE, weight_decay=1e-4, betas=(0.9, 0.99))
    queue: Any = multiprocessing.Queue(8)
    multiprocessing.Process(target=_feed, args=(queue, portraits, scenes, seed), daemon=True).start()
    chance, kept, fresh, begun = np.random.default_rng(seed), list[Batch](), 0, time.monotonic()
    step, spent = 0, 0.0
    while spent < 60 * minutes:
        if len(kept) < 40 or not queue.empty() or step >= _USES * fresh:
            batch = queue.get()
            if len(kept) < _KEPT:
                kept.append(batch)
            else:
                kept[fresh % _KEPT] = batch
            fresh += 1
        else:
            batch = kept[chance.integers(len(kept))]
        falling = 0.5 + 0.5 * math.cos(math.pi * spent / 60 / minutes)
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (min(1.0, (step + 1) / _WARM_UP_STEPS) * falling * (1 - _LEAST_RATE_SHARE)
                                   + _LEAST_RATE_SHARE)
        pictures, heat, counts, told = (torch.from_numpy(np.ascontiguousarray(part)) for part in batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answer = net(pictures.float().to(memory_format=torch.channels_last))
        optimiser.zero_grad()
        value = loss(list(answer), heat, counts, told)
        value.backward()
        nn.utils.clip_grad_norm_(learnt.values(), _LARGEST_GRADIENT)
        optimiser.step()
        share = max(1 / _AVERAGED_STEPS, 19 / (step + 20))
        with torch.no_grad():
            for name, parameter in learnt.items():
                averaged[name].lerp_(parameter, share)
        step, spent = step + 1, time.monotonic() - begun
        if step % 100 == 0:
            print(f"{spent:6.0f} s  step {step}  pictures {fresh * _BATCH}  loss {value.item():.3f}", flush=True)
    return {names[name]: values for name, values in averaged.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=Path, required=True, help="a folder of people's folders, as LFW has")
    parser.add_argument("--without", type=Path, required=True, help="JSON that names the people to leave out")
    parser.add_argument("--scenes", type=Path, nargs="*", default=[], help="clips and pictures to paste people on")
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--seed", type=int, default=10**6)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    teacher = centerface.CenterFace()

    def find(pixels: Any) -> Any:
        return teacher.glance(pixels, centerface.MIN_SCORE)

    scenes = [scene for clip in given.scenes for scene in known_scenes(clip, _SCENES_EVERY, _SCENES_PX, find)]
    portraits = known_portraits(given.portraits, given.without, find)
    print(f"{len(portraits)} portraits and {len(scenes)} scenes")
    learnt = train(portraits, scenes, given.minutes, given.seed)
    # Half precision moves no score by more than 0.01 and halves the file
    np.savez(given.out, allow_pickle=False, **{name: values.half().numpy() for name, values in learnt.items()})
    print(f"{given.out}: {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
