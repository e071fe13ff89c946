"""The whole way with the real engine, as `cloak studio` starts it: what is downloaded is what was chosen."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from .conftest import choose, download, pixels_of, upload

# The service may answer, and never ask: a connection or a look-up of a name ends it at once
NO_NETWORK = """
import os, sys
calls = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")
def watch(event, arguments):
    if event in calls:
        print("NETWORK", event, arguments[-1:], file=sys.stderr, flush=True)
        os._exit(99)
sys.addaudithook(watch)
sys.argv[0] = "cloak"
from cloak.cli import main
main()
"""


@pytest.fixture
def command(tmp_path):
    """(address, process, folder, file with stderr) of a running `cloak studio`."""
    folder, errors = tmp_path / "studio", tmp_path / "stderr"
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": "1"}
    (tmp_path / "home").mkdir()
    with open(errors, "w") as stderr:
        process = subprocess.Popen([sys.executable, "-c", NO_NETWORK, "studio", "--no-browser", "--folder", folder],
                                   stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), errors.read_text()
            yield address, process, folder, errors
        finally:
            process.kill()
            process.wait()


def left_half(data):
    cut = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.crop((0, 0, image.width // 2, image.height)).save(cut, "PNG")
    return cut.getvalue()


@pytest.fixture
def two_faces(portrait):
    """The portrait at half its size, and beside it in the mirror: (512, 256) PNG."""
    with Image.open(portrait) as image:
        small = image.convert("RGB").resize((256, 256))
    both = Image.new("RGB", (512, 256))
    both.paste(small, (0, 0))
    both.paste(ImageOps.mirror(small), (256, 0))
    data = io.BytesIO()
    both.save(data, "PNG")
    return data.getvalue()


def test_one_face_is_covered_and_one_is_kept_and_the_check_says_so(command, visit, two_faces):
    address, process, folder, errors = command
    page = visit(address)
    page.set_default_timeout(240_000)  # the networks are loaded first
    page.wait_for_selector("#fc-photo-drop .fc-zone")
    upload(page, ("../Anna märz.png", two_faces))
    page.wait_for_selector(".fc-row")
    assert page.locator(".fc-row").count() == 2
    boxes = page.evaluate("[...document.querySelectorAll('.fc-face')].map(e => ['left','top','width','height'].map("
                          "s => parseFloat(e.style[s])))")
    choose(page, 1, "hide")
    choose(page, 2, "keep")
    page.click("#fc-start")
    page.wait_for_selector("#fc-download")
    assert "Covered." in page.inner_text(".fc-verdicts") and "as you chose" in page.inner_text(".fc-verdicts")
    name, data = download(page)
    assert name == "Anna märz.redacted.png"
    before, after = pixels_of(two_faces), pixels_of(data)
    (x, y, width, height), other = (np.array(box) * (5.12, 2.56, 5.12, 2.56) for box in boxes)
    hidden = after[int(y):int(y + height), int(x):int(x + width)]
    assert np.ptp(hidden.reshape(-1, 3), axis=0).max() == 0  # one colour
    assert np.array_equal(after[:, 256:], before[:, 256:]) and int(other[0]) >= 256  # the kept one, to the last bit
    report_name, report = download(page, "#fc-download-report")
    report = json.loads(report)
    assert report_name == "Anna märz.redacted.png.json" and report["output"] == "Anna märz.redacted.png"
    assert [face["status"] for face in report["faces"]] == ["redacted", "kept"]

    page.click("role=tab[name='Check']")
    # Both faces are the same person's, so the kept one is cut off
    for published, words in ((left_half(data), "no protection"), (left_half(two_faces), "Still matched by")):
        upload(page, ("published.png", published), into="#fc-check-drop [data-part=file] input")
        upload(page, ("original.png", left_half(two_faces)), into="#fc-check-drop [data-part=original] input")
        page.click("#fc-check-drop button")
        page.wait_for_selector(f"#fc-check-answer .fc-verdicts :text('{words}')")

    private = [folder, *folder.rglob("*")]
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in private), private
    assert not [path for path in folder.rglob("*") if "Anna" in path.name] and list((folder / "jobs").iterdir())
    again = visit(address)  # the key worked once
    assert "cloak studio" in again.inner_text("main")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, errors.read_text()
    assert not [path for name in ("jobs", "gradio") for path in (folder / name).rglob("*") if path.is_file()]
    said = errors.read_text() + process.stdout.read()
    assert "NETWORK" not in said and "Anna" not in said and "Traceback" not in said
    assert not [path for path in (folder.parent / "home").rglob("*") if path.is_file()]
