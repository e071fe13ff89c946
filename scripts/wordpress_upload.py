"""Measures what the plugin adds to an upload in WordPress: writes `evaluation/results/wordpress.json`.

    python scripts/wordpress_upload.py [--out FILE] [--times N] [--browser PATH] [--json]

A photo of 12 megapixels with two faces goes into a WordPress of its own two ways, over REST and through an image block
in a real browser, with the plugin under the policy `require` and without it, by turns; the service covers both faces.
Measured until WordPress has answered, which is when it has made all sizes, and in the editor until the picture is in
the post. One upload before, which waits for the networks to be loaded, is measured by itself.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from demo import portrait
from PIL import ExifTags, Image, ImageOps
from playwright.sync_api import Browser, sync_playwright

from evaluation import record

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "evaluation" / "results" / "wordpress.json"
SIZE = (4000, 3000)
WAYS = ("rest", "editor")
SETUPS = ("without", "with")
_PATIENCE_MS = 300_000
_COMMAND = "from cloak.cli import main; main()"


def photo(number: int) -> bytes:
    """A portrait and its mirror image, with a position; each number another file."""
    picture = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    with Image.open(portrait()) as image:
        one = image.convert("RGB").resize((1700, 1700), Image.Resampling.LANCZOS)
    picture.paste(one, (200, 900))
    picture.paste(ImageOps.mirror(one), (2100, 900))
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = f"Camera {number}"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 51.0, 30.0)
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=92, exif=exif)
    return data.getvalue()


def measure(times: int, browser: str) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT))
    from tests.web.wordpress.newsroom import newsroom

    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="fc-") as temporary, newsroom(Path(temporary) / "wp") as site, \
            _service(Path(temporary) / "service") as (address, token), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        site.configure(address, token, policy="require", timeout_s=300)
        first = _rest(site, photo(0), is_covered=True)
        runs = []
        for k in range(times):
            run: dict[str, dict[str, float]] = {way: {} for way in WAYS}
            for setup in SETUPS if k % 2 else SETUPS[::-1]:  # neither is always the one that finds caches filled
                _switch(site, setup == "with")
                number = 4 * k + 2 * SETUPS.index(setup) + 1
                run["rest"][setup] = _rest(site, photo(number), is_covered=setup == "with")
                run["editor"][setup] = _editor(site, chromium, photo(number + 1), is_covered=setup == "with")
            runs.append(run)
        chromium.close()
        versions = site.php("return [get_bloginfo('version'), PHP_VERSION];")
    medians = {way: {setup: statistics.median(run[way][setup] for run in runs) for setup in SETUPS} for way in WAYS}
    added = {way: statistics.median(run[way]["with"] - run[way]["without"] for run in runs) for way in WAYS}
    return {
        "run": {"times": times, "megapixels": SIZE[0] * SIZE[1] / 1e6, "faces": 2, "policy": "require",
                "treatment": "redact solid", "wordpress": versions[0], "php": versions[1],
                "processors": os.cpu_count(), "load_before": load},
        "first_s": first,
        "medians_s": medians,
        "added_s": added,
        "measured_s": runs,
    }


@contextmanager
def _service(folder: Path) -> Iterator[tuple[str, str]]:
    """(address, token) of a service in a process of its own, as somebody would run it."""
    cloak = [sys.executable, "-c", _COMMAND]
    made = subprocess.run([*cloak, "token", "create", "wordpress", "--folder", str(folder)], cwd=ROOT,
                          capture_output=True, text=True, check=True)
    found = re.search(r"fcl_[0-9a-f]{12}_[0-9a-f]{64}", made.stdout + made.stderr)
    assert found, "no token was made"
    with open(folder / "service.log", "w+") as log:
        process = subprocess.Popen([*cloak, "serve", "--port", "0", "--folder", str(folder)], cwd=ROOT,
                                   stdout=log, stderr=subprocess.STDOUT, text=True)
        try:
            yield f"http://127.0.0.1:{_port(folder / 'service.log', process)}", found[0]
        finally:
            process.terminate()
            process.wait()


def _port(log: Path, process: subprocess.Popen[str]) -> int:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r'"event": "listening".*?"port": (\d+)', log.read_text()):
            return int(found[1])
        time.sleep(0.1)
    raise SystemExit(f"the service does not start: {log.read_text()[-500:]} Nothing was measured.")


def _switch(site: Any, is_on: bool) -> None:
    if is_on:
        site.activate()
    else:
        site.php("deactivate_plugins('facecloak/facecloak.php'); return null;", user="administrator", is_admin=True)


def _rest(site: Any, data: bytes, *, is_covered: bool) -> float:
    with site.client("author") as client:
        start = time.perf_counter()
        answer = client.post("/wp-json/wp/v2/media", files={"file": ("march.jpg", data, "image/jpeg")}, timeout=300)
        seconds = time.perf_counter() - start
        if answer.status_code != 201:
            raise SystemExit(f"the upload was refused: {answer.text[:300]} Nothing was measured.")
        _check(client, answer.json()["source_url"], is_covered)
    return seconds


def _editor(site: Any, chromium: Browser, data: bytes, *, is_covered: bool) -> float:
    """From the choice of the file to the picture in the post, which has its number then."""
    context = chromium.new_context()
    context.add_cookies(site.cookies("author"))
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    page.goto(f"{site.url}/wp-admin/post-new.php")
    page.wait_for_function("window.wp && wp.blocks && wp.blocks.getBlockType('core/image') && "
                           "wp.data.select('core/editor').getCurrentPostId()")
    page.evaluate("wp.data.dispatch('core/block-editor').insertBlocks(wp.blocks.createBlock('core/image'))")
    files = page.locator(".wp-block-image input[type=file]")
    files.wait_for(state="attached")
    start = time.perf_counter()
    files.set_input_files({"name": "march.jpg", "mimeType": "image/jpeg", "buffer": data})
    page.wait_for_function("wp.data.select('core/block-editor').getBlocks()[0].attributes.id")
    seconds = time.perf_counter() - start
    url = page.evaluate("wp.data.select('core/block-editor').getBlocks()[0].attributes.url")
    with site.client() as client:
        _check(client, url, is_covered)
    context.close()
    return seconds


def _check(client: httpx.Client, url: str, is_covered: bool) -> None:
    """That what was measured is what was meant: the middle of the left face is black, or is not."""
    with Image.open(io.BytesIO(client.get(url).content)) as image:
        small = image.convert("L").resize((400, 300))
    left, top = 20 + int(170 * 0.43), 90 + int(170 * 0.22)  # where the portrait's face is
    is_black = int(np.asarray(small.crop((left, top, left + 4, top + 4))).max()) < 20
    if is_black != is_covered:
        raise SystemExit(f"{url}: the face is {'covered' if is_black else 'clear'}. Nothing was measured.")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--browser", default=shutil.which("chromium"), help="a Chromium")
    parser.add_argument("--json", action="store_true", help="also to standard output")
    arguments = parser.parse_args()
    if not arguments.browser:
        raise SystemExit("no Chromium: install the package chromium, or name one with --browser. Nothing was measured.")
    measured = measure(arguments.times, arguments.browser)
    record.write(arguments.out, "wordpress", measured)
    print(json.dumps(measured, indent=1) if arguments.json else arguments.out)


if __name__ == "__main__":
    main()
