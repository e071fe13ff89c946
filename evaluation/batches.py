"""Judges a folder that `cloak batch` left behind, and watches the command while it works.

What counts is what lies under the folder of the outputs, file by file, beside the card that went in: nobody is asked
what he believes to have done. Only where a file is flagged is taken from the batch's report.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import html
import json
import os
import re
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import canaries, clips
from evaluation.card import SECRET, Card, Planted
from evaluation.check import FMR, Judges
from evaluation.errors import EvaluationFailed
from evaluation.faces import Faces, PhotoUnreadable, Pixels, decode, face_at
from evaluation.long_runs import descendants, resident_mb
from evaluation.matchers import similarities

# Detections that are surely faces: what is taken for one and is none stays as it was, and rightly
SURE, SMALLEST_PX = 0.8, 24
# Mean change of a face's pixels, levels of 255. Writing a JPEG or a clip again alone changes them by less; the weakest
# cloak, and every cover, by more.
BARE_PHOTO, BARE_CLIP = 1.5, 5.0
_EVERY_FRAME = 5
# The recogniser that the engine has too, here by its authors' code: what the tool says of it can be checked
WHITE_BOX = "dlib_cpp"
_REPORT = ".json"


class BatchFailed(EvaluationFailed):
    """The command did not leave what it always leaves."""


# --- what it left ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Published:
    """Everything under the folder of the outputs, judged."""

    files: int = 0
    photos: int = 0
    clips: int = 0
    flagged: int = 0  # outputs that the report names as to be looked at
    # What must be empty: name of a file -> why nobody may publish it. Flags do not help here.
    unprotected: dict[str, str] = field(default_factory=dict)
    faces: int = 0  # of photos, as the judge's detector sees them in the inputs
    faces_bare: dict[str, int] = field(default_factory=dict)  # in files that are not flagged: standing as they were
    faces_matched: dict[str, int] = field(default_factory=dict)  # by matcher, in files that are not flagged
    faces_judged: int = 0  # how many of those were compared
    clip_faces: int = 0  # face-frames of clips
    clip_faces_bare: int = 0
    clip_faces_bare_unflagged: int = 0
    matched_unflagged: dict[str, int] = field(default_factory=dict)  # by file, faces that the white box still matches

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def judged(card: Card, out: Path, document: dict[str, Any], judges: Judges, *,
           on_file: Callable[[int], None] | None = None) -> Published:
    """Looks at every file under `out` beside the one of the card that it was made of.

    Args:
        document: the batch's `report.json`.
        judges: see `evaluation.check.open_judges`; the first detector finds the faces.
    """
    entries = {one["output"]: one for one in document["files"] if one["output"] is not None and one["state"] == "done"}
    inputs = {_sha256(path): str(path.relative_to(card.folder)) for path in _files(card.folder)}
    published = Published()
    outputs = [path for path in sorted(out.rglob("*")) if path.is_symlink() or not path.is_dir()]
    by_name = {shown(str(path.relative_to(out))): path for path in outputs}
    for number, path in enumerate(outputs):
        name = shown(str(path.relative_to(out)))
        published.files += 1
        entry = entries.get(name)
        why = _refused(path, name, entry, by_name, inputs)
        if why is None and entry is not None:
            why = _looked_at(card, path, entry, judges, published)
        if why is not None:
            published.unprotected[name] = why
        if on_file is not None:
            on_file(number + 1)
    for path, tags in strange_tags([path for path in outputs if path.suffix != _REPORT and not path.is_symlink()]):
        published.unprotected.setdefault(shown(str(path.relative_to(out))), f"carries {tags}")
    return published


def _refused(path: Path, name: str, entry: dict[str, Any] | None, by_name: dict[str, Path],
             inputs: dict[str, str]) -> str | None:
    """Why a file must not be there, by its name and its bytes alone."""
    if path.is_symlink() or not path.is_file():
        return "is no file of its own"
    data = path.read_bytes()
    if (same := inputs.get(hashlib.sha256(data).hexdigest())) is not None:
        return f"is {same}, byte for byte"
    if any(SECRET.encode(how) in data for how in ("utf-8", "utf-16-le", "utf-16-be")):
        return "holds a secret of its input"
    if entry is None:
        is_beside = name.removesuffix(_REPORT) in by_name or any(_is_long(name, other) for other in by_name)
        is_report = path.suffix == _REPORT and is_beside and _is_json(data)
        return None if is_report else "is no output that the report knows"
    if entry["output_sha256"] != hashlib.sha256(data).hexdigest():
        return "has another content than the report says"
    return None


def _looked_at(card: Card, path: Path, entry: dict[str, Any], judges: Judges, published: Published) -> str | None:
    source = _source(card, entry)
    if source is None:
        return f"says that it was made of {entry['source']}, which is not there"
    published.flagged += entry["needs_eyes"]
    is_clip = entry["media"] == "clip"
    published.clips += is_clip
    published.photos += not is_clip
    try:
        return (_clip if is_clip else _photo)(source, path, entry, judges, published)
    except (EvaluationFailed, PhotoUnreadable) as error:
        return f"cannot be judged beside its input ({type(error).__name__})"  # the words hold paths of this machine


def _photo(source: Path, path: Path, entry: dict[str, Any], judges: Judges, published: Published) -> str | None:
    before, after = decode(source), decode(path)
    if before.shape != after.shape:
        return f"has {after.shape[1]} x {after.shape[0]} pixels, its input {before.shape[1]} x {before.shape[0]}"
    detector = next(iter(judges.detectors.values()))
    faces = _sure(detector.find(before))
    bare = [i for i in range(len(faces)) if _change(before, after, faces.boxes[i]) <= BARE_PHOTO]
    published.faces += len(faces)
    if len(bare) == len(faces) > 0 and not entry["treatment"].startswith("keep"):
        return f"all {len(faces)} faces stand as they were"
    if entry["needs_eyes"]:
        return None
    if bare:
        published.faces_bare[entry["output"]] = len(bare)
    again = detector.find(after)
    for i in (i for i in range(len(faces)) if i not in bare):
        published.faces_judged += 1
        place = face_at(again, faces.boxes[i])
        if place is None:  # not found any more: nothing to compare
            continue
        for name, matcher in judges.matchers.items():
            pair = matcher.embed(before, faces.only(i)), matcher.embed(after, again.only(place))
            if similarities(*pair, matcher.metric)[0, 0] >= judges.thresholds[name][FMR]:
                published.faces_matched[name] = published.faces_matched.get(name, 0) + 1
                if name == WHITE_BOX:
                    found = published.matched_unflagged.get(entry["output"], 0)
                    published.matched_unflagged[entry["output"]] = found + 1
    return None


def _clip(source: Path, path: Path, entry: dict[str, Any], judges: Judges, published: Published) -> str | None:
    detector = next(iter(judges.detectors.values()))
    seen = bare = 0
    for before, after in zip(clips.read(source, _EVERY_FRAME), clips.read(path, _EVERY_FRAME)):
        if before.pixels.shape != after.pixels.shape:
            return "has another size than its input"
        for box in _sure(detector.find(before.pixels)).boxes:
            seen += 1
            bare += _change(before.pixels, after.pixels, box) <= BARE_CLIP
    published.clip_faces += seen
    published.clip_faces_bare += bare
    if seen and bare > seen / 2:
        return f"{bare} of {seen} faces in its frames stand as they were"
    published.clip_faces_bare_unflagged += 0 if entry["needs_eyes"] else bare
    return None


def _sure(faces: Faces) -> Faces:
    tall = faces.boxes[:, 3] - faces.boxes[:, 1]
    kept = np.flatnonzero((faces.scores >= SURE) & (tall >= SMALLEST_PX))
    return Faces(faces.boxes[kept], faces.landmarks[kept], faces.scores[kept], faces.enlarged)


def _change(before: Pixels, after: Pixels, box: Any) -> float:
    """Mean over the middle of a face: its rim may lie outside what a cloak changes."""
    height, width = before.shape[:2]
    x1, y1, x2, y2 = (float(v) for v in box)
    inset_x, inset_y = 0.15 * (x2 - x1), 0.15 * (y2 - y1)
    rows = slice(max(round(y1 + inset_y), 0), min(round(y2 - inset_y), height))
    columns = slice(max(round(x1 + inset_x), 0), min(round(x2 - inset_x), width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return float("inf")
    return float(np.abs(before[rows, columns].astype(np.int16) - after[rows, columns]).mean())


def strange_tags(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Photos that carry what no written file has a reason to carry, by exiftool; of clips what points to a place, a
    device or a person.
    """
    for path in paths:
        data = path.read_bytes()
        if data[4:8] == b"ftyp" and b"avif" not in data[:32] or data.startswith(b"\x1aE\xdf\xa3"):
            tags = [f"{tag} = {value[:40]}" for tag, value in canaries.read_tags(data)
                    if re.search(r"GPS|Serial|Location|Title|Artist|Author|Comment|Make$|Model$", tag)
                    and not tag.startswith("System:")]
        else:
            tags = list(canaries.inspect(data, (), "strip").strange)
        if tags:
            yield path, "; ".join(tags[:3])


def failings(part: str, found: dict[str, Any]) -> list[str]:
    """What of a part of the measurement is not as it must be, in words; speed and size are judged by their bars."""
    checks: dict[str, bool]
    if part == "bad":
        unprotected = found["published"]["unprotected"]
        odd = {name: one["state"] for name, one in found["odd_files"].items() if not one["as_expected"]}
        checks = {
            f"the exit code is {found['exit_code']}, not 2": found["exit_code"] != 2,
            f"{found['bad_in_report']} of {found['bad']} bad files are in the report": found["bad_in_report"] <
            found["bad"],
            f"{found['bad_in_page']} of {found['bad']} are on the page": found["bad_in_page"] < found["bad"],
            f"{found['bad_in_ledger']} of {found['bad']} are in the ledger": found["bad_in_ledger"] < found["bad"],
            f"{found['bad_as_expected']} of {found['bad']} ended as expected": found["bad_as_expected"] < found["bad"],
            f"{len(unprotected)} files under OUT are not protected: {unprotected}": bool(unprotected),
            f"good files were not done: {found['good_not_done']}": bool(found["good_not_done"]),
            f"odd files ended otherwise: {odd}": bool(odd),
            f"inputs were changed: {found['inputs_changed']}": bool(found["inputs_changed"]),
            f"left over: {found['left_over']}": bool(found["left_over"]),
        }  # fmt: skip
    elif part == "throughput":
        checks = {
            f"{found['times_the_loop']:.2f} times the loop": not found["is_above_bar"],
            f"outputs: {found['outputs']}": len(set(found["outputs"].values())) > 1 or not found["outputs"]["batch"],
        }
    elif part == "scale":
        checks = {f"the time for a photo differs by {100 * found['spread']:.0f} %": not found["is_within_bar"],
                  "a row made nothing": not all(row["done"] for row in found["rows"])}
    else:
        checks = {f"{found['same']} of {len(found['kills'])} ended as the unbroken run":
                  found["same"] < len(found["kills"]) or not found["files"]}
    return [words for words, is_wrong in checks.items() if is_wrong]


# --- who is named ------------------------------------------------------------------------------------------------


def named(planted: Sequence[Planted], document: dict[str, Any], page: str, ledger: Path) -> dict[str, Any]:
    """What the report and the ledger say of files that were planted: state by name, and who is missing where.

    Raises:
        BatchFailed: the ledger cannot be read.
    """
    by_source = {one["source"]: one for one in document["files"]}
    beyond = [*document["troubles"], *document["left_alone"]]
    cells = list(_cells(ledger))
    states: dict[str, Any] = {}
    for one in planted:
        name = shown(one.name)
        base = os.fsencode(Path(one.name).name)
        entry = by_source.get(name)
        states[name] = {
            "kind": one.kind,
            "state": None if entry is None else entry["state"],
            "error": None if entry is None else entry["error"],
            "as_expected": entry is not None and entry["state"] in one.expected,
            "in_report": entry is not None or any(name in words for words in beyond),
            "in_page": html.escape(name) in page,
            "in_ledger": any(base in cell or shown(Path(one.name).name).encode() in cell for cell in cells),
        }  # fmt: skip
    return states


def _cells(ledger: Path) -> Iterator[bytes]:
    """Every text and every blob of a database."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            database.text_factory = bytes
            tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
            for (table,) in tables:
                for row in database.execute(f'select * from "{table.decode()}"'):
                    yield from (bytes(cell) for cell in row if isinstance(cell, bytes))
    except sqlite3.Error as error:
        raise BatchFailed(f"{ledger}: {error}. Nothing was judged.") from error


def read_document(work: Path) -> dict[str, Any]:
    """`report.json` of a batch.

    Raises:
        BatchFailed: there is none, or it is something else.
    """
    path = work / "report.json"
    try:
        document = json.loads(path.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise BatchFailed(f"{path}: {error}. Nothing was judged.") from error
    if not str(document.get("schema")).startswith("facecloak-batch/"):
        raise BatchFailed(f"{path}: schema is {document.get('schema')!r}. Nothing was judged.")
    return dict(document)


def tree(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder."""
    return {str(path.relative_to(folder)): _sha256(path) for path in _files(folder)}


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Names of files that are not the same in both, or only in one."""
    return sorted(shown(name) for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def shown(text: str) -> str:
    """As the tool prints names: what is not printable, escaped. Written anew, for the judge asks nobody."""
    return "".join(c if c.isprintable() else f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else
                   c.encode("unicode_escape").decode("ascii") for c in text)


# --- watching ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the running command saw."""

    seconds: float
    driver_mb: float  # resident
    workers_mb: float  # of all processes it started; pages that they share count for each
    processes: int
    outputs: int


@dataclass(slots=True)
class Ran:
    """One run of the command."""

    code: int = 0
    wall_s: float = 0.0
    stdout: str = ""
    stderr: str = ""
    looks: list[Look] = field(default_factory=list)
    orphans_s: float = 0.0  # how long after the driver was killed the last process it started was gone


def run(words: Sequence[str], folder: Path, *, out: Path | None = None, every_s: float = 0.5,
        without_root: bool = False, kill: tuple[float, str] | None = None,
        on_look: Callable[[Look], None] | None = None) -> Ran:
    """Runs a command in `folder` to its end, or to its kill.

    Args:
        out: the folder whose outputs are counted at each look.
        without_root: as if nobody were root: files that are locked stay locked.
        kill: seconds after the start, and whether SIGKILL goes to the "driver" alone or to it and all it started.
    """
    ran, start = Ran(), time.monotonic()
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                   start_new_session=True, preexec_fn=_lose_root if without_root else None)
        deadline = None if kill is None else start + kill[0]
        helpers: list[int] = []
        try:
            while process.poll() is None:
                now = time.monotonic()
                if deadline is not None and now >= deadline:
                    helpers = descendants(process.pid)
                    process.kill()
                    if kill is not None and kill[1] != "driver":
                        for pid in helpers:
                            with contextlib.suppress(ProcessLookupError):
                                os.kill(pid, signal.SIGKILL)
                    break
                if kill is None:
                    look = _look(process.pid, now - start, out)
                    ran.looks.append(look)
                    if on_look is not None:
                        on_look(look)
                pause = every_s if deadline is None else max(min(every_s, deadline - now), 0.001)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(pause)
            ran.code = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        ran.wall_s = time.monotonic() - start
        died = time.monotonic()
        while any(_is_alive(pid) for pid in helpers):
            if time.monotonic() - died > 60:
                raise BatchFailed(f"{words[0]}: what it started outlives it by a minute. Nothing was recorded.")
            time.sleep(0.05)
        ran.orphans_s = time.monotonic() - died if helpers else 0.0
        for name, file in (("stdout", stdout), ("stderr", stderr)):
            file.seek(0)
            setattr(ran, name, file.read().decode("utf-8", "replace"))
    return ran


def memory(looks: Sequence[Look]) -> dict[str, Any]:
    """Whether memory is flat: its means over quarters of the time, and what it grows by for a thousand outputs."""
    if len(looks) < 4:
        raise BatchFailed(f"{len(looks)} looks at the memory are too few. Nothing was recorded.")
    together = np.array([look.driver_mb + look.workers_mb for look in looks])
    quarters = [float(part.mean()) for part in np.array_split(together, 4)]
    # After the first quarter all networks are loaded; in the last looks workers end
    steady = slice(len(looks) // 4, max(len(looks) - 3, len(looks) // 4 + 2))
    outputs = np.array([look.outputs for look in looks], float)[steady]
    grows = outputs.max() > outputs.min()
    return {
        "peak_mb": float(together.max()),
        "driver_peak_mb": max(look.driver_mb for look in looks),
        "quarters_mb": [round(value, 1) for value in quarters],
        "last_over_second_quarter": quarters[3] / quarters[1],
        "mb_per_1000_outputs": float(np.polyfit(outputs / 1000, together[steady], 1)[0]) if grows else 0.0,
        "over_time": [[round(look.seconds, 1), look.outputs, round(look.driver_mb), round(look.workers_mb)]
                      for look in looks[:: max(1, len(looks) // 60)]],
    }  # fmt: skip


def _look(pid: int, seconds: float, out: Path | None) -> Look:
    helpers = descendants(pid)
    outputs = 0 if out is None else sum(name.endswith(_REPORT) for _, _, names in os.walk(out) for name in names)
    return Look(seconds, resident_mb(pid), sum(resident_mb(one) for one in helpers), 1 + len(helpers), outputs)


def _lose_root() -> None:
    """Root reads locked files by two rights that a bounding set takes away; nobody else has them."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH; linux/capability.h
        prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; fails for others than root, who have none to lose


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


# --- small parts -------------------------------------------------------------------------------------------------


def _files(folder: Path) -> Iterator[Path]:
    """Regular files below a folder; links are none."""
    for here, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(here, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _source(card: Card, entry: dict[str, Any]) -> Path | None:
    """The input of an entry, whose name may be escaped."""
    path = card.folder / str(entry["source"])
    if path.is_file():
        return path
    return next((card.folder / one.name for one in card.odd if shown(one.name) == entry["source"]), None)


def _is_long(report: str, output: str) -> bool:
    """Whether the report may be that of an output whose name left no room for five letters more."""
    return len(output) > 200 and report != output and report[:150] == output[:150]


def _is_json(data: bytes) -> bool:
    try:
        return str(json.loads(data).get("schema", "")).startswith("facecloak-")
    except (ValueError, AttributeError):
        return False


def _sha256(path: Path) -> str:
    try:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()
    except PermissionError:
        return f"locked {path}"
