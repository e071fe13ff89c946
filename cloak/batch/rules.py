"""Which treatment a file gets: by kind, or by the first rule whose pattern its name matches.

    photos = "cloak"
    videos = "solid"

    [rules]
    "portraits/**" = "cloak strong"
    "crowd/**" = "redact solid"
    "stage/**" = "redact ring, keep speaker.jpg"

Names are those below the input folder, with `/`. `*` and `?` stay within one folder, `**` goes through any number of
them, and upper and lower case are the same, as on memory cards. A photo to `keep` by lies beside the file of the rules.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cloak.batch.types import Media, Recipe
from cloak.choices import parse_treatment
from cloak.errors import ChoicesInvalid, SettingsInvalid
from cloak.types import Treatment

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MAX_BYTES = 2**20


@dataclass(frozen=True)
class Rule:
    """What files get whose names match."""

    pattern: str
    treatment: Treatment | None  # None: that of the kind
    keep_person: tuple[Path, ...] = ()

    def matches(self, name: str) -> bool:
        return self._expression.fullmatch(name) is not None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile(_translated(self.pattern), re.IGNORECASE | re.DOTALL)

    def __str__(self) -> str:
        kept = f"keep the person of {len(self.keep_person)} photo{'s' * (len(self.keep_person) != 1)}"
        words = [*([str(self.treatment)] if self.treatment else []), *([kept] if self.keep_person else [])]
        return f"{self.pattern} = {', '.join(words)}"


@dataclass(frozen=True, slots=True)
class Rules:
    """The treatment of each kind, and of names that match a rule."""

    photos: Treatment
    clips: Treatment
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        if self.photos.kind == "keep" or self.clips.kind == "keep":
            raise SettingsInvalid("`keep` would publish everybody as they are. Name a photo of whom to keep in a "
                                  "file of "
                                  "rules. Nothing was written.")
        if self.clips.kind != "redact":
            raise SettingsInvalid(f"clips are to be treated with {str(self.clips)!r}; they can only be covered: solid, "
                                  "mosaic, blur or ring. Nothing was written.")

    def recipe(self, name: str, media: Media) -> Recipe:
        """What the file of this name gets. A rule that cloaks says nothing of clips, which cannot be."""
        usual = self.photos if media == "photo" else self.clips
        rule = self.rule(name)
        if rule is None:
            return Recipe(usual)
        wanted = rule.treatment
        if wanted is None or (media == "clip" and wanted.kind != "redact"):
            wanted = usual
        return Recipe(wanted, rule.keep_person)

    def rule(self, name: str) -> Rule | None:
        """The first that matches."""
        return next((rule for rule in self.rules if rule.matches(name)), None)


def read_rules(path: Path, rules: Rules) -> Rules:
    """`rules` with what the file says otherwise.

    Raises:
        ChoicesInvalid: it cannot be read, or says what is not understood.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ChoicesInvalid(f"{path}: more than {_MAX_BYTES:,} bytes, which no rules need. Nothing was written.")
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ChoicesInvalid(f"{path}: no rules can be read from it ({error}). Nothing was written.") from error
    try:
        said = {key: table.pop(name) for name, key in (("photos", "photos"), ("videos", "clips")) if name in table}
        usual = {key: _treatment(words) for key, words in said.items()}
        named = table.pop("rules", {})
        if not isinstance(named, Mapping) or table:
            raise ChoicesInvalid("only photos, videos and a table [rules] are understood, and "
                                 f"{', '.join(map(repr, table)) or 'rules is no table'} was found")
        return replace(rules, **usual, rules=tuple(_rule(pattern, words, path.parent)
                                                   for pattern, words in named.items()))
    except (ChoicesInvalid, SettingsInvalid) as error:
        what = str(error).removesuffix(" Nothing was written.").removesuffix(".")
        raise ChoicesInvalid(f"{path}: {what}. Nothing was written.") from None


def _rule(pattern: str, words: Any, folder: Path) -> Rule:
    if not isinstance(words, str) or not pattern or pattern.startswith("/"):
        raise ChoicesInvalid(f"the rule {pattern!r} = {words!r}: give a pattern of names below the folder and, in "
                             'quotes, a treatment, as in "crowd/**" = "redact solid"')
    treatment: Treatment | None = None
    kept: list[Path] = []
    for part in words.split(","):
        try:
            first, *rest = shlex.split(part) or [""]
        except ValueError as error:
            raise ChoicesInvalid(f"the rule {pattern!r}: {part!r} is not understood ({error})") from error
        if first != "keep":
            if treatment is not None:
                raise ChoicesInvalid(f"the rule {pattern!r} names two treatments, {treatment} and {part.strip()}")
            treatment = _treatment(part)
            continue
        if not rest:
            raise ChoicesInvalid(f"the rule {pattern!r}: keep whom? Name a photo of that person, as in "
                                 '"keep speaker.jpg"')
        for name in rest:
            if not (folder / name).is_file():
                raise ChoicesInvalid(f"the rule {pattern!r}: there is no file {folder / name}")
            kept.append(folder / name)
    return Rule(pattern, treatment, tuple(kept))


def _treatment(words: Any) -> Treatment:
    treatment = parse_treatment(words)
    if treatment.kind == "keep":
        raise ChoicesInvalid("`keep` alone would publish everybody as they are; name a photo of whom to keep")
    return treatment


def _translated(pattern: str) -> str:
    """As a regular expression. A pattern without a folder in it matches names in every folder."""
    parts = (pattern if "/" in pattern else f"**/{pattern}").split("/")
    found = []
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "**":
            found.append(".*" if is_last else "(?:.*/)?")
            continue
        within = "".join("[^/]*" if c == "*" else "[^/]" if c == "?" else re.escape(c) for c in part)
        found.append(within if is_last else within + "/")
    return "".join(found)
