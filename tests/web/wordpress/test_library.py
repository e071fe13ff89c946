"""The media library: what it says of each file, how it is filtered, and what is done with many at once."""

from __future__ import annotations

import re

import pytest

from .attachments import attach, state_of

STATES = (None, "waiting", "unreviewed", "reviewed", "suggested", "unchecked", "failed")


@pytest.fixture
def editor(site):
    with site.browse("editor") as browser:
        yield browser


def listed(page):
    return {int(id) for id in re.findall(r'id="post-(\d+)"', page)}


def bulk(browser, action, *ids):
    page = browser.get("/wp-admin/upload.php?mode=list").text
    nonce = re.search(r'name="_wpnonce" value="([0-9a-f]+)"', page)[1]
    answer = browser.get("/wp-admin/upload.php", params=[
        ("action", action), ("_wpnonce", nonce), ("mode", "list"), *(("media[]", id) for id in ids)])
    assert answer.status_code == 302, answer.text[:300]
    return browser.get("/wp-admin/upload.php?mode=list").text


def test_every_file_says_its_state_and_can_be_filtered_by_it(site, guarded, editor):
    made = dict(zip(STATES, attach(site, *STATES), strict=True))
    (pdf,) = attach(site, None, mime="application/pdf")
    guarded("require")
    page = editor.get("/wp-admin/upload.php?mode=list").text
    for state, one in made.items():
        (row,) = re.findall(rf'<tr id="post-{one.id}".*?</tr>', page, re.DOTALL)
        assert f"facecloak-{state or 'unknown'}" in row
        assert ("page=facecloak-review&#038;media=" in row) == (state is not None)
        only = listed(editor.get("/wp-admin/upload.php", params={"mode": "list", "facecloak_state": state or "unknown"}
                                 ).text)
        assert only == {one.id}, state
    assert listed(editor.get("/wp-admin/upload.php?mode=list&facecloak_state=nonsense'").text) == listed(page)
    assert "facecloak-unknown" not in re.findall(rf'<tr id="post-{pdf.id}".*?</tr>', page, re.DOTALL)[0]


def test_the_media_window_says_it_too(site, guarded):
    one, old = attach(site, "unreviewed", None)
    guarded("require")
    for role, has_link in (("editor", True), ("author", False)):
        said = site.php("""return array_map(function ($id) {
                return wp_prepare_attachment_for_js($id)['compat']['item'] ?? ''; }, $ids);""",
                        user=role, is_admin=True, ids=[one.id, old.id])
        assert "nobody has reviewed" in said[0] and "never looked at" in said[1]
        assert ("facecloak-review" in said[0]) == has_link


def test_many_are_confirmed_at_once_and_each_by_itself(site, guarded, editor):
    made = dict(zip(STATES, attach(site, *STATES, faces=0), strict=True))
    guarded("require", no_face_needs_review=True)
    page = bulk(editor, "facecloak_confirm", *(one.id for one in made.values()))
    assert "files were confirmed" in page or "file was confirmed" in page
    now = {state: state_of(site, one) for state, one in made.items()}
    # Nobody confirms what there is only a placeholder of, or what nobody has looked at
    assert now == {None: None, "waiting": "waiting", "unreviewed": "reviewed", "reviewed": "reviewed",
                   "suggested": now["suggested"], "unchecked": "unchecked", "failed": "failed"}
    assert "was not changed" in page
    ((who,),) = site.sql("SELECT DISTINCT user_id FROM wp_facecloak_log WHERE attachment_id ="
                         f"{made['unreviewed'].id} AND action LIKE 'approved%'")
    assert int(who) == site.ids["editor"]


def test_an_approval_is_taken_back(site, guarded, editor):
    (one,) = attach(site, "reviewed")
    guarded("require")
    page = editor.get("/wp-admin/upload.php?mode=list").text
    link = re.search(r'href="([^"]*action=facecloak_again[^"]*)"', page)[1].replace("&#038;", "&").replace("&amp;", "&")
    assert editor.get(link).status_code == 302
    assert state_of(site, one) == "unreviewed"
    assert "is to be looked at again" in editor.get("/wp-admin/upload.php?mode=list").text


def test_what_was_never_looked_at_is_looked_at(site, guarded, editor):
    (old,) = attach(site, None)
    guarded("require")
    bulk(editor, "facecloak_again", old.id)
    assert state_of(site, old) == "unreviewed"
