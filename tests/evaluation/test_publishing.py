"""What platforms do, checked on what they leave in the file."""

import hashlib
import io

import av
import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from PIL.ExifTags import GPS, IFD

from evaluation.faces import decode
from evaluation.publishing import CLIP_STEPS, STEPS, TranscodeFailed, publish, publish_clip, transcode


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """2160 x 1440 with detail of every size, metadata and a rotation still to be done."""
    y, x = np.mgrid[:1440, :2160]
    planes = [128 + 100 * np.sin(x * y / 1e5), x / 2160 * 255, 128 + 90 * np.sin(x / 3) * np.cos(y / 5)]
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: 1440 x 2160 upright
    exif.get_ifd(IFD.GPSInfo)[GPS.GPSLatitude] = (48.0, 51.0, 0.0)
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    Image.fromarray(np.stack(planes, 2).astype(np.uint8)).save(path, exif=exif, comment=b"CANARY", quality=95)
    return path


def error(a, b):
    return np.abs(decode(a).astype(float) - decode(b)).mean()


@pytest.mark.parametrize("step", STEPS)
def test_a_step_gives_the_same_bytes_every_time_and_changes_the_picture(astronaut_png, tmp_path, step):
    one, two = (publish(astronaut_png, tmp_path / run, step) for run in ("one", "two"))
    assert one.read_bytes() == two.read_bytes() and one.name == two.name
    assert one.stem == astronaut_png.stem and not np.array_equal(decode(one), decode(astronaut_png))


@pytest.mark.parametrize(
    ("step", "size"), [("social", (720, 1080)), ("messenger", (1067, 1600)), ("screenshot", (1170, 1755))]
)
def test_a_chain_leaves_an_upright_small_jpeg_420_without_metadata(large, tmp_path, step, size):
    path = publish(large, tmp_path, step)
    with Image.open(path) as picture:
        assert picture.format == "JPEG" and picture.size == size
        assert JpegImagePlugin.get_sampling(picture) == 2
        assert not picture.getexif() and "comment" not in picture.info
    assert b"CANARY" in large.read_bytes() and b"CANARY" not in path.read_bytes()


@pytest.mark.parametrize(("step", "quality"), [("social", 75), ("messenger", 70), ("screenshot", 92)])
def test_a_chain_ends_with_the_quality_it_states(large, tmp_path, step, quality):
    reference = io.BytesIO()
    Image.new("RGB", (16, 16)).save(reference, "JPEG", quality=quality)
    with Image.open(publish(large, tmp_path, step)) as published, Image.open(reference) as expected:
        assert published.quantization == expected.quantization


@pytest.mark.parametrize("step", ["social", "messenger"])
def test_a_small_photo_is_encoded_again_and_not_enlarged(astronaut_png, tmp_path, step):
    with Image.open(publish(astronaut_png, tmp_path, step)) as picture:
        assert picture.size == (512, 512)


def test_social_encodes_twice(astronaut_png, tmp_path):
    """The first pass must leave its mark: quality 80 and then 75 is not quality 75."""
    twice, once = publish(astronaut_png, tmp_path / "a", "social"), publish(astronaut_png, tmp_path / "b", "jpeg75")
    chained = publish(publish(astronaut_png, tmp_path / "c", "jpeg80"), tmp_path / "d", "jpeg75")
    assert twice.read_bytes() == chained.read_bytes() != once.read_bytes()


def test_a_screenshot_is_as_wide_as_the_screen_or_three_times_the_photo(tmp_path):
    for width, expected in ((2340, 1170), (390, 1170), (250, 750)):
        Image.new("RGB", (width, 200), (10, 120, 240)).save(tmp_path / f"{width}.png")
        with Image.open(publish(tmp_path / f"{width}.png", tmp_path / "out", "screenshot")) as picture:
            assert picture.width == expected


def test_a_screenshot_shifts_the_shadows_and_keeps_black_and_white(tmp_path):
    for level, low, high in ((0, 0, 0), (255, 255, 255), (128, 127, 129), (20, 26, 28)):
        Image.new("RGB", (400, 40), (level,) * 3).save(tmp_path / f"{level}.png")
        assert low <= decode(publish(tmp_path / f"{level}.png", tmp_path / "out", "screenshot")).mean() <= high


def test_webp_is_webp_and_loses_less_at_a_higher_quality(astronaut_png, tmp_path):
    paths = [publish(astronaut_png, tmp_path / step, step) for step in ("webp95", "webp80", "webp30")]
    with Image.open(paths[1]) as picture:
        assert picture.format == "WEBP" and picture.size == (512, 512)
    errors = [error(path, astronaut_png) for path in paths]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_a_quarter_loses_more_than_a_half_and_leaves_plain_areas_alone(astronaut_png, tmp_path):
    half, quarter = (publish(astronaut_png, tmp_path / step, step) for step in ("half", "quarter"))
    assert 0 < error(half, astronaut_png) < error(quarter, astronaut_png)
    Image.new("RGB", (33, 21), (7, 70, 170)).save(tmp_path / "plain.png")
    assert error(publish(tmp_path / "plain.png", tmp_path, "quarter"), tmp_path / "plain.png") == 0


def test_a_median_removes_a_point_and_keeps_an_edge(tmp_path):
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:, 10:] = 200
    edge = pixels.copy()
    pixels[5, 5] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    filtered = publish(tmp_path / "a.png", tmp_path / "1", "median3")
    assert np.array_equal(decode(filtered), edge)
    assert np.array_equal(decode(publish(filtered, tmp_path / "2", "median3")), edge)  # its own fixed point


def test_noise_has_the_size_it_is_named_after_and_differs_between_photos(tmp_path):
    drawn = []
    for level in (100, 101):
        Image.new("RGB", (200, 200), (level,) * 3).save(tmp_path / f"{level}.png")
        drawn.append(decode(publish(tmp_path / f"{level}.png", tmp_path / "out", "noise4")).astype(float) - level)
    assert [one.std() for one in drawn] == pytest.approx([4, 4], rel=0.03)
    assert abs(np.corrcoef(drawn[0].ravel(), drawn[1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(
    "step", ["jpeg0", "jpeg101", "jpeg7.5", "jpeg", "webp", "webp80-444", "median4", "blur0", "Half", ""]
)
def test_a_step_out_of_range_is_refused_and_nothing_written(astronaut_png, tmp_path, step):
    with pytest.raises(ValueError, match="no publishing step"):
        publish(astronaut_png, tmp_path / "out", step)
    assert not (tmp_path / "out").exists()


# Video.


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A second of a moving disc, 65 x 49 px, with a comment in the container."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    with av.open(str(path), "w") as out:
        out.metadata["comment"] = "CANARY"
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 65, 49, "bgr0"
        y, x = np.mgrid[:49, :65]
        for number in range(25):
            disc = ((x - 10 - number) ** 2 + (y - 24) ** 2 < 64)[..., None] * np.array([250, 180, 90])
            frame = av.VideoFrame.from_ndarray(disc.astype(np.uint8), "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def read(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
        return stream.codec_context.name, dict(container.metadata), frames


def test_a_transcoded_clip_is_h264_of_even_size_with_every_frame_and_no_metadata(clip, tmp_path):
    path = transcode(clip, tmp_path)
    codec, metadata, frames = read(path)
    assert codec == "h264" and "comment" not in metadata and b"CANARY" not in path.read_bytes()
    assert len(frames) == 25 and frames[0][1].shape == (48, 64, 3)
    for (_, shown), (_, original) in zip(frames, read(clip)[2]):
        assert 0 < np.abs(shown.astype(float) - original[:48, :64]).mean() < 12
    assert list(tmp_path.iterdir()) == [path]


def test_a_transcode_gives_the_same_bytes_every_time_and_loses_more_at_a_higher_crf(clip, tmp_path):
    digests = {hashlib.sha256(transcode(clip, tmp_path / run).read_bytes()).hexdigest() for run in "ab"}
    assert len(digests) == 1
    assert transcode(clip, tmp_path / "c", crf=45).stat().st_size < (tmp_path / "a" / "clip.mp4").stat().st_size


def test_the_steps_for_clips_are_transcodes_and_none_is_the_file_itself(clip, tmp_path):
    assert publish_clip(clip, tmp_path, "none") == clip and CLIP_STEPS == ("crf28", "messenger")
    plain = transcode(clip, tmp_path / "plain", 28).read_bytes()
    assert publish_clip(clip, tmp_path / "crf", "crf28").read_bytes() == plain
    assert publish_clip(clip, tmp_path / "rough", "crf45").stat().st_size < len(plain)
    # Smaller than what a messenger leaves, and not enlarged.
    assert read(publish_clip(clip, tmp_path / "sent", "messenger"))[2][0][1].shape == (48, 64, 3)


@pytest.mark.parametrize(("size", "expected"), [((1281, 721), (852, 480)), ((600, 1000), (480, 800)),
                                                ((2000, 301), (2000, 300))])
def test_a_messenger_leaves_480_on_the_short_side_and_the_shape(tmp_path, size, expected):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "bgr0"
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        pixels[: size[1] // 2, : size[0] // 2] = 200
        out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(stream.encode())
    (_, shown), = read(publish_clip(path, tmp_path / "out", "messenger"))[2]
    assert shown.shape == (expected[1], expected[0], 3)
    # What was the corner is the corner still.
    height, width = shown.shape[:2]
    assert shown[: height // 2 - 4, : width // 2 - 4].min() > 180 > 40 > shown[height // 2 + 4 :].max()


@pytest.mark.parametrize("step", ["crf52", "crf", "crf-1", "jpeg90", "480p", ""])
def test_a_step_that_is_none_for_clips_is_refused_and_nothing_written(clip, tmp_path, step):
    with pytest.raises(ValueError, match="no publishing step for clips"):
        publish_clip(clip, tmp_path / "out", step)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["truncated.mp4", "truncated-nomoov.mp4", "not-a-video.mp4"])
def test_a_damaged_video_leaves_nothing(shared_data, tmp_path, name):
    with pytest.raises(TranscodeFailed, match=f"{name}.*Nothing was written"):
        transcode(shared_data / "video" / name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_variable_rate_and_its_sound_survive(shared_data, tmp_path):
    path = transcode(shared_data / "video" / "vfr.mp4", tmp_path, crf=40)
    original, copy = read(shared_data / "video" / "vfr.mp4")[2], read(path)[2]
    times = [np.array([time for time, _ in frames]) for frames in (original, copy)]
    assert len(times[1]) == 64 and np.abs(np.diff(times[1]) - np.diff(times[0])).max() < 0.002
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
