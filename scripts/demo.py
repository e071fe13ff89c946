"""What `make demo` runs: cloaks one photo and leaves before, after and the difference in a folder.

    python scripts/demo.py [--out FOLDER] [PHOTO]

Without PHOTO it takes the NASA portrait of Eileen Collins (public domain) from scikit-image's wheel. The exit code is
that of `cloak photo`.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np

from cloak import Photo, Settings, terminal
from cloak.files import output_path_for, shown, write_new
from cloak.formats import SUFFIXES
from cloak.io_image import encode_photo, read_photo
from cloak.report import report_path_for

# One level of 255 is invisible; eight times as much is seen, and a change of 16 does not leave the scale.
AMPLIFIED = 8


def portrait() -> Path:
    """Where scikit-image's wheel keeps the portrait; the package is not imported, so it cannot fetch anything."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("cloak: the portrait comes with scikit-image: pip install 'facecloak[demo]', or name a photo")
    return Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png"


def main() -> int:
    parser = argparse.ArgumentParser(description="Cloaks one photo and shows what changed.")
    parser.add_argument("photo", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    arguments = parser.parse_args()
    photo: Path = arguments.photo or portrait()
    out: Path = arguments.out
    if refusal := make_ready(out, photo):
        print(f"cloak: {shown(refusal)} Nothing was written.", file=sys.stderr)
        return terminal.FAILED
    suffix = output_path_for(photo, None, several=False).suffix
    after = out / f"after{suffix}"
    # The command itself, so that the demo shows what people will see.
    command = Path(sys.executable).with_name("cloak")
    code = subprocess.run([command, "photo", "-o", after, "--", photo]).returncode
    if not after.exists():
        return code
    limit = Settings().max_pixels
    original, cloaked = read_photo(photo, max_pixels=limit), read_photo(after, max_pixels=limit)
    # Through our own writer, not copied: whoever passes the folder on passes on no GPS position.
    before = out / f"before{suffix}"
    write_new(before, encode_photo(original, original.pixels, jpeg_quality=100), overwrite=False)
    change = cloaked.pixels.astype(np.int16) - original.pixels
    amplified = np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8)
    picture = Photo(path=out / "difference.png", pixels=amplified, format="PNG", sha256="")
    write_new(picture.path, encode_photo(picture, amplified, jpeg_quality=100), overwrite=False)
    print(f"\nLook at them, in {shown(out.resolve())}:")
    for path, what in ((before, "the photo as it was read, without metadata"), (after, "the cloaked photo"),
                       (picture.path, f"what changed, {AMPLIFIED} times stronger, around grey"),
                       (report_path_for(after), "the report")):
        print(f"  {path.name:<15} {what}")
    return code


def make_ready(out: Path, photo: Path) -> str | None:
    """Empties the folder of the last demo, or says why it may not be used. Only what a demo made is ever removed."""
    marker = out / ".facecloak-demo"
    try:
        if out.is_dir() and any(out.iterdir()):
            if not marker.exists():
                return f"{out}: is not empty and not from a demo. Name another folder: make demo OUT=folder."
            if photo.exists() and photo.parent.samefile(out):
                return f"{photo}: lies in the folder that the demo empties. Move it, or make demo OUT=folder."
        out.mkdir(parents=True, exist_ok=True)
        marker.touch()
        for suffix in sum(SUFFIXES.values(), ()):
            for name in (f"before{suffix}", f"after{suffix}", f"after{suffix}.json", "difference.png"):
                (out / name).unlink(missing_ok=True)
    except OSError as error:
        return f"{out}: cannot be used ({error.strerror})."
    return None


if __name__ == "__main__":
    sys.exit(main())
