"""The desk: what it sees, decides and approves, in a real browser and over REST; and what readers can fetch then."""

from __future__ import annotations

import html
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from playwright.sync_api import Page, expect

from ..browser.conftest import chromium, visit  # noqa: F401 - fixtures
from .newsroom import Newsroom
from .photos import march, shows_faces
from .stub_engine import UNPROTECTED_PX, boxes

PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
LINE = "Faces in this picture were altered to protect people."


@pytest.fixture
def desk(site: Newsroom, visit: Callable[..., Page]) -> Callable[..., Page]:  # noqa: F811
    """`desk(media)`: the page of a file, or the list, before an editor."""
    site.php("update_option('show_avatars', 0); return null;")  # they come from elsewhere

    def opened(media: int = 0, *, role: str = "editor", path: str = "", **context: Any) -> Page:
        page = visit("about:blank", **context)
        page.context.set_default_timeout(20_000)
        page.context.add_cookies(site.cookies(role))
        page.goto(site.url + (path or "/wp-admin/upload.php?page=facecloak-review" + f"&media={media}" * bool(media)))
        return page

    return opened


def below(media: int, rest: str = "") -> str:
    return f"/wp-json/facecloak/v1/media/{media}{rest}"


def full_size(site: Newsroom, media: int) -> Path:
    ((path,),) = site.sql("SELECT meta_value FROM wp_postmeta WHERE meta_key = '_wp_attached_file' "
                          f"AND post_id = {media}")
    return site.uploads / path


def state(site: Newsroom, media: int) -> str:
    ((found,),) = site.sql(f"SELECT state FROM wp_facecloak_media WHERE attachment_id = {media}")
    return found


def log(site: Newsroom, action: str) -> list[dict[str, Any]]:
    return [json.loads(detail) for (detail,) in site.sql(
        f"SELECT detail FROM wp_facecloak_log WHERE action = '{action}' ORDER BY id")]


def pixels(photo: bytes | Path) -> NDArray[np.int64]:
    with Image.open(io.BytesIO(photo) if isinstance(photo, bytes) else photo) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def frame(clip: Path) -> NDArray[np.int64]:
    """The third."""
    with av.open(str(clip)) as container:
        return next(itertools.islice(container.decode(video=0), 2, None)).to_ndarray(format="rgb24").astype(int)


def hidden(photo: Path, number: int) -> bool:
    """Whether the made-up face is black."""
    found = pixels(photo)
    x1, y1, x2, y2 = dict(boxes((found.shape[1], found.shape[0])))[number]
    return bool(found[y1 + 4:y2 - 4, x1 + 4:x2 - 4].max() < 40)


def approve(client: httpx.Client, media: int, choices: dict[str, Any], reason: str = "") -> httpx.Response:
    made = client.post(below(media, "/preview"), json={"choices": choices})
    assert made.status_code == 200, made.text
    return client.post(below(media, "/approve"), json={"token": made.json()["token"], "reason": reason})


# --- from the upload to the published page --------------------------------------------------------------------------


def test_from_the_block_editor_over_the_desk_to_readers(guarded, engine, desk, portrait, tmp_path):
    """With the engine in it: a photo with two faces, of which the desk keeps one."""
    site = guarded("require", by=engine)
    with Image.open(portrait) as one:
        two = Image.new("RGB", (1024, 512))
        two.paste(one.convert("RGB"), (0, 0))
        two.paste(ImageOps.mirror(one.convert("RGB")), (512, 0))
    two.save(tmp_path / "two.jpg", quality=95)

    # The author uploads, and cannot publish
    author = desk(role="author", path="/wp-admin/post-new.php")
    author.wait_for_function("window.wp && wp.data && wp.data.select('core/editor').__unstableIsEditorReady()")
    author.evaluate("""() => {
        wp.data.dispatch('core/preferences').set('core/edit-post', 'welcomeGuide', false);
        wp.data.dispatch('core/editor').editPost({title: 'In town'});
        wp.data.dispatch('core/block-editor').insertBlocks(wp.blocks.createBlock('core/image'));
    }""")
    author.locator(".wp-block-image input[type=file]").set_input_files(tmp_path / "two.jpg")
    author.wait_for_function("wp.data.select('core/block-editor').getBlocks()[0].attributes.id", timeout=60_000)
    media = author.evaluate("wp.data.select('core/block-editor').getBlocks()[0].attributes.id")
    author.get_by_role("button", name="Publish", exact=True).first.click()
    panel = author.locator(".facecloak-panel")
    expect(panel).to_contain_text("This cannot be published")
    sent = author.evaluate("""async () => {
        const post = wp.data.select('core/editor').getCurrentPostId();
        const content = wp.data.select('core/editor').getEditedPostContent();
        return wp.apiFetch({path: `/wp/v2/posts/${post}`, method: 'POST', data: {title: 'In town', content,
            status: 'publish'}}).then((one) => one.status, (error) => error.code);
    }""")
    assert sent != "publish"
    faces = left, right = (slice(80, 190), slice(195, 255)), (slice(80, 190), slice(769, 829))
    before, after = pixels(tmp_path / "two.jpg"), pixels(full_size(site, media))
    assert all(before[face].std() > 30 and after[face].max() < 40 for face in faces)

    # The editor keeps the face on the right
    editor = desk()
    editor.get_by_role("link", name="two", exact=True).click()
    expect(editor.locator(".facecloak-face")).to_have_count(2)
    expect(editor.locator(".facecloak-verdict")).to_contain_text("Detection misses faces: look at the whole picture.")
    editor.get_by_role("group", name="Face 2").get_by_label("Keep").check(force=True)
    expect(editor.get_by_text("Look at the result before you approve it.")).to_be_visible()
    expect(editor.get_by_role("button", name="Approve")).to_have_count(0)
    editor.get_by_role("button", name="Look at the result").click()
    expect(editor.locator(".facecloak-verdicts")).to_contain_text("Left as it was.")
    button = editor.get_by_role("button", name="Approve", exact=True)
    expect(button).to_be_disabled()
    expect(editor.locator(".facecloak-disclosure")).to_have_text(LINE)
    editor.get_by_label("Reason (needed)").fill("She asked to be seen.")
    button.click()
    expect(editor.get_by_role("status")).to_contain_text("Approved. It can be published now.")
    expect(editor.get_by_role("link", name="Nothing else waits")).to_be_focused()

    # What readers can fetch: one face as it was, the other covered, in every size
    after = pixels(full_size(site, media))
    assert after[left].max() < 40 and np.abs(after[right] - before[right]).mean() < 3
    for path in site.files:
        if "-150x150" not in path.name:  # of which the middle is left, where nobody is
            image = pixels(path)
            scale = image.shape[1] / 1024
            assert image[int(110 * scale):int(160 * scale), int(210 * scale):int(240 * scale)].max() < 60, path
    assert log(site, "approved")[-1] == {"reason": "She asked to be seen.", "kept": [2], "areas": 0,
                                         "disclosure": LINE, "by": site.ids["editor"]}

    # Now the author can publish, and readers are told
    author.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(panel).to_contain_text("All pictures and clips that were found in it are reviewed.")
    author.locator(".editor-post-publish-panel__header-publish-button button").click()
    author.wait_for_function("wp.data.select('core/editor').isCurrentPostPublished()")
    with site.client() as nobody:
        page = nobody.get(author.evaluate("wp.data.select('core/editor').getPermalink()")).text
    assert page.count(LINE) == 1 and f"wp-image-{media}" in page


# --- the page -------------------------------------------------------------------------------------------------------


def test_everything_can_be_done_with_the_keyboard(guarded, desk):
    site = guarded("require")
    media = site.media(march(1))["id"]
    page = desk(media)
    expect(page.locator(".facecloak-face")).to_have_count(2)
    page.get_by_role("button", name="Keep all").focus()
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "Tab", "Tab"):  # face 1: keep; past face 2 to the button
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Cover another area")).to_be_focused()
    page.keyboard.press("Enter")
    area = page.get_by_role("group", name="Area 1, covered")
    expect(area).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "4px"
    for key in ("ArrowUp", "ArrowLeft", "Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Cover another area").press("Enter")
    expect(page.get_by_role("group", name="Area 2, covered")).to_be_focused()
    page.keyboard.press("Delete")
    expect(page.get_by_role("group", name="Area 2, covered")).to_have_count(0)
    expect(page.get_by_role("button", name="Cover another area")).to_be_focused()
    page.get_by_role("button", name="Look at the result").press("Enter")
    expect(page.get_by_role("heading", name="What readers will see")).to_be_focused()
    slider = page.get_by_role("slider", name="Show more of before or of after")
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "1 % before")
    page.get_by_label("Reason (needed)").fill("A speaker on the stage.")
    page.get_by_role("button", name="Approve", exact=True).press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Approved")

    photo = full_size(site, media)
    assert not hidden(photo, 1) and hidden(photo, 2)
    # Drawn in the middle, one step of 5 pixels up and left, one step larger
    drawn = pixels(photo)[126 - 5 + 4:126 - 5 + 113 - 4, 192 - 5 + 4:192 - 5 + 101 - 4]
    assert drawn.max() < 40 and pixels(photo)[100, 240].max() > 60 and pixels(photo)[245, 240].max() > 60


def test_an_area_is_drawn_moved_and_removed_with_the_mouse(guarded, desk):
    site = guarded("require")
    media = site.media(march(2))["id"]
    page = desk(media)
    expect(page.locator(".facecloak-face")).to_have_count(2)
    page.get_by_role("button", name="Cover another area").click()
    frame = page.locator(".facecloak-frame").first.bounding_box()
    assert frame is not None

    def at(x: float, y: float) -> tuple[float, float]:
        return frame["x"] + frame["width"] * x / 480, frame["y"] + frame["height"] * y / 360

    page.mouse.move(*at(20, 300))
    page.mouse.down()
    page.mouse.move(*at(80, 340), steps=3)
    page.mouse.up()
    area = page.get_by_role("group", name="Area 1, covered")
    expect(area).to_have_count(1)
    page.mouse.move(*at(50, 320))
    page.mouse.down()
    page.mouse.move(*at(150, 320), steps=3)
    page.mouse.up()
    page.get_by_role("button", name="Look at the result").click()
    expect(page.locator(".facecloak-verdicts li").nth(2)).to_have_text("Area 1: Covered.")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Approved")
    found = pixels(full_size(site, media))
    assert found[306:334, 126:174].max() < 40 and found[306:334, 24:76].max() > 60 and found[290, 150].max() > 60

    page = desk(media)
    expect(page.locator(".facecloak-box").first).to_contain_text("Approved by Editor")
    page.get_by_role("button", name="Remove Area 1").click()
    expect(page.get_by_role("group", name="Area 1, covered")).to_have_count(0)
    page.get_by_role("button", name="Take the approval back").click()
    expect(page.get_by_role("button", name="Approve as it is")).to_be_visible()
    assert state(site, media) == "unreviewed" and log(site, "approval taken back")


def test_the_list_leads_from_file_to_file_on_a_phone(guarded, desk):
    site = guarded("require")
    first, second = (site.media(march(n, has_faces=n == 3), f"march-{n}.jpg")["id"] for n in (3, 4))
    page = desk(**PHONE)
    expect(page.locator(".facecloak-list tbody tr")).to_have_count(2)
    is_narrow = "document.documentElement.scrollWidth <= window.innerWidth"
    assert page.evaluate(is_narrow)
    page.get_by_role("link", name="march-3").click()
    expect(page.locator(".facecloak-face")).to_have_count(2)
    expect(page.get_by_role("button", name="Approve as it is")).to_be_visible()
    assert page.evaluate(is_narrow)
    page.get_by_role("button", name="Approve as it is").click()
    page.get_by_role("link", name="Next file (1 to review)").click()
    expect(page.get_by_text("No face was found. That does not prove that there is none: look yourself")).to_be_visible()
    expect(page.get_by_text("No line is added to the caption.")).to_be_visible()
    page.get_by_role("button", name="Approve as it is").click()
    expect(page.get_by_role("status")).to_contain_text("Approved")
    assert [state(site, one) for one in (first, second)] == ["reviewed", "reviewed"]
    with site.client("editor") as client:
        captions = [client.get(f"/wp-json/wp/v2/media/{one}", params={"context": "edit"}).json()["caption"]["raw"]
                    for one in (first, second)]
    assert captions == [LINE, ""]


def test_the_page_says_what_did_not_happen_while_the_service_is_away(guarded, desk, proxy):
    site = guarded("require")
    proxy.mode = "down"
    media = site.media(march(5))["id"]
    page = desk(media)
    expect(page.locator(".facecloak-box").first).to_contain_text("A grey placeholder stands in its place")
    proxy.mode = "up"
    page.get_by_role("button", name="Try again now").click()
    site.cron("facecloak_work")
    expect(page.locator(".facecloak-face")).to_have_count(2)
    proxy.mode = "down"
    page.get_by_role("group", name="Face 1").get_by_label("Keep").check(force=True)
    page.get_by_role("button", name="Look at the result").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was changed.")
    assert state(site, media) == "unreviewed" and not shows_faces(full_size(site, media))


def test_of_a_clip_the_desk_keeps_one_track_and_watches_the_rest(guarded, engine, desk, portrait, tmp_path):
    """With the engine in it."""
    site = guarded("require", by=engine)
    with Image.open(portrait) as one:
        still = ImageOps.expand(one.convert("RGB").crop((100, 0, 356, 256)), border=(0, 0, 256, 0), fill="grey")
    still.paste(ImageOps.mirror(still.crop((0, 0, 256, 256))), (256, 0))
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 512, 256, "yuv420p"
        for _ in range(6):
            container.mux(stream.encode(av.VideoFrame.from_image(still)))
        container.mux(stream.encode())
    media = site.media((tmp_path / "clip.mp4").read_bytes(), "clip.mp4", media_type="video/mp4")["id"]
    page = desk(media)
    expect(page.locator(".facecloak-box")).to_contain_text("A short black clip stands in its place")
    site.cron("facecloak_work")
    # What the engine might have seen in what it covered
    site.php("""$records = Facecloak\\Plugin::instance()->records;
        $record = $records->by_attachment($id);
        $record->verdict['leaks'] = [['first_s' => 0.1, 'last_s' => 0.3, 'box' => [200, 100, 240, 140]]];
        $records->save($record);
        return null;""", id=media)
    page.reload()
    expect(page.locator(".facecloak-verdict")).to_contain_text("what may be an uncovered face was seen")
    expect(page.get_by_text("Say what you saw there.")).to_be_visible()
    expect(page.get_by_role("button", name="0:00.1 to 0:00.3")).to_be_visible()
    page.get_by_role("button", name="Cover these places too").click()
    expect(page.get_by_role("group", name="Area 1", exact=True).get_by_label("to second")).to_have_value("0.8")
    page.get_by_role("group", name="Area 1", exact=True).get_by_role("button", name="Remove").click()
    expect(page.locator(".facecloak-sights img").first).to_be_visible(timeout=15_000)
    with site.browse("editor") as client:
        tracks = client.get(below(media, "/tracks")).json()["tracks"]
        picture = client.get(below(media, "/picture/" + tracks[0]["pictures"][0]))
        assert picture.headers["Content-Type"] == "image/jpeg" and "no-store" in picture.headers["Cache-Control"]
        assert client.get(below(media, "/picture/frame-99999.jpg")).status_code == 422
        # Of another look at the clip, in which the numbers may be of others
        answer = client.put(below(media, "/decisions"), json={"plan": "0" * 32, "tracks": {"1": "keep"}})
        assert answer.status_code == 409 and "Nothing was changed" in answer.json()["message"]
    folders_before = len(engine.folders)
    right = max(tracks, key=lambda track: (track["height_px"] > 60, track["number"]))["number"]
    covered = frame(full_size(site, media))
    expect(page.get_by_role("button", name="Approve as it is")).to_be_disabled()  # until it was watched
    page.get_by_role("group", name=f"Track {right}", exact=True).get_by_label("Keep").check(force=True)
    expect(page.get_by_text("The decisions were changed.")).to_be_visible()
    page.get_by_role("button", name="Make the covered clip").click()
    expect(page.get_by_label("Reason (needed)")).to_be_visible(timeout=30_000)
    assert page.evaluate("document.querySelector('video').src").startswith(site.url + "/wp-json/facecloak/")
    page.wait_for_function("document.querySelector('video').readyState > 1")
    page.evaluate("document.querySelector('video').currentTime = 0.3")  # needs answers to ranges
    page.wait_for_function("Math.abs(document.querySelector('video').currentTime - 0.3) < 0.02")
    assert np.array_equal(frame(full_size(site, media)), covered)
    page.get_by_label("Reason (needed)").fill("He speaks on a stage.")
    page.get_by_label("I have watched the whole covered clip.").check()
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Approved")
    now, before = frame(full_size(site, media)), frame(tmp_path / "clip.mp4")
    faces = [slice(100, 140), slice(512 - 140, 512 - 100)]
    differs = [np.abs(now[80:140, face] - before[80:140, face]).mean() > 20 for face in faces]
    # Of the two jobs, the one that is done is deleted with the original in it
    assert len(engine.folders) == folders_before
    assert sorted(differs) == [False, True] and np.abs(covered - before)[80:140, faces[0]].mean() > 20


def test_what_was_never_looked_at_or_only_looked_at_comes_to_the_desk(guarded, desk):
    site = guarded("off")
    media = site.media(march(15))["id"]
    site.configure(policy="suggest")
    page = desk(media)
    expect(page.locator(".facecloak-box")).to_have_text("Nothing is known of this file: facecloak never looked at it.")
    page.get_by_role("button", name="Have it looked at now").click()
    expect(page.get_by_text("This is the untouched file, as it lies in the library now.")).to_be_visible()
    expect(page.get_by_role("button", name="Approve as it is")).to_be_disabled()
    assert shows_faces(full_size(site, media)) and site.kept == [] and state(site, media) == "suggested"
    page.get_by_role("button", name="Hide all").click()
    page.get_by_role("button", name="Look at the result").click()
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Approved")
    assert not any(shows_faces(path) for path in site.files) and state(site, media) == "reviewed"
    assert [path.read_bytes() == march(15) for path in site.kept] == [True]


# --- who may do what, over REST -------------------------------------------------------------------------------------

ROUTES = (("GET", ""), ("GET", "/original"), ("GET", "/preview/" + "0" * 32), ("POST", "/preview"),
          ("POST", "/approve"), ("POST", "/retry"), ("POST", "/look-again"), ("GET", "/tracks"),
          ("GET", "/picture/track-1-1.jpg"), ("PUT", "/decisions"))


def test_only_the_desk_sees_originals_and_decides(guarded):
    site = guarded("require")
    photo = march(6)
    media = site.media(photo)["id"]
    body = {"choices": {}, "tracks": {}}
    for role in ("author", "contributor", "subscriber"):
        with site.browse(role) as client:
            for method, path in ROUTES:
                assert client.request(method, below(media, path), json=body).status_code == 403, (role, method, path)
    with site.client() as nobody:
        for method, path in ROUTES:
            assert nobody.request(method, below(media, path), json=body).status_code == 401, (method, path)
    with site.browse("editor") as client:
        original = client.get(below(media, "/original"))
        assert original.content == photo and original.headers["Cache-Control"] == "no-store, private"
        assert original.headers["Content-Type"] == "image/jpeg" and "sandbox" in original.headers[
            "Content-Security-Policy"]
        part = client.get(below(media, "/original"), headers={"Range": "bytes=10-19"})
        assert part.status_code == 206 and part.content == photo[10:20]
        asked = client.get(below(media, "/original"), headers={"Origin": "https://elsewhere.example"})
        assert "Access-Control-Allow-Origin" not in asked.headers
        client.headers["X-WP-Nonce"] = "0123456789"
        for method, path in ROUTES:
            assert client.request(method, below(media, path), json=body).status_code == 403, (method, path)
        del client.headers["X-WP-Nonce"]
        for method, path in ROUTES:
            assert client.request(method, below(media, path), json=body).status_code == 401, (method, path)
    assert len(log(site, "original looked at")) == 3 and state(site, media) == "unreviewed"


def test_nothing_is_approved_that_nobody_looked_at_or_gave_no_reason_for(guarded):
    site = guarded("require")
    media, other = (site.media(march(n), f"march-{n}.jpg")["id"] for n in (7, 8))
    keep = {"choices": {"faces": {"1": "keep"}}}
    with site.browse("editor") as client:
        made, newer = (client.post(below(media, "/preview"), json=keep).json() for _ in range(2))
        assert made["why_reason"] and client.get(below(media, f"/preview/{newer['token']}")).status_code == 200
        for where, data, status in (
                (media, {"token": made["token"], "reason": "late"}, 409), (media, {"token": newer["token"]}, 400),
                (media, {"token": newer["token"], "reason": " \n"}, 400), (media, {}, 409),
                (other, {"token": newer["token"], "reason": "another"}, 409),
                (media, {"as_is": True, "shown": "0" * 64}, 409), (media, {"as_is": True}, 409)):
            answer = client.post(below(where, "/approve"), json=data)
            assert answer.status_code == status and "Nothing was approved" in answer.json()["message"], answer.text
        assert client.get(below(media, f"/preview/{made['token']}")).status_code == 409
        assert {state(site, one) for one in (media, other)} == {"unreviewed"}
        assert hidden(full_size(site, media), 1)
        # An approval that is taken back leaves the bytes, and one that is changed changes them
        assert approve(client, media, keep["choices"], "A reason").status_code == 200
        assert not hidden(full_size(site, media), 1) and hidden(full_size(site, media), 2)
        client.post(below(media, "/look-again"))
        assert state(site, media) == "unreviewed" and not hidden(full_size(site, media), 1)
        assert approve(client, media, {}).status_code == 200
        assert hidden(full_size(site, media), 1) and hidden(full_size(site, media), 2)
    assert [path for path in site.kept if path.name.startswith("temporary")] == []


def test_choices_that_are_odd_or_not_allowed_do_nothing(guarded):
    site = guarded("require")
    media = site.media(march(9))["id"]
    area = {"x": 1, "y": 1, "width": 5, "height": 5}
    with site.browse("editor") as client:
        for choices, status in (
                ({"faces": {"3": "keep"}}, 400), ({"faces": {"1": "redact"}}, 400), ({"faces": "all"}, 400),
                ({"faces": {"1": ["keep"]}}, 400), ({"faces": {"1": "cloak balanced"}}, 403),
                ({"default": "keep"}, 400), ({"default": "cloak balanced"}, 400),
                ({"regions": [{"x": 0, "y": 0, "width": 5}]}, 400),
                ({"regions": [{**area, "x": 900}]}, 400), ({"regions": [{**area, "y": -6}]}, 400),
                ({"regions": [area] * 201}, 400)):
            answer = client.post(below(media, "/preview"), json={"choices": choices})
            assert answer.status_code == status, (choices, answer.text)
            assert "Nothing was changed" in answer.json()["message"]
    assert state(site, media) == "unreviewed" and len(site.kept) == 1


def test_where_every_face_is_covered_none_is_kept(guarded):
    site = guarded("enforce", allow_cloaking=True)
    media = site.media(march(10))["id"]
    with site.browse("administrator") as client:
        refused = client.post(below(media, "/preview"), json={"choices": {"faces": {"1": "keep"}}})
        assert refused.status_code == 403 and client.get(below(media)).json()["why_not_keep"]
        # What was made before the policy was set is not approved after it
        site.configure(policy="require")
        token = client.post(below(media, "/preview"), json={"choices": {"faces": {"1": "keep"}}}).json()["token"]
        site.configure(policy="enforce")
        assert client.post(below(media, "/approve"), json={"token": token, "reason": "why"}).status_code == 403
    assert hidden(full_size(site, media), 1) and state(site, media) == "unreviewed"


def test_a_cloak_that_does_not_hold_is_not_approved(guarded):
    site = guarded("require", allow_cloaking=True)
    media = site.media(march(11, (UNPROTECTED_PX, 240)))["id"]
    with site.browse("editor") as client:
        made = client.post(below(media, "/preview"), json={"choices": {"faces": {"1": "cloak balanced"}}}).json()
        assert made["verdict"]["kind"] == "wrong" and "still matched" in made["verdict"]["headline"]
        answer = client.post(below(media, "/approve"), json={"token": made["token"], "reason": "I insist"})
        assert answer.status_code == 409 and "Nothing was approved" in answer.json()["message"]
    assert hidden(full_size(site, media), 1) and state(site, media) == "unreviewed"


def test_nobody_is_kept_whom_the_desk_did_not_choose(guarded):
    """A service that numbers faces otherwise than when they were listed would leave another one clear."""
    site = guarded("require")
    media = site.media(march(12))["id"]
    listed = [{"number": n, "box": box, "score": 0.9} for n, (_, box) in zip((2, 1), boxes((480, 360)))]
    site.php("""global $wpdb; $wpdb->update($wpdb->prefix . 'facecloak_media', ['faces' => $faces],
                ['attachment_id' => $id]); return null;""", faces=json.dumps(listed), id=media)
    with site.browse("editor") as client:
        list_before = client.get(below(media)).json()["list"]
        answer = client.post(below(media, "/preview"), json={"choices": {"faces": {"1": "keep"}}})
        assert answer.status_code == 409 and "Nothing was changed" in answer.json()["message"]
        faces = client.get(below(media)).json()["faces"]
        # The page of somebody who loaded it before still shows the old numbers
        again = {"faces": {"1": "keep"}, "list": list_before}
        assert client.post(below(media, "/preview"), json={"choices": again}).status_code == 409
        again["list"] = client.get(below(media)).json()["list"]
        assert client.post(below(media, "/preview"), json={"choices": again}).status_code == 200
    assert [face["box"][0] for face in faces] == [box[0] for _, box in boxes((480, 360))]


def test_originals_go_with_the_approval_where_none_are_retained(guarded):
    site = guarded("require", retention_days=0)
    media = site.media(march(13))["id"]
    with site.browse("editor") as client:
        assert approve(client, media, {}).status_code == 200 and site.kept == []
        assert client.get(below(media, "/original")).status_code == 410
        assert client.get(below(media)).json()["has_original"] is False


def test_the_line_for_readers_comes_once_and_goes_with_the_cover(guarded):
    site = guarded("require")
    media = site.media(march(14))["id"]
    caption = f"SELECT post_excerpt FROM wp_posts WHERE ID = {media}"
    site.sql(f"UPDATE wp_posts SET post_excerpt = 'In town.' WHERE ID = {media}")
    with site.browse("editor") as client:
        for _ in range(2):
            assert approve(client, media, {}).status_code == 200
            assert site.sql(caption) == [[f"In town. {LINE}"]]
        everybody = {"faces": {"1": "keep", "2": "keep"}}
        assert approve(client, media, everybody, "Both agreed.").status_code == 200
        assert site.sql(caption) == [["In town."]]
        assert client.get(below(media)).json()["verdict"]["headline"].startswith("No face is covered.")


def test_readers_are_told_once_in_every_kind_of_caption(guarded):
    line = "Faces weren't left as they were."
    site = guarded("require", disclosure=line)
    media = site.media(march(16))["id"]
    with site.browse("editor") as client:
        assert approve(client, media, {}).status_code == 200
    block = f'<!-- wp:image {{"id":{media}}} --><figure><img src="/x"/>%s</figure><!-- /wp:image -->'
    texts = [f'[caption id="attachment_{media}" width="9"]<img src="/x"> In town.%s[/caption]', block,
             block.replace("%s", "<figcaption>In town. %s</figcaption>")]
    texts = [one % told for one in texts for told in ("", " " + line)]
    shown = site.php("return array_map(function ($text) { return apply_filters('the_content', $text); }, $texts);",
                     texts=texts)
    assert [html.unescape(one).replace("\u2019", "'").count(line) for one in shown] == [1] * len(texts), shown
