"""What a clip says, and its frames. Known samples, ffmpeg's own decoding, and ffprobe are what it is compared with."""

from __future__ import annotations

import dataclasses
import gc
import struct
from fractions import Fraction
from pathlib import Path
from random import Random

import av
import numpy as np
import pytest

from cloak.errors import ClipUnreadable, ClipUnsupported
from cloak.video import clips, looking
from cloak.video.types import Colour

from .conftest import LOSSLESS


def planes_of(path: Path) -> list[tuple[np.ndarray, ...]]:
    return [frame.planes for frame in clips.frames(clips.probe(path))]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert len(one) == len(other)
        for a, b in zip(one, other):
            assert a.dtype == b.dtype and a.flags.writeable and a.flags.c_contiguous
            assert np.array_equal(a, b)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le",
                                          "gray", "gray10le"])
@pytest.mark.parametrize("size", [(33, 17)])
def test_planes_are_the_stored_samples(make_clip, pixel_format, size):
    path, pictures = make_clip("a.mkv", pixel_format, size, 3)
    clip = clips.probe(path)
    assert clip.size == size and clip.pixel_format == pixel_format == clips.planar_format(clip)
    assert clip.depth == (10 if "10" in pixel_format else 8)
    assert_same(planes_of(path), pictures)


def test_semi_planar_and_packed_pixels_become_planes_without_a_change(run_ffmpeg, make_clip, tmp_path):
    for stored, planar in (("nv12", "yuv420p"), ("yuyv422", "yuv422p"), ("uyvy422", "yuv422p")):
        source, pictures = make_clip("planar.mkv", planar, (34, 18), 2)
        path = tmp_path / f"{stored}.nut"
        run_ffmpeg("-i", source, "-c:v", "rawvideo", "-pix_fmt", stored, path)
        clip = clips.probe(path)
        assert clip.pixel_format == stored and clips.planar_format(clip) == planar and clip.notes == ()
        assert_same(planes_of(path), pictures)


@pytest.mark.parametrize("planar", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"])
def test_what_decoders_of_graphics_cards_give_becomes_planes_without_a_change(make_clip, planar):
    path, pictures = make_clip("a.mkv", planar, (34, 18), 1)
    semi = {"yuv420p": "nv12", "yuv422p": "nv16", "yuv444p": "nv24", "yuv420p10le": "p010le", "yuv422p10le": "p210le",
            "yuv444p10le": "p410le"}[planar]
    clip = dataclasses.replace(clips.probe(path), pixel_format=semi)
    with av.open(str(path)) as container:
        (picture,) = container.decode(video=0)
    assert_same([clips._planes(clip, picture.reformat(format=semi))], pictures)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_frames_stand_upright_as_a_player_shows_them(make_clip, run_ffmpeg, tmp_path, rotation, is_mirrored):
    source, _ = make_clip("a.mp4", "yuv420p", (64, 48), 3, codec=LOSSLESS)
    path = tmp_path / "turned.mp4"
    with av.open(str(source)) as read, av.open(str(path), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        stream.set_display_rotation(-rotation, hflip=is_mirrored)
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = stream
                write.mux(packet)
    clip = clips.probe(path)
    assert clip.is_mirrored == is_mirrored and (is_mirrored or clip.rotation == rotation)
    assert clip.size == ((48, 64) if rotation in (90, 270) else (64, 48))
    shown = np.frombuffer(run_ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"), np.uint8)  # turns it
    ours = b"".join(plane.tobytes() for frame in clips.frames(clip) for plane in frame.planes)
    assert ours == shown.tobytes()
    assert all(frame.to_rgb().shape == (*clip.size[::-1], 3) for frame in clips.frames(clip))


def test_a_quarter_turn_of_422_gives_444_and_says_so(make_clip, tmp_path):
    source, pictures = make_clip("a.mp4", "yuv422p", (32, 16), 1, codec=LOSSLESS)
    path = tmp_path / "turned.mov"
    with av.open(str(source)) as read, av.open(str(path), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        stream.set_display_rotation(-90)
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = stream
                write.mux(packet)
    clip = clips.probe(path)
    assert clips.planar_format(clip) == "yuv444p" and "4:4:4" in clip.notes[0]
    (planes,) = planes_of(path)
    assert [plane.shape for plane in planes] == [(32, 16)] * 3
    assert np.array_equal(planes[0], np.rot90(pictures[0][0], -1))
    assert np.array_equal(planes[1][::2], np.rot90(pictures[0][1], -1))
    assert np.array_equal(planes[1][1::2], np.rot90(pictures[0][1], -1))


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("range", ["tv", "pc"])
def test_rgb_follows_the_matrix_and_the_range(make_clip, run_ffmpeg, matrix, range):
    # Noise within what cameras make: swscale wraps around at colours far outside of RGB.
    path, _ = make_clip("a.mkv", "yuv444p", (32, 16), 1, "-vf", "lutyuv=y=60+val/2:u=108+val/6:v=108+val/6",
                        "-colorspace", matrix, "-color_range", range, "-color_primaries", "bt709", "-color_trc",
                        "bt709")
    clip = clips.probe(path)
    assert (clip.colour.matrix, clip.colour.range) == (matrix, range)
    (frame,) = clips.frames(clip)
    y, u, v = (plane.astype(float) for plane in frame.planes)
    y, u, v = ((y - 16) / 219, (u - 128) / 224, (v - 128) / 224) if range == "tv" else (
        y / 255, (u - 128) / 255, (v - 128) / 255)
    kr, kb = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}[matrix]  # H.273
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    expected = np.clip(np.stack([red, green, blue], -1) * 255, 0, 255)
    assert np.abs(frame.to_rgb() - expected).max() <= 2


def pq(nits):
    """Levels in [0, 1] by the inverse of SMPTE ST 2084, another way than ours: from light to levels."""
    y = (np.asarray(nits) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def test_pq_is_looked_at_as_a_common_screen_would_show_it(run_ffmpeg, tmp_path):
    """Ten bits of PQ; the planes stay as they are."""
    nits = [0, 1, 20, 100, 203, 600]
    levels = np.round(64 + 876 * pq(nits)).astype(np.uint16)
    path = tmp_path / "pq.mkv"
    pictures = b"".join(np.repeat([level, 512], [256, 128]).astype("<u2").tobytes() for level in levels)
    run_ffmpeg("-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", "16x16", "-r", 25, "-i", "-", "-c:v", "ffv1",
               "-color_trc", "smpte2084", "-color_primaries", "bt2020", "-colorspace", "bt2020nc", "-color_range", "tv",
               path, input=pictures)
    frames = list(clips.frames(clips.probe(path)))
    assert [int(frame.planes[0][0, 0]) for frame in frames] == list(levels)
    light = np.array(nits) / 203
    light = light * (1 + light / (1000 / 203) ** 2) / (1 + light)
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    seen = np.array([frame.to_rgb()[0, 0] for frame in frames], float)
    assert np.abs(seen - expected[:, None]).max() <= 5 and seen[4].min() > 180 and seen[2].min() > 70
    looked = np.array([looking._picture(frame, 1.0)[0, 0] for frame in frames], float)
    assert np.abs(looked - expected[:, None]).max() <= 20  # by the matrix of JPEG
    plain = dataclasses.replace(clips.probe(path), colour=Colour(transfer="bt709", range="tv"))
    assert next(clips.frames(plain)).tones is None


def test_rgb_is_of_the_picture_as_decoded_though_its_planes_were_painted(make_clip):
    path, _ = make_clip("a.mkv", count=1)
    (frame,) = clips.frames(clips.probe(path))
    before = frame.to_rgb()
    for plane in frame.planes:
        plane[:] = 0
    assert np.array_equal(frame.to_rgb(), before) and before.any()


def test_frames_come_in_the_order_and_at_the_times_in_which_they_are_shown(make_clip, ffprobe):
    path, pictures = make_clip("a.mp4", "yuv420p", (64, 48), 12, "-bf", 3, "-g", 6, codec=("libx264", "-qp", "0"))
    clip = clips.probe(path)
    frames = list(clips.frames(clip))
    assert_same([frame.planes for frame in frames], pictures)
    assert [frame.number for frame in frames] == list(range(12))
    shown = ffprobe(path, "-select_streams", "v", "-show_entries", "frame=best_effort_timestamp")["frames"]
    assert [frame.time for frame in frames] == [one["best_effort_timestamp"] for one in shown]
    assert [frame.seconds for frame in frames] == pytest.approx([i / 25 for i in range(12)])
    later = list(clips.frames(clip, start=7))
    assert [(frame.number, frame.time) for frame in later] == [(frame.number, frame.time) for frame in frames[7:]]
    assert_same([frame.planes for frame in later], pictures[7:])


def test_frames_before_an_edit_are_not_shown_and_not_missed(make_clip, tmp_path, run_ffmpeg, ffprobe):
    """Cut without encoding, as phones trim: the file has frames from the key frame on and a list that hides some."""
    source, pictures = make_clip("a.mp4", "yuv420p", (64, 48), 20, "-g", 20, codec=LOSSLESS)
    path = tmp_path / "cut.mp4"
    run_ffmpeg("-ss", 0.28, "-i", source, "-c", "copy", path)
    assert int(ffprobe(path, "-show_streams")["streams"][0]["nb_frames"]) > 13 == clips.probe(path).frames
    assert_same(planes_of(path), pictures[7:])


def test_frames_behind_an_edit_are_not_missed_either(make_clip, tmp_path):
    path, pictures = make_clip("a.mp4", "yuv420p", (64, 48), 50, codec=(*LOSSLESS, "-bf", "0"))
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    length, first = struct.unpack_from(">Ii", data, at)  # how much to show, from where on
    assert first == 0
    struct.pack_into(">I", data, at, length // 2)
    trimmed = tmp_path / "trimmed.mp4"
    trimmed.write_bytes(data)
    assert clips.probe(trimmed).frames == 25
    assert_same(planes_of(trimmed), pictures[:25])


def test_codecs_are_called_by_their_names_and_not_by_those_of_decoders(make_clip, tmp_path, run_ffmpeg):
    source, _ = make_clip("a.mkv")
    path = tmp_path / "a.webm"
    run_ffmpeg("-i", source, "-f", "lavfi", "-i", "sine=duration=0.2", "-c:v", "libaom-av1", "-cpu-used", 8, "-c:a",
               "mp3", "-f", "matroska", path)
    clip = clips.probe(path)
    assert (clip.codec, clip.sounds[0].codec) == ("av1", "mp3")


def test_times_that_are_missing_or_do_not_rise_are_made_up(make_clip, tmp_path, run_ffmpeg):
    source, pictures = make_clip("a.mkv", count=6)
    raw = tmp_path / "a.h264"  # has no times at all
    run_ffmpeg("-i", source, "-c:v", *LOSSLESS, raw)
    stuck = tmp_path / "stuck.nut"
    run_ffmpeg("-i", source, "-c:v", "ffv1", "-bsf:v", "setts=pts=min(N\\,3)*1000:dts=min(N\\,3)*1000", stuck)
    for path in (raw, stuck):
        frames = list(clips.frames(clips.probe(path)))
        assert_same([frame.planes for frame in frames], pictures)
        times = [frame.time for frame in frames]
        assert all(a < b for a, b in zip(times, times[1:]))


def test_what_a_clip_says_agrees_with_ffprobe(make_clip, ffprobe):
    tags = "range=tv:color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc"
    path, _ = make_clip("a.mp4", "yuv420p", (64, 48), 10, "-vf", f"setsar=4/3,setparams={tags}", codec=LOSSLESS)
    clip = clips.probe(path)
    (stream,) = ffprobe(path, "-show_streams")["streams"]
    assert clip.colour == Colour(stream["color_primaries"], stream["color_transfer"], stream["color_space"],
                                 stream["color_range"])
    assert clip.aspect == Fraction(4, 3) and stream["sample_aspect_ratio"] == "4:3"
    assert (clip.codec, clip.frames, str(clip.rate)) == (stream["codec_name"], int(stream["nb_frames"]), "25")
    assert clip.duration_s == pytest.approx(float(stream["duration"]))
    assert f"1/{clip.time_base.denominator}" == stream["time_base"]
    assert clip.sounds == () and clip.left_out == () and clip.start == 0


def test_cover_art_is_not_the_video(make_clip, portrait, tmp_path, run_ffmpeg):
    source, pictures = make_clip("a.mp4", codec=LOSSLESS)
    path = tmp_path / "with-cover.mp4"
    run_ffmpeg("-i", portrait, "-i", source, "-map", 0, "-map", 1, "-c", "copy", "-disposition:v:0", "attached_pic",
               path)
    clip = clips.probe(path)
    assert clip.size == (64, 48) and [words for words in clip.left_out if "cover art" in words]
    assert_same(planes_of(path), pictures)


def test_frames_are_let_go_of_at_once(make_clip):
    """An hour has 90,000 of them; waiting for the garbage collector took 200 MB at 720p."""
    path, _ = make_clip("a.mp4", "yuv420p", (64, 48), 60, codec=LOSSLESS)
    clip = clips.probe(path)
    gc.collect()
    gc.disable()
    try:
        alive = []
        for frame in clips.frames(clip):
            if frame.number % 20 == 10:
                alive.append(sum(isinstance(one, av.VideoFrame) for one in gc.get_objects()))
        assert max(alive) - alive[0] <= 2 and alive[0] > 0
    finally:
        gc.enable()


# --- refusals ----------------------------------------------------------------------------------------------------


def refused(path: Path, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as raised:
        for _ in clips.frames(clips.probe(path)):
            pass
    assert str(path) in str(raised.value)


def test_what_is_no_video_is_refused_in_words(tmp_path, portrait, run_ffmpeg):
    (tmp_path / "empty.mp4").touch()
    refused(tmp_path / "empty.mp4", ClipUnreadable, "is empty")
    (tmp_path / "text.mp4").write_text("This is no video.\n" * 20)
    refused(tmp_path / "text.mp4", ClipUnreadable, "is not a video")
    refused(tmp_path / "missing.mp4", ClipUnreadable, "does not exist")
    refused(tmp_path, ClipUnreadable, "is a folder")
    refused(portrait, ClipUnsupported, "is a photo")
    sound = tmp_path / "sound.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "aac", sound)
    refused(sound, ClipUnsupported, "no video, only sound")
    cover = tmp_path / "cover.m4a"
    run_ffmpeg("-i", sound, "-i", portrait, "-map", 0, "-map", 1, "-c", "copy", "-disposition:v", "attached_pic",
               "-f", "mp4", cover)
    refused(cover, ClipUnsupported, "no video, only sound")


def test_a_playlist_opens_no_other_file(make_clip, tmp_path):
    make_clip("secret.ts", codec=("mpeg2video",))
    playlist = tmp_path / "innocent.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\nsecret.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises((ClipUnreadable, ClipUnsupported)):
        clips.probe(playlist)
    listed = tmp_path / "listed.mp4"
    listed.write_text("ffconcat version 1.0\nfile secret.ts\n")
    with pytest.raises((ClipUnreadable, ClipUnsupported)):
        clips.probe(listed)


@pytest.mark.parametrize(("pixel_format", "codec", "words"), [
    ("yuva420p", "ffv1", "transparent"),
    ("yuv420p12le", "ffv1", "12 bits"),
    ("bgr0", "ffv1", None),
    ("yuv411p", "ffv1", None),
])
def test_pixels_that_cannot_be_kept_are_refused_or_told(tmp_path, run_ffmpeg, pixel_format, codec, words):
    path = tmp_path / "a.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.1", "-pix_fmt", pixel_format, "-c:v", codec, path)
    if words is not None:
        refused(path, ClipUnsupported, words)
        return
    clip = clips.probe(path)
    assert pixel_format in clip.notes[0] and clips.planar_format(clip) == "yuv444p"
    shown = np.frombuffer(run_ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"), np.uint8)
    frames = list(clips.frames(clip))
    rgb = np.stack([frame.to_rgb() for frame in frames])
    assert np.abs(rgb.astype(int) - shown.reshape(rgb.shape)).mean() < 3
    assert all([plane.shape for plane in frame.planes] == [(48, 64)] * 3 for frame in frames)


def test_a_missing_codec_is_named(make_clip, tmp_path):
    source, _ = make_clip("a.mp4", codec=LOSSLESS)
    path = tmp_path / "unknown.mp4"
    path.write_bytes(source.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises((ClipUnsupported, ClipUnreadable), match="codec|decoded"):
        clips.probe(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_file_that_ends_early_is_refused_and_says_how_much_is_missing(make_clip, tmp_path, name):
    words = ("-movflags", "+faststart") if name.endswith("mp4") else ()
    source, _ = make_clip(name, "yuv420p", (64, 48), 100, *words, codec=LOSSLESS)
    data = source.read_bytes()
    path = tmp_path / f"cut-{name}"
    path.write_bytes(data[: len(data) * 6 // 10])
    refused(path, ClipUnreadable, r"ends early: .*\(?[34]\d %\)? are missing")
    told: list[str] = []
    frames = list(clips.frames(clips.probe(path), on_damage=told.append))
    assert 50 < len(frames) < 65 and len(told) == 1 and "are missing" in told[0]


def test_a_damaged_frame_is_refused_with_its_time(make_clip, tmp_path):
    source, _ = make_clip("a.mp4", "yuv420p", (64, 48), 50, "-g", 10, codec=LOSSLESS)
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][25]
        middle = packet.pos + packet.size // 2
    data[middle:middle + 40] = bytes(40)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    refused(path, ClipUnreadable, r"near 0:00:01\.0")
    told: list[str] = []
    assert len(list(clips.frames(clips.probe(path), on_damage=told.append))) >= 49 and told


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ogv", "a.avi"])
def test_damage_anywhere_is_told_as_an_error_of_ours_or_changes_little(make_clip, tmp_path, name):
    codec = {"a.ogv": ("libtheora",), "a.avi": ("mpeg4",)}.get(name, LOSSLESS)
    source, _ = make_clip(name, "yuv420p", (64, 48), 5, codec=codec)
    whole = source.read_bytes()
    path, random = tmp_path / "damaged", Random(7)
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(random.randrange(1, 12)):
            data[random.randrange(min(len(data), 2000))] = random.randrange(256)
        path.write_bytes(data)
        try:
            for frame in clips.frames(clips.probe(path)):
                assert frame.planes[0].shape == frame.to_rgb().shape[:2]
        except (ClipUnreadable, ClipUnsupported) as error:
            assert str(path) in str(error)


def test_a_change_of_size_on_the_way_is_refused(make_clip, tmp_path):
    one, _ = make_clip("a.h264", "yuv420p", (64, 48), 4, codec=LOSSLESS)
    other, _ = make_clip("b.h264", "yuv420p", (80, 48), 4, codec=LOSSLESS)
    path = tmp_path / "both.h264"
    path.write_bytes(one.read_bytes() + other.read_bytes())
    refused(path, ClipUnsupported, "another size")


def test_a_huge_picture_is_refused_before_it_is_decoded(make_clip):
    path, _ = make_clip("a.mkv")
    with pytest.raises(ClipUnsupported, match="Nothing was decoded"):
        clips.probe(path, max_pixels=3000)


# --- the data pack -----------------------------------------------------------------------------------------------


def test_the_clips_of_the_pack_say_what_they_are(shared_data):
    folder = shared_data / "video"
    hdr = clips.probe(folder / "two-audio-hdr10.mp4")
    assert (hdr.depth, hdr.size, [(sound.codec, sound.language) for sound in hdr.sounds]) == (
        10, (1280, 720), [("aac", "eng"), ("ac3", "fra")])
    assert hdr.colour == Colour("bt2020", "smpte2084", "bt2020nc", "tv", None,
                                "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)", (1000, 400))
    vfr = clips.probe(folder / "vfr.mp4")
    times = [frame.time for frame in clips.frames(vfr)]
    assert len(times) == 64 == vfr.frames and len({b - a for a, b in zip(times, times[1:])}) > 2
    phone = clips.probe(folder / "phone-rotated.mp4")
    assert (phone.size, phone.rotation) == ((540, 960), 90)
    tagged = clips.probe(folder / "gps-tagged.mp4")
    left_out = " ".join(tagged.left_out)
    for word in ("subtitle", "data track", "location", "make", "model", "title", "artist", "comment"):
        assert word in left_out
    assert "48.85" not in left_out and "CANARY" not in left_out  # names of tags, not what they say
    refused(folder / "truncated.mp4", ClipUnreadable, r"47 of 100 frames \(47 %\) are missing")
    refused(folder / "truncated-nomoov.mp4", ClipUnreadable, "is not a video")
    refused(folder / "not-a-video.mp4", ClipUnreadable, "is not a video")
