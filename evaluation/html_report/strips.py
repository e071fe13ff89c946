"""Faces of a run, side by side: only when somebody asks, because the page then holds them.

They come from the work folder of a run, by its own lists `made/<arm>/<chunk>.json` of which file is whose.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from evaluation.faces import PhotoUnreadable, Pixels, decode, main_face
from evaluation.html_report.markup import Markup, tag
from evaluation.html_report.page import alarm
from evaluation.record import ResultUnreadable

MOST = 8  # people; each picture is about 8 kB
SIDE_PX = 192
CLEAN = "no-op"  # the clean photo itself lies in the data pack, not in the work folder
SECOND = "-second"  # other photos of the same people, for linkability
WORK_SCHEMA = "facecloak-work/1"


def side_by_side(folder: Path) -> tuple[Markup, Markup]:
    """A warning for the head of the page, and one row a person with one picture an arm. No names: faces are enough.

    Raises:
        ResultUnreadable: the folder is not the work folder of a run.
    """
    arms = _arms(folder)
    subjects = sorted({subject for by_subject in arms.values() for subject in by_subject})[:MOST]
    body, held = [], 0
    for number, subject in enumerate(subjects, start=1):
        person = f"person {number}"
        cells: list[str] = []
        box = _box(arms.get(CLEAN, {}).get(subject))
        for arm, by_subject in arms.items():
            path = by_subject.get(subject)
            held += path is not None
            cells.append(tag("td", "-" if path is None else _picture(path, box, f"{person}, {arm}")))
        body.append(tag("tr", tag("th", person, scope="row"), *cells))
    head = tag("tr", tag("th", "person", scope="col"), *(tag("th", arm, scope="col") for arm in arms))
    whole = tag("table", tag("caption", "As written, before publishing."), tag("thead", head),
                tag("tbody", *body))
    warning = alarm(
        f"This page holds {held} pictures of faces of {len(subjects)} people, some of them unprotected. Whoever gets "
        "the page gets the faces. Do not pass it on.")
    pictures = tag("div", whole, class_="wide faces", tabindex=0, role="region", aria_label="Faces by person and arm")
    return warning, tag("section", tag("h2", "Faces", id="faces"), pictures)


def _arms(folder: Path) -> dict[str, dict[str, Path]]:
    """Per arm and person the written photo, the untouched one first."""
    found: dict[str, dict[str, Path]] = {}
    for listing in sorted(folder.glob("made/*/*.json")):
        if listing.parent.name.endswith(SECOND):
            continue
        for subject, path in _listed(folder, listing).items():
            found.setdefault(listing.parent.name, {})[subject] = path
    if not found:
        raise ResultUnreadable(
            f"{folder}: lists no photos in made/<arm>/, so it is not the work folder of a run. No report was written.")
    return dict(sorted(found.items(), key=lambda item: (item[0] != CLEAN, item[0])))


def _listed(folder: Path, listing: Path) -> dict[str, Path]:
    """Photos by person, of one list."""
    try:
        document = json.loads(listing.read_text(encoding="utf-8"))
        if document["schema"] != WORK_SCHEMA:
            raise ValueError(f"schema is not {WORK_SCHEMA}")
        paths = {str(subject): (folder / str(one["path"])).resolve() for subject, one in document["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultUnreadable(f"{listing}: not a list of photos ({error}). No report was written.") from error
    # A list that was tampered with must not pull other pictures of this machine into a page.
    if outside := [path for path in paths.values() if not path.is_relative_to(folder.resolve())]:
        raise ResultUnreadable(f"{listing}: names {outside[0]}, which is not below {folder}. No report was written.")
    return paths


def _box(clean: Path | None) -> tuple[float, float, float, float] | None:
    """Where the face is in the unprotected photo, as shares of its sides; the same place is shown for every arm."""
    if clean is None:
        return None
    from evaluation.hog import Hog  # its weights come with dlib's package, so that a report needs no other file

    pixels = decode(clean)
    faces = Hog().find(pixels)
    index = main_face(faces, (pixels.shape[0], pixels.shape[1]))
    if index is None:
        return None
    x1, y1, x2, y2 = (float(value) for value in faces.boxes[index])
    return x1 / pixels.shape[1], y1 / pixels.shape[0], x2 / pixels.shape[1], y2 / pixels.shape[0]


def _picture(path: Path, box: tuple[float, float, float, float] | None, words: str) -> Markup:
    try:
        pixels = decode(path)
    except PhotoUnreadable:
        return tag("span", "not readable")
    buffer = io.BytesIO()
    Image.fromarray(_around(pixels, box)).resize((SIDE_PX, SIDE_PX)).save(buffer, "JPEG", quality=88)
    source = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return tag("img", src=source, alt=words, width=SIDE_PX, height=SIDE_PX)


def _around(pixels: Pixels, box: tuple[float, float, float, float] | None) -> Pixels:
    """The square of 1.7 times the height of the face around it; without a face, the square in the middle."""
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = box or (0.2, 0.2, 0.8, 0.8)
    side = int(min(1.7 * (y2 - y1) * height, width, height))
    left = int(np.clip((x1 + x2) / 2 * width - side / 2, 0, width - side))
    top = int(np.clip((y1 + y2) / 2 * height - side / 2, 0, height - side))
    return pixels[top : top + side, left : left + side]
