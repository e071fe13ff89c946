"""Nobody finds a clear face, a position, a serial number or an old thumbnail on a site that is guarded: every file that
can be fetched is fetched, with the real engine behind the plugin, and searched by other means than the engine's."""

from __future__ import annotations

import io
import re
import subprocess
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from evaluation import canaries

from ..clip_maker import run_ffmpeg, two_faces
from .crawler import crawl, search

TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "heic": "image/heic"}


def scene(portrait, size, seed):
    """A picture of this size with two heads, a third of its height or more, and the head alone."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 190, (size[1] // 16 + 1, size[0] // 16 + 1, 3))
    picture = Image.fromarray(np.kron(ground, np.ones((16, 16, 1))).astype(np.uint8)[: size[1], : size[0]])
    with Image.open(portrait) as image:
        head = image.convert("RGB").crop((110, 0, 340, 300))
    tall = int(size[1] * 0.62)
    small = head.resize((int(tall * 0.77), tall), Image.Resampling.LANCZOS)
    for share in (0.05, 0.52):
        picture.paste(small, (int(size[0] * share), int(size[1] * 0.1)))
    return picture, head


def turned(data, folder):
    """The same JPEG, lying on its side as cameras write it, with the word that says so."""
    with Image.open(io.BytesIO(data)) as image:
        lying = image.transpose(Image.Transpose.ROTATE_90)
    lying.save(folder / "lying.jpg", quality=92)
    (folder / "from.jpg").write_bytes(data)
    subprocess.run(["exiftool", "-q", "-q", "-n", "-TagsFromFile", folder / "from.jpg", "-all:all", "-unsafe",
                    "-ThumbnailImage", "-Orientation=6", "-overwrite_original", folder / "lying.jpg"], check=True,
                   capture_output=True)
    return (folder / "lying.jpg").read_bytes()


@pytest.fixture(scope="module")
def pictures(portrait, tmp_path_factory):
    """name -> bytes, and every canary in any of them."""
    made, hidden = {}, {}

    def plant(name, size, form):
        planted = canaries.plant(*scene(portrait, size, len(made)), form)
        made[name] = planted.data
        hidden.update({(name, canary.name): canary for canary in planted.canaries})

    plant("plain.jpg", (900, 640), "JPEG")
    plant("huge.jpg", (2600, 1000), "JPEG")  # WordPress scales what is over 2560, and keeps the original beside
    plant("drawn.png", (700, 500), "PNG")
    plant("small.webp", (640, 480), "WEBP")
    plant("phone.heic", (640, 480), "HEIF")
    plant("before.jpg", (800, 600), "JPEG")
    made["turned.jpg"] = turned(made["plain.jpg"], tmp_path_factory.mktemp("turned"))
    # Pictures within files differ from photo to photo; words are the same everywhere
    return made, list({canary.needles: canary for canary in hidden.values()}.values())


def hand_in(site, pictures, *names):
    return {name: site.media(pictures[0][name], name, media_type=TYPES[name.partition(".")[2]])["id"] for name in names}


def edit_in_the_media_library(site, id):
    """Turned and cut with the image editor of wp-admin, which keeps what was there before."""
    with site.browse("administrator") as browser:
        page = browser.get("/wp-admin/post.php", params={"post": id, "action": "edit"}).text
        nonce = re.search(rf'imageEdit\.open\(\s*{id},\s*"(\w+)"', page.replace("&quot;", '"'))
        assert nonce, "the media library offers no editor"
        answer = browser.post("/wp-admin/admin-ajax.php", data={
            "action": "image-editor", "_ajax_nonce": nonce[1], "postid": id, "history": '[{"r":90}]', "target": "all",
            "context": "", "do": "save"})
        return answer.json()


def edit_in_the_block_editor(site, id):
    """A new attachment, cut from the old one."""
    with site.client("editor") as client:
        source = client.get(f"/wp-json/wp/v2/media/{id}").json()["source_url"]
        return client.post(f"/wp-json/wp/v2/media/{id}/edit", json={
            "src": source, "x": 5, "y": 5, "width": 80, "height": 80, "rotation": 90})


def finish_background_work(site, seconds=90):
    """Cron, over and over, until nothing waits."""
    end = time.monotonic() + seconds
    while waiting := site.sql("SELECT name, state, error FROM wp_facecloak_media WHERE state = 'waiting'"):
        assert time.monotonic() < end, waiting
        site.sql("UPDATE wp_facecloak_media SET next_try = '2000-01-01 00:00:00' WHERE next_try IS NOT NULL")
        site.cron("facecloak_work")


def summary(findings):
    return dict(Counter((one.url.rsplit("/", 1)[1], one.what) for one in findings))


def test_nothing_untouched_can_be_fetched_under_enforce(guarded, engine, pictures, portrait, nets, tmp_path):
    site = guarded("off", by=engine)
    before = hand_in(site, pictures, "before.jpg")["before.jpg"]
    site.configure(policy="enforce")
    ids = hand_in(site, pictures, "plain.jpg", "huge.jpg", "drawn.png", "small.webp", "phone.heic", "turned.jpg")
    clip = two_faces(portrait, tmp_path / "march.mp4", words=("-metadata", "location=+48.8584+002.2945/"))
    ids["march.mp4"] = site.media(clip.read_bytes(), "march.mp4", media_type="video/mp4")["id"]
    nobody = tmp_path / "nobody.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=1", "-pix_fmt", "yuv420p", "-metadata",
               "location=+48.8584+002.2945/", str(nobody))
    site.media(nobody.read_bytes(), "nobody.mp4", media_type="video/mp4")
    site.php("Facecloak\\Plugin::instance()->intake->adopt($id); return null;", id=before, is_admin=True)
    edit_in_the_media_library(site, ids["plain.jpg"])
    edit_in_the_block_editor(site, ids["drawn.png"])

    found = crawl(site)
    assert search([one for one in found if one.url.endswith(".mp4")], pictures[1], nets, tmp_path / "clips") == []
    finish_background_work(site)
    found = crawl(site)
    names = {one.url.rsplit("/", 1)[1] for one in found}
    assert {"plain.jpg", "huge-scaled.jpg", "drawn.png", "small.webp", "phone.jpg", "before.jpg", "march.mp4",
            "nobody.mp4"} <= names
    assert len(found) > 30
    findings = search(found, pictures[1], nets, tmp_path / "files")
    assert not findings, summary(findings)
    # What was fetched is the photos with something over the faces, not a grey sheet
    states = dict(site.sql("SELECT name, state FROM wp_facecloak_media"))
    assert set(states.values()) == {"unreviewed"}, states
    for one in found:
        if one.url.endswith(("plain.jpg", "huge-scaled.jpg", "drawn.png", "small.webp", "phone.jpg", "before.jpg")):
            with Image.open(io.BytesIO(one.data)) as image:
                assert len(image.convert("RGB").resize((40, 40)).getcolors(1600)) > 300, one.url


def test_nothing_untouched_can_be_fetched_while_the_service_is_away_or_later(guarded, engine, proxy, pictures, nets,
                                                                             tmp_path):
    site = guarded("require", by=engine)
    proxy.mode = "down"
    hand_in(site, pictures, "plain.jpg", "drawn.png", "turned.jpg")
    findings = search(crawl(site), pictures[1], nets, tmp_path / "waiting")
    assert not findings, summary(findings)
    proxy.mode = "up"
    finish_background_work(site)
    found = crawl(site)
    assert len(found) > 10
    findings = search(found, pictures[1], nets, tmp_path / "swapped")
    assert not findings, summary(findings)


def test_the_search_finds_it_all_where_the_plugin_is_off(guarded, pictures, nets, tmp_path):
    """Or the tests above would pass for a plugin that does nothing."""
    site = guarded("off")
    ids = hand_in(site, pictures, "plain.jpg", "huge.jpg", "turned.jpg")
    edit_in_the_media_library(site, ids["plain.jpg"])
    found = crawl(site)
    findings = summary(search(found, pictures[1], nets, tmp_path / "files"))
    told = {(url, what) for url, what in findings}
    names = {url for url, _ in told}
    # WordPress itself leaves the original beside what it has scaled, turned or edited
    assert {"plain.jpg", "huge.jpg", "huge-scaled.jpg", "turned.jpg"} <= names and len(names) > 10
    for name in ("plain.jpg", "huge.jpg", "turned.jpg"):
        assert any(url == name and "clear faces" in what for url, what in told)
        assert any(url == name and "GPSLatitude" in what for url, what in told)
        assert any(url == name and "ThumbnailImage" in what for url, what in told)
        assert (name, "canary: body serial") in told
    assert ("plain.jpg", "canary: exif thumbnail") in told and ("huge.jpg", "canary: second picture") in told


def test_the_search_finds_faces_in_a_clip_where_the_plugin_is_off(guarded, portrait, nets, tmp_path):
    site = guarded("off")
    clip = two_faces(portrait, tmp_path / "march.mp4", words=("-metadata", "location=+48.8584+002.2945/"))
    site.media(clip.read_bytes(), "march.mp4", media_type="video/mp4")
    told = {what for _, what in summary(search(crawl(site), [], nets, tmp_path / "files"))}
    assert any("clear faces in frame 12" in what for what in told) and any("GPS" in what for what in told)
