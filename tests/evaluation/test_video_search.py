"""People of made-up templates in made-up tracks, and the whole path on the street of the data pack."""

import json

import av
import numpy as np
import pytest

from evaluation import clips, gallery, video_search, video_truth
from evaluation.__main__ import main
from evaluation.gallery import GalleryUnusable, Maker
from evaluation.tracks import Sighting, Track

MAKER = Maker("made-up", "0" * 64, "yunet", "cosine")
PEOPLE = 300


@pytest.fixture(scope="module")
def templates():
    """(PEOPLE, 64) of unit length."""
    drawn = np.random.default_rng(0).normal(size=(PEOPLE, 64)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def known(templates):
    names = [f"person {i:03d}" for i in range(PEOPLE)]
    return video_search.known(names, [row[None] for row in templates], MAKER)


def track(rows, *, first=0, x=100.0, step=2):
    """One sighting per template row, 25 frames a second, a box of 40 x 50 px."""
    box = np.array([x, 100, x + 40, 150], np.float32)
    frames = range(first, first + step * len(rows), step)
    return Track([
        Sighting(f, f / 25, box, 1.0, {"made-up": row[None].astype(np.float32)}) for f, row in zip(frames, rows)
    ])  # fmt: skip


def noisy(templates, person, count, size, seed=1):
    noise = np.random.default_rng(seed).normal(size=(count, 64)) * size
    return (templates[person] + noise).astype(np.float32)


def test_the_mean_of_a_track_finds_whom_single_frames_do_not(templates, known):
    answers = video_search.search(track(noisy(templates, 7, 60, 0.35)), {"made-up": known})["made-up"]
    right = np.mean([answer.subject == "person 007" for answer in answers.frames])
    assert right < 0.6 and len(answers.frames) == 60
    assert answers.average.subject == "person 007" and answers.average.above
    assert answers.frames[answers.best()].similarity == max(answer.similarity for answer in answers.frames)


def test_a_stranger_is_above_the_threshold_in_one_search_of_a_hundred():
    """The mean over ten galleries: of one, the few most alike pairs decide, and the share is .004 to .025."""
    shares = []
    for seed in range(10):
        drawn = np.random.default_rng(seed).normal(size=(3000, 1, 16)).astype(np.float32)
        known = video_search.known([f"{i:04d}" for i in range(1000)], list(drawn[:1000]), MAKER)
        found = known.gallery.search(drawn[1000:, 0], top=1).similarities[:, 0]
        shares.append((found > known.threshold).mean())
    assert 0.006 < np.mean(shares) < 0.016


def test_the_length_of_a_template_weighs_only_where_distance_is_compared():
    rows = np.array([[1, 0], [0, 9]], np.float32)
    np.testing.assert_allclose(video_search.mean_template(rows, "cosine"), [[0.5, 0.5]])
    np.testing.assert_allclose(video_search.mean_template(rows, "euclidean"), [[0.5, 4.5]])


def test_too_few_people_make_no_threshold(templates):
    with pytest.raises(GalleryUnusable, match="99 people"):
        video_search.known([str(i) for i in range(99)], [row[None] for row in templates[:99]], MAKER)


def test_a_report_says_who_and_when_and_a_copy_is_compared_with_its_original(templates, known):
    seen = [track(noisy(templates, 3, 5, 0.01), first=50), track(noisy(templates, 4, 5, 0.01), x=300)]
    nobody = np.random.default_rng(2).normal(size=(5, 64))
    covered = [seen[0], track(nobody, x=310), track(nobody[:1], first=200)]
    before, after = (video_search.report(tracks, {"made-up": known}) for tracks in (seen, covered))
    assert before[0]["people"] == {"made-up": ["person 003", "person 004"]}
    row = before[0]["tracks"][0]
    assert (row["from_s"], row["to_s"], row["faces"], row["height_px"]) == (2.0, 2.32, 5, 50)
    assert row["matchers"]["made-up"]["most_frames"] == {"subject": "person 003", "frames": 5}
    json.dumps(before[0], allow_nan=False)
    printed = list(video_search.lines(before[0]))
    assert printed[0].startswith("00:02.00-00:02.32  person 003") and "0 tracks name nobody" in printed[-1]
    compared = video_search.against(before, after)
    assert (compared["faces_in_original"], compared["faces_still_detected"]) == (10, 10)
    assert compared["people"]["made-up"]["still_found"] == ["person 003"]
    assert "person 004" in compared["people"]["made-up"]["in_original"]
    assert video_search.against(before, video_search.report([], {"made-up": known}))["faces_still_detected"] == 0


def test_faces_of_a_smaller_copy_are_looked_for_where_they_went(templates, known):
    (seen,) = [track(noisy(templates, 3, 5, 0.01), x=300)]
    half = Track([Sighting(s.frame, s.seconds, s.box / 2, s.score, s.templates) for s in seen.sightings])
    before, after = (video_search.report([one], {"made-up": known}) for one in (seen, half))
    assert video_search.against(before, after)["faces_still_detected"] == 0
    assert video_search.against(before, after, 0.5)["faces_still_detected"] == 5


@pytest.fixture
def truth():
    """Person 3 and person 9 for ten frames, beside each other; person 9 is never large enough in the first five."""
    boxes = np.array([[100, 100, 140, 150], [300, 100, 340, 150]], np.float32)
    frames = range(0, 20, 2)
    return video_truth.Truth(
        {1: "person 003", 2: "person 009"},
        {f: boxes for f in frames},
        {f: [1, 2] for f in frames},
        {f: {1, 2} if f >= 10 else {1} for f in frames},
        {1: 50.0, 2: 50.0},
    )


def rates_of(tracks, truth, known):
    result = video_truth.rates(tracks, truth, {"any": {"made-up": known}})
    return result, result["galleries"]["any"]["matchers"]["made-up"]


def test_rates_by_hand(templates, known, truth):
    """Person 3 is seen in half of her frames and right in all; person 9 is taken for person 8 but for one frame."""
    wrong = np.concatenate([noisy(templates, 8, 4, 0.01), noisy(templates, 9, 1, 0.1)])
    tracks = [track(noisy(templates, 3, 5, 0.01)), track(wrong, first=10, x=300), track(templates[:1], x=600)]
    result, rates = rates_of(tracks, truth, known)
    assert (result["people"], result["people_never_detected"], result["false_faces"]) == (2, 0, 1)
    assert (result["faces"], result["faces_detected"], result["purity"]) == (15, 10, 1.0)
    assert rates["rank_1"]["one_frame"]["value"] == pytest.approx((5 / 10 + 1 / 5) / 2)
    assert rates["rank_1"]["best_frame"]["value"] == rates["rank_1"]["average"]["value"] == 0.5
    assert rates["mates"] == 2 and rates["strangers"] == 0 and rates["strangers_named"] == {}


def test_somebody_who_is_not_enrolled_is_a_stranger(templates, known, truth):
    everybody = known.gallery
    keep = everybody.subjects != "person 009"
    without = video_search.Known(
        gallery.enrol(everybody.templates[keep], everybody.subjects[keep].tolist(), MAKER), known.threshold
    )
    tracks = [track(noisy(templates, 8, 5, 0.01), first=10, x=300)]
    _, rates = rates_of(tracks, truth, without)
    assert (rates["mates"], rates["strangers"]) == (1, 1)
    assert rates["strangers_named"]["average"]["value"] == 1.0
    assert rates["rank_1"]["average"]["value"] == 0.0, "a person who is never detected is not found"


def test_a_clip_in_which_nobody_is_detected_finds_nobody(truth, known):
    result, rates = rates_of([], truth, known)
    assert (result["people_never_detected"], result["faces_detected"]) == (2, 0)
    assert {rates[kind][way]["value"] for kind in ("rank_1", "at_fpir_0.01") for way in video_truth.WAYS} == {0.0}


def test_a_clip_of_half_the_size_is_judged_by_the_same_truth(templates, known, truth):
    (seen,) = [track(noisy(templates, 3, 5, 0.01))]
    half = Track([Sighting(s.frame, s.seconds, s.box / 2, s.score, s.templates) for s in seen.sightings])
    expected = rates_of([seen], truth, known)[0]
    assert expected["faces_detected"] == 5 and rates_of([half], truth.scaled(0.5), known)[0] == expected


def test_a_track_of_two_people_is_not_pure(templates, truth, known):
    both = track(noisy(templates, 3, 4, 0.01)).sightings + track(noisy(templates, 9, 1, 0.01), first=8, x=300).sightings
    assert rates_of([Track(both)], truth, known)[0]["purity"] == 0.8


@pytest.fixture(scope="module")
def people(shared_data, tmp_path_factory):
    """The people of crowd-street and as many others, each by the first photo, linked."""
    folder = tmp_path_factory.mktemp("people")
    source = shared_data / "lfw-dev"
    labels = json.loads((shared_data / "video" / "crowd-street.json").read_text())
    shown = {one["subject"] for one in labels["tracks"].values()}
    others = [p.name for p in sorted(source.iterdir()) if p.is_dir() and p.name not in shown][: 120 - len(shown)]
    for name in [*shown, *others]:
        (folder / name).mkdir()
        photo = sorted((source / name).iterdir())[0]
        (folder / name / photo.name).symlink_to(photo)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """So that the people are embedded once."""
    return tmp_path_factory.mktemp("cache")


def written(path, pictures):
    """Without loss, so that nothing but the cover changes a face."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return path


def test_the_people_of_the_street_are_found_and_under_black_boxes_they_are_not(
    shared_data, people, cache, tmp_path, capsys
):
    """The clip moves the enrolled photos about, so the larger faces must be found."""
    labels = json.loads((shared_data / "video" / "crowd-street.json").read_text())
    frames = list(clips.read(shared_data / "video" / "crowd-street.mp4", 60))
    covered = [frame.pixels.copy() for frame in frames]
    for frame, pixels in zip(frames, covered):
        for person in labels["frames"][frame.number]:
            x1, y1, x2, y2 = (max(int(value), 0) for value in person["box"])
            pixels[max(y1 - 8, 0) : y2 + 8, max(x1 - 8, 0) : x2 + 8] = 0
    original = written(tmp_path / "original.mkv", [frame.pixels for frame in frames])
    copy = written(tmp_path / "copy.mkv", covered)
    out = tmp_path / "out.json"
    assert main([
        "video", str(copy), "--gallery", str(people), "--against", str(original), "--out", str(out), "--every", "1",
        "--matchers", "mobilefacenet", "--cache", str(cache), "--data", str(shared_data), "--publish", "crf28",
    ]) == 0  # fmt: skip
    document = json.loads(out.read_text())
    assert (document["kind"], document["protocol"]["publish"]) == ("clip_search", "crf28")
    compared = document["against"]
    found = compared["people"]["mobilefacenet"]
    shown = {one["subject"] for one in labels["tracks"].values()}
    assert compared["faces_in_original"] > 30 and compared["faces_still_detected"] <= 2
    assert len(found["in_original"]) >= 8 and len(set(found["in_original"]) - shown) <= 1
    assert found["still_found"] == []
    assert "people are still found" in capsys.readouterr().out


def test_a_clip_that_cannot_be_read_ends_the_command_without_a_result(shared_data, people, cache, tmp_path, capsys):
    out = tmp_path / "out.json"
    arguments = ["--gallery", str(people), "--matchers", "mobilefacenet", "--cache", str(cache), "--out", str(out)]
    clip = shared_data / "video" / "not-a-video.mp4"
    assert main(["video", str(clip), "--data", str(shared_data), *arguments]) == 2
    assert "not-a-video.mp4" in capsys.readouterr().err and not out.exists()


def test_a_parrot_of_no_arm_is_refused_before_anything_is_read(shared_data, tmp_path, capsys):
    clip, truth = (str(shared_data / "video" / f"crowd-street.{suffix}") for suffix in ("mp4", "json"))
    arguments = ["--truth", truth, "--data", str(shared_data), "--cache", str(tmp_path), "--matchers", "mobilefacenet"]
    assert main(["video", clip, *arguments, "--parrot", "blurred=naive-blur"]) == 2
    assert "Nothing was judged" in capsys.readouterr().err
    assert main(["video", clip, *arguments, "--against", clip]) == 2
    assert "leave out" in capsys.readouterr().err
    assert main(["video", clip, *arguments, "--publish", "jpeg90"]) == 2
    assert "no publishing step for clips" in capsys.readouterr().err
