"""The block editor in a real browser: what its publish button does while media are not reviewed, and afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from ..browser.conftest import chromium, visit  # noqa: F401 - fixtures
from .attachments import attach, post, set_state
from .newsroom import Newsroom

SHOTS = os.environ.get("FACECLOAK_SCREENSHOTS")  # a folder, for whoever wants to look


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


@pytest.fixture
def sees(site: Newsroom, visit: Callable[..., Page]) -> Callable[..., Page]:  # noqa: F811
    """`sees(role, path)`: a page of the dashboard in that person's browser."""
    site.php("update_option('show_avatars', 0); return null;")  # they come from elsewhere

    def opened(role: str, path: str, **context: Any) -> Page:
        page = visit("about:blank", **context)
        page.context.set_default_timeout(20_000)
        page.context.add_cookies(site.cookies(role))
        page.goto(site.url + path)
        return page

    return opened


@pytest.fixture
def editing(sees: Callable[..., Page]) -> Callable[..., Page]:
    """`editing(post)`: the block editor with it, when it is ready."""
    def opened(id: int, role: str = "editor", **context: Any) -> Page:
        page = sees(role, f"/wp-admin/post.php?post={id}&action=edit", **context)
        page.wait_for_function("window.wp && wp.data && wp.data.select('core/editor').__unstableIsEditorReady()")
        return page

    return opened


def test_the_publish_button_waits_for_the_review_and_says_why(site, guarded, editing):
    (one,) = attach(site, "unreviewed")
    guarded("require")
    article = post(site, one.block)
    page = editing(article)
    # A draft is saved as ever: by the button, and with the keyboard
    page.evaluate("wp.data.dispatch('core/editor').editPost({title: 'In town'})")
    page.locator(".editor-post-title__input").press("Control+s")
    page.wait_for_function("!wp.data.select('core/editor').isEditedPostDirty()")
    page.get_by_role("button", name="Publish", exact=True).click()
    panel = page.locator(".facecloak-panel")
    expect(panel).to_contain_text("This cannot be published: 1 picture or clip is not reviewed.")
    expect(panel).to_contain_text("2 faces were found and treated, but nobody has reviewed it.")
    button = page.locator(".editor-post-publish-panel__header-publish-button button").first
    expect(button).to_have_attribute("aria-disabled", "true")
    shot(page, "panel-closed")
    button.click(force=True)
    page.wait_for_timeout(300)
    assert site.sql(f"SELECT post_status FROM wp_posts WHERE ID = {article}") == [["draft"]]
    with page.context.expect_page() as other:
        panel.get_by_role("link", name="Review").click()
    assert f"page=facecloak-review&media={one.id}" in other.value.url
    other.value.close()

    # With another policy it says what was found, and opens
    site.configure(policy="suggest")
    panel.get_by_role("button", name="Check again").click()
    expect(panel).to_contain_text("1 picture or clip is not reviewed. You can publish all the same.")
    expect(button).to_have_attribute("aria-disabled", "false")
    shot(page, "panel-suggest")
    site.configure(policy="require")

    set_state(site, one, "reviewed")
    # Where the check does not answer, nobody knows, and the button stays closed
    page.route("**/facecloak/v1/gate**", lambda route: route.fulfill(status=500, body="{}"))
    panel.get_by_role("button", name="Check again").click()
    expect(panel).to_contain_text("It failed, so nothing can be said about the media of this post")
    expect(button).to_have_attribute("aria-disabled", "true")
    page.unroute("**/facecloak/v1/gate**")
    panel.get_by_role("button", name="Check again").click()
    expect(panel).to_contain_text("All pictures and clips that were found in it are reviewed.")
    expect(button).to_have_attribute("aria-disabled", "false")
    shot(page, "panel-open")
    button.click()
    expect(page.locator(".post-publish-panel__postpublish")).to_be_visible()
    assert site.sql(f"SELECT post_status FROM wp_posts WHERE ID = {article}") == [["publish"]]


def test_a_live_article_cannot_be_changed_to_show_what_nobody_reviewed(site, guarded, editing):
    bad, good = attach(site, "unreviewed", "reviewed")
    guarded("require")
    page = editing(post(site, good.block, state="publish"))
    update = page.locator(".editor-post-publish-button")
    page.evaluate("content => wp.data.dispatch('core/editor').resetEditorBlocks(wp.blocks.parse(content))",
                  good.block + bad.block)
    notice = page.locator(".components-notice.is-error")
    expect(notice).to_contain_text("This cannot be published")
    expect(notice).to_contain_text("nobody has reviewed it")
    expect(update).to_have_attribute("aria-disabled", "true")
    shot(page, "live")
    # Whoever gets around the button does not get around the server, and reads why
    page.evaluate("""() => { wp.data.dispatch('core/editor').unlockPostSaving('facecloak');
        return wp.data.dispatch('core/editor').savePost(); }""")
    expect(page.locator(".components-notice.is-error", has_text="Nothing was published or changed")).to_be_visible()
    page.evaluate("content => wp.data.dispatch('core/editor').resetEditorBlocks(wp.blocks.parse(content))",
                  good.block + "<p>More.</p>")
    expect(page.locator(".components-notice", has_text="This cannot be published")).to_have_count(0)
    page.wait_for_function("!wp.data.select('core/editor').isPostSavingLocked()")


def test_who_cannot_publish_hands_in_for_review(site, guarded, editing):
    (one,) = attach(site, "suggested")
    guarded("require")
    page = editing(post(site, one.block, author="contributor"), "contributor")
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.locator(".facecloak-panel")).to_contain_text("An editor can review them.")
    expect(page.locator(".facecloak-panel")).to_contain_text("NOT covered")
    assert not page.evaluate("wp.data.select('core/editor').isPostSavingLocked()")
    # And where the policy is off, the editor is as it was
    for policy, is_there in (("off", False), ("require", True)):
        guarded(policy)
        with site.browse("editor") as browser:
            assert ("assets/editor.js" in browser.get("/wp-admin/post-new.php").text) == is_there


def test_the_settings_page_tests_the_connection_and_opens_the_policies(site, sees, proxy, service):
    site.configure(proxy.url, service.token)
    page = sees("administrator", "/wp-admin/options-general.php?page=facecloak")
    strict = page.get_by_label("Require review")
    expect(strict).to_be_disabled()
    page.get_by_label("Address").fill(proxy.url + "/")
    expect(page.get_by_role("button", name="Test the connection")).to_be_disabled()
    page.reload()
    proxy.mode = "down"
    page.get_by_role("button", name="Test the connection").click()
    result = page.locator("#facecloak-test-result")
    expect(result).to_contain_text("does not work")
    expect(strict).to_be_disabled()
    proxy.mode = "up"
    page.get_by_role("button", name="Test the connection").click()
    expect(result).to_contain_text("looked at a picture")
    strict.check()
    shot(page, "settings")
    page.set_viewport_size({"width": 390, "height": 800})
    shot(page, "settings-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Save Changes").click()
    expect(page.get_by_text("Settings saved.")).to_be_visible()
    expect(page.get_by_label("Require review")).to_be_checked()
    assert service.token not in page.content()


def test_the_library_and_the_log_can_be_looked_at(site, guarded, sees):
    made = attach(site, None, "waiting", "unreviewed", "reviewed", "suggested", "unchecked", "failed")
    guarded("require")
    page = sees("administrator", "/wp-admin/upload.php?mode=list")
    expect(page.locator(".facecloak-state")).to_have_count(len(made))
    shot(page, "library")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(site.url + "/wp-admin/upload.php?page=facecloak-log")
    shot(page, "log-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
