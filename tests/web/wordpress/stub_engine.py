"""A worker whose engine is made up, so that tests of WordPress wait for WordPress and not for networks.

A photo of one colour has no face; every other has two, at a fifth and at seven tenths of its width (`boxes`). What is
written is what was asked for, upright, without metadata, in the format that came (HEIC: JPEG): hidden and drawn parts
black, cloaked ones a little brighter. A photo 333 pixels wide has a cloak that does not hold.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pillow_heif
from PIL import Image, ImageOps, UnidentifiedImageError

from cloak import (
    FaceReport,
    NoFaceFound,
    PhotoUnreadable,
    Report,
    Verdict,
    VideoReport,
    report_to_dict,
    video_report_to_dict,
)
from web.worker import main

UNPROTECTED_PX = 333
_FORMATS = {"JPEG": ("jpg", "image/jpeg"), "PNG": ("png", "image/png"), "WEBP": ("webp", "image/webp"),
            "TIFF": ("tif", "image/tiff"), "AVIF": ("avif", "image/avif")}


def boxes(size):
    """(number, (x1, y1, x2, y2)) of the faces of an upright photo of this size."""
    width, height = size
    return [(i + 1, (round(x * width), round(0.3 * height), round((x + 0.15) * width), round(0.6 * height)))
            for i, x in enumerate((0.2, 0.7))]


def _open(name):
    pillow_heif.register_heif_opener()
    try:
        with Image.open(name) as image:
            return image.format, ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError):
        raise PhotoUnreadable(f"{name}: not a picture. Nothing was written.") from None


def _sha256(name):
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def _faces(image):
    return boxes(image.size) if any(low != high for low, high in image.getextrema()) else []


def detect(options, most, on_share):
    _, image = _open("photo")
    image.save("photo.view.jpg", quality=80)
    return {"faces": [{"number": n, "box": list(box), "score": 0.9} for n, box in _faces(image)],
            "size": list(image.size), "sha256": _sha256("photo"), "views": {},
            "result": {"file": "photo.view.jpg", "media_type": "image/jpeg"}}


def protect(options, most, on_share):
    form, image = _open("photo")
    reports, found = [], _faces(image)
    if not found and not options["regions"] and options.get("no_face") != "clean":
        raise NoFaceFound("photo: no face found, nothing was written.")
    for number, box in found:
        how = options["faces"].get(str(number), options["default"])
        if how.startswith("redact"):
            image.paste((0, 0, 0), box)
        elif how.startswith("cloak"):
            image.paste(Image.eval(image.crop(box), lambda v: min(255, v + 9)), box)
        fails = how.startswith("cloak") and image.width == UNPROTECTED_PX
        status = "matched" if fails else {"redact": "redacted", "cloak": "protected", "keep": "kept"}[how.split()[0]]
        verdicts = () if status == "kept" else (Verdict("stub", True, 0.99, 0.95 if fails else 0.2, 1e-4, 0.4, fails,
                                                        0.9, 1e-3),)
        reports.append(FaceReport(number, tuple(map(float, box)), 0.9, how, status, verdicts, f"made up: {how}"))
    for area in options["regions"]:
        box = (area["x"], area["y"], area["x"] + area["width"], area["y"] + area["height"])
        image.paste((0, 0, 0), box)
        reports.append(FaceReport(len(reports) + 1, tuple(map(float, box)), 0.0, area["treatment"], "redacted", (),
                                  "covered as drawn"))
    suffix, media_type = _FORMATS.get(form, _FORMATS["JPEG"])
    name = f"photo.redacted.{suffix}"
    image.save(name, **({"quality": options["jpeg_quality"]} if suffix == "jpg" else {}))
    made = Report(input="photo", output=name, input_sha256=_sha256("photo"), output_sha256=_sha256(name),
                  size=image.size, faces=tuple(reports), words="As made up.", settings={}, versions={}, weights={},
                  notes=("It is made up.",))
    return {"report": report_to_dict(made), "size": list(image.size), "sha256": _sha256("photo"),
            "is_protected": made.is_protected, "views": {}, "result": {"file": name, "media_type": media_type}}


def _clip(name="clip.mp4", grey=120):
    """Writes five frames that can be played."""
    import av

    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 48), (grey,) * 3))))
        container.mux(stream.encode())


def _facts():
    return {"size": [64, 48], "sha256": _sha256("clip"), "duration_s": 0.2, "frames": 5, "plan": "plan.json"}


def plan(options, most, on_share):
    known = _facts()
    spots = [[frame, 10.0, 10.0, 20.0, 22.0, 0.9, "seen"] for frame in range(5)]
    Path("plan.json").write_text(json.dumps({
        "schema": "facecloak-plan/1", "clip": "clip", "sha256": known["sha256"], "size": [64, 48], "frames": 5,
        "cuts": [], "settings": {}, "versions": {}, "weights": {}, "areas": [],
        "tracks": [{"number": 1, "decision": "hide", "style": None, "is_lost": False, "spots": spots}]}))
    Image.new("RGB", (20, 24), (200, 150, 120)).save("track-1-1.jpg")
    track = {"number": 1, "from_s": 0.0, "to_s": 0.16, "frames": 5, "height_px": 12, "score": 0.9, "is_lost": False,
             "risks": ["small"], "decision": "hide", "style": None, "pictures": ["track-1-1.jpg"]}
    return {**known, "tracks": [track], "moments": [],
            "views": {"track-1-1.jpg": {"file": "track-1-1.jpg", "media_type": "image/jpeg"}}}


def render(options, most, on_share):
    given = Path("given.json")
    Path("plan.json").write_bytes(given.read_bytes() if given.exists() else b"{}")
    _clip("clip.redacted.mp4")
    made = VideoReport(
        input="clip", output="clip.redacted.mp4", input_sha256=_sha256("clip"),
        output_sha256=_sha256("clip.redacted.mp4"), size=(64, 48), frames=5, duration_s=0.2, tracks=(), regions=0,
        leaks=(), troubles=(), looked_at_again=5, uncovered_s=(), left_out=(), notes=("It is made up.",),
        settings={"accept_uncovered": False}, versions={}, weights={}, words="As made up.")
    return {**_facts(), "report": video_report_to_dict(made), "needs_a_look": False, "found_again": [],
            "result": {"file": "clip.redacted.mp4", "media_type": "video/mp4"}}


if __name__ == "__main__":
    main({"detect": detect, "protect": protect, "video-plan": plan, "video": render}, preload=lambda: None)
