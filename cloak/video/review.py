"""The contact sheet: every track of a plan with pictures of it, when it is there, and what makes it doubtful.

It shows faces as they are. It is for the person who decides, and never for publishing.
"""

from __future__ import annotations

import base64
import html
import io
import math
import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cloak.errors import SettingsInvalid
from cloak.files import shown, write_new
from cloak.types import Pixels
from cloak.video.clips import time_code
from cloak.video.glimpses import Glimpse, best, glimpses, thumbnail
from cloak.video.types import Clip, Plan, Track

SUFFIXES = (".html", ".htm", ".png")
WARNING = "This sheet shows faces uncovered. Do not publish it, and delete it when you are done."

# Rules of thumb: a word too many costs a look
_LOW_SCORE, _SMALL_PX, _SHORT_FRAMES, _SELDOM = 0.45, 28, 6, 0.3
_PICTURES, _SIDE_PX, _JPEG_QUALITY = 5, 96, 80
# On one PNG; a taller one opens nowhere
_MOST_ON_PNG, _COLUMNS, _LINE_PX = 600, 3, 17


@dataclass(frozen=True, slots=True)
class Row:
    """One track on the sheet."""

    track: Track
    start_s: float
    end_s: float
    height_px: int  # the largest
    risks: tuple[str, ...]
    pictures: tuple[bytes, ...]  # JPEG, in their order of time


def risks(track: Track) -> tuple[str, ...]:
    """Why a person should look at this track, in words; the most telling first."""
    seen = [spot for spot in track.spots if spot.source == "seen"]
    tallest = max(spot.box[3] - spot.box[1] for spot in track.spots)
    found = [
        ("lost from sight: the face may go on uncovered", track.is_lost),
        ("never surely a face", not seen or statistics.median(spot.score for spot in seen) < _LOW_SCORE),
        ("seldom seen: its way is worked out", len(seen) < _SELDOM * len(track.spots) and len(track.spots) > 12),
        ("short", len(track.spots) < _SHORT_FRAMES or len(seen) < 2),
        ("small", tallest < _SMALL_PX),
    ]
    return tuple(words for words, holds in found if holds)


def make_sheet(clip: Clip, plan: Plan, *, side_px: int = _SIDE_PX, also: Collection[int] = (),
               on_glimpse: Callable[[Glimpse], None] | None = None,
               on_damage: Callable[[str], None] | None = None) -> list[Row]:
    """A row for each track: faces that got lost, then other doubtful ones, the surest faces first; then the rest.

    One pass over the clip, a few kilobytes a track.

    Args:
        side_px: of each picture of a track.
        also: frames that are only handed on.
        on_glimpse: gets every frame that is looked at, those of `also` among them.
        on_damage: see `clips.frames`.
    """
    wanted: dict[int, list[tuple[int, int]]] = {}
    for index, track in enumerate(plan.tracks):
        for place, spot in enumerate(best(track, _PICTURES)):
            wanted.setdefault(spot.frame, []).append((index, place))
    pictures: dict[tuple[int, int], bytes] = {}
    times: dict[int, float] = {}
    ends = {track.spots[-1].frame for track in plan.tracks}
    for glimpse in glimpses(clip, set(wanted) | ends | set(also), on_damage=on_damage, times=times):
        if on_glimpse is not None:
            on_glimpse(glimpse)
        for index, place in wanted.get(glimpse.number, ()):
            track = plan.tracks[index]
            spot = track.spots[glimpse.number - track.spots[0].frame]
            pictures[index, place] = jpeg(thumbnail(glimpse.pixels, spot.box, side_px))
    rows = [Row(track, times[track.spots[0].frame], times[track.spots[-1].frame],
                round(max(spot.box[3] - spot.box[1] for spot in track.spots)), risks(track),
                tuple(pictures[index, place] for place in range(_PICTURES) if (index, place) in pictures))
            for index, track in enumerate(plan.tracks)]
    # A face that was surely there and got lost may be bare next; what was never a face is only covered for nothing
    return sorted(rows, key=lambda row: (not row.risks, not row.track.is_lost,
                                         -_best_score(row.track) * bool(row.risks), row.track.number))


def write_sheet(rows: Sequence[Row], plan: Plan, path: Path, *, overwrite: bool, inputs: tuple[Path, ...] = ()) -> None:
    """Writes the sheet as one HTML page without script, or as PNG, by the suffix of `path`.

    Raises:
        SettingsInvalid: another suffix.
        OutputRefused: see `files.write_new`.
    """
    check_suffix(path)
    if path.suffix.lower() == ".png":
        file = io.BytesIO()
        Image.fromarray(draw(rows, plan)).save(file, "PNG")
        data = file.getvalue()
    else:
        data = page(rows, plan).encode()
    write_new(path, data, overwrite=overwrite, inputs=inputs)


def check_suffix(path: Path) -> None:
    """Raises SettingsInvalid where no sheet is written under such a name; ask before any long work."""
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsInvalid(f"{path}: a sheet is written as {' or '.join(SUFFIXES)}. Name it so. "
                              "Nothing was written.")


def page(rows: Sequence[Row], plan: Plan) -> str:
    """One self-contained HTML page."""
    lines = []
    for row in rows:
        images = "".join(f'<img alt="" width="{_SIDE_PX}" height="{_SIDE_PX}" src="data:image/jpeg;base64,'
                         f'{base64.b64encode(picture).decode("ascii")}">' for picture in row.pictures)
        kind = " class=kept" if row.track.decision == "keep" else " class=risk" if row.risks else ""
        lines.append(f"<tr{kind}><th>{row.track.number}</th><td>{images}</td><td>{time_code(row.start_s)}<br>"
                     f"{time_code(row.end_s)}</td><td>{len(row.track.spots)}</td><td>{row.height_px}</td>"
                     f"<td>{_best_score(row.track):.2f}</td><td>{html.escape(_decision(row.track))}</td>"
                     f"<td>{html.escape('; '.join(row.risks))}</td></tr>")
    name = html.escape(shown(plan.clip))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Faces of {name}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>body{{font:16px/1.4 sans-serif;margin:1.5em;color:#111;background:#fff}}table{{border-collapse:collapse}}
td,th{{padding:.3em .7em;border-bottom:1px solid #ccc;text-align:left;vertical-align:middle}}img{{margin-right:3px}}
thead th{{position:sticky;top:0;background:#fff}}td:nth-child(2){{white-space:nowrap}}
.risk{{background:#fff3df}}.kept{{background:#ffe1e1}}
.warning{{padding:.6em;border:3px solid #b00;font-weight:bold}}</style></head><body>
<h1>Faces of {name}</h1><p class=warning>{WARNING}</p>
<p>{_summary(rows)} A face that is not here was not found, and stands uncovered: watch the clip too. Keep a track only
where all its pictures show the same person; those in between are not shown.</p>
<table><thead><tr><th>track</th><th>best sights, in their order</th><th>from, to</th><th>frames</th><th>height px</th>
<th>best score</th><th>decision</th><th>look at it, because</th></tr></thead><tbody>
{chr(10).join(lines)}
</tbody></table></body></html>
"""


def draw(rows: Sequence[Row], plan: Plan) -> Pixels:
    """The sheet as one picture (H, W, 3); with very many tracks the most doubtful of them, and it says so."""
    drawn = rows[:_MOST_ON_PNG]
    width, height = _PICTURES * (_SIDE_PX + 3) + 20, _SIDE_PX + 3 * _LINE_PX + 14
    head = 3 * (_LINE_PX + 5) + 12
    columns = min(_COLUMNS, max(len(drawn), 2))
    image = Image.new("RGB", (columns * width, head + math.ceil(len(drawn) / columns) * height), "white")
    canvas, font, large = ImageDraw.Draw(image), ImageFont.load_default(14), ImageFont.load_default(17)
    left_out = f" The {len(rows) - len(drawn)} least doubtful are left out." if len(rows) > len(drawn) else ""
    canvas.text((10, 6), WARNING, font=large, fill="#b00000")
    canvas.text((10, 6 + _LINE_PX + 5), f"{shown(plan.clip)}: {_summary(rows)}{left_out}", font=font, fill="black")
    canvas.text((10, 6 + 2 * (_LINE_PX + 5)), "A face that is not here was not found, and stands uncovered: watch the "
                "clip too. Keep a track only where all its pictures show the same person.", font=font, fill="black")
    for place, row in enumerate(drawn):
        x, y = place % columns * width, head + place // columns * height
        fill = "#ffe1e1" if row.track.decision == "keep" else "#fff3df" if row.risks else "#f4f4f4"
        canvas.rectangle((x + 3, y + 3, x + width - 4, y + height - 4), fill=fill)
        for i, picture in enumerate(row.pictures):
            with Image.open(io.BytesIO(picture)) as one:
                image.paste(one, (x + 10 + i * (_SIDE_PX + 3), y + 7))
        words = [f"track {row.track.number}: {time_code(row.start_s)} to {time_code(row.end_s)}",
                 f"{len(row.track.spots)} frames, {row.height_px} px, {_best_score(row.track):.2f}, "
                 f"{_decision(row.track)}", "; ".join(risk.partition(":")[0] for risk in row.risks)]
        for i, line in enumerate(words):
            ink = "#a02000" if i == 2 else "black"
            canvas.text((x + 10, y + 9 + _SIDE_PX + i * _LINE_PX), line, font=font, fill=ink)
    return np.array(image, np.uint8)


def _summary(rows: Sequence[Row]) -> str:
    count = "no track" if not rows else "1 track" if len(rows) == 1 else f"{len(rows)} tracks"
    kept = sum(row.track.decision == "keep" for row in rows)
    return f"{count}, {sum(bool(row.risks) for row in rows)} of them doubtful, {kept} kept uncovered."


def _decision(track: Track) -> str:
    return "KEPT UNCOVERED" if track.decision == "keep" else " ".join(filter(None, ["hide", track.style]))


def _best_score(track: Track) -> float:
    return max(spot.score for spot in track.spots)


def jpeg(pixels: Pixels) -> bytes:
    """A picture for people who look at it once."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()
