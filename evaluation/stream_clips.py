"""Clips that hold what cameras and editors put into files, made from any clip by ffmpeg, with secrets where it fits.

Every secret is a word that occurs nowhere else, in a place from which it could go on into a file written again:
positions in tags, tracks and subtitles, serial numbers in tags and in the pictures' own stream, names of chapters.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from evaluation.errors import EvaluationFailed

SIZE = (640, 360)
SECONDS = 2
SERIAL = "SERIAL-7Q4Z-CANARY"
POSITION = "+48.1173+011.5167/"
TRACK = "N48.1173 E011.5167 CANARY"
_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12")
_BEEP = ("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={SECONDS}")
_BT709 = ("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv")
_PQ = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited"
_MASTER = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"


class ClipNotMade(EvaluationFailed):
    """ffmpeg could not make a clip."""


@dataclass(frozen=True, slots=True)
class Made:
    """One clip."""

    path: Path
    secrets: tuple[str, ...] = ()  # each stands in the file at least once


def make(base: Path, folder: Path) -> list[Made]:
    """All clips, two seconds each, of what `base` shows.

    Raises:
        ClipNotMade: ffmpeg lacks something.
    """
    source = folder / ".source.mkv"
    run("-i", base, "-t", SECONDS, "-an", "-vf", f"scale={SIZE[0]}:{SIZE[1]},fps=25,setsar=1", "-pix_fmt", "yuv420p",
        "-c:v", "ffv1", source)
    made = [make_one(source, folder) for make_one in _MAKERS]
    source.unlink()
    return made


def run(*words: object) -> None:
    """ffmpeg, quietly."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True)
    if done.returncode:
        raise ClipNotMade(f"{words[-1]}: {done.stderr.decode(errors='replace').strip()[-300:]}. It was not made.")


# --- pictures ----------------------------------------------------------------------------------------------------


def _hdr10(source: Path, folder: Path) -> Made:
    """Ten bits, PQ, what the display was that graded it."""
    path = folder / "hdr10.mkv"
    run("-i", source, *_BEEP, "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast", "-crf", 10,
        "-x265-params", f"log-level=error:hdr10=1:repeat-headers=1:{_PQ}:{_MASTER}", "-color_primaries", "bt2020",
        "-color_trc", "smpte2084", "-colorspace", "bt2020nc", "-color_range", "tv", "-c:a", "flac", path)
    return Made(path)


def _prores(source: Path, folder: Path) -> Made:
    """What editors hand on: ten bits, 4:2:2, sound as it is."""
    path = folder / "prores-422.mov"
    run("-i", source, *_BEEP, "-pix_fmt", "yuv422p10le", "-c:v", "prores_ks", "-profile:v", 3, *_BT709, "-c:a",
        "pcm_s24le", path)
    return Made(path)


def _two_sounds(source: Path, folder: Path) -> Made:
    path = folder / "two-sounds.mp4"
    run("-i", source, *_BEEP, "-f", "lavfi", "-i", f"anoisesrc=amplitude=0.1:duration={SECONDS}:seed=1", "-map", 0,
        "-map", 1, "-map", 2, *_X264, *_BT709, "-c:a:0", "aac", "-c:a:1", "ac3", "-metadata:s:a:0", "language=eng",
        "-metadata:s:a:1", "language=fra", path)
    return Made(path)


def _variable_rate(source: Path, folder: Path) -> Made:
    """Frames at uneven times, as phones film in the dark."""
    path = folder / "uneven-rate.mp4"
    run("-i", source, *_BEEP, "-vf", "select='not(eq(mod(n\\,7)\\,3))',settb=1/1000,setpts=PTS+11*mod(N\\,3)",
        "-fps_mode", "passthrough", "-enc_time_base", "1/1000", *_X264, "-c:a", "aac", path)
    return Made(path)


def _rotated(source: Path, folder: Path) -> Made:
    """Stored lying, to be shown upright by a quarter turn."""
    path, lying = folder / "rotated.mp4", folder / ".lying.mp4"
    run("-i", source, *_X264, *_BT709, lying)
    with av.open(str(lying)) as read, av.open(str(path), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        stream.set_display_rotation(-90)
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = stream
                write.mux(packet)
    lying.unlink()
    return Made(path)


def _odd(source: Path, folder: Path) -> Made:
    path = folder / "odd.webm"
    _odd_into(source, path)
    return Made(path)


def _odd_mp4(source: Path, folder: Path) -> Made:
    """The same in a container for which H.264 is chosen, which has no half samples of colour."""
    path = folder / "odd.mp4"
    _odd_into(source, path)
    return Made(path)


def _odd_into(source: Path, path: Path) -> None:
    run("-i", source, "-vf", "scale=641:359,setsar=1", "-pix_fmt", "yuv420p", "-c:v", "libvpx-vp9", "-crf", 12, "-b:v",
        0, "-deadline", "realtime", "-cpu-used", 8, path)


def _full_range(source: Path, folder: Path) -> Made:
    """Levels from 0 to 255 by the matrix of standard definition: what cheap cameras write."""
    path = folder / "full-range-bt601.mp4"
    run("-i", source, *_BEEP, "-vf", "scale=out_range=pc:out_color_matrix=bt601,format=yuvj420p", *_X264,
        "-color_primaries", "smpte170m", "-color_trc", "smpte170m", "-colorspace", "smpte170m", "-color_range", "pc",
        "-c:a", "aac", path)
    return Made(path)


def _interlaced(source: Path, folder: Path) -> Made:
    """Fields, and pixels that are no squares, as from a tape."""
    path = folder / "interlaced.mp4"
    run("-i", source, *_BEEP, "-vf", "scale=720:576,setsar=64/45,setfield=tff", *_X264, "-flags", "+ilme+ildct",
        "-color_primaries", "bt470bg", "-color_trc", "smpte170m", "-colorspace", "bt470bg", "-color_range", "tv",
        "-c:a", "aac", path)
    return Made(path)


def _one_frame(source: Path, folder: Path) -> Made:
    path = folder / "one-frame.mp4"
    run("-i", source, "-frames:v", 1, *_X264, *_BT709, path)
    return Made(path)


def _transport_stream(source: Path, folder: Path) -> Made:
    """From a recorder: clocks that start at ten hours, written again as MP4."""
    path = folder / "ten-hours.ts"
    run("-i", source, *_BEEP, *_X264, *_BT709, "-c:a", "aac", "-output_ts_offset", 36000, path)
    return Made(path)


# --- secrets -----------------------------------------------------------------------------------------------------


def _positions(source: Path, folder: Path) -> Made:
    """A `loci` box, a subtitle and a `gpmd` track of positions, chapters that name places."""
    path, plain = folder / "positions.mp4", folder / ".plain.mp4"
    (folder / ".gps.srt").write_text(f"1\n00:00:00,000 --> 00:00:01,500\n{TRACK} subtitle\n")
    (folder / ".tags.txt").write_text(f";FFMETADATA1\ntitle=CANARY-TITLE\ncomment=CANARY-COMMENT\nlocation={POSITION}\n"
                                      "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=CANARY-CHAPTER\n")
    run("-i", source, *_BEEP, "-i", folder / ".gps.srt", "-i", folder / ".tags.txt", "-map", 0, "-map", 1, "-map", 2,
        "-map_metadata", 3, "-map_chapters", 3, *_X264, *_BT709, "-c:a", "aac", "-c:s", "mov_text", "-metadata:s:v",
        "handler_name=CANARY-HANDLER", plain)
    with av.open(str(plain)) as read, av.open(str(path), "w") as write:
        write.metadata.update(read.metadata)
        write.set_chapters(read.chapters())
        streams = {stream.index: write.add_stream_from_template(stream) for stream in read.streams
                   if stream.type in ("video", "audio", "subtitle")}
        data = write.add_data_stream("bin_data")
        for packet in read.demux(*(read.streams[index] for index in streams)):
            if packet.size:
                packet.stream = streams[packet.stream.index]
                write.mux(packet)
        for second in range(SECONDS):
            packet = av.Packet(f"{TRACK} gpmd {second}".encode())
            packet.stream, packet.pts, packet.dts, packet.duration = data, second * 1000, second * 1000, 1000
            packet.time_base = Fraction(1, 1000)
            write.mux(packet)
    for name in (".gps.srt", ".tags.txt"):
        (folder / name).unlink()
    plain.unlink()
    return Made(path, ("loci", f"{TRACK} subtitle", f"{TRACK} gpmd", "gpmd", "CANARY-TITLE", "CANARY-COMMENT",
                       "CANARY-CHAPTER"))


def _udta(source: Path, folder: Path) -> Made:
    """Where it was filmed, as `(c)xyz`, which cameras write into udta."""
    path = folder / "udta.mov"
    run("-i", source, *_BEEP, *_X264, *_BT709, "-c:a", "aac", "-metadata", f"location={POSITION}", path)
    return Made(path, (POSITION,))


def _quicktime(source: Path, folder: Path) -> Made:
    """The keys of iPhones: where, with what, by which software."""
    path = folder / "quicktime.mov"
    run("-i", source, *_BEEP, *_X264, *_BT709, "-c:a", "aac", "-movflags", "use_metadata_tags", "-metadata",
        f"com.apple.quicktime.location.ISO6709={POSITION}", "-metadata", "com.apple.quicktime.make=CANARY-MAKE",
        "-metadata", "com.apple.quicktime.model=CANARY-MODEL", "-metadata", f"com.android.serial={SERIAL}",
        "-metadata", "com.apple.quicktime.creationdate=2031-07-23T04:05:06+0200", "-timecode", "04:05:06:07", path)
    return Made(path, (POSITION, "CANARY-MAKE", "CANARY-MODEL", SERIAL, "2031-07-23T04:05:06", "tmcd",
                       "com.apple.quicktime"))


def _serial(source: Path, folder: Path) -> Made:
    """Serial numbers within the pictures' own stream and in an attachment, subtitles with positions, tags."""
    path = folder / "serial.mkv"
    (folder / ".gps.srt").write_text(f"1\n00:00:00,000 --> 00:00:01,500\n{TRACK} subtitle\n")
    (folder / ".notes.txt").write_text("CANARY-ATTACHED")
    sei = "086f3693-b7b3-4f2c-9653-21492feee5b8+" + SERIAL
    run("-i", source, *_BEEP, "-i", folder / ".gps.srt", *_X264, *_BT709, "-bsf:v",
        f"h264_metadata=sei_user_data={sei}", "-c:a", "aac", "-c:s", "srt", "-metadata", "CAMERA_SERIAL=CANARY-TAG",
        "-metadata:s:a", "title=CANARY-SOUND", "-attach", folder / ".notes.txt", "-metadata:s:t",
        "mimetype=text/plain", path)
    for name in (".gps.srt", ".notes.txt"):
        (folder / name).unlink()
    return Made(path, (SERIAL, f"{TRACK} subtitle", "CANARY-TAG", "CANARY-SOUND", "CANARY-ATTACHED", "x264"))


def _cover(source: Path, folder: Path) -> Made:
    """Cover art: a picture of its own, first of all streams, with words in it."""
    path, art = folder / "cover.mp4", folder / ".art.png"
    words = PngInfo()
    words.add_text("Comment", "CANARY-ART")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(art, pnginfo=words)
    run("-i", source, *_BEEP, "-i", art, "-map", 2, "-map", 0, "-map", 1, "-c:v:0", "copy", "-disposition:v:0",
        "attached_pic", "-c:v:1", "libx264", "-preset:v:1", "veryfast", "-crf:v:1", 12, *_BT709, "-c:a", "aac", path)
    art.unlink()
    return Made(path, ("CANARY-ART",))


_MAKERS: tuple[Callable[[Path, Path], Made], ...] = (
    _hdr10, _prores, _two_sounds, _variable_rate, _rotated, _odd, _odd_mp4, _full_range, _interlaced, _one_frame,
    _transport_stream, _positions, _udta, _quicktime, _serial, _cover,
)  # fmt: skip


# --- clips that must be refused ----------------------------------------------------------------------------------


def make_bad(base: Path, folder: Path) -> list[Path]:
    """What is no clip, or not a whole one."""
    whole = folder / ".whole.mkv"
    run("-i", base, "-t", 2 * SECONDS, "-an", "-vf", f"scale={SIZE[0]}:{SIZE[1]}", *_X264, "-g", 10, whole)
    paths = {name: folder / name for name in ("empty.mp4", "only-sound.mp4", "a-photo.mp4", "damaged.mkv", "cut.mkv",
                                              "changes-size.ts", "unknown-codec.mp4", "no-frame.mp4")}
    paths["empty.mp4"].touch()
    run(*_BEEP, "-c:a", "aac", paths["only-sound.mp4"])
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(paths["a-photo.mp4"], "PNG")
    data = bytearray(whole.read_bytes())
    paths["cut.mkv"].write_bytes(data[: len(data) * 6 // 10])
    with av.open(str(whole)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    at = data.index(packets[15])
    data[at : at + len(packets[15])] = bytes(len(packets[15]))
    paths["damaged.mkv"].write_bytes(data)
    parts = []
    for number, size in enumerate(("640:360", "320:180")):
        part = folder / f".part{number}.ts"
        run("-i", whole, "-vf", f"scale={size}", "-frames:v", 12, *_X264, "-output_ts_offset", number, part)
        parts.append(part.read_bytes())
        part.unlink()
    paths["changes-size.ts"].write_bytes(b"".join(parts))
    known = folder / ".known.mp4"
    run("-i", whole, "-frames:v", 10, *_X264, known)
    paths["unknown-codec.mp4"].write_bytes(known.read_bytes().replace(b"avc1", b"zzz1"))
    run("-f", "lavfi", "-i", f"color=s=64x64:d={SECONDS}", "-frames:v", 0, "-c:v", "libx264", "-movflags",
        "frag_keyframe+empty_moov", paths["no-frame.mp4"])
    known.unlink()
    whole.unlink()
    return list(paths.values())
