"""The reading of files that the record of streams rests on: on clips whose every sample and secret is known."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from evaluation import long_runs, stream_clips, streams


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if shutil.which("ffprobe") is None:
        pytest.skip("no ffprobe: install ffmpeg")
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="module")
def source(folder):
    """Two seconds of a moving picture, as `make` hands it to each clip."""
    path = folder / "source.mkv"
    stream_clips.run("-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=2", "-pix_fmt", "yuv420p", "-c:v",
                     "ffv1", path)
    return path


def grey(path, pictures, *words):
    """A lossless clip of even pictures: one level of luma each."""
    data = b"".join(bytes([level]) * (64 * 48) + bytes([128]) * (64 * 24) for level in pictures)
    subprocess.run(["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "64x48", "-r", "25", "-i",
                    "-", "-c:v", "libx264", "-qp", "0", *words, str(path)], input=data, check=True)
    return path


def everywhere(number):
    return np.ones((48, 64), np.bool_)


# --- streams -----------------------------------------------------------------------------------------------------


def test_what_was_made_is_what_is_read(source, folder):
    """Turned, of two sounds, of a variable rate, in ten bits with HDR10 data: one clip each."""
    turned = streams.read(stream_clips._rotated(source, folder).path)
    assert (turned.size, turned.rotation, turned.sounds) == ((90, 160), -90, ())
    two = streams.read(stream_clips._two_sounds(source, folder).path)
    assert [(sound.codec, sound.language) for sound in two.sounds] == [("aac", "eng"), ("ac3", "fra")]
    assert len(set(two.sounds[1].packets)) > 50 and len(two.times) == 50 and two.duration_s == pytest.approx(2.0)
    assert two.colours["color_space"] == "bt709" and two.depth == 8 and two.hdr == {}
    uneven = streams.read(stream_clips._variable_rate(source, folder).path).times
    assert len(uneven) == 43 and len({round(b - a, 3) for a, b in zip(uneven, uneven[1:])}) > 2
    deep = streams.read(stream_clips._hdr10(source, folder).path)
    assert (deep.codec, deep.depth, deep.colours["color_transfer"]) == ("hevc", 10, "smpte2084")
    assert deep.hdr["Content light level metadata"]["max_content"] == 1000
    fields = streams.read(stream_clips._interlaced(source, folder).path)
    assert (fields.fields, fields.aspect) == ("tt", "64:45")


@pytest.mark.parametrize("maker", [stream_clips._positions, stream_clips._udta, stream_clips._quicktime,
                                   stream_clips._serial, stream_clips._cover])
def test_every_secret_stands_in_the_clip_that_should_hold_it(source, folder, maker):
    made = maker(source, folder)
    assert made.secrets and all(streams.found(made.path, made.secrets).values())
    assert not any(path.name.startswith(".") for path in folder.iterdir())
    plain = folder / "plain.mp4"
    stream_clips.run("-i", source, "-map_metadata", -1, "-fflags", "+bitexact", "-c:v", "mpeg4", plain)
    assert not any(streams.found(plain, made.secrets).values())


def test_a_secret_in_sixteen_bits_is_found(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"." + "CANARY".encode("utf-16-le") + b".." + b"CANARY")
    assert streams.found(path, ("CANARY", "nothing")) == {"CANARY": 2, "nothing": 0}


def test_a_copy_has_no_difference_and_each_loss_shows(source, folder):
    two = stream_clips._two_sounds(source, folder).path
    same, lossy = folder / "same.mkv", folder / "lossy.mp4"
    stream_clips.run("-i", two, "-map", 0, "-c", "copy", same)
    found = streams.compared(streams.read(two), streams.read(same))
    assert found["largest_time_difference_ms"] < 25 and found["duration_error_frames"] < 1  # Matroska counts in ms
    assert [sound["identical"] for sound in found["sounds"]] == [True, True] and found["colours_kept"]
    stream_clips.run("-i", two, "-map", "0:v", "-map", "0:a:0", "-vf", "scale=80:46,fps=20", "-c:v", "mpeg4",
                     "-colorspace", "bt470bg", "-c:a", "aac", "-b:a", "32k", "-t", 1.5, lossy)
    found = streams.compared(streams.read(two), streams.read(lossy))
    assert found["frames"] == [50, 30] and found["duration_error_frames"] == pytest.approx(12.5, abs=0.5)
    assert found["size"] == [[160, 90], [80, 46]] and found["sound_tracks"] == [2, 1] and not found["colours_kept"]
    assert [sound["identical"] for sound in found["sounds"]] == [False] and found["largest_time_difference_ms"] > 200


def test_what_is_no_clip_is_said(folder):
    (folder / "text.mp4").write_text("no video")
    stream_clips.run(*stream_clips._BEEP, "-c:a", "aac", folder / "sound.mp4")
    with pytest.raises(streams.ClipUnread, match="text.mp4: ffprobe cannot read it"):
        streams.read(folder / "text.mp4")
    with pytest.raises(streams.ClipUnread, match="holds no moving picture"):
        streams.read(folder / "sound.mp4")


# --- pictures ----------------------------------------------------------------------------------------------------


def test_psnr_is_that_of_the_formula_and_the_worst_frame_is_found(folder):
    one = grey(folder / "one.mp4", [100, 100, 100, 100])
    two = grey(folder / "two.mp4", [100, 102, 100, 104])
    found = streams.psnr(one, two, everywhere)
    assert found["frames"] == 4 and found["planes"]["blue"] == {"all_db": 99.0, "worst_frame_db": 99.0}
    assert found["all_db"] == pytest.approx(10 * math.log10(255**2 / 5))  # (0 + 4 + 0 + 16) / 4
    assert found["worst_frame_db"] == pytest.approx(10 * math.log10(255**2 / 16))


def test_what_is_covered_does_not_count_and_half_covered_colour_neither(folder):
    one, two = folder / "left.mp4", folder / "right.mp4"
    for path, where in ((one, "0"), (two, "8")):
        stream_clips.run("-f", "lavfi", "-i", "color=c=0x808080:s=64x48:r=25:d=0.2", "-vf",
                         f"format=yuv420p,drawbox=x={where}:y=0:w=8:h=8:color=red:t=fill", "-c:v", "libx264", "-qp", 0,
                         path)
    covered = np.ones((48, 64), np.bool_)
    covered[:8, :15] = False  # one column of the second box stands free, half of a sample of colour
    found = streams.psnr(one, two, lambda number: covered)
    assert found["planes"]["red"]["all_db"] == 99.0 and found["planes"]["luma"]["all_db"] < 42
    covered[:8, :16] = False
    assert streams.psnr(one, two, lambda number: covered)["all_db"] == 99.0
    assert streams.psnr(one, two, everywhere)["all_db"] < 25


def test_turned_pictures_are_compared_as_they_are_shown(source, folder):
    turned, upright = stream_clips._rotated(source, folder).path, folder / "upright.mkv"
    stream_clips.run("-i", turned, "-c:v", "ffv1", upright)
    assert streams.psnr(turned, upright, lambda number: np.ones((160, 90), np.bool_))["worst_frame_db"] == 99.0
    with pytest.raises(streams.ClipUnread, match="another size"):
        streams.psnr(source, upright, everywhere)


def test_a_clip_that_is_shorter_is_not_compared_in_part(folder):
    one, two = grey(folder / "long.mp4", [100] * 5), grey(folder / "short.mp4", [100] * 4)
    with pytest.raises(ValueError, match="shorter"):
        streams.psnr(one, two, everywhere)


def test_clips_that_must_be_refused_are_what_their_names_say(source, folder):
    bad = folder / "bad"
    bad.mkdir()
    found = {path.name: path for path in stream_clips.make_bad(source, bad)}
    assert sorted(found) == sorted(path.name for path in bad.iterdir()) and found["empty.mp4"].stat().st_size == 0
    for name in ("empty.mp4", "only-sound.mp4", "no-frame.mp4"):
        with pytest.raises(streams.ClipUnread):
            streams.read(found[name])
    with pytest.raises(streams.ClipUnread):
        list(streams.pictures(found["unknown-codec.mp4"], "yuv420p", (640, 360)))
    whole, cut = found["damaged.mkv"].stat().st_size, found["cut.mkv"].stat().st_size
    assert cut == whole * 6 // 10
    assert found["a-photo.mp4"].read_bytes()[1:4] == b"PNG"


# --- long runs ---------------------------------------------------------------------------------------------------


PROGRAM = """
import sys, time, subprocess
print("ready", flush=True)
sys.stdin.readline()
child = subprocess.Popen(["sleep", "0.4"], start_new_session=True)
kept = []
for stage in ("looking", "writing"):
    for frame in range(1, 21):
        if stage == "looking":
            kept.append(b"x" * 2_000_000)
        open("part", "w").write(stage)
        print(stage, frame, flush=True)
        time.sleep(0.02)
"""


def test_a_program_is_watched_over_its_stages(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    run = long_runs.watch([sys.executable, "-c", PROGRAM], work, every_s=0.02)
    assert run.code == 0 and run.first_frame == {"looking": 1, "writing": 1} and run.last_frame["writing"] == 20
    found = long_runs.memory(run, 20, 1.0)
    assert 5 < run.ready_mb < 60 and 30 < found["peak_above_import_mb"] < 60
    looking, writing = (found["stages"][stage]["own"] for stage in ("looking", "writing"))
    assert looking["mb_per_minute"] > 60 and abs(writing["mb_per_minute"]) < 5 and writing["peak_mb"] < run.peak_mb + 1
    assert looking["last_mb"] - looking["first_mb"] > 10 and found["stages"]["looking"]["helpers"]["peak_mb"] > 0.3


def test_a_program_is_killed_at_its_frame_and_what_outlives_it_is_waited_for(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    run = long_runs.watch([sys.executable, "-c", PROGRAM], work, kill=("writing", 3))
    assert run.code == -9 and run.last_frame == {"looking": 20, "writing": 3} and (work / "part").exists()
    early = long_runs.watch([sys.executable, "-c", PROGRAM], work, kill=("looking", 1))
    assert early.code == -9 and 0.05 < early.outlived_s < 5  # a session of its own, as our ffmpeg has
    with pytest.raises(long_runs.RunFailed, match="ended before with 0"):
        long_runs.watch([sys.executable, "-c", PROGRAM], work, kill=("writing", 999))
    assert threading.active_count() < 20


def test_flat_memory_has_no_slope_and_growth_has_its_own():
    samples = [long_runs.Sample(float(second), "looking", second * 25, 100.0 + 2.0 * second / 60, 7.0)
               for second in range(0, 1800, 10)]
    run = long_runs.Watched(ready_mb=90.0, peak_mb=160.0, samples=samples)
    found = long_runs.memory(run, 45000, 25.0)
    own, helpers = found["stages"]["looking"]["own"], found["stages"]["looking"]["helpers"]
    assert own["mb_per_minute"] == pytest.approx(2.0) and helpers["mb_per_minute"] == pytest.approx(0.0)
    assert (own["first_mb"], own["last_mb"]) == (pytest.approx(110, abs=0.2), pytest.approx(150, abs=0.2))
    assert len(own["by_minute_mb"]) == 30 and found["peak_above_import_mb"] == 70.0
    assert found["together_above_import_mb"] == pytest.approx(76.7, abs=0.1)
