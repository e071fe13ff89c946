"""Joins everything: read, detect, decide, optimise, cover, write beside, judge, rename. No maths.

Photos are worked on in groups, so that the faces of many photos share the networks' batches and the memory stays
bounded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cloak import contact, files, grids, io_image, masks, networks, obfuscators, objectives, references, verify
from cloak.attacks import l2_momentum
from cloak.choices import Choices, Region
from cloak.errors import CloakError, NoFaceFound, NotEnsured
from cloak.grids import Grid
from cloak.networks import Networks
from cloak.references import References
from cloak.report import report_path_for, write_report
from cloak.settings import PRESETS, Progress, Settings
from cloak.types import KEEP, SETTLED, STRENGTHS, FaceReport, Faces, Outcome, Photo, Pixels, Report, Treatment

# Faces optimised together. More are no faster on two cores, and fewer fit a video card's memory than it can feed.
_FACES_PER_BATCH = {"cpu": 8, "cuda": 64}
# Photos read ahead so that their faces fill a batch: at most so many pixels, at least one photo.
_PIXELS_PER_GROUP = 16_000_000
# And at most so many photos: nothing of a group is written before all its faces are done, and a batch may be stopped
_PHOTOS_PER_GROUP = 16
# `ensure` asks for this false match rate, ten times the verdict's: others see a face through other landmarks
_ENSURED_FMR = 1e-2
# Nor does it cloak faces that are half hidden or cut off: those were what others still matched of 60 photos, because
# they found them in another place. Scores of clear faces are above this; the rim is a share of the box.
_SURE_SCORE, _RIM = 0.7, 0.1
# And `light` is made to stop as soon as it holds, through one alignment: most of what others matched again was light
_BARELY_ENSURED = Treatment("cloak", "balanced")

OnProgress = Callable[[Progress], None]


@dataclass(slots=True)
class _Job:
    """One photo on its way through a group, and what is still decided about its faces."""

    index: int  # among the inputs
    photo: Photo
    faces: Faces
    treatments: list[Treatment]  # of each face
    regions: tuple[Region, ...]
    is_by_person: bool
    covered_because: dict[int, str]  # faces that a rule covers, and the rule in words
    escalated: set[int] = field(default_factory=set)  # faces that `ensure` treats harder than was asked
    grids: dict[int, Grid] = field(default_factory=dict)  # of the faces to be cloaked
    deltas: dict[int, NDArray[np.float32]] = field(default_factory=dict)  # what was found for them so far


def find_faces(path: Path, *, settings: Settings) -> tuple[Photo, Faces]:
    """The photo and its faces, numbered left to right. No face is an empty `Faces`.

    Raises:
        CloakError: the photo cannot be read.
    """
    photo = io_image.read_photo(path, max_pixels=settings.max_pixels, keep_heic=True)  # for looking only
    return photo, networks.load(settings).find([photo.pixels])[0]


def draw_faces(photo: Photo, faces: Faces, output: Path, *, settings: Settings) -> None:
    """Write the photo as a JPEG with the number of each face on it. It shows every face as it is.

    Raises:
        CloakError: `output` cannot be written.
    """
    drawn = contact.draw(photo.pixels, faces)
    picture = dataclasses.replace(photo, pixels=drawn, format="JPEG", alpha=None)
    files.write_new(output, io_image.encode_photo(picture, drawn, jpeg_quality=90), overwrite=settings.overwrite,
                    inputs=[photo.path])


def cloak_photos(
    inputs: Sequence[Path],
    outputs: Sequence[Path],
    settings: Settings,
    *,
    choices: Mapping[Path, Choices] | None = None,
    reference_photos: Sequence[Path] = (),
    progress: OnProgress | None = None,
) -> list[Outcome]:
    """Write a protected copy of each input, its report beside it, and say what became of each.

    Args:
        inputs: photos; never changed. One that cannot be processed becomes an Outcome with an error.
        outputs: one path per input, beside which the temporary file is written and judged.
        choices: what a person decided, by input; faces of other inputs are cloaked at `settings.strength`.
        reference_photos: other photos of one person, who is looked for in the inputs and cloaked against these too.
        progress: called with how far the batch is.
    Returns:
        one Outcome per input, in order. `failed` and `no_face` mean that nothing was written for it. Where
            `settings.no_face` is `clean`, a photo without faces is written, and its report names none and is not
            `is_protected`.
    Raises:
        ValueError: `outputs` does not name one file per input, each another one.
        CloakError: the networks or the reference photos cannot be used. What concerns one input never raises.
    """
    if len(outputs) != len(inputs) or len({path.resolve() for path in outputs}) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs need as many different outputs, got {len(outputs)}")
    outcomes: list[Outcome | None] = [_refusal(i, o, inputs, settings) for i, o in zip(inputs, outputs, strict=True)]
    nets = networks.load(settings)
    person = references.read(reference_photos, nets, settings) if reference_photos else None
    usual = Choices(Treatment("cloak", settings.strength))
    chosen = [(choices or {}).get(path, usual) for path in inputs]
    for group in _groups(inputs, chosen, nets, settings, outcomes):
        count = Progress(group[0].photo.path.name, 0, 0, 0, 0, photos_done=group[0].index, photos=len(inputs))
        unfinished = group
        while unfinished:
            _optimise(unfinished, nets, settings, person, count, progress)
            waiting, unfinished = unfinished, []
            for job in waiting:
                source, output = inputs[job.index], outputs[job.index]
                try:
                    made = _write(job, output, inputs, nets, settings, person)
                except CloakError as error:
                    outcomes[job.index] = Outcome(source, None, None, str(error), "failed", type(error).__name__)
                    continue
                if made is None:
                    unfinished.append(job)
                else:
                    outcomes[job.index] = Outcome(source, output, made, None, "done")
    return [outcome for outcome in outcomes if outcome is not None]


def _refusal(source: Path, output: Path, inputs: Sequence[Path], settings: Settings) -> Outcome | None:
    """The outcome of an input whose output would be refused; known before any long work."""
    try:
        for path in (output, report_path_for(output)):
            files.check_output(path, overwrite=settings.overwrite, inputs=inputs)
    except CloakError as error:
        return Outcome(source, None, None, str(error), "failed", type(error).__name__)
    return None


def _groups(
    inputs: Sequence[Path],
    chosen: Sequence[Choices],
    nets: Networks,
    settings: Settings,
    outcomes: list[Outcome | None],
) -> Iterator[list[_Job]]:
    """Read, detect and decide ahead; whatever cannot be worked on becomes an outcome at once."""
    waiting: list[tuple[int, Photo]] = []
    for index, path in enumerate(inputs):
        if outcomes[index] is not None:
            continue
        try:
            photo = io_image.read_photo(path, max_pixels=settings.max_pixels, keep_heic=settings.keep_heic)
            waiting.append((index, photo))
        except CloakError as error:
            outcomes[index] = Outcome(path, None, None, str(error), "failed", type(error).__name__)
            continue
        pixels = sum(p.pixels.shape[0] * p.pixels.shape[1] for _, p in waiting)
        if pixels >= _PIXELS_PER_GROUP or len(waiting) >= _PHOTOS_PER_GROUP:
            jobs = _detect(waiting, chosen, nets, settings, outcomes)
            waiting = []
            if jobs:
                yield jobs
    if waiting and (jobs := _detect(waiting, chosen, nets, settings, outcomes)):
        yield jobs


def _detect(
    waiting: Sequence[tuple[int, Photo]],
    chosen: Sequence[Choices],
    nets: Networks,
    settings: Settings,
    outcomes: list[Outcome | None],
) -> list[_Job]:
    jobs = []
    found = nets.find([photo.pixels for _, photo in waiting])
    for (index, photo), faces in zip(waiting, found, strict=True):
        try:
            jobs.append(_decide(index, photo, faces, chosen[index], settings))
        except NoFaceFound as error:
            outcomes[index] = Outcome(photo.path, None, None, str(error), "no_face", "NoFaceFound")
        except CloakError as error:
            outcomes[index] = Outcome(photo.path, None, None, str(error), "failed", type(error).__name__)
    return jobs


def _decide(index: int, photo: Photo, faces: Faces, choices: Choices, settings: Settings) -> _Job:
    """What happens to each face, by choice and by rule."""
    treatments = choices.of(photo, len(faces))
    if settings.ensure:
        treatments = [_BARELY_ENSURED if one == Treatment("cloak", "light") else one for one in treatments]
    if not len(faces) and not choices.regions and settings.no_face == "refuse":
        raise NoFaceFound(f"{photo.path}: {settings.detector} finds no face, nothing was written. That does not prove "
                          "that there is none: look yourself, and cover what you see with --regions.")
    because: dict[int, str] = {}
    for i in (i for i, treatment in enumerate(treatments) if treatment.kind == "cloak"):
        if settings.small == "redact" and verify.is_too_small(faces.boxes[i]):
            because[i] = "it is too small to cloak usefully"
        elif settings.ensure and _is_unsure(photo, faces, i):
            because[i] = "half hidden or cut off, detectors disagree about where it is"
    for i in because:
        treatments[i] = Treatment("redact", settings.cover)
    job = _Job(index, photo, faces, treatments, choices.regions, choices.is_by_person, because)
    job.grids = {i: grids.cut(photo.pixels, faces.boxes[i]) for i in range(len(faces)) if treatments[i].kind == "cloak"}
    return job


def _is_unsure(photo: Photo, faces: Faces, i: int) -> bool:
    """Whether another detector may well put this face elsewhere, where a cloak made here does nothing."""
    x1, y1, x2, y2 = (float(v) for v in faces.boxes[i])
    height, width = photo.pixels.shape[:2]
    rim = _RIM * max(x2 - x1, y2 - y1)
    return float(faces.scores[i]) < _SURE_SCORE or min(x1, y1, width - x2, height - y2) < rim


def _optimise(
    jobs: Sequence[_Job],
    nets: Networks,
    settings: Settings,
    person: References | None,
    count: Progress,
    progress: OnProgress | None,
) -> None:
    """Find the deltas that are still missing. Faces of all photos go through the networks together."""
    missing = {
        strength: [(j, f) for j, job in enumerate(jobs) for f, treatment in enumerate(job.treatments)
                   if treatment == Treatment("cloak", strength) and f not in job.deltas]
        for strength in STRENGTHS
    }
    done, every, size = 0, sum(map(len, missing.values())), _FACES_PER_BATCH[nets.device.type]
    for strength, faces in missing.items():
        for start in range(0, len(faces), size):
            chosen = faces[start : start + size]
            at_start = dataclasses.replace(
                count, photo=jobs[chosen[0][0]].photo.path.name, faces_done=done, faces=every,
                steps=PRESETS[strength].steps, faces_in_work=len(chosen),
            )

            def on_step(step: int, _left: int, at_start: Progress = at_start) -> None:
                if progress:
                    progress(dataclasses.replace(at_start, step=step))

            batch = _Batch(jobs, chosen, strength, nets, settings, person)
            for (j, f), delta in zip(chosen, batch.perturb(on_step), strict=True):
                jobs[j].deltas[f] = delta
            done += len(chosen)


class _Batch:
    """Some faces, as tensors, with the loss and the judge that the attack asks."""

    def __init__(
        self,
        jobs: Sequence[_Job],
        chosen: Sequence[tuple[int, int]],
        strength: str,
        nets: Networks,
        settings: Settings,
        person: References | None,
    ) -> None:
        self._jobs, self._chosen, self._nets, self._settings = jobs, chosen, nets, settings
        self._preset = PRESETS[strength]  # type: ignore[index]
        self._grids = [jobs[j].grids[f] for j, f in chosen]
        self._pixels = networks.stack([grid.pixels for grid in self._grids], nets.device)
        self._amplitude = torch.from_numpy(np.stack([grid.amplitude for grid in self._grids]))[:, None].to(nets.device)
        self._matrices = [
            networks.to_tensor(
                [networks.chip_to_grid(surrogate, grid, jobs[j].faces.landmarks[f])
                 for grid, (j, f) in zip(self._grids, chosen, strict=True)],
                nets.device,
            )
            for surrogate in nets.surrogates
        ]
        self._scales = networks.scales(nets.surrogates)
        with torch.no_grad():
            self._anchors = [objectives.anchor(s, self._pixels, m)
                             for s, m in zip(nets.surrogates, self._matrices, strict=True)]
        if person is not None:
            self._anchors = person.strengthen(self._anchors, nets.surrogates)

    def perturb(self, on_step: Callable[[int, int], None]) -> NDArray[np.float32]:
        """Deltas (n, SIZE_PX, SIZE_PX, 3) in levels of 255."""
        preset = self._preset
        generator = torch.Generator().manual_seed(self._settings.seed)
        delta = l2_momentum.perturb(
            objectives.away_from(self._anchors, self._nets.surrogates, self._matrices, generator),
            self._pixels,
            self._amplitude,
            radius=preset.radius / 255,
            peak=preset.peak / 255,
            steps=preset.steps,
            judge=self._judge,
            goal=preset.goal,
            on_step=on_step,
        )
        return _levels(delta)

    def _judge(self, changed: Tensor, rows: Tensor) -> Tensor:
        """The highest similarity to the anchor over the surrogates, on the bytes that would be written.

        Each is brought to the scale of the first one; one that nobody calibrated has no say where another was.
        """
        levels = _levels(changed - self._pixels[rows])
        seen = [self._encoded(int(row), one) for row, one in zip(rows, levels, strict=True)]
        pixels = networks.stack(seen, self._nets.device)
        similarities = [
            1 - (1 - objectives.similarity(surrogate, pixels, matrices[rows], anchors[rows])) * factor
            for surrogate, matrices, anchors, factor in zip(
                self._nets.surrogates, self._matrices, self._anchors, self._scales, strict=True
            )
            if factor
        ]
        return torch.stack(similarities).amax(0)

    def _encoded(self, row: int, levels: NDArray[np.float32]) -> Pixels:
        """The grid of one face as it comes back from the encoder.

        Only the blocks around the face are encoded. At 4:4:4 a JPEG codes each 8x8 block by itself, so they come
        out as they would from the whole photo, and so do the lossless formats. Lossy WebP, AVIF and HEIC predict
        from neighbours and smooth over block edges: there the piece is only nearly what the whole photo gives. The
        verdict is made on the written file all the same.
        """
        j, f = self._chosen[row]
        photo, grid = self._jobs[j].photo, self._grids[row]
        top, left = (max(v, 0) // 8 * 8 for v in (grid.top, grid.left))
        part = photo.pixels[top : max(grid.top + grid.side_px, 0), left : max(grid.left + grid.side_px, 0)]
        delta = np.zeros(part.shape, np.float32)
        grids.lay(levels, dataclasses.replace(grid, left=grid.left - left, top=grid.top - top), delta)
        piece = dataclasses.replace(photo, pixels=np.ascontiguousarray(part), alpha=None, icc_profile=None)
        data = io_image.encode_photo(piece, _add(part, delta), jpeg_quality=self._settings.jpeg_quality)
        box = self._jobs[j].faces.boxes[f] - np.array([left, top, left, top], np.float32)
        return grids.look(io_image.decode_pixels(data), box).pixels


def _levels(delta: Tensor) -> NDArray[np.float32]:
    """(n, 3, H, W) on the [0, 1] scale to (n, H, W, 3) in levels of 255."""
    return np.asarray((delta.permute(0, 2, 3, 1) * 255).cpu().numpy(), np.float32)


def _add(pixels: Pixels, delta: NDArray[np.float32]) -> Pixels:
    """Pixels plus a change in levels of 255, rounded and kept in range; exactly the same where delta is 0."""
    return np.asarray(np.clip(np.rint(pixels + delta), 0, 255), np.uint8)


def _treated(job: _Job, settings: Settings) -> Pixels:
    """The photo as it will be published: cloaks first, covers on top of them."""
    pixels = job.photo.pixels.copy()
    cloaked = list(job.deltas)
    for (rows, columns), members in grids.windows([job.grids[f] for f in cloaked], pixels.shape):
        delta = np.zeros(pixels[rows, columns].shape, np.float32)
        for f in (cloaked[m] for m in members):
            grid = job.grids[f]
            here = dataclasses.replace(grid, left=grid.left - columns.start, top=grid.top - rows.start)
            grids.lay(job.deltas[f], here, delta)
        # Where masks overlap, changes add up; the budget holds for their sum
        peak = max(PRESETS[job.treatments[cloaked[m]].how].peak for m in members)  # type: ignore[index]
        pixels[rows, columns] = _add(pixels[rows, columns], np.clip(delta, -peak, peak, out=delta))
    covers = [
        (masks.head(job.faces.boxes[i], job.faces.landmarks[i]), treatment.how)
        for i, treatment in enumerate(job.treatments) if treatment.kind == "redact"
    ] + [(masks.head(region.box, None), region.treatment.how) for region in job.regions]
    if covers:
        # Whoever knows the seed of a mosaic can take its noise away again, so it hangs on the unpublished pixels: the
        # same photo gives the same bytes, and nobody without the photo can tell which.
        secret = hashlib.sha256(np.ascontiguousarray(job.photo.pixels).data).digest()
        for number, (patch, style) in enumerate(covers):
            mixed = hashlib.sha256(secret + f"{settings.seed} {number}".encode()).digest()
            obfuscators.cover(pixels, patch, style, seed=int.from_bytes(mixed[:8], "big"))
    return np.asarray(pixels)


def _write(
    job: _Job, output: Path, inputs: Sequence[Path], nets: Networks, settings: Settings, person: References | None
) -> Report | None:
    """Write beside, read again, judge, then rename; the report goes first, so that no photo stands without one.

    Returns:
        the report, or None where `settings.ensure` wants faces treated harder, which `job` then says.
    Raises:
        NotEnsured: nothing harder is left.
    """
    data = io_image.encode_photo(
        job.photo, _treated(job, settings), jpeg_quality=settings.jpeg_quality, metadata=settings.metadata,
        source_type="humanEdits" if job.is_by_person else "algorithmicallyEnhanced",
    )
    with files.pending_file(output, overwrite=settings.overwrite, inputs=inputs) as pending:
        files.write_all(pending.temporary, data, named=output)
        del data
        written = io_image.read_photo(pending.temporary, max_pixels=settings.max_pixels, keep_heic=True)
        faces = verify.judge(written, job.photo, job.faces, nets, settings, treatments=job.treatments)
        faces = tuple(
            dataclasses.replace(face, words=f"{face.words}{_why(job, i)}") for i, face in enumerate(faces)
        ) + verify.regions(job.regions, after=len(job.faces))
        failing = [i for i, face in enumerate(faces) if not _holds(face)] if settings.ensure else []
        if failing:
            for i in failing:
                _escalate(job, i, settings)
            return None
        made = verify.report(written, output, job.photo, faces, nets, settings)
        if person is not None:
            made = dataclasses.replace(made, notes=(*made.notes, person.note(job.faces, job.photo, nets)))
        report_file = write_report(made, output, overwrite=settings.overwrite, inputs=inputs)
        try:
            pending.commit()
        except BaseException:
            with contextlib.suppress(OSError):
                report_file.unlink()
            raise
    return made


def _why(job: _Job, i: int) -> str:
    """What the words on a face say besides, where it was treated otherwise than was asked."""
    if i in job.covered_because:
        return f"; {job.covered_because[i]}"
    if i in job.escalated:
        return f"; raised to {job.treatments[i]}, because less did not hold"
    return ""


def _holds(face: FaceReport) -> bool:
    """Whether `ensure` lets a face pass: it needs a margin, for others see a face through other landmarks."""
    weakest = min((verdict.fmr_after for verdict in face.verdicts), default=1.0)
    return face.status in SETTLED and (face.status != "protected" or weakest >= _ENSURED_FMR)


def _escalate(job: _Job, i: int, settings: Settings) -> None:
    """One face's next harder treatment."""
    treatment = job.treatments[i]
    if treatment.kind == "redact":
        raise NotEnsured(f"{job.photo.path}: face {i + 1} is still matched although it was covered. Nothing was "
                         "written. Cover a larger part with --regions.")
    assert treatment != KEEP, "a kept face is settled"
    harder = STRENGTHS[STRENGTHS.index(treatment.how) + 1 :]
    job.treatments[i] = Treatment("cloak", harder[0]) if harder else Treatment("redact", settings.cover)
    job.escalated.add(i)
    job.deltas.pop(i, None)
