"""Frames -> a video file, by the ffmpeg binary. The only module that runs it.

Frames reach it through a pipe as NUT, which carries times, so that a variable rate stays as it is. Of the input file
it takes the sounds and their languages, and nothing else: no tags, chapters, subtitles, data or pictures.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

import av
import ffmpeg
import imageio_ffmpeg
from av.error import FFmpegError
from av.packet import Packet

from cloak.errors import EncodingFailed, OutputRefused, SettingsInvalid
from cloak.video.clips import frames as frames_of
from cloak.video.clips import planar_format
from cloak.video.types import Clip, Frame

OLDEST = (5, 1)  # the first with -fps_mode
BINARY = "FACECLOAK_FFMPEG"

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
SOFTWARE = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
CODECS = {"mp4": ("h264", "hevc", "av1", "vp9"), "mov": ("h264", "hevc"), "matroska": ("h264", "hevc", "vp9", "av1"),
          "webm": ("vp9", "av1")}

# The quality at which the luma of untouched frames keeps 46 dB, as the mean over a clip, at the presets below. x264 on
# five clips: 46.7 to 50.8 dB; the others were measured on one or two.
CRF = {"libx264": 13, "libx265": 12, "libvpx-vp9": 10, "libsvtav1": 8}
# 720p in real time on two cores, with detection beside it.
PRESETS = {"libx264": "superfast", "libx265": "ultrafast", "libvpx-vp9": "7", "libsvtav1": "10"}

# What each encoder takes; hardware takes 4:2:0 only.
_420 = ("yuv420p", "yuv420p10le")
_PLANAR = (*_420, "yuv422p", "yuv422p10le", "yuv444p", "yuv444p10le")
PIXEL_FORMATS = {"libx264": _PLANAR, "libx265": _PLANAR, "libvpx-vp9": _PLANAR, "libsvtav1": _420}

# Sounds that a container carries as they are.
SOUNDS = {
    "mp4": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "flac", "opus"}),
    "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be",
                      "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_u8", "pcm_s8", "pcm_alaw", "pcm_mulaw"}),
    "matroska": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "dts", "truehd", "mlp", "flac", "alac", "opus", "vorbis",
                           "wavpack", "tta", "wmav1", "wmav2", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be",
                           "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_u8", "pcm_alaw", "pcm_mulaw"}),
    "webm": frozenset({"opus", "vorbis"}),
}
_STDERR_LINES = 200


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the output is encoded. The same frames and settings give the same bytes with the same ffmpeg."""

    codec: Literal["auto", "h264", "hevc", "vp9", "av1"] = "auto"  # auto: as deep as the input, as the container wants
    crf: int | None = None  # quality: lower is better and larger; None takes the default of the encoder
    preset: str | None = None  # as the encoder names its presets; None takes ours
    encoder: str | None = None  # ffmpeg's name of one, such as h264_nvenc; None takes the software encoder
    audio: Literal["keep", "drop", "mute"] = "keep"
    mute_spans: tuple[tuple[float, float], ...] = ()  # seconds from the start as players show them; for `mute`
    faststart: bool = True  # the index at the front of MP4 and MOV, so that a page can play them while they load
    threads: int = 4  # of the encoder; part of the result, because encoders share the picture out among them

    def __post_init__(self) -> None:
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise SettingsInvalid(f"crf {self.crf}: must be from 0 to 63. Nothing was written.")
        if not 1 <= self.threads <= 64:
            raise SettingsInvalid(f"threads {self.threads}: must be from 1 to 64. Nothing was written.")
        if (self.audio == "mute") != bool(self.mute_spans):
            raise SettingsInvalid("mute spans go with audio mute, and only with it. Nothing was written.")
        for begin, end in self.mute_spans:
            if not 0 <= begin < end < 10**9:  # False for NaN too
                raise SettingsInvalid(f"mute span {begin} to {end}: must be seconds, the first less than the second. "
                                      "Nothing was written.")


@dataclass(frozen=True, slots=True)
class Choice:
    """What an input, a container and settings come to: everything decided before the first frame."""

    binary: str
    version: str
    muxer: str
    codec: str
    encoder: str
    pixel_format: str  # that is encoded
    crf: int
    preset: str | None
    sounds: tuple[str, ...]  # the encoder of each sound of the clip, or copy
    notes: tuple[str, ...]  # for people: what becomes otherwise than in the input


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    frames: int
    encoder: str
    ffmpeg: str  # its version
    notes: tuple[str, ...]  # for people: what became otherwise than in the input


# --- the binary --------------------------------------------------------------------------------------------------


def encoders() -> tuple[str, ...]:
    """The video encoders of the first ffmpeg that is found, sorted. It knows those too whose hardware is missing."""
    return tuple(sorted(_encoders(_binaries()[0])))


def version_here() -> str:
    """Of the ffmpeg that is asked first.

    Raises:
        EncodingFailed: there is none.
    """
    return _version(_binaries()[0]) or "unknown"


def _binaries() -> list[str]:
    """Usable binaries, the preferred first.

    Raises:
        EncodingFailed: there is none.
    """
    named = os.environ.get(BINARY)
    if named:
        if _version(named) is None:
            raise EncodingFailed(f"{named}: is named by {BINARY} and is no ffmpeg that runs. Nothing was written.")
        return [named]
    found = [one for one in (shutil.which("ffmpeg"), _bundled()) if one and _is_usable(one)]
    if not found:
        raise EncodingFailed("no ffmpeg of version 5.1 or newer was found. Install ffmpeg, or name one in the variable "
                             f"{BINARY}. Nothing was written.")
    return found


def _bundled() -> str | None:
    with contextlib.suppress(RuntimeError):  # no wheel for this machine
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    return None


def _is_usable(binary: str) -> bool:
    version = _version(binary)
    numbers = re.match(r"n?(\d+)\.(\d+)", version or "")
    # Builds from the repository are named after a commit, and newer than any release that is too old.
    return version is not None and (numbers is None or (int(numbers[1]), int(numbers[2])) >= OLDEST)


@lru_cache(maxsize=8)
def _version(binary: str) -> str | None:
    found = re.match(r"ffmpeg version (\S+)", _asked(binary, "-version"))
    return found[1] if found else None


@lru_cache(maxsize=8)
def _encoders(binary: str) -> frozenset[str]:
    return frozenset(re.findall(r"^ V\S{5} (\S+)", _asked(binary, "-hide_banner", "-encoders"), re.MULTILINE)) - {"="}


def _asked(*command: str) -> str:
    """All it says; nothing where it does not run."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        return (run.stdout + run.stderr).decode("utf-8", "replace")
    return ""


# --- decisions ---------------------------------------------------------------------------------------------------


def choose(clip: Clip, suffix: str, options: Encoding) -> Choice:
    """Decides everything, so that what cannot be written is refused before any long work.

    Args:
        suffix: of the output's name, with its dot.
    Raises:
        OutputRefused: the container is not written here.
        SettingsInvalid: it cannot carry the codec, or the encoder is not there.
        EncodingFailed: there is no ffmpeg.
    """
    muxer = MUXERS.get(suffix.lower())
    if muxer is None:
        raise OutputRefused(f"{suffix or 'no suffix'}: videos are written as {', '.join(MUXERS)}. Name the output so. "
                            "Nothing was written.")
    codec, encoder = _codec(clip, muxer, options)
    binary = next((one for one in _binaries() if encoder in _encoders(one)), None)
    if binary is None:
        raise SettingsInvalid(f"{encoder}: is not an encoder of the ffmpeg on this machine. It has "
                              f"{', '.join(_of_interest(_encoders(_binaries()[0])))}. Nothing was written.")
    version = _version(binary) or "unknown"
    pixel_format, notes = _pixel_format(clip, encoder)
    if clip.colour.mastering_display and encoder != "libx265":
        notes.append(f"the HDR10 mastering data is left out: {encoder} does not write it here")
    if clip.field_order and encoder != "libx264":
        notes.append(f"the interlaced picture is marked progressive: {encoder} does not keep fields")
    crf = CRF.get(encoder, 20) if options.crf is None else options.crf
    preset = options.preset or PRESETS.get(encoder)
    sounds, said = _sounds(clip, muxer, options)
    return Choice(binary, version, muxer, codec, encoder, pixel_format, crf, preset, sounds, (*notes, *said))


def _codec(clip: Clip, muxer: str, options: Encoding) -> tuple[str, str]:
    """The codec and the encoder."""
    fitting = CODECS[muxer]
    codec: str = options.codec
    if options.encoder is not None:
        names = {"264": "h264", "265": "hevc", "hevc": "hevc", "vp9": "vp9", "av1": "av1", "rav1e": "av1"}
        of_encoder = next((codec for part, codec in names.items() if part in options.encoder), None)
        if of_encoder is None or codec not in ("auto", of_encoder):
            raise SettingsInvalid(f"encoder {options.encoder}: is not one for {codec}. Nothing was written.")
        codec = of_encoder
    if codec == "auto":
        # H.264 in 10 bits plays almost nowhere; HEVC in 10 bits does.
        codec = fitting[0] if muxer == "webm" or clip.depth == 8 else "hevc"
    if codec not in fitting:
        raise SettingsInvalid(f"{codec}: is not written into {muxer} here; {' and '.join(fitting)} are. "
                              "Choose another codec or another suffix. Nothing was written.")
    return codec, options.encoder or SOFTWARE[codec]


def _pixel_format(clip: Clip, encoder: str) -> tuple[str, list[str]]:
    """What is encoded, and in words where it is not what is stored."""
    notes: list[str] = []
    stored = _sent_format(clip)
    wanted = stored
    taken = PIXEL_FORMATS.get(encoder, ("yuv420p", "nv12", "p010le"))
    width, height = clip.size
    is_odd = "420" in stored and (width % 2 or height % 2) or "422" in stored and width % 2
    if is_odd and encoder != "libvpx-vp9":
        # Half a colour sample is nothing that H.264 and HEVC know. The size must stay, so the colours become denser.
        wanted = stored.replace("420", "444").replace("422", "444")
        notes.append(f"{width} x {height} is odd, which {encoder} carries in 4:4:4 only; some players cannot show "
                     "that. A .webm keeps it as it is")
    if wanted not in taken:
        is_known = encoder in PIXEL_FORMATS
        wanted = {8: "yuv420p" if is_known else "nv12", 10: "yuv420p10le" if is_known else "p010le"}[clip.depth]
        if is_odd:
            raise SettingsInvalid(f"{clip.path}: {encoder} cannot carry {width} x {height} pixels. Choose another "
                                  "encoder. Nothing was written.")
        if "420" not in stored:
            notes.append(f"{stored} becomes {wanted}: {encoder} takes nothing denser")
    return wanted, notes


def _sent_format(clip: Clip) -> str:
    """What goes through the pipe. Grey gets colours that say nothing: few players show H.264 without any."""
    return planar_format(clip).replace("gray", "yuv420p")


def _sounds(clip: Clip, muxer: str, options: Encoding) -> tuple[tuple[str, ...], list[str]]:
    if options.audio == "drop":
        return (), ["sound is left out, as asked"] if clip.sounds else []
    encoder = "libopus" if muxer == "webm" else "aac"
    if options.audio == "mute":
        return (encoder,) * len(clip.sounds), [f"sound is encoded again as {encoder}, with its muted spans"]
    carried = SOUNDS[muxer]
    # Newer ffmpegs would tell the players of Matroska to skip as much as was trimmed, though it is gone.
    trimmed = _trimmed(clip) if muxer in ("matroska", "webm") and clip.sounds else set()
    chosen, notes = [], []
    for place, sound in enumerate(clip.sounds, start=1):
        is_carried = sound.codec in carried
        is_kept = is_carried and sound.index not in trimmed
        chosen.append("copy" if is_kept else encoder)
        if not is_kept:
            why = "was trimmed without encoding" if is_carried else f"is {sound.codec}"
            notes.append(f"sound {place} {why}, which {muxer} does not carry, and is encoded again as {encoder}")
    return tuple(chosen), notes


def _trimmed(clip: Clip) -> set[int]:
    """The indices of the sounds that hold more before their start than a decoder needs."""
    found: set[int] = set()
    waiting = {sound.index for sound in clip.sounds}
    with (contextlib.suppress(FFmpegError),  # what is not told here is told by the decoder of the frames
          av.open(f"file:{clip.path}", options={"protocol_whitelist": "file"}, metadata_errors="replace") as container):
        for packet in container.demux(container.streams.audio):
            if packet.stream.index in waiting and packet.pts is not None:
                waiting.remove(packet.stream.index)
                start = clip.start * clip.time_base / packet.time_base
                found |= {packet.stream.index} if packet.pts < start - 3 * (packet.duration or 0) else set()
            if not waiting:
                break
    return found


def _of_interest(known: frozenset[str]) -> list[str]:
    return sorted(one for one in known if re.search(r"264|265|hevc|vp9|av1", one))


# --- writing -----------------------------------------------------------------------------------------------------


def write(clip: Clip, out: Path, frames: Iterable[Frame], options: Encoding, *, named: Path | None = None,
          on_frame: Callable[[int], None] | None = None) -> Written:
    """Encodes `frames` with the sound of `clip` into the file `out`, which is replaced; the caller gives it its name.

    Args:
        named: its later name, which decides the container and which messages speak of; None takes `out`.
        on_frame: told how many frames have been handed over, after each.
    Raises:
        OutputRefused: the disk is full, or the file cannot be written.
        EncodingFailed: ffmpeg ended early, or wrote another number of frames. `out` is then worth nothing.
    """
    named = named or out
    choice = choose(clip, named.suffix, options)
    sent = _run(_command(clip, out, options, choice), clip, frames, named, on_frame)
    _check_written(out, sent, choice, named)
    return Written(sent, choice.encoder, choice.version, choice.notes)


def rehearse(clip: Clip, out: Path, options: Encoding, *, named: Path | None = None,
             on_damage: Callable[[str], None] | None = None) -> Choice:
    """Writes one blank frame and a second of the sounds into the file `out`, and removes it again.

    What ffmpeg refuses, such as an encoder whose hardware is missing, is then known before the long work.

    Args:
        named: its later name, which decides the container and which messages speak of; None takes `out`.
        on_damage: as `clips.frames` wants it.
    Raises: as `choose` and `write` do; ClipUnreadable where no frame can be decoded.
    """
    named = named or out
    choice = choose(clip, named.suffix, options)
    try:
        _run(_command(clip, out, options, choice, longest_s=1), clip, _blank(clip, on_damage), named, None)
    except EncodingFailed as error:
        raise EncodingFailed(f"{clip.path}: cannot be written as {named.suffix} with {choice.encoder}. {error}"
                             ) from error
    finally:
        out.unlink(missing_ok=True)
    return choice


def _blank(clip: Clip, on_damage: Callable[[str], None] | None) -> Iterator[Frame]:
    """The first frame without what it shows: it goes to the disk before anything is covered."""
    for frame in itertools.islice(frames_of(clip, on_damage=on_damage), 1):
        for plane in frame.planes:
            plane.fill(0)
        yield replace(frame, time=clip.start)  # or a video that starts late would lie behind the second


def _run(command: list[str], clip: Clip, frames: Iterable[Frame], named: Path,
         on_frame: Callable[[int], None] | None) -> int:
    """Runs ffmpeg to its end and returns how many frames it was given; ends it too when something else ends us."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl+C is for us: left to itself, ffmpeg would end the file as if it were whole
    )
    assert process.stdin is not None and process.stderr is not None
    last_words: deque[str] = deque(maxlen=_STDERR_LINES)
    drain = threading.Thread(target=_drain, args=(process.stderr, last_words), daemon=True)
    drain.start()
    sent, is_broken = 0, False
    try:
        try:
            for sent in _hand_over(clip, frames, process.stdin):  # noqa: B007 - the last value counts
                if on_frame is not None:
                    on_frame(sent)
        except BrokenPipeError:
            is_broken = True  # ffmpeg went away; its last words tell why
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        code = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        with contextlib.suppress(OSError):
            process.stdin.close()
        drain.join(timeout=10)
        process.stderr.close()
    disk_trouble = _disk_trouble(named, code, last_words)  # ffmpeg 5.1 fills a disk and ends with code 0
    if disk_trouble:
        raise disk_trouble
    if code != 0 or is_broken:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        said = "; ".join(list(last_words)[-3:]) or "it said nothing"
        raise EncodingFailed(f"{named}: ffmpeg {how} after {sent} frames ({said}). The video was not written.")
    return sent


def _command(clip: Clip, out: Path, options: Encoding, choice: Choice, *, longest_s: float | None = None) -> list[str]:
    colour = _colour_tags(clip, choice)
    # "file:" keeps a name such as "-y" or "concat:a" from meaning anything else.
    pictures = ffmpeg.input("pipe:0", format="nut", **colour)
    streams = [pictures["0"]]
    arguments: dict[str, Any] = {
        "c:v": choice.encoder, "pix_fmt": choice.pixel_format, **_quality(clip, choice, options), **colour,
        "fps_mode": "passthrough", "enc_time_base": f"{clip.time_base.numerator}/{clip.time_base.denominator}",
        "map_metadata": -1, "map_chapters": -1, "fflags": "+bitexact", "flags:v": "+bitexact", "flags:a": "+bitexact",
        "max_muxing_queue_size": 4096, "threads:v": options.threads,
        "metadata:s:v:0": "encoder= ",  # or ffmpeg signs the stream
        "strict": "experimental",  # FLAC in MP4, for ffmpeg 5.1
    }
    filters = []
    if clip.aspect != 1:
        filters.append(f"setsar={clip.aspect.numerator}/{clip.aspect.denominator}")
    if clip.field_order and choice.encoder == "libx264":
        filters.append("setfield=" + ("tff" if clip.field_order in ("tt", "tb") else "bff"))
        arguments["flags:v"] = "+bitexact+ilme+ildct"
    if "vaapi" in choice.encoder:
        filters.append(f"format={choice.pixel_format},hwupload")
        del arguments["pix_fmt"]
    if filters:
        arguments["filter:v"] = ",".join(filters)
    if choice.encoder == "libx264":
        arguments["bsf:v"] = "filter_units=remove_types=6"  # x264 signs every stream with its version and settings
    if choice.sounds:
        original = ffmpeg.input(f"file:{clip.path}", protocol_whitelist="file", vn=None,
                                itsoffset=f"{-float(clip.start * clip.time_base):.6f}")
        for place, (sound, encoder) in enumerate(zip(clip.sounds, choice.sounds)):
            streams.append(original[str(sound.index)])
            arguments[f"c:a:{place}"] = encoder
            if encoder == "copy":
                # What was cut off at the front without encoding, as phones do, is still there, marked as not to be
                # heard. A little of it is needed: AAC begins with up to 2112 samples, three packets, that are thrown
                # away. Counted in packets, because ffmpeg 5.1 gives this filter a wrong time base with Matroska.
                arguments[f"bsf:a:{place}"] = "noise=drop=lt(pts\\,-3*duration)"
            else:
                arguments[f"b:a:{place}"] = f"{96 * max(1, min(sound.channels, 8))}k"
            if options.audio == "mute":
                spans = "+".join(f"between(t,{begin:.6f},{end:.6f})" for begin, end in options.mute_spans)
                arguments[f"filter:a:{place}"] = f"volume=0:enable='{spans}'"
            if sound.language:
                arguments[f"metadata:s:a:{place}"] = f"language={sound.language}"
    if choice.muxer in ("mp4", "mov"):
        arguments["video_track_timescale"] = clip.time_base.denominator
        if options.faststart:
            arguments["movflags"] = "+faststart"
    if longest_s is not None:
        arguments["t"] = longest_s
    built = ffmpeg.output(*streams, f"file:{out}", format=choice.muxer, **arguments)
    before = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-copyts"]
    before += ["-vaapi_device", "/dev/dri/renderD128"] if "vaapi" in choice.encoder else []
    command: list[str] = ffmpeg.compile(built, cmd=[choice.binary, *before], overwrite_output=True)
    return command


def _quality(clip: Clip, choice: Choice, options: Encoding) -> dict[str, Any]:
    """How each family of encoders is told quality, speed and what is special about it."""
    encoder, crf = choice.encoder, choice.crf
    if encoder == "libx264":
        return {"crf": crf, "preset": choice.preset}
    if encoder == "libx265":
        # Its frame threads change the result, its pools do not; both are fixed, as is everything.
        extra = [f"pools={options.threads}", "frame-threads=2", "info=0", "log-level=warning"]
        if clip.colour.mastering_display:
            extra += ["hdr10=1", "repeat-headers=1", f"master-display={clip.colour.mastering_display}"]
        if clip.colour.content_light:
            extra.append("max-cll={},{}".format(*clip.colour.content_light))
        tag = {"tag:v": "hvc1"} if choice.muxer in ("mp4", "mov") else {}  # what Apple's players look for
        return {"crf": crf, "preset": choice.preset, "x265-params": ":".join(extra), **tag}
    if encoder == "libvpx-vp9":
        return {"crf": crf, "b:v": 0, "deadline": "realtime", "cpu-used": choice.preset, "row-mt": 1}
    if encoder in ("libsvtav1", "libaom-av1"):
        return {"crf": crf, "preset" if encoder == "libsvtav1" else "cpu-used": choice.preset or "8"}
    option = {"nvenc": "cq", "vaapi": "qp", "qsv": "global_quality", "amf": "qp_i"}.get(encoder.rsplit("_", 1)[-1])
    if encoder.endswith("videotoolbox"):
        return {"q:v": max(1, 100 - 2 * crf)}
    preset = {"preset": choice.preset} if choice.preset else {}
    return {**({option: crf} if option else {"crf": crf}), **preset}


def _colour_tags(clip: Clip, choice: Choice) -> dict[str, str]:
    """Said of the frames that go in and of the stream that comes out: where the two differ, ffmpeg would convert."""
    colour = clip.colour
    tags = {"color_primaries": colour.primaries, "color_trc": colour.transfer, "colorspace": colour.matrix,
            "color_range": colour.range, "chroma_sample_location": _chroma_location(clip, choice.binary)}
    return {name: value for name, value in tags.items() if value is not None}


def _chroma_location(clip: Clip, binary: str) -> str | None:
    """Where the colour samples of 4:2:0 lie, which only the binary tells; upright."""
    if "420" not in planar_format(clip) or clip.is_mirrored:
        return None
    stored = clip.colour.chroma_location
    if stored is None:
        said = _asked(binary, "-hide_banner", "-nostdin", "-loglevel", "verbose", "-protocol_whitelist", "file",
                      "-i", f"file:{clip.path}")
        width, height = clip.size if clip.rotation in (0, 180) else clip.size[::-1]
        found = re.search(rf"Video: .*\b(left|center|topleft|top|bottomleft|bottom)\), {width}x{height}\b", said)
        stored = found[1] if found else None
    if clip.rotation == 0 or stored == "center":
        return stored
    return {(90, "left"): "top", (270, "left"): "bottom"}.get((clip.rotation, stored or ""))


def _hand_over(clip: Clip, frames: Iterable[Frame], stdin: IO[bytes]) -> Iterator[int]:
    """Sends each frame and counts. Waits while ffmpeg is behind, so that never more than a few frames exist.

    Raises:
        BrokenPipeError: ffmpeg went away.
    """
    pipe = _Pipe(stdin)
    nut = av.open(pipe, "w", format="nut", buffer_size=1 << 20)
    writer = ThreadPoolExecutor(1, "write")  # while one frame goes through the pipe, the next one is made
    last: Future[None] | None = None
    try:
        stream = nut.add_stream("rawvideo", rate=Fraction(clip.rate).limit_denominator(1 << 16))
        stream.width, stream.height = clip.size
        stream.pix_fmt = _sent_format(clip)
        colourless = _colourless(clip)
        stream.time_base = clip.time_base
        stream.codec_context.time_base = clip.time_base
        for count, frame in enumerate(frames, start=1):
            packet = Packet(b"".join([*(plane.tobytes() for plane in frame.planes), colourless]))
            packet.stream = stream
            packet.time_base = clip.time_base
            packet.pts = packet.dts = frame.time - clip.start
            packet.is_keyframe = True
            if last is not None:
                last.result()
                pipe.check()
            last = writer.submit(nut.mux_one, packet)
            yield count
    except BaseException:
        pipe.is_broken = True  # no trailer: what was not sent to its end must not look whole
        raise
    finally:
        writer.shutdown()
        nut.close()
    if last is not None:
        last.result()
    pipe.check()


def _colourless(clip: Clip) -> bytes:
    """The two planes that grey pictures lack, in 4:2:0; nothing for the others."""
    if not planar_format(clip).startswith("gray"):
        return b""
    width, height = clip.size
    neutral = (128).to_bytes(1, "little") if clip.depth == 8 else (512).to_bytes(2, "little")
    return neutral * (2 * -(-width // 2) * -(-height // 2))


class _Pipe:
    """A pipe of which PyAV sees nothing but `write`, so that it never seeks; no error of ours passes through it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self.is_broken = False

    def write(self, data: bytes) -> int:
        if not self.is_broken:
            try:
                self._pipe.write(data)
            except (BrokenPipeError, ConnectionResetError):
                self.is_broken = True
        return len(data)

    def check(self) -> None:
        if self.is_broken:
            raise BrokenPipeError


def _drain(pipe: IO[bytes], last_words: deque[str]) -> None:
    """Reads to the end, keeps the last lines, and never more of a line than a message can use."""
    while line := pipe.readline(4096):
        last_words.append(line.decode("utf-8", "replace").rstrip())


def _disk_trouble(named: Path, code: int, last_words: Iterable[str]) -> OutputRefused | None:
    """What went wrong with the disk, if something did."""
    said = "\n".join(last_words)
    if os.strerror(errno.ENOSPC) in said:
        return OutputRefused(f"{named}: the disk is full. Free some space or choose another disk. "
                             "The video was not written.")
    if os.strerror(errno.EFBIG) in said or code == -signal.SIGXFSZ:
        return OutputRefused(f"{named}: grew larger than files may be here. Choose another disk. "
                             "The video was not written.")
    return None


def _check_written(out: Path, sent: int, choice: Choice, named: Path) -> None:
    """Counts what is in the file: frames that ffmpeg dropped would be no error to it."""
    found, sounds = 0, 0
    with contextlib.suppress(FFmpegError, OSError), av.open(f"file:{out}", format=choice.muxer) as container:
        sounds = len(container.streams.audio)
        found = sum(packet.size > 0 and not packet.is_corrupt for packet in container.demux(container.streams.video[0]))
    if found != sent or sounds != len(choice.sounds):
        raise EncodingFailed(f"{named}: has {found} frames and {sounds} sounds where {sent} and {len(choice.sounds)} "
                             "were sent. The video was not written.")
