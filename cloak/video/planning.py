"""A clip's frames -> its plan: looks at them, keeps what was seen in case it is interrupted, makes tracks of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import cloak
from cloak import weights
from cloak.types import Faces, Pixels
from cloak.video import clips, looking, tracking
from cloak.video.looking import Find, Look, Place, Sighting
from cloak.video.types import Clip, Frame, Plan

DETECTORS = "centerface_motion", "centerface"  # turn by turn
CHECKPOINT = "looks.jsonl"
_SCHEMA = "facecloak-looks/3"
# What a face needs that goes on where one was; `looking` asks more of others
_LOWEST_SCORE = 0.3
# Scores of the published network, and those at which the other one says as many faces too many: 3, 1 and 0.3 in a frame
# of a generated clip. The one finds turned and sharp faces of a real street that the other has forgotten, which in turn
# sees those that are smeared; what either sees is followed through the frames of the other
_SAME_SCORES = (0.08, 0.13, 0.24, 1.0), (_LOWEST_SCORE, 0.39, 0.5, 1.0)
# Every so many frames, and longest side of the picture, for those in a hurry: a fifth of the cost of looking. What is
# covered so, and by default, of generated clips is in evaluation/results/video.json
_QUICK = 2, 640


def make_plan(clip: Clip, frames: Callable[[int], Iterator[Frame]], *, sha256: str | None = None,
              checkpoint: Path | None = None, find: Find | None = None, quick: bool = False,
              on_frame: Callable[[int], None] | None = None) -> Plan:
    """Look at a whole clip and say where its faces are.

    Args:
        frames: gives the frames of the clip from a number on. They are read once, one after the other.
        sha256: of the clip's file; computed where it is not given.
        checkpoint: a folder in which every look is kept as soon as it is made. A pass that was killed goes on from
            there when it is called again with the same clip, and the plan is the same as without the interruption.
        find: another detector; CenterFace as published and as taught, turn by turn, when none is given.
        quick: every second frame, and smaller.
        on_frame: told how many frames were read so far.
    """
    sha256 = sha256 or clips.sha256_of(clip.path)
    stride, longest_px = _QUICK if quick else (looking.EVERY, looking.LONGEST_PX)
    detector = " and ".join(DETECTORS) if find is None else repr(find)
    settings = {"detector": detector, "stride": stride, "longest_px": longest_px}
    count, last = 0, None
    header = {"schema": _SCHEMA, "sha256": sha256, "size": list(clip.size), **settings,
              "facecloak": cloak.__version__}
    kept = None if checkpoint is None else _Checkpoint(checkpoint, header)
    looks: list[Look] | _Checkpoint = [] if kept is None else kept
    if kept is not None:
        last, count = kept.read()
    if not count:
        start = 0 if last is None else looking.resume_at(last)

        def counted() -> Iterator[Frame]:
            nonlocal count
            for frame in frames(start):
                count = frame.number + 1
                yield frame
                if on_frame is not None:
                    on_frame(count)

        with contextlib.ExitStack() as stack:
            if kept is not None:
                stack.enter_context(kept)
            for one in looking.look(counted(), find or _centerface(), stride=stride, longest_px=longest_px, last=last):
                looks.append(one)
            if kept is not None:
                kept.add({"frames": count})
    return Plan(
        clip=clip.path.name,
        sha256=sha256,
        size=clip.size,
        frames=count,
        cuts=tracking.cuts(looks),
        tracks=tracking.tracks(looks, clip.size, count),
        settings=settings,
        versions={"facecloak": cloak.__version__, "python": platform.python_version(),
                  **{name: metadata.version(name) for name in ("numpy", "opencv-python", "onnxruntime", "av")}},
        weights={name: weights.registry()[name].sha256 for name in DETECTORS},
    )


class _Checkpoint:
    """Looks as lines of JSON: a first line that says what of, then one each, at the end the number of frames."""

    def __init__(self, folder: Path, header: dict[str, Any]) -> None:
        self._path, self._header = folder / CHECKPOINT, header
        self._whole = 0  # bytes of the lines that were read and believed

    def read(self) -> tuple[Look | None, int]:
        """The last look of an earlier pass over the same clip, and the number of frames if it came to its end."""
        last: Look | None = None
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
            for number, line in enumerate(file):
                try:
                    said = json.loads(line) if line.endswith(b"\n") else None
                    if number == 0 and said != self._header:
                        break
                    if said is None:  # the line in which it was killed
                        break
                    if number and "frames" in said:
                        return last, int(said["frames"])
                    if number:
                        last = _from_json(said)
                    self._whole += len(line)
                except (ValueError, KeyError, TypeError, IndexError):
                    break
        return last, 0

    def __iter__(self) -> Iterator[Look]:
        """The looks, each time read again: hours of them would fill the memory."""
        with open(self._path, "rb") as file:
            for line in itertools.islice(file, 1, None):
                if "frames" in (said := json.loads(line)):
                    break
                yield _from_json(said)

    def __enter__(self) -> _Checkpoint:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self._path, "r+b" if self._whole else "wb")
        self._file.truncate(self._whole)
        self._file.seek(self._whole)
        if not self._whole:
            self.add(self._header)
        return self

    def __exit__(self, *problem: object) -> None:
        self._file.close()

    def append(self, look: Look) -> None:
        self.add(_to_json(look))

    def add(self, said: dict[str, Any]) -> None:
        self._file.write(json.dumps(said, separators=(",", ":")).encode() + b"\n")
        self._file.flush()


def _to_json(look: Look) -> dict[str, Any]:
    return {
        "frame": look.frame,
        "begins_shot": look.begins_shot,
        "sightings": [[s.box, s.score, s.landmarks, s.before, _places(s.path), s.unseen, s.velocity]
                      for s in look.sightings],
        "ended": [[index, _places(path)] for index, path in look.ended],
        "moves": look.moves,
    }


def _places(path: tuple[Place, ...]) -> list[Any]:
    return [[place.frame, place.box, place.alike] for place in path]


def _from_json(said: dict[str, Any]) -> Look:
    def path(places: list[Any]) -> tuple[Place, ...]:
        return tuple(Place(frame, (box[0], box[1], box[2], box[3]), alike) for frame, box, alike in places)

    sightings = tuple(
        Sighting((box[0], box[1], box[2], box[3]), score, points and tuple((x, y) for x, y in points), before,
                 path(places), unseen, velocity and (velocity[0], velocity[1]))
        for box, score, points, before, places, unseen, velocity in said["sightings"])
    return Look(said["frame"], said["begins_shot"], sightings,
                tuple((index, path(places)) for index, places in said["ended"]),
                tuple((a, b, x, c, d, y) for a, b, x, c, d, y in said["moves"]))


def _centerface() -> Sequence[Find]:
    """The network that learnt what motion does to faces, and the published one, turn by turn."""
    from cloak.detectors.centerface import CenterFace  # late, for a plan that is there needs none

    # Pictures side by side take less time than each of them shared out
    in_motion, published = CenterFace(threads=1, in_motion=True), CenterFace(threads=1)

    def as_published(pixels: Pixels) -> Faces:
        faces = published.glance(pixels, _SAME_SCORES[0][0])
        return Faces(faces.boxes, faces.landmarks, np.interp(faces.scores, *_SAME_SCORES).astype(np.float32))

    return (lambda pixels: in_motion.glance(pixels, _LOWEST_SCORE)), as_published
