"""Measures `cloak batch` as a user would meet it: writes `evaluation/results/batch.json`.

    python scripts/batch.py --data FOLDER [--parts bad throughput scale kill] [--out FILE]

- bad: a card of 1,000 real photos and 20 clips with 30 bad files among them: exit code, all 30 named in report and
  ledger, every file under OUT looked at by exiftool, a detector and recognisers that share no code with the tool;
- throughput: the same photos by one `cloak batch`, by a shell loop over `cloak photo` and by one `cloak photo FOLDER`,
  with the same settings, in the same run; memory over the batch;
- scale: 100, 1,000 and 10,000 small photos, seconds for each beyond what a batch of one takes;
- kill: SIGKILL at 20 drawn moments, to the driver alone or to all its processes, and the same command again: the
  outputs must be, byte for byte, those of a run that nobody touched.

Everything is made from the test data in a temporary folder. `--photos`, `--clips`, `--sizes`, `--kills` and `--sample`
make it smaller; the result says how large it was. A part that is not asked for stays as it is in the result.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import sqlite3
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from evaluation import batches, card, record
from evaluation.batches import Ran, differences, failings, memory, named, read_document, run, tree
from evaluation.check import FMR, open_judges

RESULT = Path(__file__).parent.parent / "evaluation" / "results" / "batch.json"
CLOAK = (sys.executable, "-c", "from cloak.cli import main; main()")
# The cheapest treatment, so that what is measured is the batch and not the cloak
QUICK = ("--photos", "solid", "--videos", "solid")
# What makes `cloak photo` do what the batch does unless it is told otherwise
AS_BATCH = ("--ensure",)
BAR_TIMES, BAR_SHARE = 2.0, 0.10


def batch(folder: Path, out: Path, *words: str, **watched: Any) -> Ran:
    """`cloak batch FOLDER -o OUT`, in the folder above both."""
    ran = run([*CLOAK, "batch", folder.name, "-o", out.name, *words], folder.parent, out=out, **watched)
    if not (out.with_name(f"{out.name}.batch") / "report.json").exists() and "kill" not in watched:
        print(f"cloak batch {folder.name} left no report, exit code {ran.code}: {ran.stderr[-2000:]}", file=sys.stderr)
    return ran


def on_card(sizes: argparse.Namespace) -> tuple[str, ...]:
    return "--photos", sizes.photos_as, "--videos", "solid"


def work_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.batch")


def bad(data: Path, room: Path, sizes: argparse.Namespace) -> dict[str, Any]:
    """The card with thirty bad files."""
    made = card.make(data, room / "card", photos=sizes.photos, clips=sizes.clips)
    made = card.plant_bad(data, made, room / "outside")
    before = tree(made.folder)
    out = room / "web"

    def take_away(look: batches.Look) -> None:
        # The folder was read when the first output is there
        if look.outputs:
            (made.folder / card.VANISHING).unlink(missing_ok=True)

    ran = batch(made.folder, out, *on_card(sizes), *sizes.workers, without_root=True, on_look=take_away)
    work = work_of(out)
    document = read_document(work)
    html = (work / "report.html").read_text(encoding="utf-8")
    planted = named(made.bad, document, html, work / "ledger.sqlite")
    odd = named(made.odd, document, html, work / "ledger.sqlite")
    judges = open_judges(data / "weights")
    published = batches.judged(made, out, document, judges,
                               on_file=lambda number: say(f"{number} files judged", every=number % 100 == 0))
    after = tree(made.folder)
    vanished = [name for name in differences(before, after) if name != card.VANISHING]
    again = batch(made.folder, out, *on_card(sizes), *sizes.workers, without_root=True)
    good = {batches.shown(name) for name in (*made.photos, *made.clips)}
    states = {one["source"]: one["state"] for one in document["files"]}
    return {
        "photos": len(made.photos), "clips": len(made.clips), "bad": len(made.bad), "odd": len(made.odd),
        "command": shlex.join(["cloak", "batch", "card", "-o", "web", *on_card(sizes)]),
        "exit_code": ran.code, "wall_s": ran.wall_s, "counts": document["counts"],
        "good_done": sum(states.get(name) == "done" for name in good),
        "good_not_done": {name: states.get(name) for name in sorted(good) if states.get(name) != "done"},
        "bad_in_report": sum(one["in_report"] for one in planted.values()),
        "bad_in_page": sum(one["in_page"] for one in planted.values()),
        "bad_in_ledger": sum(one["in_ledger"] for one in planted.values()),
        "bad_as_expected": sum(one["as_expected"] for one in planted.values()),
        "planted": planted, "odd_files": odd,
        "published": published.as_json(), "fmr": FMR, "matchers": sorted(judges.matchers),
        "inputs_changed": vanished,
        "left_over": leftovers(out, work),
        "memory": memory(ran.looks),
        "again": {"exit_code": again.code, "wall_s": again.wall_s},
    }  # fmt: skip


def throughput(data: Path, room: Path, sizes: argparse.Namespace) -> dict[str, Any]:
    """The same photos three ways, one after the other."""
    made = card.make(data, room / "card", photos=sizes.sample, clips=0, seed=1)
    words = ("--photos", "cloak")
    loop = room / "loop.sh"
    cloak = shlex.join(CLOAK)
    loop.write_text("set -u\nfind card -type f | sort | while read -r photo; do\n"
                    '  to="loop/$(dirname "$photo")"; mkdir -p "$to"\n'
                    f'  {cloak} photo "$photo" {shlex.join(AS_BATCH)} -o "$to/" < /dev/null\ndone\n')
    load = os.getloadavg()[0]
    batched = batch(made.folder, room / "web", *words, *sizes.workers)
    looped = run(["sh", str(loop)], room)
    whole = run([*CLOAK, "photo", "card", *AS_BATCH, "-o", "whole"], room)
    ways = {"batch": (batched, room / "web"), "loop": (looped, room / "loop"), "one": (whole, room / "whole")}
    seconds = {name: ran.wall_s / len(made.photos) for name, (ran, _) in ways.items()}
    return {
        "photos": len(made.photos), "processors": os.cpu_count(), "load_before": load,
        "exit_codes": {name: ran.code for name, (ran, _) in ways.items()},
        "outputs": {name: sum(path.suffix == ".json" for path in out.rglob("*")) for name, (_, out) in ways.items()},
        "seconds_per_photo": seconds,
        "times_the_loop": seconds["loop"] / seconds["batch"], "times_one_command": seconds["one"] / seconds["batch"],
        "bar": BAR_TIMES, "is_above_bar": seconds["loop"] / seconds["batch"] >= BAR_TIMES,
        "memory": memory(batched.looks),
    }  # fmt: skip


def scale(data: Path, room: Path, sizes: argparse.Namespace) -> dict[str, Any]:
    """Small photos, more and more of them. What a batch of one takes is taken off: it is the start of the tool."""
    def wall(count: int, name: str) -> tuple[Ran, int]:
        made = card.small(data, room / name, count)
        ran = batch(made.folder, room / f"{name}-web", *QUICK, *sizes.workers)
        counts = read_document(work_of(room / f"{name}-web"))["counts"]
        return ran, counts["fine"] + counts["look"]

    start_s = statistics.median(wall(1, f"one-{i}")[0].wall_s for i in range(3))
    rows: list[dict[str, Any]] = []
    each: list[float] = []
    for count in sizes.sizes:
        # A few seconds are noise by themselves
        runs = [wall(count, f"small-{count}-{i}") for i in range(3 if count <= 100 else 1)]
        ran, done = sorted(runs, key=lambda one: one[0].wall_s)[len(runs) // 2]
        each.append(1000 * (ran.wall_s - start_s) / (count - 1))
        rows.append({"photos": count, "runs": len(runs), "wall_s": ran.wall_s, "ms_each": each[-1], "done": done,
                     "exit_code": ran.code, "peak_mb": max(look.driver_mb + look.workers_mb for look in ran.looks),
                     "driver_peak_mb": max(look.driver_mb for look in ran.looks)})
        say(f"{count} photos: {each[-1]:.1f} ms each")
    spread = max(each) / max(min(each), 0.01) - 1  # too few take less than what the start varies by
    return {"treatment": "redact solid", "start_s": start_s, "rows": rows, "spread": spread, "bar": BAR_SHARE,
            "is_within_bar": spread <= BAR_SHARE}


def kill(data: Path, room: Path, sizes: argparse.Namespace) -> dict[str, Any]:
    """The same command, killed at moments that a seed draws, and run again."""
    made = card.make(data, room / "card", photos=sizes.kill_card[0], clips=sizes.kill_card[1], seed=2)
    whole = batch(made.folder, room / "whole", *on_card(sizes), *sizes.workers)
    expected = tree(room / "whole")
    draw = random.Random(20)
    rows: list[dict[str, Any]] = []
    for number in range(sizes.kills):
        after_s, what = draw.uniform(0.5, whole.wall_s), ("driver", "all")[number % 2]
        out = room / f"killed-{number}"
        while True:
            first = batch(made.folder, out, *on_card(sizes), *sizes.workers, kill=(after_s, what))
            if first.code == -signal.SIGKILL:
                break
            after_s *= 0.8  # it was done before that
            for left in (out, work_of(out)):
                shutil.rmtree(left, ignore_errors=True)
        between = tree(out) if out.exists() else {}
        # Temporary files are no outputs; whatever has a name of its own must be whole
        hidden = [name for name in between if is_temporary(Path(name))]
        half_made = [name for name in between if name not in hidden and between[name] != expected.get(name)]
        done_before = ledger_done(work_of(out))
        again = batch(made.folder, out, *on_card(sizes), *sizes.workers)
        rows.append({
            "after_s": after_s, "killed": what, "code": first.code, "orphans_s": first.orphans_s,
            "outputs_then": sum(not name.endswith(".json") for name in between.keys() - set(hidden)),
            "temporary_then": len(hidden), "ledger_done_then": done_before, "half_made": half_made,
            "exit_code": again.code,
            "differences": differences(expected, tree(out)), "left_over": leftovers(out, work_of(out)),
            "wall_s_again": again.wall_s,
        })  # fmt: skip
        say(f"kill {number + 1}: {what} after {after_s:.1f} s, {len(half_made)} half made, "
            f"{len(rows[-1]['differences'])} differences")
    same = sum(not row["differences"] and not row["half_made"] and row["exit_code"] == whole.code for row in rows)
    return {"photos": len(made.photos), "clips": len(made.clips), "photos_as": sizes.photos_as,
            "unbroken_wall_s": whole.wall_s, "unbroken_exit_code": whole.code, "files": len(expected),
            "kills": rows, "same": same}


# --- small parts -------------------------------------------------------------------------------------------------


def ledger_done(work: Path) -> int | None:
    """How many files the ledger calls done; None where there is no ledger yet, or one without its tables."""
    if not (work / "ledger.sqlite").exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        # Of a copy: SQLite puts right what a kill interrupted when it opens a ledger, and that is the tool's to do
        for path in work.glob("ledger.sqlite*"):
            shutil.copyfile(path, Path(folder, path.name))
        with contextlib.closing(sqlite3.connect(Path(folder, "ledger.sqlite"))) as database:
            try:
                return int(database.execute("select count(*) from files where state = 'done'").fetchone()[0])
            except sqlite3.OperationalError:
                return None


def leftovers(out: Path, work: Path) -> list[str]:
    """Temporary files under the folder of the outputs, and what is no part of a batch in its work folder."""
    under = [str(path) for path in (one.relative_to(out) for one in out.rglob("*")) if is_temporary(path)]
    kept = re.compile(r"ledger\.sqlite(-journal|-wal|-shm)?|report\.(html|csv|json)|sheet(-\d+)?\.jpg|\.?lock")
    return sorted([*under, *(path.name for path in work.iterdir() if not kept.fullmatch(path.name))])


def is_temporary(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts) or path.suffix in (".part", ".tmp")


def say(words: str, *, every: bool = True) -> None:
    if every:
        print(words, flush=True)


PARTS = {"bad": bad, "throughput": throughput, "scale": scale, "kill": kill}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of test data")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--photos", type=int, default=1000, help="of the card with bad files")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--photos-as", default="cloak", help="treatment of photos of the card and of the runs that are "
                        "killed; solid where time is short")
    parser.add_argument("--sample", type=int, default=120, help="photos of the throughput")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--kill-card", type=int, nargs=2, default=[24, 2], help="photos and clips of the runs that are "
                        "killed")
    parser.add_argument("--workers", type=lambda count: ("--workers", count), default=())
    parser.add_argument("--room", type=Path, help="where the temporary folders are made")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    data, wrong = arguments.data.resolve(), list[str]()
    for name in arguments.parts:
        with tempfile.TemporaryDirectory(dir=arguments.room) as folder:
            found = PARTS[name](data, Path(folder), arguments)
        known = record.read(arguments.out) if arguments.out.exists() else {}
        others = {one: known[one] for one in known if one not in ("schema", "kind", "machine", "versions")}
        record.write(arguments.out, "batch", others | {name: found})
        print(f"{name}: {arguments.out}", flush=True)
        print(json.dumps({key: value for key, value in found.items() if not isinstance(value, (dict, list))}, indent=1))
        wrong += [f"{name}: {words}" for words in failings(name, found)]
    for words in wrong:
        print(f"NOT AS IT MUST BE: {words}", file=sys.stderr)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
