"""The verbs `cloak studio`, `cloak serve` and `cloak token`. The service itself is `web`, which the engine does not
know: it is loaded by name, when one of these verbs is used."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from cloak import store
from cloak.files import shown
from cloak.terminal import DONE, FAILED, AsJson, complain, edge, print_json

SCHEMA = "facecloak-tokens/1"
_STOPPED = "Jobs that were in work are taken up again at the next start."

Folder = Annotated[Path | None, typer.Option(metavar="FOLDER", show_default=False, envvar="FACECLOAK_SERVICE",
                                             help="Where jobs and tokens are kept. Default: beside the models.")]

app = typer.Typer(
    help="Who may use the service: tokens, of which only a hash is kept.\n\n"
         "Examples:\n\n\b\n    cloak token create newsroom\n    cloak token list\n    cloak token revoke 5f0c1c5e7b7d",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _exit_codes(done: str, failed: str) -> str:
    return f"\b\nExit codes:\n  {DONE}  {done}\n  {FAILED}  {failed}"


SERVE: dict[str, Any] = {
    "epilog": _exit_codes("stopped as it was told", "it was not started"),
    "help": "Offers the engine to other programs over HTTP, on this machine unless told otherwise; and the studio, at "
            "/studio/, to people with a token.\n\n"
            "Examples:\n\n\b\n    cloak token create newsroom\n    cloak serve\n"
            "    curl -f -H 'Authorization: Bearer fcl_...' -F file=@march.jpg -o safe.jpg "
            "http://127.0.0.1:8765/v1/photos\n\n"
            "What there is: /v1/openapi.json. The connection is not encrypted: for other machines put a proxy with TLS "
            "in front.",
}


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen. Anything but loopback needs a "
                                                              "token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="0: any that is free.")] = 8765,
    folder: Folder = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes that do the work.")] = 1,
    keep: Annotated[int, typer.Option(metavar="SECONDS", help="From upload to the deletion of everything.")] = 3600,
    max_megabytes: Annotated[int, typer.Option(metavar="N", help="Of one upload.")] = 100,
    max_megapixels: Annotated[int, typer.Option(metavar="N", help="Of one photo.")] = 64,
    max_clip_megabytes: Annotated[int, typer.Option(metavar="N", help="Of one clip.")] = 2048,
    max_clip_seconds: Annotated[int, typer.Option(metavar="N", help="That a clip lasts.")] = 600,
) -> None:
    """See `SERVE`."""
    with edge(False, stopped=_STOPPED):
        settings = _settings(folder, host=host, port=port, workers=workers, keep_s=keep,
                             max_upload_bytes=max_megabytes * 2**20, max_pixels=max_megapixels * 1_000_000,
                             max_clip_bytes=max_clip_megabytes * 2**20, max_clip_s=float(max_clip_seconds))
        serving = _web("serving")
        if not serving.may_start(settings):
            complain("no token yet, so nobody can use the service. Make one with `cloak token create NAME`")
        with contextlib.suppress(KeyboardInterrupt):  # how a service is stopped
            serving.serve(settings)
        raise typer.Exit(DONE)


STUDIO: dict[str, Any] = {
    "epilog": _exit_codes("stopped as it was told", "it was not started"),
    "help": "Opens a page in the browser on which faces are hidden, cloaked or kept. For this machine only.\n\n"
            "Example:\n\n\b\n    cloak studio\n\n"
            "The address that is printed opens one browser, once. What is on the page is deleted when it is closed. "
            "End it with Ctrl-C.",
}


def studio(
    port: Annotated[int, typer.Option(metavar="N", help="0: any that is free.")] = 0,
    folder: Annotated[Path | None, typer.Option(metavar="FOLDER", show_default=False, envvar="FACECLOAK_STUDIO",
                                                help="Where pictures lie while the page is open. Default: beside the "
                                                     "models.")] = None,
    keep: Annotated[int, typer.Option(metavar="SECONDS", help="From upload to the deletion of everything.")] = 3600,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """See `STUDIO`."""
    with edge(False, stopped="Everything on the page was deleted."):
        settings = _settings(folder or store.data_folder() / "studio", port=port, keep_s=keep)
        with contextlib.suppress(KeyboardInterrupt):  # how it is stopped
            _web("serving").studio(settings, say=lambda address: print(address, flush=True), opens_browser=browser)
        raise typer.Exit(DONE)


@app.command(epilog=_exit_codes("made", "not made"), help="Makes a token and prints it, this once.\n\n"
             "Example:\n\n\b\n    cloak token create newsroom")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, to tell tokens apart.")],
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with edge(as_json), _tokens(folder) as (tokens, kept):
        id, token = tokens.create(kept, name)
        if as_json:
            print_json({"schema": SCHEMA, "exit_code": DONE, "id": id, "name": name, "token": token})
        else:
            print(token)
            print(f"cloak: this is the only time it is shown. Its id is {id}", file=sys.stderr)


@app.command("list", epilog=_exit_codes("listed", "the job store cannot be read"), help="Lists the tokens by id and "
             "name.\n\nExample:\n\n\b\n    cloak token list --json")
def list_tokens(folder: Folder = None, as_json: AsJson = False) -> None:
    """See `help` above."""
    with edge(as_json), _tokens(folder) as (tokens, kept):
        rows = tokens.listed(kept)
        if as_json:
            print_json({"schema": SCHEMA, "exit_code": DONE, "tokens": [
                {"id": row.id, "name": row.name, "created": _day(row.created),
                 "revoked": None if row.revoked is None else _day(row.revoked)} for row in rows]})
        for row in rows if not as_json else ():
            print(f"{row.id}  {_day(row.created)}  {'revoked' if row.revoked else 'valid  '}  {shown(row.name)}")
        if not rows:
            print("cloak: no token yet", file=sys.stderr)


@app.command(epilog=_exit_codes("revoked", "there is no such token"), help="Takes a token back, also from a service "
             "that runs.\n\nExample:\n\n\b\n    cloak token revoke 5f0c1c5e7b7d")
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `cloak token list` shows it.")],
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """See `help` above."""
    with edge(as_json), _tokens(folder) as (tokens, kept):
        tokens.revoke(kept, id)
        if as_json:
            print_json({"schema": SCHEMA, "exit_code": DONE, "revoked": id})


def _web(module: str) -> Any:
    return importlib.import_module(f"web.{module}")


def _settings(folder: Path | None, **fields: Any) -> Any:
    return _web("settings").ServiceSettings(folder=folder or store.data_folder() / "service", **fields)


@contextlib.contextmanager
def _tokens(folder: Path | None) -> Iterator[tuple[Any, Any]]:
    """(the module, the job store)"""
    kept = _web("store").Store(_settings(folder).folder)
    try:
        yield _web("tokens"), kept
    finally:
        kept.close()


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")
