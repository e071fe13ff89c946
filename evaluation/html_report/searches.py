"""Results of the kinds "run" and "photos": arms that were searched for, with what each costs to look at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import metrics
from evaluation.html_report.markup import Markup, facts, figure, folded, table, tag
from evaluation.html_report.plots import (
    Hill,
    Point,
    Series,
    deviate,
    hills,
    linear,
    lines,
    logarithmic,
    rates,
    rows,
    scatter,
)

Document = dict[str, Any]

FMR, WORDS = "1e-3", "1 in 1,000"
# Below this a face is no longer one; a solid box lies near -1000 and would press everything else to the right.
LEAST_QUALITY = -40.0
MOST_FMR = 0.5
# What has a place of its own in the page; the rest is shown as it is, folded.
SHOWN = frozenset({
    "schema", "kind", "machine", "versions", "protocol", "weights", "engine", "white_box", "held_out", "arms",
    "warnings", "scores", "robustness", "groups", "galleries", "linkability",
})


def searches(document: Document) -> list[Markup]:
    """Everything between the head of the section and the facts at its end."""
    arms, protocol = document["arms"], document["protocol"]
    parts = [
        tag("p", f"{protocol['subjects']} people with {protocol['mates']} mates each among "
                 f"{protocol['gallery_subjects']:,} people, published as {protocol['publish']}. Protection is the "
                 "share of comparisons with other photos of the person that still succeed (TAR, lower protects "
                 f"better) at a false match rate of {WORDS}. The held-out matchers had no part in making the cloaks: "
                 f"{', '.join(document['held_out']) or 'none, so nothing here says how a cloak carries over'}."),
        _overview(document),
    ]
    figures = [_tar_by_arm(document)]
    if document["held_out"]:
        figures.append(_frontier(document))
    if document.get("robustness"):
        figures += _robustness_figures(document)
    parts.append(tag("div", *figures, class_="figures"))
    if document.get("robustness"):
        parts.append(_robustness_table(document))
    if document.get("scores"):
        parts += _scores(document)
    else:
        parts.append(tag("p", "This result keeps no scores: there are no distributions, no DET and no CMC curves.",
                         class_="soft"))
    if document.get("groups"):
        parts.append(_groups(document))
    if document.get("galleries"):
        parts.append(_galleries(document))
    if document.get("linkability"):
        parts.append(_linkability(document))
    if any("enrolled_instead" in one for result in arms.values() for one in result["matchers"].values()):
        parts.append(_enrolled_instead(document))
    further = {key: value for key, value in document.items() if key not in SHOWN}
    if further:
        parts.append(folded(f"Further entries: {', '.join(further)}", facts(further)))
    if not arms:
        raise ValueError("no arm")
    return parts


def _overview(document: Document) -> Markup:
    matchers = _matchers(document)
    heads = ["arm", *(f"TAR {_named(name, document)}" for name in matchers)]
    heads += ["rank-1, worst held-out", "rank-50", "not found", "face SSIMULACRA2", "by reference", "face SSIM"]
    body = []
    for arm, result in document["arms"].items():
        face = result["quality_written"]["face"]
        worst = result["matchers"][_worst(document, arm)] if document["held_out"] else None
        ranks = [_rate(worst[f"rank_{rank}"]) for rank in (1, 50)] if worst else ["-", "-"]
        body.append([
            arm, *(_rate(result["matchers"][name]["tar"][FMR]) for name in matchers), *ranks,
            f"{result['not_found']} of {result['subjects']}", f"{face['ssimulacra2']:.0f}",
            f"{face['ssimulacra2_reference']:.0f}", f"{face['ssim']:.3f}",
        ])
    caption = (f"Arms at an FMR of {WORDS}, with 95 % intervals by person. A face that was not found matches nobody "
               "and is not protected by that. Quality of the written file; 100 is identical.")
    return table(caption, heads, body)


def _tar_by_arm(document: Document) -> Markup:
    names = list(document["arms"])
    series = [
        Series(_named(matcher, document), tuple(
            _along(result["matchers"][matcher]["tar"][FMR], row) for row, result in enumerate(document["arms"].values())
        ), look)
        for look, matcher in enumerate(_matchers(document))
    ]
    caption = f"Share of comparisons that still succeed at an FMR of {WORDS}, by arm and matcher. Left protects better."
    says = caption + " " + "; ".join(
        f"{name}: " + ", ".join(f"{one.name} {one.points[row].x:.2f}" for one in series)
        for row, name in enumerate(names)
    )
    return figure(caption, rows(says, rates("TAR"), names, series), tall=True)


def _frontier(document: Document) -> Markup:
    series, outside = [], []
    for arm, result in document["arms"].items():
        quality = float(result["quality_written"]["face"]["ssimulacra2_reference"])
        tar = result["matchers"][_worst(document, arm)]["tar"][FMR]
        if quality < LEAST_QUALITY:
            outside.append(f"{arm} ({quality:.0f}, TAR {tar['value']:.2f})")
        else:
            series.append(Series(arm, (_point(quality, tar),), _look(arm, document)))
    axis = linear("SSIMULACRA2 of the face, by reference: right looks better",
                  [one.points[0].x for one in series] + [100.0])
    caption = (
        "What a protection costs to look at: quality of the written face against TAR at the worst held-out matcher. "
        "Low and to the right is what one wants."
    )
    if outside:
        caption += f" Further left than is drawn: {', '.join(outside)}."
    says = caption + " " + "; ".join(
        f"{one.name}: quality {one.points[0].x:.0f}, TAR {one.points[0].y:.2f}" for one in series)
    return figure(caption, scatter(says, axis, rates("TAR, worst held-out"), series))


def _robustness_figures(document: Document) -> list[Markup]:
    worst = _worst_rows(document)
    arms = list(dict.fromkeys(arm for arm, _ in worst))
    steps = list(dict.fromkeys(step for _, step in worst))
    found = []
    qualities = {step: int(match[1]) for step in steps if (match := re.fullmatch(r"jpeg(\d{1,3})", step))}
    if len(qualities) > 1:
        axis = linear("JPEG quality", list(qualities.values()))
        caption = (f"TAR at an FMR of {WORDS}, worst held-out matcher, after the file was saved again as JPEG. A "
                   "line that rises to the left is a protection that wears off.")
        series = [
            Series(arm, tuple(sorted(
                (_point(float(quality), worst[arm, step]["tar"]) for step, quality in qualities.items()
                 if (arm, step) in worst), key=lambda point: point.x)), _look(arm, document))
            for arm in arms
        ]
        series = [one for one in series if one.points]
        says = caption + " " + "; ".join(
            f"{one.name}: " + ", ".join(f"{p.y:.2f} at {p.x:.0f}" for p in one.points) for one in series)
        found.append(figure(caption, lines(says, axis, rates("TAR, worst held-out"), series)))
    caption = (f"TAR at an FMR of {WORDS}, worst held-out matcher, after each thing that may happen to a file on its "
               "way to the reader. Left protects better.")
    series = [
        Series(arm, tuple(
            _along(worst[arm, step]["tar"], row) for row, step in enumerate(steps) if (arm, step) in worst
        ), _look(arm, document))
        for arm in arms
    ]
    says = caption + " " + "; ".join(
        f"{arm} after {step}: {row['tar']['value']:.2f}" for (arm, step), row in worst.items())
    found.append(figure(caption, rows(says, rates("TAR, worst held-out"), steps, series), tall=True))
    return found


def _robustness_table(document: Document) -> Markup:
    body = [
        [f"{row['arm']}, {row['step']}", _named(row["matcher"], document), _rate(row["tar"]), _rate(row["rank_1"]),
         str(row["not_found"])]
        for row in document["robustness"]
    ]
    return folded("The same as numbers", table(
        f"After publishing, TAR at an FMR of {WORDS}, with 95 % intervals by person.",
        ["arm, step", "matcher", "TAR", "rank-1", "not found"], body))


def _scores(document: Document) -> list[Markup]:
    scores: Mapping[str, Mapping[str, Any]] = document["scores"]
    curves = [arm for arm in scores if not _is_control(arm)]
    lost = {arm: int(result["not_found"]) for arm, result in document["arms"].items() if arm in scores}
    parts = [tag("h3", "Scores")]
    if any(lost.values()):
        parts.append(tag("p", "Faces that were not found have no scores. They are absent from the distributions and "
                              "the DET curves; in the CMC curves they are never found: "
                              + ", ".join(f"{arm} {count}" for arm, count in lost.items() if count) + "."))
    figures = []
    for matcher in dict.fromkeys(name for by_matcher in scores.values() for name in by_matcher):
        there = {arm: by_matcher[matcher] for arm, by_matcher in scores.items() if matcher in by_matcher}
        figures += _figures_of(matcher, there, curves, document)
    return [*parts, tag("div", *figures, class_="figures")]


def _figures_of(matcher: str, there: Mapping[str, Any], curves: Sequence[str], document: Document) -> list[Markup]:
    thresholds = [result["matchers"][matcher]["thresholds"].get(FMR) for result in document["arms"].values()]
    threshold = next((one for one in thresholds if one is not None), None)
    name = _named(matcher, document)
    arms = [Hill(arm, _numbers(one["mated"]), _numbers(one["non_mated"])) for arm, one in there.items()]
    caption = (f"{name}: similarity with other photos of the person (coloured) and with strangers (grey), by arm; "
               f"heights by square root. Dashed: the threshold at an FMR of {WORDS}. What lies right of it is matched.")
    says = caption + " " + "; ".join(f"{one.name}: mean with mates {_mean(one.mated)}" for one in arms)
    found = [figure(caption, hills(says, "similarity", arms, threshold), tall=True)]

    series = [Series(arm, _det(there[arm]), _look(arm, document)) for arm in curves if arm in there]
    series = [one for one in series if one.points]
    if series:
        smallest = min(p.x for one in series for p in one.points)
        caption = (f"{name}: DET curves on the scores kept in this result. High is good protection. The strictest "
                   f"false match rate that so few scores can show is {smallest:.1g}.")
        says = caption + " " + "; ".join(f"{one.name}: {_near(one, 0.01)}" for one in series)
        found.append(figure(caption, lines(says, deviate("false match rate", smallest, MOST_FMR),
                                           deviate("false non-match rate", 0.001, 0.998), series)))
    ranked = [arm for arm in curves if arm in there and there[arm]["ranks"]]
    series = [Series(arm, _cmc(there[arm]["ranks"]), _look(arm, document)) for arm in ranked]
    if series:
        caption = f"{name}: CMC curves, how often the person is among the first so many. Low is good protection."
        says = caption + " " + "; ".join(
            f"{one.name}: " + ", ".join(f"{p.y:.2f} within {p.x:.0f}" for p in one.points if p.x in (1, 10, 50))
            for one in series)
        last = max(p.x for one in series for p in one.points)
        found.append(figure(caption, lines(says, logarithmic("rank", 1, max(last, 10)), rates("found"), series)))
    return found


def _groups(document: Document) -> Markup:
    body = [
        [f"{row['group']}: {row['value']}", row["arm"], _named(row["matcher"], document), str(row["count"]),
         _rate(row["tar"])]
        for row in document["groups"]
    ]
    return table(f"By group, TAR at an FMR of {WORDS} with 95 % intervals. Few people make wide intervals; a group "
                 "that is not listed was not measured.", ["group", "arm", "matcher", "people", "TAR"], body)


def _galleries(document: Document) -> Markup:
    body = [
        [f"{row['arm']} among {row['size']:,}", f"{row['synthetic']:,}", _named(row["matcher"], document),
         *(_rate(row[f"rank_{rank}"]) for rank in (1, 10, 50))]
        for row in document["galleries"]
    ]
    return table("In larger galleries, filled with templates of nobody, drawn to resemble real ones.",
                 ["arm, people", "of them synthetic", "matcher", "rank-1", "rank-10", "rank-50"], body)


def _linkability(document: Document) -> Markup:
    body = []
    for arm, one in document["linkability"].items():
        for matcher, found in one["matchers"].items():
            tars = (found[f"tar_at_thresholds_of_{kind}_photos"].get(FMR) for kind in ("clean", "these"))
            body.append([arm, _named(matcher, document), *(_rate(tar) if tar else "-" for tar in tars),
                         f"{one['not_found']} of {one['photos']}"])
    return table(f"Protected photos of one person searched with each other, TAR at an FMR of {WORDS}: whether they "
                 "still belong together.", ["arm", "matcher", "at the threshold of clean photos",
                                           "at that of these photos", "not found"], body)


def _enrolled_instead(document: Document) -> Markup:
    body = [
        [arm, _named(matcher, document), *(_rate(one["enrolled_instead"][f"rank_{rank}"]) for rank in (1, 10, 50))]
        for arm, result in document["arms"].items()
        for matcher, one in result["matchers"].items()
        if "enrolled_instead" in one
    ]
    return table("The other role: the protected photo is enrolled and a clean one is searched for.",
                 ["arm", "matcher", "rank-1", "rank-10", "rank-50"], body)


def _det(one: Mapping[str, Any]) -> tuple[Point, ...]:
    """Error rates at false match rates from what the scores can show up to one half."""
    mated, non_mated = _numbers(one["mated"]), _numbers(one["non_mated"])
    if len(mated) == 0 or len(non_mated) < 20:
        return ()
    points = []
    for fmr in np.geomspace(1 / len(non_mated), MOST_FMR, 60):
        threshold = metrics.threshold_at(float(fmr), non_mated.astype(np.float32))
        points.append(Point(float(fmr), float((mated <= threshold).mean())))
    return tuple(points)


def _cmc(ranks: Sequence[int]) -> tuple[Point, ...]:
    """Share of searches with the person within each rank; ranks from 1 to the thousandth."""
    found = np.asarray(ranks)
    within = sorted({1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000})
    return tuple(Point(float(rank), float((found <= rank).mean())) for rank in within)


def _worst_rows(document: Document) -> dict[tuple[str, str], Any]:
    """Per arm and step the row of the held-out matcher that still matches most; of any where none is held out."""
    held_out, worst = set(document["held_out"]), dict[tuple[str, str], Any]()
    for row in document["robustness"]:
        key = row["arm"], row["step"]
        is_asked = row["matcher"] in held_out or not held_out
        if is_asked and (key not in worst or row["tar"]["value"] > worst[key]["tar"]["value"]):
            worst[key] = row
    return worst


def _worst(document: Document, arm: str) -> str:
    result = document["arms"][arm]["matchers"]
    return str(max(document["held_out"], key=lambda name: float(result[name]["tar"][FMR]["value"])))


def _look(arm: str, document: Document) -> int:
    """One look an arm on all plots. Arms that are drawn as curves come first, so that they share no colour."""
    elsewhere = (row["arm"] for row in document.get("robustness", []))
    ordered = sorted(dict.fromkeys([*document["arms"], *document.get("scores", {}), *elsewhere]), key=_is_control)
    return ordered.index(arm)


def _is_control(arm: str) -> bool:
    """Arms whose curve is that of another, or none."""
    return arm in ("no-op", "solid box", "solid-box") or arm.startswith("noise")


def _matchers(document: Document) -> list[str]:
    return [*document["white_box"], *document["held_out"]]


def _named(matcher: str, document: Document) -> str:
    return f"{matcher} (white-box)" if matcher in document["white_box"] else matcher


def _numbers(scores: Sequence[float | None]) -> NDArray[np.float64]:
    """Those there are; null is a face that was not found."""
    return np.array([score for score in scores if score is not None], np.float64)


def _mean(scores: NDArray[np.float64]) -> str:
    return f"{scores.mean():.2f}" if len(scores) else "none"


def _near(series: Series, fmr: float) -> str:
    point = min(series.points, key=lambda p: abs(p.x - fmr))
    return f"{point.y:.2f} missed at a false match rate of {point.x:.2g}"


def _along(rate: Mapping[str, float], row: int) -> Point:
    return Point(float(rate["value"]), float(row), float(rate["low"]), float(rate["high"]))


def _point(x: float, rate: Mapping[str, float]) -> Point:
    return Point(x, float(rate["value"]), float(rate["low"]), float(rate["high"]))


def _rate(rate: Mapping[str, float]) -> str:
    return f"{rate['value']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]"


