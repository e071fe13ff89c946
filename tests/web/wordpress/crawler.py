"""Fetches what a site offers to everybody, as somebody would who looks for originals, and searches it for faces,
positions, thumbnails and serial numbers. None of the readers is the plugin's or the service's: MTCNN, exiftool, bytes.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from evaluation.canaries import Canary, _forms, _views
from evaluation.canaries import _pictures as _beginnings

from .newsroom import Newsroom

_LOOK_PX = 800  # a larger picture is looked at in this size: the faces in these photos are a third of its height
_SMALLEST_PX = 64
_CLIPS = (".mp4", ".webm", ".mov")
_SURE, _LIKELY = 0.9, 0.5  # of MTCNN and of CenterFace, which gives these faces 0.8 and more, and folds of cloth 0.2
_FLAT = 12.0  # standard deviation of grey levels: a cover is flat where CenterFace still takes it for a face
# Everything that says where, with what or by whom a picture was taken, and every second picture in a file
_TELLING = re.compile(r"GPS|Serial|Thumbnail|Preview(?!Time|Duration)|MakerNote|MPImage|JpgFromRaw|Owner|Location|"
                      r"Sub-location|City|DateTimeOriginal|RegionName|^Model$|^Make$|Latitude|Longitude|InstanceID|DocumentID")


@dataclass(frozen=True)
class Fetched:
    """What came from an address."""

    url: str
    data: bytes


@dataclass(frozen=True)
class Finding:
    """What should not have been to be had."""

    url: str
    what: str


def crawl(site: Newsroom) -> list[Fetched]:
    """Every file that anybody can have: named in REST, in the database, or lying under uploads; each once."""
    base = f"{site.url}/wp-content/uploads/"
    with site.client() as nobody, site.client("editor") as editor:
        told: set[str] = set()
        for media in editor.get("/wp-json/wp/v2/media", params={"per_page": 100, "context": "edit"}).json():
            told |= _addresses(media, base)
            told |= _addresses(nobody.get(f"/wp-json/wp/v2/media/{media['id']}").json(), base)
            told |= _addresses(nobody.get(media["link"], follow_redirects=True).text, base)
        folders = [path for (path,) in site.sql(
            "SELECT meta_value FROM wp_postmeta WHERE meta_key = '_wp_attached_file'")]
        told |= {base + path for path in folders}
        # What the database knows of: sizes, the original of a scaled picture, what an edit left behind
        names = set(re.findall(r'"([^"/]+\.(?:jpe?g|png|webp|heic|gif|mp4|webm|mov))"', "".join(
            "".join(row) for row in site.sql("SELECT meta_value FROM wp_postmeta WHERE meta_key LIKE '\\_wp%'"))))
        told |= {base + str(Path(path).parent / name) for path in folders for name in names}
        told |= {base + str(path.relative_to(site.uploads)) for path in site.uploads.rglob("*") if path.is_file()}
        found = []
        for url in sorted(told):
            answer = nobody.get(url)
            if answer.status_code == 200:
                found.append(Fetched(url, answer.content))
    on_disk = {base + str(path.relative_to(site.uploads)) for path in site.files}
    assert on_disk <= {one.url for one in found}, "not everything under uploads was fetched"
    return found


def search(found: Sequence[Fetched], canaries: Sequence[Canary], nets: Any, folder: Path) -> list[Finding]:
    """Args: folder: empty, for exiftool."""
    return [*_by_bytes(found, canaries), *_by_exiftool(found, folder), *_by_eye(found, nets)]


def _addresses(value: Any, base: str) -> set[str]:
    text = (value if isinstance(value, str) else json.dumps(value)).replace("\\/", "/")
    return set(re.findall(re.escape(base) + r"[^\"'\s<>),\\]+", text))


def _by_bytes(found: Sequence[Fetched], canaries: Sequence[Canary]) -> list[Finding]:
    """As they are, and as encodings or compression would hide them."""
    findings = []
    forms = {canary.name: [form for needle in canary.needles for form in _forms(needle)] for canary in canaries}
    for one in found:
        views = list(_views(one.data))
        findings += [Finding(one.url, f"canary: {name}") for name, looks in forms.items()
                     if any(look in view for view in views for look in looks)]
        if _beginnings(one.data) > 1 and not one.url.endswith(_CLIPS):
            findings.append(Finding(one.url, f"{_beginnings(one.data)} pictures in one file"))
    return findings


def _by_exiftool(found: Sequence[Fetched], folder: Path) -> list[Finding]:
    folder.mkdir()
    for k, one in enumerate(found):
        (folder / str(k)).write_bytes(one.data)
    run = subprocess.run(["exiftool", "-json", "-a", "-G1:0", "-ee", "-u", "-q", "-@", "-"],
                         input="\n".join(map(str, range(len(found)))), cwd=folder,
                         capture_output=True, text=True, errors="replace", timeout=120)
    findings = []
    for tags in json.loads(run.stdout or "[]"):
        url = found[int(tags["SourceFile"])].url
        for tag in tags:
            group, _, name = tag.rpartition(":")
            if _TELLING.search(name) and not group.startswith(("System", "ICC")):
                findings.append(Finding(url, f"tag: {tag}"))
    return findings


def _by_eye(found: Sequence[Fetched], nets: Any) -> list[Finding]:
    findings = []
    for one in found:
        for what, picture in _pictures(one):
            count = clear_faces(picture, nets)
            if count:
                findings.append(Finding(one.url, f"{count} clear faces{what}"))
    return findings


def _pictures(one: Fetched) -> list[tuple[str, Image.Image]]:
    if one.url.endswith(_CLIPS):
        with av.open(io.BytesIO(one.data)) as container:
            frames = [frame.to_image() for frame in container.decode(video=0)]
        return [(f" in frame {k}", frames[k]) for k in range(0, len(frames), 6)]
    try:
        with Image.open(io.BytesIO(one.data)) as image:
            return [("", image.convert("RGB"))]
    except OSError:
        assert not one.url.endswith((".jpg", ".png", ".webp")), f"{one.url} is no picture"
        return []


@cache
def _mtcnn() -> Any:
    from facenet_pytorch import MTCNN

    return MTCNN(keep_all=True, min_face_size=30, device="cpu")


def clear_faces(picture: Image.Image, nets: Any) -> int:
    """Faces that MTCNN is sure of, or CenterFace sees where nothing flat covers them."""
    picture = picture.copy()
    picture.thumbnail((_LOOK_PX, _LOOK_PX))
    if min(picture.size) < _SMALLEST_PX:
        return 0
    boxes, scores = _mtcnn().detect(picture)
    sure = 0 if boxes is None else sum(score > _SURE for score in scores)
    seen, grey = nets.find([np.asarray(picture)])[0], np.asarray(picture.convert("L")).astype(float)
    for (x1, y1, x2, y2), score in zip(seen.boxes, seen.scores):
        width, height = x2 - x1, y2 - y1
        rows = slice(max(0, int(y1 + height / 4)), max(0, int(y2 - height / 4)))
        core = grey[rows, max(0, int(x1 + width / 4)) : max(0, int(x2 - width / 4))]
        sure += bool(score > _LIKELY and core.size and core.std() > _FLAT)
    return sure
