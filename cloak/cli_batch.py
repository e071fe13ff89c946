"""The verb `cloak batch`: words in, exit code out. Nothing heavy is imported before it is used."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from cloak.errors import SettingsInvalid
from cloak.files import shown
from cloak.settings import Settings
from cloak.terminal import DONE, FAILED, MATCHED, NO_FACE, AsJson, complain, edge, print_json

if TYPE_CHECKING:
    from cloak.batch.on_ray import Cluster
    from cloak.batch.running import Ended, Job, Progress

SCHEMA = "facecloak-batch/1"
BATCH_CODES = {
    DONE: "every photo and clip is written, and nothing was flagged",
    FAILED: "a file or folder could not be processed, or the command was wrong",
    MATCHED: "written, BUT LOOK: a face is still matched, was lost, or may be uncovered, or none was found",
    NO_FACE: "no face was found in a photo or clip; nothing was written for it",
}
_MOST_SERIOUS_FIRST = (FAILED, MATCHED, NO_FACE, DONE)
_STOPPED = "What was finished is there; run the same command again to go on."
_MOST_COMPLAINTS = 20


def add_to(app: typer.Typer) -> None:
    """Makes the verb part of the command."""
    app.command(
        epilog="\n".join(["\b", "Exit codes:", *(f"  {code}  {meaning}" for code, meaning in BATCH_CODES.items()),
                          f"The first of {', '.join(map(str, _MOST_SERIOUS_FIRST))} that applies to any file."]),
        help="Protects a folder of photos and clips, however deep, and goes on where it was when it is started "
             "again.\n\n"
             "Examples:\n\n\b\n    cloak batch card/ -o for-the-web/               cloaks photos, covers faces in "
             "clips\n"
             "    cloak batch card/ -o for-the-web/ --photos solid\n"
             "    cloak batch card/ -o for-the-web/ --rules rules.toml\n\n"
             "OUT gets protected files only, under the names they had. What is private lies in OUT.batch/: the ledger, "
             "which knows the names and hashes of originals, and report.html, which says what needs eyes. A file in "
             "OUT "
             "that this command did not make is never replaced.",
    )(batch)


def batch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False, help="Photos and clips.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", show_default=False,
                                         help="The folder of the outputs.")],
    photos: Annotated[str, typer.Option(metavar="TREATMENT", help="Of photos: cloak, 'cloak strong', solid, mosaic, "
                                                                  "blur or ring.")] = "cloak",
    videos: Annotated[str, typer.Option(metavar="TREATMENT", help="Of clips: solid, mosaic, blur or ring.")] = "solid",
    rules: Annotated[Path | None, typer.Option(metavar="FILE", show_default=False,
                                               help="TOML: treatments by patterns of names.")] = None,
    ensure: Annotated[bool, typer.Option("--ensure/--no-ensure",
                                         help="Raise the strength of a face that does not hold, and "
                                              "cover it at last.")] = True,
    no_face: Annotated[str, typer.Option(metavar="refuse|clean", help="Where no face is found: write nothing, or "
                                                                      "write it "
                                                                      "without metadata.")] = "refuse",
    work: Annotated[Path | None, typer.Option(metavar="FOLDER", show_default=False,
                                              help="For the ledger and the reports. Default: OUT.batch.")] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, max=1024, show_default=False,
                                                help="Processes. Default: from cores, memory and GPUs.")] = None,
    ray: Annotated[str | None, typer.Option(metavar="auto|HOST:PORT", show_default=False,
                                            help="Have it done by a Ray cluster that runs; see docs/cluster.md. "
                                                 "Whoever reaches its ports can read all photos.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also make pictures of the outputs, for the report.")] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Wait for another run in the same work folder to end.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done. Nothing is written.")] = False,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the networks run.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with edge(as_json, stopped=_STOPPED):
        from cloak.batch import locking, running
        from cloak.batch.types import Common
        from cloak.batch.workers import Local
        from cloak.video.redact import VideoSettings

        said = _rules(photos, videos, rules)
        settings = Settings(ensure=ensure, no_face=no_face, device=device)  # type: ignore[arg-type]
        clip = VideoSettings(no_face=settings.no_face, device=device)
        place = work or Path(f"{os.path.normpath(output)}.batch")
        job = running.Job(folder, output, place, said, Common(settings, clip), retry_failed)
        running.check(job)
        if dry_run:
            raise typer.Exit(_dry_run(job, as_json))
        began, started = time.monotonic(), datetime.now(timezone.utc)
        _make_private(place)
        with locking.locked(place, waits=lock) as handle:
            runner: Local | Cluster
            if ray is None:
                gpus = _gpus(settings)
                count = workers or _count(gpus)
                runner, who = Local(count, gpus=gpus, handle=handle), f"{count} on this machine"
            else:
                runner, who = _cluster(ray, workers), "those of a Ray cluster"
            with _Bar(as_json) as bar:
                ended = running.run(job, runner, on_progress=bar)
            for note in () if isinstance(runner, Local) else runner.notes:
                complain(note)
            code = code_of(ended)
            pages = _report(job, ended, started, time.monotonic() - began, code, who, rules, sheet)
        if as_json:
            print_json(_document(ended, code, pages))
        else:
            _print(ended, pages)
        for trouble in ended.troubles[:_MOST_COMPLAINTS]:
            complain(trouble)
        wrong = [entry for entry in ended.entries if entry.state in ("failed", "vanished", "waiting")]
        for entry in wrong[:_MOST_COMPLAINTS]:
            complain(f"{entry.source}: {entry.words or 'was not finished. Run the same command again.'}")
        if len(wrong) > _MOST_COMPLAINTS:
            complain(f"and {len(wrong) - _MOST_COMPLAINTS:,} more; report.csv names them all.")
        raise typer.Exit(code)


def code_of(ended: Ended) -> int:
    """The exit code that most needs a person to look."""
    codes = {DONE, *([FAILED] if ended.troubles else [])}
    for entry in ended.entries:
        if entry.state == "done":
            codes.add(MATCHED if entry.needs_look or not any(entry.faces.values()) else DONE)
        else:
            codes.add(NO_FACE if entry.state == "no_face" else FAILED)
    return next(code for code in _MOST_SERIOUS_FIRST if code in codes)


def _rules(photos: str, videos: str, path: Path | None) -> Any:
    from cloak.batch.rules import Rules, read_rules
    from cloak.choices import parse_treatment

    said = Rules(parse_treatment(photos), parse_treatment(videos))
    return said if path is None else read_rules(path, said)


def _make_private(work: Path) -> None:
    try:
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        work.chmod(0o700)
    except OSError as error:
        raise SettingsInvalid(f"{work}: the work folder cannot be made ({error.strerror}). Name another with --work. "
                              "Nothing was written.") from error


def _gpus(settings: Settings) -> int:
    import torch

    from cloak import networks

    return torch.cuda.device_count() if networks.device_of(settings).type == "cuda" else 0


def _count(gpus: int) -> int:
    from cloak.batch import workers

    return workers.how_many(cores=workers.cores(), free_bytes=workers.free_bytes(), gpus=gpus)


def _cluster(address: str, workers: int | None) -> Cluster:
    from cloak.batch import doing, on_ray

    if workers is not None:
        raise SettingsInvalid("--workers is for this machine; nodes of a cluster have one for each core or GPU that "
                              "`ray start` offers. Leave it out. Nothing was written.")
    return on_ray.Cluster(address, doing.do)


def _dry_run(job: Job, as_json: bool) -> int:
    from cloak.batch import running

    walked = running.walk(job)
    wanted = Counter(f"{one.media}: {job.rules.recipe(one.name, one.media).treatment}"
                     for one in walked.found if one.problem is None)
    size = sum(one.size for one in walked.found)
    broken = [f"{shown(one.name)}: {one.problem}" for one in walked.found if one.problem is not None]
    if as_json:
        print_json({"schema": "facecloak-batch-plan/1", "files": len(walked.found), "treatments": dict(wanted),
                    "input_bytes": size, "problems": broken, "troubles": [shown(one) for one in walked.troubles]})
    else:
        for what, number in sorted(wanted.items()):
            print(f"{number:,} {what}")
        print(f"{len(walked.found):,} files, {size / 1e6:,.1f} MB. Outputs of photos are about as large; those of "
              "clips "
              "differ. Nothing was written.")
        for line in (*broken, *walked.troubles):
            complain(line)
    return FAILED if broken or walked.troubles or not walked.found else DONE


def _report(job: Job, ended: Ended, started: datetime, wall_s: float, code: int, who: str, rules: Path | None,
            sheet: bool) -> tuple[Path, ...]:
    from cloak.batch import fingerprint, reports

    settings = {"photos": str(job.rules.photos), "videos": str(job.rules.clips),
                "ensure": "yes" if job.common.photo.ensure else "no", "no face": job.common.photo.no_face}
    media = {entry.media for entry in ended.entries}
    versions: dict[str, str] = {}
    weights: dict[str, str] = {}
    for one in sorted(media):
        versions |= fingerprint.versions(one)
        weights |= fingerprint.weights_of(one, job.common)
    facts = reports.RunFacts(
        started=started, wall_s=wall_s, exit_code=code, output=job.output,
        workers=who, settings=settings, versions=versions, weights=weights,
        input=shown(job.folder), rules=tuple(str(rule) for rule in job.rules.rules), made=ended.made,
        left_alone=ended.left_alone, troubles=ended.troubles)
    return reports.write(ended.entries, facts, job.work, is_quiet=False, sheet=sheet)


def _document(ended: Ended, code: int, pages: tuple[Path, ...]) -> dict[str, Any]:
    return {"schema": SCHEMA, "exit_code": code, "made": ended.made,
            "counts": dict(Counter(entry.state for entry in ended.entries)),
            "files": [{"input": entry.source, "output": entry.output, "state": entry.state,
                       "needs_look": entry.needs_look, "same_as": entry.same_as, "words": shown(entry.words)}
                      for entry in ended.entries],
            "left_alone": [shown(name) for name in ended.left_alone],
            "troubles": [shown(one) for one in ended.troubles], "reports": [shown(page) for page in pages]}


def _print(ended: Ended, pages: tuple[Path, ...]) -> None:
    states = Counter(entry.state for entry in ended.entries)
    looks = sum(entry.state == "done" and (entry.needs_look or not any(entry.faces.values()))
                for entry in ended.entries)
    words = [f"{states['done']:,} written ({ended.made:,} now)", *([f"{looks:,} of them NEED EYES"] if looks else []),
             *(f"{states[state]:,} {state.replace('_', ' ')}" for state in ("no_face", "failed", "vanished", "waiting")
               if states[state])]
    print(f"{len(ended.entries):,} files: {'; '.join(words)}.")
    print(f"Look at {shown(pages[0])} before you publish.")


class _Bar:
    """Files, rate and time left on stderr, where that is a terminal."""

    def __init__(self, as_json: bool) -> None:
        self._bar = ProgressBar(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            disable=as_json or not sys.stderr.isatty())
        self._task = self._bar.add_task("reading", total=None, rate="")
        self._stage, self._since, self._first = "", time.monotonic(), 0

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            self._stage, self._since, self._first = progress.stage, time.monotonic(), progress.done
            self._bar.reset(self._task)
        rate = (progress.done - self._first) / max(time.monotonic() - self._since, 1e-6)
        self._bar.update(self._task, description=progress.stage, completed=progress.done, total=progress.files,
                         rate=f"{rate:.1f} files/s")
