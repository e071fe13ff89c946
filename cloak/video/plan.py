"""Plan <-> JSON: what people read, correct by hand, and render again.

    {"schema": "facecloak-plan/1",
     "clip": "march.mp4", "sha256": "...", "size": [1280, 720], "frames": 250, "cuts": [125],
     "areas": [{"box": [10, 20, 70, 100], "first": 0, "last": 49}],
     "tracks": [
      {"number": 1, "decision": "hide", "style": null, "is_lost": false,
       "spots": [[0, 100.5, 50.0, 131.0, 92.0, 0.91, "seen", [108.0, 66.0, ...]],
                 [1, 101.0, 50.0, 131.5, 92.0, 0.0, "filled"]]}]}

A spot is frame, x1, y1, x2, y2, score, source and, where there are any, five landmarks x y one after the other. Each
track has its decision first, so that it can be found and changed: `keep` leaves the face as it is, another word in
`style` covers it otherwise. A plan holds nothing of the picture, but where each face is: it is not for publishing.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from cloak.errors import PlanInvalid
from cloak.files import write_new
from cloak.video.look import STYLES
from cloak.video.spots import Spots
from cloak.video.types import Area, Box, Plan, Spot, Track

SCHEMA = "facecloak-plan/1"

# An hour of a crowd at 25 frames a second is about a tenth of it
_MAX_BYTES = 2**30
_SOURCES = ("seen", "followed", "filled", "extended")
_DECISIONS = ("hide", "keep")


def rounded(plan: Plan) -> Plan:
    """The plan with as many digits as mean something, so that its file is short and rendering it makes no difference.

    Boxes and landmarks to a hundredth of a pixel, scores to a thousandth.
    """
    def short(spot: Spot) -> Spot:
        x1, y1, x2, y2 = (round(float(v), 2) for v in spot.box)
        marks = spot.landmarks
        return Spot(spot.frame, (x1, y1, x2, y2), round(float(spot.score), 3), spot.source,
                    None if marks is None else tuple((round(float(x), 2), round(float(y), 2)) for x, y in marks))

    return dataclasses.replace(plan, tracks=tuple(
        dataclasses.replace(track, spots=Spots(map(short, track.spots))) for track in plan.tracks))


def to_json(plan: Plan) -> str:
    """The document that `from_json` reads back as the same plan, digit by digit."""
    return "".join(_lines(plan))


def from_json(text: str, *, named: str = "plan") -> Plan:
    """The plan in `text`.

    Raises:
        PlanInvalid: no JSON, another schema, or something is missing, unknown, doubled, out of range or contradicts the
            rest; says where.
    """
    try:
        fields = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_number, parse_float=_finite)
        return _plan(fields)
    except PlanInvalid as error:
        raise PlanInvalid(f"{named}: {error}. Correct it, or make the plan again with --plan-only. Nothing was "
                          "written.") from None
    except (ValueError, RecursionError) as error:
        raise PlanInvalid(f"{named}: no plan can be read from it ({error}). Make it again with --plan-only. "
                          "Nothing was written.") from error


def read_plan(path: Path) -> Plan:
    """The plan in a file; see `from_json`."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise PlanInvalid(f"{path}: more than {_MAX_BYTES:,} bytes, which no plan needs. Nothing was written.")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanInvalid(f"{path}: cannot be read ({error}). Nothing was written.") from error
    return from_json(text, named=str(path))


def write_plan(plan: Plan, path: Path, *, overwrite: bool, inputs: tuple[Path, ...] = ()) -> None:
    """Writes the plan as a whole or not at all; refuses as `files.write_new` does."""
    write_new(path, to_json(plan).encode("ascii"), overwrite=overwrite, inputs=inputs)


def check_clip(plan: Plan, *, sha256: str, size: tuple[int, int], clip: Path) -> None:
    """Raises PlanInvalid where the plan was made for another clip: its boxes would cover the wrong places."""
    if plan.sha256 != sha256:
        raise PlanInvalid(f"{clip}: the plan was made for another file, {plan.clip} (sha256 {plan.sha256[:12]}..., "
                          f"this one is {sha256[:12]}...). Make a plan for this one with --plan-only. "
                          "Nothing was written.")
    if plan.size != size:
        raise PlanInvalid(f"{clip}: the plan is for {plan.size[0]} x {plan.size[1]} pixels, the clip has {size[0]} x "
                          f"{size[1]}. Make the plan again with --plan-only. Nothing was written.")


def _lines(plan: Plan) -> Iterator[str]:
    head = {"schema": SCHEMA, "clip": plan.clip, "sha256": plan.sha256, "size": list(plan.size), "frames": plan.frames,
            "cuts": list(plan.cuts), "settings": plan.settings, "versions": plan.versions, "weights": plan.weights}
    yield "{\n"
    for name, value in head.items():
        yield f' "{name}": {_dump(value)},\n'
    yield from _list("areas", [_dump({"box": list(a.box), "first": a.first, "last": a.last}) for a in plan.areas])
    yield ",\n"
    yield from _list("tracks", (
        f'{{"number": {t.number}, "decision": "{t.decision}", "style": {_dump(t.style)}, '
        f'"is_lost": {_dump(t.is_lost)},\n   "spots": {_dump([_row(s) for s in t.spots])}}}' for t in plan.tracks))
    yield "\n}\n"


def _list(name: str, items: Iterator[str] | list[str]) -> Iterator[str]:
    yield f' "{name}": ['
    comma = "\n"
    for item in items:
        yield f"{comma}  {item}"
        comma = ",\n"
    yield "]"


def _row(spot: Spot) -> list[Any]:
    row = [spot.frame, *spot.box, spot.score, spot.source]
    return row if spot.landmarks is None else [*row, [v for point in spot.landmarks for v in point]]


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


# --- reading -----------------------------------------------------------------------------------------------------


def _plan(fields: Any) -> Plan:
    top = _object(fields, "the document", ("schema", "clip", "sha256", "size", "frames", "cuts", "settings", "versions",
                                           "weights", "areas", "tracks"), first="schema")
    width, height = (_whole(v, "size", 1) for v in _of_length(top["size"], 2, "size"))
    frames = _whole(top["frames"], "frames", 1)
    cuts = tuple(_whole(v, f"cuts[{i}]", 1, frames - 1) for i, v in enumerate(_array(top["cuts"], "cuts")))
    if any(a >= b for a, b in zip(cuts, cuts[1:])):
        raise PlanInvalid("cuts are not in rising order")
    tracks = tuple(_track(one, f"tracks[{i}]", frames) for i, one in enumerate(_array(top["tracks"], "tracks")))
    seen: set[int] = set()
    for track in tracks:
        if track.number in seen:
            raise PlanInvalid(f"track {track.number} stands there twice")
        seen.add(track.number)
        first, last = track.spots[0].frame, track.spots[-1].frame
        if crossed := next((cut for cut in cuts if first < cut <= last), None):
            raise PlanInvalid(f"track {track.number} goes from frame {first} to {last} over the cut at {crossed}: make "
                              "two tracks of it")
    sha256 = _text(top["sha256"], "sha256")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise PlanInvalid(f"sha256 is {sha256!r}, expected 64 hexadecimal digits")
    return Plan(
        clip=_text(top["clip"], "clip"), sha256=sha256, size=(width, height), frames=frames, cuts=cuts, tracks=tracks,
        areas=tuple(_area(one, f"areas[{i}]", frames) for i, one in enumerate(_array(top["areas"], "areas"))),
        settings=_object(top["settings"], "settings"),
        versions={k: _text(v, f"versions.{k}") for k, v in _object(top["versions"], "versions").items()},
        weights={k: _text(v, f"weights.{k}") for k, v in _object(top["weights"], "weights").items()},
    )


def _track(value: Any, where: str, frames: int) -> Track:
    fields = _object(value, where, ("number", "decision", "style", "is_lost", "spots"))
    number = _whole(fields["number"], f"{where}.number", 1)
    where = f"track {number}"
    if fields["decision"] not in _DECISIONS:
        raise PlanInvalid(f"{where}: decision is {fields['decision']!r}, expected one of {', '.join(_DECISIONS)}")
    if not isinstance(fields["is_lost"], bool):
        raise PlanInvalid(f"{where}: is_lost is {fields['is_lost']!r}, expected true or false")
    style = fields["style"]
    if style is not None and style not in STYLES:
        raise PlanInvalid(f"{where}: style is {style!r}, expected null or one of {', '.join(STYLES)}")
    spots = Spots(_spot(row, f"{where}, spots[{i}]", frames) for i, row in
                  enumerate(_array(fields["spots"], f"{where}: spots")))
    if not spots:
        raise PlanInvalid(f"{where} has no spots: take it out")
    for before, after in itertools.pairwise(spots):
        if after.frame != before.frame + 1:
            raise PlanInvalid(f"{where}: frame {after.frame} follows {before.frame}. A track has one spot for each of "
                              "its frames: fill the gap, or make two tracks of it")
    return Track(number, spots, fields["is_lost"], fields["decision"], style)


def _spot(value: Any, where: str, frames: int) -> Spot:
    row = _array(value, where)
    if len(row) not in (7, 8):
        raise PlanInvalid(f"{where} has {len(row)} values, expected frame, x1, y1, x2, y2, score, source, and the "
                          "landmarks or nothing")
    source, marks = row[6], None
    if source not in _SOURCES:
        raise PlanInvalid(f"{where}: source is {source!r}, expected one of {', '.join(_SOURCES)}")
    if len(row) == 8:
        flat = [_number(v, f"{where}: landmarks") for v in _of_length(row[7], 10, f"{where}: landmarks")]
        marks = tuple(zip(flat[::2], flat[1::2]))
    score = _number(row[5], f"{where}: score")
    if not 0 <= score <= 1:
        raise PlanInvalid(f"{where}: score is {score:g}, expected 0 to 1")
    return Spot(_whole(row[0], f"{where}: frame", 0, frames - 1), _box(row[1:5], where), score, source, marks)


def _area(value: Any, where: str, frames: int) -> Area:
    fields = _object(value, where, ("box", "first", "last"))
    first = _whole(fields["first"], f"{where}.first", 0, frames - 1)
    return Area(_box(_of_length(fields["box"], 4, f"{where}.box"), where), first,
                _whole(fields["last"], f"{where}.last", first, frames - 1))


def _box(values: list[Any], where: str) -> Box:
    x1, y1, x2, y2 = (_number(v, f"{where}: box") for v in values)
    if x1 >= x2 or y1 >= y2:
        raise PlanInvalid(f"{where}: the box {x1:g} {y1:g} {x2:g} {y2:g} holds nothing; give x1 y1 x2 y2")
    return x1, y1, x2, y2


def _object(value: Any, where: str, names: tuple[str, ...] | None = None, *, first: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PlanInvalid(f"{where} is {type(value).__name__}, expected an object")
    if first and value.get(first) != SCHEMA:
        raise PlanInvalid(f"schema is {value.get(first)!r}, expected {SCHEMA!r}")
    if names is not None and (wrong := set(names).symmetric_difference(value)):
        raise PlanInvalid(f"{where} has missing or unknown fields: {', '.join(sorted(wrong))}")
    return value


def _array(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise PlanInvalid(f"{where} is {type(value).__name__}, expected a list")
    return value


def _of_length(value: Any, length: int, where: str) -> list[Any]:
    if len(found := _array(value, where)) != length:
        raise PlanInvalid(f"{where} has {len(found)} values, expected {length}")
    return found


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise PlanInvalid(f"{where} is {value!r}, expected text")
    return value


def _number(value: Any, where: str) -> float:
    # Beyond 2**24 pixels no picture reaches, and sums would lose digits
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > 2**24:
        raise PlanInvalid(f"{where} is {value!r}, expected a number")
    return float(value)


def _whole(value: Any, where: str, least: int, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        raise PlanInvalid(f"{where} is {value!r}, expected a whole number from {least}"
                          f"{'' if most is None else f' to {most}'}")
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets a name stand twice and the last one win; a face must not be kept by such an accident."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name stands there twice")
    return fields


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text[:20])  # 1e999, which JSON allows and nobody can write


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
