"""What is done in a job of each kind: calls into the engine, nothing of our own. Runs in a worker process.

The folder of the job is the current one, so that messages of the engine say "photo" and no path.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from PIL import Image

import cloak
from web import clip_work
from web.failures import failure
from web.kinds import Most
from web.pace import OnShare, Options

Work: TypeAlias = Callable[[Options, Most, OnShare], dict[str, Any]]

_MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".tif": "image/tiff",
                ".heic": "image/heic", ".avif": "image/avif"}
_VIEW_PX = 3072  # on the longer side of a picture to look at: sharp on a large screen, a few megabytes
_PHOTO, _ORIGINAL = Path("photo"), Path("original")


# Of the public names, which are imported when they are first used, those that bring along all that is needed
_FIRST = MappingProxyType({"photos": ("cloak_photos", "read_photo", "verify_photo"),
                           "clips": ("redact_video", "review_clip")})


def load(line: str) -> None:
    """Imports the engine with all it needs for the jobs of one line."""
    for name in _FIRST[line]:
        getattr(cloak, name)


def detect(options: Options, most: Most, on_share: OnShare) -> dict[str, Any]:
    """The faces by number, and the photo with the numbers on it."""
    settings = cloak.Settings(max_pixels=most.max_pixels)
    photo, faces = cloak.find_faces(_PHOTO, settings=settings)
    cloak.draw_faces(photo, faces, Path("photo.faces.jpg"), settings=settings)
    found = [{"number": i + 1, "box": [round(float(v), 1) for v in box], "score": round(float(score), 3)}
             for i, (box, score) in enumerate(zip(faces.boxes, faces.scores))]
    height, width = photo.pixels.shape[:2]
    views = {"photo": _view(photo, "photo.view.jpg")} if options.get("view") else {}
    return {"faces": found, "size": [width, height], "sha256": photo.sha256, "views": views,
            "result": _result("photo.faces.jpg")}


def protect(options: Options, most: Most, on_share: OnShare) -> dict[str, Any]:
    """The protected photo with its report."""
    default = _treatment(options["default"])
    settings = cloak.Settings(
        max_pixels=most.max_pixels, ensure=options["ensure"], small=options["small"],
        no_face=options["no_face"], metadata=options["metadata"],
        keep_heic=options["keep_heic"], jpeg_quality=options["jpeg_quality"],
    )
    if default.kind == "redact":
        settings = dataclasses.replace(settings, cover=default.how)  # type: ignore[arg-type]
    choices = cloak.Choices(
        default, {int(number): _treatment(how) for number, how in options["faces"].items()},
        tuple(cloak.Region(r["x"], r["y"], r["width"], r["height"], _treatment(r["treatment"]))
              for r in options["regions"]),
        options["sha256"],
    )
    is_cloaked = any(one.kind == "cloak" for one in (default, *choices.faces.values()))
    output = cloak.output_path_for(_PHOTO, None, several=False, keep_heic=settings.keep_heic,
                                   mark="cloaked" if is_cloaked else "redacted")

    def on_progress(progress: cloak.Progress) -> None:
        step = progress.step / progress.steps if progress.steps else 0.0
        share = (progress.faces_done + progress.faces_in_work * step) / max(progress.faces, 1)
        on_share(min(share, 1.0), f"{progress.faces_done} of {progress.faces} faces, "
                                  f"step {progress.step} of {progress.steps}")

    (outcome,) = cloak.cloak_photos([_PHOTO], [output], settings, choices={_PHOTO: choices}, progress=on_progress)
    if outcome.report is None:
        raise failure(outcome.raised or "", outcome.error or "")
    views = {}
    if options.get("view"):  # of the file as it was written, not of what was to be written
        views["photo"] = _view(cloak.read_photo(output, max_pixels=most.max_pixels, keep_heic=True), "photo.view.jpg")
    return {**_judged(outcome.report), "views": views, "result": _result(output.name)}


def check(options: Options, most: Most, on_share: OnShare) -> dict[str, Any]:
    """The verdict on any file; without an original only its faces."""
    original = _ORIGINAL if _ORIGINAL.exists() else None
    report = cloak.verify_photo(_PHOTO, original=original, settings=cloak.Settings(max_pixels=most.max_pixels))
    return _judged(report)


WORK: MappingProxyType[str, Work] = MappingProxyType({"detect": detect, "protect": protect, "check": check,
                                                  "video-plan": clip_work.plan, "video": clip_work.render})


def _treatment(words: str) -> cloak.Treatment:
    kind, _, how = words.partition(" ")
    return cloak.Treatment(kind, how)  # type: ignore[arg-type]


def _judged(report: cloak.Report) -> dict[str, Any]:
    sha256 = report.input_sha256
    return {"report": cloak.report_to_dict(report), "size": list(report.size), "sha256": sha256,
            "is_protected": report.is_protected}


def _view(photo: cloak.Photo, name: str) -> dict[str, str]:
    """A JPEG that every browser shows, whatever the format, in the colours of the photo."""
    image = Image.fromarray(photo.pixels)
    image.thumbnail((_VIEW_PX, _VIEW_PX), Image.Resampling.LANCZOS)
    image.save(name, "JPEG", quality=92, subsampling=0, icc_profile=photo.icc_profile)
    return _result(name)


def _result(name: str) -> dict[str, str]:
    return {"file": name, "media_type": _MEDIA_TYPES[Path(name).suffix]}
