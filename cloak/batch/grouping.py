"""What is worked on together.

A face comes out a little different in another company, so groups are made once, of what is there in the order of
names, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cloak.batch.types import Media

# As `protect` works on photos: more share no batch, and what is not finished when a run is killed is lost
PHOTOS_PER_GROUP = 16
PIXELS_PER_GROUP = 16_000_000


@dataclass(frozen=True, slots=True)
class Single:
    """One content that has no group yet."""

    number: int
    media: Media
    settings: str  # hash
    pixels: int


def groups(singles: Iterable[Single]) -> Iterator[tuple[int, ...]]:
    """The numbers of those that are worked on together: photos of the same settings, or one clip."""
    waiting: dict[str, list[Single]] = {}
    for single in singles:
        if single.media == "clip":
            yield (single.number,)
            continue
        together = waiting.setdefault(single.settings, [])
        together.append(single)
        if len(together) >= PHOTOS_PER_GROUP or sum(one.pixels for one in together) >= PIXELS_PER_GROUP:
            yield tuple(one.number for one in waiting.pop(single.settings))
    for together in waiting.values():
        yield tuple(one.number for one in together)
