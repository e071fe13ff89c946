"""A clip through the studio with the engine behind it: what a person chose is what is in every frame of the file."""

from __future__ import annotations

import json

import pytest

from web.settings import WORKER

from ..clip_maker import FRAMES, LEFT, RIGHT, is_as_it_was, is_covered, rgb_of, two_faces
from ..conftest import eventually
from .conftest import download, enter, opened


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("clips") / "studio", worker=WORKER, max_upload_bytes=100_000,
                max_clip_bytes=2_000_000) as one:
        yield one


def test_one_of_two_tracks_is_kept_and_the_other_covered_in_every_frame(studio, visit, portrait, tmp_path):
    clip = two_faces(portrait, tmp_path / "märz.mp4")
    assert clip.stat().st_size > 100_000  # more than a photo may have
    page = enter(visit(studio.url), studio)
    page.get_by_role("tab", name="Video").click()
    page.set_input_files("#fc-clip-drop input", clip)
    page.wait_for_selector('.fc-track[data-track="2"]')
    assert page.locator(".fc-track input[value=hide]:checked").count() == 2  # whoever is not decided about is hidden
    assert page.locator(".fc-sights img").count() == 10
    page.wait_for_function("[...document.querySelectorAll('.fc-sights img')].every((one) => one.naturalWidth === 160)")
    assert page.locator(".fc-clip .fc-face").count() == 2
    first = page.locator(".fc-face[data-track='1']").bounding_box()
    page.locator(".fc-slider").press("End")  # the moving face moves, and its box with it
    assert "0:00.9" in page.locator(".fc-clock").inner_text()
    assert page.locator(".fc-face[data-track='1']").bounding_box()["x"] > first["x"] + 30

    page.locator('.fc-track[data-track="2"] input[value=keep]').check()
    page.locator(".fc-clip .fc-draw").press("Enter")  # by keyboard: an area in the middle, for the end of the clip
    page.locator(".fc-area-times input").first.fill("0.5")
    page.locator(".fc-area-times input").first.press("Tab")
    page.click("#fc-clip-start")
    page.wait_for_selector("#fc-clip-download")
    words = page.locator("#fc-clip-result").inner_text()
    assert "found no other face" in words and "kept uncovered: 2" in words and "safe" not in words.lower()
    page.wait_for_function("document.querySelector('#fc-clip-result video').readyState >= 2")  # it plays

    name, data = download(page, "#fc-clip-download")
    assert name == "märz.redacted.mp4"
    (tmp_path / "written.mp4").write_bytes(data)
    before, after = rgb_of(clip), rgb_of(tmp_path / "written.mp4")
    assert len(after) == FRAMES
    for i in range(FRAMES):
        assert is_covered(after[i], LEFT[i]) and is_as_it_was(after[i], before[i], RIGHT[i]), i
        assert (after[i][100, 224].max() < 40) == (i >= 12), i
    name, data = download(page, "#fc-clip-download-report")
    assert name == "märz.redacted.mp4.json" and json.loads(data)["schema"] == "facecloak-video/1"

    page.click("#fc-clip-again")  # what was chosen is still there
    page.wait_for_selector('.fc-track[data-track="2"]')
    assert page.locator('.fc-track[data-track="2"] input[value=keep]').is_checked()
    assert page.locator(".fc-area-times input").first.input_value() == "0.5"
    page.click("#fc-clip-remove")
    page.wait_for_selector("#fc-clip-drop .fc-zone")
    assert studio.files == []


def test_a_clip_that_is_none_is_told_in_words_and_another_one_can_be_taken_and_cancelled(studio, visit, portrait,
                                                                                         tmp_path):
    page = enter(visit(studio.url), studio)
    page.get_by_role("tab", name="Video").click()
    page.set_input_files("#fc-clip-drop input", [{"name": "large.mp4", "mimeType": "video/mp4",
                                                  "buffer": bytes(2_000_001)}])
    page.wait_for_selector("#fc-clip-drop .fc-wrong")
    assert "it was not sent" in page.locator("#fc-clip-drop .fc-wrong").inner_text()
    page.set_input_files("#fc-clip-drop input", [{"name": "text.mp4", "mimeType": "video/mp4",
                                                  "buffer": b"hello " * 99}])
    page.wait_for_selector("#fc-clip-message .fc-wrong")
    words = page.locator("#fc-clip-message").inner_text()
    assert "not a video that can be read" in words and "/" not in words and "Traceback" not in words
    assert page.locator("#fc-clip-drop .fc-zone").is_visible()
    page.set_input_files("#fc-clip-drop input", two_faces(portrait, tmp_path / "march.mp4"))
    page.click("#fc-clip-cancel")
    page.wait_for_selector("#fc-clip-message :text('Cancelled')")
    assert eventually(lambda: studio.files == [])
