"""Measures what a cloak costs, in one run, against the bare network: writes `evaluation/results/speed.json`.

    python scripts/speed.py [--out FILE] [--threads N] [--device cpu|cuda]

- seconds of one optimiser step over seconds of a bare forward and backward pass of the same network at the same batch,
  taken in turns, so that a machine whose speed drifts slows both;
- seconds per face of `cloak_photos` at `balanced` for photos with 1, 4 and 16 faces, start-up left out;
- peak memory of cloaking photos of 12 and of 100 megapixels, above the memory of a process that has imported torch; the
  large one lies on its side as phones store it, and one of its faces is covered.

The faces are the NASA portrait of Eileen Collins from scikit-image's wheel, laid side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from demo import portrait
from PIL import Image

from evaluation import record

RESULT = Path(__file__).parent.parent / "evaluation" / "results" / "speed.json"
BATCHES = (1, 4, 8, 16)  # the engine takes 8 on a CPU
ROUNDS, STEPS = 7, 5


def crowd(columns: int, rows: int, tile_px: int, size: tuple[int, int] | None = None) -> Image.Image:
    """columns x rows portraits; pasted on grey of `size` when given."""
    head = Image.open(portrait()).convert("RGB").crop((80, 0, 400, 320))
    tile = head.resize((tile_px, tile_px), Image.Resampling.LANCZOS)
    width, height = size or (columns * tile_px, rows * tile_px)
    picture = Image.new("RGB", (width, height), (128, 128, 128))
    for i in range(columns * rows):
        x = (i % columns) * (width // columns)
        y = (i // columns) * (height // rows)
        picture.paste(tile, (x, y))
    return picture


def step_ratio(batch: int, device: torch.device) -> dict[str, float]:
    """Median seconds of one step and of the bare network, per batch, and the median ratio of pairs."""
    from cloak import grids, networks, objectives
    from cloak.attacks import l2_momentum
    from cloak.settings import Settings

    nets = networks.load(Settings(device=device.type))  # type: ignore[arg-type]
    pixels = np.asarray(Image.open(portrait()).convert("RGB"))
    (faces,) = nets.find([pixels])
    grid = grids.cut(pixels, faces.boxes[0])
    surrogate = nets.surrogates[0]
    matrix = networks.chip_to_grid(surrogate, grid, faces.landmarks[0])
    grid_pixels = networks.stack([grid.pixels] * batch, device)
    matrices = networks.to_tensor([matrix] * batch, device)
    amplitude = torch.from_numpy(np.stack([grid.amplitude] * batch))[:, None].to(device)
    with torch.no_grad():
        anchors = objectives.anchor(surrogate, grid_pixels, matrices)
    loss = objectives.away_from([anchors], [surrogate], [matrices], torch.Generator().manual_seed(0))

    def no_judge(changed: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return changed.new_zeros(len(rows))

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    ours, bare = [], []
    chips = torch.rand((batch, 3, surrogate.size_px, surrogate.size_px), device=device)
    for i in range(ROUNDS + 2):  # two to warm up
        start = clock()
        l2_momentum.perturb(loss, grid_pixels, amplitude, radius=0.02, peak=0.1, steps=STEPS, judge=no_judge)
        middle = clock()
        for _ in range(STEPS):
            chips.requires_grad_(True)
            torch.autograd.grad((surrogate.embed(chips) * anchors).sum(), chips)
        end = clock()
        if i >= 2:
            ours.append((middle - start) / STEPS)
            bare.append((end - middle) / STEPS)
    return {
        "step_s": statistics.median(ours),
        "bare_forward_backward_s": statistics.median(bare),
        "ratio": statistics.median(a / b for a, b in zip(ours, bare, strict=True)),
        "ratio_min": min(a / b for a, b in zip(ours, bare, strict=True)),
        "ratio_max": max(a / b for a, b in zip(ours, bare, strict=True)),
    }


def seconds_per_face(faces: int, folder: Path, device: str) -> dict[str, float]:
    """`cloak_photos` on one photo with so many faces; the networks are loaded once before."""
    from cloak import Settings, cloak_photos

    columns = max(1, int(faces**0.5))
    source = folder / f"crowd{faces}.png"
    crowd(columns, faces // columns, 320).save(source)
    settings = Settings(strength="balanced", device=device, overwrite=True)  # type: ignore[arg-type]
    taken = []
    found = 0
    for i in range(4):
        start = time.perf_counter()
        (outcome,) = cloak_photos([source], [folder / "out.png"], settings)
        if i:
            taken.append(time.perf_counter() - start)
        assert outcome.report is not None, outcome.error
        found = len(outcome.report.faces)
    seconds = statistics.median(taken)
    return {"faces_found": found, "seconds": seconds, "seconds_per_face": seconds / found}


def peak_memory(folder: Path, columns: int, rows: int, size: tuple[int, int], orientation: int) -> dict[str, float]:
    """Largest resident memory, in MB, of a fresh process: after it imported torch, and after it cloaked a photo."""
    source = folder / f"{columns * rows}.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = crowd(columns, rows, 700, size)
    # Stored on its side; orientation 6 turns it clockwise again
    stored = upright.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else upright
    stored.save(source, quality=95, exif=exif)
    del upright, stored
    cloak_it = (
        "import torch, sys\n"
        # Not getrusage: its peak survives exec, and begins with that of this process
        "peak = lambda: int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "base = peak()\n"
        "from pathlib import Path\nfrom cloak import Choices, Settings, Treatment, cloak_photos\n"
        "source = Path(sys.argv[1])\n"
        "choices = {source: Choices(Treatment('cloak', 'balanced'), {1: Treatment('redact', 'ring')})}\n"
        "(o,) = cloak_photos([source], [Path(sys.argv[2])], Settings(device='cpu'), choices=choices)\n"
        "print(base, peak(), len(o.report.faces))"
    )
    done = subprocess.run([sys.executable, "-c", cloak_it, str(source), str(folder / "out.jpg")],
                          capture_output=True, text=True, check=True)
    (folder / "out.jpg").unlink()
    (folder / "out.jpg.json").unlink()
    base, peak, faces = (int(v) for v in done.stdout.split())
    return {"faces_found": faces, "after_import_torch_mb": base / 1024, "peak_mb": peak / 1024,
            "above_import_mb": (peak - base) / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    batches = BATCHES if device.type == "cpu" else (*BATCHES, 64)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = {
            "run": {"threads": arguments.threads, "device": device.type,
                    "gpu": torch.cuda.get_device_name() if device.type == "cuda" else None},
            "step": {str(batch): step_ratio(batch, device) for batch in batches},
            "per_face_at_balanced": {str(n): seconds_per_face(n, folder, device.type) for n in (1, 4, 16)},
            "memory_12_megapixels": peak_memory(folder, 4, 2, (4000, 3000), 1),
            "memory_100_megapixels": peak_memory(folder, 6, 4, (11600, 8640), 6),
        }
    record.write(arguments.out, "speed", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
