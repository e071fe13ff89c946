"""How verbs end and speak: exit codes, one line an error on stderr, one JSON document on stdout."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cloak.errors import CloakError, NoFaceFound
from cloak.files import shown

DONE, FAILED, MATCHED, NO_FACE = 0, 2, 3, 4

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@contextlib.contextmanager
def edge(as_json: bool, *, stopped: str = "Photos that were not finished were not written.") -> Iterator[None]:
    """Where errors end: one line on stderr, an exit code, and with --json still one document on stdout."""
    try:
        yield
    except CloakError as error:
        code = NO_FACE if isinstance(error, NoFaceFound) else FAILED
        if as_json:
            print_json({"schema": "facecloak-error/1", "exit_code": code, "error": shown(error)})
        complain(str(error))
        raise typer.Exit(code) from error
    except KeyboardInterrupt:
        complain(f"stopped. {stopped}")
        raise typer.Exit(130) from None  # 128 + SIGINT, as shells expect


def complain(message: str) -> None:
    print(f"cloak: {shown(message)}", file=sys.stderr)


def print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2, allow_nan=False))
