"""Search by video: who of a gallery is in a clip, and when.

    galleries = enrol_folder(reader, folder)
    for track in sight(Path("clip.mp4"), detector, reader.matchers, every=2):
        answers = search(track, galleries)

Every face of every n-th frame is searched, and the mean template of each track of faces: noise of single frames
averages out, and so does whatever of a protection changes from frame to frame. Tracks are given as they end, and only
those that go on are held in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation import clips, gallery, metrics, tracks
from evaluation.faces import Faces, Pixels, overlaps
from evaluation.gallery import Gallery, GalleryUnusable
from evaluation.matchers import Matcher, Metric
from evaluation.reading import Reader
from evaluation.samples import photos_by_subject
from evaluation.tracks import Sighting, Templates, Track

# Who was found when, ready for JSON; and the sightings of each track without their templates, for `against`.
Report = tuple[dict[str, Any], list[list[Sighting]]]

FPIR = 0.01
STILL_THERE_IOU = 0.3


class Detector(Protocol):
    """Finds faces in upright RGB; `faces.YuNet` is one."""

    def find(self, pixels: Pixels) -> Faces: ...


@dataclass(frozen=True, slots=True)
class Known:
    """A gallery of one matcher, and above which similarity a searcher believes it."""

    gallery: Gallery
    threshold: float  # at `FPIR`, from searches for the enrolled themselves as if they were not


@dataclass(frozen=True, slots=True)
class Answer:
    """The most alike person of one search."""

    subject: str
    similarity: float
    above: bool  # more alike than the threshold


@dataclass(frozen=True, slots=True)
class Answers:
    """What one matcher says about one track."""

    frames: tuple[Answer, ...]  # one per sighting
    average: Answer  # of the mean template

    def best(self) -> int:
        """Which sighting has the most alike answer."""
        return int(np.argmax([answer.similarity for answer in self.frames]))


def enrol_folder(reader: Reader, folder: Path, photos: Mapping[str, Sequence[Path]] | None = None) -> dict[str, Known]:
    """Everybody of a folder in LFW layout, per matcher; or only these photos of these subjects.

    Raises:
        GalleryUnusable: too few people with a face for a threshold.
    """
    chosen = photos_by_subject(folder) if photos is None else photos
    try:
        found = [(subject, reader.templates(path)) for subject, paths in chosen.items() for path in paths]
    finally:
        reader.save()
    there = [(subject, templates) for subject, templates in found if templates is not None]
    return {
        name: known([subject for subject, _ in there], [one[name] for _, one in there], reader.maker(name))
        for name in reader.matchers
    }


def known(subjects: Sequence[str], templates: Sequence[NDArray[np.float32]], made_by: gallery.Maker) -> Known:
    """A gallery of templates (1, D) each, and its own threshold.

    Raises:
        GalleryUnusable: too few people for a threshold at `FPIR`.
    """
    if len(set(subjects)) * FPIR < 1:
        raise GalleryUnusable(
            f"{len(set(subjects))} people with a face: too few to know how alike a stranger is in one search of "
            f"{1 / FPIR:.0f}; enrol {1 / FPIR:.0f}. Nothing was searched."
        )
    enrolled = gallery.enrol(np.concatenate(templates), subjects, made_by)
    # Each person once, or those with many photos would set the threshold alone.
    searched = enrolled.templates[enrolled.starts]
    strangers = enrolled.search(searched, top=1, without=enrolled.subjects.tolist()).similarities[:, 0]
    return Known(enrolled, metrics.threshold_at(FPIR, strangers))


def sight(clip: Path, detector: Detector, matchers: Mapping[str, Matcher], every: int = 1) -> Iterator[Track]:
    """The tracks of a clip as they end.

    Raises:
        ClipUnreadable: no video, or damaged; possibly after tracks were given.
    """
    return tracks.link(_faces(clip, detector, matchers, every))


def search(track: Track, galleries: Mapping[str, Known]) -> dict[str, Answers]:
    """Every sighting of a track, and their mean, in the gallery of each matcher."""
    answers = {}
    for name, one in galleries.items():
        seen = np.concatenate([sighting.templates[name] for sighting in track.sightings])
        rows = np.concatenate([seen, mean_template(seen, one.gallery.made_by.metric)])
        found = one.gallery.search(rows, top=1)
        everything = tuple(
            Answer(str(one.gallery.subjects[subject]), float(similarity), bool(similarity > one.threshold))
            for subject, similarity in zip(found.subjects[:, 0], found.similarities[:, 0])
        )
        answers[name] = Answers(everything[:-1], everything[-1])
    return answers


def mean_template(templates: NDArray[np.float32], metric: Metric) -> NDArray[np.float32]:
    """(1, D) of (N, D): directions count alike under a cosine; under a distance templates are averaged as they are."""
    even = templates / np.linalg.norm(templates, axis=1, keepdims=True) if metric == "cosine" else templates
    return np.asarray(even.mean(axis=0, keepdims=True), np.float32)


def report(sighted: Iterable[Track], galleries: Mapping[str, Known]) -> Report:
    """Who of the galleries is named for which track."""
    rows, places = [], []
    for track in sighted:
        first, last = track.sightings[0], track.sightings[-1]
        answers = search(track, galleries)
        rows.append({
            "from_s": round(first.seconds, 3),
            "to_s": round(last.seconds, 3),
            "faces": len(track.sightings),
            "height_px": float(max(one.box[3] - one.box[1] for one in track.sightings)),
            "matchers": {name: _row(track, one) for name, one in answers.items()},
        })
        places.append([Sighting(s.frame, s.seconds, s.box, s.score, {}) for s in track.sightings])
    people = {name: sorted(_people(rows, name)) for name in galleries}
    thresholds = {name: one.threshold for name, one in galleries.items()}
    return {"thresholds": thresholds, "faces": sum(map(len, places)), "tracks": rows, "people": people}, places


def against(original: Report, copy: Report, enlargement: float = 1.0) -> dict[str, Any]:
    """What a protected copy still gives away of what its original does, of two `report`s at the same frames.

    Args:
        enlargement: how much larger the copy's frames are, see `clips.enlargement`.
    """
    by_frame: dict[int, list[Sighting]] = {}
    for one in (sighting for track in copy[1] for sighting in track):
        by_frame.setdefault(one.frame, []).append(one)
    still = sum(
        any(
            overlaps(there.box[None] / np.float32(enlargement), one.box)[0] > STILL_THERE_IOU
            for there in by_frame.get(one.frame, [])
        )
        for track in original[1]
        for one in track
    )
    people = {}
    for name, before in original[0]["people"].items():
        after = set(copy[0]["people"][name])
        people[name] = {"in_original": before, "still_found": sorted(after & set(before)),
                        "only_in_copy": sorted(after - set(before))}
    return {"faces_in_original": original[0]["faces"], "faces_still_detected": still, "people": people}


def lines(result: dict[str, Any]) -> Iterator[str]:
    """A report for a terminal: a line for each track and matcher that names somebody above the threshold."""
    silent = 0
    for track in result["tracks"]:
        said = [(name, way, one[way]) for name, one in track["matchers"].items() for way in ("average", "best_frame")
                if one[way]["above"]]  # fmt: skip
        silent += not said
        for name, way, answer in said:
            words = "mean of the track" if way == "average" else f"frame at {_clock(answer['seconds'])}"
            yield (f"{_clock(track['from_s'])}-{_clock(track['to_s'])}  {answer['subject']}  {name} "
                   f"{answer['similarity']:.3f}, {words}")  # fmt: skip
    yield f"{len(result['tracks'])} tracks of {result['faces']} faces; {silent} tracks name nobody above the threshold."


def _faces(
    clip: Path, detector: Detector, matchers: Mapping[str, Matcher], every: int
) -> Iterator[tuple[int, float, bool, Faces, list[Templates]]]:
    for frame in clips.read(clip, every):
        faces = detector.find(frame.pixels)
        # One face at a time, as photos are embedded: a batch may sum in another order.
        templates = [
            {name: matcher.embed(frame.pixels, faces.only(i)) for name, matcher in matchers.items()}
            for i in range(len(faces))
        ]
        yield frame.number, frame.seconds, frame.after_cut, faces, templates


def _row(track: Track, answers: Answers) -> dict[str, Any]:
    best = answers.best()
    names, counts = np.unique([answer.subject for answer in answers.frames], return_counts=True)
    return {
        "average": _plain(answers.average),
        "best_frame": _plain(answers.frames[best]) | {"seconds": round(track.sightings[best].seconds, 3)},
        "most_frames": {"subject": str(names[counts.argmax()]), "frames": int(counts.max())},
    }


def _plain(answer: Answer) -> dict[str, Any]:
    return {"subject": answer.subject, "similarity": answer.similarity, "above": answer.above}


def _people(rows: list[dict[str, Any]], matcher: str) -> set[str]:
    """Who is above the threshold in a frame or on average."""
    ways = ("average", "best_frame")
    answers = (row["matchers"][matcher][way] for row in rows for way in ways)
    return {answer["subject"] for answer in answers if answer["above"]}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):02d}:{rest:05.2f}"
