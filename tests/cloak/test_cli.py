"""The command line's own work: arguments, exit codes, tables, JSON, one line an error. The engine is a stand-in here;
`tests/end_to_end` runs the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cloak import cli
from cloak.choices import Choices, Region
from cloak.errors import NoFaceFound, PhotoUnreadable, SettingsInvalid
from cloak.files import write_new
from cloak.io_image import encode_photo, read_photo
from cloak.report import from_json, write_report
from cloak.settings import Progress
from cloak.types import KEEP, FaceReport, Faces, Outcome, Report, Treatment, Verdict


def verdict(after: float = 0.4, matched: bool = False) -> Verdict:
    return Verdict(recogniser="dlib_resnet29", is_surrogate=True, similarity_before=0.98, similarity_after=after,
                   fmr_before=1e-5, fmr_after=0.25, is_matched=matched, threshold=0.9, threshold_fmr=1e-3)


def report(name: str, *statuses: str, output: str | None = None) -> Report:
    faces = tuple(
        FaceReport(number=i + 1, box=(0, 0, 40, 50), detector_score=0.9, treatment="cloak light", status=status,
                   verdicts=() if status in ("lost", "too_small", "kept") else (verdict(matched=status == "matched"),),
                   words=f"in words: {status}")
        for i, status in enumerate(statuses))
    return Report(input=name, output=output, input_sha256=None, output_sha256=None, size=(64, 48), faces=faces,
                  words="Photo in words.", settings={}, versions={}, weights={}, notes=("It cannot be undone.",))


class Engine:
    """Protects every photo, except where a name says what happens: matched, lost, kept, noface, broken."""

    def __init__(self) -> None:
        self.calls: list[dict] = []

    def cloak_photos(self, inputs, outputs, settings, *, choices, reference_photos, progress=None):
        self.calls.append({"inputs": inputs, "outputs": outputs, "settings": settings, "choices": choices,
                           "reference": reference_photos, "progress": progress})
        return [self.one(path, output, settings) for path, output in zip(inputs, outputs)]

    def one(self, path, output, settings):
        if "noface" in path.name:
            return Outcome(path, None, None, f"{path}: no face found, nothing written.", "no_face")
        if "broken" in path.name:
            return Outcome(path, None, None, f"{path}: cut off. Nothing was written.", "failed")
        status = next((s for s in ("matched", "lost", "kept") if s in path.name), "protected")
        photo = read_photo(path, max_pixels=10**6)
        made = report(path.name, "protected", status, output=output.name)
        write_new(output, encode_photo(photo, photo.pixels, jpeg_quality=settings.jpeg_quality),
                  overwrite=settings.overwrite, inputs=[path])
        write_report(made, output, overwrite=settings.overwrite)
        return Outcome(path, output, made, None, "done")

    def find_faces(self, path, *, settings):
        self.calls.append({"settings": settings})
        photo = read_photo(path, max_pixels=10**6)
        if "broken" in path.name:
            raise PhotoUnreadable(f"{path}: cut off. Nothing was written.")
        if "noface" in path.name:
            return photo, Faces.none()
        return photo, Faces(np.float32([[1.2, 2, 31, 42], [50, 5, 60, 20]]), np.zeros((2, 5, 2), np.float32),
                            np.float32([0.99, 0.75]))

    def draw_faces(self, photo, faces, output, *, settings):
        write_new(output, b"a picture with numbers", overwrite=settings.overwrite, inputs=[photo.path])

    def verify_photo(self, path, *, original, settings):
        self.calls.append({"original": original, "settings": settings})
        if "noface" in path.name:
            raise NoFaceFound(f"{path}: no face found.")
        if "broken" in path.name:
            raise PhotoUnreadable(f"{path}: cut off.")
        return report(path.name, next((s for s in ("matched", "lost", "too_small") if s in path.name), "protected"))


@pytest.fixture
def engine(monkeypatch):
    made = Engine()
    monkeypatch.setattr(cli, "_engine", lambda name: getattr(made, name))
    return made


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with a few photos whose names say what becomes of them."""
    monkeypatch.chdir(tmp_path)
    for name in ("good.jpg", "other.jpg", "matched.jpg", "lost.jpg", "noface.jpg", "broken.jpg"):
        Image.new("RGB", (64, 48), "grey").save(name)
    return tmp_path


def run(*words: str):
    return CliRunner().invoke(cli.app, list(words))


# --- exit codes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("names", "code"), [
    (["good.jpg"], 0), (["good.jpg", "other.jpg"], 0), (["matched.jpg"], 3), (["lost.jpg"], 3), (["noface.jpg"], 4),
    (["broken.jpg"], 2), (["good.jpg", "noface.jpg"], 4), (["noface.jpg", "matched.jpg"], 3),
    (["noface.jpg", "matched.jpg", "broken.jpg", "good.jpg"], 2), (["good.jpg", "lost.jpg"], 3),
])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_the_exit_code_is_that_of_the_photo_that_most_needs_a_look(engine, here, names, code, flags):
    assert run("photo", *names, *flags).exit_code == code


@pytest.mark.parametrize(("names", "code"), [(["good.jpg"], 0), (["noface.jpg", "good.jpg"], 4),
                                             (["noface.jpg", "broken.jpg"], 2)])
def test_faces_says_by_its_code_whether_there_are_any(engine, here, names, code):
    assert run("faces", *names).exit_code == code


@pytest.mark.parametrize(("name", "code"), [("good.jpg", 0), ("matched.jpg", 3), ("lost.jpg", 3),
                                            ("too_small.jpg", 3), ("noface.jpg", 4), ("broken.jpg", 2)])
def test_verify_says_by_its_code_whether_all_is_well(engine, here, name, code):
    assert run("verify", name).exit_code == code


@pytest.mark.parametrize("words", [
    ["photo"], ["photo", "--nonsense", "good.jpg"], ["nonsense"], ["photo", "good.jpg", "--seed", "x"],
    ["photo", "good.jpg", "--strength", "mighty"], ["photo", "good.jpg", "--quality", "50"],
    ["photo", "good.jpg", "--seed", "-1"], ["photo", "good.jpg", "--device", "abacus"],
    ["verify"], ["verify", "a.jpg", "b.jpg"], ["faces"],
])
def test_a_wrong_command_is_code_2_and_does_nothing(engine, here, words):
    before = sorted(os.listdir())
    result = run(*words)
    assert result.exit_code == 2 and result.stdout == "" and result.stderr != ""
    assert engine.calls == [] and sorted(os.listdir()) == before


# --- what is asked of the engine ---------------------------------------------------------------------------------


def test_every_option_reaches_the_engine(engine, here):
    run("photo", "good.jpg", "--strength", "strong", "--device", "cpu", "--detector", "other", "--seed", "7",
        "--quality", "90", "--overwrite")
    s = engine.calls[0]["settings"]
    assert (s.strength, s.device, s.detector, s.seed, s.jpeg_quality, s.overwrite) == (
        "strong", "cpu", "other", 7, 90, True)
    run("faces", "good.jpg", "--detector", "other", "--device", "cpu", "--no-picture")
    assert (engine.calls[1]["settings"].detector, engine.calls[1]["settings"].device) == ("other", "cpu")
    run("verify", "good.jpg", "--original", "other.jpg", "--detector", "other")
    assert engine.calls[2]["original"] == Path("other.jpg") and engine.calls[2]["settings"].detector == "other"


def test_all_photos_go_to_the_engine_in_one_batch(engine, here):
    run("photo", "good.jpg", "broken.jpg", "other.jpg")
    (call,) = engine.calls
    assert call["inputs"] == [Path("good.jpg"), Path("broken.jpg"), Path("other.jpg")]


def test_one_bad_file_never_stops_the_rest(engine, here):
    result = run("photo", "broken.jpg", "noface.jpg", "good.jpg")
    assert (here / "good.cloaked.jpg").is_file()
    assert not list(here.glob("broken.*.*")) and not list(here.glob("noface.*.*"))
    assert result.stderr.splitlines() == ["cloak: broken.jpg: cut off. Nothing was written.",
                                          "cloak: noface.jpg: no face found, nothing written."]


@pytest.mark.parametrize("words", [
    ["good.jpg", "good.jpg"], ["good.jpg", "./good.jpg"], ["good.jpg", "sub/good.jpg", "-o", "out"],
    ["good.jpg", "good.jpeg"], ["good.jpg", "sub/GOOD.JPG", "-o", "out"],
])
def test_of_two_inputs_for_one_output_the_second_is_refused(engine, here, words):
    """Case alone does not tell files apart on memory cards and on two of three systems."""
    (here / "sub").mkdir()
    for twin in ("sub/good.jpg", "good.jpeg", "sub/GOOD.JPG"):
        Image.new("RGB", (64, 48)).save(twin)
    result = run("photo", *words)
    assert result.exit_code == 2 and engine.calls[0]["inputs"] == [Path("good.jpg")]
    assert "is written to" in result.stderr and len(result.stderr.splitlines()) == 1


def test_in_a_folder_names_are_kept_and_it_is_not_left_empty(engine, here):
    assert run("photo", "good.jpg", "other.jpg", "-o", "out").exit_code == 0
    assert sorted(p.name for p in (here / "out").iterdir()) == [
        "good.jpg", "good.jpg.json", "other.jpg", "other.jpg.json"]
    assert run("photo", "broken.jpg", "-o", "empty/").exit_code == 2 and not (here / "empty").exists()


@pytest.fixture
def card(here):
    """A folder of photos, nested, with what else lies on memory cards."""
    (here / "card" / "day 2" / "b").mkdir(parents=True)
    for name in ("good.jpg", "day 2/good.jpg", "day 2/b/matched.jpg", "broken.jpg"):
        Image.new("RGB", (64, 48), "grey").save(here / "card" / name)
    (here / "card" / "notes.txt").write_text("notes")
    return here / "card"


def test_a_folder_is_mirrored(engine, card, here):
    result = run("photo", "card", "-o", "out")
    assert result.exit_code == 2
    assert sorted(p.relative_to(here / "out").as_posix() for p in (here / "out").rglob("*.jpg")) == [
        "day 2/b/matched.jpg", "day 2/good.jpg", "good.jpg"]
    assert "4 inputs: 2 written and safe by the recognisers asked; 1 written, BUT LOOK" in result.stdout
    assert "1 FAILED" in result.stdout
    assert result.stderr.splitlines() == ["cloak: card/broken.jpg: cut off. Nothing was written.",
                                          "cloak: 1 file is no photo and was left alone: notes.txt"]


def test_an_output_within_the_input_is_not_read_again(engine, card, here):
    run("photo", "card", "-o", "card/out")
    run("photo", "card", "-o", "card/out", "--overwrite")
    assert engine.calls[0]["inputs"] == engine.calls[1]["inputs"] and len(engine.calls[1]["inputs"]) == 4


@pytest.mark.parametrize("words", [["card"], ["good.jpg", "card"]])
def test_a_folder_needs_a_place_for_the_outputs(engine, card, words):
    result = run("photo", *words)
    assert result.exit_code == 2 and "-o" in result.stderr and engine.calls == []


def test_the_folder_itself_is_no_place_for_the_outputs(engine, card, here):
    before = {p: p.read_bytes() for p in card.rglob("*") if p.is_file()}
    result = run("photo", "card", "-o", "card", "--overwrite")
    assert result.exit_code == 2 and {p: p.read_bytes() for p in card.rglob("*") if p.is_file()} == before


def test_an_empty_folder_is_no_success(engine, here):
    (here / "empty").mkdir()
    result = run("photo", "empty", "-o", "out")
    assert result.exit_code == 2 and "no photo in it" in result.stderr and not (here / "out").exists()


def test_a_folder_that_cannot_be_made_is_one_clear_line(engine, here):
    result = run("photo", "good.jpg", "-o", "other.jpg/out/")
    assert result.exit_code == 2 and engine.calls == []
    assert "the folder cannot be made" in result.stderr and len(result.stderr.splitlines()) == 1


# --- face by face ------------------------------------------------------------------------------------------------


def chosen(engine, name="good.jpg"):
    return engine.calls[-1]["choices"][Path(name)]


SOLID, RING, CLOAK = Treatment("redact", "solid"), Treatment("redact", "ring"), Treatment("cloak", "balanced")


@pytest.mark.parametrize(("words", "choices"), [
    ([], Choices(CLOAK)), (["--strength", "light"], Choices(Treatment("cloak", "light"))),
    (["--redact", "ring"], Choices(RING)), (["--keep", "2,5"], Choices(CLOAK, {2: KEEP, 5: KEEP})),
    (["--redact", "solid", "--keep", "1"], Choices(SOLID, {1: KEEP})), (["--only", "1"], Choices(KEEP, {1: CLOAK})),
    (["--redact", "ring", "--only", "3,1"], Choices(KEEP, {3: RING, 1: RING})),
    (["--regions", "1,2,3,4", "--regions", "5,6,7,8"],
     Choices(CLOAK, {}, (Region(1, 2, 3, 4, SOLID), Region(5, 6, 7, 8, SOLID)))),
    (["--regions", "-1,2,3,4", "--redact", "ring"], Choices(RING, {}, (Region(-1, 2, 3, 4, RING),))),
])
def test_choices_reach_the_engine(engine, here, words, choices):
    assert run("photo", "good.jpg", *words).exit_code == 0
    assert chosen(engine) == choices


@pytest.mark.parametrize("words", [
    ["good.jpg", "other.jpg", "--keep", "1"], ["good.jpg", "--keep", "x"], ["good.jpg", "--only", "0"],
    ["good.jpg", "--keep", "1", "--only", "2"], ["good.jpg", "--regions", "1,2,3"], ["good.jpg", "--redact", "tape"],
    ["good.jpg", "--choices", "missing.json"], ["good.jpg", "--small", "ignore"], ["good.jpg", "--metadata", "all"],
    ["card", "-o", "out", "--keep", "1"],
])
def test_choices_that_mean_nothing_are_code_2_before_any_work(engine, card, here, words):
    result = run("photo", *words)
    assert result.exit_code == 2 and engine.calls == [] and len(result.stderr.splitlines()) == 1
    assert not (here / "out").exists()


def test_the_form_that_faces_writes_is_what_photo_reads(engine, card, here):
    assert run("faces", "card", "-o", "look", "--choices", "form.json", "--json").exit_code == 2
    form = json.loads((here / "form.json").read_text())
    assert sorted(form["photos"]) == ["day 2/b/matched.jpg", "day 2/good.jpg", "good.jpg"]
    form["photos"]["day 2/good.jpg"]["faces"]["2"] = "keep"
    form["photos"]["good.jpg"]["default"] = "redact ring"
    (here / "form.json").write_text(json.dumps(form))
    run("photo", "card", "-o", "out", "--choices", "form.json")
    nested, plain = chosen(engine, "card/day 2/good.jpg"), chosen(engine, "card/good.jpg")
    assert nested.faces == {1: CLOAK, 2: KEEP} and len(nested.sha256) == 64
    assert plain.default == RING and chosen(engine, "card/broken.jpg") == Choices(CLOAK)


def test_a_photo_in_the_form_that_is_not_among_the_inputs_is_named(engine, here):
    (here / "form.json").write_text('{"schema": "facecloak-choices/1", "photos": {"gone.jpg": {}}}')
    result = run("photo", "good.jpg", "--choices", "form.json")
    assert result.exit_code == 2 and "gone.jpg is not among the inputs" in result.stderr and engine.calls == []


@pytest.mark.parametrize("words", [
    ["good.jpg", "--reference", "other.jpg", "lost.jpg"],
    ["--reference", "other.jpg", "lost.jpg", "--seed", "1", "good.jpg"],
    ["--reference", "other.jpg", "--reference", "lost.jpg", "--", "good.jpg"],
])
def test_a_reference_takes_several_photos_and_none_of_them_is_an_input(engine, here, words):
    run("photo", *words)
    assert engine.calls[0]["reference"] == [Path("other.jpg"), Path("lost.jpg")]
    assert engine.calls[0]["inputs"] == [Path("good.jpg")]


def test_a_reference_that_takes_the_input_too_is_a_wrong_command(engine, here):
    result = run("photo", "--reference", "other.jpg", "good.jpg")
    assert result.exit_code == 2 and engine.calls == []


def test_faces_writes_a_numbered_picture_beside_the_photo_or_into_a_folder(engine, here):
    assert run("faces", "good.jpg").exit_code == 0 and (here / "good.faces.jpg").is_file()
    assert run("faces", "good.jpg").exit_code == 2, "it is there already"
    assert run("faces", "good.jpg", "--overwrite").exit_code == 0
    assert run("faces", "good.jpg", "noface.jpg", "-o", "look").exit_code == 4
    assert [p.name for p in (here / "look").iterdir()] == ["good.faces.jpg"]


def test_a_kept_face_is_no_failure(engine, here):
    Image.new("RGB", (64, 48)).save("kept.jpg")
    assert run("photo", "kept.jpg").exit_code == 0


# --- what people see ---------------------------------------------------------------------------------------------


def test_the_table_shows_each_face_and_recogniser_and_the_limits(engine, here):
    result = run("photo", "matched.jpg")
    lines = result.stdout.splitlines()
    assert lines[0] == "matched.jpg -> matched.cloaked.jpg"
    assert lines[1].split() == ["matches"]
    assert lines[2].split() == "face treatment recogniser similarity at FMR verdict".split()
    assert lines[3].split() == "1 cloak light dlib_resnet29* 0.98 -> 0.40 0.25 in words: protected".split()
    assert lines[4].split()[0] == "2" and lines[4].rstrip().endswith("in words: matched")
    assert lines[5:] == ["* the cloak was made against this recogniser", "Photo in words.", "It cannot be undone."]


def test_the_table_leaves_room_for_the_verdict_in_80_columns(engine, here, monkeypatch):
    monkeypatch.setattr(cli, "_WIDTH_WITHOUT_TERMINAL", 80)
    assert "in words: matched" in run("photo", "matched.jpg").stdout.splitlines()[4]


def test_a_lost_face_has_a_row_without_numbers(engine, here):
    assert run("photo", "lost.jpg").stdout.splitlines()[4].split() == "2 cloak light - - - in words: lost".split()


def test_faces_are_listed_with_number_box_height_and_score(engine, here):
    lines = run("faces", "good.jpg", "noface.jpg", "--no-picture").stdout.splitlines()
    assert lines[0] == "good.jpg: 2 faces" and lines[-1] == "noface.jpg: no face"
    assert lines[2].split() == ["1", "1", "2", "31", "42", "40", "0.99"]


def test_nothing_is_coloured_or_animated_where_there_is_no_terminal(engine, here):
    result = run("photo", "good.jpg", "matched.jpg")
    assert "\x1b" not in result.output and engine.calls[0]["progress"] is None


def test_progress_goes_to_a_terminal_on_stderr_and_results_stay_clean(engine, here, monkeypatch):
    class Terminal:
        written = ""
        encoding = "utf-8"
        def write(self, text):
            self.written += text
            return len(text)
        def flush(self): ...
        def isatty(self):
            return True
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with cli._progress_bar() as show:
        assert show is not None
        show(Progress(photo="[red]x\x1b[2J.jpg", faces_done=1, faces=3, step=5, steps=40, faces_in_work=2,
                      photos_done=4, photos=9))
    assert "4/9 photos, 1/3 faces" in terminal.written
    assert "[red]x" in terminal.written and "\x1b[2J" not in terminal.written


@pytest.mark.parametrize("name", ["[red]x.jpg", "-good.jpg", "a b'c\".jpg", "Ünï-拍.jpg", os.fsdecode(b"l-\xe9.jpg"),
                                  "a\x1b[31m\nb.jpg", "g" * 251 + ".jpg"])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_any_name_can_be_given_and_is_shown_safely(engine, here, name, flags):
    Image.new("RGB", (64, 48)).save(here / name, "JPEG")
    result = run("photo", *flags, "--", name)
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "\x1b" not in text and len(list(here.glob("*.json"))) == 1
    if not flags:
        assert text.startswith(cli.shown(name))


# --- JSON --------------------------------------------------------------------------------------------------------


def test_json_of_photo_is_one_document_with_every_outcome(engine, here):
    result = run("photo", "good.jpg", "broken.jpg", "noface.jpg", "--json")
    document = json.loads(result.stdout)
    assert document["schema"] == "facecloak-photo/2" and document["exit_code"] == 2 == result.exit_code
    assert [p["kind"] for p in document["photos"]] == ["done", "failed", "no_face"]
    good, broken, _ = document["photos"]
    assert good["output"] == "good.cloaked.jpg" and good["error"] is None
    assert from_json(json.dumps(good["report"])).is_protected
    assert broken["error"].startswith("broken.jpg: cut off") and broken["report"] is None and broken["output"] is None


def test_json_of_faces_gives_numbers_boxes_and_heights(engine, here):
    document = json.loads(run("faces", "good.jpg", "broken.jpg", "--json", "--no-picture").stdout)
    good, broken = document["photos"]
    assert good["faces"][0] == {"number": 1, "box": [1.2, 2.0, 31.0, 42.0], "height_px": 40, "score": 0.99}
    assert broken["faces"] is None and "cut off" in broken["error"]


def test_json_of_verify_is_the_report_itself(engine, here):
    assert from_json(run("verify", "good.jpg", "--json").stdout).input == "good.jpg"


@pytest.mark.parametrize("words", [["verify", "broken.jpg"], ["photo", "good.jpg", "-o", "x.png"],
                                   ["photo", "good.jpg", "--quality", "3"]])
def test_an_error_with_json_is_still_one_document(engine, here, words):
    result = run(*words, "--json")
    assert json.loads(result.stdout)["schema"] == "facecloak-error/1" and result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


# --- the edge ----------------------------------------------------------------------------------------------------


def test_a_setting_the_engine_refuses_is_one_line_and_code_2(engine, here, monkeypatch):
    def refuse(*_, **__):
        raise SettingsInvalid("device is 'cuda', but no CUDA device is at hand; choose cpu. Nothing was written.")
    monkeypatch.setattr(engine, "cloak_photos", refuse)
    result = run("photo", "good.jpg", "--device", "cuda")
    assert result.exit_code == 2 and result.stderr.startswith("cloak: device is 'cuda'")


def test_a_defect_of_ours_is_not_swallowed(engine, here, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError
    monkeypatch.setattr(engine, "cloak_photos", fail)
    assert isinstance(run("photo", "good.jpg").exception, ZeroDivisionError)


def test_interrupting_is_one_line_and_130(engine, here, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt
    monkeypatch.setattr(engine, "cloak_photos", stop)
    result = run("photo", "good.jpg", "-o", "out/")
    assert result.exit_code == 130 and "stopped" in result.stderr and not (here / "out").exists()


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["photo", "--help"], ["verify", "-h"], ["nonsense"]])
def test_help_and_version_do_not_wait_for_torch(words):
    code = ("import sys\nfrom cloak import cli\nsys.argv[0] = 'cloak'\ntry:\n    cli.main()\nfinally:\n"
            "    assert not {'torch', 'cv2', 'scipy'} & set(sys.modules)\n")
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == (2 if words == ["nonsense"] else 0), done.stderr


@pytest.mark.parametrize("verb", [[], ["photo"], ["faces"], ["verify"]])
def test_every_help_has_an_example_and_the_exit_codes(verb):
    text = run(*verb, "--help").stdout
    assert "Example" in text and "    cloak " in text and "Exit codes:" in text and "\b" not in text
    assert all(f"\n    {code}  " in text for code in ((0, 2, 4) if verb == ["faces"] else (0, 2, 3, 4)))


def test_the_public_names_are_lazy_and_complete():
    import cloak
    assert set(cloak.__all__) == set(cloak._HOME) | {"__version__"}
    assert cloak.Settings().strength == "balanced" and cloak.PRESETS and set(cloak.__all__) <= set(dir(cloak))
    with pytest.raises(AttributeError, match="nonsense"):
        cloak.nonsense  # noqa: B018
