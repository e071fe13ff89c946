"""The command `cloak`: words in, exit code out. No maths, and no import of torch before a verb needs it.

stdout carries results, stderr carries messages and progress; both are plain where they are not a terminal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from typer.core import TyperCommand

import cloak
from cloak import cli_batch, cli_models, cli_service, cli_video
from cloak.choices import Choices, parse_numbers, parse_region, read_choices
from cloak.choices import to_json as form_of
from cloak.errors import ChoicesInvalid, CloakError, OutputRefused, PhotoUnreadable
from cloak.files import check_output, fitted_name, output_path_for, shown, write_new
from cloak.inputs import Gathered, Source, gather
from cloak.outputs import folders, places
from cloak.report import report_to_dict
from cloak.settings import PRESETS, Progress, Settings
from cloak.terminal import DONE, FAILED, MATCHED, NO_FACE, AsJson
from cloak.terminal import complain as _complain
from cloak.terminal import edge as _edge
from cloak.terminal import print_json as _print_json
from cloak.types import KEEP, STYLES, Faces, Outcome, Report, Treatment

# Several inputs can end in several ways; the shell gets the one that most needs a person to look.
_MOST_SERIOUS_FIRST = (FAILED, MATCHED, NO_FACE, DONE)

_WRONG = "an input could not be processed, or the command was wrong"
_NOT_SAFE = "a face is still matched, was lost, is too small, or was not judged"
PHOTO_CODES = {DONE: "every face of every photo is protected, covered, or kept as you chose", FAILED: _WRONG,
               MATCHED: _NOT_SAFE, NO_FACE: "a photo holds no face; nothing was written for it"}
FACES_CODES = {DONE: "faces were found in every photo", FAILED: _WRONG, NO_FACE: "a photo holds no face"}
VERIFY_CODES = {DONE: "every face is protected", FAILED: _WRONG, MATCHED: _NOT_SAFE, NO_FACE: "the photo holds no face"}


def _exit_codes(meanings: dict[int, str], *, several: bool = True) -> str:
    lines = ["\b", "Exit codes:", *(f"  {code}  {meaning}" for code, meaning in meanings.items())]
    if several:
        order = ", ".join(str(code) for code in _MOST_SERIOUS_FIRST if code in meanings)
        lines.append(f"With several inputs the first of {order} that applies to any of them.")
    return "\n".join(lines)


_DEFAULT = Settings()

# Wide enough for the table in a log; a terminal tells its own width.
_WIDTH_WITHOUT_TERMINAL = 120

app = typer.Typer(
    name="cloak",
    help="Perturbs faces in photos so that people still recognise them and face recognisers do not, or covers them, "
         "and judges the written file.\n\nExample:\n\n    cloak photo march.jpg\n\nNothing leaves this machine.",
    epilog=_exit_codes(PHOTO_CODES),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_models.app, name="models")
cli_video.add_to(app)
cli_batch.add_to(app)
app.command(**cli_service.STUDIO)(cli_service.studio)
app.command(**cli_service.SERVE)(cli_service.serve)
app.add_typer(cli_service.app, name="token")

Inputs = Annotated[list[Path], typer.Argument(metavar="IN...", help="Photos (JPEG, PNG, WebP, TIFF, HEIC, AVIF) "
                                                                 "and folders of them.",
                                              show_default=False)]
Strength = Annotated[str, typer.Option(metavar="|".join(PRESETS), help="How visible the change may become.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the networks run.")]
Detector = Annotated[str, typer.Option(metavar="NAME", help="What finds the faces.")]
Recognisers = Annotated[str | None, typer.Option(metavar="NAME,...", show_default=False,
                                                 help="Use only these of the recognisers installed; see "
                                                      "`cloak models list`.")]


def _print_version(asked: bool) -> None:
    if asked:
        print(f"cloak {cloak.__version__}")
        raise typer.Exit(DONE)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_print_version,
                                          help="Print the version and exit.")] = False,
) -> None:
    pass


class _TakesReferences(TyperCommand):
    """`--reference a.jpg b.jpg`: the option takes every word up to the next option.

    Otherwise the second one would silently be an input, and be cloaked.
    """

    def parse_args(self, ctx: typer.Context,  # type: ignore[override]
                   args: list[str]) -> list[str]:
        spread: list[str] = []
        is_reference = False
        for position, word in enumerate(args):
            if word == "--":
                spread += args[position:]
                break
            if word.startswith("-") and word != "-":
                is_reference = word == "--reference"
                if not is_reference:
                    spread.append(word)
                continue
            spread += ["--reference", word] if is_reference else [word]
        return super().parse_args(ctx, spread)


@app.command(
    cls=_TakesReferences,
    epilog=_exit_codes(PHOTO_CODES),
    help="Writes a protected copy of each photo and says what the written file still gives away.\n\n"
         "Examples:\n\n\b\n    cloak photo march.jpg                         cloaks; writes march.cloaked.jpg\n"
         "    cloak photo card/ -o for-the-web/             a folder, names kept\n"
         "    cloak photo march.jpg --redact solid --keep 2 covers all faces but the second\n"
         "    cloak photo march.jpg --ensure                stronger, and covered where that does not hold\n"
         "    cloak photo march.jpg --reference me1.jpg me2.jpg\n"
         "    cloak photo --strength strong -- -x.jpg       a name that starts with a dash\n\n"
         "The input is never changed. The output is upright, keeps size and colour profile, and its format (HEIC "
         "becomes JPEG unless --keep-heic). No other metadata is kept unless --metadata credit. A report, OUTPUT.json, "
         "is written beside it.",
)
def photo(
    inputs: Inputs,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="OUT", show_default=False,
                                               help="A file (one input only) or a folder, in which names are kept. "
                                                    "Default: NAME.cloaked.jpg (.png ...) beside the input.")] = None,
    strength: Strength = _DEFAULT.strength,
    redact: Annotated[str | None, typer.Option(metavar="|".join(STYLES), show_default=False,
                                               help="Cover faces instead of cloaking them.")] = None,
    keep: Annotated[str | None, typer.Option(metavar="N,...", show_default=False,
                                             help="Leave these faces as they are (one input; see `faces`).")] = None,
    only: Annotated[str | None, typer.Option(metavar="N,...", show_default=False,
                                             help="Treat these faces and leave all others as they are.")] = None,
    regions: Annotated[list[str] | None, typer.Option(metavar="X,Y,W,H", show_default=False,
                                                      help="Also cover this part of the upright photo. "
                                                           "Can be repeated.")] = None,
    choices: Annotated[Path | None, typer.Option(metavar="FILE", show_default=False,
                                                 help="Face by face for many photos; `cloak faces --choices` "
                                                      "writes a form.")] = None,
    reference: Annotated[list[Path] | None, typer.Option(metavar="FILE...", show_default=False,
                                                         help="Other photos of one person, to cloak that person "
                                                              "against too. Looks for the person by face "
                                                              "recognition, on this machine.")] = None,
    ensure: Annotated[bool, typer.Option("--ensure", help="Cloak at least `balanced`, raise the strength of a face "
                                                          "that does not hold, and cover it at last: what is written "
                                                          "has passed the recognisers installed.")] = False,
    small: Annotated[str, typer.Option(metavar="redact|report",
                                       help="What happens to faces too small to cloak usefully.")] = _DEFAULT.small,
    metadata: Annotated[str, typer.Option(metavar="strip|credit",
                                          help="Keep nothing but the colour profile, or also who made the photo and "
                                               "what it shows, and say that it was changed.")] = _DEFAULT.metadata,
    keep_heic: Annotated[bool, typer.Option("--keep-heic", help="Write HEIC for HEIC instead of JPEG.")] = False,
    device: Device = _DEFAULT.device,
    detector: Detector = _DEFAULT.detector,
    recognisers: Recognisers = None,
    judge: Annotated[str | None, typer.Option(metavar="NAME", show_default=False,
                                              help="Keep this recogniser out of the making, to judge what the others "
                                                   "made. Default: one of three or more.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same device: same bytes.")] = _DEFAULT.seed,
    quality: Annotated[int, typer.Option(metavar="N", help="JPEG quality, 85 to 100; of lossy WebP, AVIF and HEIC "
                                                           "too.")] = _DEFAULT.jpeg_quality,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with _edge(as_json):
        settings = Settings(
            strength=strength, device=device, detector=detector, seed=seed,  # type: ignore[arg-type]
            jpeg_quality=quality, overwrite=overwrite, cover=redact or _DEFAULT.cover,  # type: ignore[arg-type]
            ensure=ensure, small=small, metadata=metadata,  # type: ignore[arg-type]
            keep_heic=keep_heic, recognisers=_names(recognisers), judge=judge,
        )
        default = Treatment("redact", settings.cover) if redact else Treatment("cloak", strength)
        gathered = gather(inputs, leave_out=None if output is None else Path(output))
        chosen = _choices(gathered, inputs, default, keep, only, regions, choices)
        outcomes = _protect(gathered, inputs, output, settings, default, chosen, reference or [])
        code = _worst([_code_of(outcome) for outcome in outcomes])
        if as_json:
            _print_json({"schema": "facecloak-photo/2", "exit_code": code, "photos": [
                {"input": shown(o.input), "output": None if o.output is None else shown(o.output), "kind": o.kind,
                 "error": None if o.error is None else shown(o.error),
                 "report": None if o.report is None else report_to_dict(o.report)} for o in outcomes],
                "left_alone": [shown(path) for path in gathered.left_alone]})
        for outcome in outcomes:
            if outcome.error is not None:
                _complain(outcome.error)
            if outcome.report is not None and not as_json:
                where = outcome.input if outcome.output is None else outcome.output
                _print_report(outcome.report, f"{shown(outcome.input)} -> {shown(where)}")
        if len(outcomes) > 1 and not as_json:
            _print_count(outcomes)
        _complain_of_left_alone(gathered)
        raise typer.Exit(code)


@app.command(
    epilog=_exit_codes(FACES_CODES),
    help="Lists the faces of each photo, numbered from left to right, and writes a picture with the numbers on it.\n\n"
         "Examples:\n\n\b\n    cloak faces march.jpg                        also writes march.faces.jpg\n"
         "    cloak faces march.jpg --no-picture --json\n"
         "    cloak faces card/ -o look/ --choices card.json   a form to fill in for `cloak photo --choices`\n\n"
         "The picture shows every face as it is: it is for you, not for publishing.",
)
def faces(
    inputs: Inputs,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FOLDER", show_default=False,
                                               help="Where the pictures go. Default: NAME.faces.jpg beside the "
                                                    "photo.")] = None,
    no_picture: Annotated[bool, typer.Option("--no-picture", help="Write no picture.")] = False,
    choices: Annotated[Path | None, typer.Option(metavar="FILE", show_default=False,
                                                 help="Also write a form in which each face's treatment can be "
                                                      "changed.")] = None,
    device: Device = _DEFAULT.device,
    detector: Detector = _DEFAULT.detector,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing pictures and forms.")] = False,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with _edge(as_json):
        settings = Settings(device=device, detector=detector, overwrite=overwrite)  # type: ignore[arg-type]
        gathered = gather(inputs, leave_out=None if output is None else Path(output))
        pictures: list[Path | str | None] = [None] * len(gathered.sources)
        if not no_picture:
            pictures = list(_pictures(gathered, output))
        if choices is not None:
            check_output(choices, overwrite=overwrite, inputs=[source.path for source in gathered.sources])
        rows: list[dict[str, Any]] = [_unread(folder, why) for folder, why in gathered.unreadable]
        form: dict[str, Choices] = {}
        with folders([path for path in pictures if isinstance(path, Path)] if output is not None else []):
            for source, picture in zip(gathered.sources, pictures):
                row = _look(source, picture, settings, form)
                rows.append(row)
                if not as_json:
                    _print_faces(row)
        if choices is not None:
            write_new(choices, form_of(form).encode(), overwrite=overwrite)
        code = _worst([FAILED if row["error"] is not None else DONE if row["faces"] else NO_FACE for row in rows])
        if as_json:
            _print_json({"schema": "facecloak-faces/2", "exit_code": code, "photos": rows,
                         "left_alone": [shown(path) for path in gathered.left_alone]})
        for row in rows:
            if row["error"] is not None:
                _complain(row["error"])
        _complain_of_left_alone(gathered)
        raise typer.Exit(code)


@app.command(
    epilog=_exit_codes(VERIFY_CODES, several=False),
    help="Reads a photo again and says what recognisers still make of its faces. Nothing is written.\n\n"
         "Example:\n\n\b\n    cloak verify march.cloaked.jpg --original march.jpg\n\n"
         "FILE may have been saved again, resized or sent through a messenger since; that is worth knowing.",
)
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The photo as it would be published.")],
    original: Annotated[Path | None, typer.Option(metavar="FILE", show_default=False,
                                                  help="The unprotected photo to compare with.")] = None,
    device: Device = _DEFAULT.device,
    detector: Detector = _DEFAULT.detector,
    recognisers: Recognisers = None,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with _edge(as_json):
        settings = Settings(device=device, detector=detector,  # type: ignore[arg-type]
                            recognisers=_names(recognisers))
        report: Report = _engine("verify_photo")(file, original=original, settings=settings)
        if as_json:
            _print_json(report_to_dict(report))
        else:
            _print_report(report, shown(file))
        raise typer.Exit(_code_of_report(report))


def main() -> None:
    """The entry point: like `app`, for any locale and any file name, and tidy when it is told to stop."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what libraries warn of is no message to the person who cloaks a photo

    def stop(number: int, frame: object) -> NoReturn:
        # As an exception, so that the temporary files are removed on the way out.
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    app()


# --- the engine --------------------------------------------------------------------------------------------------


def _engine(name: str) -> Callable[..., Any]:
    return getattr(cloak, name)  # type: ignore[no-any-return]


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name for name in text.split(",") if name)


def _choices(
    gathered: Gathered,
    inputs: list[Path],
    default: Treatment,
    keep: str | None,
    only: str | None,
    regions: list[str] | None,
    file: Path | None,
) -> dict[Path, Choices]:
    """What happens to the faces of each input."""
    by_number = {"--keep": keep, "--only": only, "--regions": regions}
    if given := [option for option, value in by_number.items() if value]:
        if len(gathered.sources) != 1 or os.path.isdir(inputs[0]):
            raise ChoicesInvalid(f"{given[0]} speaks of one photo, and {len(gathered.sources)} were given. Use "
                                 "--choices for several. Nothing was written.")
        if file is not None or (keep and only):
            raise ChoicesInvalid(f"{given[0]} and {'--choices' if file else '--only'} do not go together. "
                                 "Nothing was written.")
        faces = {number: KEEP for number in parse_numbers(keep, "--keep")} if keep else \
            {number: default for number in parse_numbers(only, "--only")} if only else {}
        cover = default if default.kind == "redact" else Treatment("redact", _DEFAULT.cover)
        drawn = tuple(parse_region(text, cover) for text in regions or ())
        return {gathered.sources[0].path: Choices(KEEP if only else default, faces, drawn)}
    if file is None:
        return {source.path: Choices(default) for source in gathered.sources}
    named = read_choices(file, default=default)
    if unknown := sorted(set(named) - {source.name.as_posix() for source in gathered.sources}):
        raise ChoicesInvalid(f"{file}: {', '.join(unknown)} is not among the inputs. Photos are called as they lie "
                             "below the folder that was given, or by their bare name. Nothing was written.")
    return {source.path: named.get(source.name.as_posix(), Choices(default)) for source in gathered.sources}


def _outputs(
    gathered: Gathered, inputs: list[Path], out: str | None, default: Treatment, *, keep_heic: bool
) -> list[Path | str]:
    """For each source its output, or why it can have none; known before any work."""
    folder = next((path for path in inputs if os.path.isdir(path)), None)
    if folder is not None and out is None:
        raise OutputRefused(f"{folder}: is a folder. Name another one for the outputs with -o. Nothing was written.")
    several = folder is not None or len(gathered.sources) > 1
    mark = "redacted" if default.kind == "redact" else "cloaked"

    def place(source: Source) -> Path:
        where = out if out is None or source.name.parent == Path() else f"{Path(out) / source.name.parent}{os.sep}"
        return output_path_for(source.path, where, several=several, mark=mark, keep_heic=keep_heic)

    return places(gathered, place, tolerant=several)


def _pictures(gathered: Gathered, out: str | None) -> list[Path | str]:
    """For each source its picture with numbers, or why it can have none."""
    def place(source: Source) -> Path:
        folder = source.path.parent if out is None else Path(out) / source.name.parent
        return folder / fitted_name(source.path.stem, ".faces.jpg")

    return places(gathered, place, tolerant=True)


def _protect(
    gathered: Gathered,
    inputs: list[Path],
    out: str | None,
    settings: Settings,
    default: Treatment,
    chosen: dict[Path, Choices],
    reference: list[Path],
) -> list[Outcome]:
    """One outcome per source, in order, folders that could not be read first."""
    outputs = _outputs(gathered, inputs, out, default, keep_heic=settings.keep_heic)
    ready = [(source.path, output) for source, output in zip(gathered.sources, outputs) if isinstance(output, Path)]
    done: dict[Path, Outcome] = {}
    with folders([output for _, output in ready] if out is not None else []), _progress_bar() as progress:
        for outcome in _engine("cloak_photos")([path for path, _ in ready], [output for _, output in ready], settings,
                                               choices=chosen, reference_photos=reference, progress=progress):
            done[outcome.input] = outcome
    failed = [Outcome(folder, None, None, f"{folder}: the folder cannot be read ({why}). What is in it was not "
                                          "processed.", "failed") for folder, why in gathered.unreadable]
    if not gathered.sources and not failed:
        raise PhotoUnreadable(f"{inputs[0]}: no photo in it, by name or content. Nothing was written.")
    return failed + [
        done[source.path] if isinstance(output, Path) else Outcome(source.path, None, None, output, "failed")
        for source, output in zip(gathered.sources, outputs)
    ]


def _look(source: Source, picture: Path | str | None, settings: Settings, form: dict[str, Choices]) -> dict[str, Any]:
    """What `faces` says of one photo, as JSON types; adds it to the form."""
    row: dict[str, Any] = {"input": shown(source.path), "error": None, "faces": None, "picture": None}
    try:
        if isinstance(picture, str):
            raise OutputRefused(picture)
        if picture is not None:
            check_output(picture, overwrite=settings.overwrite, inputs=[source.path])
        photo, found = _engine("find_faces")(source.path, settings=settings)
        if picture is not None and len(found):
            _engine("draw_faces")(photo, found, picture, settings=settings)
            row["picture"] = shown(picture)
    except CloakError as error:
        return {**row, "error": shown(error)}
    default = Treatment("cloak", settings.strength)
    form[source.name.as_posix()] = Choices(default, {n: default for n in range(1, len(found) + 1)}, (), photo.sha256)
    return {**row, "sha256": photo.sha256, "faces": _face_rows(found)}


def _unread(folder: Path, why: str) -> dict[str, Any]:
    return {"input": shown(folder), "error": shown(f"{folder}: the folder cannot be read ({why})."), "faces": None,
            "picture": None}


def _worst(codes: list[int]) -> int:
    return next(code for code in _MOST_SERIOUS_FIRST if code in codes)


def _code_of(outcome: Outcome) -> int:
    if outcome.kind == "no_face":
        return NO_FACE
    if outcome.kind == "failed" or outcome.report is None:
        return FAILED
    return _code_of_report(outcome.report)


def _code_of_report(report: Report) -> int:
    return NO_FACE if not report.faces else DONE if report.is_protected else MATCHED


# --- words -------------------------------------------------------------------------------------------------------


def _console() -> Console:
    # Made for each use: a test, or whoever calls `app`, may have put another stream there.
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False,
                   width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)


def _print_report(report: Report, title: str) -> None:
    console = _console()
    console.print(title, style="bold", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("face", justify="right")
    table.add_column("treatment", no_wrap=True)
    table.add_column("recogniser", no_wrap=True)
    table.add_column("similarity", no_wrap=True)
    table.add_column("matches\nat FMR", justify="right", no_wrap=True)  # narrow: 80 columns leave the verdict room
    table.add_column("verdict")
    against = False
    for face in report.faces:
        style = "green" if face.status in ("protected", "redacted") else "yellow" if face.status == "kept" else "red"
        number, treatment, words = str(face.number), shown(face.treatment), shown(face.words)
        if not face.verdicts:
            table.add_row(number, treatment, "-", "-", "-", words, style=style)
        for v in face.verdicts:
            is_against = v.is_surrogate and not face.treatment.startswith("redact")  # nothing was made against a cover
            against |= is_against
            name = shown(v.recogniser) + "*" * is_against
            similarity = f"{v.similarity_before:.2f} -> {v.similarity_after:.2f}"
            table.add_row(number, treatment, name, similarity, f"{v.fmr_after:.2g}", words, style=style)
            number = treatment = words = ""
    if report.faces:
        console.print(table)
    if against:
        console.print("* the cloak was made against this recogniser")
    for line in (report.words, *report.notes):
        console.print(shown(line), soft_wrap=True)


def _print_count(outcomes: list[Outcome]) -> None:
    codes = [_code_of(outcome) for outcome in outcomes]
    words = {DONE: "written and safe by the recognisers asked", MATCHED: "written, BUT LOOK: a face is not protected",
             NO_FACE: "without a face", FAILED: "FAILED"}
    counts = [f"{codes.count(code)} {words[code]}" for code in words if code in codes]
    _console().print(f"{len(outcomes)} inputs: {'; '.join(counts)}.", style="bold", soft_wrap=True)


def _complain_of_left_alone(gathered: Gathered) -> None:
    if names := [shown(path.name) for path in gathered.left_alone]:
        several = "1 file is" if len(names) == 1 else f"{len(names)} files are"
        _complain(f"{several} no photo and was left alone: {', '.join(names[:5])}{', ...' * (len(names) > 5)}")


def _face_rows(faces: Faces) -> list[dict[str, Any]]:
    return [{"number": i + 1, "box": [round(float(v), 1) for v in box], "height_px": round(float(box[3] - box[1])),
             "score": round(float(score), 3)} for i, (box, score) in enumerate(zip(faces.boxes, faces.scores))]


def _print_faces(row: dict[str, Any]) -> None:
    if row["error"] is not None:
        return
    console = _console()
    found = row["faces"]
    count = "no face" if not found else "1 face" if len(found) == 1 else f"{len(found)} faces"
    console.print(f"{row['input']}: {count}", style="bold", soft_wrap=True)
    if not found:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("face", "left", "top", "right", "bottom", "height px", "score"):
        table.add_column(heading, justify="right", no_wrap=True)
    for face in found:
        table.add_row(str(face["number"]), *(f"{v:.0f}" for v in face["box"]), str(face["height_px"]),
                      f"{face['score']:.2f}")
    console.print(table)
    if row["picture"] is not None:
        console.print(f"numbers on {row['picture']}", soft_wrap=True)


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[Progress], None] | None]:
    """What `cloak_photos` reports to: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[count]}"),
               TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn())
    with ProgressBar(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task("reading", total=None, count="")

        def show(progress: Progress) -> None:
            # Photos that are done count whole, those in work by the steps of their faces
            share = progress.faces_in_work * progress.step / progress.steps if progress.steps else 0.0
            share = min((progress.faces_done + share) / max(progress.faces, 1), 1.0)
            bar.update(task, description=shown(progress.photo), total=progress.photos,
                       completed=min(progress.photos_done + share, progress.photos),
                       count=f"{progress.photos_done}/{progress.photos} photos, "
                             f"{progress.faces_done}/{progress.faces} faces, step {progress.step}/{progress.steps}")

        yield show
