"""What is in the file of a clip, read by ffprobe and ffmpeg and by nothing of ours, and how two such files differ.

Convention: times are seconds from the start of the file as players show it; pictures are as players show them, upright.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EvaluationFailed
from evaluation.files import FileMissing

Plane: TypeAlias = NDArray[Any]  # (H, W), uint8, or uint16 where a channel has more than 8 bits
# frame -> where luma is meant to be as it was, (H, W) bool
Free: TypeAlias = Callable[[int], NDArray[np.bool_]]

_COLOURS = ("color_range", "color_space", "color_transfer", "color_primaries", "chroma_location")
_HDR = ("Mastering display metadata", "Content light level metadata")
# Columns and rows of luma for one sample of colour
_SUBSAMPLED = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}


class ClipUnread(EvaluationFailed):
    """ffprobe or ffmpeg cannot read a file."""


@dataclass(frozen=True, slots=True)
class Sound:
    """One sound track."""

    codec: str
    language: str | None
    packets: tuple[str, ...]  # sha256 of each, as stored
    times: tuple[float, ...]  # of each


@dataclass(frozen=True, slots=True)
class Reading:
    """One clip."""

    codec: str
    pixel_format: str
    depth: int  # bits a channel
    size: tuple[int, int]  # width and height as shown
    rotation: int  # degrees that are left to players
    aspect: str  # of a pixel as shown, width:height
    fields: str  # progressive, tt, bb, ... or unknown
    times: tuple[float, ...]  # of the frames, rising
    duration_s: float  # of the picture
    colours: dict[str, str]  # tags that say something, by ffprobe's names
    hdr: dict[str, dict[str, str]]  # HDR10 data by ffprobe's names
    sounds: tuple[Sound, ...]
    others: tuple[str, ...]  # all other streams: kind and codec
    chapters: int
    tags: tuple[str, ...]  # names of all tags of the file and its streams


def read(path: Path) -> Reading:
    """What ffprobe says of a clip.

    Raises:
        ClipUnread: there is no moving picture in it, or ffprobe cannot read it.
    """
    said = _probe(path, "-show_streams", "-show_format", "-show_chapters")
    videos = _probe(path, "-show_entries", "stream=index", "-select_streams", "V")["streams"]
    if not videos:
        raise ClipUnread(f"{path}: holds no moving picture. Nothing was compared.")
    index = videos[0]["index"]
    video = next(stream for stream in said["streams"] if stream["index"] == index)
    start = float(said["format"].get("start_time", 0))
    frames = _probe(path, "-show_frames", "-select_streams", str(index), "-show_entries",
                    "frame=best_effort_timestamp_time")["frames"]
    if not frames:
        raise ClipUnread(f"{path}: shows not one picture. Nothing was compared.")
    first = _probe(path, "-show_frames", "-select_streams", str(index), "-read_intervals", "%+#1")["frames"][0]
    rotation = next((int(float(data["rotation"])) for data in video.get("side_data_list", ()) if "rotation" in data), 0)
    is_turned = rotation % 180 != 0
    width, height = video["width"], video["height"]
    across, _, down = video.get("sample_aspect_ratio", "1:1").partition(":")
    return Reading(
        codec=video["codec_name"],
        pixel_format=video["pix_fmt"],
        depth=_depth(video["pix_fmt"]),
        size=(height, width) if is_turned else (width, height),
        rotation=rotation,
        aspect=f"{down}:{across}" if is_turned else f"{across}:{down}",
        fields=video.get("field_order", "unknown"),
        times=tuple(sorted(float(frame["best_effort_timestamp_time"]) - start for frame in frames)),
        duration_s=_duration(video, said["format"]),
        colours=_colours(video, rotation),
        hdr={data["side_data_type"]: {name: value for name, value in data.items() if name != "side_data_type"}
             for data in first.get("side_data_list", ()) if data.get("side_data_type") in _HDR},
        sounds=tuple(_sound(path, stream, start) for stream in said["streams"] if stream["codec_type"] == "audio"),
        others=tuple(f"{stream['codec_type']} {stream.get('codec_name', stream['codec_tag_string'])}"
                     for stream in said["streams"] if stream["index"] != index and stream["codec_type"] != "audio"),
        chapters=len(said["chapters"]),
        tags=tuple(sorted({tag for one in (said["format"], *said["streams"]) for tag in one.get("tags", ())})),
    )


def compared(before: Reading, after: Reading) -> dict[str, Any]:
    """What became of a clip that was written again, for a result file."""
    rate = (len(before.times) - 1) / (before.times[-1] - before.times[0]) if len(before.times) > 1 else 25.0
    apart = [abs(a - b) for a, b in zip(before.times, after.times)]
    return {
        "codec": [before.codec, after.codec],
        "pixel_format": [before.pixel_format, after.pixel_format],
        "depth": [before.depth, after.depth],
        "size": [list(before.size), list(after.size)],
        "rotation": [before.rotation, after.rotation],
        "aspect": [before.aspect, after.aspect],
        "fields": [before.fields, after.fields],
        "frames": [len(before.times), len(after.times)],
        "duration_s": [before.duration_s, after.duration_s],
        "duration_error_frames": abs(after.duration_s - before.duration_s) * rate,
        "largest_time_difference_ms": 1000 * max(apart, default=0.0),
        "colours": [before.colours, after.colours],
        "colours_kept": _kept(before.colours, after.colours),
        "hdr": [before.hdr, after.hdr],
        "hdr_kept": _kept(before.hdr, after.hdr),
        "sounds": [_sounds_beside(one, two) for one, two in zip(before.sounds, after.sounds)],
        "sound_tracks": [len(before.sounds), len(after.sounds)],
        "others": [list(before.others), list(after.others)],
        "chapters": [before.chapters, after.chapters],
        "tags": [len(before.tags), list(after.tags)],
    }


def _sounds_beside(before: Sound, after: Sound) -> dict[str, Any]:
    is_same = before.packets == after.packets
    apart = [abs(a - b) for a, b in zip(before.times, after.times)] if is_same else []
    return {
        "codec": [before.codec, after.codec],
        "language": [before.language, after.language],
        "packets": [len(before.packets), len(after.packets)],
        "identical": is_same,
        "largest_time_difference_ms": 1000 * max(apart) if apart else None,
    }


def _kept(before: Mapping[str, object], after: Mapping[str, object]) -> bool:
    """Whether all that was said is said still; more may be."""
    return all(after.get(name) == value for name, value in before.items())


def found(path: Path, secrets: Sequence[str]) -> dict[str, int]:
    """How often each secret stands in the bytes of a file, in UTF-8 or UTF-16."""
    data = path.read_bytes()
    return {secret: sum(data.count(secret.encode(how)) for how in ("utf-8", "utf-16-le", "utf-16-be"))
            for secret in secrets}


# --- pictures ----------------------------------------------------------------------------------------------------


def psnr(before: Path, after: Path, free: Free) -> dict[str, Any]:
    """PSNR in dB where nothing was covered, the least of luma and both colours, of all frames and of the worst one.

    A sample of colour counts where all luma that it belongs to is free. Where the two files differ in how they store
    colour, that of `after` is taken for both.

    Raises:
        ClipUnread: the two do not show as many pictures of one size.
    """
    formats = [str(_probe(path, "-show_streams", "-select_streams", "V")["streams"][0]["pix_fmt"])
               for path in (before, after)]
    if formats[0].replace("yuvj", "yuv") != formats[1].replace("yuvj", "yuv"):
        formats[0] = formats[1]
    size, top = read_size(after), 2 ** _depth(formats[1]) - 1
    if read_size(before) != size:
        raise ClipUnread(f"{after}: shows {size[0]} x {size[1]} pixels, {before} another size. Nothing was compared.")
    count = 0
    pooled: dict[str, list[float]] = {}
    for number, (one, two) in enumerate(zip(pictures(before, formats[0], size), pictures(after, formats[1], size),
                                            strict=True)):
        is_free = free(number)
        for name, left, right in zip(("luma", "blue", "red"), one, two):
            where = _free_samples(is_free, left.shape)
            if where.any():
                error = np.subtract(left, right, dtype=np.float32)[where]
                pooled.setdefault(name, []).append(float(np.square(error).mean()))
        count += 1
    planes = {name: {"all_db": _db(sum(errors) / len(errors), top), "worst_frame_db": _db(max(errors), top)}
              for name, errors in pooled.items()}
    least = {key: min((one[key] for one in planes.values()), default=math.inf) for key in ("all_db", "worst_frame_db")}
    return {"frames": count, **least, "planes": planes}


def pictures(path: Path, pixel_format: str, size: tuple[int, int]) -> Iterator[list[Plane]]:
    """Decoded pictures as players show them, one at a time.

    Raises:
        ClipUnread: ffmpeg fails, or ends within a picture.
    """
    shapes = _shapes(pixel_format, size)
    kind = np.dtype("<u2" if _depth(pixel_format) > 8 else "u1")
    length = sum(height * width for height, width in shapes) * kind.itemsize
    words = ["ffmpeg", "-v", "quiet", "-nostdin", "-i", f"file:{path}", "-map", "0:V:0", "-fps_mode", "passthrough",
             "-f", "rawvideo", "-pix_fmt", pixel_format, "-"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            while data := process.stdout.read(length):
                if len(data) != length:
                    raise ClipUnread(f"{path}: ffmpeg ended within a picture. Nothing was compared.")
                samples, planes, at = np.frombuffer(data, kind), [], 0
                for height, width in shapes:
                    planes.append(samples[at : at + height * width].reshape(height, width))
                    at += height * width
                yield planes
        finally:
            process.stdout.close()
    if process.returncode:
        raise ClipUnread(f"{path}: ffmpeg ended with {process.returncode}. Nothing was compared.")


def read_size(path: Path) -> tuple[int, int]:
    """Width and height as shown."""
    video = _probe(path, "-show_streams", "-select_streams", "V")["streams"][0]
    turned = any(int(float(data.get("rotation", 0))) % 180 for data in video.get("side_data_list", ()))
    return (video["height"], video["width"]) if turned else (video["width"], video["height"])


def _free_samples(free: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """For a plane of colour, what has no covered luma beside it."""
    height, width = free.shape
    down, across = -(-height // shape[0]), -(-width // shape[1])
    if (down, across) == (1, 1):
        return free
    padded = np.pad(free, ((0, shape[0] * down - height), (0, shape[1] * across - width)), constant_values=True)
    return np.asarray(padded.reshape(shape[0], down, shape[1], across).all(axis=(1, 3)), np.bool_)


def _shapes(pixel_format: str, size: tuple[int, int]) -> list[tuple[int, int]]:
    width, height = size
    if pixel_format.startswith("gray"):
        return [(height, width)]
    match = re.fullmatch(r"yuvj?(420|422|444)p(10le)?", pixel_format)
    if match is None:
        raise ClipUnread(f"{pixel_format}: is not a way to store pictures that is compared here. Nothing was compared.")
    across, down = _SUBSAMPLED[match[1]]
    return [(height, width), *[(-(-height // down), -(-width // across))] * 2]


def _db(error: float, top: int) -> float:
    """99 stands for no difference at all, which has no number."""
    return 99.0 if error == 0 else min(99.0, 10 * math.log10(top**2 / error))


# --- ffprobe -----------------------------------------------------------------------------------------------------


def _probe(path: Path, *words: str) -> dict[str, Any]:
    try:
        done = subprocess.run(["ffprobe", "-v", "error", *words, "-of", "json", f"file:{path}"], capture_output=True,
                              stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise FileMissing("ffprobe is not installed; it comes with ffmpeg. Nothing was read.") from error
    if done.returncode:
        raise ClipUnread(f"{path}: ffprobe cannot read it ({done.stderr.decode(errors='replace').strip()[-200:]}).")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _depth(pixel_format: str) -> int:
    match = re.search(r"p(\d+)le$|gray(\d+)le$", pixel_format)
    return int(match[1] or match[2]) if match else 8


def _colours(video: Mapping[str, Any], rotation: int) -> dict[str, str]:
    """With the place of the samples of colour as shown: what lies left in a picture lies on top once it is turned."""
    said = {name: video[name] for name in _COLOURS if video.get(name) not in (None, "unknown", "unspecified")}
    if rotation and (place := said.pop("chroma_location", None)):
        turned = {(-90, "left"): "top", (90, "left"): "bottom"}.get((rotation, place))
        said |= {"chroma_location": turned} if turned else {}
    return said


def _duration(video: Mapping[str, Any], container: Mapping[str, Any]) -> float:
    """Of the stream; Matroska writes it into a tag, and some containers know only their own."""
    if "duration" in video:
        return float(video["duration"])
    tag = next((value for name, value in video.get("tags", {}).items() if name.upper().startswith("DURATION")), None)
    if tag is None:
        return float(container.get("duration", 0))
    hours, minutes, seconds = tag.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _sound(path: Path, stream: Mapping[str, Any], start: float) -> Sound:
    packets = _probe(path, "-show_packets", "-show_data_hash", "sha256", "-select_streams", str(stream["index"]),
                     "-show_entries", "packet=pts_time,data_hash")["packets"]
    return Sound(
        codec=stream["codec_name"],
        language=stream.get("tags", {}).get("language"),
        packets=tuple(packet["data_hash"].removeprefix("SHA256:") for packet in packets),
        times=tuple(float(packet.get("pts_time", "nan")) - start for packet in packets),
    )
