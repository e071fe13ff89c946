"""Tiny clips, made by ffmpeg, whose every sample is known, and ffprobe, which reads independently of us."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloak.video import ffmpeg as our_ffmpeg

Planes = list[np.ndarray]


@pytest.fixture(scope="session")
def binary() -> str:
    return our_ffmpeg._binaries()[0]


@pytest.fixture(scope="session")
def run_ffmpeg(binary: str) -> Callable[..., bytes]:
    """Runs it quietly and returns what it wrote to its standard output."""
    def run(*words: object, input: bytes | None = None) -> bytes:
        done = subprocess.run([binary, "-v", "error", "-y", *map(str, words)], input=input, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run


@pytest.fixture(scope="session")
def ffprobe() -> Callable[..., dict[str, Any]]:
    """What ffprobe says: `ffprobe(path, "-show_streams")`."""
    if shutil.which("ffprobe") is None:
        pytest.skip("no ffprobe: install ffmpeg")

    def ask(path: Path, *words: str) -> dict[str, Any]:
        done = subprocess.run(["ffprobe", "-v", "error", *words, "-of", "json", str(path)], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return ask


# How many columns and rows the luma has for one of the chroma.
_SUB = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "440": (1, 2), "411": (4, 1)}


def random_planes(pixel_format: str, width: int, height: int, count: int, seed: int = 1) -> list[Planes]:
    """`count` pictures of noise: any sample in the wrong place shows."""
    rng = np.random.default_rng(seed)
    deep = pixel_format.endswith("10le")
    top, kind = (1024, np.uint16) if deep else (256, np.uint8)
    shapes = [(height, width)]
    for name, (x, y) in _SUB.items():
        if name in pixel_format:
            shapes += [(-(-height // y), -(-width // x))] * 2
    return [[rng.integers(0, top, shape).astype(kind) for shape in shapes] for _ in range(count)]


@pytest.fixture
def make_clip(tmp_path: Path, run_ffmpeg: Callable[..., bytes]) -> Callable[..., tuple[Path, list[Planes]]]:
    """A lossless clip of noise: `make_clip("a.mkv", "yuv420p", (64, 48), 5, *more_words)` -> path, planes."""
    def make(name: str, pixel_format: str = "yuv420p", size: tuple[int, int] = (64, 48), count: int = 5,
             *words: object, codec: tuple[str, ...] = ("ffv1",)) -> tuple[Path, list[Planes]]:
        pictures = random_planes(pixel_format, *size, count)
        path = tmp_path / name
        run_ffmpeg("-f", "rawvideo", "-pix_fmt", pixel_format, "-s", f"{size[0]}x{size[1]}", "-r", 25, "-i", "-",
                   "-c:v", *codec, *words, path,
                   input=b"".join(plane.tobytes() for picture in pictures for plane in picture))
        return path, pictures

    return make


LOSSLESS = ("libx264", "-qp", "0", "-preset", "ultrafast")
