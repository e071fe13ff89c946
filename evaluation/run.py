"""A run: everything one protocol asks for, cell by cell, and one result file at the end.

Run(read(Path("standard.toml")), data, Path("results"), cache=Path("cache")).measure()    writes results/standard.json

Cells are kept in results/<name>.work until somebody deletes it. The result is made from them alone and written last:
there is none while something is missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import arms, cells, groups, matchers, metrics, protect, record
from evaluation.cells import Files
from evaluation.faces import main_face
from evaluation.files import FileMissing, sha256_of
from evaluation.judge import Bench, open_bench
from evaluation.protocol import Protocol, slug
from evaluation.samples import Sample, SamplesUnusable
from evaluation.synthetic import Population
from evaluation.work import Work

# How far a run is: done, of how many, what is done now.
Watch = Callable[[int, int, str], None]

FMR = "1e-3"
# Photos that are treated in one call of a tool: what a killed run loses is at most that many.
CHUNK = 25
# Values in one array of the result, for plots.
KEPT = cells.KEPT

# The judge's own runtime of a network that the engine calls by another name
SAME_NETWORK = {"dlib_resnet29": "dlib_cpp", "inception_resnet_v1": "facenet_vggface2"}

# Lowest clean TAR at FMR 1e-3 on the tuning subjects was dlib's .93; well below it the judge is broken.
CLEAN_TAR = 0.85
# Under this a network is no recogniser of these faces, and whatever it fails to match proves nothing.
NO_JUDGE = 0.5

# Templates that differ less than this share of their largest value are one template
SAME = 1e-4

# What only shows results, and so decides none
_PRESENTERS = {"__main__.py", "table.py", "html_report.py", "progress.py"}


class Run:
    """One protocol on one data pack."""

    def __init__(
        self,
        protocol: Protocol,
        data: Path,
        out: Path,
        *,
        cache: Path,
        further: Path | None = None,
        watch: Watch | None = None,
    ) -> None:
        """Enrol the gallery, check everything that can be checked before an hour of work, open the work folder.

        Args:
            further: folder of the networks that the data pack has not, see `matchers.load`.
        Raises:
            EvaluationFailed: says what is missing, overlaps or does not fit.
        """
        self.protocol, self.out = protocol, out / f"{protocol.name}.json"
        self._watch, self._done = watch or (lambda done, of, what: None), 0
        names, self.left_out = usable_matchers(protocol, data / protocol.data.weights, further)
        made_against = {
            name for preset in protocol.presets[:1]
            for name in protect.recognisers(preset, **protocol.engine_options())["made_against"]
        }
        white_box = {SAME_NETWORK.get(name, name) for name in made_against}
        self.white_box = [name for name in names if name in white_box]
        self.held_out = [name for name in names if name not in white_box]
        if not self.held_out:
            raise SamplesUnusable(
                f"every matcher that is here ({', '.join(names)}) took part in making the cloaks. None is left to "
                "judge them; nothing was judged."
            )
        self._watch(0, 0, "enrolling the gallery")
        self.bench = open_bench(
            data, protocol.data.split, cache=cache, subjects=protocol.data.subjects, skip=protocol.data.skip,
            matcher_names=names, photos=protocol.data.photos, weights=protocol.data.weights,
            mates=protocol.data.mates, seed=protocol.data.seed, further=further,
        )  # fmt: skip
        self.root = data / protocol.data.photos
        refuse_same_photos(self.bench)
        for name, known in self.bench.galleries.items():
            # Between equal templates rounding alone decides, and may "match" every mate and no stranger.
            if float(known.others.templates.std(axis=0).max()) < SAME * float(np.abs(known.others.templates).max()):
                raise matchers.TemplateBroken(f"{name} gives everybody the same template. Nothing was judged.")
            if FMR not in known.thresholds:
                raise metrics.ScoresUnusable(
                    f"{self.root}: {known.non_mated} comparisons of strangers by {name} cannot show a false match rate "
                    f"of {FMR}; more subjects or a larger folder are needed. Nothing was judged."
                )
            if protocol.gallery.arms and min(protocol.gallery.sizes, default=0) <= len(known.others):
                raise SamplesUnusable(
                    f"gallery.sizes names {min(protocol.gallery.sizes)}, and {self.root} alone holds "
                    f"{len(known.others)} people. Nothing was judged."
                )
        probes = [sample.probe for sample in self.bench.samples.probes]
        self.supplied = {
            one.name: arms.supplied(protocol.folder / one.folder, probes, self.root) for one in protocol.arm
        }
        self.attributes = groups.attributes(self.root)
        self.key = self._key()
        self.work = Work(out / f"{protocol.name}.work", self.key)

    def measure(self) -> Path:
        """Compute what is missing, then write the result; its path."""
        headline = {name: self._judged(name, self.protocol.publish, headline=True) for name in self.protocol.names()}
        robust = [
            (arm, step, headline[arm] if step == self.protocol.publish else self._judged(arm, step, headline=False))
            for arm in self.protocol.robustness.arms
            for step in dict.fromkeys((self.protocol.publish, *self.protocol.robustness.steps))
        ]
        linked = {arm: self._linked(arm) for arm in self.protocol.linkability.arms}
        self._tell(f"{self.work.reused} parts were kept from before")
        record.write(self.out, "run", self._document(headline, robust, linked))
        return self.out

    @cached_property
    def populations(self) -> dict[str, Population]:
        return cells.populations(self.bench)

    def _total(self) -> int:
        """Cells of the whole run."""
        protocol = self.protocol
        steps = {*protocol.robustness.steps} - {protocol.publish}
        return len(protocol.names()) + len(protocol.robustness.arms) * len(steps) + len(protocol.linkability.arms)

    def _cell(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        cell = self.work.cell(name, compute)
        self._done += 1
        return cell

    def _tell(self, what: str) -> None:
        self._watch(self._done, self._total(), what)

    def _chunks(self) -> list[Sequence[Sample]]:
        probes = self.bench.samples.probes
        return [probes[first : first + CHUNK] for first in range(0, len(probes), CHUNK)]

    def _files(self, arm: str) -> Files:
        """The written files of an arm; made when they are not there yet."""
        probes = self.bench.samples.probes
        if arm == "clean":
            return {sample: sample.probe for sample in probes}
        if arm in self.supplied:
            return {sample: self.supplied[arm][sample.probe] for sample in probes}
        if arm.startswith("noise as "):
            cloaked = self._files(arm.removeprefix("noise as "))

            def noisy(chunk: Sequence[Sample], folder: Path) -> Files:
                return cells.placebo({s: cloaked[s] for s in chunk if s in cloaked}, self.bench, folder)

            return self._in_chunks(arm, noisy)
        return self._made(arm, lambda sample: sample.probe, self.bench.boxes)

    def _made(
        self, arm: str, source: Callable[[Sample], Path], boxes: Mapping[Sample, NDArray[np.float32]], suffix: str = ""
    ) -> Files:
        def compute(chunk: Sequence[Sample], folder: Path) -> Files:
            here = {sample: source(sample) for sample in chunk if sample in boxes}
            options = self.protocol.engine_options() if arm in self.protocol.presets else {}
            return cells.make(arm, here, boxes, folder, **options)

        files = self._in_chunks(arm, compute, suffix)
        if not files:
            raise arms.ArmIncomplete(f"{arm}: not one of {len(boxes)} photos was written. Nothing was judged.")
        return files

    def _in_chunks(self, arm: str, compute: Callable[[Sequence[Sample], Path], Files], suffix: str = "") -> Files:
        files: Files = {}
        for number, chunk in enumerate(self._chunks()):
            by_name = {sample.subject: sample for sample in chunk}

            def made(folder: Path, chunk: Sequence[Sample] = chunk, first: int = 1 + number * CHUNK) -> dict[str, Path]:
                self._tell(f"making {arm}, photos from {first} of {len(self.bench.samples.probes)}")
                return {sample.subject: path for sample, path in compute(chunk, folder).items()}

            kept = self.work.files(f"{slug(arm)}{suffix}/{number:04d}", made)
            files |= {by_name[subject]: path for subject, path in kept.items()}
        return files

    def _judged(self, arm: str, step: str, *, headline: bool) -> dict[str, Any]:
        def compute() -> dict[str, Any]:
            files = self._files(arm)
            sizes = self.protocol.gallery.sizes if headline and arm in self.protocol.gallery.arms else ()
            self._tell(f"judging {arm} after {step}")
            cell = cells.judged(
                files, self.bench, step, self.work.folder / "published", headline=headline,
                sizes=sizes, populations=self.populations if sizes else None,
            )  # fmt: skip
            cell["verdict"]["not_written"] = len(self.bench.samples.probes) - len(files)
            return cell

        cell = self._cell(f"{slug(arm)}--{step}", compute)
        if headline and arm == "clean":
            self._refuse_no_judge(cell["verdict"])
        return cell

    def _linked(self, arm: str) -> dict[str, Any]:
        """A second photo of everybody, her first mate, is treated too."""

        def compute() -> dict[str, Any]:
            probes = self.bench.samples.probes
            seen = {s: self.bench.reader.find(s.mates[0]) for s in probes}
            boxes = {
                s: np.asarray(faces.boxes[main], np.float32)
                for s, (_, faces, size) in seen.items()
                if (main := main_face(faces, size)) is not None
            }
            if arm == "clean":
                second = {s: s.mates[0] for s in boxes}
            else:
                second = self._made(arm, lambda sample: sample.mates[0], boxes, "-second")
            self._tell(f"linking {arm}")
            folder = self.work.folder / "published"
            return cells.linked(self._files(arm), second, self.bench, self.protocol.publish, folder)

        return self._cell(f"{slug(arm)}--linked", compute)

    def _refuse_no_judge(self, clean: dict[str, Any]) -> None:
        for name, rates in clean["matchers"].items():
            tar = rates["tar"][FMR]["value"]
            if tar < NO_JUDGE:
                raise matchers.TemplateBroken(
                    f"{name} matches only {tar:.1%} of clean photos at FMR {FMR}: it is no recogniser of these faces, "
                    "or is fed wrongly, and what it does not match proves nothing. No result was written."
                )

    def _key(self) -> dict[str, str]:
        samples, digest = self.bench.samples, hashlib.sha256
        photos = {f"{s.subject} {i}": sha256_of(p) for s in samples.probes for i, p in enumerate((s.probe, *s.mates))}
        photos |= {f"other {subject}": sha256_of(path) for subject, path in samples.distractors.items()}
        given = {
            name: {path.relative_to(self.root).as_posix(): sha256_of(file) for path, file in files.items()}
            for name, files in self.supplied.items()
        }
        here = Path(__file__).parent
        sources = [*here.glob("*.py"), *(here / "matchers").glob("*")]
        harness = {p.name: sha256_of(p) for p in sources if p.is_file() and p.name not in _PRESENTERS}
        parts = {
            "protocol": _as_json(self.protocol),
            "photos": photos,
            "arms of other tools": given,
            "attributes": self.attributes,
            "matchers": self.bench.reader.weights(),
            "engine": protect.source_sha256(),
            "evaluation code": harness,
            "libraries": record.versions(),
        }
        return {name: digest(json.dumps(part, sort_keys=True).encode()).hexdigest() for name, part in parts.items()}

    def _document(
        self,
        headline: Mapping[str, dict[str, Any]],
        robust: Sequence[tuple[str, str, dict[str, Any]]],
        linked: Mapping[str, dict[str, Any]],
    ) -> dict[str, Any]:
        protocol, bench = self.protocol, self.bench
        results = {arm: cell["verdict"] for arm, cell in headline.items()}
        return {
            "protocol": {
                "name": protocol.name,
                "split": protocol.data.split,
                "subjects": len(bench.samples.probes),
                "subjects_skipped": protocol.data.skip,
                "mates": protocol.data.mates,
                "gallery_subjects": len(bench.samples.distractors),
                "gallery_photos_without_a_face": bench.gallery_not_found,
                "publish": protocol.publish,
                "seed": protocol.data.seed,
                "file": _as_json(protocol),
            },
            "digests": self.key,
            "weights": bench.reader.weights(),
            "matchers_left_out": self.left_out,
            "white_box": self.white_box,
            "held_out": self.held_out,
            "engine": {name: protect.engine_settings(name, **protocol.engine_options()) for name in protocol.presets},
            "arms": results,
            "robustness": [
                {"arm": arm, "step": step, "matcher": name, "tar": rates["tar"][FMR], "rank_1": rates["rank_1"],
                 "not_found": cell["verdict"]["not_found"]}
                for arm, step, cell in robust
                for name, rates in cell["verdict"]["matchers"].items()
            ],
            "groups": self._groups(headline) if protocol.groups else [],
            "galleries": [{"arm": arm} | row for arm, cell in headline.items() for row in cell["galleries"]],
            "linkability": dict(linked),
            "scores": {arm: _samples(cell) for arm, cell in headline.items()},
            "warnings": [f"{name} was left out: {why}" for name, why in self.left_out.items()] + warnings(results),
        }  # fmt: skip

    def _groups(self, headline: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """TAR within each group; subjects whose file was not written are in no count."""
        members = group_members(self.bench, self.attributes)
        rows = []
        for arm, cell in headline.items():
            for name, matcher in cell["matchers"].items():
                threshold = self.bench.galleries[name].thresholds[FMR]
                hits = {
                    subject: 0.0 if mated is None else float(np.mean([value > threshold for value in mated]))
                    for subject, mated in zip(cell["subjects"], matcher["mated"], strict=True)
                }
                for (group, value), subjects in members.items():
                    here = np.array([hits[subject] for subject in subjects if subject in hits])
                    if len(here):
                        tar = asdict(metrics.rate(here, self.bench.seed))
                        rows.append({"group": group, "value": value, "arm": arm, "matcher": name, "count": len(here),
                                     "tar": tar})  # fmt: skip
        return rows


def usable_matchers(
    protocol: Protocol, weights: Path, further: Path | None = None
) -> tuple[list[str], dict[str, str]]:
    """Names of those that are here, and of the optional ones that are not, why.

    Args:
        weights, further: as `matchers.load` takes them.
    Raises:
        FileMissing: a required one is not here.
        FileMismatch, TemplateBroken: a file is here and is not what it should be, optional or not.
    """
    usable, left_out = [], {}
    for name in (*protocol.matchers.required, *protocol.matchers.optional):
        try:
            matchers.load(name, weights, further)
        except FileMissing as error:
            if name in protocol.matchers.required:
                raise FileMissing(
                    f"matchers.required names {name}, which is not here: {error} Nothing was judged."
                ) from error
            left_out[name] = str(error)
        else:
            usable.append(name)
    return usable, left_out


def refuse_same_photos(bench: Bench) -> None:
    """No photo may have two roles: a probe that is enrolled byte for byte makes every clean figure too good, and one
    person under two names makes every stranger's.

    Raises:
        SamplesUnusable: names both.
    """
    owners: dict[str, tuple[str, Path]] = {}
    for subject, path in bench.samples.distractors.items():
        _claim(owners, sha256_of(path), subject, path)
    for sample in bench.samples.probes:
        enrolled = {sha256_of(path): path for path in sample.mates}
        for digest, path in enrolled.items():
            _claim(owners, digest, sample.subject, path)
        digest = sha256_of(sample.probe)
        if digest in enrolled:
            raise SamplesUnusable(
                f"{sample.probe} and {enrolled[digest]} are one photo, as probe and as mate. Nothing was judged."
            )
        _claim(owners, digest, sample.subject, sample.probe)


def _claim(owners: dict[str, tuple[str, Path]], digest: str, subject: str, path: Path) -> None:
    owner, other = owners.setdefault(digest, (subject, path))
    if owner != subject:
        raise SamplesUnusable(f"{path} and {other} are one photo of two subjects. Nothing was judged.")


def group_members(bench: Bench, attributes: Mapping[str, Mapping[str, str]]) -> dict[tuple[str, str], list[str]]:
    """Subjects by group and value: thirds by the height of the face in the clean probe, size, pose, attributes."""
    probes = bench.samples.probes
    heights = {sample: float(bench.boxes[sample][3] - bench.boxes[sample][1]) for sample in probes}
    low, high = np.percentile(list(heights.values()), [100 / 3, 200 / 3])
    kinds = sorted({kind for stated in attributes.values() for kind in stated})
    members: dict[tuple[str, str], list[str]] = {}
    for sample in probes:
        height = heights[sample]
        third = f"up to {low:.0f} px" if height <= low else f"over {high:.0f} px" if height > high else "between"
        _, faces, size = bench.reader.find(sample.probe)
        landmarks = faces.landmarks[main_face(faces, size)]
        of = {"face height": third} | groups.of(landmarks, bench.boxes[sample])
        of |= dict.fromkeys(kinds, "not stated") | dict(attributes.get(sample.subject, {}))
        for group, value in of.items():
            members.setdefault((group, value), []).append(sample.subject)
    return dict(sorted(members.items()))


def warnings(results: dict[str, Any]) -> list[str]:
    """Control arms that misbehave, and readings that would mislead."""
    found = []
    if _without_files(results["clean"]) != _without_files(results["no-op"]):
        found.append(
            "the no-op arm differs from clean: the judge is not deterministic or reads more than the file."
        )
    for name, rates in results["solid box"]["matchers"].items():
        if rates["tar"][FMR]["value"] > 0.01:
            found.append(f"solid box: {name} still matches {rates['tar'][FMR]['value']:.1%} at FMR {FMR}.")
    for arm, result in results.items():
        if arm != "solid box" and result["not_found"] > 0.02 * result["subjects"]:
            lost = f"{result['not_found']} of {result['subjects']} faces"
            found.append(f"{arm}: {lost} were not found, which is not protection.")
        if result["not_written"]:
            found.append(f"{arm}: {result['not_written']} files were not written and are in no rate.")
        if result["equal_to_original"] and arm not in ("clean", "no-op"):
            found.append(f"{arm}: {result['equal_to_original']} files are their originals, byte for byte.")
    for name, rates in results["clean"]["matchers"].items():
        if rates["tar"][FMR]["value"] < CLEAN_TAR:
            found.append(f"clean: {name} matches only {rates['tar'][FMR]['value']:.1%} at FMR {FMR}.")
    return found


def _samples(cell: dict[str, Any]) -> dict[str, Any]:
    """What plots need, of one arm by matcher; a face that was not found is in `ranks` alone."""
    return {
        name: {
            "mated": _thinned([round(value, 4) for row in one["mated"] if row for value in row]),
            "non_mated": one["non_mated"],
            "ranks": _thinned(one["ranks"]),
        }
        for name, one in cell["matchers"].items()
    }


def _thinned(values: list[Any]) -> list[Any]:
    """Best first; evenly spaced in that order where there are too many."""
    ordered = sorted(values, reverse=not all(isinstance(value, int) for value in values))
    kept = min(KEPT, len(ordered))
    return [ordered[int((i + 0.5) * len(ordered) / kept)] for i in range(kept)]


def _as_json(protocol: Protocol) -> dict[str, Any]:
    """The protocol without the place of its file: where it lies changes nothing."""
    document = asdict(protocol)
    del document["folder"]
    return document


def _without_files(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "equal_to_original"}
