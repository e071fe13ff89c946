"""A memory card as it comes home: photos and clips of real people, secrets in all of them, bad files among them.

Everything is made from the test data into a folder that is thrown away. No file of the data pack is changed.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from evaluation.errors import EvaluationFailed
from evaluation.stream_clips import run as ffmpeg

# Stands in every photo and clip of the card, and in nothing else
SECRET = "CANARY-CARD"
_LARGE = (3, 2)  # photos of a composed one, across and down, each twice its size
_CLIPS = ("crowd-street.mp4", "street.mp4", "crowd-hard.mp4", "phone-rotated.mp4", "vfr.mp4")
_CLIP_S, _CLIP_WIDTH = 1.2, 480
_FORMATS = {".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".avif": "AVIF"}
_SMALL_PX = 128

Expected = Literal["failed", "vanished", "done", "no_face"]


class CardNotMade(EvaluationFailed):
    """The test data do not hold what a card is made of."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One file that is there on purpose."""

    name: str  # below the folder of the card, as `os.fsdecode` gives it
    kind: str
    expected: frozenset[Expected]  # what may become of it


@dataclass(frozen=True, slots=True)
class Card:
    """What lies in a folder."""

    folder: Path
    photos: tuple[str, ...]
    clips: tuple[str, ...]
    bad: tuple[Planted, ...] = ()
    odd: tuple[Planted, ...] = ()  # good ones with names or places that are trouble


def make(data: Path, folder: Path, *, photos: int, clips: int, seed: int = 0) -> Card:
    """Real photos in nested folders, one in thirty composed of six, one in forty of another format; and clips."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    people = _people(data)
    chosen = draw.sample(people, min(photos, len(people)))
    made = []
    for number in range(photos):
        source = chosen[number % len(chosen)]
        if number % 30 == 7:
            name = f"crowd/{number:05d}.jpg"
            image: Image.Image | Path = _composed([draw.choice(people) for _ in range(_LARGE[0] * _LARGE[1])])
        elif number % 40 == 3:
            suffix = list(_FORMATS)[number // 40 % len(_FORMATS)]
            name, image = f"other formats/{number:05d}{suffix}", Image.open(source).convert("RGB")
        else:
            name, image = f"portraits/{source.parent.name}/{number:05d}.jpg", source
        _put(image, folder / name, number)
        made.append(name)
    return Card(folder, tuple(made), tuple(cut(data, folder, clips)))


def small(data: Path, folder: Path, photos: int) -> Card:
    """Many small portraits, all different, in folders of a thousand."""
    people, made = _people(data), []
    for number in range(photos):
        name = f"{number // 1000:03d}/{number:06d}.jpg"
        with Image.open(people[number % len(people)]) as whole:
            image = whole.convert("RGB").resize((_SMALL_PX, _SMALL_PX), Image.Resampling.LANCZOS)
        if number >= len(people):
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        _put(image, folder / name, number)
        made.append(name)
    return Card(folder, tuple(made), ())


def cut(data: Path, folder: Path, count: int) -> list[str]:
    """Short clips from several places of those of the test data, with a title and a position."""
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        source = data / "video" / _CLIPS[number % len(_CLIPS)]
        name = f"clips/{number:03d}.mp4"
        # Where a clip is shorter, ffmpeg would write one without a frame
        start = number // len(_CLIPS) * 0.4
        ffmpeg("-ss", start, "-i", source, "-t", _CLIP_S, "-map", "0:v:0", "-map", "0:a:0?", "-vf",
               f"scale={_CLIP_WIDTH}:-2,setsar=1", "-c:v", "libx264", "-preset", "veryfast", "-crf", 16, "-pix_fmt",
               "yuv420p", "-c:a", "aac", "-metadata", f"title={SECRET}-CLIP-{number}", "-metadata",
               "location=+48.1173+011.5167/", folder / name)
        made.append(name)
    return made


def _people(data: Path) -> list[Path]:
    found = sorted((data / "lfw-dev").glob("*/*.jpg"))
    if not found:
        raise CardNotMade(f"{data}: no lfw-dev/*/*.jpg in it. Nothing was made.")
    return found


def _composed(photos: Sequence[Path]) -> Image.Image:
    """Six people on one photo of 1.5 megapixels."""
    side = 500
    image = Image.new("RGB", (_LARGE[0] * side, _LARGE[1] * side))
    for place, path in enumerate(photos):
        with Image.open(path) as one:
            image.paste(one.convert("RGB").resize((side, side), Image.Resampling.BICUBIC),
                        (place % _LARGE[0] * side, place // _LARGE[0] * side))
    return image


def _put(image: Image.Image | Path, path: Path, number: int) -> None:
    """Writes a photo with a description, a serial number and a position; one that is a JPEG keeps its pixels' bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x010E] = f"{SECRET}-{number}"  # ImageDescription
    exif[0xA431] = f"{SECRET}-SERIAL-{number}"  # BodySerialNumber
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 7.0, 2.3), 3: "E", 4: (11.0, 31.0, 0.1)})
    block = exif.tobytes()
    if isinstance(image, Path) or path.suffix == ".jpg":
        data = image.read_bytes() if isinstance(image, Path) else _encoded(image, "JPEG", quality=93)
        path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:])
    else:
        path.write_bytes(_encoded(image, _FORMATS[path.suffix], exif=block))


def _encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


# --- bad files ---------------------------------------------------------------------------------------------------

VANISHING = "zz/vanishing.jpg"  # last by its name; whoever runs the batch takes it away after the start


def plant_bad(data: Path, card: Card, outside: Path) -> Card:
    """Thirty files of which nothing can be made, and a few good ones whose names or places are trouble.

    Args:
        outside: a folder that is not the card's.
    """
    folder, good = card.folder / "bad", sorted((data / "lfw-dev").glob("*/*.jpg"))[-40:]
    folder.mkdir()
    with Image.open(good[0]) as image:
        face = image.convert("RGB")
    jpeg, png, webp, tiff, avif = (_encoded(face, one) for one in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"))
    heic = _heic(face)
    clip = folder / ".clip.mp4"
    ffmpeg("-i", data / "video" / "crowd-street.mp4", "-t", 2, "-an", "-vf", "scale=320:-2", "-c:v", "libx264",
           "-preset", "veryfast", "-pix_fmt", "yuv420p", clip)
    late_index = clip.read_bytes()
    ffmpeg("-i", clip, "-c", "copy", "-movflags", "+faststart", folder / ".early.mp4")
    early_index = (folder / ".early.mp4").read_bytes()
    ffmpeg("-f", "lavfi", "-i", "sine=frequency=440:duration=1", "-c:a", "aac", folder / "only-sound.mp4")
    for hidden in (clip, folder / ".early.mp4"):
        hidden.unlink()
    middle = len(jpeg) // 2
    files: dict[str, tuple[str, bytes]] = {
        "truncated.jpg": ("cut off", jpeg[:middle]),
        "damaged.jpg": ("damaged", jpeg[:middle] + b"\xff\xd9" + bytes(300) + jpeg[middle + 302:]),
        "cut.png": ("cut off", png[: len(png) // 2]),
        "checksum.png": ("damaged", png[:60] + bytes([png[60] ^ 0xFF]) + png[61:]),
        "cut.webp": ("cut off", webp[: len(webp) // 2]),
        "cut.tif": ("cut off", tiff[: len(tiff) // 2]),
        "cut.heic": ("cut off", heic[: len(heic) // 2]),
        "cut.avif": ("cut off", avif[: len(avif) // 2]),
        "text.jpg": ("no photo", b"This is no photo.\n" * 20),
        "page.jpg": ("no photo", b"<!doctype html><title>404</title>not found"),
        "zeros.jpg": ("no photo", bytes(4096)),
        "noise.jpg": ("no photo", random.Random(1).randbytes(4096)),
        "empty.jpg": ("empty", b""),
        "empty.mp4": ("empty", b""),
        "huge.png": ("huge", _huge_png(60_000)),
        "huge.jpg": ("huge", _resized_jpeg(jpeg, 65_500)),
        "animated.webp": ("several pictures", _several(face, "WEBP")),
        "pages.tif": ("several pictures", _several(face, "TIFF")),
        "raw.cr2": ("camera raw", b"II*\0\x10\0\0\0CR\x02\0" + bytes(2000)),
        "locked.jpg": ("locked", jpeg + b"locked"),
        "locked.mp4": ("locked", late_index + b"locked"),
        "no-index.mp4": ("cut off", late_index[: late_index.rindex(b"moov")]),
        "cut.mp4": ("cut off", early_index[: len(early_index) // 2]),
        "text.mp4": ("no clip", b"This is no clip.\n" * 20),
    }
    planted = []
    for name, (kind, content) in files.items():
        (folder / name).write_bytes(content)
        planted.append(_bad(name, kind))
    for name in ("locked.jpg", "locked.mp4"):
        (folder / name).chmod(0)
    planted.append(_bad("only-sound.mp4", "no clip"))
    outside.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(good[1], outside / "private.jpg")
    links = {"nowhere.jpg": ("link to nothing", "not-there.jpg"), "loop.jpg": ("link to itself", "loop.jpg"),
             "outside.jpg": ("link out of the tree", str(outside / "private.jpg"))}
    for name, (kind, target) in links.items():
        (folder / name).symlink_to(target)
        planted.append(_bad(name, kind))
    os.mkfifo(folder / "pipe.jpg")
    planted.append(_bad("pipe.jpg", "pipe"))
    _put(good[2], card.folder / VANISHING, 999_999)
    planted.append(Planted(VANISHING, "vanishing", frozenset({"vanished", "failed"})))
    assert len(planted) == 30
    return Card(card.folder, card.photos, card.clips, tuple(planted), tuple(_odd(data, card.folder, good[3:])))


def _odd(data: Path, folder: Path, good: Sequence[Path]) -> list[Planted]:
    """Photos that are whole, where a tool may stumble over the name or the place."""
    names = {"case/Twin.jpg": "case-only clash", "case/twin.jpg": "case-only clash", "odd/\udcff\udcfe.jpg": "no UTF-8",
             "odd/two\nlines.jpg": "line break", "odd/=SUM(1+1).jpg": "formula", "odd/-rf.jpg": "leading dash",
             "odd/<b>bold.jpg": "markup", "odd/" + "n" * 251 + ".jpg": "longest name", "odd/gnp.\u202e.jpg": "reversed"}
    planted = []
    for number, (name, kind) in enumerate(names.items()):
        _put(good[number], folder / name, 900_000 + number)
        planted.append(Planted(name, kind, frozenset({"done", "failed"} if "clash" in kind else {"done"})))
    shutil.copyfile(folder / "case/Twin.jpg", folder / "odd/copy.jpg")
    planted.append(Planted("odd/copy.jpg", "copy of another", frozenset({"done"})))
    shutil.copyfile(data / "photos" / "no-face.jpg", folder / "odd/nobody.jpg")
    planted.append(Planted("odd/nobody.jpg", "without a face", frozenset({"no_face", "done"})))
    (folder / "odd" / "round").symlink_to("..")
    return planted


def _bad(name: str, kind: str) -> Planted:
    return Planted(f"bad/{name}", kind, frozenset({"failed"}))


def _huge_png(side: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _resized_jpeg(jpeg: bytes, side: int) -> bytes:
    """The header promises more pixels than there are."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", side, side) + jpeg[at + 9:]


def _several(image: Image.Image, format: str) -> bytes:
    file = io.BytesIO()
    image.save(file, format, save_all=True, append_images=[image.transpose(Image.Transpose.ROTATE_180)])
    return file.getvalue()


def _heic(image: Image.Image) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=80)
    return file.getvalue()


