"""The site that the other tests take for granted: everything the plugin meets there is WordPress's own."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from .newsroom import ROLES, Failed


def jpeg(size=(400, 300)):
    data = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(data, "JPEG")
    return data.getvalue()


@pytest.mark.parametrize("how", ["multipart", "raw", "xmlrpc"])
def test_photos_arrive_on_every_path(site, how):
    answer = site.upload(jpeg(), how=how)
    assert answer.status_code in (200, 201) and "fault" not in answer.text, answer.text
    (photo,) = [path for path in site.files if path.name == "march.jpg"]
    with site.client() as nobody:
        fetched = nobody.get("/wp-content/uploads/" + str(photo.relative_to(site.uploads)))
    assert fetched.content == photo.read_bytes() and fetched.headers["Content-Type"] == "image/jpeg"


def test_the_next_test_finds_the_site_as_it_was(site):
    before = site.sql("SELECT COUNT(*) FROM wp_posts")
    site.media(jpeg())
    site.sql("CREATE TABLE wp_stray (a INT); DROP TABLE wp_links")
    assert site.files and site.sql("SELECT COUNT(*) FROM wp_posts") != before
    site.reset()
    assert not site.files and site.sql("SELECT COUNT(*) FROM wp_posts") == before
    assert not site.sql("SHOW TABLES LIKE 'wp_stray'") and site.sql("SHOW TABLES LIKE 'wp_links'")


def test_everybody_is_who_they_are_in_a_browser_and_over_rest(site):
    for role in ROLES:
        with site.browse(role) as browser, site.client(role) as client:
            for one in (browser, client):
                me = one.get("/wp-json/wp/v2/users/me", params={"context": "edit"}).json()
                assert me["roles"] == [role] and me["id"] == site.ids[role]
    with site.client() as nobody:
        assert nobody.get("/wp-json/wp/v2/users/me").status_code == 401


def test_php_runs_with_the_rights_of_a_user_and_tells_of_failures(site):
    assert site.php("return [current_user_can('upload_files'), $a + 1];", user="author", a=2) == [True, 3]
    assert site.php("return current_user_can('upload_files');", user="subscriber") is False
    assert site.ask_php("echo 'seen';").printed == "seen"
    with pytest.raises(Failed, match="no such thing"):
        site.php("throw new Exception('no such thing');")


def test_wordpress_asks_nobody_but_this_machine(site, service):
    ask = "$a = wp_remote_get($url); return is_wp_error($a) ? $a->get_error_code() : $a['response']['code'];"
    assert site.php(ask, url="https://api.wordpress.org/") == "http_request_not_executed"
    assert site.php(ask, url=f"{service.url}/v1/limits") == 401


@pytest.mark.parametrize("mode", ["up", "down", "error", "html", "cut", "picture"])
def test_the_proxy_fails_as_it_is_told(proxy, service, mode):
    import httpx
    proxy.mode, proxy.body = mode, b"\xff\xd8 a photo"
    with httpx.Client(base_url=proxy.url, trust_env=False, headers=service.client.headers) as client:
        if mode == "down":
            with pytest.raises(httpx.TransportError):
                client.get("/v1/limits")
            return
        answer = client.get("/v1/limits")
    whole = service.client.get("/v1/limits").content
    assert answer.status_code == (500 if mode == "error" else 200)
    assert {"up": answer.content == whole, "error": b"problem" not in answer.content,
            "html": b"<!doctype" in answer.content, "cut": answer.content == whole[: len(whole) // 2],
            "picture": answer.content == proxy.body}[mode]
