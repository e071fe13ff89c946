"""What is written, read again by ffprobe and by our own decoder. Lossless where samples are compared."""

from __future__ import annotations

import itertools
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from cloak.errors import EncodingFailed, OutputRefused, SettingsInvalid
from cloak.files import pending_file
from cloak.video import clips, ffmpeg
from cloak.video.ffmpeg import Encoding, write

from .conftest import LOSSLESS

EXACT = Encoding(crf=0, preset="ultrafast")


def round_trip(path: Path, out: Path, options: Encoding = EXACT) -> ffmpeg.Written:
    clip = clips.probe(path)
    written = write(clip, out, clips.frames(clip), options)
    assert written.frames == sum(1 for _ in clips.frames(clip))
    return written


def shown(path: Path) -> tuple[list[float], list[bytes]]:
    """Times and samples."""
    frames = list(clips.frames(clips.probe(path)))
    return [frame.seconds for frame in frames], [b"".join(plane.tobytes() for plane in frame.planes)
                                                 for frame in frames]


def sound_packets(path: Path, place: int = 0) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        return [(float(packet.pts * packet.time_base), bytes(packet))
                for packet in container.demux(audio=place) if packet.size]


@pytest.mark.parametrize(("pixel_format", "name"), [
    ("yuv420p", "out.mp4"), ("yuv420p", "out.mov"), ("yuv420p", "out.mkv"), ("yuv422p", "out.mp4"),
    ("yuv444p", "out.mp4")])
def test_planes_and_times_come_back_as_they_were(make_clip, tmp_path, pixel_format, name):
    path, _ = make_clip("a.mkv", pixel_format, (64, 48), 6)
    out = tmp_path / name
    written = round_trip(path, out)
    assert shown(out) == shown(path)
    assert clips.probe(out).pixel_format == pixel_format and clips.probe(out).notes == ()
    assert (written.encoder, written.notes) == ("libx264", ())


@pytest.mark.parametrize("size", [(64, 48), (33, 17)])
def test_grey_keeps_its_samples_and_gets_no_colour(make_clip, tmp_path, size):
    path, pictures = make_clip("a.mkv", "gray", size, 2)
    round_trip(path, tmp_path / "out.mp4")
    for frame, (luma,) in zip(clips.frames(clips.probe(tmp_path / "out.mp4")), pictures, strict=True):
        assert np.array_equal(frame.planes[0], luma) and {*np.unique(np.stack(frame.planes[1:]))} == {128}


def test_ten_bits_become_hevc_and_lose_nothing(make_clip, tmp_path, ffprobe):
    path, _ = make_clip("a.mkv", "yuv420p10le", (64, 64), 3)
    out = tmp_path / "out.mp4"
    clip = clips.probe(path)
    choice = ffmpeg.choose(clip, ".mp4", Encoding())
    assert (choice.encoder, choice.pixel_format) == ("libx265", "yuv420p10le")
    round_trip(path, out, Encoding(crf=0))
    (stream,) = ffprobe(out, "-show_streams")["streams"]
    assert (stream["codec_name"], stream["codec_tag_string"], stream["pix_fmt"]) == ("hevc", "hvc1", "yuv420p10le")
    both = [np.stack([frame.planes[0] for frame in clips.frames(clips.probe(one))]).astype(int) for one in (path, out)]
    assert np.abs(both[0] - both[1]).mean() < 4  # of 1023: for noise, crf 0 is nearly lossless
    assert np.bincount((both[1] % 4).ravel()).min() > 1000  # 8 bits would leave the two lowest empty


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_clip_is_written_upright_with_nothing_left_to_turn(make_clip, tmp_path, ffprobe, run_ffmpeg, turn):
    source, _ = make_clip("a.mp4", "yuv420p", (64, 48), 2, codec=LOSSLESS)
    path, out = tmp_path / "turned.mp4", tmp_path / "out.mp4"
    with av.open(str(source)) as read, av.open(str(path), "w") as write_:
        stream = write_.add_stream_from_template(read.streams.video[0])
        stream.set_display_rotation(-turn)
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = stream
                write_.mux(packet)
    round_trip(path, out)
    (said,) = ffprobe(out, "-show_streams")["streams"]
    assert "side_data_list" not in said and (said["width"], said["height"]) == clips.probe(path).size
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
    assert run_ffmpeg("-i", out, *raw) == run_ffmpeg("-i", path, *raw)


def test_an_odd_size_stays_and_the_price_is_told(make_clip, tmp_path, ffprobe):
    path, pictures = make_clip("a.mkv", "yuv420p", (33, 17), 2)
    written = round_trip(path, tmp_path / "out.mp4")
    (said,) = ffprobe(tmp_path / "out.mp4", "-show_streams")["streams"]
    assert (said["width"], said["height"], said["pix_fmt"]) == (33, 17, "yuv444p") and "odd" in written.notes[0]
    lumas = [frame.planes[0] for frame in clips.frames(clips.probe(tmp_path / "out.mp4"))]
    assert all(np.array_equal(a, b[0]) for a, b in zip(lumas, pictures))
    written = round_trip(path, tmp_path / "out.webm", Encoding())
    (said,) = ffprobe(tmp_path / "out.webm", "-show_streams")["streams"]
    assert (said["width"], said["height"], said["pix_fmt"], written.notes) == (33, 17, "yuv420p", ())


def test_a_variable_rate_a_late_start_and_the_sound_stay_in_step(make_clip, tmp_path, run_ffmpeg):
    """Frames at 0, 1, 4, 9, ... hundredths, 0.5 s after the sound, which has a priming packet before 0."""
    silent, _ = make_clip("a.mkv", "yuv420p", (64, 48), 8, "-vf", "settb=1/1000,setpts=N*N*10", "-fps_mode",
                          "passthrough", "-enc_time_base", "1/1000")
    path = tmp_path / "late.mp4"
    run_ffmpeg("-itsoffset", 0.5, "-i", silent, "-f", "lavfi", "-i", "sine=duration=1.2", "-c:v", *LOSSLESS,
               "-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-video_track_timescale", 90000, "-c:a", "aac",
               path)
    for name in ("out.mp4", "out.mov", "out.mkv"):
        out = tmp_path / name
        round_trip(path, out)
        assert shown(out)[1] == shown(path)[1]
        assert shown(out)[0] == pytest.approx([i * i / 100 for i in range(8)], abs=0.0011)  # Matroska counts in ms
        # What counts is how far the sound is before the picture: Matroska has no times below 0 and moves both.
        assert first_times(out) == pytest.approx(first_times(path), abs=0.0021)
        assert [data for _, data in sound_packets(out)] == [data for _, data in sound_packets(path)]


def first_times(path: Path) -> float:
    """From the first packet of sound to the first picture."""
    clip = clips.probe(path)
    return float(next(clips.frames(clip)).time * clip.time_base) - sound_packets(path)[0][0]


def test_a_file_that_starts_at_an_hour_starts_at_zero_afterwards(make_clip, tmp_path, run_ffmpeg, ffprobe):
    source, _ = make_clip("a.mp4", "yuv420p", (64, 48), 10, codec=LOSSLESS)
    path, out = tmp_path / "live.ts", tmp_path / "out.mp4"
    run_ffmpeg("-i", source, "-f", "lavfi", "-i", "sine=duration=0.4", "-c:v", "copy", "-c:a", "aac",
               "-output_ts_offset", 3600, path)
    assert float(ffprobe(path, "-show_format")["format"]["start_time"]) > 3600
    round_trip(path, out)
    found = ffprobe(out, "-show_format", "-show_streams")
    starts = [float(stream["start_time"]) for stream in found["streams"]]
    assert max(starts) < 0.1 and float(found["format"]["duration"]) < 0.6
    before = [float(stream["start_time"]) for stream in ffprobe(path, "-show_streams")["streams"]]
    assert starts[0] - starts[1] == pytest.approx(before[0] - before[1], abs=0.002)


@pytest.fixture
def with_sounds(make_clip, tmp_path, run_ffmpeg) -> Path:
    """Two sounds, English and French, of 2 s."""
    silent, _ = make_clip("a.mp4", "yuv420p", (64, 48), 50, codec=LOSSLESS)
    path = tmp_path / "sounds.mkv"
    run_ffmpeg("-i", silent, "-f", "lavfi", "-i", "sine=440:duration=2", "-f", "lavfi", "-i", "sine=880:duration=2",
               "-map", 0, "-map", 1, "-map", 2, "-c:v", "copy", "-c:a:0", "aac", "-c:a:1", "ac3",
               "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra", "-metadata:s:a:1", "title=SECRET",
               path)
    return path


def test_all_sounds_are_kept_to_the_byte_with_their_languages(with_sounds, tmp_path, ffprobe):
    out = tmp_path / "out.mp4"
    round_trip(with_sounds, out)
    streams = ffprobe(out, "-show_streams")["streams"]
    assert [(one["codec_name"], one["tags"]["language"]) for one in streams[1:]] == [("aac", "eng"), ("ac3", "fra")]
    for place in range(2):
        kept, heard = sound_packets(out, place), sound_packets(with_sounds, place)
        assert [data for _, data in kept] == [data for _, data in heard]
    assert b"SECRET" not in out.read_bytes()


@pytest.mark.parametrize("audio", ["keep", "mute"])
def test_sound_that_was_trimmed_off_does_not_come_back(make_clip, tmp_path, run_ffmpeg, audio):
    """A loud second, then a silent one. Phones trim by a list that hides the first; the loud sound is still there."""
    silent, _ = make_clip("a.mp4", "yuv420p", (64, 48), 50, codec=LOSSLESS)
    path = tmp_path / "trimmed.mp4"
    run_ffmpeg("-i", silent, "-f", "lavfi", "-i", "sine=duration=1,apad=whole_dur=2", "-c:v", "copy", "-c:a", "aac",
               path)
    data = bytearray(path.read_bytes())
    for shift in (12800, 44100):  # one second in the time bases of the two
        at = data.index(b"elst", locals().get("at", 0)) + 12
        length, begin = struct.unpack_from(">Ii", data, at)
        struct.pack_into(">Ii", data, at, length // 2, begin + shift + shift // 10)
    path.write_bytes(data)
    hidden = sound_packets(path)
    assert hidden[0][0] < -0.9
    for name in ("out.mp4", "out.mkv"):
        options = Encoding(audio=audio, mute_spans=((0.8, 0.9),) if audio == "mute" else ())
        round_trip(path, tmp_path / name, options)
        kept = sound_packets(tmp_path / name)
        if audio == "keep" and name == "out.mp4":  # Matroska gets it encoded again
            assert [one for _, one in kept] == [one for time, one in hidden if time >= -3 * 1024 / 44100]
        # Whatever a list may hide, it is not there.
        everything = ("-ignore_editlist", 1) if name == "out.mp4" else ()
        raw = run_ffmpeg(*everything, "-i", tmp_path / name, "-map", "0:a", "-f", "s16le", "-ac", 1, "-")
        assert 0.8 < len(raw) / 2 / 44100 < 1.2
        assert np.abs(np.frombuffer(raw, np.int16)).max() < 50


def test_sound_can_be_dropped(with_sounds, tmp_path, ffprobe):
    written = round_trip(with_sounds, tmp_path / "out.mp4", Encoding(audio="drop"))
    assert [one["codec_type"] for one in ffprobe(tmp_path / "out.mp4", "-show_streams")["streams"]] == ["video"]
    assert "left out" in written.notes[0]


def test_muted_spans_are_silent_in_every_sound_and_the_rest_is_not(with_sounds, tmp_path, run_ffmpeg):
    out = tmp_path / "out.mp4"
    round_trip(with_sounds, out, Encoding(audio="mute", mute_spans=((0.5, 1.0), (1.4, 1.6))))
    for place in range(2):
        raw = run_ffmpeg("-i", out, "-map", f"0:a:{place}", "-f", "s16le", "-ac", 1, "-ar", 44100, "-")
        loudness = np.abs(np.frombuffer(raw, np.int16).astype(float))

        def between(begin: float, end: float, loudness: np.ndarray = loudness) -> float:
            return float(loudness[int(begin * 44100):int(end * 44100)].mean())

        assert between(0.55, 0.95) < 5 and between(1.44, 1.56) < 5
        assert min(between(0.1, 0.45), between(1.05, 1.35), between(1.65, 1.9)) > 500


def test_a_sound_that_the_container_cannot_carry_is_encoded_and_told(make_clip, tmp_path, run_ffmpeg, ffprobe):
    silent, _ = make_clip("a.mp4", codec=LOSSLESS)
    path = tmp_path / "pcm.mkv"
    run_ffmpeg("-i", silent, "-f", "lavfi", "-i", "sine=duration=0.2", "-c:v", "copy", "-c:a", "pcm_s16le", path)
    written = round_trip(path, tmp_path / "out.mp4")
    assert ffprobe(tmp_path / "out.mp4", "-show_streams")["streams"][1]["codec_name"] == "aac"
    assert "pcm_s16le" in written.notes[0]
    assert round_trip(path, tmp_path / "out.mov").notes == ()
    assert sound_packets(tmp_path / "out.mov") and ffprobe(
        tmp_path / "out.mov", "-show_streams")["streams"][1]["codec_name"] == "pcm_s16le"


@pytest.mark.parametrize("field", ["tff", "bff"])
def test_colour_tags_pixel_shape_and_fields_are_forwarded(make_clip, tmp_path, ffprobe, field):
    tags = "range=pc:color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc"
    path, _ = make_clip("a.mkv", "yuv420p", (64, 64), 4, "-vf", f"setsar=4/3,setfield={field},setparams={tags}",
                        "-flags", "+ilme+ildct", codec=(*LOSSLESS, "-x264-params", "chromaloc=2"))
    out = tmp_path / "out.mp4"
    round_trip(path, out)
    before, after = (ffprobe(one, "-show_streams")["streams"][0] for one in (path, out))
    for key in ("color_primaries", "color_transfer", "color_space", "color_range", "chroma_location",
                "sample_aspect_ratio"):
        assert after.get(key) == before[key], key
    assert (after["chroma_location"], after["color_range"]) == ("topleft", "pc")
    fields = [[(frame["interlaced_frame"], frame["top_field_first"])
               for frame in ffprobe(one, "-show_frames")["frames"]] for one in (path, out)]
    assert fields[0] == fields[1] == [(1, int(field == "tff"))] * 4
    assert shown(out)[1] == shown(path)[1]


def test_the_index_is_at_the_front_unless_asked_otherwise(make_clip, tmp_path):
    path, _ = make_clip("a.mkv")
    for wanted in (True, False):
        round_trip(path, tmp_path / "out.mp4", Encoding(faststart=wanted))
        data = (tmp_path / "out.mp4").read_bytes()
        assert (data.index(b"moov") < data.index(b"mdat")) == wanted


def test_no_tag_chapter_subtitle_or_data_comes_through(make_clip, tmp_path, run_ffmpeg, ffprobe):
    silent, _ = make_clip("a.mp4", codec=LOSSLESS)
    (tmp_path / "tags.txt").write_text(";FFMETADATA1\ntitle=CANARY\nlocation=+48.8577+002.2950/\n[CHAPTER]\n"
                                       "TIMEBASE=1/1000\nSTART=0\nEND=100\ntitle=CANARY\n")
    (tmp_path / "gps.srt").write_text("1\n00:00:00,000 --> 00:00:00,100\nGPS CANARY 48.8577\n")
    path = tmp_path / "tagged.mp4"
    run_ffmpeg("-i", silent, "-i", tmp_path / "tags.txt", "-i", tmp_path / "gps.srt", "-f", "lavfi", "-i",
               "sine=duration=0.2", "-map", "0:v", "-map", "3:a", "-map", "2", "-map_metadata", 1, "-map_chapters", 1,
               "-c:v", "copy", "-c:s", "mov_text", "-metadata:s:v", "handler_name=CANARY-V", "-metadata:s:a",
               "handler_name=CANARY-A", "-timecode", "01:02:03:04", path)
    assert path.read_bytes().count(b"CANARY") >= 4
    for name in ("out.mp4", "out.mov", "out.mkv"):
        out = tmp_path / name
        round_trip(path, out)
        data = out.read_bytes()
        assert not [word for word in (b"CANARY", b"48.85", b"GPS", b"x264", b"Lavc5", b"tmcd") if word in
                    data.replace(_first_aac(path), b"")]
        found = ffprobe(out, "-show_streams", "-show_chapters", "-show_format")
        assert [stream["codec_type"] for stream in found["streams"]] == ["video", "audio"] and not found["chapters"]


def _first_aac(path: Path) -> bytes:
    """ffmpeg's AAC encoder signs its first packet, which is kept as all sound is."""
    return sound_packets(path)[0][1]


def test_the_same_frames_and_settings_give_the_same_bytes(make_clip, tmp_path):
    path, _ = make_clip("a.mkv", "yuv420p", (160, 96), 20)
    for name in ("1.mp4", "2.mp4"):
        round_trip(path, tmp_path / name, Encoding())
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "2.mp4").read_bytes()


@pytest.mark.parametrize("name", ["-y.mkv", "concat:a|b.mkv", "100%d.mkv", "a'b\" c;$(x).mkv", "é\u202e.mkv"])
def test_odd_names_mean_nothing(make_clip, tmp_path, monkeypatch, name):
    path, _ = make_clip("a.mkv", count=2)
    monkeypatch.chdir(tmp_path)
    os.rename(path, name)
    round_trip(Path(name), Path(f"out-{name}"))
    round_trip(Path(f"out-{name}"), Path(name))
    assert len(shown(Path(name))[0]) == 2


def test_one_frame_is_a_video(make_clip, tmp_path, ffprobe):
    path, _ = make_clip("a.mkv", count=1)
    round_trip(path, tmp_path / "out.mp4")
    assert ffprobe(tmp_path / "out.mp4", "-show_streams")["streams"][0]["nb_frames"] == "1"
    assert shown(tmp_path / "out.mp4") == shown(path)


def test_progress_is_told_frame_by_frame(make_clip, tmp_path):
    path, _ = make_clip("a.mkv", count=4)
    clip, told = clips.probe(path), []
    write(clip, tmp_path / "out.part", clips.frames(clip), EXACT, named=Path("out.mp4"), on_frame=told.append)
    assert told == [1, 2, 3, 4] and clips.probe(tmp_path / "out.part").frames == 4


# --- refusals and accidents --------------------------------------------------------------------------------------


def test_what_cannot_be_written_is_refused_before_any_work(make_clip):
    clip = clips.probe(make_clip("a.mkv", count=1)[0])
    with pytest.raises(OutputRefused, match=r"\.mp4, .*\.webm"):
        ffmpeg.choose(clip, ".avi", Encoding())
    with pytest.raises(SettingsInvalid, match="vp9 and av1"):
        ffmpeg.choose(clip, ".webm", Encoding(codec="h264"))
    with pytest.raises(SettingsInvalid, match="h264_nowhere"):
        ffmpeg.choose(clip, ".mp4", Encoding(encoder="h264_nowhere"))
    with pytest.raises(SettingsInvalid, match="not one for hevc"):
        ffmpeg.choose(clip, ".mp4", Encoding(codec="hevc", encoder="libx264"))
    for wrong in ({"crf": 99}, {"threads": 0}, {"audio": "mute"}, {"mute_spans": ((0, 1),)},
                  {"audio": "mute", "mute_spans": ((2, 1),)}, {"audio": "mute", "mute_spans": ((0, float("nan")),)}):
        with pytest.raises(SettingsInvalid, match="Nothing was written"):
            Encoding(**wrong)
    assert "libx264" in ffmpeg.encoders()


def test_a_rehearsal_finds_what_ffmpeg_refuses_and_leaves_nothing(with_sounds, tmp_path):
    clip, folder = clips.probe(with_sounds), tmp_path / "work"
    folder.mkdir()
    assert ffmpeg.rehearse(clip, folder / "a.mp4", Encoding()) == ffmpeg.choose(clip, ".mp4", Encoding())
    with pytest.raises(EncodingFailed, match=r"cannot be written as \.mkv with libx264\. out\.mkv: ffmpeg"):
        ffmpeg.rehearse(clip, folder / "a", Encoding(preset="quickest"), named=Path("out.mkv"))
    assert list(folder.iterdir()) == []


def test_a_rehearsal_takes_what_can_be_decoded_where_damage_is_allowed(make_clip, tmp_path):
    """The index promises frames, and the first ones cannot be decoded."""
    path, _ = make_clip("a.mkv", "yuv420p", (64, 48), 8, "-g", 1, codec=LOSSLESS)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        first, second = [packet for packet in container.demux(video=0) if packet.size][:2]
        at = data.index(bytes(second))
        data[at : at + second.size] = bytes(second.size)
    path.write_bytes(data)
    clip, told = clips.probe(path), []
    ffmpeg.rehearse(clip, tmp_path / "out.mp4", Encoding(), on_damage=told.append)
    assert [one.name for one in tmp_path.iterdir()] == ["a.mkv"]


def test_hardware_encoders_are_told_quality_in_their_own_words(make_clip, monkeypatch, tmp_path):
    clip = clips.probe(make_clip("a.mkv", count=1)[0])
    names = {"h264_nvenc": "-cq 23", "hevc_vaapi": "-qp 23", "h264_qsv": "-global_quality 23",
             "hevc_videotoolbox": "-q:v 54"}
    monkeypatch.setattr(ffmpeg, "_encoders", lambda _: frozenset(names))
    for name, expected in names.items():
        options = Encoding(encoder=name, crf=23)
        command = " ".join(ffmpeg._command(clip, tmp_path / "o.mp4", options, ffmpeg.choose(clip, ".mp4", options)))
        assert f"-c:v {name}" in command and expected in command
    assert "hwupload" in " ".join(ffmpeg._command(clip, tmp_path / "o.mp4", Encoding(encoder="hevc_vaapi"),
                                                  ffmpeg.choose(clip, ".mp4", Encoding(encoder="hevc_vaapi"))))


def test_ffmpeg_killed_in_the_middle_is_no_success(make_clip, tmp_path, monkeypatch):
    path, _ = make_clip("a.mkv", "yuv420p", (320, 240), 60)
    clip, started = clips.probe(path), []

    class Remembered(subprocess.Popen):
        def __init__(self, *words, **more):
            super().__init__(*words, **more)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Remembered)

    def frames():
        for frame in clips.frames(clip):
            if frame.number == 5:
                started[-1].kill()
                started[-1].wait()
            yield frame

    with pytest.raises(EncodingFailed, match="ended by signal 9"):
        write(clip, tmp_path / "out.mp4", frames(), EXACT)


def test_an_error_of_ours_ends_ffmpeg_too(make_clip, tmp_path, monkeypatch):
    clip, started = clips.probe(make_clip("a.mkv")[0]), []

    class Remembered(subprocess.Popen):
        def __init__(self, *words, **more):
            super().__init__(*words, **more)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Remembered)

    def frames():
        yield from itertools.islice(clips.frames(clip), 2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(clip, tmp_path / "out.mp4", frames(), EXACT)
    assert started[-1].poll() is not None and started[-1].returncode != 0


def test_a_file_that_is_not_whole_never_gets_its_name(make_clip, tmp_path):
    clip = clips.probe(make_clip("a.mkv")[0])
    (tmp_path / "new").mkdir()
    out = tmp_path / "new" / "out.mp4"

    def breaking():
        yield next(clips.frames(clip))
        raise EncodingFailed("no more")

    with pytest.raises(EncodingFailed), pending_file(out, overwrite=False, inputs=[clip.path]) as pending:
        write(clip, pending.temporary, breaking(), EXACT, named=out)
    assert list(out.parent.iterdir()) == []
    with pending_file(out, overwrite=False, inputs=[clip.path]) as pending:
        write(clip, pending.temporary, clips.frames(clip), EXACT, named=out)
        assert stat.S_IMODE(pending.temporary.stat().st_mode) == 0o600
        pending.commit()
    assert list(out.parent.iterdir()) == [out] and shown(out) == shown(clip.path)


def test_a_full_disk_is_named(make_clip):
    clip = clips.probe(make_clip("a.mkv", "yuv420p", (320, 240), 10)[0])
    with pytest.raises(OutputRefused, match=r"^out\.mkv: the disk is full"):
        write(clip, Path("/dev/full"), clips.frames(clip), EXACT, named=Path("out.mkv"))


def test_a_limit_on_file_sizes_is_named(make_clip, tmp_path):
    path, _ = make_clip("a.mkv", "yuv420p", (320, 240), 20)
    code = f"""
import resource
from pathlib import Path
from cloak.errors import OutputRefused
from cloak.files import pending_file
from cloak.video import clips, ffmpeg
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
clip = clips.probe(Path({str(path)!r}))
try:
    ffmpeg.write(clip, Path({str(tmp_path / "out.mp4")!r}), clips.frames(clip), ffmpeg.Encoding(crf=0))
except OutputRefused as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "larger than files may be" in run.stdout, run.stderr


def stand_in(tmp_path: Path, script: str) -> Path:
    path = tmp_path / "stand-in"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_flood_of_words_blocks_nothing_and_a_silent_success_without_frames_is_none(
        make_clip, tmp_path, monkeypatch, binary):
    clip = clips.probe(make_clip("a.mkv", count=3)[0])
    asks = f'case "$*" in -version|*-encoders) exec {binary} "$@";; *verbose*) exit 0;; esac'
    flood = stand_in(tmp_path, f"{asks}\nyes 'a long line of complaints' | head -c 3000000 >&2\ncat >/dev/null\nexit 7")
    monkeypatch.setenv("FACECLOAK_FFMPEG", str(flood))
    ffmpeg._version.cache_clear()
    with pytest.raises(EncodingFailed, match="code 7 after 3 frames .*complaints") as raised:
        write(clip, tmp_path / "out.mp4", clips.frames(clip), EXACT)
    assert len(str(raised.value)) < 1000
    stand_in(tmp_path, f"{asks}\ncat >/dev/null\nexit 0")
    with pytest.raises(EncodingFailed, match="has 0 frames"):
        write(clip, tmp_path / "out.mp4", clips.frames(clip), EXACT)


def test_binaries_that_are_too_old_or_missing_are_not_used(tmp_path, monkeypatch):
    old = stand_in(tmp_path, 'echo "ffmpeg version 4.4.2 Copyright"')
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FACECLOAK_FFMPEG", raising=False)
    old.rename(tmp_path / "ffmpeg")
    assert str(tmp_path / "ffmpeg") not in ffmpeg._binaries()  # the one of the wheel is
    monkeypatch.setattr(ffmpeg, "_bundled", lambda: None)
    with pytest.raises(EncodingFailed, match="5.1"):
        ffmpeg._binaries()
    monkeypatch.setenv("FACECLOAK_FFMPEG", "/nowhere/ffmpeg")
    with pytest.raises(EncodingFailed, match="FACECLOAK_FFMPEG"):
        ffmpeg._binaries()


def test_the_binary_of_the_wheel_writes_the_same_picture(make_clip, tmp_path, monkeypatch):
    path, _ = make_clip("a.mkv", count=3)
    bundled = ffmpeg._bundled()
    assert bundled is not None
    monkeypatch.setenv("FACECLOAK_FFMPEG", bundled)
    round_trip(path, tmp_path / "out.mp4")
    assert shown(tmp_path / "out.mp4") == shown(path)


# --- the data pack -----------------------------------------------------------------------------------------------


def test_the_default_quality_keeps_46_db(shared_data, tmp_path):
    for name in ("crowd-street", "phone-rotated"):
        clip = clips.probe(shared_data / "video" / f"{name}.mp4")
        frames = list(itertools.islice(clips.frames(clip), 12))
        write(clip, tmp_path / "out.mp4", frames, Encoding(audio="drop"))
        errors = [((one.planes[0].astype(float) - other.planes[0]) ** 2).mean()
                  for one, other in zip(frames, clips.frames(clips.probe(tmp_path / "out.mp4")))]
        assert 10 * np.log10(255**2 / np.mean(errors)) >= 46


def test_hdr10_and_both_sounds_survive(shared_data, tmp_path, ffprobe):
    path, out = shared_data / "video" / "two-audio-hdr10.mp4", tmp_path / "out.mp4"
    clip = clips.probe(path)
    write(clip, out, itertools.islice(clips.frames(clip), 5), Encoding())
    after = clips.probe(out)
    assert after.colour == clip.colour and after.pixel_format == clip.pixel_format
    first = ffprobe(out, "-select_streams", "v", "-read_intervals", "%+#1", "-show_frames")["frames"][0]
    kinds = {one["side_data_type"] for one in first["side_data_list"]}
    assert {"Mastering display metadata", "Content light level metadata"} <= kinds
    for place in range(2):
        assert [data for _, data in sound_packets(out, place)] == [data for _, data in sound_packets(path, place)]


def test_no_canary_of_the_tagged_clip_is_left(shared_data, tmp_path):
    path, out = shared_data / "video" / "gps-tagged.mp4", tmp_path / "out.mp4"
    round_trip(path, out, Encoding())
    data = out.read_bytes()
    for word in (b"CANARY", b"Canary", b"48.85", b"2.29", b"002.295", b"GoPro", b"gpmd", b"ISO6709", b"creation"):
        assert word in path.read_bytes() or word in (b"creation",)
        assert word not in data
    assert clips.probe(out).left_out == ()


def test_the_variable_rate_of_the_pack_survives(shared_data, tmp_path):
    path, out = shared_data / "video" / "vfr.mp4", tmp_path / "out.mp4"
    round_trip(path, out, Encoding(preset="ultrafast"))
    before, after = clips.probe(path), clips.probe(out)
    assert [frame.time for frame in clips.frames(after)] == [frame.time for frame in clips.frames(before)]
    assert abs(after.duration_s - before.duration_s) <= 1 / 16
