"""One arm after one publishing step: the files as they are made, published and judged.

A cell is everything a run keeps of one of these, as JSON. Tables and groups are made from cells alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import arms, protect, synthetic
from evaluation.faces import decode
from evaluation.files import sha256_of
from evaluation.gallery import GalleryUnusable
from evaluation.judge import RANKS, Bench, Seen, enrolled_instead, linkability, look, mean_quality, verdict
from evaluation.matchers import similarities
from evaluation.metrics import rate
from evaluation.publishing import publish
from evaluation.reading import Box
from evaluation.samples import Sample
from evaluation.synthetic import Population

Files = dict[Sample, Path]

# Similarities of strangers kept per arm and matcher, for plots.
KEPT = 2000
# Drawn templates compared at once: 20,000 x 512 float32 are 41 MB.
BLOCK = 20_000


def make(arm: str, sources: Mapping[Sample, Path], boxes: Mapping[Sample, Box], folder: Path, **options: Any) -> Files:
    """Write the files of one arm; a photo that the engine refused is absent.

    Args:
        arm: "no-op", "solid box", a preset of the engine, or one of `arms.names()`.
        sources: the photo of each sample; `boxes` its face.
        folder: belongs to these files alone and is emptied first: what a killed run left would pass for theirs.
        options: passed on to the engine.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if arm == "no-op":
        return {s: arms.no_op(path, folder / f"{i:04d}") for i, (s, path) in enumerate(sources.items())}
    if arm == "solid box":
        return {s: arms.solid_box(path, folder / f"{i:04d}", boxes[s]) for i, (s, path) in enumerate(sources.items())}
    if arm in protect.strengths():
        written: Mapping[Path, Path] = protect.protect(list(sources.values()), folder, arm, **options)
    else:
        written = arms.make(arm, {path: boxes[sample] for sample, path in sources.items()}, folder)
    return {sample: written[path] for sample, path in sources.items() if path in written}


def placebo(cloaked: Mapping[Sample, Path], bench: Bench, folder: Path) -> Files:
    """For each cloaked file, noise that changes the same face by the same root mean square."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seeds = {sample: bench.seed + place for place, sample in enumerate(bench.samples.probes)}
    noisy = {}
    for sample, path in cloaked.items():
        box = bench.boxes[sample]
        rms_levels = arms.change_rms(decode(sample.probe), decode(path), box)
        noisy[sample] = arms.noise(sample.probe, folder / sample.subject, box, rms_levels, seeds[sample])
    return noisy


def judged(
    files: Mapping[Sample, Path],
    bench: Bench,
    step: str,
    folder: Path,
    *,
    headline: bool,
    sizes: Sequence[int] = (),
    populations: Mapping[str, Population] | None = None,
) -> dict[str, Any]:
    """One cell.

    Args:
        folder: for the published files; emptied first.
        headline: with quality, the other role, larger galleries and score samples; without, rates only.
        sizes: people in the larger galleries; `populations` are those of `populations`, and needed with sizes only.
    Returns:
        `verdict`, and of every matcher `mated` by subject and `ranks`. In the headline also `non_mated`, `galleries`.
        A face that is not found has null for similarities; mates that could not be enrolled are left out.
    """
    shutil.rmtree(folder, ignore_errors=True)
    published = {sample: publish(path, folder / sample.subject, step) for sample, path in files.items()}
    seen = look(published, bench)
    result = verdict(seen, bench, with_quality=False)
    del result["quality"]
    # Of the files as they were written: after publishing every file differs.
    result["equal_to_original"] = sum(sha256_of(path) == sha256_of(sample.probe) for sample, path in files.items())
    cell: dict[str, Any] = {"verdict": result, "subjects": seen.subjects}
    cell["matchers"] = {
        name: {
            "mated": [
                [float(value) for value in row[~np.isnan(row)]] if found else None
                for row, found in zip(scores.mated, seen.found)
            ],
            "ranks": scores.ranks.tolist(),
        }
        for name, scores in seen.scores.items()
    }
    if headline:
        result["quality_written"] = mean_quality(files, bench)
        result["quality_published"] = mean_quality(published, bench)
        for name, rates in enrolled_instead(seen, bench).items():
            result["matchers"][name]["enrolled_instead"] = rates
            cell["matchers"][name]["non_mated"] = non_mated(seen, bench, name)
        cell["galleries"] = larger_galleries(seen, bench, sizes, populations) if sizes and populations else []
    shutil.rmtree(folder, ignore_errors=True)
    return cell


def non_mated(seen: Seen, bench: Bench, matcher: str) -> list[float]:
    """At most `KEPT` similarities of the arm's files with strangers, evenly spaced in their order, best first."""
    probes, known = seen.scores[matcher].probes, bench.galleries[matcher]
    if not len(probes):
        return []
    of = np.array(seen.subjects)[seen.found]
    enrolled = known.others
    others = np.repeat(enrolled.subjects, np.diff(enrolled.starts, append=len(enrolled.templates)))
    alike = similarities(probes, enrolled.templates, enrolled.made_by.metric)
    ordered = np.sort(alike[others != of[:, None]])[::-1]
    places = ((np.arange(min(KEPT, len(ordered))) + 0.5) * len(ordered) / min(KEPT, len(ordered))).astype(int)
    return [round(float(value), 4) for value in ordered[places]]


def populations(bench: Bench) -> dict[str, Population]:
    """By matcher what drawn people are drawn from: nobody who is searched for is among their parents."""
    own = [sample.subject for sample in bench.samples.probes]
    return {
        name: synthetic.fit(
            known.others.templates[known.others.starts[~np.isin(known.others.subjects, own)]],
            known.others.made_by.metric,
        )
        for name, known in bench.galleries.items()
    }


def larger_galleries(
    seen: Seen, bench: Bench, sizes: Sequence[int], populations: Mapping[str, Population]
) -> list[dict[str, Any]]:
    """Ranks where drawn people fill the gallery up.

    Raises:
        GalleryUnusable: a size that real people alone exceed.
    """
    rows = []
    for name, known in bench.galleries.items():
        metric, scores = known.others.made_by.metric, seen.scores[name]
        real = len(known.others)
        if min(sizes) <= real:
            raise GalleryUnusable(f"a gallery of {min(sizes)}, no more than the {real} real. Nothing was judged.")
        generator = np.random.default_rng(bench.seed)
        best = np.nanmax(scores.mated, axis=1)[seen.found]
        ahead, drawn = np.zeros(len(best), np.int64), 0
        for size in sorted(sizes):
            while drawn < size - real:
                people = synthetic.draw(populations[name], min(BLOCK, size - real - drawn), generator)
                if len(best):
                    ahead += (similarities(scores.probes, people, metric) > best[:, None]).sum(axis=1)
                drawn += len(people)
            ranks = np.full(len(seen.found), size + 1)
            ranks[seen.found] = scores.ranks[seen.found] + ahead
            found = {f"rank_{k}": _rate(ranks <= k, bench.seed) for k in RANKS}
            rows.append({"matcher": name, "size": size, "synthetic": size - real, **found})
    return rows


def linked(
    written: Mapping[Sample, Path], second: Mapping[Sample, Path], bench: Bench, step: str, folder: Path
) -> dict[str, Any]:
    """How well the written probes find written second photos of the same people; both published alike."""
    shutil.rmtree(folder, ignore_errors=True)
    both = {
        sample.subject: [
            publish(path, folder / f"{role}-{sample.subject}", step)
            for role, path in (("first", written[sample]), ("second", second[sample]))
        ]
        for sample in written
        if sample in second
    }
    result = linkability(both, bench)
    shutil.rmtree(folder, ignore_errors=True)
    return result


def _rate(hits: NDArray[np.bool_], seed: int) -> dict[str, float]:
    """A rate as JSON holds it."""
    return asdict(rate(hits.astype(np.float64), seed))

