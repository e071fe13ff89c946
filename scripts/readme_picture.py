"""Makes `docs/images/demo.png` for the README: before, after and the change eight times stronger, at twice their size.

    python scripts/readme_picture.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from demo import AMPLIFIED, portrait
from PIL import Image

from cloak import Settings, cloak_photos

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "demo.png"
HEAD = (120, 0, 330, 270)  # left, top, right, bottom in the portrait


def main() -> None:
    before = Image.open(portrait()).convert("RGB")
    with tempfile.TemporaryDirectory() as folder:
        after_path = Path(folder) / "after.png"
        (outcome,) = cloak_photos([portrait()], [after_path], Settings(device="cpu"))
        assert outcome.report is not None and outcome.report.is_protected, outcome.error or outcome.report
        after = Image.open(after_path).convert("RGB")
    change = np.asarray(after, np.int16) - np.asarray(before, np.int16)
    amplified = Image.fromarray(np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8))
    width, height = 2 * (HEAD[2] - HEAD[0]), 2 * (HEAD[3] - HEAD[1])
    strip = Image.new("RGB", (3 * width, height))
    for i, picture in enumerate((before, after, amplified)):
        strip.paste(picture.crop(HEAD).resize((width, height), Image.Resampling.LANCZOS), (i * width, 0))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    strip.save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
