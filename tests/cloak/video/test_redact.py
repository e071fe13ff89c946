"""A clip in, a clip with covered faces out, from end to end, with plans made by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cloak import cli
from cloak.errors import ChoicesInvalid, ClipUnreadable, EncodingFailed, NoFaceFound, OutputRefused, PlanInvalid
from cloak.video import checking, clips, ffmpeg, person, redact, review
from cloak.video.ffmpeg import Encoding
from cloak.video.glimpses import best, glimpses, thumbnail
from cloak.video.look import Look
from cloak.video.plan import read_plan, to_json
from cloak.video.redact import Region, VideoSettings, plan_video, redact_video
from cloak.video.types import Area, Plan, Spot, Track

SIZE, FRAMES = (320, 240), 24


@pytest.fixture(scope="session")
def march(tmp_path_factory, run_ffmpeg, woman):
    """A second of the portrait moving to the right over noise, with a beep."""
    rng = np.random.default_rng(3)
    ground = np.kron(rng.integers(60, 190, (30, 40, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    # 0.6 of the portrait; in the first frame the face is about 52 x 66 at (72, 52)
    small = np.array(Image.fromarray(woman[:330, 60:420]).resize((216, 198), Image.Resampling.LANCZOS))
    pictures = []
    for i in range(FRAMES):
        picture = ground.copy()
        picture[15 : 15 + 198, 2 * i : 2 * i + 216] = small
        pictures.append(picture.tobytes())
    path = tmp_path_factory.mktemp("clips") / "march.mp4"
    run_ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "320x240", "-r", 25, "-i", "-", "-f", "lavfi", "-i",
               "sine=440:duration=0.96", "-c:v", "libx264", "-crf", 12, "-preset", "ultrafast", "-pix_fmt", "yuv420p",
               "-c:a", "aac", "-metadata", "location=+48.85+002.29/", path, input=b"".join(pictures))
    return path


@pytest.fixture(scope="session")
def plan(march):
    """The plan of a detector that looked at every frame."""
    from cloak.detectors.centerface import CenterFace

    found = CenterFace().detect([frame.to_rgb() for frame in clips.frames(clips.probe(march))])
    assert all(len(faces) == 1 for faces in found)
    spots = tuple(Spot(i, tuple(map(float, faces.boxes[0])), float(faces.scores[0]), "seen",
                       tuple((float(x), float(y)) for x, y in faces.landmarks[0])) for i, faces in enumerate(found))
    return Plan("march.mp4", clips.sha256_of(march), SIZE, FRAMES, (), (Track(1, spots),))


@pytest.fixture
def looking(monkeypatch, plan):
    """Instead of a look at the clip: what `plan` says. Counts how often it was asked."""
    asked = []

    def planned(clip, sha256, settings, folder, damage, on_progress):
        asked.append(folder)
        (folder / "looks.jsonl").touch()
        return replace(plan, clip=clip.path.name, sha256=sha256)

    monkeypatch.setattr(redact, "_look_for_faces", planned)
    return asked


def luma(path):
    return [frame.planes[0] for frame in clips.frames(clips.probe(path))]


def elsewhere(plan):
    """A plan that covers another place, so that the face stands there."""
    return replace(plan, tracks=(), areas=(Area((250.0, 180.0, 300.0, 230.0), 0, FRAMES - 1),))


def test_every_frame_is_covered_and_all_else_stays(march, plan, tmp_path):
    before, output = march.read_bytes(), tmp_path / "out.mp4"
    told = []
    report = redact_video(march, output, VideoSettings(), plan=plan, on_progress=told.append)
    assert [stage.done for stage in told if stage.stage == "checking"] == list(range(1, FRAMES + 1))
    assert not report.needs_a_look and report.leaks == () and march.read_bytes() == before
    original, written = luma(march), luma(output)
    assert len(written) == len(original) == FRAMES == report.frames
    for number, (then, now) in enumerate(zip(original, written)):
        x1, y1, x2, y2 = (round(v) for v in plan.tracks[0].spots[number].box)
        assert abs(now[y1:y2, x1:x2].astype(int) - 16).max() <= 12
        outside = now[150:, :60].astype(float) - then[150:, :60]
        assert 10 * np.log10(255**2 / max((outside**2).mean(), 1e-9)) > 40
    kept = clips.probe(output)
    assert (kept.size, len(kept.sounds), kept.rate) == (SIZE, 1, clips.probe(march).rate)
    assert b"48.85" not in output.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "out.mp4.json"]


def test_the_report_says_what_was_done_and_never_where_anybody_was(march, plan, tmp_path):
    made = redact_video(march, tmp_path / "out.mp4", VideoSettings(), plan=plan)
    document = json.loads((tmp_path / "out.mp4.json").read_text())
    assert document == json.loads(json.dumps(redact.to_dict(made)))
    assert document["schema"] == "facecloak-video/1"
    assert document["input_sha256"] == clips.sha256_of(march)
    assert document["output_sha256"] == clips.sha256_of(tmp_path / "out.mp4")
    (track,) = document["tracks"]
    assert (track["number"], track["first_s"], track["last_s"], track["frames"]) == (1, 0.0, 0.92, FRAMES)
    assert document["left_out"] and str(tmp_path) not in json.dumps(document) and str(march.parent) not in str(document)
    assert not re.search(r'"(box|boxes|spots|seed)"', json.dumps(document))


@pytest.mark.parametrize("style", ["mosaic", "ring"])
def test_the_same_plan_gives_the_same_bytes(march, plan, tmp_path, style):
    for name in ("a.mp4", "b.mp4"):
        redact_video(march, tmp_path / name, VideoSettings(look=Look(style)), plan=plan)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_plan_rendered_from_its_file_gives_the_same_bytes_as_at_once(march, looking, tmp_path):
    redact_video(march, tmp_path / "at-once.mp4", VideoSettings(look=Look("mosaic")))
    plan_video(march, tmp_path / "plan.json", VideoSettings(look=Look("mosaic")))
    redact_video(march, tmp_path / "later.mp4", VideoSettings(), plan=read_plan(tmp_path / "plan.json"))
    assert (tmp_path / "at-once.mp4").read_bytes() == (tmp_path / "later.mp4").read_bytes()
    assert len(looking) == 2


def test_a_face_that_no_track_knows_is_found_in_the_written_file(march, plan, tmp_path):
    report = redact_video(march, tmp_path / "out.mp4", VideoSettings(), plan=elsewhere(plan))
    (leak,) = report.leaks
    assert report.needs_a_look and (leak.first_frame, leak.last_frame, leak.frames_seen) == (5, 15, 2)
    assert leak.first_s == pytest.approx(0.2) and "LOOK at the output" in report.words and "0:00:00.200" in report.words
    x1, y1, x2, y2 = leak.box
    assert x1 < 90 < x2 + 30 and y1 < 85 < y2


def test_a_track_that_ends_too_early_is_noticed_close_to_its_end(march, plan, tmp_path):
    """Nothing is left to see in the frames that are looked at as a whole."""
    short = replace(plan, tracks=(Track(1, plan.tracks[0].spots[:17]),))
    late = replace(plan, tracks=(Track(1, plan.tracks[0].spots[:17]), Track(2, plan.tracks[0].spots[22:])))
    report = redact_video(march, tmp_path / "a.mp4", VideoSettings(), plan=short)
    assert [leak.first_frame for leak in report.leaks] == [18]
    assert redact_video(march, tmp_path / "b.mp4", VideoSettings(), plan=late).leaks


def test_a_kept_face_is_no_leak_and_a_hidden_one_over_it_still_hides(march, plan, tmp_path):
    settings = VideoSettings(keep=(1,), regions=(Region(250, 180, 40, 40),))
    report = redact_video(march, tmp_path / "out.mp4", settings, plan=plan)
    assert not report.needs_a_look and "kept uncovered: 1" in report.words and report.tracks[0].decision == "keep"
    assert luma(tmp_path / "out.mp4")[3][85, 80] > 40
    second = Track(2, plan.tracks[0].spots)
    both = replace(plan, tracks=(*plan.tracks, second))
    redact_video(march, tmp_path / "both.mp4", VideoSettings(keep=(1,)), plan=both)
    assert abs(int(luma(tmp_path / "both.mp4")[3][85, 80]) - 16) < 12


def test_only_some_tracks_are_covered(march, plan, tmp_path):
    still = Track(2, tuple(Spot(i, (250.0, 180.0, 280.0, 220.0), 0.5, "seen") for i in range(FRAMES)))
    report = redact_video(march, tmp_path / "out.mp4", VideoSettings(only=(2,)),
                          plan=replace(plan, tracks=(*plan.tracks, still)))
    assert [track.decision for track in report.tracks] == ["keep", "hide"]


def test_a_region_is_covered_for_its_time(march, plan, tmp_path):
    settings = VideoSettings(regions=(Region(250, 180, 40, 40, 0.4, 0.6),))
    redact_video(march, tmp_path / "out.mp4", settings, plan=plan)
    dark = [bool((picture[190:210, 260:280] < 40).all()) for picture in luma(tmp_path / "out.mp4")]
    assert [number for number, is_dark in enumerate(dark) if is_dark] == [10, 11, 12, 13, 14]


def test_outside_the_span_nothing_is_covered_and_the_report_is_loud(march, plan, tmp_path):
    look = Look(start_s=0.2, end_s=0.6)
    report = redact_video(march, tmp_path / "out.mp4", VideoSettings(look=look), plan=plan)
    assert report.needs_a_look and not report.leaks
    assert "NOTHING was covered from 0:00:00.000 to 0:00:00.200, 0:00:00.600 to" in report.words
    is_black = [picture[85, 80 + 2 * i] < 30 for i, picture in enumerate(luma(tmp_path / "out.mp4"))]
    assert is_black == [5 <= i < 15 for i in range(FRAMES)]
    accepted = redact_video(march, tmp_path / "b.mp4", VideoSettings(look=look, accept_uncovered=True), plan=plan)
    assert not accepted.needs_a_look and "as accepted" in accepted.words


def test_a_clip_without_a_face_is_written_only_where_that_was_chosen(march, plan, tmp_path, looking, monkeypatch):
    monkeypatch.setattr(redact, "_look_for_faces", lambda *_: replace(plan, tracks=()))
    with pytest.raises(NoFaceFound, match="no face was seen in 24 frames, nothing written"):
        redact_video(march, tmp_path / "out.mp4", VideoSettings())
    assert list(tmp_path.iterdir()) == []
    report = redact_video(march, tmp_path / "out.mp4", VideoSettings(no_face="clean"))
    assert report.needs_a_look and "NO face was seen, so nothing was covered" in report.words
    assert report.tracks == () and len(luma(tmp_path / "out.mp4")) == FRAMES


def test_what_was_seen_is_kept_until_the_clip_is_done(march, tmp_path, looking, monkeypatch):
    written = ffmpeg.write

    def broken(*_, **__):
        raise EncodingFailed("ffmpeg ended")

    monkeypatch.setattr(ffmpeg, "write", broken)
    with pytest.raises(EncodingFailed):
        redact_video(march, tmp_path / "out.mp4", VideoSettings())
    assert [path.name for path in tmp_path.iterdir()] == [".out.mp4.facecloak"]
    monkeypatch.setattr(ffmpeg, "write", written)
    shutil.rmtree(tmp_path / ".out.mp4.facecloak")
    redact_video(march, tmp_path / "out.mp4", VideoSettings())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "out.mp4.json"]
    assert looking[0] == looking[1] == tmp_path / ".out.mp4.facecloak"


def test_a_damaged_clip_is_written_only_where_that_is_allowed(march, plan, run_ffmpeg, tmp_path):
    broken = tmp_path / "in" / "broken.mp4"
    broken.parent.mkdir()
    run_ffmpeg("-i", march, "-c", "copy", "-movflags", "+faststart", broken)
    data = broken.read_bytes()
    broken.write_bytes(data[: len(data) * 6 // 10])
    left = [frame.number for frame in clips.frames(clips.probe(broken), on_damage=lambda _: None)]
    assert 3 < len(left) < FRAMES
    shorter = replace(plan, sha256=clips.sha256_of(broken), frames=len(left), clip="broken.mp4",
                      tracks=(Track(1, plan.tracks[0].spots[: len(left)]),))
    with pytest.raises(ClipUnreadable):
        redact_video(broken, tmp_path / "out.mp4", VideoSettings(), plan=shorter)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    report = redact_video(broken, tmp_path / "out.mp4", VideoSettings(allow_damage=True), plan=shorter)
    assert report.needs_a_look and len(report.troubles) == 1 and report.frames == len(left)


@pytest.mark.parametrize("error, is_kept", [(ClipUnreadable, False), (KeyboardInterrupt, True)])
def test_looking_that_was_interrupted_can_go_on(march, tmp_path, monkeypatch, error, is_kept):
    from cloak.video import planning

    def interrupted(*_, checkpoint, **__):
        (checkpoint / "looks.jsonl").touch()
        raise error("stop")

    monkeypatch.setattr(planning, "make_plan", interrupted)
    with pytest.raises(error):
        redact_video(march, tmp_path / "out.mp4", VideoSettings())
    assert [path.name for path in tmp_path.iterdir()] == [".out.mp4.facecloak"] * is_kept


def test_a_pass_that_is_killed_goes_on_and_gives_the_same_bytes(march, tmp_path):
    """With the real detector and its checkpoint."""
    stopped = []

    def stop_at(progress):
        if progress.stage == "looking" and progress.done == 12 and not stopped:
            stopped.append(progress)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        redact_video(march, tmp_path / "a.mp4", VideoSettings(), on_progress=stop_at)
    assert (tmp_path / ".a.mp4.facecloak").is_dir()
    report = redact_video(march, tmp_path / "a.mp4", VideoSettings(), on_progress=stop_at)
    redact_video(march, tmp_path / "b.mp4", VideoSettings())
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert report.leaks == () and not (tmp_path / ".a.mp4.facecloak").exists()


@pytest.mark.parametrize("stage", ["writing", "checking"])
def test_what_a_killed_run_left_is_replaced_and_the_bytes_are_the_same(march, plan, tmp_path, stage):
    """Killed for real, so that nothing of ours can tidy up; in the looking, see above."""
    (tmp_path / "plan.json").write_text(to_json(plan))
    code = f"""
import os, signal, sys
from pathlib import Path
from cloak.video.plan import read_plan
from cloak.video.redact import VideoSettings, redact_video
def kill(progress):
    if (progress.stage, progress.done) == ({stage!r}, 12):
        os.kill(os.getpid(), signal.SIGKILL)
redact_video(Path({str(march)!r}), Path("a.mp4"), VideoSettings(), plan=read_plan(Path("plan.json")), on_progress=kill)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in (tmp_path / ".a.mp4.facecloak").iterdir()] == ["part"]
    for name in ("a.mp4", "b.mp4"):
        redact_video(march, tmp_path / name, VideoSettings(), plan=plan)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "a.mp4.json", "b.mp4", "b.mp4.json",
                                                               "plan.json"]


def test_between_the_names_of_report_and_clip_nothing_takes_long(march, plan, tmp_path, monkeypatch):
    """Killed there, a report would stand without its clip, and refuse the next run."""
    flushed, fsync = {}, os.fsync

    def noted(handle):
        flushed.setdefault(os.fstat(handle).st_ino, (tmp_path / "out.mp4.json").exists())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    redact_video(march, tmp_path / "out.mp4", VideoSettings(), plan=plan)
    assert flushed[(tmp_path / "out.mp4").stat().st_ino] is False


def test_two_runs_never_make_one_output_at_a_time(march, plan, looking, tmp_path):
    tried = []

    def another(progress):
        if not tried:
            tried.append(progress.stage)
            with pytest.raises(OutputRefused, match="another run is making it"):
                redact_video(march, tmp_path / "out.mp4", VideoSettings(), plan=plan)

    redact_video(march, tmp_path / "out.mp4", VideoSettings(), plan=plan, on_progress=another)
    assert tried == ["writing"] and sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "out.mp4.json"]


@pytest.mark.parametrize("encoding", [Encoding(preset="quickest"), Encoding(encoder="h264_nvenc")])
def test_an_encoder_that_fails_is_known_before_the_looking(march, looking, tmp_path, encoding, monkeypatch):
    known = ffmpeg._encoders  # some builds have no hardware encoder, and this machine may have the hardware
    monkeypatch.setattr(ffmpeg, "_encoders", lambda binary: known(binary) | {"h264_nvenc"})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    told = []
    with pytest.raises(EncodingFailed, match=r"cannot be written as \.mp4 with .*(quickest|h264_nvenc)"):
        redact_video(march, tmp_path / "out.mp4", VideoSettings(encoding=encoding), on_progress=told.append)
    assert looking == [] and told == [] and list(tmp_path.iterdir()) == []


def test_a_refused_encoder_does_not_cost_what_an_earlier_run_saw(march, looking, tmp_path, monkeypatch):
    folder = tmp_path / ".out.mp4.facecloak"
    folder.mkdir()
    (folder / "looks.jsonl").write_text("hours of them")
    with pytest.raises(EncodingFailed):
        redact_video(march, tmp_path / "out.mp4", VideoSettings(encoding=Encoding(preset="quickest")))
    assert [path.name for path in folder.iterdir()] == ["looks.jsonl"]


def test_no_uncovered_picture_goes_to_the_disk_before_the_looking(march, looking, tmp_path, monkeypatch):
    """Of a killed rehearsal the file would stay."""
    kept = {}
    unlink = Path.unlink

    def keep(path, missing_ok=False):
        if path.name == "rehearsal":
            kept["out"] = shutil.copy(path, tmp_path / "kept.mp4")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", keep)
    redact_video(march, tmp_path / "out.mp4", VideoSettings())
    (picture,) = luma(kept["out"])
    assert picture.max() < 20


@pytest.mark.parametrize("change, words", [
    ({"sha256": "0" * 64}, "the plan was made for another file"), ({"size": (240, 320)}, "240 x 320 pixels"),
    ({"frames": FRAMES + 1}, "24 frames can be decoded, the plan is for 25"),
    ({"frames": FRAMES - 1}, "more than 23 frames can be decoded, the plan is for 23"),
])
def test_a_plan_that_does_not_fit_writes_nothing(march, plan, tmp_path, change, words):
    cut = replace(plan, tracks=(Track(1, plan.tracks[0].spots[:20]),), **change)
    with pytest.raises(PlanInvalid, match=words):
        redact_video(march, tmp_path / "out.mp4", VideoSettings(), plan=cut)
    assert list(tmp_path.iterdir()) == []


def test_outputs_are_refused_before_any_work(march, plan, tmp_path, looking):
    copy = tmp_path / "copy.mp4"
    shutil.copy(march, copy)
    for output in (copy, tmp_path / "x.avi", tmp_path / "no" / "x.mp4"):
        with pytest.raises(OutputRefused):
            redact_video(copy, output, VideoSettings(overwrite=True), plan=plan)
    (tmp_path / "there.mp4.json").touch()
    with pytest.raises(OutputRefused, match="exists already"):
        redact_video(copy, tmp_path / "there.mp4", VideoSettings())
    with pytest.raises(ClipUnreadable, match="does not exist"):
        redact_video(tmp_path / "nobody.mp4", tmp_path / "x.mp4", VideoSettings())
    assert looking == [] and copy.read_bytes() == march.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.mp4", "there.mp4.json"]


@pytest.mark.parametrize("settings, words", [
    (dict(keep=(2,)), "track 2 was named, and the clip has 1 track"), (dict(only=(1, 7)), "track 7"),
    (dict(regions=(Region(320, 0, 10, 10),)), "outside the picture"),
    (dict(regions=(Region(0, 0, 10, 10, 5.0, 6.0),)), "no frame is shown from 5 to 6"),
])
def test_choices_that_the_clip_does_not_have_write_nothing(march, plan, tmp_path, settings, words):
    with pytest.raises(ChoicesInvalid, match=words):
        redact_video(march, tmp_path / "out.mp4", VideoSettings(**settings), plan=plan)
    assert list(tmp_path.iterdir()) == []


# --- checking ----------------------------------------------------------------------------------------------------


def nobody(pictures):
    from cloak.types import Faces
    return [Faces.none() for _ in pictures]


def expected_of(march, plan, look=None):
    from cloak.video.painting import Painter
    clip, expected = clips.probe(march), checking.Expected()
    painter = Painter(plan, clip, look or Look())
    for frame in clips.frames(clip):
        expected.note(frame, painter.paint(frame))
    return clip, expected


@pytest.mark.parametrize("style", ["solid", "mosaic", "blur"])
def test_covers_that_are_not_in_the_file_are_noticed(march, plan, style):
    """The unpainted input stands in for an output in which painting did nothing."""
    look = Look(style)
    clip, expected = expected_of(march, plan, look)
    found = checking.look_again(march, clip, plan, look, expected, nobody)
    assert not found.is_clean and "0:00:00.200 a cover is not as it was painted" in found.troubles[0]


def test_another_length_or_size_is_noticed(march, plan, run_ffmpeg, tmp_path):
    clip, expected = expected_of(march, plan)
    empty = replace(plan, tracks=())
    for name, words, said in [("short.mkv", ["-frames:v", 20], "has 20 frames, 24 were painted"),
                              ("slow.mkv", ["-vf", "setpts=2*PTS", "-fps_mode", "passthrough"], "is shown at"),
                              ("small.mkv", ["-vf", "scale=160:120"], "160 x 120 pixels, the input 320 x 240")]:
        run_ffmpeg("-i", march, "-an", *words, "-c:v", "libx264", "-preset", "ultrafast", tmp_path / name)
        found = checking.look_again(tmp_path / name, clip, empty, Look(), expected, nobody)
        assert any(said in trouble for trouble in found.troubles), found.troubles


# --- the sheet ---------------------------------------------------------------------------------------------------


def test_the_sheet_shows_every_track_the_doubtful_first(march, plan, tmp_path):
    doubtful = Track(2, tuple(Spot(i, (250.0, 180.0, 268.0, 200.0), 0.2 * (i == 8), "seen" if i == 8 else "filled")
                              for i in range(6, 20)), is_lost=True)
    two = replace(plan, tracks=(*plan.tracks, doubtful))
    rows = review.make_sheet(clips.probe(march), two)
    assert [row.track.number for row in rows] == [2, 1]
    assert (rows[0].start_s, rows[0].end_s) == pytest.approx((0.24, 0.76))
    assert len(rows[0].risks) == 5 and rows[1].risks == () and len(rows[1].pictures) == 5
    review.write_sheet(rows, two, tmp_path / "s.html", overwrite=False)
    review.write_sheet(rows, two, tmp_path / "s.png", overwrite=False)
    page = (tmp_path / "s.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 6 and review.WARNING in page and "0:00:00.760" in page
    assert not re.search(r"<script|https?:|//[a-z]", re.sub(r"base64,[^\"]+", "", page))
    with Image.open(tmp_path / "s.png") as image:
        assert image.width > 500 and len(image.convert("RGB").getcolors(1 << 24)) > 1000
    with pytest.raises(OutputRefused):
        review.write_sheet(rows, two, tmp_path / "s.png", overwrite=False)


def test_a_name_in_the_sheet_is_no_markup(plan):
    assert "<img src=x>" not in review.page([], replace(plan, clip="<img src=x>.mp4", tracks=()))


def test_the_best_sights_are_large_sure_and_spread():
    spots = tuple(Spot(i, (0.0, 0.0, 10.0 + (i in (3, 17)), 10.0), 0.9, "seen" if i != 12 else "filled")
                  for i in range(20))
    assert [spot.frame for spot in best(Track(1, spots), 2)] == [3, 17]
    assert [spot.frame for spot in best(Track(1, spots[:1]), 5)] == [0]
    unseen = tuple(replace(spot, source="followed") for spot in spots)
    assert [spot.frame for spot in best(Track(1, unseen), 5)] == [10]


def test_glimpses_are_the_frames_that_were_asked_for(march):
    times = {}
    found = list(glimpses(clips.probe(march), [7, 2], times=times))
    frames = list(clips.frames(clips.probe(march)))
    assert [glimpse.number for glimpse in found] == [2, 7] and times[7] == pytest.approx(0.28) and max(times) == 7
    assert np.array_equal(found[1].pixels, frames[7].to_rgb())
    corner = thumbnail(found[0].pixels, (-20.0, -20.0, 20.0, 20.0), 64)
    assert corner.shape == (64, 64, 3) and (corner[:20, :20] == 128).mean() > 0.9


# --- keeping a person --------------------------------------------------------------------------------------------


def test_the_person_of_a_photo_is_kept_and_nobody_else(march, plan, portrait, shared_data, tmp_path):
    report = redact_video(march, tmp_path / "out.mp4", VideoSettings(keep_person=(portrait,), regions=(
        Region(0, 200, 9, 9),), device="cpu"), plan=plan)
    assert report.tracks[0].decision == "keep" and not report.leaks
    other = sorted((shared_data / "lfw-dev" / "Aaron_Peirsol").glob("*.jpg"))[0]
    report = redact_video(march, tmp_path / "b.mp4", VideoSettings(keep_person=(other,), device="cpu"), plan=plan)
    assert report.tracks[0].decision == "hide"


def test_in_doubt_everybody_is_hidden(plan):
    one, same_time = plan.tracks[0], replace(plan.tracks[0], number=2)
    later = Track(3, (Spot(90, (0.0, 0.0, 9.0, 9.0), 0.9, "seen"),))
    yes, no = [True] * 7, [False] * 7
    assert person.decide([one, later], {0: yes, 1: yes}) == (1, 3)
    assert person.decide([one, same_time, later], {0: yes, 1: yes, 2: yes}) == (3,)  # nobody is in two places at once
    assert person.decide([one, same_time], {0: yes, 1: no}) == (1,)
    assert person.decide([one], {0: [True] * 4 + [False] * 3}) == ()
    assert person.decide([one], {0: [True, True]}) == () and person.decide([one], {}) == ()


# --- the command -------------------------------------------------------------------------------------------------


def call(*words):
    return CliRunner().invoke(cli.app, ["video", *map(str, words)])


def test_the_command_writes_beside_the_input_and_says_so(march, looking, tmp_path):
    clip = tmp_path / "march.mp4"
    shutil.copy(march, clip)
    run = call(clip, "--sheet", tmp_path / "s.html")
    assert run.exit_code == 0, run.output
    assert "march.redacted.mp4" in run.stdout and "1 track covered" in run.stdout and "UNCOVERED" in run.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["march.mp4", "march.redacted.mp4",
                                                               "march.redacted.mp4.json", "s.html"]
    assert call(clip).exit_code == 2  # exists already


def test_a_plan_is_written_corrected_and_rendered(march, looking, tmp_path):
    clip = tmp_path / "march.mp4"
    shutil.copy(march, clip)
    assert call(clip, "--plan-only").exit_code == 0
    form = tmp_path / "march.plan.json"
    form.write_text(form.read_text().replace('"decision": "hide"', '"decision": "keep"'))
    run = call(clip, "--plan", form, "--regions", "250,180,20,20@0:00-0:00.5", "--json", "-o", tmp_path / "out.mp4")
    assert run.exit_code == 0, run.output
    document = json.loads(run.stdout)
    assert document["schema"] == "facecloak-videos/1"
    assert document["clips"][0]["report"]["tracks"][0]["decision"] == "keep"
    assert len(looking) == 1


def test_a_folder_keeps_its_names_and_one_bad_file_never_stops_the_rest(march, looking, tmp_path):
    card, out = tmp_path / "card", tmp_path / "out"
    (card / "a").mkdir(parents=True)
    shutil.copy(march, card / "a" / "march.mp4")
    shutil.copy(march, card / "b.mp4")
    (card / "broken.mp4").write_bytes(b"no video")
    (card / "notes.txt").touch()
    run = call(card, "-o", out, "--audio", "drop", "--json")
    assert run.exit_code == 2
    document = json.loads(run.stdout)
    assert [clip["exit_code"] for clip in document["clips"]] == [0, 2, 0] and len(document["left_alone"]) == 1
    assert clips.probe(out / "a" / "march.mp4").sounds == () and (out / "b.mp4").is_file()
    assert not (out / "broken.mp4").exists()
    assert call(card).exit_code == 2 and call(card, "-o", out, "--keep", "1").exit_code == 2


def test_each_end_has_its_exit_code(march, plan, looking, tmp_path, monkeypatch):
    assert call(march, "-o", tmp_path / "a.mp4", "--from", "0.4").exit_code == 3
    assert call(march, "-o", tmp_path / "b.mp4", "--from", "0.4", "--accept-uncovered").exit_code == 0
    (tmp_path / "plan.json").write_text(to_json(elsewhere(plan)))
    run = call(march, "-o", tmp_path / "c.mp4", "--plan", tmp_path / "plan.json")
    assert run.exit_code == 3 and re.search(r"maybe a face at .*--regions \d+,\d+,\d+,\d+@", run.stdout)
    assert call(tmp_path / "nobody.mp4").exit_code == 2
    monkeypatch.setattr(redact, "_look_for_faces", lambda *_: replace(plan, tracks=()))
    assert call(march, "-o", tmp_path / "d.mp4").exit_code == 4
    assert not (tmp_path / "d.mp4").exists()


def test_the_fix_that_is_offered_for_a_leak_covers_it(march, plan, tmp_path):
    (tmp_path / "plan.json").write_text(to_json(elsewhere(plan)))
    run = call(march, "-o", tmp_path / "a.mp4", "--plan", tmp_path / "plan.json")
    fixes = [word for fix in re.findall(r"--regions \S+", run.stdout) for word in fix.split()]
    assert fixes
    x, y, w, h, *_ = (int(n) for n in re.findall(r"\d+", fixes[1])[:4])
    assert x <= 95 <= x + w and y <= 85 <= y + h


@pytest.mark.parametrize("words", [
    ("--style", "pixelate"), ("--colour", "mauve"), ("--keep", "one"), ("--keep", "1", "--only", "1"), ("--from", "x"),
    ("--from", "3", "--to", "2"), ("--mute", "3"), ("--audio", "loud"), ("--audio", "mute"), ("--codec", "mpeg1"),
    ("--crf", "99"), ("--regions", "1,2,3"), ("--regions", "1,2,3,4@5"), ("--sheet", "sheet.pdf"),
    ("--style", "picture"), ("--picture", "nothing.png"), ("--plan", "nothing.json"), ("--encoder", "libnothing264"),
    ("--device", "tpu"), ("--from", "inf"), ("--to", "1e99"), ("--keep", "")])
def test_a_wrong_word_is_refused_before_any_work(march, looking, tmp_path, words):
    run = call(march, "-o", tmp_path / "out.mp4", *words)
    assert run.exit_code == 2 and "Nothing was written" in run.stderr, run.output
    assert looking == [] or words[0] in ("--style", "--picture", "--keep")
    assert not (tmp_path / "out.mp4").exists()


def test_times_and_options_reach_the_encoder(march, looking, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(redact, "redact_video", lambda *words, **_: seen.append(words[2]) or (_ for _ in ()).throw(
        NoFaceFound("stop")))
    call(march, "-o", tmp_path / "out.mp4", "--mute", "0:03-0:05.5", "--mute", "70-1:15", "--crf", "20", "--preset",
         "slow", "--codec", "hevc", "--style", "ring", "--from", "1:02:03.5", "--paranoid", "--regions",
         "1,2,3,4@1:00-61.5")
    (settings,) = seen
    assert settings.encoding == Encoding("hevc", 20, "slow", audio="mute", mute_spans=((3.0, 5.5), (70.0, 75.0)))
    assert settings.look == Look("ring", start_s=3723.5, paranoid=True)
    assert settings.regions == (Region(1, 2, 3, 4, 60.0, 61.5),)


def test_help_has_examples_and_exit_codes():
    run = call("--help")
    assert run.exit_code == 0 and run.stdout.count("cloak video ") >= 6 and "BUT LOOK" in run.stdout
