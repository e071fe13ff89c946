"""What happens to a file on its way to the reader: path in, path out, the same bytes every time.

    none            the file itself
    jpegQ           JPEG of quality Q, 4:2:0; jpegQ-444 without subsampling
    webpQ           lossy WebP of quality Q
    half, quarter   scaled down and back up to its size
    blurS           Gaussian, sigma S px
    medianK         median of K x K px
    noiseS          independent Gaussian noise, deviation S levels of 255, drawn from the picture itself
    social          long side at most 2048, JPEG 80; then at most 1080, JPEG 75; all 4:2:0
    messenger       long side at most 1600, JPEG 70, 4:2:0
    screenshot      shown on a phone of 1170 px and saved from there, JPEG 92, 4:2:0

And to a clip, by `publish_clip`:

    none            the file itself
    crfQ            H.264 of quality Q, 4:2:0, in MP4; 28 is what platforms are said to come near
    messenger       short side at most 480, then the same at 28

No step enlarges but `screenshot`, and none keeps metadata. Steps that stand alone write PNG, unless they are named
after a format, so that they measure one thing only.

Sizes of the chains are those that guides for photographers report; platforms document none of it, and change it:
2048 (Facebook), 1080 (Instagram): https://magiceraser.live/en/academy/mobile-photo-editing/sharing-optimized-images
1600, metadata dropped (WhatsApp): https://shrinkto.com/blog/compress-image-for-whatsapp-without-quality-loss
That platforms scale and encode again is measured in "A Classification Engine for Image Ballistics of Social Data",
ICIAP 2017, https://doi.org/10.1007/978-3-319-68548-9_57. The qualities and the screenshot are ours.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imageio_ffmpeg
import numpy as np
from PIL import Image

from evaluation.errors import ChoiceUnknown, EvaluationFailed
from evaluation.faces import Pixels, decode
from evaluation.files import write_beside_and_rename

STEP = re.compile(r"([a-z]+?)(\d+(?:\.\d+)?)?(-444)?")

# Robustness as the protocol wants it, for callers that run them all.
STEPS = (
    "jpeg95", "jpeg90", "jpeg85", "jpeg75", "jpeg60", "jpeg50", "webp80", "half", "quarter", "blur1", "median3",
    "noise4", "social", "messenger", "screenshot",
)  # fmt: skip

# Width of an iPhone 12 to 14 in device pixels, which are three to a point: no viewer shows a photo pixel larger.
SCREEN_PX = 1170
SCREEN_SCALE = 3

CLIP_STEP = re.compile(r"crf(\d+)")
CLIP_STEPS = ("crf28", "messenger")
MESSENGER_PX, MESSENGER_CRF = 480, 28


class TranscodeFailed(EvaluationFailed):
    """ffmpeg could not read the whole of a video. Nothing was written."""


def publish(source: Path, folder: Path, step: str) -> Path:
    """Write `source` after one step into `folder`, under the name of the source, and return the new path.

    Raises:
        ChoiceUnknown: no step is called that, or its number is out of range.
        PhotoUnreadable: the source is no photo.
    """
    if step == "none":
        return source
    content, suffix = _steps(step)(decode(source))
    path = folder / f"{source.stem}{suffix}"
    write_beside_and_rename(path, content)
    return path


def check(step: str) -> None:
    """Nothing where there is such a step.

    Raises:
        ChoiceUnknown: names those there are.
    """
    if step != "none":
        _steps(step)


def publish_clip(source: Path, folder: Path, step: str) -> Path:
    """Write a clip after one step into `folder`, as <stem>.mp4, and return the new path.

    Raises:
        ChoiceUnknown: no step for clips is called that, or its number is out of range.
        TranscodeFailed: see `transcode`.
    """
    check_clip(step)
    if step == "none":
        return source
    if step == "messenger":
        return transcode(source, folder, MESSENGER_CRF, short_side_px=MESSENGER_PX)
    return transcode(source, folder, int(step.removeprefix("crf")))


def check_clip(step: str) -> None:
    """Nothing where there is such a step for clips.

    Raises:
        ChoiceUnknown: names those there are.
    """
    found = CLIP_STEP.fullmatch(step)
    if step not in ("none", "messenger") and not (found and int(found.group(1)) <= 51):
        raise ChoiceUnknown(
            f"no publishing step for clips is called {step!r}; there are none, crfQ (Q up to 51) and messenger."
        )


def transcode(source: Path, folder: Path, crf: int = 28, *, short_side_px: int | None = None) -> Path:
    """A video as platforms pass it on: H.264 of quality `crf` in MP4, no metadata, sound as AAC; the path of the copy.

    Frames keep their times, so a variable rate stays one. Sides are cut to even numbers, which 4:2:0 needs.
    Args:
        short_side_px: scaled down until the short side is no longer than this, an even number; never up.
    Raises:
        TranscodeFailed: also where a damaged file could be read in part.
    """
    path = folder / f"{source.stem}.mp4"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{source.stem}.{os.getpid()}.part.mp4"
    filters = ["crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0"]
    if short_side_px is not None:
        scaled = [f"if(gt(min(iw,ih),{short_side_px}),round({side}*{short_side_px}/min(iw,ih)),{side})"
                  for side in ("iw", "ih")]  # fmt: skip
        filters.insert(0, f"scale=w='{scaled[0]}':h='{scaled[1]}':flags=lanczos")
    command: list[str | Path] = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-y", "-v", "error", "-xerror", "-err_detect", "explode",
        "-i", source, "-map", "0:v:0", "-map", "0:a?", "-map_metadata", "-1", "-map_chapters", "-1",
        "-vf", ",".join(filters), "-fps_mode", "passthrough",
        # One thread and no version strings: the same bytes every time.
        "-c:v", "libx264", "-crf", str(crf), "-preset", "medium", "-pix_fmt", "yuv420p", "-threads", "1",
        "-c:a", "aac", "-b:a", "96k", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact",
        "-movflags", "+faststart", part,
    ]  # fmt: skip
    try:
        run = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if run.returncode or not part.is_file():
            said = run.stderr.strip().splitlines()
            raise TranscodeFailed(f"{source}: ffmpeg: {said[0] if said else run.returncode}. Nothing was written.")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _steps(name: str) -> Callable[[Pixels], tuple[bytes, str]]:
    """From a step's name to what it does to pixels: the bytes of a file and its suffix."""
    match = STEP.fullmatch(name)
    word, number, full_chroma = match.groups() if match else ("", None, None)
    if word == "jpeg" and number is not None and number.isdigit() and 1 <= int(number) <= 100:
        subsampling = "4:4:4" if full_chroma else "4:2:0"
        return lambda pixels: (_jpeg(pixels, int(number), subsampling), ".jpg")
    if not full_chroma and number is not None:
        value = float(number)
        if word == "webp" and value in range(1, 101):
            return lambda pixels: (_encoded(pixels, "WEBP", quality=int(value), method=4), ".webp")
        if word == "median" and value in (3, 5, 7):
            return lambda pixels: _png(np.asarray(cv2.medianBlur(pixels, int(value)), np.uint8))
        if word == "blur" and value > 0:
            return lambda pixels: _png(np.asarray(cv2.GaussianBlur(pixels, (0, 0), value), np.uint8))
        if word == "noise" and value > 0:
            return lambda pixels: _png(_noisy(pixels, value))
    chains = {
        "half": lambda pixels: _png(_down_and_up(pixels, 2)),
        "quarter": lambda pixels: _png(_down_and_up(pixels, 4)),
        "social": _social,
        "messenger": lambda pixels: (_jpeg(_at_most(pixels, 1600), 70), ".jpg"),
        "screenshot": _screenshot,
    }
    if name in chains:
        return chains[name]
    raise ChoiceUnknown(
        f"no publishing step is called {name!r}; there are none, jpegQ, jpegQ-444, webpQ, blurS, medianK (3, 5 or 7), "
        f"noiseS, {', '.join(chains)}."
    )


def _social(pixels: Pixels) -> tuple[bytes, str]:
    uploaded = _jpeg(_at_most(pixels, 2048), 80)
    return _jpeg(_at_most(_decoded(uploaded), 1080), 75), ".jpg"


def _screenshot(pixels: Pixels) -> tuple[bytes, str]:
    """Scaled to the screen's width, through the screen's own curve in 8 bits, and sent on as JPEG.

    A phone saves it as PNG in between, which loses nothing and is not done here.
    """
    height, width = pixels.shape[:2]
    scale = min(SCREEN_PX / width, SCREEN_SCALE)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    shown = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR), np.uint8)
    # sRGB on a screen with a plain power of 2.2: shadows move by up to 7 levels, as colour management moves them.
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    curve = np.rint(255 * linear ** (1 / 2.2)).astype(np.uint8)
    return _jpeg(curve[shown], 92), ".jpg"


def _down_and_up(pixels: Pixels, divisor: int) -> Pixels:
    height, width = pixels.shape[:2]
    small = (max(width // divisor, 1), max(height // divisor, 1))
    down = Image.fromarray(pixels).resize(small, Image.Resampling.LANCZOS)
    return np.asarray(down.resize((width, height), Image.Resampling.BICUBIC), np.uint8)


def _noisy(pixels: Pixels, deviation: float) -> Pixels:
    """The seed is the picture's own digest: the same file always gets the same noise, another one other noise."""
    seed = int.from_bytes(hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).normal(0, deviation, pixels.shape)
    return np.clip(np.rint(pixels + drawn), 0, 255).astype(np.uint8)


def _at_most(pixels: Pixels, long_side_px: int) -> Pixels:
    """Scaled down until no side is longer; never up."""
    height, width = pixels.shape[:2]
    scale = long_side_px / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), np.uint8)


def _jpeg(pixels: Pixels, quality: int, subsampling: str = "4:2:0") -> bytes:
    return _encoded(pixels, "JPEG", quality=quality, subsampling=subsampling)


def _png(pixels: Pixels) -> tuple[bytes, str]:
    return _encoded(pixels, "PNG"), ".png"


def _encoded(pixels: Pixels, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def _decoded(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)
