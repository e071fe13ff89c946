"""Every adaptive attacker against every arm, on people none of whom an attacker was trained on.

Roles, no two of which share a person: **searched** people (of the split that is judged) have a probe, a mate who is
enrolled and two further photos; **learnt** people, with two or three photos, are what attackers are trained on;
**strangers**, with one photo, fill the gallery. The redaction classifier alone is about people of whom the searcher
has photos: it learns some photos of each and is tried on others.

A cell is one attacker against one arm. Finished cells and written files stay in the work folder, and a run that was
stopped goes on from there. `cpu_s_of_cell` is all the processor time a cell took here; of two that share files, the
first one pays.

Budget: some 20 minutes of one core, half of them for making cloaks.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import adaptive, arms, differentiable, finetuned, gallery, protect, purifier, redaction_attackers
from evaluation.cloak_detector import try_detector
from evaluation.errors import ChoiceUnknown
from evaluation.faces import Faces, Pixels, chip, decode, face_at
from evaluation.files import write_beside_and_rename
from evaluation.matchers import Matcher
from evaluation.publishing import check, publish
from evaluation.purifier import Purifier
from evaluation.reading import Box, Reader
from evaluation.samples import Sample, SamplesUnusable, Split, photos_by_subject, split_of

Template = NDArray[np.float32]  # (1, D)
ByMatcher = dict[str, Template]
Cell = dict[str, Any]

CLOAKS = ("light", "balanced", "strong")
# Attackers of cloaks learn from this one alone: the searcher need not know which strength was used.
LEARNT_STRENGTH = "balanced"
FURTHER = 2
LEARNT_SHARE = 0.7
# Side of a cell as a share of the face's width: the naive arm's, and the engine's nine cells on a larger head.
CELLS = {"naive-mosaic": 1 / arms.NAIVE_CELLS, "redact-mosaic": 0.45}
BLURS = {"naive-blur": arms.NAIVE_BLUR, "redact-blur": 0.25}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, and on how many."""

    arms: tuple[str, ...] = ("clean", "balanced", "strong", "naive-blur", "naive-mosaic", "redact-blur",
                             "redact-mosaic", "redact-ring", "redact-solid")  # fmt: skip
    parrot_cloaks: tuple[str, ...] = ("balanced",)  # a gallery of cloaks costs a second a photo
    subjects: int = 50
    strangers: int = 100
    learnt: int = 70
    clean_pairs: int = 400  # people who show the fine-tuned head how photos of one person differ
    named: int = 30  # people of the classifier
    photos_each: int = 10
    passes_on_cloaks: int = 20  # of the purifier over its pairs
    passes_on_redactions: int = 4
    publish: str = "jpeg90"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class People:
    """Photos by role; a face is found in every one of them."""

    searched: dict[str, tuple[Path, ...]]  # probe, mate, further photos
    learnt: dict[str, tuple[Path, Path]]  # one is treated, the other is not
    strangers: dict[str, Path]
    named: dict[str, tuple[Path, ...]]
    pairs: tuple[tuple[Path, Path], ...]  # of people with two or three photos, the learnt included


@dataclass(frozen=True, slots=True)
class Look:
    """A picture and where the one face of interest is in it."""

    pixels: Pixels
    faces: Faces


def assign(folder: Path, split: Split, plan: Plan, has_face: Callable[[Path], bool]) -> People:
    """Cut a folder in LFW layout into roles, by the digests of the names.

    Raises:
        SamplesUnusable: fewer people for a role than the plan wants.
    """
    photos = photos_by_subject(folder)
    order = sorted(photos, key=lambda subject: hashlib.sha1(subject.encode()).digest()[-4:])

    def first(role: str, count: int, wanted: Callable[[str], bool], length: int) -> dict[str, tuple[Path, ...]]:
        chosen: dict[str, tuple[Path, ...]] = {}
        for subject in order:
            if len(chosen) == count:
                return chosen
            if wanted(subject) and all(map(has_face, photos[subject][:length])):
                chosen[subject] = photos[subject][:length]
        if len(chosen) < count:
            raise SamplesUnusable(f"{folder}: {len(chosen)} people can be {role}, {count} wanted. Nothing was judged.")
        return chosen

    def of_split(subject: str, least: int) -> bool:
        return split_of(subject) == split and len(photos[subject]) >= least

    searched = first("searched", plan.subjects, lambda s: of_split(s, 2 + FURTHER), 2 + FURTHER)
    learnt = first("learnt", plan.learnt, lambda s: len(photos[s]) in (2, 3), 2)
    strangers = first("strangers", plan.strangers, lambda s: len(photos[s]) == 1, 1)
    named = first("named", plan.named, lambda s: of_split(s, plan.photos_each), plan.photos_each)
    gallery.refuse_overlap({"searched": list(searched), "learnt": list(learnt), "strangers": list(strangers)})
    pairs = first("clean pairs", plan.clean_pairs, lambda s: len(photos[s]) in (2, 3), 2)
    return People(
        searched,
        {subject: (paths[0], paths[1]) for subject, paths in learnt.items()},
        {subject: paths[0] for subject, paths in strangers.items()},
        named,
        tuple((paths[0], paths[1]) for paths in pairs.values()),
    )


def measure(
    reader: Reader, detector: adaptive.Detector, folder: Path, split: Split, plan: Plan, work: Path
) -> dict[str, Any]:
    """Every cell of the plan.

    Args:
        reader: with the matchers that search.
        folder: in LFW layout.
        work: keeps written files and finished cells; made by the same plan before, or empty.
    Raises:
        SamplesUnusable: too few people, or a work folder of another plan.
        ChoiceUnknown: no such arm or publishing step.
    """
    for name in plan.arms:
        if name not in (*CLOAKS, "clean", *arms.names()):
            raise ChoiceUnknown(f"no arm is called {name!r}; there are clean, {', '.join((*CLOAKS, *arms.names()))}.")
    check(plan.publish)
    # Which arms are run does not change what is in the cells of each.
    sizes = {name: value for name, value in asdict(plan).items() if name not in ("arms", "parrot_cloaks")}
    _same_plan(work, {"split": split, "photos": folder.name, "weights": reader.weights(), **sizes})
    people = assign(folder, split, plan, reader.finds)
    attacked = {name: _Arm(name, people, reader, detector, plan, work) for name in {LEARNT_STRENGTH, *plan.arms}}
    results: dict[str, dict[str, Cell]] = {}
    for name in plan.arms:
        arm = attacked[name]
        results[name] = {}
        for attacker, attack in _attackers(arm, attacked[LEARNT_STRENGTH] if name in CLOAKS else arm).items():
            cell = work / "cells" / f"{name}--{attacker}.json"
            if not cell.is_file():
                started = time.process_time()
                found = attack()
                found["cpu_s_of_cell"] = time.process_time() - started
                write_beside_and_rename(cell, json.dumps(found, allow_nan=False).encode())
                reader.save()
            results[name][attacker] = json.loads(cell.read_text())
    return {"arms": results}


class _Arm:
    """One way to treat photos, and what was seen in the files it wrote; each is made when it is first asked for."""

    def __init__(
        self, name: str, people: People, reader: Reader, detector: adaptive.Detector, plan: Plan, work: Path
    ) -> None:
        self.name, self.people, self.reader, self.detector, self.plan = name, people, reader, detector, plan
        self.folder = work / "arms" / name
        self.cloaked = name in (*CLOAKS, "clean")

    def made(self, role: str, photos: Sequence[Path]) -> dict[Path, Path]:
        """What the tool wrote of photos; of an earlier run where that is there."""
        folder = self.folder / role
        listed = folder / "written.json"
        if self.name == "clean":
            return {photo: photo for photo in photos}
        if listed.is_file():
            stored = json.loads(listed.read_text())
            return {photo: folder / stored[_key(photo)] for photo in photos if _key(photo) in stored}
        if self.name in CLOAKS:
            written = protect.protect(photos, folder, self.name, device="cpu", overwrite=True)
        else:
            written = arms.make(self.name, {photo: self.reader.main_box(photo) for photo in photos}, folder)
        names = {_key(photo): str(path.relative_to(folder)) for photo, path in written.items()}
        write_beside_and_rename(listed, json.dumps(names).encode())
        return written

    def published(self, role: str, photos: Sequence[Path]) -> dict[Path, Path]:
        folder = self.folder / f"{role}-{self.plan.publish}"
        return {
            photo: publish(path, folder / f"{number:04d}", self.plan.publish)
            for number, (photo, path) in enumerate(self.made(role, photos).items())
        }

    def looks(self, role: str, photos: Sequence[Path]) -> dict[Path, Look | None]:
        """The face in every published file: as the detector finds it in cloaks, marked by hand in redactions."""
        written = self.published(role, photos)
        return {photo: self._look(photo, written[photo]) if photo in written else None for photo in photos}

    def _look(self, photo: Path, written: Path) -> Look | None:
        _, clean, before = self.reader.find(photo)
        chosen = face_at(clean, self.reader.main_box(photo))
        assert chosen is not None  # the main face overlaps itself
        pixels = decode(written)
        here = redaction_attackers.by_hand(clean.only(chosen), before, pixels.shape)
        if not self.cloaked:
            return Look(pixels, here)
        found = self.detector.find(pixels)
        index = face_at(found, here.boxes[0])
        return None if index is None else Look(pixels, found.only(index))

    def embedded(self, looks: Mapping[Path, Look | None]) -> dict[Path, ByMatcher | None]:
        return {photo: None if look is None else self._templates(look) for photo, look in looks.items()}

    def _templates(self, look: Look) -> ByMatcher:
        return {name: matcher.embed(look.pixels, look.faces) for name, matcher in self.reader.matchers.items()}

    @cached_property
    def probes(self) -> dict[Path, Look | None]:
        return self.looks("probes", [paths[0] for paths in self.people.searched.values()])

    @cached_property
    def probe_templates(self) -> list[ByMatcher | None]:
        return list(self.embedded(self.probes).values())

    @cached_property
    def learnt(self) -> dict[Path, Look | None]:
        return self.looks("learnt", [treated for treated, _ in self.people.learnt.values()])

    @cached_property
    def way_back(self) -> Purifier:
        """What learns from this arm to undo it."""
        treated, clean = [], []
        for photo, look in self.learnt.items():
            if look is not None:
                # Both cut out at the same place, or the network would learn to move faces.
                treated.append(purifier.crop(look.pixels, look.faces)[0])
                clean.append(purifier.crop(decode(photo), look.faces)[0])
        passes = self.plan.passes_on_cloaks if self.cloaked else self.plan.passes_on_redactions
        recogniser = differentiable.load(differentiable.OPEN, self.reader.folder)
        return purifier.train(np.array(treated), np.array(clean), recogniser, passes=passes)

    @cached_property
    def clear_gallery(self) -> tuple[list[ByMatcher | None], list[ByMatcher | None]]:
        mates = [self.reader.templates(paths[1]) for paths in self.people.searched.values()]
        return mates, [self.reader.templates(path) for path in self.people.strangers.values()]

    @cached_property
    def parrot_gallery(self) -> tuple[list[ByMatcher | None], list[ByMatcher | None]]:
        mates = [paths[1] for paths in self.people.searched.values()]
        photos = [*mates, *self.people.strangers.values()]
        found = self.embedded(self.looks("enrolled", photos))
        templates = [found[photo] for photo in photos]
        return templates[: len(mates)], templates[len(mates) :]

    def searched(
        self,
        probes: Sequence[ByMatcher | None],
        enrolled: tuple[Sequence[ByMatcher | None], Sequence[ByMatcher | None]],
    ) -> Cell:
        return {"matchers": {
            name: _searched(probes, enrolled, name, matcher, self.plan.seed)
            for name, matcher in self.reader.matchers.items()
        }}


def _attackers(arm: _Arm, teacher: _Arm) -> dict[str, Callable[[], Cell]]:
    """Those who make sense against an arm. `teacher` is the arm that the trained ones learn from."""
    always: dict[str, Callable[[], Cell]] = {"as it is": lambda: arm.searched(arm.probe_templates, arm.clear_gallery)}
    if arm.name == "clean":
        return always | {"classifier": lambda: _classified(arm)}
    always |= {"network": lambda: _restored(arm, teacher), "head": lambda: _with_a_head(arm, teacher)}
    if arm.cloaked:
        always |= {"eight views": lambda: _by_eight_views(arm), "detector": lambda: _detected(arm)}
        if arm.name in arm.plan.parrot_cloaks:
            always["parrot"] = lambda: arm.searched(arm.probe_templates, arm.parrot_gallery)
        return always
    if arm.name in {*CELLS, *BLURS}:
        always["sharpened"] = lambda: _sharpened(arm)
    return always | {
        "parrot": lambda: arm.searched(arm.probe_templates, arm.parrot_gallery),
        "averaged": lambda: arm.searched(_averages(arm), arm.clear_gallery),
        "averaged parrot": lambda: arm.searched(_averages(arm), arm.parrot_gallery),
        "classifier": lambda: _classified(arm),
    }


def _by_eight_views(arm: _Arm) -> Cell:
    photos = [paths[0] for paths in arm.people.searched.values()]
    written = arm.published("probes", photos)
    probes: list[ByMatcher | None] = []
    for photo in photos:
        look = arm.probes[photo]
        probes.append(
            None if look is None
            else adaptive.mean_of_views(written[photo], arm.detector, arm.reader.matchers, look.faces.boxes[0])
        )  # fmt: skip
    return arm.searched(probes, arm.clear_gallery)


def _restored(arm: _Arm, teacher: _Arm) -> Cell:
    learnt = teacher.way_back
    probes: list[ByMatcher | None] = []
    for look in arm.probes.values():
        if look is None:
            probes.append(None)
            continue
        picture, faces = purifier.crop(look.pixels, look.faces)
        probes.append(arm._templates(Look(learnt.restore(picture[None])[0], faces)))
    return arm.searched(probes, arm.clear_gallery) | {"training": learnt.record | {"learnt_from": teacher.name}}


def _with_a_head(arm: _Arm, teacher: _Arm) -> Cell:
    treated = teacher.embedded(teacher.learnt)
    others = {photo: teacher.reader.templates(other) for photo, other in teacher.people.learnt.values()}
    both = [(treated[photo], others[photo]) for photo in others]
    pairs = [(arm.reader.templates(one), arm.reader.templates(other)) for one, other in arm.people.pairs]
    mates, strangers = arm.clear_gallery
    result: dict[str, Any] = {"matchers": {}, "training": {}}
    for name, matcher in arm.reader.matchers.items():
        head = finetuned.train(
            np.concatenate([t[name] for t, o in both if t and o]),
            np.concatenate([o[name] for t, o in both if t and o]),
            (
                np.concatenate([one[name] for one, other in pairs if one and other]),
                np.concatenate([other[name] for one, other in pairs if one and other]),
            ),
            unit=matcher.metric == "cosine",
            seed=arm.plan.seed,
        )
        result["matchers"][name] = adaptive.searched(
            [None if probe is None else head.of_treated(probe[name]) for probe in arm.probe_templates],
            [[None if mate is None else head.of_clean(mate[name])] for mate in mates],
            [None if stranger is None else head.of_clean(stranger[name]) for stranger in strangers],
            "cosine",
            seed=arm.plan.seed,
        )
        result["training"][name] = head.record | {"learnt_from": teacher.name}
    return result


def _sharpened(arm: _Arm) -> Cell:
    probes: list[ByMatcher | None] = []
    for look in arm.probes.values():
        if look is None:
            probes.append(None)
            continue
        box: Box = look.faces.boxes[0]
        if arm.name in BLURS:
            pixels = redaction_attackers.sharpened(look.pixels, box, sigma=BLURS[arm.name])
        else:
            pixels = redaction_attackers.smoothed(look.pixels, box, cell=CELLS[arm.name])
        probes.append(arm._templates(Look(pixels, look.faces)))
    return arm.searched(probes, arm.clear_gallery)


def _averages(arm: _Arm) -> list[ByMatcher | None]:
    """Of the probe and of further redacted photos of the same person."""
    further = arm.embedded(arm.looks("further", [p for paths in arm.people.searched.values() for p in paths[2:]]))
    averages: list[ByMatcher | None] = []
    for probe, paths in zip(arm.probe_templates, arm.people.searched.values(), strict=True):
        seen = [found for found in (probe, *(further[path] for path in paths[2:])) if found is not None]
        means = {
            name: redaction_attackers.averaged([found[name] for found in seen], unit=matcher.metric == "cosine")
            for name, matcher in arm.reader.matchers.items()
        }
        averages.append({name: mean for name, mean in means.items() if mean is not None} or None)
    return averages


def _detected(arm: _Arm) -> Cell:
    """AUC; against the engine's own files with every face left as it is, so that the encoder is no help."""
    photos = {subject: paths[0] for subject, paths in arm.people.searched.items()}
    cloaked = arm.made("probes", list(photos.values()))
    if arm.name == LEARNT_STRENGTH:
        learnt = {subject: treated for subject, (treated, _) in arm.people.learnt.items()}
        cloaked = cloaked | arm.made("learnt", list(learnt.values()))
        photos |= learnt
    kept = protect.kept(list(photos.values()), arm.folder / "kept")
    samples = {Sample(subject, photo, ()): photo for subject, photo in photos.items()
               if photo in kept and photo in cloaked}  # fmt: skip
    found = try_detector(
        {sample: kept[photo] for sample, photo in samples.items()},
        {sample: cloaked[photo] for sample, photo in samples.items()},
        arm.detector,
        arm.folder / "detector",
        step=arm.plan.publish,
        seed=arm.plan.seed,
    )
    return {"detector": found}


def _classified(arm: _Arm) -> Cell:
    """Who is it, of people whose photos were learnt redacted: from plain pixels, and from each recogniser's templates.

    dlib's is left out: its landmarks are looked for in the covered picture, at 80 ms a photo.
    """
    photos = [path for paths in arm.people.named.values() for path in paths]
    owners = [subject for subject, paths in arm.people.named.items() for _ in paths]
    learnt = np.array([
        k < LEARNT_SHARE * len(paths) for paths in arm.people.named.values() for k in range(len(paths))
    ])  # fmt: skip
    looks = arm.looks("named", photos)
    seen = [looks[photo] for photo in photos]
    there = np.array([look is not None for look in seen])
    features: dict[str, list[NDArray[np.float32]]] = {"pixels": []}
    for look in seen:
        if look is None:
            continue
        features["pixels"].append(
            redaction_attackers.pixel_features(chip(look.pixels, look.faces.landmarks[0]))
        )
        for name, matcher in arm.reader.matchers.items():
            if matcher.metric == "cosine":
                template = matcher.embed(look.pixels, look.faces)[0]
                features.setdefault(name, []).append(template / np.linalg.norm(template))
    names, learns = np.array(owners)[there], learnt[there]
    return {"classifier": {
        kind: redaction_attackers.classify(
            np.array(rows)[learns], names[learns].tolist(), np.array(rows)[~learns], names[~learns].tolist(),
            seed=arm.plan.seed,
        )
        for kind, rows in features.items()
    }}  # fmt: skip


def _searched(
    probes: Sequence[ByMatcher | None],
    enrolled: tuple[Sequence[ByMatcher | None], Sequence[ByMatcher | None]],
    name: str,
    matcher: Matcher,
    seed: int,
) -> dict[str, Any]:
    mates, strangers = enrolled
    return adaptive.searched(
        [None if probe is None else probe[name] for probe in probes],
        [[None if mate is None else mate[name]] for mate in mates],
        [None if stranger is None else stranger[name] for stranger in strangers],
        matcher.metric,
        seed=seed,
    )


def _key(photo: Path) -> str:
    return f"{photo.parent.name}/{photo.name}"


def _same_plan(work: Path, plan: dict[str, Any]) -> None:
    """Cells and files of another plan must not pass for those of this one."""
    path, wanted = work / "plan.json", json.dumps(plan, indent=1)
    if path.is_file() and path.read_text() != wanted:
        raise SamplesUnusable(f"{work}: holds a run of another plan; choose an empty folder. Nothing was judged.")
    write_beside_and_rename(path, wanted.encode())
