"""Search by image in galleries from 1,000 to 300,000 people: what the recognisers find when nothing is protected.

Roles, no two of which share a person: **searched** people have one photo enrolled and another one searched for;
**strangers** are searched for and not enrolled, and set the thresholds; **others** are enrolled only, and the drawn
people of a large gallery descend from them alone.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import compressed, gallery, metrics, synthetic
from evaluation.gallery import Gallery, GalleryUnusable, Maker, Templates
from evaluation.matchers import similarities
from evaluation.reading import Reader
from evaluation.samples import photos_by_subject

FPIRS = {"0.01": 0.01, "0.003": 0.003}
RANKS = (1, 10, 50)
TOP = 50
GROWTH = (50, 150, 500, 1_500, 15_000, 150_000)
TIMED_PROBES = 20


# By role and subject: of each photo a template (1, D) per matcher, or None where no face was found.
Embedded = dict[str, dict[str, list[dict[str, NDArray[np.float32]] | None]]]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Templates of one matcher by role; a row per person."""

    made_by: Maker
    names: tuple[str, ...]  # of the searched
    probes: Templates
    mates: Templates
    strangers: Templates
    others: Templates


def assign(photos: dict[str, tuple[Path, ...]]) -> dict[str, dict[str, tuple[Path, ...]]]:
    """Role of every subject of a folder: two photos make a searched one, the rest is halved by the names' digests."""
    single = [subject for subject, paths in photos.items() if len(paths) == 1]
    strangers = {subject for subject in single if hashlib.sha1(subject.encode()).digest()[-5] % 2}
    roles = {
        "searched": {subject: paths[:2] for subject, paths in photos.items() if len(paths) > 1},
        "strangers": {subject: photos[subject] for subject in single if subject in strangers},
        "others": {subject: photos[subject] for subject in single if subject not in strangers},
    }
    gallery.refuse_overlap({role: list(people) for role, people in roles.items()})
    for role, people in roles.items():
        if len(people) < 2:
            raise GalleryUnusable(f"{len(people)} {role} in a folder of {len(photos)} subjects. Nothing was judged.")
    return roles


def measure(reader: Reader, folder: Path, sizes: Sequence[int], seed: int) -> dict[str, Any]:
    """Error rates, realism and cost for every matcher.

    Args:
        folder: in LFW layout.
        sizes: people in the gallery; beyond the real ones they are drawn.
    """
    templates = _embedded(reader, folder)
    paths = [path for people in assign(photos_by_subject(folder)).values() for row in people.values() for path in row]
    unseen = {
        detector: sum(not reader.finds(path, detector=detector) for path in paths) for detector in reader.detectors
    }
    reader.save()
    twice = _under_two_names(templates, reader)
    enrolled = [one for role in ("searched", "others") for one in templates[role].values()]
    return {
        "people": {role: len(people) for role, people in templates.items()},
        "photos": len(paths),
        "not_detected": unseen,
        "failure_to_enrol": asdict(metrics.rate(np.array([float(one[0] is None) for one in enrolled]), seed)),
        "strangers_left_out_as_enrolled_under_another_name": len(twice),
        "matchers": {
            name: _of_one_matcher(_crowd(templates, name, reader.maker(name), twice), sizes, seed)
            for name in reader.matchers
        },
    }


def measure_compressed(reader: Reader, folder: Path, size: int, seed: int) -> dict[str, Any]:
    """What compression loses among `size` templates, for the matchers that compare by cosine; see `compressed`."""
    templates = _embedded(reader, folder)
    result = {}
    for name, matcher in reader.matchers.items():
        if matcher.metric == "cosine":
            crowd = _crowd(templates, name, reader.maker(name), set())
            there = np.isfinite(crowd.probes).all(axis=1)
            probes, mates = (gallery.comparable(rows[there], "cosine") for rows in (crowd.probes, crowd.mates))
            population = synthetic.fit(crowd.others, "cosine")
            result[name] = compressed.measure(probes, mates, population, size, np.random.default_rng(seed))
    return {"matchers": result}


def _embedded(reader: Reader, folder: Path) -> Embedded:
    """Templates by role and subject."""
    try:
        return {
            role: {subject: [reader.templates(path) for path in paths] for subject, paths in people.items()}
            for role, people in assign(photos_by_subject(folder)).items()
        }
    finally:
        reader.save()


def _of_one_matcher(crowd: Crowd, sizes: Sequence[int], seed: int) -> dict[str, Any]:
    metric = crowd.made_by.metric
    generator = np.random.default_rng(seed)
    real = np.concatenate([crowd.mates, crowd.strangers, crowd.others])
    drawn = synthetic.draw(
        synthetic.fit(crowd.others, metric), max(0, max(sizes) - len(crowd.mates) - len(crowd.others)), generator
    )
    every = sorted({*sizes, len(crowd.mates) + len(crowd.others)})
    cost: dict[str, Any] = {}
    rates = {}
    for size in every:
        enrolled, build_s = _timed(lambda: fill(crowd, drawn, size))  # noqa: B023
        rates[str(size)] = identify(crowd, enrolled, seed)
        if size == max(every):
            cost = {"people": size, "build_s": build_s, **_cost(enrolled, crowd.probes)}
    return {
        "metric": metric,
        "dimensions": int(crowd.probes.shape[1]),
        "probes_not_found": int(np.isnan(crowd.probes).all(axis=1).sum()),
        "by_gallery_size": rates,
        "realism": synthetic.realism(real, metric, generator),
        "growth": synthetic.growth(real, metric, GROWTH, generator),
        "cost": cost,
    }


def fill(crowd: Crowd, drawn: Templates, size: int) -> Gallery:
    """A gallery of so many people: the searched first, then the others, then drawn ones.

    Raises:
        GalleryUnusable: smaller than the searched are, or larger than there are people.
    """
    real = len(crowd.mates) + len(crowd.others)
    if not len(crowd.mates) <= size <= real + len(drawn):
        raise GalleryUnusable(
            f"a gallery of {size} out of {len(crowd.mates)} searched, {real} real and {len(drawn)} drawn people. "
            "Nobody was enrolled."
        )
    templates = np.concatenate([crowd.mates, crowd.others, drawn[: max(0, size - real)]])[:size]
    names = [*crowd.names, *(f"other {i:06d}" for i in range(len(crowd.others)))]
    names += [f"synthetic {i:08d}" for i in range(max(0, size - real))]
    return gallery.enrol(templates, names[:size], crowd.made_by, synthetic=np.arange(size) >= real)


def identify(crowd: Crowd, enrolled: Gallery, seed: int) -> dict[str, Any]:
    """Every searched person and every stranger once."""
    there = np.asarray(np.isfinite(crowd.probes).all(axis=1))
    mated = np.full((len(there), 1), -np.inf, np.float32)
    ranks = np.full(len(there), len(enrolled) + 1)
    probes, mates = crowd.probes[there], crowd.mates[there]
    mated[there, 0] = [similarities(p[None], m[None], crowd.made_by.metric)[0, 0] for p, m in zip(probes, mates)]
    names = [name for name, found in zip(crowd.names, there) if found]
    ranks[there] = 1 + enrolled.ahead(probes, mated[there, 0], without=names)
    strangers = enrolled.search(crowd.strangers, top=1).similarities[:, 0]
    return {
        "synthetic": int(enrolled.synthetic.sum()),
        "fnir": {
            name: {"threshold": metrics.threshold_at(fpir, strangers)}
            | asdict(metrics.fnir(mated, strangers, fpir, seed))
            for name, fpir in FPIRS.items()
            if fpir * len(strangers) >= 1
        },
        **{f"rank_{rank}": asdict(metrics.rate((ranks <= rank).astype(np.float64), seed)) for rank in RANKS},
    }


def _cost(enrolled: Gallery, probes: Templates) -> dict[str, Any]:
    """Seconds per search for the first 50, one probe at a time and 100 at once, beside plain numpy."""
    import faiss

    probes = probes[np.isfinite(probes).all(axis=1)][:100]
    result: dict[str, Any] = {
        "templates": len(enrolled.templates),
        "bytes": enrolled.bytes,
        "threads": faiss.omp_get_max_threads(),
    }
    for label, batches in (("one", [probes[i : i + 1] for i in range(TIMED_PROBES)]), ("hundred", [probes])):
        seconds: dict[str, list[float]] = {"search": [], "numpy": []}
        for batch in batches:  # in turns, so that whatever else runs slows both
            seconds["search"].append(_timed(lambda: enrolled.search(batch, top=TOP))[1] / len(batch))  # noqa: B023
            seconds["numpy"].append(_timed(lambda: _plain_search(enrolled, batch))[1] / len(batch))  # noqa: B023
        medians = {name: float(np.median(all_)) for name, all_ in seconds.items()}
        result[f"{label}_at_once"] = {
            "search_s_per_probe": medians["search"],
            "numpy_s_per_probe": medians["numpy"],
            "ratio": medians["search"] / medians["numpy"],
        }
    with tempfile.TemporaryDirectory(prefix="facecloak-gallery-") as temporary:
        path = Path(temporary) / "gallery.npz"
        result["save_s"] = _timed(lambda: enrolled.save(path))[1]
        result["file_bytes"] = path.stat().st_size
        result["load_s"] = _timed(lambda: gallery.load(path, enrolled.made_by))[1]
    return result


def _plain_search(enrolled: Gallery, probes: Templates) -> NDArray[np.int64]:
    """What three lines of numpy do: all similarities, the 50 largest, sorted."""
    products = gallery.comparable(probes, enrolled.made_by.metric) @ enrolled.templates.T
    if enrolled.made_by.metric == "euclidean":
        products = 2 * products - (enrolled.templates**2).sum(axis=1)
    top = np.argpartition(-products, TOP, axis=1)[:, :TOP]
    order = np.argsort(-np.take_along_axis(products, top, axis=1), axis=1)
    return np.take_along_axis(top, order, axis=1)


def _crowd(
    templates: Embedded,
    matcher: str,
    made_by: Maker,
    left_out: set[str],
) -> Crowd:
    """A probe without a face is NaN: it is searched in vain. Who cannot be enrolled is not in the gallery."""
    size = next(one[0][matcher].shape[1] for one in templates["others"].values() if one[0] is not None)
    nothing = np.full((1, size), np.nan, np.float32)

    def row(found: dict[str, NDArray[np.float32]] | None) -> NDArray[np.float32]:
        return nothing if found is None else found[matcher]

    searched = {name: found for name, found in templates["searched"].items() if found[0] is not None}
    mates, probes = (np.concatenate([row(found[i]) for found in searched.values()]) for i in (0, 1))
    strangers, others = (
        np.concatenate([row(one[0]) for name, one in templates[role].items() if one[0] and name not in left_out])
        for role in ("strangers", "others")
    )
    return Crowd(made_by, tuple(searched), probes, mates, strangers, others)


def _under_two_names(templates: Embedded, reader: Reader) -> set[str]:
    """Strangers who are enrolled after all: every matcher finds somebody as alike as half of all mates are.

    lfw-dev has a few people under two names. Leaving one out that is only a double lowers the threshold, which favours
    the searcher.
    """
    suspects: set[str] | None = None
    for name in reader.matchers:
        crowd = _crowd(templates, name, reader.maker(name), set())
        metric = crowd.made_by.metric
        there = np.asarray(np.isfinite(crowd.probes).all(axis=1))
        pairs = zip(crowd.probes[there], crowd.mates[there])
        usual = np.median([similarities(p[None], m[None], metric)[0, 0] for p, m in pairs])
        best = similarities(crowd.strangers, np.concatenate([crowd.mates, crowd.others]), metric).max(axis=1)
        names = [name for name, one in templates["strangers"].items() if one[0] is not None]
        found = {names[i] for i in np.flatnonzero(best > usual)}
        suspects = found if suspects is None else suspects & found
    return suspects or set()


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started
