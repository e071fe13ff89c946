"""Video files -> what they say, and their frames: one decoder for every pass.

Convention: frames come upright and as stored, without a conversion of colours, in the order in which they are shown.
A file that ends before its time, or has a damaged frame, is refused: what is not seen cannot be covered.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from cloak import formats
from cloak.errors import ClipTooLarge, ClipUnreadable, ClipUnsupported
from cloak.video.tones import shown, tones_of
from cloak.video.types import Clip, Colour, Frame, Plane, Sound

# Containers with one video inside. Playlists and lists of files (hls, concat, dash) are not among them: they name
# other files and addresses, which would be read too.
CONTAINERS = {"mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "asf", "flv", "ogg", "mxf", "nut", "ivf", "h264",
              "hevc", "av1", "obu", "m4v", "dv", "wtv", "rm", "gxf", "yuv4mpegpipe"}
# Their duration is in the header; those of the others are guessed from the size and prove nothing.
_KEEP_DURATION = {"mov", "matroska", "avi", "asf", "mxf"}
# 16K, which no camera makes: the first frame of a larger one alone takes a gigabyte.
MAX_PIXELS = 15360 * 8640
MAX_THREADS = 4  # each holds frames of its own; more bring nothing that detection would notice
MOST_TO_STILL = 300  # frames decoded to reach a moment: a little more than x264 puts between two key frames

# How ffmpeg spells what H.273 numbers.
PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
             10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213"}
TRANSFERS = {1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100",
             10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12",
             16: "smpte2084", 17: "smpte428", 18: "arib-std-b67"}
MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
            10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp"}
RANGES = {1: "tv", 2: "pc"}
_FIELD_ORDERS: dict[int, Literal["tt", "bb", "tb", "bt"]] = {2: "tt", 3: "bb", 4: "tb", 5: "bt"}

# Tags that containers need or make up themselves.
_TECHNICAL_TAGS = {"major_brand", "minor_version", "compatible_brands", "language", "duration", "vendor_id",
                   "number_of_frames", "number_of_bytes", "bps", "variant_bitrate"}
_ANYBODYS_VALUES = (" ", "Lavf", "Lavc", "VideoHandler", "SoundHandler")
# What lies in the pictures themselves, beside the pixels.
_SIDE_DATA = {"A53_CC": "closed captions", "DOVI_RPU_BUFFER": "Dolby Vision data", "DOVI_METADATA": "Dolby Vision data",
              "DYNAMIC_HDR_PLUS": "HDR10+ data", "GOP_TIMECODE": "time codes", "S12M_TIMECODE": "time codes",
              "ICC_PROFILE": "a colour profile", "STEREO3D": "the mark of a stereo picture",
              "SPHERICAL": "the mark of a spherical picture"}

# Semi-planar and packed formats: how their samples lie, so that they become planes without a change.
_INTERLEAVED = {"nv12": ("yuv420p", 0), "nv16": ("yuv422p", 0), "nv24": ("yuv444p", 0), "p010le": ("yuv420p10le", 6),
                "p210le": ("yuv422p10le", 6), "p410le": ("yuv444p10le", 6)}  # the shift to the low bits
_REPACKED = {"nv21": "yuv420p", "nv42": "yuv444p", "yuyv422": "yuv422p", "uyvy422": "yuv422p", "yvyu422": "yuv422p",
             "uyyvyy411": "yuv411p"}
_PLANAR = {f"yuv{sub}p{bits}" for sub in ("420", "422", "444") for bits in ("", "10le")} | {
    "yuvj420p", "yuvj422p", "yuvj444p", "gray", "gray10le"}


def probe(path: Path, *, max_pixels: int = MAX_PIXELS) -> Clip:
    """What the file says of its video, sounds and all else; the first frame is decoded, because it says more.

    Raises:
        ClipUnreadable: it is not a video, or not one that can be decoded.
        ClipUnsupported: it is one that could not be written again as it is; ClipTooLarge, for its size.
    """
    _check_file(path)
    with _opened(path) as container:
        stream = _main_video(container, path)
        context = stream.codec_context
        if context.width * context.height > max_pixels:
            raise ClipTooLarge(f"{path}: is {context.width} x {context.height} pixels, more than the "
                               f"{max_pixels // 10**6} megapixels that are allowed. Nothing was decoded.")
        first = _first_frame(container, stream, path)
        stored = first.format
        planar, note = _planar(stored, path)
        notes = [note] if note else []
        rotation, is_mirrored = _orientation(first, path)
        width, height = (first.height, first.width) if rotation in (90, 270) else (first.width, first.height)
        if rotation in (90, 270) and planar.startswith("yuv422p"):
            notes.append("the picture is turned by a quarter, so 4:2:2 becomes 4:4:4")
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        aspect = aspect if 0 < aspect < 1000 else Fraction(1)
        field_order = _FIELD_ORDERS.get(context.field_order)
        if field_order is None and first.interlaced_frame:
            field_order = "tt"
        if field_order and rotation in (90, 270):
            notes.append("the picture is interlaced and turned by a quarter, so it becomes progressive")
            field_order = None
        time_base = _time_base(stream)
        duration = _duration_s(container, stream)
        return Clip(
            path=path,
            size=(width, height),
            rotation=rotation,
            codec=context.codec.canonical_name,
            pixel_format=stored.name,
            depth=10 if planar.endswith("10le") else 8,
            frames=_promised(container, stream),
            rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
            duration_s=duration,
            time_base=time_base,
            aspect=1 / aspect if rotation in (90, 270) else aspect,
            colour=_colour(stream, first, stored),
            sounds=tuple(
                Sound(one.index, sounding.codec.canonical_name, _language(one.metadata), sounding.channels)
                for one in container.streams.audio if (sounding := one.codec_context) is not None),
            left_out=_left_out(container, stream, first),
            notes=tuple(notes),
            is_mirrored=is_mirrored,
            field_order=field_order,
            start=_start(container, stream, time_base),
        )


def frames(clip: Clip, *, start: int = 0, on_damage: Callable[[str], None] | None = None) -> Iterator[Frame]:
    """The frames from number `start` on. Those before it are decoded too, so that numbers and times are the same.

    Args:
        on_damage: None refuses a damaged or shortened file. Otherwise it is told, in words, and what can be decoded
            is what there is.
    Raises:
        ClipUnreadable: a frame cannot be decoded, or the file ends before its promised end.
        ClipUnsupported: size, pixel format or orientation change on the way.
    """
    def damaged(words: str) -> None:
        if on_damage is None:
            raise ClipUnreadable(f"{clip.path}: {words}. Copy it from the camera again, or repair it; or allow damage, "
                                 "and what is left is taken. The rest was not read.")
        on_damage(words)

    with _opened(clip.path) as container:
        stream = _main_video(container, clip.path)
        stream.thread_type = "AUTO"
        stream.thread_count = min(os.cpu_count() or 1, MAX_THREADS)
        clock = _Clock(clip)
        ends = _Ends(float(clip.start * clip.time_base))
        number = turned = 0
        tones = tones_of(clip.colour.transfer)
        for picture in _pictures(container, stream, ends, clock, damaged):
            turned = picture.rotation if number == 0 else turned
            _check_same(clip, picture, turned, clock)
            time = clock.tick(picture)
            if number >= start:
                yield Frame(number, time, clock.seconds, _planes(clip, picture), _rgb_of(clip, picture), tones)
            number += 1
        if number == 0:
            raise ClipUnreadable(f"{clip.path}: not one frame can be decoded. Nothing was read.")
        missing = _missing(clip, ends, container, stream) or ends.trouble
        if missing:
            damaged(missing)


def still(clip: Clip, *, seconds: float) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, upright: the frame at a moment or shortly before, for people who want to know what a clip shows.

    Decodes from the key frame before that moment on, a few hundred frames at most.

    Raises:
        ClipUnreadable: no frame can be decoded.
    """
    at = clip.start + round(seconds / clip.time_base)
    with _opened(clip.path) as container:
        stream = _main_video(container, clip.path)
        with contextlib.suppress(av.error.FFmpegError):  # then it is the beginning that is shown
            container.seek(at, stream=stream)
        picture = _first_frame(container, stream, clip.path)
        with contextlib.suppress(av.error.FFmpegError):
            for later in itertools.islice(container.decode(stream), MOST_TO_STILL):
                picture = later
                if later.pts is None or later.pts >= at:
                    break
        return _rgb_of(clip, picture)()


def suffix_of(path: Path) -> Literal[".mp4", ".mov", ".mkv", ".webm"]:
    """What an output of the same container is called, by content; `.mp4` for kinds that are not written here.

    Raises:
        ClipUnreadable: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(formats.HEAD_BYTES)
    except OSError as error:
        raise ClipUnreadable(f"{path}: cannot be read ({error.strerror}). Nothing was read.") from error
    if head.startswith(b"\x1aE\xdf\xa3"):  # EBML; its document type comes soon after
        return ".webm" if b"webm" in head[:64] else ".mkv"
    return ".mov" if head[4:12] == b"ftypqt  " else ".mp4"


def sha256_of(path: Path) -> str:
    """Of the bytes of a file, read piece by piece.

    Raises:
        ClipUnreadable: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ClipUnreadable(f"{path}: cannot be read ({error.strerror}). Nothing was written.") from error
    return digest.hexdigest()


def planar_format(clip: Clip) -> str:
    """ffmpeg's name of the planes that `frames` gives: yuv420p, yuv422p10le, gray, ..."""
    planar, _ = _planar(VideoFormat(clip.pixel_format), clip.path)
    planar = planar.replace("yuvj", "yuv")
    return planar.replace("422", "444") if clip.rotation in (90, 270) else planar


def time_code(seconds: float) -> str:
    """0:01:02.345"""
    thousandths = round(max(seconds, 0.0) * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


# --- opening -----------------------------------------------------------------------------------------------------


def _check_file(path: Path) -> None:
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is no file" if path.exists() else "does not exist"
            raise ClipUnreadable(f"{path}: {what}. Name a video file. Nothing was read.")
        with open(path, "rb") as file:
            head = file.read(formats.HEAD_BYTES)
    except OSError as error:
        raise ClipUnreadable(f"{path}: cannot be read ({error.strerror}). Nothing was read.") from error
    if not head:
        raise ClipUnreadable(f"{path}: is empty. Copy it from the camera again. Nothing was read.")
    photo = formats.sniff(head)
    if photo:
        raise ClipUnsupported(f"{path}: is a photo ({photo}), not a video. Use `cloak photo`. Nothing was read.")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    try:
        # "file:" keeps names such as "concat:a" or "http:b" from meaning anything else; nothing else may be opened.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ClipUnreadable(f"{path}: is not a video that can be read ({_reason(error)}). If it should be one, its "
                             "end or its index is missing: copy it from the camera again. Nothing was read."
                             ) from error
    with container:
        names = set(container.format.name.split(","))
        if not names & CONTAINERS:
            raise ClipUnsupported(f"{path}: is of the kind {container.format.name}, which is not read as a video. "
                                  "Convert it to MP4, MOV, MKV or WebM. Nothing was read.")
        yield container


def _main_video(container: InputContainer, path: Path) -> VideoStream:
    """The video that players show. Cover art and thumbnails are stored as videos too."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    videos = [stream for stream in container.streams.video if not stream.disposition & pictures]
    if not videos:
        has_sound = ", only sound" if container.streams.audio else ""
        raise ClipUnsupported(f"{path}: has no video{has_sound}. Name a video file. Nothing was read.")
    best = container.streams.best("video")
    stream = best if best in videos else videos[0]
    assert isinstance(stream, VideoStream)
    if stream.codec_context is None:
        raise ClipUnsupported(f"{path}: its video has a codec that is not known here ({_tag(stream)}). "
                              "Convert it to H.264 first. Nothing was read.")
    return stream


def _tag(stream: VideoStream) -> str:
    with contextlib.suppress(AttributeError):  # PyAV has it by way of the codec, where there is one
        return stream.codec_tag
    return "unnamed"


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    reason = "it holds none"
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            for frame in packet.decode():
                return frame
        except av.error.FFmpegError as error:  # of the demuxer, which then has no more; or of one packet
            reason = _reason(error)
    raise ClipUnreadable(f"{path}: not one frame can be decoded ({reason}). Nothing was read.")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


# --- what a file says --------------------------------------------------------------------------------------------


def _planar(stored: VideoFormat, path: Path) -> tuple[str, str | None]:
    """The planar format that carries `stored`, and what is lost on the way, for people; None where nothing is."""
    name = stored.name
    if name in _PLANAR:
        return name, None
    if name in _REPACKED:
        return _planar(VideoFormat(_REPACKED[name]), path)[0], None
    if name in _INTERLEAVED:
        return _INTERLEAVED[name][0], None
    depth = max(component.bits for component in stored.components)
    if any(component.is_alpha for component in stored.components) or stored.has_palette:
        raise ClipUnsupported(f"{path}: its pixels ({name}) can be transparent, which would be lost. Put it on a "
                              "background first. Nothing was read.")
    if depth > 10:
        raise ClipUnsupported(f"{path}: has {depth} bits a channel ({name}), and 10 are the most that can be kept. "
                              "Convert it to 10 bits first. Nothing was read.")
    kept = "yuv444p" if depth == 8 else "yuv444p10le"
    return kept, f"its pixels are stored as {name} and become {kept}"


def _orientation(frame: VideoFrame, path: Path) -> tuple[int, bool]:
    """Degrees clockwise, and whether mirrored before; from the display matrix."""
    matrix = _side_data(frame, "DISPLAYMATRIX")
    if matrix is None:
        return -frame.rotation % 360 // 90 * 90, False  # counter-clockwise; 0 where nothing is said
    a, b, _, c, d = struct.unpack_from("<5i", matrix)
    length = max(abs(a), abs(b), abs(c), abs(d)) or 1
    a, b, c, d = (round(value / length, 3) for value in (a, b, c, d))
    is_mirrored = a * d - b * c < 0
    if is_mirrored:
        a, b = -a, -b
    rotation = {(1, 0, 0, 1): 0, (0, 1, -1, 0): 90, (-1, 0, 0, -1): 180, (0, -1, 1, 0): 270}.get((a, b, c, d))
    if rotation is None:
        raise ClipUnsupported(f"{path}: asks to be turned by something else than quarters. Turn it first. "
                              "Nothing was read.")
    return rotation, is_mirrored


def _colour(stream: VideoStream, first: VideoFrame, stored: VideoFormat) -> Colour:
    context = stream.codec_context
    range = RANGES.get(first.color_range or context.color_range)
    if stored.name.startswith("yuvj"):
        range = "pc"
    if stored.is_rgb:  # what the conversion makes of it
        return Colour("bt709", TRANSFERS.get(context.color_trc), "bt709", "tv")
    return Colour(
        primaries=PRIMARIES.get(context.color_primaries),
        transfer=TRANSFERS.get(context.color_trc),
        matrix=MATRICES.get(context.colorspace),
        range=range,
        mastering_display=_mastering_display(_side_data(first, "MASTERING_DISPLAY_METADATA")),
        content_light=_content_light(_side_data(first, "CONTENT_LIGHT_LEVEL")),
    )


def _mastering_display(data: bytes | None) -> str | None:
    """AVMasteringDisplayMetadata as x265 wants it: chromaticities in 1/50000, luminance in 1/10000 cd/m2."""
    if data is None or len(data) < 88:
        return None
    numbers = struct.unpack_from("<22i", data)
    if not (numbers[20] and numbers[21]):  # has_primaries, has_luminance
        return None
    values = [Fraction(n, d) if d else Fraction(0) for n, d in zip(numbers[:20:2], numbers[1:20:2])]
    r, g, b, white = ((round(values[i] * 50000), round(values[i + 1] * 50000)) for i in (0, 2, 4, 6))
    low, high = round(values[8] * 10000), round(values[9] * 10000)
    return (f"G({g[0]},{g[1]})B({b[0]},{b[1]})R({r[0]},{r[1]})WP({white[0]},{white[1]})L({high},{low})")


def _content_light(data: bytes | None) -> tuple[int, int] | None:
    if data is None or len(data) < 8:
        return None
    most, average = struct.unpack_from("<2I", data)
    return (most, average) if most or average else None


def _side_data(frame: VideoFrame, name: str) -> bytes | None:
    with contextlib.suppress(ValueError):  # a kind that PyAV does not know hides all the others
        entries = cast(Any, frame.side_data)
        for i in range(len(entries)):  # it is a list with the manners of a mapping
            if entries[i].type.name == name:
                return bytes(entries[i])
    return None


def _side_data_kinds(frame: VideoFrame) -> list[str]:
    with contextlib.suppress(ValueError):
        entries = cast(Any, frame.side_data)
        return [entries[i].type.name for i in range(len(entries))]
    return []


def _promised(container: InputContainer, stream: VideoStream) -> int | None:
    """How many frames will be shown. Only the index of MP4 and MOV tells: AVI counts frames that were never there."""
    if "mov" not in container.format.name.split(",") or not stream.frames:  # fragments are indexed as they are read
        return None
    return sum(not entry.is_discard for entry in stream.index_entries) or None


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = next((value for key, value in stream.metadata.items() if key.upper().startswith("DURATION")), "")
    with contextlib.suppress(ValueError):  # Matroska: 00:00:04.200000000
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return container.duration / 1e6 if container.duration else None


def _time_base(stream: VideoStream) -> Fraction:
    return Fraction(stream.time_base or Fraction(1, 90000))


def _start(container: InputContainer, stream: VideoStream, time_base: Fraction) -> int:
    """Where the earliest of the streams begins: exactly, where it is the video."""
    video = stream.start_time
    if container.start_time is None or container.start_time == av.time_base:
        return video or 0
    start = round(Fraction(container.start_time, 10**6) / time_base)
    return video if video is not None and abs(start - video) <= 1 else start


def _language(tags: dict[str, str]) -> str | None:
    """ISO 639 with three letters; free text has no place there."""
    language = tags.get("language", "")
    return language if len(language) in (2, 3) and language.isascii() and language.isalpha() else None


def _left_out(container: InputContainer, video: VideoStream, first: VideoFrame) -> tuple[str, ...]:
    words = []
    for stream in container.streams:
        if stream is video or stream.index == video.index or stream.type == "audio" and stream.codec_context:
            continue
        context = stream.codec_context
        codec = context.codec.canonical_name if context else "no codec"
        kind = "cover art" if stream.disposition & Disposition.attached_pic else f"{stream.type} track"
        words.append(f"{kind} {stream.index} ({codec})")
    chapters = container.chapters()
    if chapters:
        words.append(f"{len(chapters)} chapter marks")
    carried = {_SIDE_DATA[kind] for kind in _side_data_kinds(first) if kind in _SIDE_DATA}
    tags = {tag for holder in (container, *container.streams) for tag, value in holder.metadata.items()
            if tag.split("-")[0].lower() not in _TECHNICAL_TAGS and not value.startswith(_ANYBODYS_VALUES)}
    return (*words, *sorted(carried), *(f"tag {tag}" for tag in sorted(tags)))


# --- frames ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Ends:
    """How much of the file there was."""

    start_s: float  # of the file
    packets: int = 0  # whole ones, of the video
    end_s: float = 0.0  # the latest end of a packet of any stream
    trouble: str | None = None  # damage that was not told yet


class _Clock:
    """Times that rise: those of the file, and where it says none or goes back, the next that fits."""

    def __init__(self, clip: Clip) -> None:
        self.time_base = clip.time_base
        self._step = max(1, round(1 / (clip.rate * clip.time_base))) if clip.rate > 0 else 1
        self._first: int | None = None
        self._last: int | None = None

    def tick(self, picture: VideoFrame) -> int:
        time = picture.pts
        if time is not None and picture.time_base and picture.time_base != self.time_base:
            time = round(time * picture.time_base / self.time_base)
        if time is None:
            time = 0 if self._last is None else self._last + self._step
        if self._last is not None and time <= self._last:
            time = self._last + 1
        self._last = time
        self._first = time if self._first is None else self._first
        return time

    @property
    def seconds(self) -> float:
        """From the first frame to the latest."""
        return 0.0 if self._last is None or self._first is None else float((self._last - self._first) * self.time_base)


def _pictures(container: InputContainer, stream: VideoStream, ends: _Ends, clock: _Clock,
              damaged: Callable[[str], None]) -> Iterator[VideoFrame]:
    """Decoded pictures in the order in which they are shown; tells of what could not be decoded.

    Damage is told when the next packet comes. Where none does it is the file's end that is missing, which says more.
    """
    packets = container.demux()  # of all streams, though one is decoded: together they tell whether the file is whole
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            ends.trouble = f"the file cannot be read on after {time_code(clock.seconds)} ({_reason(error)})"
            return
        if packet is None:
            return
        at = packet.pts if packet.pts is not None else packet.dts
        at_s = float(at * packet.time_base) if at is not None and packet.time_base else None
        if at_s is not None:
            ends.end_s = max(ends.end_s, at_s + float((packet.duration or 0) * packet.time_base))
        if packet.stream.index != stream.index:  # not `stream_index`, which is 0 on the packets that flush
            continue
        if ends.trouble and packet.size:
            damaged(ends.trouble)
            ends.trouble = None
        ends.packets += packet.size > 0 and not packet.is_corrupt
        near = time_code(clock.seconds if at_s is None else at_s - ends.start_s)
        if packet.is_corrupt:
            ends.trouble = f"a frame is damaged near {near}"
        try:
            pictures = cast("list[VideoFrame]", packet.decode())
        except av.error.FFmpegError as error:
            ends.trouble = f"a frame cannot be decoded near {near} ({_reason(error)})"
            continue
        for picture in pictures:
            if picture.is_corrupt:
                ends.trouble = f"a frame is damaged near {near}"
            yield picture


def _check_same(clip: Clip, picture: VideoFrame, turned: int, clock: _Clock) -> None:
    size = (picture.height, picture.width) if clip.rotation in (90, 270) else (picture.width, picture.height)
    # Not by the display matrix: PyAV lets a frame whose side data was looked at live until the garbage is collected.
    if size == clip.size and picture.format.name == clip.pixel_format and picture.rotation in (turned, 0):
        return
    raise ClipUnsupported(f"{clip.path}: from {time_code(clock.seconds)} on its pictures have another size, pixel "
                          f"format or orientation ({size[0]} x {size[1]}, {picture.format.name}). Split it there. "
                          "The rest was not read.")


def _missing(clip: Clip, ends: _Ends, container: InputContainer, stream: VideoStream) -> str | None:
    """In words what was promised and did not come."""
    kinds = set(container.format.name.split(","))
    promised = len(stream.index_entries) if "mov" in kinds else 0  # with those that an edit list hides at the front
    if ends.packets < promised:
        lost = promised - ends.packets
        return f"ends early: {lost} of {promised} frames ({_percent(lost / promised)}) are missing"
    # The end of whichever stream is last: a video may well be shorter than its sound.
    if clip.duration_s and kinds & _KEEP_DURATION:
        lasted = ends.end_s - ends.start_s
        lost_s = clip.duration_s - lasted
        if lost_s > max(1.0, 3 / float(clip.rate)):
            return (f"ends early: it lasts {time_code(lasted)} and should last {time_code(clip.duration_s)}, so "
                    f"{_percent(lost_s / clip.duration_s)} are missing")
    return None


def _percent(share: float) -> str:
    return f"{max(1, math.floor(100 * share))} %"


def _planes(clip: Clip, picture: VideoFrame) -> tuple[Plane, ...]:
    """Upright copies of the planes."""
    name = picture.format.name
    if name in _INTERLEAVED:
        shift = _INTERLEAVED[name][1]
        luma, both = _array(picture, 0), _array(picture, 1)
        raw: list[NDArray[Any]] = [luma, both[:, 0::2], both[:, 1::2]]
        raw = [plane >> shift for plane in raw] if shift else raw
    else:
        planar = _planar(picture.format, clip.path)[0]
        if name != planar:
            picture = _converted(picture, planar, clip)
        raw = [_array(picture, i) for i in range(len(picture.planes))]
    planes = [_upright(plane, clip) for plane in raw]
    if clip.rotation in (90, 270) and "422" in _planar(VideoFormat(clip.pixel_format), clip.path)[0]:
        height = planes[0].shape[0]
        planes[1:] = [np.repeat(plane, 2, axis=0)[:height] for plane in planes[1:]]
    return tuple(np.array(plane, order="C") for plane in planes)


def _array(picture: VideoFrame, index: int) -> Plane:
    """One plane without its padding; a view. Interleaved chroma has twice the columns."""
    plane = picture.planes[index]
    deep = max(component.bits for component in picture.format.components) > 8
    rows: Plane = np.frombuffer(cast(Any, plane), np.uint16 if deep else np.uint8)
    columns = plane.width * (2 if picture.format.name in _INTERLEAVED and index == 1 else 1)
    return rows.reshape(-1, plane.line_size // (2 if deep else 1))[:plane.height, :columns]


def _upright(array: NDArray[Any], clip: Clip) -> NDArray[Any]:
    array = array[:, ::-1] if clip.is_mirrored else array
    return np.rot90(array, -clip.rotation // 90)


def _converted(picture: VideoFrame, planar: str, clip: Clip) -> VideoFrame:
    if picture.format.is_rgb:
        return picture.reformat(format=planar, dst_colorspace=Colorspace.ITU709, src_color_range=ColorRange.JPEG,
                                dst_color_range=ColorRange.MPEG, threads=1)
    return picture.reformat(format=planar, threads=1)


def _rgb_of(clip: Clip, picture: VideoFrame) -> Callable[[], NDArray[np.uint8]]:
    """Converts when asked, by the matrix and range of the clip; players guess the matrix by the size, and so do we."""
    guessed = Colorspace.ITU709 if max(clip.size) >= 1280 or min(clip.size) >= 720 else Colorspace.ITU601

    def to_rgb() -> NDArray[np.uint8]:
        if picture.format.is_rgb:
            rgb = picture.reformat(format="rgb24", threads=1)
        else:
            rgb = picture.reformat(
                format="rgb24", threads=1, src_colorspace=guessed if clip.colour.matrix is None else None,
                src_color_range=ColorRange.JPEG if clip.colour.range == "pc" else ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG)
        plane = rgb.planes[0]
        rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(-1, plane.line_size)[:plane.height, :plane.width * 3]
        upright = np.ascontiguousarray(_upright(rows.reshape(plane.height, plane.width, 3), clip))
        return shown(upright, tones_of(clip.colour.transfer))

    return to_rgb
