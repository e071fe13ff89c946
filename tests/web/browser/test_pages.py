"""What a person does on the pages, in a real browser. The engine below is made up: only the pages are waited for."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from playwright import sync_api as playwright

from ..conftest import eventually
from .conftest import choose, download, enter, photo, pixels_of, upload
from .stub_engine import SLOW_PX, boxes

SIZE = (400, 300)


def part(pixels, box):
    x1, y1, x2, y2 = box
    return pixels[y1:y2, x1:x2]


def is_black(pixels, box):
    return part(pixels, box).max() == 0


def test_the_photo_flow_by_keyboard_alone(shared, visit):
    page = enter(visit(shared.url), shared)
    data = photo()
    page.focus("#fc-photo-drop input")
    assert outlined(page, "#fc-photo-drop .fc-zone")
    upload(page, ("a.png", data))
    page.wait_for_selector(".fc-row")

    def tab_to(selector):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"no way to {selector} by keyboard")

    tab_to('.fc-row[data-face="1"] input')
    page.keyboard.press("ArrowRight")  # cloak
    page.keyboard.press("ArrowRight")  # keep
    assert outlined(page, '.fc-row[data-face="1"] input:checked + span')
    tab_to('.fc-row[data-face="2"] input')
    tab_to(".fc-draw")
    page.keyboard.press("Enter")  # an area in the middle, with the focus on it
    assert page.evaluate("document.activeElement.matches('.fc-area')") and outlined(page, ".fc-area")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowRight")
    x, y, width, height = page.evaluate("(() => { const s = document.querySelector('.fc-area').style; return "
                                        "[s.left, s.top, s.width, s.height].map(parseFloat); })()")
    area = [round(v) for v in (4 * x, 3 * y, 4 * (x + width), 3 * (y + height))]
    assert area == [160, 93, 244, 183]
    tab_to("#fc-start")
    page.keyboard.press("Enter")
    page.wait_for_selector("#fc-download")
    tab_to(".fc-slider")
    page.keyboard.press("End")
    assert page.evaluate("getComputedStyle(document.querySelector('.fc-before')).clipPath").count("0%") >= 1
    tab_to("#fc-download")
    with page.expect_download() as coming:
        page.keyboard.press("Enter")
    before, after = pixels_of(data), pixels_of(coming.value.path())
    (_, kept), (_, hidden) = boxes(SIZE)
    assert is_black(after, hidden) and is_black(after, area)
    assert np.array_equal(part(after, kept), part(before, kept)) and part(before, hidden).min() > 0


def outlined(page, selector):
    return page.evaluate("s => { const o = getComputedStyle(document.querySelector(s)); "
                         "return o.outlineStyle !== 'none' && parseFloat(o.outlineWidth) >= 2; }", selector)


def test_on_a_phone_nothing_sticks_out_and_boxes_are_drawn_with_a_finger(shared, visit):
    page = enter(visit(shared.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True), shared)

    def fits():
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1] == 390, wide

    fits()
    upload(page, ("a rather long name of a photograph from the march in spring.png", photo((300, 400))))
    page.wait_for_selector(".fc-row")
    fits()
    assert page.evaluate("[...document.querySelectorAll('.fc-hows, .fc-row')].every("
                         "e => e.scrollWidth <= e.clientWidth)")
    page.tap('.fc-face[data-face="2"]')  # cloak
    page.tap('.fc-face[data-face="2"]')  # keep
    page.wait_for_selector('.fc-row[data-face="2"] input[value="keep"]:checked', state="attached")
    page.tap(".fc-draw")
    page.locator(".fc-frame").scroll_into_view_if_needed()
    edge = page.locator(".fc-frame").bounding_box()
    page.mouse.move(edge["x"] + 0.1 * edge["width"], edge["y"] + 0.7 * edge["height"])
    page.mouse.down()
    page.mouse.move(edge["x"] + 0.5 * edge["width"], edge["y"] + 0.9 * edge["height"], steps=4)
    page.mouse.up()
    page.wait_for_selector(".fc-area-row")
    fits()
    page.tap("#fc-start")
    page.wait_for_selector("#fc-download")
    fits()
    after = pixels_of(download(page)[1])
    assert is_black(after, (34, 284, 146, 356)) and not is_black(after, boxes((300, 400))[1][1])
    page.tap("role=tab[name='Check']")
    page.wait_for_selector("#fc-check-drop .fc-zone")
    fits()


def test_several_photos_and_one_from_the_clipboard_are_done_in_one_go(shared, visit):
    page = enter(visit(shared.url), shared)
    one, two, pasted = (photo(seed=seed) for seed in (1, 2, 3))
    upload(page, ("one.png", one), ("two.png", two))
    page.wait_for_selector("[data-pick='1']")
    page.evaluate("""data => { const files = new DataTransfer();
        files.items.add(new File([new Uint8Array(data)], "image.png", {type: "image/png"}));
        document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: files})); }""", list(pasted))
    page.wait_for_selector("[data-pick='2'] img")
    page.click("[data-pick='1']")
    page.wait_for_selector("[data-pick='1'][aria-current]")
    page.wait_for_selector(".fc-row")
    choose(page, 2, "cloak")
    page.click("[data-pick='0']")
    page.wait_for_selector("[data-pick='0'][aria-current]")
    page.click("[data-pick='1']")
    page.wait_for_selector("[data-pick='1'][aria-current]")
    page.wait_for_selector('.fc-row[data-face="2"] input[value="cloak"]:checked', state="attached")  # it was remembered
    page.click("#fc-start-all")
    page.wait_for_function("document.querySelectorAll('.fc-state-done').length == 3")
    covered = {}
    for k, name in enumerate(("one.redacted.png", "two.redacted.png", "image.redacted.png")):
        page.click(f"[data-pick='{k}']")
        page.wait_for_selector(f"#fc-download:text-is('Download {name}')")
        found, data = download(page)
        assert found == name
        covered[k] = [is_black(pixels_of(data), box) for _, box in boxes(SIZE)]
    assert covered == {0: [True, True], 1: [True, False], 2: [True, True]}


def test_what_is_no_photo_has_no_face_or_is_too_large_is_said_in_words(shared, visit):
    page = enter(visit(shared.url), shared)
    upload(page, ("secret plans.txt.png", b"this is no picture" * 10))
    page.wait_for_selector("#fc-message :text('not a photo that can be read')")
    upload(page, ("too large.png", b"\x89PNG" + bytes(2 * 2**20)))
    page.wait_for_selector(".fc-drop-status :text('larger than 1 MB')")
    upload(page, ("empty.png", photo(colour=90)))
    page.wait_for_selector(".fc-count:text('No face was found. That does not prove')")
    assert "Traceback" not in page.content() and "/jobs" not in page.inner_text("body")
    edge = page.locator(".fc-frame").bounding_box()
    page.click(".fc-draw")  # somebody is there all the same
    page.mouse.move(edge["x"] + 5, edge["y"] + 5)
    page.mouse.down()
    page.mouse.move(edge["x"] + edge["width"] / 2, edge["y"] + edge["height"] / 2, steps=3)
    page.mouse.up()
    page.wait_for_selector(".fc-area-row")
    page.click("#fc-start")
    page.wait_for_selector("#fc-download")
    assert is_black(pixels_of(download(page)[1]), (20, 20, 190, 140))


def test_the_check_page_tells_a_match_from_none(shared, visit):
    page = enter(visit(shared.url), shared)
    page.click("role=tab[name='Check']")
    assert page.is_disabled("#fc-check-drop button")
    for published, words in ((photo(), "Do not publish this yet"), (photo(seed=5), "Others were not asked")):
        upload(page, ("p.png", published), into="#fc-check-drop [data-part=file] input")
        upload(page, ("o.png", photo()), into="#fc-check-drop [data-part=original] input")
        page.click("#fc-check-drop button")
        page.wait_for_selector(f"#fc-check-answer :text('{words}')")


def test_two_people_at_once_get_their_own_and_nothing_of_each_other(shared, visit):
    pages = [enter(visit(shared.url), shared) for _ in range(2)]
    for k, page in enumerate(pages):
        upload(page, ("same name.png", photo(seed=k)))
    for page in pages:
        page.wait_for_selector(".fc-row")
        page.click("#fc-start")
    addresses, cookies = [], []
    for k, page in enumerate(pages):
        page.wait_for_selector("#fc-download")
        before, after = pixels_of(photo(seed=k)), pixels_of(download(page)[1])
        assert np.array_equal(after[200:], before[200:]) and is_black(after, boxes(SIZE)[0][1])
        addresses.append(shared.url + page.get_attribute("#fc-download", "href"))
        cookies.append({cookie["name"]: cookie["value"] for cookie in page.context.cookies()})
        assert all(cookie["httpOnly"] and cookie["sameSite"] == "Strict" for cookie in page.context.cookies())
    with httpx.Client(trust_env=False) as client:
        for what in ("photo", "report", "result"):
            address = addresses[0].replace("result", what)
            assert client.get(address, cookies=cookies[0]).status_code == 200
            assert client.get(address, cookies=cookies[1]).status_code == 404
            assert client.get(address).status_code == 401
        mine, theirs = (page.evaluate("window.facecloak.tab") for page in pages)
        assert client.get(addresses[0].replace(mine, theirs), cookies=cookies[1]).status_code == 404


def test_a_tab_closed_in_the_middle_ends_its_work_and_leaves_nothing(open_studio, visit):
    one = open_studio()
    page = enter(visit(one.url), one)
    upload(page, ("slow.png", photo((SLOW_PX, 200))))
    page.wait_for_selector(".fc-row")
    page.click("#fc-start")
    page.wait_for_selector("#fc-message progress[value]")
    assert one.files and one.service.store.count("running") == 1
    page.close()
    eventually(lambda: not one.files and one.service.store.count("queued", "running") == 0, seconds=20)


def test_a_job_is_cancelled_and_after_a_download_all_goes(open_studio, visit):
    one = open_studio(after_download_s=1.0)
    page = enter(visit(one.url), one)
    upload(page, ("slow.png", photo((SLOW_PX, 200))))
    page.wait_for_selector(".fc-row")
    page.click("#fc-start")
    page.wait_for_selector("#fc-message progress[value]")
    page.click("#fc-cancel")
    page.wait_for_selector("#fc-message :text('Cancelled')")
    page.wait_for_selector(".fc-row")
    page.click("#fc-remove")
    eventually(lambda: not one.files, seconds=20)
    upload(page, ("<img src=x> & co.png", photo()))
    page.wait_for_selector(".fc-row")
    page.click("#fc-start")
    page.wait_for_selector("#fc-download")
    assert one.files
    assert page.inner_text("#fc-download") == "Download <img src=x> & co.redacted.png"
    download(page)
    eventually(lambda: not one.files, seconds=20)
    page.click("#fc-again")
    page.wait_for_selector("#fc-message :text('deleted')")


def test_the_watch_would_notice_and_the_browser_refuses(shared, visit):
    page = enter(visit(shared.url), shared)
    watch = visit.watches[-1]
    watch.look()
    refused = page.evaluate("fetch('http://elsewhere.example/').then(() => 'answered', () => 'refused')")
    page.goto("about:blank")
    with pytest.raises(playwright.Error, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://elsewhere.example/")
    assert refused == "refused" and any("Content Security Policy" in one for one in watch.complaints)
    with pytest.raises(AssertionError, match="elsewhere"):
        watch.look()
    watch.complaints.clear()
    watch.outside.clear()
