"""Where the outputs of a command go, each to a place of its own, and the folders made for them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cloak.errors import OutputRefused
from cloak.inputs import Gathered, Source


def places(gathered: Gathered, place: Callable[[Source], Path], *, tolerant: bool) -> list[Path | str]:
    """The place of each source; the reason instead where it has none, or where another one has it already.

    Args:
        tolerant: False raises for the first that has none.
    """
    found: list[Path | str] = []
    first: dict[str, Path] = {}
    for source in gathered.sources:
        try:
            output = place(source)
        except OutputRefused as error:
            if not tolerant:
                raise
            found.append(str(error))
            continue
        # Memory cards and many disks do not tell IMG_1.JPG from img_1.jpg
        key = os.path.realpath(output).casefold()
        if key in first:
            found.append(f"{source.path}: {first[key]} is written to {output} too, and one of them would be lost. "
                         "Rename one. Nothing was written for this one.")
        else:
            found.append(output)
            first[key] = source.path
    return found


@contextlib.contextmanager
def folders(outputs: Sequence[Path]) -> Iterator[None]:
    """Makes the folders of the outputs; afterwards those of them that stayed empty are removed again."""
    made: list[Path] = []
    try:
        for folder in dict.fromkeys(output.parent for output in outputs):
            for one in reversed([one for one in (folder, *folder.parents) if not one.is_dir()]):
                try:
                    one.mkdir()
                except OSError as error:
                    raise OutputRefused(f"{one}: the folder cannot be made ({error.strerror}). Choose another. "
                                        "Nothing was written.") from error
                made.append(one)
        yield
    finally:
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # only where nothing came to lie in it
                folder.rmdir()
