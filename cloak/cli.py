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
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

import cloak
from cloak import cli_models
from cloak.errors import CloakError, OutputRefused
from cloak.io_image import output_path_for, shown
from cloak.report import to_dict
from cloak.settings import PRESETS, Progress, Settings
from cloak.terminal import DONE, FAILED, MATCHED, NO_FACE, AsJson
from cloak.terminal import complain as _complain
from cloak.terminal import edge as _edge
from cloak.terminal import print_json as _print_json
from cloak.types import Faces, Outcome, Report

# Several inputs can end in several ways; the shell gets the one that most needs a person to look.
_MOST_SERIOUS_FIRST = (FAILED, MATCHED, NO_FACE, DONE)

_WRONG = "an input could not be processed, or the command was wrong"
_NOT_SAFE = "a face is still matched, was lost, is too small, or was not judged"
PHOTO_CODES = {DONE: "every face of every photo is protected", FAILED: _WRONG, MATCHED: _NOT_SAFE,
               NO_FACE: "a photo holds no face; nothing was written for it"}
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
    help="Perturbs faces in photos so that people still recognise them and face recognisers do not, and judges "
         "the written file.\n\nExample:\n\n    cloak photo march.jpg\n\nNothing leaves this machine.",
    epilog=_exit_codes(PHOTO_CODES),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_models.app, name="models")

Inputs = Annotated[list[Path], typer.Argument(metavar="IN...", help="Photos, JPEG or PNG.", show_default=False)]
Strength = Annotated[str, typer.Option(metavar="|".join(PRESETS), help="How visible the change may become.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the networks run.")]
Detector = Annotated[str, typer.Option(metavar="NAME", help="What finds the faces.")]


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


@app.command(
    epilog=_exit_codes(PHOTO_CODES),
    help="Writes a cloaked copy of each photo and says what the written file still gives away.\n\n"
         "Examples:\n\n\b\n    cloak photo march.jpg                    writes march.cloaked.jpg\n"
         "    cloak photo a.jpg b.png -o for-the-web/  writes into the folder\n"
         "    cloak photo --strength strong -- -x.jpg  a name that starts with a dash\n\n"
         "The input is never changed. The output is upright, keeps format, size and colour profile, and carries no "
         "other metadata. A report, OUTPUT.json, is written beside it.",
)
def photo(
    inputs: Inputs,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="OUT", show_default=False,
                                               help="A file (one input only) or a folder. Default: NAME.cloaked.jpg "
                                                    "or .png beside the input.")] = None,
    strength: Strength = _DEFAULT.strength,
    device: Device = _DEFAULT.device,
    detector: Detector = _DEFAULT.detector,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same device: same bytes.")] = _DEFAULT.seed,
    quality: Annotated[int, typer.Option(metavar="N", help="JPEG quality, 85 to 100.")] = _DEFAULT.jpeg_quality,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with _edge(as_json):
        settings = Settings(strength=strength, device=device, detector=detector, seed=seed,  # type: ignore[arg-type]
                            jpeg_quality=quality, overwrite=overwrite)
        outputs = _outputs(inputs, output)
        made = _make_folder(outputs[0].parent) if output is not None else None
        try:
            outcomes = _cloak(inputs, outputs, settings)
        finally:
            if made is not None:
                with contextlib.suppress(OSError):  # only where nothing came to lie in it
                    made.rmdir()
        code = _worst([_code_of(outcome) for outcome in outcomes])
        if as_json:
            _print_json({"schema": "facecloak-photo/1", "exit_code": code, "photos": [
                {"input": shown(o.input), "output": None if o.output is None else shown(o.output), "kind": o.kind,
                 "error": None if o.error is None else shown(o.error),
                 "report": None if o.report is None else to_dict(o.report)} for o in outcomes]})
        for outcome in outcomes:
            if outcome.error is not None:
                _complain(outcome.error)
            if outcome.report is not None and not as_json:
                where = outcome.input if outcome.output is None else outcome.output
                _print_report(outcome.report, f"{shown(outcome.input)} -> {shown(where)}")
        raise typer.Exit(code)


@app.command(
    epilog=_exit_codes(FACES_CODES),
    help="Lists the faces of each photo, numbered from left to right. Nothing is written.\n\n"
         "Example:\n\n\b\n    cloak faces march.jpg --json",
)
def faces(
    inputs: Inputs, device: Device = _DEFAULT.device, detector: Detector = _DEFAULT.detector, as_json: AsJson = False
) -> None:
    """See `help` above."""
    with _edge(as_json):
        settings = Settings(device=device, detector=detector)  # type: ignore[arg-type]
        find_faces = _engine("find_faces")
        found: list[tuple[Path, Faces | None, str | None]] = []
        for path in inputs:
            try:
                found.append((path, find_faces(path, settings=settings), None))
            except CloakError as error:
                found.append((path, None, str(error)))
        code = _worst([FAILED if f is None else DONE if len(f) else NO_FACE for _, f, _ in found])
        if as_json:
            _print_json({"schema": "facecloak-faces/1", "exit_code": code, "photos": [
                {"input": shown(path), "error": None if trouble is None else shown(trouble),
                 "faces": None if one is None else _face_rows(one)} for path, one, trouble in found]})
        for path, one, trouble in found:
            if trouble is not None:
                _complain(trouble)
            elif one is not None and not as_json:
                _print_faces(path, one)
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
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with _edge(as_json):
        settings = Settings(device=device, detector=detector)  # type: ignore[arg-type]
        report: Report = _engine("verify_photo")(file, original=original, settings=settings)
        if as_json:
            _print_json(to_dict(report))
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


def _outputs(inputs: list[Path], out: str | None) -> list[Path]:
    """One output per input; raises where two are the same, before any work."""
    outputs = [output_path_for(path, out, several=len(inputs) > 1) for path in inputs]
    first: dict[str, Path] = {}
    for path, output in zip(inputs, outputs):
        key = os.path.realpath(output)
        if key in first:
            raise OutputRefused(f"{first[key]} and {path}: both would be written to {output}. Rename one, or cloak "
                                "them one at a time. Nothing was written.")
        first[key] = path
    return outputs


def _cloak(inputs: list[Path], outputs: list[Path], settings: Settings) -> list[Outcome]:
    """One outcome per input, in order."""
    with _progress_bar() as progress:
        outcomes: list[Outcome] = _engine("cloak_photos")(inputs, outputs, settings, progress=progress)
    return outcomes


def _make_folder(folder: Path) -> Path | None:
    """Makes `folder`; returns it where it was not there before."""
    if folder.is_dir():
        return None
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputRefused(f"{folder}: the folder cannot be made ({error.strerror}). Choose another. "
                            "Nothing was written.") from error
    return folder


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
    table.add_column("recogniser", no_wrap=True)
    table.add_column("similarity", no_wrap=True)
    table.add_column("matches\nat FMR", justify="right", no_wrap=True)  # narrow: 80 columns leave the verdict room
    table.add_column("verdict")
    for face in report.faces:
        style = "green" if face.status == "protected" else "red"
        number, words = str(face.number), shown(face.words)
        if not face.verdicts:
            table.add_row(number, "-", "-", "-", words, style=style)
        for v in face.verdicts:
            name = shown(v.recogniser) + ("*" if v.is_surrogate else "")
            table.add_row(number, name, f"{v.similarity_before:.2f} -> {v.similarity_after:.2f}", f"{v.fmr_after:.2g}",
                          words, style=style)
            number = words = ""
    if report.faces:
        console.print(table)
    if any(v.is_surrogate for face in report.faces for v in face.verdicts):
        console.print("* the cloak was made against this recogniser")
    for line in (report.words, *report.notes):
        console.print(shown(line), soft_wrap=True)


def _face_rows(faces: Faces) -> list[dict[str, Any]]:
    return [{"number": i + 1, "box": [round(float(v), 1) for v in box], "height_px": round(float(box[3] - box[1])),
             "score": round(float(score), 3)} for i, (box, score) in enumerate(zip(faces.boxes, faces.scores))]


def _print_faces(path: Path, faces: Faces) -> None:
    console = _console()
    count = "no face" if not len(faces) else "1 face" if len(faces) == 1 else f"{len(faces)} faces"
    console.print(f"{shown(path)}: {count}", style="bold", soft_wrap=True)
    if not len(faces):
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("face", "left", "top", "right", "bottom", "height px", "score"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in _face_rows(faces):
        table.add_row(str(row["number"]), *(f"{v:.0f}" for v in row["box"]), str(row["height_px"]),
                      f"{row['score']:.2f}")
    console.print(table)


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[Progress], None] | None]:
    """What `cloak_photos` reports to: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[count]}"),
               TimeElapsedColumn())
    with ProgressBar(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task("reading", total=None, count="")

        def show(progress: Progress) -> None:
            # Faces that are done count whole; the ones in work count by their steps.
            share = progress.faces_in_work * progress.step / progress.steps if progress.steps else 0.0
            bar.update(task, description=shown(progress.photo), total=max(progress.faces, 1),
                       completed=min(progress.faces_done + share, progress.faces),
                       count=f"{progress.faces_done}/{progress.faces} faces, step {progress.step}/{progress.steps}")

        yield show
