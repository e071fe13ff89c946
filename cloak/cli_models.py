"""The verbs of `cloak models`: what is installed, and how it comes and goes."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from cloak import store, weights
from cloak.errors import CloakError, ModelRefused, SettingsInvalid, WeightsCorrupt
from cloak.files import shown
from cloak.store import CROPS, Model, Recipe
from cloak.terminal import DONE, FAILED, AsJson, complain, edge, print_json
from cloak.weights import Weights

SCHEMA = "facecloak-models/1"

_STOPPED = "No model was changed; what was fetched so far is kept for the next attempt."
_WIDTH_WITHOUT_TERMINAL = 160  # the table in a log; a terminal tells its own width

app = typer.Typer(
    help="The recognisers that cloaks are made against and judged by: what is installed, and how more come in.\n\n"
         "Examples:\n\n\b\n    cloak models list\n    cloak models fetch recommended\n\n"
         "Only `fetch` opens a connection, and it says where to first.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _exit_codes(done: str, failed: str) -> str:
    return f"\b\nExit codes:\n  {DONE}  {done}\n  {FAILED}  {failed}"


@app.command(
    "list",
    epilog=_exit_codes("listed", "an installed model is damaged"),
    help="Lists what is installed and what can be fetched. Nothing is read but descriptions: see `verify`.\n\n"
         "Example:\n\n\b\n    cloak models list --json",
)
def list_models(as_json: AsJson = False) -> None:
    """See `help` above."""
    with edge(as_json, stopped=_STOPPED):
        sound, damaged = store.survey()
        entries = weights.registry()
        here = {model.name: model for model in sound}
        rows = [_bundled_row(entry) for entry in entries.values() if entry.is_bundled]
        rows += [_model_row(model, "installed") for model in sound]
        rows += [{**_model_row(None, "damaged", name), "error": shown(error)} for name, error in damaged.items()]
        rows += [_available_row(entry) for name, entry in entries.items()
                 if entry.address and name not in here and name not in damaged]
        code = FAILED if damaged else DONE
        _print_rows(rows, code, as_json)
        raise typer.Exit(code)


@app.command(
    epilog=_exit_codes("all of them are installed", "one could not be fetched, or has to be accepted first"),
    help="Fetches models and installs what is exactly the file that is vouched for.\n\n"
         "Examples:\n\n\b\n    cloak models fetch recommended\n"
         "    cloak models fetch mobilefacenet --from /media/stick\n\n"
         "`recommended` are the recognisers whose licence lets anybody use them. --from installs without a connection, "
         "verified alike. A newsroom's own server of these files can be named in FACECLOAK_MIRROR.",
)
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", show_default=False,
                                               help="What `cloak models list` shows as available, or "
                                                    "`recommended`.")],
    source: Annotated[Path | None, typer.Option("--from", metavar="PATH", show_default=False,
                                                help="The file itself, or a folder that holds it.")] = None,
    accept_licence: Annotated[bool, typer.Option("--accept-licence",
                                                 help="Agree to a licence that forbids commercial use.")] = False,
    accept_hash: Annotated[bool, typer.Option("--accept-hash", help="Trust, this once, a file whose sha256 nobody "
                                                                    "published.")] = False,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    from cloak import fetching

    with edge(as_json, stopped=_STOPPED):
        rows: list[dict[str, Any]] = []
        wanted = [one for name in names for one in (weights.recommended() if name == "recommended" else (name,))]
        for name in dict.fromkeys(wanted):
            try:
                with _progress_bar(name) as progress:
                    model = fetching.fetch(name, say=complain, progress=progress, accept_licence=accept_licence,
                                           accept_hash=accept_hash, source=source)
                rows.append(_model_row(model, "installed"))
            except CloakError as error:
                complain(str(error))
                rows.append({**_model_row(None, "failed", name), "error": shown(error)})
        code = FAILED if any("error" in row for row in rows) else DONE
        _print_rows(rows, code, as_json)
        raise typer.Exit(code)


@app.command(
    epilog=_exit_codes("it is installed", "the file is no recogniser that can be used so, or the command was wrong"),
    help="Adds a recogniser of yours, an ONNX file, after it was tried on faces.\n\n"
         "Example:\n\n\b\n    cloak models add mine mine.onnx --crop arcface112 --mean 127.5 --scale 128 "
         "--channels rgb\n\n"
         "A chip of RGB values from 0 to 255 is put into the order of --channels, and each value x becomes "
         "(x - mean) / scale. For a file that cloak knows by its sha256, none of this needs to be said.",
)
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="What to call it.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="The ONNX file.")],
    crop: Annotated[str | None, typer.Option(metavar="|".join(CROPS), show_default=False,
                                             help="How a face is cut out for it.")] = None,
    mean: Annotated[str | None, typer.Option(metavar="X[,X,X]", show_default=False,
                                             help="Subtracted from each value, one or one per channel.")] = None,
    scale: Annotated[str | None, typer.Option(metavar="X[,X,X]", show_default=False,
                                              help="What each difference is divided by.")] = None,
    channels: Annotated[str | None, typer.Option(metavar="rgb|bgr", show_default=False,
                                                 help="The order it expects.")] = None,
    layout: Annotated[str, typer.Option(metavar="nchw|nhwc", help="The order of its input's axes.")] = "nchw",
    size: Annotated[int | None, typer.Option(metavar="N", show_default=False,
                                             help="Edge of its input in pixels, if not that of the crop.")] = None,
    licence: Annotated[str | None, typer.Option(metavar="TEXT", show_default=False,
                                                help="Its licence, as far as you know.")] = None,
    strangers: Annotated[Path | None, typer.Option(metavar="FOLDER", show_default=False,
                                                   help="Photos of different people, to find out how alike strangers "
                                                        "are to it.")] = None,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with edge(as_json, stopped=_STOPPED):
        from cloak import adding  # late, for torch takes seconds

        _check_free(name)
        length, sha256 = store.measure(file)
        entry = weights.known(sha256)
        recipe = _recipe(file, entry, crop, mean, scale, channels, layout, size)
        words: list[str] = []

        def check(copy: Path) -> Mapping[str, object] | None:
            try:
                checked = adding.check(copy, recipe, strangers=strangers)
            except CloakError as error:  # names the copy, which nobody has heard of
                raise type(error)(str(error).replace(str(copy), str(file))) from error
            words.extend(checked.words)
            calibration: Mapping[str, object] | None = checked.calibration
            return calibration

        model = store.add(_described(name, file, length, sha256, recipe, licence, entry), check=check)
        weights.locate.cache_clear()
        for line in (*(f"Caution: {caution}" for caution in model.cautions), *words):
            complain(f"{name}: {line}")
        _print_rows([{**_model_row(model, "installed"), "words": words}], DONE, as_json)


@app.command(
    epilog=_exit_codes("every file is the one it should be", "one is not, or is gone"),
    help="Reads every weight file again, those that came with facecloak too, and compares their sha256.\n\n"
         "Example:\n\n\b\n    cloak models verify mobilefacenet",
)
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", show_default=False,
                                                      help="Default: all that are installed.")] = None,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with edge(as_json, stopped=_STOPPED):
        sound, damaged = store.survey()
        bundled = [name for name, entry in weights.registry().items() if entry.is_bundled]
        rows: list[dict[str, Any]] = []
        weights.locate.cache_clear()
        for name in dict.fromkeys(names or [*bundled, *(model.name for model in sound), *damaged]):
            row = {**_model_row(None, "damaged", name), "error": ""}
            try:
                if name in bundled:
                    row = _bundled_row(weights.registry()[name])
                weights.locate(name)
                if name not in bundled:
                    row = _model_row(store.describe(name), "installed")
                rows.append({**row, "state": "verified"})
            except CloakError as error:
                complain(str(error))
                state = "damaged" if isinstance(error, WeightsCorrupt) else "missing"
                rows.append({**row, "state": state, "error": shown(error)})
        code = FAILED if any("error" in row for row in rows) else DONE
        _print_rows(rows, code, as_json)
        raise typer.Exit(code)


@app.command(
    epilog=_exit_codes("it is gone", "there is no such model"),
    help="Removes an installed model. Cloaks are no longer made against it or judged by it.\n\n"
         "Example:\n\n\b\n    cloak models remove mine",
)
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="As `cloak models list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with edge(as_json, stopped=_STOPPED):
        entry = weights.registry().get(name)
        if entry is not None and entry.is_bundled:
            raise ModelRefused(f"{name}: is part of the package {entry.package} and of facecloak. Nothing was removed.")
        store.remove(name)
        weights.locate.cache_clear()
        _print_rows([_model_row(None, "removed", name)], DONE, as_json)


# --- adding ------------------------------------------------------------------------------------------------------


def _check_free(name: str) -> None:
    store.check_name(name)
    entry = weights.registry().get(name)
    if entry is not None and entry.is_bundled or name == "recommended":
        raise ModelRefused(f"{name}: this name belongs to facecloak. Choose another. Nothing was installed.")


def _recipe(
    file: Path, entry: Weights | None, crop: str | None, mean: str | None, scale: str | None, channels: str | None,
    layout: str, size: int | None,
) -> Recipe:
    """What the user says of the file, or what is known of it.

    Raises:
        ModelRefused: it is known as another kind of file.
        SettingsInvalid: something is missing, or contradicts what is known: a recogniser that is fed wrongly sees
            strangers everywhere, and every cloak looks good to it.
    """
    if entry is not None and entry.recipe is None:
        how = f"Install it with `cloak models fetch {entry.name} --from {file}`. " if entry.address else ""
        raise ModelRefused(f"{file}: is {entry.name}, which is not added by hand. {how}Nothing was installed.")
    said = {"crop": crop, "mean": mean, "scale": scale, "channels": channels}
    given = [f"--{key}" for key, value in said.items() if value is not None]
    if entry is not None and entry.recipe is not None and not given:
        return entry.recipe
    if crop is None or mean is None or scale is None or channels is None:
        missing = ", ".join(f"--{key}" for key, value in said.items() if value is None)
        raise SettingsInvalid(f"{file}: how this recogniser is to be fed is not known. Give {missing} as its authors "
                              "say. Nothing was installed.")
    recipe = Recipe(crop=crop, mean=_three(mean, "--mean"), scale=_three(scale, "--scale"),
                    channels=channels, layout=layout, size_px=size)  # type: ignore[arg-type]  # Recipe checks the words
    if entry is not None and recipe != entry.recipe:
        raise SettingsInvalid(f"{file}: is known as {entry.name}, which is fed as {entry.recipe}. Leave out "
                              f"{', '.join(given)}. Nothing was installed.")
    return recipe


def _three(text: str, option: str) -> tuple[float, float, float]:
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        raise SettingsInvalid(f"{option} is {text!r}; give one number, or three with commas between them. Nothing was "
                              "installed.")
    first, second, third = numbers * 3 if len(numbers) == 1 else numbers
    return first, second, third


def _described(
    name: str, file: Path, size: int, sha256: str, recipe: Recipe, licence: str | None, entry: Weights | None
) -> Model:
    if entry is None:
        return Model(name=name, role="surrogate", loads_as="onnx", path=file, size=size, sha256=sha256, origin="added",
                     licence=licence or "not stated", source=f"added by hand: {file.name}",
                     training_data="not stated", recipe=recipe)
    # What is known of these very bytes is not changed by what a user says of them.
    return Model(name=name, role=entry.role, loads_as=entry.loads_as, path=file, size=size, sha256=sha256,
                 origin="added", licence=entry.licence, source=entry.source, training_data=entry.training_data,
                 cautions=entry.cautions, non_commercial=entry.non_commercial, recipe=recipe)


# --- words -------------------------------------------------------------------------------------------------------


def _row(name: str, state: str, **known: object) -> dict[str, Any]:
    unknown = dict.fromkeys(("role", "loads_as", "size", "sha256", "licence", "non_commercial", "training_data",
                             "where"))
    return {"name": shown(name), "state": state, **unknown, "cautions": [], **known}


def _bundled_row(entry: Weights) -> dict[str, Any]:
    state = "missing" if importlib.util.find_spec(entry.package) is None else "bundled"
    return _registry_row(entry, state, f"package {entry.package}")


def _available_row(entry: Weights) -> dict[str, Any]:
    needs = [*["--accept-licence"] * entry.non_commercial, *["--accept-hash"] * (not entry.sha256)]
    state = " ".join(["available", *(["with", *needs] if needs else [])])
    return _registry_row(entry, state, entry.address)


def _registry_row(entry: Weights, state: str, where: str) -> dict[str, Any]:
    return _row(entry.name, state, role=entry.role, loads_as=entry.loads_as, size=entry.size,
                sha256=entry.sha256 or None, licence=entry.licence, non_commercial=entry.non_commercial,
                training_data=entry.training_data, cautions=list(entry.cautions), where=where)


def _model_row(model: Model | None, state: str, name: str = "") -> dict[str, Any]:
    if model is None:
        return _row(name, state)
    return _row(model.name, state, role=model.role, loads_as=model.loads_as, size=model.size, sha256=model.sha256,
                licence=shown(model.licence), non_commercial=model.non_commercial,
                training_data=shown(model.training_data), cautions=[shown(line) for line in model.cautions],
                where=shown(model.path))


def _print_rows(rows: list[dict[str, Any]], code: int, as_json: bool) -> None:
    if as_json:
        print_json({"schema": SCHEMA, "exit_code": code, "store": shown(store.folder()), "models": rows})
        return
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False,
                      width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("name", "role"):
        table.add_column(heading, no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("sha256", no_wrap=True)
    table.add_column("state")
    table.add_column("licence")
    table.add_column("where", overflow="fold")
    for row in rows:
        size = "-" if row["size"] is None else f"{row['size'] / 1e6:.2f} MB"
        licence = (row["licence"] or "-") + " (non-commercial)" * bool(row["non_commercial"])
        state = row["state"] + ("; cloak cannot load it yet" if row["loads_as"] == "" else "")
        table.add_row(row["name"], row["role"] or "-", size, (row["sha256"] or "-")[:12], state, licence,
                      _short(row["where"] or "-"), style="red" if "error" in row or row["state"] == "missing" else None)
    if any(row["state"] != "failed" for row in rows):
        console.print(table)
    console.print(f"models are kept in {shown(store.folder())}", soft_wrap=True)


def _short(where: str) -> str:
    """The host of an address; anything else as it is."""
    return where.split("/")[2] if where.startswith("https://") else where


@contextlib.contextmanager
def _progress_bar(name: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """What `fetch` reports to: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with ProgressBar(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(shown(name), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
