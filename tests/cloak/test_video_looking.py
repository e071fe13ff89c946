"""The detection pass on small clips made here, whose truth is known: nobody is lost, cuts are seen, a killed pass
goes on as if it had not been."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np
import pytest

from cloak.types import Faces
from cloak.video import looking, planning
from cloak.video.following import follow
from cloak.video.types import Clip, Colour, Frame

SIZE = (480, 270)
BOX = np.array([181, 62, 268, 172])  # of the face in `woman`


def to_frame(number: int, pixels: np.ndarray) -> Frame:
    """As a decoder gives it: planes of 4:2:0."""
    y, red, blue = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb))
    half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
    return Frame(number, number * 512, number / 25, (y, cv2.resize(blue, half), cv2.resize(red, half)),
                 lambda: pixels.copy())


@pytest.fixture(scope="module")
def scene(woman):
    """(pictures, truth): a woman walks to the right before noise, is hidden by a pole in frames 14 to 19, and after a
    cut at frame 34 stands still in another place. Truth: frame -> box, where she is seen."""
    noise = np.random.default_rng(0)
    streets = [cv2.resize(noise.integers(60, 180, (17, 30, 3), np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)
               for _ in range(2)]
    scale = 0.5
    person = cv2.resize(woman[20:230, 120:330], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    corner = np.array([120, 20, 120, 20])
    pictures, truth = [], {}
    for n in range(50):
        picture = streets[n >= 34].copy()
        x, y = (30 + 8 * n, 60 + n) if n < 34 else (240, 120)
        picture[y : y + 105, x : x + 105] = person
        if 14 <= n <= 19:
            middle = x + 52
            picture[:, middle - 60 : middle + 60] = (40, 60, 50)
        else:
            truth[n] = (BOX - corner) * scale + [x, y, x, y]
        pictures.append(picture)
    return pictures, truth


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"stands for the file")
    return Clip(path, SIZE, 0, "h264", "yuv420p", 8, 50, Fraction(25), 2.0, Fraction(1, 12800), Fraction(1), Colour(),
                (), ())


@pytest.fixture(scope="module")
def plan(scene, tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "clip.mp4"
    path.write_bytes(b"stands for the file")
    clip = Clip(path, SIZE, 0, "h264", "yuv420p", 8, 50, Fraction(25), 2.0, Fraction(1, 12800), Fraction(1), Colour(),
                (), ())
    return planning.make_plan(clip, reader(scene[0]))


def reader(pictures: list[np.ndarray], stop: int | None = None, read: list[int] | None = None):
    def frames(start: int) -> Iterator[Frame]:
        for n, picture in enumerate(pictures):
            if n == stop:
                raise KeyboardInterrupt
            if n >= start:
                if read is not None:
                    read.append(n)
                yield to_frame(n, picture)

    return frames


def test_she_is_covered_wherever_she_is_seen_and_the_cut_is_found(scene, plan):
    assert plan.cuts == (34,)
    assert plan.frames == 50
    for number, box in scene[1].items():
        centre, height = (box[:2] + box[2:]) / 2, box[3] - box[1]
        away = [np.hypot(*((np.array(spot.box).reshape(2, 2).mean(0)) - centre)) / height
                for track in plan.tracks for spot in track.spots if spot.frame == number]
        assert min(away) < 0.2, number
    for track in plan.tracks:
        numbers = [spot.frame for spot in track.spots]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))


def test_she_is_the_same_before_and_behind_the_pole(plan):
    assert any({10, 16, 24} <= {spot.frame for spot in track.spots} for track in plan.tracks)


def test_a_killed_pass_goes_on_as_if_it_had_not_been(scene, plan, clip, tmp_path):
    pictures = scene[0]
    folder = tmp_path / "work"
    for stop in (9, 27, 35, 49):
        with pytest.raises(KeyboardInterrupt):
            planning.make_plan(clip, reader(pictures, stop), checkpoint=folder)
        kept = folder / planning.CHECKPOINT
        kept.write_bytes(kept.read_bytes() + b'{"frame": 7, "sight')  # as when it was killed while writing
    read: list[int] = []
    resumed = planning.make_plan(clip, reader(pictures, read=read), checkpoint=folder)
    assert resumed == plan
    assert read[0] > 10  # it did not begin again
    again: list[int] = []
    assert planning.make_plan(clip, reader(pictures, read=again), checkpoint=folder) == plan
    assert again == []


def test_looks_at_another_clip_are_not_taken(scene, plan, clip, tmp_path):
    folder = tmp_path / "work"
    planning.make_plan(clip, reader(scene[0][:3]), checkpoint=folder, sha256="0" * 64)
    assert planning.make_plan(clip, reader(scene[0]), checkpoint=folder) == plan


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_reading_ahead_changes_nothing_however_long_each_look_takes(scene, monkeypatch, stride):
    real = planning._centerface()

    def slowed(find):
        def slow(pixels):
            time.sleep(0.03 * (int(pixels.sum()) % 3))  # so that looks are ready in another order
            return find(pixels)
        return slow

    slow = [slowed(find) for find in real]

    frames = [to_frame(n, picture) for n, picture in enumerate(scene[0][20:45])]
    read: list[int] = []
    ahead, lead = [], []
    for look in looking.look((read.append(frame.number) or frame for frame in frames), slow, stride=stride):
        ahead.append(look)
        lead.append(len(read) - look.frame)
    monkeypatch.setattr(looking, "_AHEAD", 0)
    monkeypatch.setattr(looking, "_AT_ONCE", 1)
    assert ahead == list(looking.look(frames, real, stride=stride))
    assert len(ahead) >= 25 // stride and any(look.sightings for look in ahead)
    assert 5 < max(lead) <= 8 + stride  # and no more of the clip is in memory


@pytest.mark.parametrize("stride", [1, 2])
def test_detectors_take_turns_look_by_look(scene, stride):
    asked: list[str] = []
    finds = [lambda pixels, name=name: asked.append(name) or Faces.none() for name in "ab"]
    frames = [to_frame(n, picture) for n, picture in enumerate(scene[0][20:29])]
    for _ in looking.look(frames, finds, stride=stride):
        pass
    assert sorted(asked) == sorted("ab" * 4 + "a" if stride == 1 else "ababa")


def test_progress_counts_every_frame(scene, clip):
    told: list[int] = []
    planning.make_plan(clip, reader(scene[0][:5]), find=lambda pixels: Faces.none(), on_frame=told.append)
    assert told == [1, 2, 3, 4, 5]


def test_ten_bits_and_no_colour_are_looked_at_too(scene):
    picture = scene[0][5]
    frame = to_frame(0, picture)
    deep = Frame(0, 0, 0.0, tuple(plane.astype(np.uint16) * 4 for plane in frame.planes), frame.to_rgb)
    grey = Frame(0, 0, 0.0, frame.planes[:1], frame.to_rgb)
    find = planning._centerface()
    boxes = [next(looking.look([one], find)).sightings[0].box for one in (frame, deep, grey)]
    assert np.allclose(boxes[0], boxes[1], atol=0.5)
    assert np.allclose(boxes[0], boxes[2], atol=8)


def test_a_face_is_followed_by_its_pixels_until_something_hides_it(scene):
    pictures, truth = scene
    lumas = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures[:30]]
    for numbers in (range(0, 14), range(29, 19, -1)):
        steps = follow([lumas[n] for n in numbers], tuple(truth[numbers[0]]))
        assert len(steps) == len(numbers) - 1
        for n, step in zip(numbers[1:], steps):
            assert np.allclose(step.box, truth[n], atol=4)
    steps = follow(lumas, tuple(truth[0]))
    assert [step.alike > 0 for step in steps[:13]] == [True] * 13
    assert all(step.alike == 0 for step in steps[14:])
    assert len(steps) < 20
