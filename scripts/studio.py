"""Measures the studio in a real browser: writes `evaluation/results/studio.json`.

    python scripts/studio.py [--out FILE] [--times N] [--browser PATH]

`cloak studio` is started anew for every measurement. A photo of one megapixel with two faces is handed in, both are
cloaked at `balanced`, and the file is downloaded. Measured from the moment the browser is given the address: until the
page is ready, the faces are shown, the verdict is shown, the file has arrived. What a person thinks over is not in it.
The first measurement of a start includes the loading of the networks; a second one on the same page does not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from demo import portrait
from PIL import Image, ImageOps
from playwright.sync_api import Page, sync_playwright

from evaluation import record

RESULT = Path(__file__).parent.parent / "evaluation" / "results" / "studio.json"
SIZE = (1400, 720)
PHASES = ("page", "faces", "verdict", "file")
_PATIENCE_MS = 600_000
COMMAND = "from cloak.cli import main; main()"


def photo(path: Path) -> None:
    """A portrait and its mirror image on grey."""
    picture = Image.new("RGB", SIZE, (128, 128, 128))
    with Image.open(portrait()) as image:
        one = image.convert("RGB").resize((640, 640))
    picture.paste(one, (40, 40))
    picture.paste(ImageOps.mirror(one), (720, 40))
    picture.save(path, "JPEG", quality=92)


def measure(times: int, browser: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "two.jpg"
        photo(source)
        load = os.getloadavg()[0]
        runs = [_one(source, Path(temporary) / f"studio-{k}", browser) for k in range(times)]
    recognisers = sorted({name for run in runs for name in run.pop("recognisers")})
    return {
        "run": {"times": times, "faces": 2, "strength": "balanced", "megapixels": SIZE[0] * SIZE[1] / 1e6,
                "processors": os.cpu_count(), "load_before": load, "recognisers": recognisers},
        "medians_s": {way: {phase: statistics.median(run[way][phase] for run in runs) for phase in PHASES}
                      for way in ("first", "second")},
        "measured_s": runs,
    }


def _one(source: Path, folder: Path, browser: str) -> dict[str, Any]:
    """Seconds from the start to the end of each phase: of a first photo, and of a second one on a page loaded anew."""
    command = [sys.executable, "-c", COMMAND, "studio", "--no-browser", "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = chromium.new_page()
            page.set_default_timeout(_PATIENCE_MS)
            first, names = _flow(page, address, source)
            second, _ = _flow(page, address.partition("?")[0], source)
            chromium.close()
        return {"first": first, "second": second, "recognisers": names}
    finally:
        process.terminate()
        process.wait()


def _flow(page: Page, address: str, source: Path) -> tuple[dict[str, float], list[str]]:
    start, seconds = time.perf_counter(), {}

    def reached(phase: str) -> None:
        seconds[phase] = time.perf_counter() - start

    page.goto(address)
    page.wait_for_selector("#fc-photo-drop .fc-zone")
    reached("page")
    page.set_input_files("#fc-photo-drop input", source)
    page.wait_for_selector(".fc-row")
    reached("faces")
    if (count := page.locator(".fc-row").count()) != 2:
        raise SystemExit(f"{count} faces were found in the photo of two. Nothing was measured.")
    page.click("[data-all='cloak']")
    page.click("#fc-start")
    page.wait_for_selector("#fc-download")
    reached("verdict")
    with page.expect_download() as coming:
        page.click("#fc-download")
    if ".cloaked." not in coming.value.suggested_filename or not Path(coming.value.path()).stat().st_size:
        raise SystemExit(f"{coming.value.suggested_filename} is not a cloaked photo. Nothing was measured.")
    reached("file")
    cells = page.locator(".fc-verdict tbody tr td:nth-child(2)").all_text_contents()
    return seconds, cells


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--browser", default=shutil.which("chromium"), help="a Chromium")
    arguments = parser.parse_args()
    if not arguments.browser:
        raise SystemExit("no Chromium: install the package chromium, or name one with --browser. Nothing was measured.")
    record.write(arguments.out, "studio", measure(arguments.times, arguments.browser))
    print(arguments.out)


if __name__ == "__main__":
    main()
