"""Counts the metadata that comes through: writes `evaluation/results/metadata.json`.

    python scripts/canaries.py [--out FILE]

Every canary of `evaluation.canaries`, in every format and under both profiles, goes in with a photo that is read and
written again as the tool does it, without the cloak in between, which sees pixels only. A row of the result says
whether the canary was found in the written file; the credit line is compared field by field. The exit code is 1 where
anything came through, or a credit was lost.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from demo import portrait
from PIL import Image

from cloak.io_image import encode_photo, read_photo
from evaluation import canaries, record

RESULT = Path(__file__).parent.parent / "evaluation" / "results" / "metadata.json"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"


def measure(picture: Image.Image, face: Image.Image, folder: Path) -> list[dict[str, Any]]:
    """One entry per format and profile; HEIC both as the JPEG it becomes and kept as it is."""
    runs = []
    for format, keep_heic in [*((format, False) for format in canaries.FORMATS), ("HEIF", True)]:
        planted = canaries.plant(picture, face, format)
        path = folder / f"planted{canaries.SUFFIXES[format]}"
        path.write_bytes(planted.data)
        photo = read_photo(path, max_pixels=10**6, keep_heic=keep_heic)
        before = canaries.inspect(planted.data, planted.canaries, "strip")
        for profile in canaries.PROFILES:
            written = encode_photo(photo, photo.pixels, jpeg_quality=95, metadata=profile,
                                   source_type="algorithmicallyEnhanced")
            after = canaries.inspect(written, planted.canaries, profile)
            runs.append({
                "format": format,
                "written_as": photo.output_format,
                "profile": profile,
                "all_found_before": len(before.found) == len(planted.canaries),
                "found": {canary.name: canary.name in after.found for canary in planted.canaries},
                "pictures_in_file": {"before": before.pictures, "after": after.pictures},
                "unexpected_tags": {"before": len(before.strange), "after": list(after.strange)},
                "credit_kept": {name: after.kept[name] == value for name, value in canaries.CREDIT.items()},
                "source_type_kept": after.source_type == SOURCE_TYPE,
            })  # fmt: skip
    return runs


def is_clean(run: dict[str, Any]) -> bool:
    """Nothing came through, and the credit line is whole or, where it was not asked for, absent."""
    wants_credit = run["profile"] == "credit"
    return (
        run["all_found_before"]
        and not any(run["found"].values())
        and run["pictures_in_file"]["after"] == 1
        and not run["unexpected_tags"]["after"]
        and all(kept == wants_credit for kept in [*run["credit_kept"].values(), run["source_type_kept"]])
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with Image.open(portrait()) as image:
        head = image.convert("RGB")
    with tempfile.TemporaryDirectory() as folder:
        runs = measure(head.resize((320, 320)), head.crop((170, 20, 290, 140)), Path(folder))
    exiftool = subprocess.run(["exiftool", "-ver"], capture_output=True, text=True, check=True).stdout.strip()
    names = {name for run in runs for name in run["found"]}
    planted = sum(len(run["found"]) for run in runs)
    found = sum(sum(run["found"].values()) for run in runs)
    credits = [kept for run in runs if run["profile"] == "credit" for kept in run["credit_kept"].values()]
    summary = {"distinct_canaries": len(names), "planted": planted, "found": found,
               "credit_fields": len(credits), "credit_fields_kept": sum(credits)}  # fmt: skip
    record.write(arguments.out, "metadata", {"exiftool": exiftool, "summary": summary, "runs": runs})
    for run in runs:
        verdict = "clean" if is_clean(run) else "NOT CLEAN"
        print(f"{run['format']:4} as {run['written_as']:4} {run['profile']:7} {verdict}")
    print(f"{found} of {planted} canaries came through; {sum(credits)} of {len(credits)} credits were kept")
    return 0 if all(map(is_clean, runs)) else 1


if __name__ == "__main__":
    sys.exit(main())
