"""The scan of what is published already finds what is there, says what it did not look at, and changes nothing."""

from __future__ import annotations

import csv
import hashlib
import io
import re

import pytest
from PIL import Image

from evaluation import canaries

from ..browser.conftest import chromium, visit  # noqa: F401 - fixtures
from .newsroom import Failed
from .photos import march

# What each holds; exiftool says the same of them in `test_crawler`
FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "HEIF": "heic", "AVIF": "avif"}


@pytest.mark.parametrize("form", FORMATS)
def test_metadata_are_found_in_every_format_and_not_where_there_are_none(site, tmp_path, form):
    picture = Image.linear_gradient("L").resize((320, 240)).convert("RGB")
    (tmp_path / "told").write_bytes(canaries.plant(picture, picture.resize((120, 120)), form).data)
    picture.save(tmp_path / f"plain.{FORMATS[form]}", "AVIF" if form == "HEIF" else form)
    tells = "return Facecloak\\Metadata::tells($path);"
    told = site.php(tells, path=str(tmp_path / "told"))
    # TIFF holds its thumbnail as a page, which is a picture in its own right
    assert {"position", "serial"} <= set(told) and ("thumbnail" in told or form == "TIFF"), told
    assert site.php(tells, path=str(tmp_path / f"plain.{FORMATS[form]}")) == []


def test_a_block_that_lies_is_no_reason_to_stop(site, tmp_path):
    """Counts and offsets that lead out of the file, or round in circles."""
    for k, block in enumerate((b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + b"\0" * 40,
                               b"II*\0\x08\0\0\0\x01\0\x25\x88\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0", b"II*\0")):
        (tmp_path / str(k)).write_bytes(b"\xff\xd8\xff\xe1\0\x40Exif\0\0" + block)
        assert site.php("return Facecloak\\Metadata::tells($path);", path=str(tmp_path / str(k))) == []


@pytest.fixture
def library(guarded):
    """The site with media from before the plugin, and names of them."""
    site = guarded("off")
    ids = {
        "told.jpg": site.media(march(1), "told.jpg")["id"],
        "clean.png": site.media(plain(faces=False), "clean.png", media_type="image/png")["id"],
        "faces.png": site.media(plain(faces=True), "faces.png", media_type="image/png")["id"],
    }
    (site.docroot / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    ids["broken.jpg"] = site.media(march(2), "broken.jpg")["id"]
    (path,) = [path for path in site.files if path.name == "broken.jpg"]
    path.write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    return site, ids


def plain(*, faces):
    """PNG without metadata."""
    data = io.BytesIO()
    with Image.open(io.BytesIO(march(3, has_faces=faces))) as image:
        image.convert("RGB").save(data, "PNG")
    return data.getvalue()


def run(client):
    state = client.post("/wp-json/facecloak/v1/scan", json={"do": "start"}).json()
    assert state["state"] == "running"
    for _ in range(20):
        state = client.post("/wp-json/facecloak/v1/scan", json={"do": "step"}).json()
        if state["state"] != "running":
            break
    return state


def test_the_library_is_looked_through_and_nothing_in_it_changes(library):
    site, ids = library
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in site.files}
    with site.browse("administrator") as browser:
        state = run(browser)
        assert (state["state"], state["done"], state["total"], state["found"]) == ("done", 4, 4, 3)
        page = browser.get("/wp-admin/upload.php", params={"page": "facecloak-scan"}).text
        nonce = re.search(r"facecloak_scan_csv&#038;_wpnonce=(\w+)", page)[1]
        answer = browser.get("/wp-admin/admin-post.php", params={"action": "facecloak_scan_csv", "_wpnonce": nonce})
    rows = {int(row["attachment id"]): row for row in csv.DictReader(io.StringIO(answer.text))}
    assert set(rows) == {ids["told.jpg"], ids["faces.png"], ids["broken.jpg"]}
    assert rows[ids["told.jpg"]]["clear faces"] == "2" and "told.jpg" in rows[ids["told.jpg"]]["position in"]
    assert rows[ids["faces.png"]]["clear faces"] == "2" and not rows[ids["faces.png"]]["position in"]
    assert rows[ids["broken.jpg"]]["not looked into"]
    assert "2 clear faces" in page and "Detection misses faces" in page and "told.jpg" in page
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in site.files} == before
    actions = {row[0] for row in site.sql("SELECT action FROM wp_facecloak_log")}
    assert {"scan started", "scan finished"} <= actions


def test_what_facecloak_has_covered_is_not_looked_at_again(guarded, proxy):
    site = guarded("require")
    site.media(march(7))
    site.configure(policy="off")
    proxy.requests.clear()
    with site.client("administrator") as client:
        state = run(client)
    assert (state["done"], state["found"]) == (1, 0) and proxy.requests == []


def test_without_the_service_the_scan_waits_and_goes_on_by_itself(library, proxy):
    site, _ = library
    proxy.mode = "down"
    with site.client("administrator") as client:
        client.post("/wp-json/facecloak/v1/scan", json={"do": "start"})
        state = client.post("/wp-json/facecloak/v1/scan", json={"do": "step"}).json()
        assert state["state"] == "running" and state["done"] == 0 and "tries again" in state["words"]
        proxy.mode = "up"
        site.cron("facecloak_scan")
        assert client.get("/wp-json/facecloak/v1/scan").json()["state"] == "done"
    assert site.php("return wp_next_scheduled('facecloak_scan');") is False


def test_one_file_that_breaks_php_does_not_stop_the_scan_for_ever(library):
    site, ids = library
    with site.client("administrator") as client:
        client.post("/wp-json/facecloak/v1/scan", json={"do": "start"})
    # In the middle of the first, twice: what nobody foresaw, and what PHP does not come back from
    breaking = """add_filter('get_post_metadata', function ($value, $id, $key) use ($broken, $how) {
            if ($id !== $broken || $key !== '_wp_attached_file') { return $value; }
            if ($how === 'die') { exit; }
            throw new Error('broken'); }, 10, 3);
        do_action('facecloak_scan'); return null;"""
    with pytest.raises(Failed):
        site.php(breaking, constants={"DOING_CRON": True}, broken=ids["told.jpg"], how="die")
    assert site.php("return wp_next_scheduled('facecloak_scan');")
    site.php(breaking, constants={"DOING_CRON": True}, broken=ids["clean.png"], how="throw")
    with site.client("administrator") as client:
        state = client.get("/wp-json/facecloak/v1/scan").json()
        page = client.get("/wp-json/facecloak/v1/scan").json()
    assert (state["state"], state["done"], state["found"]) == ("done", 4, 4), page
    found = site.sql("SELECT post_id FROM wp_postmeta WHERE meta_key = '_facecloak_scan'"
                     " AND meta_value LIKE '%could not look%'")
    assert {int(id) for (id,) in found} == {ids["told.jpg"], ids["clean.png"]}


def test_a_scan_can_be_stopped(library):
    site, _ = library
    with site.client("administrator") as client:
        client.post("/wp-json/facecloak/v1/scan", json={"do": "start"})
        assert client.post("/wp-json/facecloak/v1/scan", json={"do": "stop"}).json()["state"] == "stopped"
        assert client.post("/wp-json/facecloak/v1/scan", json={"do": "step"}).json()["done"] == 0
    assert site.php("return wp_next_scheduled('facecloak_scan');") is False


@pytest.mark.parametrize("role", ["editor", "author", "contributor", "subscriber", None])
def test_nobody_else_may_scan(guarded, proxy, role):
    site = guarded("off")
    with site.client(role) as client:
        for answer in (client.get("/wp-json/facecloak/v1/scan"),
                       client.post("/wp-json/facecloak/v1/scan", json={"do": "start"})):
            assert answer.status_code == (403 if role else 401)
    if role:
        with site.browse(role) as browser:
            assert browser.get("/wp-admin/upload.php", params={"page": "facecloak-scan"}).status_code == 403
            answer = browser.get("/wp-admin/admin-post.php", params={"action": "facecloak_scan_csv"})
            assert answer.status_code == 403 and "attachment id" not in answer.text
    assert site.sql("SELECT option_value FROM wp_options WHERE option_name = 'facecloak_scan'") == []


def test_a_forged_link_starts_nothing(library):
    """Cookies alone are what a foreign page can make a browser send."""
    site, _ = library
    with site.browse("administrator") as browser:
        nonce = browser.headers.pop("X-WP-Nonce")
        assert browser.post("/wp-json/facecloak/v1/scan", json={"do": "start"}).status_code == 401
        stale = browser.post("/wp-json/facecloak/v1/scan", json={"do": "start"}, headers={"X-WP-Nonce": nonce[::-1]})
        assert stale.status_code == 403
        answer = browser.get("/wp-admin/admin-post.php", params={"action": "facecloak_scan_csv", "_wpnonce": "abc"})
        assert answer.status_code == 403
    assert site.sql("SELECT option_value FROM wp_options WHERE option_name = 'facecloak_scan'") == []


def test_without_a_service_nothing_is_begun(site):
    with site.client("administrator") as client:
        answer = client.post("/wp-json/facecloak/v1/scan", json={"do": "start"})
    assert answer.status_code == 409 and "Nothing was scanned" in answer.json()["message"]


def test_the_page_scans_and_shows_what_was_found(library, visit):  # noqa: F811 - a fixture
    site, ids = library
    page = visit(site.url)
    page.context.add_cookies(site.cookies("administrator"))
    page.goto(f"{site.url}/wp-admin/upload.php?page=facecloak-scan")
    assert "was not scanned yet" in page.inner_text("#facecloak-scan")
    assert "Nothing was found yet" in page.inner_text("table")
    page.click("#facecloak-scan [data-do=start]")
    page.wait_for_selector("#facecloak-scan[data-state=done]")
    page.wait_for_selector("td:has-text('2 clear faces')")
    assert page.locator("tbody tr").count() == 3 and "4 of 4 looked at, 3 listed" in page.inner_text("#facecloak-scan")
    assert page.is_enabled("#facecloak-scan [data-do=start]") and page.is_disabled("#facecloak-scan [data-do=stop]")
