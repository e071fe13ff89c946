"""A worker whose engine is made up, so that a browser waits for the pages and not for networks.

A photo of one colour has no face; every other has two, at a fifth and at seven tenths of its width. One that is 333
pixels wide takes half a minute. What is written is what was asked for: hidden and drawn parts black, cloaked ones a
little brighter.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from cloak import FaceReport, PhotoUnreadable, Report, Verdict, report_to_dict
from web.worker import main

SLOW_PX = 333


def boxes(size):
    """(number, (x1, y1, x2, y2)) of the faces of a photo of this size."""
    width, height = size
    return [(i + 1, (round(x * width), round(0.3 * height), round((x + 0.15) * width), round(0.6 * height)))
            for i, x in enumerate((0.2, 0.7))]


def _open(name):
    try:
        with Image.open(name) as image:
            return image.convert("RGB")
    except UnidentifiedImageError:
        raise PhotoUnreadable(f"{name}: not a picture. Nothing was written.") from None


def _sha256(name):
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def _view(image):
    image.save("photo.view.jpg", quality=92)
    return {"photo": {"file": "photo.view.jpg", "media_type": "image/jpeg"}}


def _faces(image):
    return boxes(image.size) if any(low != high for low, high in image.getextrema()) else []


def _verdict(similarity):
    return Verdict("stub", True, 0.99, similarity, 1e-4, 0.4, similarity > 0.9, 0.9, 1e-3)


def _report(image, faces, **more):
    fields = {"input": "photo", "output": "photo.redacted.png", "input_sha256": "0" * 64, "output_sha256": "1" * 64,
              "size": image.size, "faces": tuple(faces), "words": "As made up.", "settings": {}, "versions": {},
              "weights": {}, "notes": ("It is made up.",), **more}
    made = Report(**fields)
    return {"report": report_to_dict(made), "size": list(image.size), "sha256": _sha256("photo"),
            "is_protected": made.is_protected}


def detect(options, max_pixels, on_share):
    image = _open("photo")
    return {"faces": [{"number": n, "box": list(box), "score": 0.9} for n, box in _faces(image)],
            "size": list(image.size), "sha256": _sha256("photo"), "views": _view(image),
            "result": {"file": "photo.view.jpg", "media_type": "image/jpeg"}}


def protect(options, max_pixels, on_share):
    image = _open("photo")
    for k in range(60 if image.width == SLOW_PX else 2):
        on_share(k / 60, f"step {k} of 60")
        time.sleep(0.5 if image.width == SLOW_PX else 0.05)
    reports = []
    for number, box in _faces(image):
        how = options["faces"].get(str(number), options["default"])
        if how.startswith("redact"):
            image.paste((0, 0, 0), box)
        elif how.startswith("cloak"):
            image.paste(Image.eval(image.crop(box), lambda v: min(255, v + 9)), box)
        status = {"redact": "redacted", "cloak": "protected", "keep": "kept"}[how.split()[0]]
        verdicts = () if status == "kept" else (_verdict(0.2),)
        reports.append(FaceReport(number, tuple(map(float, box)), 0.9, how, status, verdicts, f"made up: {how}"))
    for area in options["regions"]:
        box = (area["x"], area["y"], area["x"] + area["width"], area["y"] + area["height"])
        image.paste((0, 0, 0), box)
        reports.append(FaceReport(len(reports) + 1, tuple(map(float, box)), 0.0, area["treatment"], "redacted", (),
                                  "covered as drawn"))
    image.save("photo.redacted.png")
    return {**_report(image, reports), "views": _view(image),
            "result": {"file": "photo.redacted.png", "media_type": "image/png"}}


def check(options, max_pixels, on_share):
    published, original = _open("photo"), _open("original")
    is_same = list(published.getdata()) == list(original.getdata())
    face = FaceReport(1, (0.0, 0.0, 9.0, 9.0), 0.9, "", "matched" if is_same else "protected",
                      (_verdict(0.99 if is_same else 0.2),), "as made up")
    return _report(published, [face], input="original", output="photo")


if __name__ == "__main__":
    main({"detect": detect, "protect": protect, "check": check}, preload=lambda: None)
