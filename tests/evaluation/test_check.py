"""The quick check of one photo: on pictures whose answer is known, then with the judge's real networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from PIL import Image

from evaluation import calibration, check, check_words, matchers, record
from evaluation.__main__ import main
from evaluation.check import CheckImpossible, Judges, compare, exit_code, open_judges
from evaluation.faces import Faces, PhotoUnreadable
from evaluation.files import FileMismatch, sha256_of
from evaluation.matchers.facenet import FILES
from evaluation.reading import Reader
from evaluation.samples import photos_by_subject

ANNA, BERTA, ANNA_CLOAKED = (230, 128), (128, 230), (128, 30)
SEEN, HIDDEN = 7, 9  # blue: what the stand-in detector finds, and what it does not


class Squares:
    """Finds squares by their blue."""

    identity = "squares"

    def __init__(self, blue=(SEEN,)):
        self.blue = blue

    def find(self, pixels):
        mask = np.isin(pixels[..., 2], self.blue).astype(np.uint8)
        _, _, found, _ = cv2.connectedComponentsWithStats(mask)
        there = [(x, y, x + w, y + h) for x, y, w, h, area in found[1:] if area > 20]
        boxes = np.array(there, np.float32).reshape(-1, 4)
        points = (boxes[:, None, :2] + boxes[:, None, 2:]).repeat(5, axis=1) / 2
        return Faces(boxes, points.astype(np.float32), np.ones(len(boxes), np.float32), enlarged=False)


class Colours:
    """A template is the red and green in the middle of the face."""

    metric, weights_sha256, runtime = "cosine", "0" * 64, "none"

    def __init__(self, name):
        self.name = name

    def embed(self, pixels, faces):
        centres = faces.landmarks[:, 0].round().astype(int)
        return np.array([pixels[y, x, :2].astype(np.float32) - 128 for x, y in centres], np.float32)


LIMITS = {"1e-2": 0.5, "1e-3": 0.7, "1e-4": 0.9}


def judges(detectors=None, names=("colours",)):
    return Judges(detectors or {"squares": Squares()}, {name: Colours(name) for name in names},
                  {name: LIMITS for name in names}, {})


def picture(path, *squares, size=(120, 200), background=0, stretch=1):
    """Noise, with squares (x, y, side, colour, blue)."""
    pixels = np.random.default_rng(background).integers(20, 250, (*size, 3), np.uint8)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 3).clip(20, 255)
    for x, y, side, colour, blue in squares:
        pixels[y : y + side, x : x + side] = (*colour, blue)
    if stretch != 1:
        pixels = cv2.resize(pixels, None, fx=stretch, fy=stretch, interpolation=cv2.INTER_NEAREST)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def original(tmp_path):
    return picture(tmp_path / "march.png", (20, 30, 40, ANNA, SEEN))


def only(found):
    (face,) = found.faces
    return face


def test_a_face_that_looks_like_another_is_not_matched(original, tmp_path):
    protected = picture(tmp_path / "cloaked.png", (20, 30, 40, ANNA_CLOAKED, SEEN))
    found = compare(original, protected, judges())
    face = only(found)
    assert (found.relation, face.status, exit_code(found)) == ("same view", "unmatched", 0)
    assert face.box == (20, 30, 60, 70) and face.found_again_by == ("squares",)
    assert face.answers[0].similarity < 0.1 and face.answers[0].strictest is None
    assert "Nothing matched" in check_words.verdict(found) and "no promise" in check_words.verdict(found)


@pytest.mark.parametrize("matching, strictest, status", [(0.95, "1e-4", "matched"), (0.8, "1e-3", "matched"),
                                                         (0.6, "1e-2", "unmatched"), (0.3, None, "unmatched")])
def test_the_answer_names_the_strictest_searcher_who_still_matches(original, tmp_path, matching, strictest, status):
    angle = np.arccos(matching)
    colour = tuple(int(round(128 + 110 * part)) for part in (np.cos(angle), np.sin(angle)))
    found = compare(original, picture(tmp_path / "p.png", (20, 30, 40, colour, SEEN)), judges())
    (answer,) = only(found).answers
    assert answer.similarity == pytest.approx(matching, abs=0.01) and answer.strictest == strictest
    assert only(found).status == status
    says = check_words.words(found)
    assert ("STILL MATCHED" in says) == (status == "matched")
    assert ("but barely: who accepts 1 stranger in 100 still matches it" in says) == (strictest == "1e-2")


def test_one_matcher_that_still_knows_the_face_is_enough(original, tmp_path):
    protected = picture(tmp_path / "p.png", (20, 30, 40, ANNA_CLOAKED, SEEN))
    asked = judges(names=("first", "second"))
    asked.matchers["second"].embed = lambda pixels, faces: np.ones((len(faces), 2), np.float32)
    found = compare(original, protected, asked)
    assert exit_code(found) == 3 and "1 of 1 face, by second." in check_words.verdict(found)


def test_a_face_that_is_not_found_is_still_looked_at_in_its_place(original, tmp_path):
    found = compare(original, picture(tmp_path / "p.png", (20, 30, 40, ANNA, HIDDEN)), judges())
    assert only(found).found_again_by == () and only(found).status == "matched" and exit_code(found) == 3


def test_of_two_looks_at_a_face_the_more_alike_one_counts(original, tmp_path):
    """Where the face was there is nothing to recognise; where the detector sees it, a little aside, there is."""
    protected = picture(tmp_path / "p.png", (32, 30, 40, ANNA, SEEN), (36, 46, 8, ANNA_CLOAKED, SEEN))
    found = compare(original, protected, judges())
    assert found.relation == "same view" and only(found).answers[0].similarity > 0.9


def test_a_covered_face_is_lost_and_not_protected(original, tmp_path):
    found = compare(original, picture(tmp_path / "p.png", (10, 20, 60, (20, 128), HIDDEN)), judges())
    assert found.relation == "same view" and only(found).status == "lost" and exit_code(found) == 3
    assert "not found in their place any more" in check_words.verdict(found)


def test_places_are_carried_to_a_file_of_another_size(original, tmp_path):
    smaller = picture(tmp_path / "p.png", (20, 30, 40, ANNA, HIDDEN), stretch=0.5)
    found = compare(original, smaller, judges())
    assert found.relation == "same view" and only(found).status == "matched"
    larger = picture(tmp_path / "q.png", (20, 30, 40, ANNA_CLOAKED, SEEN), stretch=2)
    assert only(compare(original, larger, judges())).status == "unmatched"


def test_in_a_crop_the_face_is_found_wherever_it_is(original, tmp_path):
    whole = np.asarray(Image.open(original))
    Image.fromarray(whole[20:80, 10:190]).save(tmp_path / "crop.png")
    found = compare(original, tmp_path / "crop.png", judges())
    assert found.relation == "another view" and only(found).status == "matched"
    # The same shape, and yet places mean nothing: a crop on every side, then enlarged.
    enlarged = cv2.resize(np.ascontiguousarray(whole[20:92, 10:130]), (200, 120), interpolation=cv2.INTER_NEAREST)
    Image.fromarray(enlarged).save(tmp_path / "enlarged.png")
    found = compare(original, tmp_path / "enlarged.png", judges())
    assert found.relation == "another view" and only(found).status == "matched"


def test_a_face_that_is_missing_from_a_crop_is_not_called_protected(tmp_path):
    two = picture(tmp_path / "two.png", (10, 30, 40, ANNA, SEEN), (120, 30, 40, (128, 30), SEEN))
    crop = picture(tmp_path / "crop.png", (10, 10, 40, BERTA, SEEN), size=(90, 90), background=5)
    found = compare(two, crop, judges())
    assert {face.status for face in found.faces} == {"unclear"} and exit_code(found) == 3
    assert "2 of 2 faces not judged" in check_words.verdict(found)
    nobody = picture(tmp_path / "nobody.png", size=(90, 90), background=5)
    found = compare(two, nobody, judges())
    assert {face.status for face in found.faces} == {"unclear"} and not found.faces[0].answers and exit_code(found) == 3


def test_every_face_is_judged_from_left_to_right(tmp_path):
    before = picture(tmp_path / "a.png", (120, 20, 40, BERTA, SEEN), (10, 60, 40, ANNA, SEEN))
    after = picture(tmp_path / "b.png", (120, 20, 40, BERTA, SEEN), (10, 60, 40, (128, 30), SEEN))
    found = compare(before, after, judges())
    assert [(face.number, face.box[0], face.status) for face in found.faces] == [
        (1, 10, "unmatched"), (2, 120, "matched")]
    assert "1 of 2 faces, by colours" in check_words.verdict(found)


def test_two_detectors_see_one_face_once_and_what_one_alone_sees_is_said(tmp_path):
    before = picture(tmp_path / "a.png", (10, 30, 40, ANNA, SEEN), (120, 30, 40, BERTA, HIDDEN))
    after = picture(tmp_path / "b.png", (10, 30, 40, (128, 30), SEEN), (120, 30, 40, (30, 128), HIDDEN))
    both = {"first": Squares(), "second": Squares((SEEN, HIDDEN))}
    found = compare(before, after, judges(both))
    assert [face.found_by for face in found.faces] == [("first", "second"), ("second",)]
    assert exit_code(found) == 0 and check_words.words(found).count("alone, so it may be none") == 1
    found = compare(before, before, judges(both))
    assert exit_code(found) == 3
    assert "1 of these, found by one detector alone, may be no face" in check_words.verdict(found)


def test_a_face_of_few_pixels_is_too_small_to_judge(tmp_path):
    before = picture(tmp_path / "a.png", (20, 30, 24, ANNA, SEEN))
    after = picture(tmp_path / "b.png", (20, 30, 24, ANNA_CLOAKED, SEEN))
    found = compare(before, after, judges())
    assert only(found).status == "too small" and exit_code(found) == 3
    assert "too small to judge" in check_words.verdict(found)


def test_identical_files_are_called_that(original, tmp_path):
    (tmp_path / "copy.png").write_bytes(original.read_bytes())
    Image.open(original).save(tmp_path / "again.bmp")
    for path, relation, says in ((original, "one file", "Both names are one file"),
                                 (tmp_path / "copy.png", "identical files", "The two files are identical"),
                                 (tmp_path / "again.bmp", "same pixels", "pixel for pixel")):
        found = compare(original, path, judges())
        assert (found.relation, exit_code(found), only(found).status) == (relation, 3, "matched")
        assert says in check_words.words(found)


def test_without_a_face_or_a_matcher_nothing_was_judged(original, tmp_path):
    empty = picture(tmp_path / "empty.png")
    found = compare(empty, empty, judges())
    assert exit_code(found) == 3 and check_words.verdict(found).startswith("NOT JUDGED: squares found no face")
    found = compare(original, picture(tmp_path / "p.png", (20, 30, 40, BERTA, SEEN)), judges(names=()))
    assert exit_code(found) == 3 and check_words.verdict(found).startswith("NOT JUDGED")


def gallery(tmp_path, **colours):
    folder = tmp_path / "gallery"
    for i, (name, colour) in enumerate(colours.items()):
        (folder / name).mkdir(parents=True)
        picture(folder / name / "1.png", (20, 20, 40, colour, SEEN), size=(90, 90), background=10 + i)
    return folder


def towards(degrees):
    """A colour in this direction."""
    return tuple(int(round(128 + 100 * part)) for part in (np.cos(np.radians(degrees)), np.sin(np.radians(degrees))))


def test_a_gallery_tells_which_photo_comes_first_and_where_the_person_comes(original, tmp_path):
    protected = picture(tmp_path / "p.png", (20, 30, 40, towards(100), SEEN))
    # The original lies at 0 degrees: anna is the only one it knows. Nearer to the protected one are three others.
    folder = gallery(tmp_path, anna=towards(-20), cleo=towards(160), dora=towards(50), erna=towards(180))
    found = compare(original, protected, judges(), gallery=folder)
    (search,) = only(found).searches
    assert (search.mate, search.rank, search.photos, search.mates) == ("anna/1.png", 4, 4, 1)
    assert search.nearest == "dora/1.png" and search.similarity == pytest.approx(np.cos(np.radians(50)), abs=0.02)
    assert not search.is_matched and exit_code(found) == 0
    assert "best photo of the person, anna/1.png, comes 4th of 4" in check_words.words(found)
    assert "has a photo of face 1 4th of 4" in check_words.verdict(found)


def test_a_match_in_the_gallery_alone_is_a_match(original, tmp_path):
    protected = picture(tmp_path / "p.png", (20, 30, 40, towards(80), SEEN))
    found = compare(original, protected, judges(), gallery=gallery(tmp_path, anna=towards(40), berta=towards(200)))
    (search,) = only(found).searches
    assert not only(found).answers[0].is_matched and search.is_matched and search.rank == 1
    assert only(found).status == "matched" and exit_code(found) == 3
    assert check_words.verdict(found) == "STILL MATCHED: 1 of 1 face, by colours."


def test_a_gallery_leaves_out_the_files_themselves_and_names_what_it_cannot_search(original, tmp_path):
    protected = picture(tmp_path / "p.png", (20, 30, 40, BERTA, SEEN))
    folder = gallery(tmp_path, berta=towards(200))
    (folder / "me.png").write_bytes(original.read_bytes())
    (folder / "cloaked.png").write_bytes(protected.read_bytes())
    (folder / "broken.jpg").write_bytes(b"no photo")
    picture(folder / "street.png")
    found = compare(original, protected, judges(), gallery=folder)
    assert only(found).searches[0].photos == 1
    notes = " ".join(found.notes)
    assert "me.png is the original itself" in notes and "cloaked.png is the protected file itself" in notes
    assert "broken.jpg cannot be read" in notes and "no face was found in street.png" in notes
    assert "broken.jpg cannot be read" in check_words.words(found)


@pytest.mark.parametrize("prepare", [lambda folder: None, lambda folder: folder.mkdir(),
                                     lambda folder: (folder.mkdir(), picture(folder / "a.png"))])
def test_a_gallery_without_faces_is_refused(original, tmp_path, prepare):
    prepare(tmp_path / "gallery")
    with pytest.raises(CheckImpossible, match="Nothing was judged"):
        compare(original, original, judges(), gallery=tmp_path / "gallery")


def test_a_rate_without_a_threshold_is_refused(original):
    with pytest.raises(CheckImpossible, match="no threshold at 1e-5 is known for colours"):
        compare(original, original, judges(), fmr="1e-5")


def test_the_words_never_call_anybody_safe_and_say_what_was_not_asked(original, tmp_path):
    protected = picture(tmp_path / "p.png", (20, 30, 40, BERTA, SEEN))
    for names in (("colours",), ("dlib_cpp",), ("dlib_cpp", "colours")):
        says = check_words.words(compare(original, protected, judges(names=names)))
        assert "safe" not in says.lower() and "Not asked:" in says and "--gallery" in says
        assert ("CAUTION" in says) == (names == ("dlib_cpp",))
        assert ("easy one" in says) == (names == ("dlib_cpp", "colours"))


# With the judge's own networks. dlib and its weights are packages, so these run everywhere.


@pytest.fixture(scope="module")
def dlib_only(tmp_path_factory):
    return open_judges(tmp_path_factory.mktemp("no-weights"))


def test_who_is_not_here_is_named_and_dlib_always_is(dlib_only):
    assert set(dlib_only.matchers) == {"dlib_cpp"} and set(dlib_only.detectors) == {"hog"}
    assert set(dlib_only.not_asked) == {"yunet", *matchers.known()} - {"dlib_cpp"}
    assert "facenet_vggface2" in dlib_only.not_asked and dlib_only.uncalibrated == ()


def test_a_weight_file_with_other_bytes_is_refused(tmp_path):
    (tmp_path / "mobilefacenet.onnx").write_bytes(b"something else")
    with pytest.raises(FileMismatch, match="sha256"):
        open_judges(tmp_path)


@pytest.fixture(scope="module")
def facenet_folder(tmp_path_factory):
    """A file as FaceNet's, with seeded weights: the real one is in no package."""
    folder = tmp_path_factory.mktemp("facenet")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        torch.save(InceptionResnetV1(pretrained=None).state_dict(), folder / FILES["facenet_vggface2"])
    return folder


@pytest.fixture
def uncalibrated(original, tmp_path):
    """A check that nothing matches, and a recogniser that is here and has no threshold."""
    asked = replace(judges(), not_asked={"odd": "nobody measured"}, uncalibrated=("odd",))
    return compare(original, picture(tmp_path / "p.png", (20, 30, 40, ANNA_CLOAKED, SEEN)), asked)


def test_who_is_here_and_has_no_threshold_makes_no_clean_answer(uncalibrated):
    assert only(uncalibrated).status == "unmatched" and exit_code(uncalibrated) == 3
    says = check_words.verdict(uncalibrated)
    assert says.startswith("NOT JUDGED by odd, here but without thresholds") and "nothing matched: 1 face" in says
    assert exit_code(replace(uncalibrated, uncalibrated=())) == 0


def test_facenet_is_asked_where_it_is_calibrated_and_named_where_it_is_not(
        facenet_folder, astronaut_png, tmp_path, capsys):
    nowhere = tmp_path / "nowhere"
    here = open_judges(nowhere, further=facenet_folder)
    assert here.uncalibrated == ("facenet_vggface2",) and set(here.matchers) == {"dlib_cpp"}
    assert "cloak-eval calibrate" in here.not_asked["facenet_vggface2"]
    assert "no such file" in here.not_asked["facenet_casia"]
    known = calibration.read()
    known["matchers"]["facenet_vggface2"] = {
        "metric": "cosine", "weights_sha256": sha256_of(facenet_folder / FILES["facenet_vggface2"]),
        "comparisons": 10, "thresholds": {"1e-2": 0.8, "1e-3": 0.9}}
    (tmp_path / "mine.json").write_text(json.dumps(known))
    options = ["--weights", str(nowhere), "--further", str(facenet_folder), "--json"]
    arguments = ["check", str(astronaut_png), str(astronaut_png), *options]
    assert main([*arguments, "--calibration", str(tmp_path / "mine.json")]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["matchers"] == ["dlib_cpp", "facenet_vggface2"] and document["uncalibrated"] == []
    answers = {one["matcher"]: one for one in document["faces"][0]["answers"]}
    assert answers["facenet_vggface2"]["similarity"] == pytest.approx(1, abs=1e-4)
    assert answers["facenet_vggface2"]["threshold"] == 0.9 and answers["facenet_vggface2"]["is_matched"]
    assert main([*arguments, "--calibration", str(tmp_path / "absent.json")]) == 2
    assert "absent.json" in capsys.readouterr().err


def test_a_little_noise_protects_nobody(astronaut, astronaut_png, tmp_path, dlib_only):
    noisy = np.clip(astronaut + np.random.default_rng(0).normal(0, 6, astronaut.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(tmp_path / "noisy.jpg", quality=90)
    found = compare(astronaut_png, tmp_path / "noisy.jpg", dlib_only)
    assert found.relation == "same view" and "matched" in {face.status for face in found.faces}
    assert exit_code(found) == 3


def test_the_verb_answers_in_words_and_in_json(astronaut_png, tmp_path, capsys):
    nowhere = str(tmp_path / "nowhere")
    assert main(["check", str(astronaut_png), str(astronaut_png), "--weights", nowhere]) == 3
    says = capsys.readouterr().out
    assert "Both names are one file" in says and "STILL MATCHED" in says and "mobilefacenet" in says
    (tmp_path / "copy.png").write_bytes(astronaut_png.read_bytes())
    assert main(["check", str(astronaut_png), str(tmp_path / "copy.png"), "--weights", nowhere, "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 3 and document["relation"] == "identical files"
    answer = document["faces"][0]["answers"][0]
    assert answer["matcher"] == "dlib_cpp" and answer["is_matched"]
    assert answer["similarity"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("name", ["absent.jpg", "broken.jpg"])
def test_what_is_no_photo_is_an_error(astronaut_png, tmp_path, name, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    assert main(["check", str(astronaut_png), str(tmp_path / name), "--weights", str(tmp_path)]) == 2
    assert name in capsys.readouterr().err
    with pytest.raises(PhotoUnreadable):
        compare(tmp_path / name, astronaut_png, judges())


def test_other_people_are_not_matched_and_the_same_person_is(shared_data):
    """The right answers are in the names of the folders; people of the tuning split."""
    asked = open_judges(shared_data / "weights")
    assert set(asked.matchers) == set(matchers.names()) - set(asked.not_asked) and len(asked.matchers) >= 3
    root = shared_data / "lfw-dev"
    first = root / "Benazir_Bhutto" / "Benazir_Bhutto_0001.jpg"
    second, other = first.with_stem("Benazir_Bhutto_0002"), root / "Paul_Wolfowitz" / "Paul_Wolfowitz_0001.jpg"
    assert all(any(face.status == "matched" for face in compare(first, path, asked).faces) for path in (first, second))
    assert not any(answer.is_matched for face in compare(first, other, asked).faces for answer in face.answers)


# The thresholds


def test_the_committed_thresholds_agree_with_those_of_the_photo_measurement(shared_data):
    """Other comparisons, made by other code: 150 people against all others there, everybody against everybody here."""
    known = calibration.read()
    arms = record.read(Path(calibration.__file__).parent / "results" / "standard.json")["arms"]
    for name, measured in arms["clean"]["matchers"].items():
        for fmr in ("1e-2", "1e-3"):
            assert known["matchers"][name]["thresholds"][fmr] == pytest.approx(measured["thresholds"][fmr], abs=0.02)


def test_every_matcher_whose_file_is_there_is_calibrated(shared_data):
    known = calibration.read()
    for name in matchers.names():
        description = matchers.HERE / f"{name}.toml"
        file = re_file(description) if description.is_file() else None
        if file is None or (shared_data / "weights" / file).is_file():
            matcher = matchers.load(name, shared_data / "weights")
            assert calibration.thresholds_of(matcher, known), f"{name}: run python -m evaluation calibrate"


def re_file(description):
    (line,) = [line for line in description.read_text().splitlines() if line.startswith("file")]
    return line.split('"')[1]


def test_thresholds_of_another_network_are_not_used():
    known = calibration.read()
    stranger = Colours("dlib_cpp")
    assert calibration.thresholds_of(stranger, known) is None
    stranger.weights_sha256, stranger.metric = known["matchers"]["dlib_cpp"]["weights_sha256"], "euclidean"
    assert calibration.thresholds_of(stranger, known) == known["matchers"]["dlib_cpp"]["thresholds"]


def test_the_committed_file_holds_thresholds_and_counts_alone():
    known = calibration.read()
    for one in known["matchers"].values():
        assert set(one) == {"metric", "weights_sha256", "comparisons", "thresholds"}
        assert one["comparisons"] == known["people"] * (known["people"] - 1) // 2
        assert list(one["thresholds"].values()) == sorted(one["thresholds"].values())
    assert calibration.PATH.stat().st_size < 4000
    with pytest.raises(record.ResultUnreadable, match="is of kind"):
        calibration.read(calibration.PATH.parent / "results" / "speed.json")


def test_a_calibration_finds_the_threshold_by_hand(shared_data, tmp_path):
    root = tmp_path / "people"
    for subject, (source, *_) in list(photos_by_subject(shared_data / "lfw-dev").items())[:16]:
        (root / subject).mkdir(parents=True)
        (root / subject / source.name).symlink_to(source)
    reader = Reader(shared_data / "weights", ["mobilefacenet"], tmp_path / "cache")
    measured = calibration.measure(reader, root)
    photos = [next(person.iterdir()) for person in sorted(root.iterdir())]
    rows = np.concatenate([reader.templates(photo)["mobilefacenet"] for photo in photos])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    every = sorted(float(rows[i] @ rows[j]) for i in range(16) for j in range(i))[::-1]
    one = measured["matchers"]["mobilefacenet"]
    assert one["comparisons"] == 120 and set(one["thresholds"]) == {"1e-2"}  # 120 cannot show 1 in 1,000
    assert one["thresholds"]["1e-2"] == pytest.approx(every[1], abs=1e-5)  # 1 of 120 may lie above


def test_the_names_of_rates_are_those_of_the_calibration():
    assert set(check.ONE_IN) == set(calibration.FMRS)
    for name, fmr in calibration.FMRS.items():
        assert float(name) == fmr == 1 / int(check.ONE_IN[name].replace(",", ""))
