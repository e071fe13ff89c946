"""What a worker does with a group, on whichever machine: calls the engine, leaves what was made in a private folder.

Nothing gets its name here. The driver does that, after the ledger knows the hash: a worker that was given up, and in
truth goes on, publishes nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cloak import protect
from cloak.batch import keeping
from cloak.batch.types import Common, Group, Item, Recipe, Result
from cloak.choices import Choices
from cloak.errors import CloakError, NoFaceFound, OutputRefused
from cloak.files import shown
from cloak.report import report_path_for
from cloak.settings import Settings
from cloak.types import Outcome
from cloak.video import redact
from cloak.video.look import Look
from cloak.video.redact import VideoSettings

# Folders of what is made: a group of photos has a new one for each attempt, a clip has one of its own name, in which it
# goes on looking where a killed run stopped
PHOTOS, CLIP = "photos-", "clip-"


def do(group: Group, common: Common) -> tuple[Result, ...]:
    """Each item that is missing, with what became of it; `Result.made` of one that is done is the caller's to name.

    A disk that is full or gone fails the group and no more: the next run tries it again.
    """
    began = time.monotonic()
    base = common.folder or group.items[0].output.parent
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        results = _photos(group, common, base) if group.items[0].media == "photo" else (_clip(group, common, base),)
    except OSError as error:
        words = (f"the folder for temporary files cannot be used ({error.strerror or type(error).__name__}). Nothing "
                 "was written. Make room there and run the same command again.")
        results = tuple(Result(number, "failed", words=words, raised="OutputRefused")
                        for number in sorted(group.missing))
    each = (time.monotonic() - began) / max(len(results), 1)
    return tuple(dataclasses.replace(result, seconds=each) for result in results)


def photo_settings(recipe: Recipe, settings: Settings) -> Settings:
    """With what the recipe says in the place of what the settings say."""
    how = recipe.treatment.how
    if recipe.treatment.kind == "cloak":
        return dataclasses.replace(settings, strength=how, overwrite=False)  # type: ignore[arg-type]
    return dataclasses.replace(settings, cover=how, overwrite=False)  # type: ignore[arg-type]


def clip_settings(recipe: Recipe, settings: VideoSettings) -> VideoSettings:
    """The same for a clip."""
    look = dataclasses.replace(settings.look or Look(), style=recipe.treatment.how)
    return dataclasses.replace(settings, look=look, keep_person=recipe.keep_person, overwrite=False)


# --- photos ------------------------------------------------------------------------------------------------------


def _photos(group: Group, common: Common, base: Path) -> tuple[Result, ...]:
    """The group is worked on as a whole, so that each face has the company it always has."""
    recipe = group.items[0].recipe
    settings = photo_settings(recipe, common.photo)
    folder = Path(tempfile.mkdtemp(prefix=f"{PHOTOS}{group.number}-", dir=base))
    places = [folder / str(item.number) / item.output.name for item in group.items]
    sources = [item.source for item in group.items]
    try:
        for place in places:
            place.parent.mkdir()
        try:
            chosen = {source: Choices(recipe.treatment) for source in sources}
            if recipe.keep_person:
                chosen = keeping.choose(sources, recipe.keep_person, recipe.treatment, settings)
            outcomes = protect.cloak_photos(sources, places, settings, choices=chosen)
        except CloakError as error:  # the networks or the reference photos
            outcomes = [Outcome(source, None, None, str(error), "failed", type(error).__name__) for source in sources]
        results = []
        for item, place, outcome in zip(group.items, places, outcomes, strict=True):
            if item.number in group.missing:
                results.append(_of_photo(item, place, outcome))
            if item.number not in group.missing or results[-1].made is None:
                shutil.rmtree(place.parent, ignore_errors=True)
        return tuple(results)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        with contextlib.suppress(OSError):  # where nothing was made
            folder.rmdir()


def _of_photo(item: Item, place: Path, outcome: Outcome) -> Result:
    report = outcome.report
    if report is None:
        words = _bare(outcome.error or "", item, place)
        return Result(item.number, "no_face" if outcome.kind == "no_face" else "failed", words=words,
                      raised=outcome.raised)
    if report.input_sha256 != item.sha256:
        return _changed(item)
    return Result(item.number, "done", report.output_sha256, place, not report.is_protected,
                  dict(Counter(face.status for face in report.faces)), report.words)


# --- clips -------------------------------------------------------------------------------------------------------


def _clip(group: Group, common: Common, base: Path) -> Result:
    (item,) = group.items
    settings = clip_settings(item.recipe, common.clip)
    folder = base / f"{CLIP}{group.number}"
    try:
        return _clip_in(folder, item, settings)
    except OutputRefused:
        # A worker that was given up may still hold it. A new folder begins to look from the start
        other = Path(tempfile.mkdtemp(prefix=f"{CLIP}{group.number}-", dir=base))
        try:
            return _clip_in(other, item, settings)
        except OutputRefused as error:
            shutil.rmtree(other, ignore_errors=True)
            return Result(item.number, "failed", words=_bare(str(error), item, other / item.output.name),
                          raised=type(error).__name__)


def _clip_in(folder: Path, item: Item, settings: VideoSettings) -> Result:
    place = folder / item.output.name
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        for stale in (place, report_path_for(place)):  # finished, but its end was never heard of
            stale.unlink(missing_ok=True)
        report = redact.redact_video(item.source, place, settings)
    except OutputRefused:
        raise
    except CloakError as error:
        state = "no_face" if isinstance(error, NoFaceFound) else "failed"
        shutil.rmtree(folder, ignore_errors=True)
        return Result(item.number, state, words=_bare(str(error), item, place), raised=type(error).__name__)  # type: ignore[arg-type]
    if report.input_sha256 != item.sha256:
        shutil.rmtree(folder, ignore_errors=True)
        return _changed(item)
    return Result(item.number, "done", report.output_sha256, place, report.needs_a_look,
                  dict(Counter(track.decision for track in report.tracks)), report.words)


# --- words -------------------------------------------------------------------------------------------------------


def _changed(item: Item) -> Result:
    return Result(item.number, "failed", words="changed after the folder was read. Nothing was written; run the same "
                                               "command again.", raised="SourceChanged")


def _bare(words: str, item: Item, place: Path) -> str:
    """Without paths: a report has the name beside it, and one without names must not have it here either."""
    named: Sequence[tuple[Path, str]] = ((item.source, "the input"), (place, "the output"))
    for path, what in named:
        for text in (os.fspath(path), shown(path)):
            words = words.removeprefix(f"{text}: ").replace(text, what)
    return words
