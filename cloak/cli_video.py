"""The verb `cloak video`: words in, exit code out. Nothing heavy is imported before it is used."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from cloak.errors import ChoicesInvalid, ClipUnreadable, CloakError, NoFaceFound, OutputRefused, SettingsInvalid
from cloak.files import fitted_name, shown
from cloak.inputs import Gathered, Source, gather
from cloak.outputs import folders, places
from cloak.terminal import DONE, FAILED, MATCHED, NO_FACE, AsJson, complain, edge, print_json

if TYPE_CHECKING:
    from cloak.video.redact import Progress, Region, VideoReport, VideoSettings

SCHEMA = "facecloak-videos/1"
VIDEO_CODES = {
    DONE: "written; every face that was seen is covered, or kept as you chose",
    FAILED: "an input could not be processed, or the command was wrong",
    MATCHED: "written, BUT LOOK: a second look saw what may be an uncovered face, or something is not as it should be",
    NO_FACE: "no face was seen in a clip; nothing was written for it",
}
_MOST_SERIOUS_FIRST = (FAILED, MATCHED, NO_FACE, DONE)
_WRITTEN_AS = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
_STYLES = "solid|mosaic|blur|ring|picture"
_STOPPED = "Clips that were not finished were not written; run the same command again to go on looking."
_MOST_ROWS = 40


def add_to(app: typer.Typer) -> None:
    """Makes the verb part of the command."""
    app.command(
        epilog="\n".join(["\b", "Exit codes:", *(f"  {code}  {meaning}" for code, meaning in VIDEO_CODES.items()),
                          f"With several inputs the first of {', '.join(map(str, _MOST_SERIOUS_FIRST))} that applies "
                          "to any of them."]),
        help="Covers the faces in a clip, in every frame, and looks at the written file again.\n\n"
             "Examples:\n\n\b\n    cloak video march.mp4                          writes march.redacted.mp4\n"
             "    cloak video march.mp4 --sheet march.html       and a page with every face, to review\n"
             "    cloak video march.mp4 --keep 2,5 --overwrite   leaves tracks 2 and 5 as they are\n"
             "    cloak video march.mp4 --plan-only              writes march.plan.json, to correct by hand\n"
             "    cloak video march.mp4 --plan march.plan.json   covers what the plan says\n"
             "    cloak video card/ -o for-the-web/ --audio drop a folder, names kept\n"
             "    cloak video march.mp4 --regions 10,20,60,80@0:03-0:07.5\n\n"
             "The picture keeps its size, rate, colours and depth, and stands upright; sound is kept unless you say "
             "otherwise. Nothing else is: no positions, no tags, no other tracks. The input is never changed. "
             "Detection misses faces now and then: look at the sheet, and at the clip, before you publish it. A killed "
             "run goes on where it was when it is started again. Cloaks are not made for video.",
    )(video)


def video(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", show_default=False,
                                                 help="Clips, and folders of them.")],
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="OUT", show_default=False,
                                               help="A file (one input only; .mp4, .m4v, .mov, .mkv, .webm) or a "
                                                    "folder. Default: NAME.redacted.mp4 beside the input.")] = None,
    style: Annotated[str | None, typer.Option(metavar=_STYLES, show_default=False,
                                              help="How faces are covered. Default: solid.")] = None,
    colour: Annotated[str | None, typer.Option(metavar="#RRGGBB", show_default=False,
                                               help="Of solid covers. Default: black.")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", show_default=False,
                                                 help="What is pasted over each head with --style picture.")] = None,
    keep: Annotated[str | None, typer.Option(metavar="N,...", show_default=False,
                                             help="Leave these tracks as they are (one input; see --sheet).")] = None,
    only: Annotated[str | None, typer.Option(metavar="N,...", show_default=False,
                                             help="Cover these tracks and leave all others as they are.")] = None,
    keep_person: Annotated[list[Path] | None, typer.Option(
        metavar="FILE", show_default=False,
        help="Leave the person of this photo as it is. Looks for the person by face recognition, on this machine; in "
             "doubt a face is covered. Can be repeated, with photos of the same person.")] = None,
    regions: Annotated[list[str] | None, typer.Option(metavar="X,Y,W,H[@FROM-TO]", show_default=False,
                                                      help="Also cover this part of the upright picture, for a time "
                                                           "or throughout. Can be repeated.")] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", show_default=False,
                                              help="Cover nothing before; 75.5 or 1:15.5.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", show_default=False,
                                            help="Cover nothing from there on.")] = None,
    accept_uncovered: Annotated[bool, typer.Option("--accept-uncovered", help="The seconds outside --from and --to are "
                                                                              "meant to show faces: no exit code 3 "
                                                                              "for them.")] = False,
    paranoid: Annotated[bool, typer.Option("--paranoid", help="Cover the whole frame while a face is lost from "
                                                              "sight.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Look for faces in every second frame, and smaller: faster, "
                                                        "and more faces are missed.")] = False,
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Look for faces, write what was found as a plan, and "
                                                                "no video. Default: NAME.plan.json beside the "
                                                                "input.")] = False,
    plan: Annotated[Path | None, typer.Option(metavar="FILE", show_default=False,
                                              help="Cover what this plan says, without looking for faces.")] = None,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", show_default=False,
                                               help="Also write every track with its pictures, the doubtful first "
                                                    "(.html or .png). It shows faces uncovered.")] = None,
    audio: Annotated[str, typer.Option(metavar="keep|drop|mute", help="All sound tracks, none, or silence in the spans "
                                                                      "of --mute.")] = "keep",
    mute: Annotated[list[str] | None, typer.Option(metavar="FROM-TO", show_default=False,
                                                   help="Silence this span; 3-5.5 or 0:03-0:05.5. Can be "
                                                        "repeated.")] = None,
    codec: Annotated[str, typer.Option(metavar="auto|h264|hevc|vp9|av1", help="Of the output.")] = "auto",
    crf: Annotated[int | None, typer.Option(metavar="N", show_default=False,
                                            help="Quality: lower is better and larger. Default: hard to tell from the "
                                                 "input.")] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", show_default=False,
                                               help="Of the encoder, such as medium or slow: smaller files for more "
                                                    "time.")] = None,
    encoder: Annotated[str | None, typer.Option(metavar="NAME", show_default=False,
                                                help="Another one of ffmpeg, such as h264_nvenc.")] = None,
    allow_damage: Annotated[bool, typer.Option("--allow-damage", help="Take what can be decoded of a damaged clip; "
                                                                      "exit code 3.")] = False,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the networks run.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with edge(as_json, stopped=_STOPPED):
        from cloak.video import plan as plans
        from cloak.video import review
        from cloak.video.ffmpeg import Encoding
        from cloak.video.redact import VideoSettings

        gathered = gather(inputs, leave_out=None if output is None else Path(output), clips=True)
        given = {"--keep": keep, "--only": only, "--regions": regions, "--plan": plan, "--sheet": sheet}
        if several := [option for option, value in given.items() if value and _is_several(gathered, inputs)]:
            raise ChoicesInvalid(f"{several[0]} speaks of one clip, and {len(gathered.sources)} were given. Give them "
                                 "one by one. Nothing was written.")
        if sheet is not None:
            review.check_suffix(sheet)
        chosen = None if plan is None else plans.read_plan(plan)
        spans = tuple(_span(text, "--mute") for text in mute or ())
        settings = VideoSettings(
            look=_look(style, colour, picture, paranoid, start, end, chosen),
            keep=() if keep is None else _numbers(keep, "--keep"),
            only=None if only is None else _numbers(only, "--only"),
            regions=tuple(_region(text) for text in regions or ()), keep_person=tuple(keep_person or ()),
            encoding=Encoding(codec=_one_of(codec, "--codec", ("auto", "h264", "hevc", "vp9", "av1")), crf=crf,
                              preset=preset, encoder=encoder,
                              audio=_one_of("mute" if spans and audio == "keep" else audio, "--audio",
                                            ("keep", "drop", "mute")), mute_spans=spans),
            quick=quick, overwrite=overwrite, allow_damage=allow_damage, accept_uncovered=accept_uncovered,
            device=_one_of(device, "--device", ("auto", "cpu", "cuda")),
        )
        results = _all(gathered, inputs, output, settings, plan_only, chosen, sheet, as_json)
        code = next(code for code in _MOST_SERIOUS_FIRST if code in [result.code for result in results])
        if as_json:
            print_json({"schema": SCHEMA, "exit_code": code, "clips": [result.row() for result in results],
                        "left_alone": [shown(path) for path in gathered.left_alone]})
        if gathered.left_alone and not as_json:
            complain(f"left alone, because no video by name: {len(gathered.left_alone)} files")
        if len(results) > 1 and not as_json:
            counts = [f"{sum(r.code == c for r in results)} {words}" for c, words in (
                (DONE, "written"), (MATCHED, "written, BUT LOOK"), (NO_FACE, "without a face"), (FAILED, "FAILED"))
                if any(r.code == c for r in results)]
            print(f"{len(results)} inputs: {'; '.join(counts)}.")
        raise typer.Exit(code)


@dataclass(slots=True)
class _Result:
    """What became of one clip."""

    source: Path
    code: int
    output: Path | None = None
    error: str | None = None
    report: VideoReport | None = None
    tracks: int | None = field(default=None)  # where only a plan was made

    def row(self) -> dict[str, Any]:
        from cloak.video.redact import to_dict

        return {"input": shown(self.source), "output": None if self.output is None else shown(self.output),
                "exit_code": self.code, "error": None if self.error is None else shown(self.error),
                "tracks": self.tracks, "report": None if self.report is None else to_dict(self.report)}


def _all(gathered: Gathered, inputs: Sequence[Path], out: str | None, settings: VideoSettings, plan_only: bool,
         plan: Any, sheet: Path | None, as_json: bool) -> list[_Result]:
    """One result a clip, in order, folders that could not be read first. One bad file never stops the rest."""
    if not gathered.sources and not gathered.unreadable:
        raise ClipUnreadable(f"{inputs[0]}: no video in it, by name. Nothing was written.")
    folder = next((path for path in inputs if os.path.isdir(path)), None)
    if folder is not None and out is None:
        raise OutputRefused(f"{folder}: is a folder. Name another one for the outputs with -o. Nothing was written.")
    several = _is_several(gathered, inputs)
    outputs = places(gathered, lambda source: _place(source, out, several, plan_only), tolerant=several)
    results = [_Result(path, FAILED, error=f"{path}: the folder cannot be read ({why}). What is in it was not "
                                           "processed.") for path, why in gathered.unreadable]
    ready = [output for output in outputs if isinstance(output, Path)]
    with folders(ready if out is not None else []):
        for source, output in zip(gathered.sources, outputs):
            if isinstance(output, Path):
                results.append(_one(source.path, output, settings, plan_only, plan, sheet, as_json))
            else:
                results.append(_Result(source.path, FAILED, error=output))
            if (error := results[-1].error) is not None:
                complain(error)
    return results


def _one(source: Path, output: Path, settings: VideoSettings, plan_only: bool, plan: Any, sheet: Path | None,
         as_json: bool) -> _Result:
    from cloak.video import redact

    try:
        with _progress_bar(source) as on_progress:
            if plan_only:
                made = redact.plan_video(source, output, settings, plan=plan, sheet=sheet, on_progress=on_progress)
                code = DONE if made.tracks or made.areas else NO_FACE
                result = _Result(source, code, output, tracks=len(made.tracks))
            else:
                report = redact.redact_video(source, output, settings, plan=plan, sheet=sheet, on_progress=on_progress)
                result = _Result(source, MATCHED if report.needs_a_look else DONE, output, report=report)
    except CloakError as error:
        return _Result(source, NO_FACE if isinstance(error, NoFaceFound) else FAILED, error=str(error))
    if not as_json:
        _print_result(result, sheet)
    return result


def _place(source: Source, out: str | None, several: bool, plan_only: bool) -> Path:
    """Where the output of a clip goes."""
    suffix = ".plan.json" if plan_only else source.path.suffix.lower()
    if not plan_only and suffix not in _WRITTEN_AS:
        suffix = ".mp4"
    if out is None:
        name = fitted_name(source.path.stem, suffix if plan_only else f".redacted{suffix}")
        return source.path.with_name(name)
    path = Path(out)
    if several and path.exists() and not path.is_dir():
        raise OutputRefused(f"{out}: is a file, and there are several inputs. Give a folder. Nothing was written.")
    if several or path.is_dir() or not path.suffix or out.endswith(("/", os.sep)):
        kept = source.path.suffix if source.path.suffix.lower() == suffix else suffix
        return path / source.name.parent / fitted_name(source.path.stem, kept)
    return path


def _is_several(gathered: Gathered, inputs: Sequence[Path]) -> bool:
    return len(gathered.sources) > 1 or any(os.path.isdir(path) for path in inputs)


# --- options -----------------------------------------------------------------------------------------------------


def _look(style: str | None, colour: str | None, picture: Path | None, paranoid: bool, start: str | None,
          end: str | None, plan: Any) -> Any:
    """How covers look: that of the plan, where there is one, with what the options say otherwise; None where nothing
    is said.
    """
    import dataclasses

    from cloak.video.look import Look, parse_colour

    said: dict[str, Any] = {}
    if style is not None or picture is not None:
        said["style"] = style or "picture"
    if colour is not None:
        said["colour"] = parse_colour(colour)
    if picture is not None:
        said["picture"] = picture
    if paranoid:
        said["paranoid"] = True
    if start is not None:
        said["start_s"] = _seconds(start, "--from")
    if end is not None:
        said["end_s"] = _seconds(end, "--to")
    if not said:
        return None
    known = None if plan is None else plan.settings.get("look")
    return dataclasses.replace(Look() if known is None else Look.from_dict(known, named=plan.clip), **said)


def _numbers(text: str, option: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() and int(part) > 0 for part in parts):
        raise ChoicesInvalid(f"{option} is {text!r}; give the numbers of the sheet, as in 2,5. Nothing was written.")
    return tuple(int(part) for part in parts)


def _seconds(text: str, option: str) -> float:
    """`90`, `1:30` or `0:01:30.5`, as seconds."""
    parts = text.strip().split(":")
    try:
        numbers = [float(part) for part in parts]
        if len(parts) > 3 or not all(part[:1].isdigit() for part in parts) or max(numbers) >= 1e9:
            raise ValueError
    except ValueError:
        raise SettingsInvalid(f"{option} is {text!r}; give a time, as in 75.5 or 1:15.5. "
                              "Nothing was written.") from None
    hours, minutes, seconds = [0.0] * (3 - len(numbers)) + numbers
    return hours * 3600 + minutes * 60 + seconds


def _span(text: str, option: str) -> tuple[float, float]:
    first, dash, last = text.partition("-")
    if not dash:
        raise SettingsInvalid(f"{option} is {text!r}; give two times, as in 3-5.5 or 0:03-0:05.5. Nothing was written.")
    return _seconds(first, option), _seconds(last, option)


def _region(text: str) -> Region:
    from cloak.video.redact import Region

    where, at, when = text.partition("@")
    try:
        x, y, width, height = (int(part) for part in where.split(","))
    except ValueError:
        raise ChoicesInvalid(f"--regions is {text!r}; give x,y,width,height in whole pixels, and a time where it is "
                             "not for the whole clip, as in 120,40,60,80@0:03-0:07. Nothing was written.") from None
    return Region(x, y, width, height, *(_span(when, "--regions") if at else (0.0, None)))


def _one_of(word: str, option: str, words: tuple[str, ...]) -> Any:
    if word not in words:
        raise SettingsInvalid(f"{option} is {word!r}; choose one of {', '.join(words)}. Nothing was written.")
    return word


# --- words -------------------------------------------------------------------------------------------------------


def _print_result(result: _Result, sheet: Path | None) -> None:
    from cloak.video.clips import time_code

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False,
                      width=None if sys.stdout.isatty() else 120)
    console.print(f"{shown(result.source)} -> {shown(result.output)}", style="bold", soft_wrap=True)
    if result.report is None:
        count = "no track" if not result.tracks else "1 track" if result.tracks == 1 else f"{result.tracks} tracks"
        console.print(f"{count} found. Change `decision` and `style` in the plan, then render it with --plan.",
                      soft_wrap=True)
    else:
        report = result.report
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("track", "from", "to", "frames", "seen", "treatment"):
            table.add_column(heading, justify="left" if heading == "treatment" else "right", no_wrap=True)
        for track in report.tracks[:_MOST_ROWS]:
            words = "KEPT UNCOVERED" if track.decision == "keep" else track.style
            table.add_row(str(track.number), time_code(track.first_s), time_code(track.last_s), str(track.frames),
                          str(track.seen), words + ", lost from sight" * track.is_lost,
                          style="yellow" if track.decision == "keep" or track.is_lost else None)
        if report.tracks:
            console.print(table)
        if len(report.tracks) > _MOST_ROWS:
            console.print(f"and {len(report.tracks) - _MOST_ROWS} more tracks, see the report")
        console.print(report.words, style="red" if report.needs_a_look else None, soft_wrap=True)
        for leak in report.leaks[:_MOST_ROWS]:
            x1, y1, x2, y2 = (round(v) for v in leak.box)
            console.print(f"  {time_code(leak.first_s)} to {time_code(leak.last_s)}: maybe a face at {x1},{y1},"
                          f"{x2 - x1},{y2 - y1}; cover it with --regions {max(x1, 0)},{max(y1, 0)},{x2 - x1},{y2 - y1}"
                          f"@{time_code(max(leak.first_s - 0.5, 0))}-{time_code(leak.last_s + 0.5)}", soft_wrap=True)
        for line in (*(f"left out: {one}" for one in report.left_out), *report.notes):
            console.print(shown(line), soft_wrap=True)
    if sheet is not None:
        console.print(f"sheet with faces UNCOVERED: {shown(sheet)}", soft_wrap=True)


@contextlib.contextmanager
def _progress_bar(source: Path) -> Iterator[Callable[[Progress], None] | None]:
    """What `redact` reports to: a bar on a terminal with frames a second and the time left, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[count]}"),
               TextColumn("left:"), TimeRemainingColumn())
    with ProgressBar(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task: list[TaskID] = []
        stage, began = "", 0.0

        def show(progress: Progress) -> None:
            nonlocal stage, began
            if progress.stage != stage:
                for old in task:
                    bar.remove_task(old)
                stage, began = progress.stage, time.monotonic()
                task[:] = [bar.add_task(f"{shown(source.name)}: {stage}", total=progress.frames, count="")]
            speed = progress.done / max(time.monotonic() - began, 1e-3)
            bar.update(task[0], completed=progress.done, total=progress.frames,
                       count=f"{progress.done}/{progress.frames or '?'} frames, {speed:.1f} a second")

        yield show
