"""Frames of clips that are written here, whose colours and times are known, and of the data pack's awkward ones."""

import av
import numpy as np
import pytest

from evaluation import clips

GREYS = [40] * 5 + [200] * 5


@pytest.fixture
def clip(tmp_path):
    """Ten frames at 10 a second; another shot from frame 5 on."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for grey in GREYS:
            picture = np.full((32, 64, 3), grey, np.uint8)
            picture[:, :8] = (255, 0, 0)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return path


def test_every_frame_comes_in_order_with_its_time_and_colour(clip):
    frames = list(clips.read(clip))
    assert [frame.number for frame in frames] == list(range(10))
    assert np.allclose([frame.seconds for frame in frames], np.arange(10) / 10)
    for frame, grey in zip(frames, GREYS):
        assert frame.pixels.shape == (32, 64, 3) and abs(int(frame.pixels[16, 40, 1]) - grey) < 12
        assert frame.pixels[16, 2, 0] > 150 > frame.pixels[16, 2, 2], "red came as blue"


def test_the_first_frame_and_another_shot_are_after_a_cut_and_nothing_else(clip):
    assert [frame.number for frame in clips.read(clip) if frame.after_cut] == [0, 5]
    assert [frame.number for frame in clips.read(clip, 2) if frame.after_cut] == [0, 6]


def test_every_third_frame_keeps_its_number_and_time(clip):
    assert [(f.number, round(f.seconds, 3)) for f in clips.read(clip, 3)] == [(0, 0), (3, 0.3), (6, 0.6), (9, 0.9)]
    with pytest.raises(ValueError, match="must be 1 or more"):
        next(clips.read(clip, 0))


def blank(path, width, height):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        picture = np.zeros((height, width, 3), np.uint8)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return path


def test_a_copy_of_another_size_is_measured_and_one_of_another_shape_is_refused(tmp_path):
    original = blank(tmp_path / "a.mkv", 1280, 720)
    assert clips.size(original) == (720, 1280)
    assert clips.enlargement(original, blank(tmp_path / "b.mkv", 854, 480)) == pytest.approx(2 / 3)
    for width, height in ((720, 1280), (1280, 640)):
        with pytest.raises(clips.ClipUnreadable, match="cropped or turned"):
            clips.enlargement(original, blank(tmp_path / "c.mkv", width, height))


def test_the_shots_of_the_street_are_told_apart(shared_data):
    """crowd-street.json: shots begin at frames 0 and 147."""
    frames = clips.read(shared_data / "video" / "crowd-street.mp4", 2)
    assert [frame.number for frame in frames if frame.after_cut] == [0, 148]


def test_a_phones_clip_comes_upright(shared_data):
    """It was turned from street.mp4, of which it is every frame, smaller; see the pack's README."""
    from evaluation.faces import YuNet

    frame = next(clips.read(shared_data / "video" / "phone-rotated.mp4"))
    assert frame.pixels.shape == (960, 540, 3)
    detector = YuNet(shared_data / "weights" / "yunet_n.onnx")
    assert len(detector.find(frame.pixels)) > len(detector.find(np.ascontiguousarray(np.rot90(frame.pixels, 2))))


@pytest.mark.parametrize("name", ["truncated", "truncated-nomoov", "not-a-video"])
def test_a_clip_that_cannot_be_read_to_its_end_is_refused(shared_data, name):
    with pytest.raises(clips.ClipUnreadable, match=rf"{name}\.mp4.*Nothing was judged"):
        for _ in clips.read(shared_data / "video" / f"{name}.mp4", 25):
            pass


def test_sound_alone_is_no_clip(tmp_path):
    with av.open(str(tmp_path / "sound.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        out.mux(stream.encode(sound))
    with pytest.raises(clips.ClipUnreadable, match="no video"):
        next(clips.read(tmp_path / "sound.wav"))
