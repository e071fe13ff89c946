"""What comes into uploads and what leaves it, also where requests die half-way, disks refuse and workers race."""

from __future__ import annotations

import io
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from .newsroom import Failed
from .photos import march, shows_faces, size_of, tells
from .stub_engine import UNPROTECTED_PX, _clip

SIDELOAD = """
    $path = wp_tempnam($name);
    file_put_contents($path, base64_decode($bytes));
    $id = media_handle_sideload(['name' => $name, 'tmp_name' => $path], 0);
    return is_wp_error($id) ? $id->get_error_message() : $id;"""
BITS = """
    $made = wp_upload_bits($name, null, base64_decode($bytes));
    return $made['error'] ?: $made['file'];"""
INSERT = """
    $path = wp_upload_dir()['path'] . '/' . $name;
    file_put_contents($path, base64_decode($bytes));
    $id = wp_insert_attachment(['post_mime_type' => 'image/jpeg', 'post_title' => 'x'], $path);
    wp_update_attachment_metadata($id, wp_generate_attachment_metadata($id, $path));
    return $id;"""


def php(site, code, data=b"", name="march.jpg", first="", **more):
    import base64
    return site.php(first + code, bytes=base64.b64encode(data).decode(), name=name, user="administrator",
                    is_admin=True, **more)


def records(site, columns="state"):
    return site.sql(f"SELECT {columns} FROM wp_facecloak_media ORDER BY id")


def work(site):
    site.sql("UPDATE wp_facecloak_media SET next_try = '2000-01-01 00:00:00' WHERE next_try IS NOT NULL")
    site.cron("facecloak_work")


def heic(photo):
    import pillow_heif
    from PIL import Image
    pillow_heif.register_heif_opener()
    data = io.BytesIO()
    Image.open(io.BytesIO(photo)).save(data, "HEIF")
    return data.getvalue()


def only_safe(site):
    pictures = [path for path in site.files if path.suffix != ".mp4" and path.stat().st_size]
    assert not [path.name for path in pictures if shows_faces(path) or tells(path)]


@pytest.fixture
def clip(tmp_path):
    _clip(str(tmp_path / "made.mp4"), grey=77)
    return (tmp_path / "made.mp4").read_bytes()


# --- nothing is left where a request ends -------------------------------------------------------------------------

DEATHS = {"exit": "exit;", "memory": "ini_set('memory_limit', '64M'); $x = str_repeat('x', 1 << 30);",
          "kill": "posix_kill(posix_getpid(), 9);", "throw": "throw new Error('out of order');"}


@pytest.mark.parametrize("policy", ["require", "enforce"])
def test_a_request_that_dies_leaves_no_original(guarded, policy):
    site = guarded(policy)
    for k, (how, death) in enumerate(DEATHS.items()):
        first = f"add_filter('pre_http_request', function () {{ {death} }});"
        for i, path in enumerate((SIDELOAD, BITS, INSERT)):
            original = march(10 * k + i)
            if how == "throw":
                php(site, path, original, first=first)
            else:
                with pytest.raises(Failed):
                    php(site, path, original, first=first)
            left = [file for file in site.files if file.stat().st_size]  # an empty one keeps the name
            assert not [file for file in left if file.read_bytes() == original or tells(file)], (how, path)
            if path is INSERT:  # it was there already, so it is not lost
                assert original in [file.read_bytes() for file in site.kept]
    only_safe(site)
    site.errors.clear()
    (site.folder / "php-errors.log").unlink(missing_ok=True)  # of the deaths
    work(site)
    assert {state for (state,) in records(site)} <= {"unreviewed", "waiting"}
    only_safe(site)


def test_a_quarantine_that_cannot_be_used_refuses_everything(guarded):
    site = guarded("require")
    (site.folder / "a file").write_text("x")
    (site.folder / "open").mkdir(exist_ok=True)
    for folder in (site.folder / "a file", site.docroot / "wp-content" / "kept", site.uploads / "kept",
                   site.folder / "a file" / "below", "relative"):
        for path in (SIDELOAD, BITS, INSERT):
            said = php(site, path, march(5), constants={"FACECLOAK_QUARANTINE": str(folder)})
            if path is not INSERT:
                assert "not uploaded" in said
            assert not site.files, (folder, site.files)
    assert not records(site)


def test_what_passes_by_the_prefilters_lies_where_nobody_can_guess(guarded):
    """wp_upload_bits() writes before it asks; here the one who would take the file in then is away."""
    site = guarded("require")
    path = php(site, BITS, march(1), first="""
        remove_filter('wp_handle_upload', [Facecloak\\Plugin::instance()->uploads, 'after_move'], PHP_INT_MIN);""")
    folder = path.split("/")[-2]
    assert len(folder) == len(".facecloak-") + 32 and folder.startswith(".facecloak-")
    assert (site.uploads / path.split("uploads/")[1]).parent.stat().st_mode & 0o077 == 0
    # What a request that was cut off has left is swept, in whatever month it lies
    old = site.uploads / "2015" / "03" / folder
    old.parent.mkdir(parents=True)
    (site.uploads / path.split("uploads/")[1]).parent.rename(old)
    os.utime(old, (0, 0))
    site.cron("facecloak_retention")
    assert not old.exists()
    taken = php(site, BITS, march(2))
    assert taken.split("/")[-1] == "march.jpg" and "facecloak-" not in taken
    assert php(site, BITS, march(3), name="march.exe") != taken


OWN_ACTION = """
    $path = wp_tempnam($name);
    file_put_contents($path, base64_decode($bytes));
    $seen = [];
    add_filter('pre_move_uploaded_file', function ($moved, $file) use (&$seen) {
        $seen[] = base64_encode(file_get_contents($file['tmp_name']));
        return $moved;
    }, 10, 2);
    $file = ['name' => $name, 'tmp_name' => $path, 'type' => 'image/jpeg', 'size' => filesize($path), 'error' => 0];
    $made = wp_handle_upload($file, ['action' => 'of_another_plugin', 'test_form' => false]);
    return [$made['error'] ?? '', basename($made['file'] ?? ''), $made['type'] ?? '', $seen];"""


def test_an_action_of_another_plugin_is_no_way_in(guarded, proxy):
    """WordPress then asks other prefilters; the file must be safe before it is under its name in uploads."""
    import base64
    site = guarded("enforce")
    error, name, kind, seen = php(site, OWN_ACTION, march(1))
    assert (error, name, kind) == ("", "march.jpg", "image/jpeg") and len(seen) == 1
    assert not shows_faces(base64.b64decode(seen[0])) and records(site) == [["unreviewed"]]
    assert php(site, OWN_ACTION, heic(march(2)), name="phone.heic")[:3] == ["", "phone.jpg", "image/jpeg"]
    # A prefilter that comes after ours, and puts something else in its place
    swap = """add_filter('wp_handle_sideload_prefilter', function ($file) use ($other) {
        file_put_contents($file['tmp_name'], base64_decode($other));
        return $file;
    }, PHP_INT_MAX);"""
    php(site, SIDELOAD, march(3), first=swap, other=base64.b64encode(march(4)).decode())
    only_safe(site)
    assert march(4) in [path.read_bytes() for path in site.kept]
    before = site.files
    proxy.mode = "down"
    error, name, _, _ = php(site, OWN_ACTION, march(5), name="late.jpg")
    assert "not uploaded" in error and not name and site.files == before


# --- known bytes --------------------------------------------------------------------------------------------------


def test_the_same_photo_twice_is_two_attachments_with_an_original_each(guarded, proxy):
    site = guarded("require")
    one, other = site.media(march(1))["id"], site.media(march(1))["id"]
    rows = records(site, "attachment_id, original, out_sha256")
    assert [int(row[0]) for row in rows] == [one, other] and len({row[1] for row in rows}) == 2
    # What we have made is taken as it is
    (covered, *_) = [path for path in site.files if path.name == "march.jpg"]
    proxy.requests.clear()
    again = site.media(covered.read_bytes(), "again.jpg")["id"]
    assert not proxy.requests
    assert records(site, "attachment_id, state, original")[2] == [str(again), "unreviewed", ""]
    site.php("wp_delete_attachment($id, true); return null;", id=one, is_admin=True)
    assert [int(row[0]) for row in records(site, "attachment_id")] == [other, again]
    assert [path.name for path in site.kept] == [rows[1][1]]


def test_originals_that_wait_are_not_mixed_up(guarded, proxy):
    site = guarded("require")
    proxy.mode = "down"
    ids = [site.media(march(seed), f"{seed}.jpg")["id"] for seed in (1, 2, 3)]
    assert len(set(records(site, "out_sha256")[0])) == 1 and len({row[0] for row in records(site, "out_sha256")}) == 3
    proxy.mode = "up"
    work(site)
    import hashlib
    for seed, id, row in zip((1, 2, 3), ids, records(site, "attachment_id, in_sha256, state"), strict=True):
        assert row == [str(id), hashlib.sha256(march(seed)).hexdigest(), "unreviewed"]
    only_safe(site)


@pytest.mark.parametrize("before", ["suggest", "kept"])
def test_bytes_that_a_looser_policy_let_in_are_not_known_to_a_stricter_one(guarded, before):
    site = guarded("suggest" if before == "suggest" else "require")
    data = march(1)
    id = site.media(data)["id"]
    if before == "kept":
        site.sql("UPDATE wp_facecloak_media SET state = 'reviewed', choices = '{\"faces\": {\"1\": \"keep\"}}'")
        data = next(path for path in site.files if path.name == "march.jpg").read_bytes()
    else:
        site.sql("UPDATE wp_facecloak_media SET state = 'reviewed'")  # approved with its faces
    site.php("wp_delete_post($id, true); return null;", id=-id)
    site.configure(policy="enforce")
    again = site.media(data, "again.jpg")["id"]
    assert records(site, "attachment_id, state, original <> ''")[1] == [str(again), "unreviewed", "1"]


def test_a_cloak_that_does_not_hold_becomes_a_cover(guarded):
    site = guarded("require", allow_cloaking=True, default_treatment="cloak balanced")
    site.media(march(1))
    site.media(march(1, (UNPROTECTED_PX, 300)), "narrow.jpg")
    chosen = [json.loads(row[0])["default"] for row in records(site, "choices")]
    assert chosen == ["cloak balanced", "redact solid"]
    narrow = next(path for path in site.files if path.name == "narrow.jpg")
    assert not shows_faces(narrow)


# --- kinds of files -----------------------------------------------------------------------------------------------

KINDS = {  # name, bytes, type: what happens under (require, enforce)
    "notes.txt": (b"Notes of a march", "text/plain", (True, True)),
    "report.pdf": (b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF", "application/pdf", (True, False)),
    "broken.jpg": (b"\xff\xd8\xff\xe0 no photo", "image/jpeg", (False, False)),
    "words.png": (b"this is no picture at all", "image/png", (False, False)),
    "moving.gif": (b"GIF89a\1\0\1\0\0\0\0;", "image/gif", (False, False)),
}


@pytest.mark.parametrize("policy", ["require", "enforce"])
def test_kinds_of_files(guarded, policy):
    site = guarded(policy)
    for name, (data, media_type, taken) in KINDS.items():
        for how in ("multipart", "xmlrpc"):
            site.upload(data, name, media_type=media_type, how=how)
        stem = name.partition(".")[0]
        expected = 2 if taken[policy == "enforce"] else 0
        assert len([path for path in site.files if path.name.startswith(stem)]) == expected, name
    assert not records(site) and not site.kept
    if policy == "enforce":
        site.configure(documents="allow")
        assert site.upload(KINDS["report.pdf"][0], "allowed.pdf", media_type="application/pdf").status_code == 201
        hidden = site.upload(march(1), "hidden.pdf", media_type="application/pdf")
        assert hidden.status_code >= 400 and not [path for path in site.files if "hidden" in path.name]


def test_pictures_of_telephones_become_jpegs_and_wait_for_nobody(guarded, proxy):
    site = guarded("require")
    made = site.media(heic(march(1)), "phone.heic", media_type="image/heic")
    assert made["mime_type"] == "image/jpeg" and made["source_url"].endswith("/phone.jpg")
    only_safe(site)
    proxy.mode = "down"
    refused = site.upload(heic(march(1)), "later.heic", media_type="image/heic")
    assert refused.status_code >= 400 and "stand in" in refused.json()["message"]
    assert len(site.kept) == 1 and not [path for path in site.files if "later" in path.name]


# --- editing and replacing ----------------------------------------------------------------------------------------


def test_a_picture_nobody_knows_is_not_edited(guarded):
    site = guarded("off")
    id = site.media(march(1))["id"]
    before = {path: path.read_bytes() for path in site.files}
    site.configure(policy="require")
    with site.client("editor") as client:
        source = client.get(f"/wp-json/wp/v2/media/{id}").json()["source_url"]
        answer = client.post(f"/wp-json/wp/v2/media/{id}/edit", json={"src": source, "rotation": 90})
        assert answer.status_code == 403 and "not changed" in answer.json()["message"]
        taken = site.php("return Facecloak\\Plugin::instance()->intake->adopt($id)->state;", id=id, is_admin=True)
        assert taken == "unreviewed"
        answer = client.post(f"/wp-json/wp/v2/media/{id}/edit", json={"src": source, "rotation": 90})
    assert answer.status_code == 201
    assert records(site, "attachment_id, state")[1] == [str(answer.json()["id"]), "unreviewed"]
    only_safe(site)
    assert not {path for path, data in before.items() if path.exists() and path.read_bytes() == data}


def test_new_bytes_leave_nothing_of_the_old_ones(guarded):
    """Also not what the editor of WordPress keeps to undo its work, and not the larger sizes."""
    site = guarded("require")
    id = site.media(march(1, (2800, 1900)), "march.jpg")["id"]
    edited = site.php("""
        require_once ABSPATH . 'wp-admin/includes/image-edit.php';
        $_REQUEST = ['history' => '[{"r":90}]', 'target' => 'all', 'context' => ''];
        return wp_save_image($id);""", id=id, user="administrator", is_admin=True)
    assert "error" not in edited, edited
    old = {path: path.read_bytes() for path in site.files}
    assert len([path for path in old if "-e1" in path.name]) > 2 and len(old) > 9
    row = records(site, "state, out_sha256, original")[0]
    assert row[0] == "unreviewed"
    site.php("""
        $plugin = Facecloak\\Plugin::instance();
        $made = $plugin->quarantine->temporary();
        file_put_contents($made, base64_decode($bytes));
        $plugin->attachments->replace($id, $made, 'image/jpeg');
        unlink($made);
        return null;""", id=id, bytes=__import__("base64").b64encode(march(9, (700, 500), has_faces=False)).decode())
    left = {path.name for path, data in old.items() if path.exists() and path.read_bytes() == data}
    assert not left
    assert max(size_of(path) for path in site.files) == (700, 500)
    with site.client("editor") as client:
        now = client.get(f"/wp-json/wp/v2/media/{id}").json()
        for size in now["media_details"]["sizes"].values():
            assert client.get(size["source_url"]).status_code == 200


def test_what_another_plugin_puts_in_its_place_is_treated(guarded):
    site = guarded("require")
    id = site.media(march(1))["id"]
    php(site, """
        $file = get_attached_file($id);
        file_put_contents($file, base64_decode($bytes));
        wp_update_attachment_metadata($id, wp_generate_attachment_metadata($id, $file));
        return null;""", march(2), id=id)
    only_safe(site)
    rows = records(site, "attachment_id, state, original")
    assert len(rows) == 1 and rows[0][:2] == [str(id), "unreviewed"]
    assert [path.read_bytes() for path in site.kept] == [march(2)]


# --- the queue ----------------------------------------------------------------------------------------------------


def test_two_workers_never_get_the_same_record(guarded):
    site = guarded("require")
    site.sql("INSERT INTO wp_facecloak_media (attachment_id, error, reason, created, next_try) VALUES " + ", ".join(
        f"({k}, '', '', '2026-01-01', '2026-01-01')" for k in range(1, 61)))
    claim = """
        $got = [];
        while (null !== ($record = Facecloak\\Plugin::instance()->records->claim(600))) { $got[] = $record->id; }
        return $got;"""
    with ThreadPoolExecutor(3) as pool:
        got = [one for some in pool.map(lambda _: site.php(claim), range(3)) for one in some]
    assert len(got) == 60 and len(set(got)) == 60
    assert site.php(claim) == []
    site.sql("UPDATE wp_facecloak_media SET claimed_until = '2026-01-02'")  # the workers have died
    assert len(site.php(claim)) == 60


def test_back_off_and_giving_up(guarded, proxy):
    site = guarded("require")
    proxy.mode = "error"
    site.media(march(1))
    minutes = []
    for _ in range(6):
        [[due]] = site.sql("SELECT ROUND(TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), next_try) / 60) "
                           "FROM wp_facecloak_media")
        minutes.append(int(due))
        work(site)
    assert minutes == [1, 2, 5, 15, 60, 60]
    site.sql("UPDATE wp_facecloak_media SET attempts = 77")
    work(site)
    assert records(site, "state, next_try IS NULL") == [["failed", "1"]]
    proxy.mode = "up"
    site.php("$p = Facecloak\\Plugin::instance(); $p->queue->retry($p->records->find((int) $id)); return null;",
             id=records(site, "id")[0][0])
    work(site)
    assert records(site) == [["unreviewed"]]
    only_safe(site)


def test_a_photo_the_service_will_never_take_fails_and_its_original_stays(guarded, proxy):
    site = guarded("require")
    proxy.mode = "down"
    site.media(march(1))
    proxy.mode = "answer"
    problem = {"code": "photo-too-large", "detail": "the photo has too many pixels", "status": 413}
    proxy.answer = lambda method, path, _: (413, "application/problem+json", json.dumps(problem).encode())
    work(site)
    assert records(site, "state, error") == [["failed", "the photo has too many pixels"]]
    assert [path.read_bytes() for path in site.kept] == [march(1)]


def test_a_clip_waits_black_and_is_covered_in_the_background(guarded, proxy, clip):
    site = guarded("enforce")
    made = site.media(clip, "march.mov", media_type="video/quicktime")
    (placeholder,) = site.files
    assert placeholder.name == "march.mp4" and made["mime_type"] == "video/mp4"
    probe = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "format=duration", placeholder],
                           capture_output=True, text=True)
    assert probe.returncode == 0 and not probe.stderr and "duration=2" in probe.stdout
    assert records(site, "state, kind") == [["waiting", "clip"]]
    # The service forgets the first job before anybody asks for it
    site.sql(f"UPDATE wp_facecloak_media SET plan_job = '{'0' * 32}'")
    work(site)
    assert records(site, "state, plan_job") == [["waiting", ""]]
    end = time.monotonic() + 60
    while records(site) == [["waiting"]]:
        assert time.monotonic() < end, records(site, "state, error")
        work(site)
    assert records(site, "state, error") == [["unreviewed", ""]]
    assert records(site, "state, job, LENGTH(plan_job)") == [["unreviewed", "", "32"]]
    (covered,) = site.files
    assert covered.read_bytes() not in (clip, placeholder) and covered == placeholder
    proxy.mode = "down"
    refused = site.upload(clip, "later.mp4", media_type="video/mp4")
    assert refused.status_code >= 400 and len(site.files) == 1 and len(site.kept) == 1


def test_originals_go_when_their_time_is_over(guarded):
    site = guarded("require", retention_days=7)
    old, new, waiting = (site.media(march(seed), f"{seed}.jpg")["id"] for seed in (1, 2, 3))
    for id, days in ((old, 8), (new, 6)):
        site.sql("UPDATE wp_facecloak_media SET state = 'reviewed', "
                 f"reviewed_at = UTC_TIMESTAMP() - INTERVAL {days} DAY WHERE attachment_id = {id}")
    site.sql("INSERT INTO wp_facecloak_media (attachment_id, error, reason, created) VALUES (0, '', '', '2026-01-01')")
    site.cron("facecloak_retention")
    assert records(site, "attachment_id, original <> ''") == [[str(old), "0"], [str(new), "1"], [str(waiting), "1"]]
    assert len(site.kept) == 2
    site.configure(retention_days=0)
    site.cron("facecloak_work")
    assert len(site.kept) == 1


def test_plugins_can_still_be_installed_by_those_who_may(guarded):
    import io
    import re
    import zipfile
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("hello/hello.php", "<?php\n/* Plugin Name: Hello */\n")
    site = guarded("enforce")
    for role, field, works in (("administrator", "pluginzip", True), ("author", "file", False)):
        with site.browse(role) as browser:
            if field == "pluginzip":
                page = browser.get("/wp-admin/plugin-install.php", params={"tab": "upload"}).text
                nonce = re.search(r'name="_wpnonce" value="(\w+)"', page)[1]
                answer = browser.post("/wp-admin/update.php", params={"action": "upload-plugin"},
                                      data={"_wpnonce": nonce}, files={field: ("hello.zip", data.getvalue())})
            else:
                answer = browser.post("/wp-json/wp/v2/media", files={field: ("hello.zip", data.getvalue())})
        assert (site.docroot / "wp-content" / "plugins" / "hello").is_dir(), answer.text[-3000:]
        assert works or "cannot look into" in answer.text
    assert not site.files
    import shutil
    shutil.rmtree(site.docroot / "wp-content" / "plugins" / "hello")


def test_undoing_an_edit_takes_the_approval_back(guarded, proxy):
    """What comes back shows more than what was looked at."""
    site = guarded("require")
    id = site.media(march(1, (2800, 1900)))["id"]
    edit = """
        require_once ABSPATH . 'wp-admin/includes/image-edit.php';
        $_REQUEST = ['history' => $history, 'target' => 'all', 'context' => ''];
        return $history ? wp_save_image($id) : wp_restore_image($id);"""
    cut = '[{"c":{"x":0,"y":0,"w":100,"h":80}}]'
    site.php(edit, id=id, history=cut, user="administrator", is_admin=True)
    before = records(site, "out_sha256, original")
    site.sql("UPDATE wp_facecloak_media SET state = 'reviewed', reviewed_by = 1")
    proxy.requests.clear()
    site.php(edit, id=id, history=cut, user="administrator", is_admin=True)
    assert records(site) == [["reviewed"]]  # cut further, so nothing else can be seen
    site.php(edit, id=id, history="", user="administrator", is_admin=True)
    assert records(site) == [["unreviewed"]] and not proxy.requests
    assert [row[1] for row in before] == [row[1] for row in records(site, "out_sha256, original")]
    with site.client("editor") as client:
        now = client.get(f"/wp-json/wp/v2/media/{id}").json()
        assert now["source_url"].endswith("/march-scaled.jpg")
        for size in now["media_details"]["sizes"].values():
            assert client.get(size["source_url"]).status_code == 200
    only_safe(site)


def test_another_file_for_an_attachment_is_treated_or_taken_away(guarded, proxy):
    site = guarded("enforce")
    id = site.media(march(1))["id"]
    site.sql("UPDATE wp_facecloak_media SET state = 'reviewed'")
    put = """
        $path = dirname(get_attached_file($id)) . '/' . $name;
        file_put_contents($path, base64_decode($bytes));
        update_attached_file($id, $path);
        wp_update_attachment_metadata($id, ['file' => $name, 'sizes' => [], 'width' => 9, 'height' => 9]);
        return wp_get_attachment_metadata($id)['width'];"""
    assert php(site, put, march(2), name="other.jpg", id=id) == 480
    assert records(site) == [["unreviewed"]]
    only_safe(site)
    proxy.mode = "down"
    php(site, put, march(3), name="third.jpg", id=id)
    assert records(site) == [["waiting"]]
    only_safe(site)


def test_another_format_of_the_same_name_is_another_file(guarded):
    site = guarded("require")
    id = site.media(march(1))["id"]
    php(site, """
        $path = dirname(get_attached_file($id)) . '/march.png';
        file_put_contents($path, base64_decode($bytes));
        update_attached_file($id, $path);
        return null;""", march(2, form="PNG"), id=id)
    only_safe(site)
    assert march(2, form="PNG") in [path.read_bytes() for path in site.kept]


CUT = """
    require_once ABSPATH . 'wp-admin/includes/image-edit.php';
    $_REQUEST = ['history' => '[{"c":{"x":0,"y":0,"w":100,"h":80}}]', 'target' => 'all', 'context' => ''];
    return wp_save_image($id);"""


def test_what_was_cut_away_before_the_review_does_not_come_back_as_reviewed(guarded):
    """Of a large picture, the editor of blocks goes back to the file from before the cut."""
    site = guarded("require")
    id = site.media(march(1, (2800, 1900)))["id"]

    def turned():
        with site.client("editor") as client:
            source = client.get(f"/wp-json/wp/v2/media/{id}").json()["source_url"]
            answer = client.post(f"/wp-json/wp/v2/media/{id}/edit", json={"src": source, "rotation": 90})
        assert answer.status_code == 201, answer.text
        return site.sql(f"SELECT state FROM wp_facecloak_media WHERE attachment_id = {answer.json()['id']}")

    site.sql("UPDATE wp_facecloak_media SET state = 'reviewed', reviewed_by = 1")
    assert turned() == [["reviewed"]]
    site.php(CUT, id=id, user="administrator", is_admin=True)
    assert records(site)[0] == ["reviewed"]
    assert turned() == [["unreviewed"]]
    # And where somebody has put a stranger in its place, nothing is made from it
    next(path for path in site.files if path.name == "march.jpg").write_bytes(march(2))
    with site.client("editor") as client:
        source = client.get(f"/wp-json/wp/v2/media/{id}").json()["source_url"]
        assert client.post(f"/wp-json/wp/v2/media/{id}/edit", json={"src": source, "rotation": 90}).status_code == 403


def test_a_picture_that_is_edited_over_itself_stays_known(guarded):
    import hashlib
    site = guarded("require")
    id = site.media(march(1))["id"]
    for _ in range(2):
        site.php(CUT, id=id, user="administrator", is_admin=True, constants={"IMAGE_EDIT_OVERWRITE": True})
    (attached,) = site.php("return [get_attached_file($id)];", id=id)
    with open(attached, "rb") as file:
        assert records(site, "out_sha256") == [[hashlib.sha256(file.read()).hexdigest()]]


def test_a_picture_from_before_is_neither_lost_nor_mixed_up_while_it_is_treated(guarded):
    site = guarded("off")
    ids = [site.media(march(seed), f"{seed}.jpg")["id"] for seed in (1, 2)]
    site.configure(policy="require")
    adopt = "Facecloak\\Plugin::instance()->intake->adopt($id); return basename(get_attached_file($id));"
    with pytest.raises(Failed):  # ends while the files in uploads are taken away
        php(site, adopt, id=ids[0], first="add_action('delete_post_meta', function () { exit; });")
    assert records(site) == [["waiting"]] and [path.read_bytes() for path in site.kept] == [march(1)]
    work(site)
    assert records(site) == [["unreviewed"]]
    # Somebody hands in a file of that name while the service is at work
    name = php(site, adopt, id=ids[1], first="""
        $path = get_attached_file($id);
        add_filter('pre_http_request', function () use ($path) {
            touch(dirname($path) . '/' . wp_unique_filename(dirname($path), basename($path)));
            return false;
        });""")
    others = {path.name for path in site.files if not path.stat().st_size}
    assert name == "2.jpg" and "2-1.jpg" in others and "2.jpg" not in others
    only_safe(site)


def test_names_that_a_database_does_not_hold(guarded):
    site = guarded("require")
    for name in ("x" * 230 + ".jpg", "Фото с марша.jpg", "a\xa0b;c.jpg", "march.php.jpg"):
        site.media(march(len(name)), name)
    assert len(records(site)) == 4
    only_safe(site)
