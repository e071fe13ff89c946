"""The measurement of `--ensure` on small pictures whose outcome is known, with stand-ins for the networks."""

import json

import numpy as np
import pytest
from PIL import Image

from evaluation import ensure, metrics, protect, record, table
from evaluation.ensure import Judged, WrittenUnusable, choose, counts, judge, partners, thresholds_among
from evaluation.faces import Faces, decode
from evaluation.samples import SamplesUnusable

LEFT, RIGHT = [8, 8, 40, 40], [56, 8, 88, 40]
THRESHOLD = {"mean": 0.9}


class Patch:
    """Takes a face for the pixels in its box, as a recogniser would if it knew nothing."""

    name, metric = "mean", "cosine"

    def embed(self, pixels, faces):
        crops = [pixels[y1:y2, x1:x2] for x1, y1, x2, y2 in faces.boxes.astype(int)]
        # The constant keeps black from being no template at all
        return np.stack([np.append(crop.astype(np.float32).ravel() / 255 - 0.5, 0.1) for crop in crops])


class StandIn:
    """Finds faces where it is told to, by the name of the file."""

    def __init__(self, boxes):
        self.boxes, self.matchers = boxes, {"mean": Patch()}

    def find(self, path):
        boxes = np.array(self.boxes[path.name], np.float32).reshape(-1, 4)
        faces = Faces(boxes, np.zeros((len(boxes), 5, 2), np.float32), np.ones(len(boxes), np.float32), False)
        return path.name, faces, decode(path).shape[:2]

    def templates(self, path):
        _, faces, _ = self.find(path)
        return {"mean": Patch().embed(decode(path), faces.only(0))} if len(faces) else None

    def save(self):
        pass


@pytest.fixture
def noise():
    return np.random.default_rng(1).integers(0, 256, (48, 96, 3), dtype=np.uint8)


@pytest.fixture
def save(tmp_path):
    def write(name, pixels):
        Image.fromarray(pixels).save(tmp_path / name)
        return tmp_path / name

    return write


def covered(pixels, box):
    x1, y1, x2, y2 = box
    changed = pixels.copy()
    changed[y1:y2, x1:x2] = 0
    return changed


def outcome(source, written, boxes, treatment="cloak light", status="protected"):
    n = len(boxes)
    return protect.Outcome(source, written, None, np.array(boxes, np.float32).reshape(-1, 4), (treatment,) * n,
                           (status,) * n, (False,) * n, {})


def test_a_file_equal_to_its_original_is_matched_and_a_covered_face_is_not(noise, save):
    original = save("a.png", noise)
    reader = StandIn({"a.png": [LEFT], "covered.png": []})
    same = counts(judge(reader, outcome(original, original, [LEFT])), THRESHOLD)
    assert (same["matched"]["count"], same["matched"]["of"], same["matched_at_the_place_in_the_original"]) == (1, 1, 1)
    box = outcome(original, save("covered.png", covered(noise, LEFT)), [LEFT], "redact solid", "redacted")
    gone = counts(judge(reader, box), THRESHOLD)
    assert (gone["matched"]["count"], gone["matched"]["of"], gone["alike_when_empty"]) == (0, 1, 0)


def test_a_face_that_the_engine_never_saw_is_counted_as_such_and_nowhere_else(noise, save):
    original = save("a.png", noise)
    reader = StandIn({"a.png": [LEFT, RIGHT], "w.png": [RIGHT]})
    judged = judge(reader, outcome(original, save("w.png", covered(noise, LEFT)), [LEFT], "redact solid"))
    assert [face.treatment for face in judged] == ["redact solid", None]
    found = counts(judged, THRESHOLD)
    assert found["matched"]["count"] == 0 and found["matched"]["of"] == 1
    assert found["never_seen"]["count"] == found["never_seen"]["of"] == 1


def test_darkness_is_excused_under_a_cover_and_under_nothing_else(noise, save):
    dark = noise // 40
    original, written = save("a.png", dark), save("w.png", covered(dark, LEFT))
    reader = StandIn({"a.png": [LEFT], "w.png": []})
    under_cover = counts(judge(reader, outcome(original, written, [LEFT], "redact solid")), THRESHOLD)
    assert (under_cover["matched"]["count"], under_cover["alike_when_empty"]) == (0, 1)
    bare = counts(judge(reader, outcome(original, original, [LEFT], "cloak light")), THRESHOLD)
    assert (bare["matched"]["count"], bare["alike_when_empty"]) == (1, 0)


def test_a_cover_excuses_no_matcher_that_tells_the_face_from_black():
    face = Judged("0", 32, "redact solid", {"one": 0.95, "two": 0.95}, None, {"one": 0.95, "two": 0.1})
    both = counts([face], {"one": 0.9, "two": 0.9})
    assert (both["matched"]["count"], both["alike_when_empty"]) == (1, 0)


def test_a_face_that_stands_a_little_aside_is_still_matched_where_the_judge_finds_it(noise, save):
    original, moved = save("a.png", noise), save("w.png", np.roll(noise, 6, axis=1))
    reader = StandIn({"a.png": [LEFT], "w.png": [[14, 8, 46, 40]]})
    (face,) = judge(reader, outcome(original, moved, [LEFT]))
    assert face.in_place["mean"] < 0.9 < face.found_again["mean"]
    found = counts([face], THRESHOLD)
    assert (found["matched"]["count"], found["matched_at_the_place_in_the_original"]) == (1, 0)


def test_a_written_file_of_another_size_is_refused(noise, save):
    reader = StandIn({"a.png": [LEFT], "w.png": []})
    with pytest.raises(WrittenUnusable, match=r"w\.png: \(40, 96, 3\), its original \(48, 96, 3\)"):
        judge(reader, outcome(save("a.png", noise), save("w.png", noise[:40]), [LEFT]))


def test_one_treated_face_protects_one_face_only():
    boxes = np.array([LEFT, [10, 8, 42, 40], RIGHT], np.float32)
    assert partners(boxes, np.array([LEFT], np.float32)) == [0, None, None]
    assert partners(boxes, np.zeros((0, 4), np.float32)) == [None, None, None]
    assert partners(boxes[:0], boxes) == []


def test_the_threshold_is_the_score_that_one_pair_of_strangers_in_a_thousand_exceeds(save):
    generator = np.random.default_rng(0)
    photos = [save(f"{i}.png", generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)) for i in range(47)]
    reader = StandIn({path.name: [[0, 0, 4, 4]] for path in photos[:-1]} | {photos[-1].name: []})
    thresholds, comparisons = thresholds_among(reader, photos)
    rows = np.concatenate([reader.templates(path)["mean"] for path in photos[:-1]])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    scores = sorted(float(rows[i] @ rows[j]) for i in range(46) for j in range(i))
    assert comparisons["mean"] == 46 * 45 / 2  # one of them may lie above
    assert thresholds["mean"] == pytest.approx(scores[-2], abs=1e-6)


def people(data, sizes):
    for name, photos in sizes.items():
        (data / "people" / name).mkdir(parents=True)
        for number in range(photos):
            (data / "people" / name / f"{name}_{number:04d}.jpg").touch()
    (data / "photos" / "dlib-faces").mkdir(parents=True)
    for name in ("dlib-faces/b.jpg", "dlib-faces/a.jpg", "two-faces.jpg"):
        (data / "photos" / name).touch()


def test_groups_come_first_then_people_nobody_cloaked_before_who_set_no_threshold(tmp_path):
    people(tmp_path, {"Anna": 1, "Bo": 4, "Cy": 3, "Di": 2})
    chosen = choose(tmp_path, "people", 5)
    assert [path.name for path in chosen.groups] == ["a.jpg", "b.jpg", "two-faces.jpg"]
    used = {path.parent.name for path in chosen.portraits}
    assert len(used) == 2 and "Bo" not in used and chosen == choose(tmp_path, "people", 5)
    assert {path.parent.name for path in chosen.strangers} == {"Anna", "Bo", "Cy", "Di"} - used
    assert set(choose(tmp_path, "people", 4).portraits) < set(chosen.portraits)
    for count in (2, 7):
        with pytest.raises(SamplesUnusable, match="Nothing was judged"):
            choose(tmp_path, "people", count)


@pytest.fixture
def measured(noise, save, tmp_path, monkeypatch):
    """Two photos: of one face that was cloaked without any effect and one that nobody saw, and one that was refused."""
    original, refused = save("a.png", noise), save("b.png", noise[::-1])
    reader = StandIn({"a.png": [LEFT, RIGHT], "b.png": [LEFT], "w.png": [LEFT, RIGHT]})
    made = [outcome(original, save("w.png", noise), [LEFT], "cloak strong", "lost"),
            protect.Outcome(refused, None, "b.png: still matched", np.zeros((0, 4), np.float32), (), (), (), {})]
    monkeypatch.setattr(protect, "outcomes", lambda paths, folder, strength, **options: made)
    monkeypatch.setattr(protect, "recognisers", lambda *_, **__: {"made_against": ["mean"], "kept_out": []})
    monkeypatch.setattr(protect, "engine_settings", lambda strength, **_: {"strength": strength})
    monkeypatch.setattr(ensure, "thresholds_among", lambda *_: (THRESHOLD, {"mean": 1000}))
    # What the stand-in finds in the files of the controls
    reader.boxes |= {"a.png": [LEFT, RIGHT]}
    chosen = ensure.Chosen((original, refused), (), ())
    return ensure.measure(reader, chosen, "light", tmp_path / "work")


def test_a_run_says_what_was_refused_what_is_not_settled_and_that_the_promise_was_broken(measured):
    assert measured["photos"]["written"] == 1 and len(measured["photos"]["refused"]) == 1
    assert measured["photos"]["refused"][0]["why"] == "b.png: still matched"
    assert measured["engine_faces"]["by_treatment"] == {"cloak strong": 1}
    assert measured["engine_faces"]["not_settled"] == 1
    assert measured["judge_faces"] == {"seen": 2, "never_seen_by_the_engine": 1}
    assert measured["matchers"]["mean"]["installed"] and measured["any_installed"]["matched"]["count"] == 1
    assert measured["warnings"] == [
        "mean, which is installed, still matches 1 faces.",
        "1 faces in written files are not settled, by the engine's own reports.",
    ]


def test_the_controls_of_a_run_match_every_bare_face_and_no_covered_one(measured):
    bare, boxed = (measured["controls"][name]["mean"]["matched"] for name in ("no-op", "solid box"))
    assert (bare["count"], bare["of"], boxed["count"], boxed["of"]) == (2, 2, 0, 2)


def test_the_table_tells_installed_from_held_out_and_names_the_faces_never_seen(measured, tmp_path):
    measured["recognisers"] = {"mean": {}}
    record.write(tmp_path / "e.json", "ensure", measured)
    lines = table.render([tmp_path / "e.json"]).splitlines()
    assert "1 of these the engine never saw, and **what it does not see stands unprotected.**" in lines[0]
    assert lines[-1].startswith("| mean (installed) | 1 of 1 | 1 of 1: 1.00 [0.21, 1.00] | 0 | 1 of 1 |")
    assert json.loads((tmp_path / "e.json").read_text())["faces"][1]["treatment"] is None


def test_none_of_ten_is_no_proof_of_none():
    """Wilson's interval for 0 and 5 of 10: Newcombe 1998, Statistics in Medicine 17, computes the same by method 3."""
    none, half = metrics.proportion(0, 10), metrics.proportion(5, 10)
    assert (none.value, none.low, round(none.high, 4)) == (0, 0, 0.2775)
    assert (half.value, round(half.low, 4), round(half.high, 4)) == (0.5, 0.2366, 0.7634)
    for count, of in ((0, 0), (2, 1)):
        with pytest.raises(metrics.ScoresUnusable):
            metrics.proportion(count, of)


def test_the_bridge_tells_what_became_of_every_photo_and_names_no_folder(portrait, tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    done, refused = protect.outcomes([portrait, empty], tmp_path / "out", "light", ensure=True, device="cpu")
    assert done.written is not None and done.written.read_bytes() != portrait.read_bytes()
    assert set(done.statuses) <= ensure.SETTLED and len(done.boxes) == len(done.treatments) == len(done.too_small) >= 1
    assert "dlib_resnet29" in done.weights
    assert refused.written is None and len(refused.boxes) == 0
    assert "empty.jpg" in refused.error and str(tmp_path) not in refused.error
