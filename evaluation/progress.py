"""How far a run is: a bar on a terminal, a line a step elsewhere; on stderr, because results go to stdout and files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from evaluation.run import Watch


@contextmanager
def shown() -> Iterator[Watch]:
    """Lends what a run calls."""
    if not sys.stderr.isatty():
        last = [""]

        def line(done: int, of: int, what: str) -> None:
            if what != last[0]:
                last[0] = what
                print(f"[{done}/{of}] {what}" if of else what, file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def move(done: int, of: int, what: str) -> None:
            bar.update(task, completed=done, total=of or None, description=what)

        yield move
