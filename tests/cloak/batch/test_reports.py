"""The reports of a batch: what needs eyes comes first, names may hold anything, and a quiet run names nobody."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import re
import stat
import tracemalloc
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from cloak.batch import listing, sheet
from cloak.batch.reports import RunFacts, write
from cloak.batch.tally import rows_of
from cloak.batch.types import Entry
from cloak.errors import OutputRefused
from cloak.files import shown

NASTY = ['<img src=x onerror="alert(1)">.jpg', '=HYPERLINK("http://x.example").jpg', "@SUM(1+1)*cmd|' /C calc'!A0.jpg",
         'a";=1+1;".jpg', "two\nlines, and a comma.jpg", "gnp.\u202eexe.jpg", "\udcff\udcfe.jpg", "+1;-1.jpg",
         "</script></style><!--.jpg", "Żółć 抗议 مسيرة.jpg", "\x1b[2Jcleared.jpg"]


def entry(name: str, **changed: object) -> Entry:
    fields: dict = dict(
        source=shown(name), output=shown(name), media="photo", treatment="cloak balanced", state="done",
        needs_look=False, attempts=1, bytes=4321, sha256=hashlib.sha256(name.encode("utf-8", "replace")).hexdigest(),
        output_sha256=None, same_as=None, faces={"protected": 1}, words="1 face: 1 protected.", seconds=1.5)
    return Entry(**(fields | changed))


def given_up(name: str, state: str = "failed", **changed: object) -> Entry:
    return entry(name, **({"state": state, "output": None, "faces": {}, "raised": "PhotoUnreadable", "words":
                           f"/home/anna/card/{name}: a JPEG that is cut off. Copy it again. Nothing was written."} |
                          changed))


def facts_of(output: Path, **changed: object) -> RunFacts:
    fields: dict = dict(
        started=datetime(2026, 11, 23, 18, 4, tzinfo=timezone.utc), wall_s=75.0, exit_code=2, output=output,
        workers="2 workers", settings={"photos": "cloak balanced"}, versions={"facecloak": "0"}, weights={"net": "ab"},
        input="/home/anna/card", rules=("portraits/** = cloak strong",), left_alone=("notes of Anna.txt",),
        troubles=("/home/anna/card/locked: cannot be read (Permission denied)",))
    return RunFacts(**(fields | changed))


@pytest.fixture
def places(tmp_path):
    for name in ("web", "web.batch"):
        (tmp_path / name).mkdir()
    return tmp_path / "web", tmp_path / "web.batch"


def laid(output: Path, name: str, colour: tuple[int, int, int], size: tuple[int, int] = (90, 60), **changed) -> Entry:
    """A file of one colour where an output belongs, and its entry."""
    path = output / name
    Image.new("RGB", size, colour).save(path)
    return entry(name, output_sha256=hashlib.sha256(path.read_bytes()).hexdigest(), output_path=path, **changed)


class Page(HTMLParser):
    """What a browser would make of the page: its elements and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page(work: Path) -> Page:
    return Page((work / "report.html").read_text(encoding="utf-8"))


def test_the_first_line_says_what_needs_eyes(places):
    output, work = places
    entries = [entry("a.jpg"), entry("b.jpg", needs_look=True, faces={"matched": 1}), given_up("c.jpg"),
               given_up("d.jpg", "no_face"), given_up("e.jpg", "vanished"), given_up("f.jpg", "waiting")]
    write(entries, facts_of(output), work, is_quiet=False, sheet=False)
    (heading,) = re.findall(r"<h1[^>]*>(.*?)</h1>", (work / "report.html").read_text())
    assert html.unescape(heading).startswith("4 of 6 files need your eyes before anything is published. "
                                             "1 file is still waiting")
    document = json.loads((work / "report.json").read_text())
    assert document["schema"] == "facecloak-batch/1" and document["exit_code"] == 2
    assert document["counts"] == {"files": 6, "fine": 1, "look": 1, "unseen": 0, "no_face": 1, "failed": 1,
                                  "vanished": 1, "waiting": 1}
    assert not document["is_finished"]


def test_nothing_flagged_is_not_called_safe(places):
    output, work = places
    write([entry("a.jpg")], facts_of(output, troubles=()), work, is_quiet=False, sheet=False)
    shown_ = page(work).text
    assert "Nothing was flagged in 1 file. That is no proof" in shown_
    assert "A face that was not found is not protected" in shown_ and "never a promise" in shown_
    assert not re.search(r"\b(safe|anonym)", shown_, re.IGNORECASE)


def test_every_file_that_was_not_written_is_named_with_its_reason_and_what_to_do(places):
    output, work = places
    entries = [given_up(f"broken/{i}.jpg", attempts=2) for i in range(30)] + [given_up("gone.jpg", "vanished")]
    write(entries, facts_of(output), work, is_quiet=False, sheet=False)
    shown_ = page(work).text
    for i in range(30):
        assert f"broken/{i}.jpg A JPEG that is cut off. Copy it again. Nothing was written. Tried 2 times." in shown_
    assert "/home/anna/card/broken" not in shown_  # the name once is enough
    rows = list(csv.DictReader(io.StringIO((work / "report.csv").read_text(encoding="utf-8"))))
    assert [row["source"] for row in rows if row["state"] == "failed"] == sorted(f"broken/{i}.jpg" for i in range(30))


def test_names_become_neither_markup_nor_formulas_nor_lines(places):
    output, work = places
    entries = [entry(name, words=f"{name} =1", treatment="cloak balanced", needs_look=i % 2 == 0, same_as=shown(name))
               for i, name in enumerate(NASTY)] + [given_up("b/" + name) for name in NASTY]
    facts = facts_of(output, input=NASTY[0], rules=(NASTY[0],), workers=NASTY[0], left_alone=tuple(NASTY),
                     troubles=tuple(NASTY), stopped=NASTY[0], settings={NASTY[0]: NASTY[0]})
    write(entries, facts, work, is_quiet=False, sheet=False)
    got = page(work)
    allowed = {"html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "p", "nav", "ul", "li",
               "a", "b", "bdi", "span", "strong", "em", "code", "details", "summary", "div", "table", "caption",
               "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd"}
    assert {tag for tag, _ in got.tags} <= allowed
    for tag, attributes in got.tags:
        assert not any(key.startswith("on") or key == "src" for key in attributes), (tag, attributes)
        assert re.match(r"#|\./\.\./web/|$", attributes.get("href", "")), attributes
    raw = (work / "report.html").read_bytes()
    assert b"default-src 'none'" in raw and not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", raw)
    assert "\u202e" not in raw.decode("utf-8")
    for name in NASTY:
        assert " ".join(shown(name).split()) in got.text

    lines = (work / "report.csv").read_bytes()
    assert lines.count(b"\r\n") == lines.count(b"\n") == len(entries) + 1
    rows = list(csv.reader(io.StringIO(lines.decode("utf-8"), newline=""), strict=True))
    assert tuple(rows[0]) == listing.COLUMNS and {len(row) for row in rows} == {len(listing.COLUMNS)}
    # As another country's spreadsheet would split it, too
    for separator in ",;\t":
        for row in csv.reader(io.StringIO(lines.decode("utf-8"), newline=""), delimiter=separator):
            assert not [cell for cell in row if cell.lstrip().startswith(tuple("=+-@"))]
    document = json.loads((work / "report.json").read_text("ascii"))
    assert {file["source"] for file in document["files"]} == {e.source for e in entries}  # the JSON changes nothing


def test_a_quiet_run_leaves_no_trace_of_an_input(places):
    output, work = places
    secret = ["anna-brno", "/home/anna", "portraits/**", "notes of Anna", "4321", "locked"]
    first = entry("anna-brno.jpg", output="0007.jpg", words="anna-brno.jpg: 1 face", needs_look=True)
    entries = [first, entry("anna-brno-2.jpg", output="0003.jpg", same_as="anna-brno.jpg"),
               given_up("anna-brno-3.jpg"), given_up("anna-brno-4.jpg"), given_up("anna-brno-5.jpg", "no_face")]
    secret += [one.sha256 for one in entries]
    (work / "sheet.jpg").write_bytes(b"of an earlier run")
    (work / "sheet-002.jpg").write_bytes(b"of an earlier run")
    write(entries, facts_of(output, stopped="/home/anna/card is full"), work, is_quiet=True, sheet=False)
    assert sorted(path.name for path in work.iterdir()) == ["report.csv", "report.html", "report.json"]
    for path in work.iterdir():
        text = path.read_text(encoding="utf-8")
        assert [word for word in secret if word in text] == [], path
        assert str(output.parent) not in text
    got = page(work)
    assert "img" not in {tag for tag, _ in got.tags}
    assert "2 files The input is not a whole photo that we can decode." in got.text
    assert "5 of 5 files need your eyes" in got.text
    assert "0007.jpg" in got.text


def test_the_sheet_shows_outputs_and_nothing_that_took_their_place(places, tmp_path):
    output, work = places
    red, swapped, linked = (laid(output, name, (220, 30, 30)) for name in ("red.jpg", "swapped.jpg", "linked.jpg"))
    original = tmp_path / "original.jpg"
    Image.new("RGB", (90, 60), (20, 200, 30)).save(original)
    (output / "swapped.jpg").write_bytes(original.read_bytes())
    (output / "linked.jpg").unlink()
    (output / "linked.jpg").symlink_to(original)
    unknown = entry("unknown.jpg", output_path=original, needs_look=True)
    entries = [red, swapped, linked, unknown]
    written = write(entries, facts_of(output), work, is_quiet=False, sheet=True)
    assert written[3:] == (work / "sheet.jpg",)
    with Image.open(work / "sheet.jpg") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert np.any((abs(pixels - (220, 30, 30)) < 25).all(-1))
    assert not np.any((abs(pixels - (20, 200, 30)) < 60).all(-1))
    assert "data:image" not in (work / "report.html").read_text()  # the only one to look at has no hash


def test_a_file_to_look_at_is_shown_in_the_page_and_first_on_the_sheet(places):
    output, work = places
    entries = [laid(output, "a.jpg", (10, 10, 200)), laid(output, "z.png", (220, 30, 30), needs_look=True)]
    write(entries, facts_of(output), work, is_quiet=False, sheet=True)
    (picture,) = [attributes for tag, attributes in page(work).tags if tag == "img"]
    assert picture["alt"] == "The written file z.png" and picture["src"].startswith("data:image/jpeg;base64,")
    with Image.open(work / "sheet.jpg") as image:
        middle = image.getpixel((sheet.SIDE_PX // 2 + 28, 64 + sheet.SIDE_PX // 2 + 14))
    assert middle[0] > 180 and middle[2] < 90
    numbers = {row.entry.source: row.number for row in rows_of(entries, is_quiet=False)}
    assert numbers == {"z.png": 1, "a.jpg": 2}


def test_a_clip_is_shown_by_a_frame_from_within(places):
    output, work = places
    path = output / "clip.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(60):
            frame = np.full((64, 96, 3), (0, 0, 0) if i < 15 else (220, 30, 30), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    one = entry("clip.mp4", media="clip", output_path=path, faces={"hide": 2}, needs_look=True,
                output_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    (row,) = rows_of([one], is_quiet=False)
    small = sheet.thumbnail(row, output, 48)
    assert not isinstance(small, str) and small.size == (48, 32)
    assert small.getpixel((24, 16))[0] > 180
    path.write_bytes(path.read_bytes()[:-10])
    assert sheet.thumbnail(row, output, 48) == "not shown: it is not the file that was written"


def test_pages_follow_the_batch_and_are_drawn_again_only_where_they_changed(places):
    output, work = places
    entries = [laid(output, f"{i:03d}.jpg", (i, 90, 90)) for i in range(sheet.PER_PAGE + 3)]
    write(entries, facts_of(output), work, is_quiet=False, sheet=True)
    pages = [work / "sheet.jpg", work / "sheet-002.jpg"]
    before = [path.stat().st_ino for path in pages]
    seen: list[tuple[int, int]] = []
    write(entries, facts_of(output), work, is_quiet=False, sheet=True, on_progress=lambda *at: seen.append(at))
    assert [path.stat().st_ino for path in pages] == before and seen == [(1, 2), (2, 2)]
    entries[-1] = laid(output, entries[-1].source, (200, 0, 0))
    write(entries, facts_of(output), work, is_quiet=False, sheet=True)
    assert pages[0].stat().st_ino == before[0] and pages[1].stat().st_ino != before[1]
    write(entries[:-3], facts_of(output), work, is_quiet=False, sheet=True)
    assert not pages[1].exists()


def test_a_page_with_a_file_missing_is_drawn_again_when_it_is_back(places):
    output, work = places
    one = laid(output, "a.jpg", (220, 30, 30))
    data = (output / "a.jpg").read_bytes()
    (output / "a.jpg").unlink()
    write([one], facts_of(output), work, is_quiet=False, sheet=True)
    (output / "a.jpg").write_bytes(data)
    write([one], facts_of(output), work, is_quiet=False, sheet=True)
    with Image.open(work / "sheet.jpg") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert np.any((abs(pixels - (220, 30, 30)) < 25).all(-1))


def test_a_copy_needs_eyes_as_its_first_does():
    first = entry("a.jpg", needs_look=True, faces={"matched": 1})
    copy = entry("b.jpg", same_as="a.jpg", faces={})
    bare = entry("c.jpg", faces={})
    standing = {row.entry.source: row.standing for row in rows_of([first, copy, bare], is_quiet=False)}
    assert standing == {"a.jpg": "look", "b.jpg": "look", "c.jpg": "unseen"}


def test_what_was_left_clear_by_choice_is_listed(places):
    output, work = places
    write([entry("a.jpg", faces={"kept": 2}), entry("b.mp4", media="clip", faces={"keep": 1, "hide": 3})],
          facts_of(output), work, is_quiet=False, sheet=False)
    assert "With faces kept clear by your choice (2)" in page(work).text


def test_reports_are_for_their_owner_and_replace_the_earlier_ones_whole(places, monkeypatch):
    output, work = places
    write([entry("a.jpg")], facts_of(output), work, is_quiet=False, sheet=False)
    assert {stat.S_IMODE(path.stat().st_mode) for path in work.iterdir()} == {0o600}
    before = {path.name: path.read_bytes() for path in work.iterdir()}
    (work / ".report.csv.part").write_bytes(b"left by a run that was killed")

    def full(*_: object) -> object:
        raise OSError(28, "No space left on device")
        yield b""

    monkeypatch.setattr("cloak.batch.listing.csv_lines", full)
    with pytest.raises(OutputRefused, match=r"report.csv: cannot be written \(No space left on device\)"):
        write([entry("b.jpg")], facts_of(output), work, is_quiet=False, sheet=False)
    assert {path.name: path.read_bytes() for path in work.iterdir()} == before


def test_ten_thousand_files_make_a_page_that_opens_and_take_little_memory(places):
    output, work = places
    entries = [entry(f"card/{i:05d}.jpg", needs_look=i % 3 == 0) for i in range(10_000)]
    tracemalloc.start()
    try:
        write(entries, facts_of(output), work, is_quiet=False, sheet=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30e6
    assert (work / "report.html").stat().st_size < 1.5e6
    assert "2,334 more are in report.csv" in page(work).text
    assert len(json.loads((work / "report.json").read_text())["files"]) == 10_000


@pytest.mark.parametrize("standing", sheet.STANDING_IN_WORDS)
def test_how_a_file_stands_is_never_cut_short_on_a_sheet(places, standing):
    """NO FACE FOUND, WRITTEN without its middle would say the opposite."""
    output, _ = places
    states = {"look": dict(needs_look=True, faces={"matched": 1}), "unseen": dict(faces={})}
    (row,) = rows_of([entry("a.jpg", treatment="redact mosaic inpaint of a long name", **states.get(standing, {}))],
                     is_quiet=False)
    words = sheet.STANDING_IN_WORDS[standing]
    if standing in ("fine", "look", "unseen"):
        assert row.standing == standing and sheet._state(row).lower() == words
    for text in (words, words.upper()):
        assert sheet._fitting(text, sheet.SIDE_PX) == text
