"""Joins everything: read, detect, optimise, write beside, judge, rename. No maths.

Photos are worked on in groups, so that the faces of many photos share the networks' batches and the memory stays
bounded.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cloak import grids, io_image, networks, objectives, verify
from cloak.attacks import l2_momentum
from cloak.errors import CloakError, NoFaceFound
from cloak.grids import Grid
from cloak.networks import Networks
from cloak.report import report_path_for, write_report
from cloak.settings import PRESETS, Progress, Settings
from cloak.types import Faces, Outcome, Photo, Pixels, Report

# Faces optimised together. More are no faster on two cores, and fewer fit a video card's memory than it can feed.
_FACES_PER_BATCH = {"cpu": 8, "cuda": 64}
# Photos read ahead so that their faces fill a batch: at most so many pixels, at least one photo.
_PIXELS_PER_GROUP = 16_000_000

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class _Job:
    """One photo that holds faces, on its way through a group."""

    index: int  # among the inputs
    photo: Photo
    faces: Faces
    grids: tuple[Grid, ...]


def find_faces(path: Path, *, settings: Settings) -> Faces:
    """The faces of a photo, numbered left to right. No face is an empty `Faces`.

    Raises:
        CloakError: the photo cannot be read.
    """
    photo = io_image.read_photo(path, max_pixels=settings.max_pixels)
    return networks.load(settings).find([photo.pixels])[0]


def cloak_photos(
    inputs: Sequence[Path],
    outputs: Sequence[Path],
    settings: Settings,
    *,
    progress: OnProgress | None = None,
) -> list[Outcome]:
    """Write a cloaked copy of each input, its report beside it, and say what became of each.

    Args:
        inputs: photos; never changed. One that cannot be processed becomes an Outcome with an error.
        outputs: one path per input, beside which the temporary file is written and judged.
        progress: called with how far the batch is.
    Returns:
        one Outcome per input, in order. `failed` and `no_face` mean that nothing was written for it.
    Raises:
        ValueError: `outputs` does not name one file per input, each another one.
        CloakError: the networks cannot be loaded. What concerns one file never raises.
    """
    if len(outputs) != len(inputs) or len({path.resolve() for path in outputs}) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs need as many different outputs, got {len(outputs)}")
    outcomes: list[Outcome | None] = [_refusal(i, o, inputs, settings) for i, o in zip(inputs, outputs, strict=True)]
    nets = networks.load(settings)
    for group in _groups(inputs, nets, settings, outcomes):
        changed = _optimise(group, nets, settings, progress)
        for job, pixels in zip(group, changed, strict=True):
            source, output = inputs[job.index], outputs[job.index]
            try:
                made = _write(job, pixels, output, inputs, nets, settings)
                outcomes[job.index] = Outcome(source, output, made, None, "done")
            except CloakError as error:
                outcomes[job.index] = Outcome(source, None, None, str(error), "failed")
    return [outcome for outcome in outcomes if outcome is not None]


def _refusal(source: Path, output: Path, inputs: Sequence[Path], settings: Settings) -> Outcome | None:
    """The outcome of an input whose output would be refused; known before any long work."""
    try:
        for path in (output, report_path_for(output)):
            io_image.check_output(path, overwrite=settings.overwrite, inputs=inputs)
    except CloakError as error:
        return Outcome(source, None, None, str(error), "failed")
    return None


def _groups(
    inputs: Sequence[Path], nets: Networks, settings: Settings, outcomes: list[Outcome | None]
) -> Iterator[list[_Job]]:
    """Read and detect ahead; whatever cannot be worked on becomes an outcome at once."""
    waiting: list[tuple[int, Photo]] = []
    for index, path in enumerate(inputs):
        if outcomes[index] is not None:
            continue
        try:
            photo = io_image.read_photo(path, max_pixels=settings.max_pixels)
        except CloakError as error:
            outcomes[index] = Outcome(path, None, None, str(error), "failed")
            continue
        waiting.append((index, photo))
        if sum(p.pixels.shape[0] * p.pixels.shape[1] for _, p in waiting) >= _PIXELS_PER_GROUP:
            yield _detect(waiting, nets, settings, outcomes)
            waiting = []
    if waiting:
        yield _detect(waiting, nets, settings, outcomes)


def _detect(
    waiting: Sequence[tuple[int, Photo]], nets: Networks, settings: Settings, outcomes: list[Outcome | None]
) -> list[_Job]:
    jobs = []
    found = nets.find([photo.pixels for _, photo in waiting])
    for (index, photo), faces in zip(waiting, found, strict=True):
        if len(faces):
            jobs.append(_Job(index, photo, faces, tuple(grids.cut(photo.pixels, box) for box in faces.boxes)))
        else:
            error = NoFaceFound(f"{photo.path}: {settings.detector} finds no face, nothing was written. That does not "
                                "prove that there is none: look yourself.")
            outcomes[index] = Outcome(photo.path, None, None, str(error), "no_face")
    return jobs


def _optimise(
    jobs: Sequence[_Job], nets: Networks, settings: Settings, progress: OnProgress | None
) -> list[Pixels]:
    """The cloaked pixels of each photo. Faces of all photos go through the networks together."""
    deltas = [np.zeros(job.photo.pixels.shape, np.float32) for job in jobs]
    every = [(j, f) for j, job in enumerate(jobs) for f in range(len(job.faces))]
    size, preset = _FACES_PER_BATCH[nets.device.type], PRESETS[settings.strength]
    for start in range(0, len(every), size):
        chosen = every[start : start + size]
        at_start = Progress(jobs[chosen[0][0]].photo.path.name, start, len(every), 0, preset.steps, len(chosen))

        def on_step(step: int, _left: int, at_start: Progress = at_start) -> None:
            if progress:
                progress(dataclasses.replace(at_start, step=step))

        delta = _Batch(jobs, chosen, nets, settings).perturb(on_step)
        for (j, f), one in zip(chosen, delta, strict=True):
            grids.lay(one, jobs[j].grids[f], deltas[j])
    # Where masks overlap, changes add up; the budget holds for their sum
    return [_add(job.photo.pixels, np.clip(delta, -preset.peak, preset.peak, out=delta))
            for job, delta in zip(jobs, deltas, strict=True)]


class _Batch:
    """Some faces, as tensors, with the loss and the judge that the attack asks."""

    def __init__(
        self, jobs: Sequence[_Job], chosen: Sequence[tuple[int, int]], nets: Networks, settings: Settings
    ) -> None:
        self._jobs, self._chosen, self._nets, self._settings = jobs, chosen, nets, settings
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

    def perturb(self, on_step: Callable[[int, int], None]) -> NDArray[np.float32]:
        """Deltas (n, SIZE_PX, SIZE_PX, 3) in levels of 255."""
        preset = PRESETS[self._settings.strength]
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
        out as they would from the whole photo.
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


def _write(
    job: _Job, pixels: Pixels, output: Path, inputs: Sequence[Path], nets: Networks, settings: Settings
) -> Report:
    """Write beside, read again, judge, then rename; the report goes first, so that no photo stands without one."""
    data = io_image.encode_photo(job.photo, pixels, jpeg_quality=settings.jpeg_quality)
    with io_image.pending_file(output, overwrite=settings.overwrite, inputs=inputs) as pending:
        io_image.write_all(pending.temporary, data, named=output)
        written = io_image.read_photo(pending.temporary, max_pixels=settings.max_pixels)
        faces = verify.judge(written, job.photo, job.faces, nets, settings)
        made = verify.report(written, output, job.photo, faces, nets, settings)
        report_file = write_report(made, output, overwrite=settings.overwrite, inputs=inputs)
        try:
            pending.commit()
        except BaseException:
            with contextlib.suppress(OSError):
                report_file.unlink()
            raise
    return made
