"""Tiny clips with faces at places that are known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import numpy as np
from PIL import Image

SIZE, FRAMES = (448, 208), 24
# x1 y1 x2 y2 of the face in each frame, drawn a little wide: moving to the right, and standing
LEFT = [(48 + 2 * i, 45, 100 + 2 * i, 111) for i in range(FRAMES)]
RIGHT = [(294, 45, 348, 111)] * FRAMES


def two_faces(portrait: Path, path: Path, *, frames: int = FRAMES, words: tuple[str, ...] = ()) -> Path:
    """A clip of two portraits over noise: one moves to the right (track 1), the other stands (track 2). With a beep."""
    rng = np.random.default_rng(3)
    ground = np.kron(rng.integers(60, 190, (SIZE[1] // 8, SIZE[0] // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    with Image.open(portrait) as image:
        small = np.asarray(image.convert("RGB").crop((100, 0, 340, 330)).resize((144, 198), Image.Resampling.LANCZOS))
    pictures = []
    for i in range(frames):
        picture = ground.copy()
        for left in (2 * min(i, FRAMES - 1), 246):
            picture[5 : 5 + 198, left : left + 144] = small
        pictures.append(picture.tobytes())
    run_ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIZE[0]}x{SIZE[1]}", "-r", "25", "-i", "-",
               "-f", "lavfi", "-i", f"sine=440:duration={frames / 25}", "-c:v", "libx264", "-crf", "12",
               "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", *words, str(path),
               input=b"".join(pictures))
    return path


def run_ffmpeg(*words: str, input: bytes | None = None) -> None:
    import imageio_ffmpeg

    done = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *words], input=input,
                          capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def rgb_of(path: Path) -> list[np.ndarray]:
    """Every frame, (H, W, 3) int, by a reader that is not the engine's."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def is_covered(frame: np.ndarray, box: tuple[int, int, int, int]) -> bool:
    """Whether the inner part of a face is black."""
    return bool(_inner(frame, box).max() < 40)


def is_as_it_was(frame: np.ndarray, original: np.ndarray, box: tuple[int, int, int, int]) -> bool:
    """Whether a face stands there but for what encoding changes."""
    return bool(np.abs(_inner(frame, box) - _inner(original, box)).mean() < 6)


def _inner(frame: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    x1, y1, x2, y2 = box
    return frame[y1 + 10 : y2 - 10, x1 + 10 : x2 - 10]
