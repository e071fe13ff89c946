"""Plots as SVG: small functions of our own, because a plotting library fixes colours and letters, and these follow the
reader's screen.

Convention: a drawing is 400 units wide, so that its letters stay readable at the width of a phone. Series differ by
colour, by dash and by the shape of the mark; none is told by colour alone. Every drawing has a text that says what it
shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from evaluation.html_report.markup import Markup, joined, tag

WIDTH = 400
LEFT, RIGHT, TOP, BOTTOM = 46, 20, 10, 38
COLOURS = 8
DASHES = (None, "6 3", "2 3", "8 3 2 3")
LETTER = 6.6  # width of a letter of 11 px in a wide font


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high`; `scale` makes distances of them."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    scale: Callable[[float], float] = float

    def share(self, value: float) -> float:
        """Where a value lies between the ends, in [0, 1]; what is outside lies at the end."""
        low, high = self.scale(self.low), self.scale(self.high)
        return (self.scale(min(max(value, self.low), self.high)) - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Point:
    """A value, with the ends of its interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """What belongs together. `look` decides colour, dash and mark: whatever has one name on a page has one look."""

    name: str
    points: tuple[Point, ...]
    look: int


@dataclass(frozen=True, slots=True)
class Hill:
    """Scores of one arm, (n,) each."""

    name: str
    mated: NDArray[np.float64]
    non_mated: NDArray[np.float64]


def rates(label: str) -> Axis:
    return Axis(label, 0, 1, tuple((i / 4, f"{i / 4:g}") for i in range(5)))


def logarithmic(label: str, low: float, high: float) -> Axis:
    powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    return Axis(label, low, high, tuple((10.0**p, _number(10.0**p)) for p in powers), math.log10)


def deviate(label: str, low: float, high: float) -> Axis:
    """Shares on the scale of a DET curve, where two normal distributions make a straight line.

    Source: Martin et al., Eurospeech 1997.
    """
    shown = [share for share in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99) if low <= share <= high]
    return Axis(label, low, high, tuple((share, f"{share:g}") for share in shown), NormalDist().inv_cdf)


def linear(label: str, values: Sequence[float]) -> Axis:
    """Round ticks around the values."""
    low, high = min(values), max(values)
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    ticks = tuple((i * step, f"{i * step:g}") for i in range(first, last + 1))
    return Axis(label, first * step, last * step, ticks)


def lines(says: str, x: Axis, y: Axis, series: Sequence[Series]) -> Markup:
    """Curves; points with an interval get a bar."""
    height = 270
    drawn: list[str] = []
    for one in series:
        places = [(_x(x, p.x), _y(y, p.y, height)) for p in one.points]
        drawn.append(tag("polyline", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in places), fill="none",
                         class_=f"line c{one.look % COLOURS}", stroke_dasharray=_dash(one.look)))
        drawn += [_bar(_x(x, p.x), _y(y, p.low, height), _y(y, p.high, height), one.look)
                  for p in one.points if p.low is not None and p.high is not None]
        if len(places) <= 12:
            drawn += [_mark(a, b, one.look) for a, b in places]
    return joined([_svg(says, height, _frame(x, y, height), *drawn), legend(series)])


def scatter(says: str, x: Axis, y: Axis, series: Sequence[Series]) -> Markup:
    """The first point of each series, with its name beside it; names make way for each other."""
    height = 330
    drawn: list[str] = []
    names: list[tuple[float, float, str]] = []
    for one in series:
        p = one.points[0]
        a, b = _x(x, p.x), _y(y, p.y, height)
        if p.low is not None and p.high is not None:
            drawn.append(_bar(a, _y(y, p.low, height), _y(y, p.high, height), one.look))
        drawn.append(_mark(a, b, one.look))
        names.append((a, b, one.name))
    taken = [(a - 5, a + 5, b + 4) for a, b, _ in names]  # left, right, base line: of marks first, then of names
    for a, b, name in sorted(names, key=lambda one: one[1]):
        width, is_left = LETTER * len(name), a > WIDTH / 2
        left = a - 9 - width if is_left else a + 9
        base = b + 4
        while any(first < left + width and left < last and abs(other - base) < 12 for first, last, other in taken):
            base += 1
        taken.append((left, left + width, base))
        if abs(base - 4 - b) > 3:
            drawn.append(tag("line", x1=a, y1=b, x2=left + width + 1 if is_left else left - 1, y2=base - 4,
                             class_="leader"))
        drawn.append(tag("text", name, x=left + width if is_left else left, y=base,
                         text_anchor="end" if is_left else "start"))
    return _svg(says, height, _frame(x, y, height), *drawn)


def rows(says: str, x: Axis, names: Sequence[str], series: Sequence[Series]) -> Markup:
    """One row a name, one mark a series; `Point.x` is the value and `Point.y` the number of the row."""
    pitch = max(16, 9 * len(series) + 6)
    left = min(8 + LETTER * max(len(name) for name in names), 150)
    height = TOP + pitch * len(names) + BOTTOM
    drawn: list[str] = [_vertical_ticks(x, height, left)]
    for row, name in enumerate(names):
        middle = TOP + pitch * (row + 0.5)
        if row % 2:
            drawn.append(tag("rect", x=0, y=TOP + pitch * row, width=WIDTH, height=pitch, class_="stripe"))
        drawn.append(tag("text", _short(name, 25), x=left - 5, y=middle + 4, text_anchor="end"))
    for number, one in enumerate(series):
        offset = (number - (len(series) - 1) / 2) * 9
        for p in one.points:
            b = TOP + pitch * (p.y + 0.5) + offset
            if p.low is not None and p.high is not None:
                drawn.append(tag("line", x1=_x(x, p.low, left), x2=_x(x, p.high, left), y1=b, y2=b,
                                 class_=f"bar c{one.look % COLOURS}"))
            drawn.append(_mark(_x(x, p.x, left), b, one.look))
    return joined([_svg(says, height, *drawn), legend(series)])


def hills(says: str, label: str, arms: Sequence[Hill], threshold: float | None) -> Markup:
    """Distributions of mated (coloured) and non-mated scores (grey), one row an arm, all on one axis.

    Each hill has the same area. Scores that are not finite are left out.
    """
    every = np.concatenate([np.concatenate([one.mated, one.non_mated]) for one in arms])
    every = every[np.isfinite(every)]
    if not len(every):
        return tag("p", "No score of any arm is a number.")
    axis = linear(label, [float(every.min()), float(every.max())])
    pitch, left = 46, min(8 + LETTER * max(len(one.name) for one in arms), 150)
    height = TOP + pitch * len(arms) + BOTTOM
    edges = np.linspace(axis.low, axis.high, 61)
    heights = [[_histogram(scores, edges) for scores in (one.non_mated, one.mated)] for one in arms]
    tallest = max(float(one.max()) for pair in heights for one in pair) or 1.0
    drawn: list[str] = [_vertical_ticks(axis, height, left)]
    for row, (one, pair) in enumerate(zip(arms, heights)):
        base = TOP + pitch * (row + 1)
        drawn.append(tag("text", _short(one.name, 25), x=left - 5, y=base - 4, text_anchor="end"))
        for counts, kind in zip(pair, ("strangers", "mates")):
            # The square root keeps a low hill visible beside a narrow, tall one.
            tops = base - (pitch - 6) * np.sqrt(counts / tallest)
            outline = [(left, float(base))]
            for i, top in enumerate(tops):
                outline += [(_x(axis, edges[i], left), float(top)), (_x(axis, edges[i + 1], left), float(top))]
            outline.append((float(WIDTH - RIGHT), float(base)))
            drawn.append(tag("polygon", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in outline), class_=f"hill {kind}"))
    if threshold is not None:
        a = _x(axis, threshold, left)
        drawn.append(tag("line", x1=a, x2=a, y1=TOP, y2=height - BOTTOM, class_="threshold"))
    return _svg(says, height, *drawn)


def legend(series: Sequence[Series]) -> Markup:
    """Which line is which; as text, so that it wraps."""
    items = [
        tag("li", tag("svg", tag("line", x1=1, x2=29, y1=6, y2=6, class_=f"line c{one.look % COLOURS}",
                                 stroke_dasharray=_dash(one.look)), _mark(15, 6, one.look), viewBox="0 0 30 12",
                          aria_hidden="true"), one.name)
        for one in series
    ]
    return tag("ul", *items, class_="legend")


def _svg(says: str, height: float, *drawn: str) -> Markup:
    return tag("svg", *drawn, viewBox=f"0 0 {WIDTH} {height:g}", role="img", aria_label=says, class_="plot")


def _frame(x: Axis, y: Axis, height: int) -> Markup:
    drawn: list[str] = [_vertical_ticks(x, height, LEFT)]
    for value, word in y.ticks:
        b = _y(y, value, height)
        drawn.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=b, y2=b, class_="grid"))
        drawn.append(tag("text", word, x=LEFT - 5, y=b + 4, text_anchor="end"))
    middle = (TOP + height - BOTTOM) / 2
    drawn.append(tag("text", y.label, transform=f"translate(11 {middle:.0f}) rotate(-90)", text_anchor="middle",
                     class_="label"))
    return joined(drawn)


def _vertical_ticks(x: Axis, height: float, left: float) -> Markup:
    drawn = []
    for value, word in x.ticks:
        a = _x(x, value, left)
        drawn.append(tag("line", x1=a, x2=a, y1=TOP, y2=height - BOTTOM, class_="grid"))
        drawn.append(tag("text", word, x=a, y=height - BOTTOM + 14, text_anchor="middle"))
    drawn.append(tag("text", x.label, x=(left + WIDTH - RIGHT) / 2, y=height - 7, text_anchor="middle",
                     class_="label"))
    return joined(drawn)


def _x(axis: Axis, value: float, left: float = LEFT) -> float:
    return left + axis.share(float(value)) * (WIDTH - RIGHT - left)


def _y(axis: Axis, value: float, height: float) -> float:
    return height - BOTTOM - axis.share(float(value)) * (height - BOTTOM - TOP)


def _bar(a: float, low: float, high: float, look: int) -> Markup:
    return tag("line", x1=a, x2=a, y1=low, y2=high, class_=f"bar c{look % COLOURS}")


def _mark(a: float, b: float, look: int) -> Markup:
    kind = f"mark c{look % COLOURS}"
    shape = _turn(look)
    if shape == 0:
        return tag("circle", cx=float(a), cy=float(b), r=4, class_=kind)
    if shape == 1:
        return tag("rect", x=a - 3.5, y=b - 3.5, width=7, height=7, class_=kind)
    corners = [(0, -5), (4.6, 3.6), (-4.6, 3.6)] if shape == 2 else [(0, -5), (5, 0), (0, 5), (-5, 0)]
    return tag("polygon", points=" ".join(f"{a + dx:.1f},{b + dy:.1f}" for dx, dy in corners), class_=kind)


def _dash(look: int) -> str | None:
    return DASHES[_turn(look)]


def _turn(look: int) -> int:
    """Of four dashes and marks; the second round of the colours gets others than the first."""
    return (look + look // COLOURS) % len(DASHES)


def _histogram(scores: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the scores in each bin; of none, zeros."""
    there = scores[np.isfinite(scores)]
    counts = np.histogram(there, edges)[0].astype(np.float64)
    return counts / max(len(there), 1)


def _round_step(step: float) -> float:
    """1, 2 or 5 times a power of ten, not below."""
    if step <= 0 or not math.isfinite(step):
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _short(name: str, letters: int) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1]}…"
