"""The studio without a browser: who is let in, what is closed, what is left, and that no defect tells anything."""

from __future__ import annotations

import asyncio
import json
import re

import gradio as gr
import httpx
import pytest

from web import tokens
from web.jobs import Service
from web.settings import ServiceSettings
from web.store import Store
from web.studio import Studio
from web.studio.access import OWNER_PREFIX, Tab
from web.studio.page import Pages
from web.uploads import Received, Upload

from .browser.conftest import opened
from .conftest import log_lines


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("studio") / "studio") as one:
        yield one


@pytest.fixture
def client(studio):
    with httpx.Client(base_url=studio.url, trust_env=False, timeout=60) as one:
        yield one


def come_in(client, token):
    return client.post("/studio/enter", content=f"token={token}")


def test_nobody_is_let_in_without_a_valid_token_and_out_when_it_is_revoked(studio, client):
    assert client.get("/", follow_redirects=True).status_code == 401
    for wrong in ("", "fcl_000000000000_" + "0" * 64, "<script>"):
        answer = come_in(client, wrong)
        assert answer.status_code == 401 and "not valid" in answer.text and "<script>" not in answer.text
        assert not answer.cookies
    token = studio.token()
    answer = come_in(client, token)
    assert answer.status_code == 303 and re.search("HttpOnly.*SameSite=strict", answer.headers["set-cookie"])
    assert token not in answer.headers["set-cookie"]
    page = client.get("/studio/")
    assert page.status_code == 200 and "facecloak studio" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    store = Store(studio.folder)
    tokens.revoke(store, token.split("_")[1])
    store.close()
    assert client.get("/studio/").status_code == 401


def test_leaving_shuts_the_door(studio, client):
    come_in(client, studio.token())
    assert client.get("/studio/").status_code == 200
    assert client.post("/studio/leave").status_code == 200
    assert client.get("/studio/").status_code == 401


def test_a_key_opens_once_and_tokens_do_not(tmp_path):
    with opened(tmp_path / "studio", is_by_key=True) as one, httpx.Client(base_url=one.url, trust_env=False) as first, \
            httpx.Client(base_url=one.url, trust_env=False) as second:
        assert come_in(first, one.token()).status_code == 303 and first.get("/studio/").status_code == 401
        assert first.get("/studio/?key=guess").status_code == 401
        assert first.get(one.studio.key_path).headers["location"] == "/studio/"
        assert first.get("/studio/").status_code == 200
        assert second.get(one.studio.key_path).status_code == 401 and second.get("/studio/").status_code == 401
        assert first.get(one.studio.key_path).status_code == 303  # whoever loads the page again stays in


@pytest.mark.parametrize("path", [
    "upload", "file=/etc/passwd", "file=gradio/x.png", "file/etc/passwd", "stream/a", "proxy=http://127.0.0.1/", "info",
    "openapi.json", "run/predict", "call/predict", "api/predict", "component_server", "deep_link", "vibe-edit",
    "startup-events/../upload", "run-history/records", "upload_progress", "queue/status"])
def test_what_gradio_opens_besides_is_closed(studio, client, path):
    come_in(client, studio.token())
    for address in (f"/studio/gradio_api/{path}", f"/studio/{path}"):
        assert client.get(address).status_code == 404
        assert client.post(address, files={"files": ("a.png", b"x")}).status_code == 404
    assert studio.files == []


def test_the_page_names_no_other_place_to_fetch_from(studio, client):
    come_in(client, studio.token())
    page = client.get("/studio/").text
    fetched = re.findall(r'(?:src|href)="(https?:)?//', page) + re.findall(r"@import|fonts\.g|cdnjs|jsdelivr", page)
    assert fetched == []
    config = json.loads(re.search(r"window\.gradio_config = (\{.*?\});</script>", page, re.S)[1])
    assert config["stylesheets"] == [] and not config["analytics_enabled"] and config["footer_links"] == []
    style = client.get("/studio/theme.css").text
    assert set(re.findall(r"url\(['\"]?([^:)]*)", style)) <= {"data"} and "@import" not in style


def test_a_tab_that_is_not_there_or_anothers_gets_nothing(studio, client):
    come_in(client, studio.token())
    for tab in ("", "0" * 32, "../../etc"):
        answer = client.post("/studio/jobs", data={"kind": "detect"}, files={"file": ("a.png", b"x")},
                             headers={"X-Facecloak-Tab": tab})
        assert answer.status_code == 404 and answer.json()["code"] == "not-found"
    assert studio.files == []


def test_what_a_crash_left_of_a_tab_goes_at_the_next_start_and_the_jobs_of_programs_stay(tmp_path):
    settings = ServiceSettings(folder=tmp_path, port=0)
    service = Service(settings)
    for owner in (OWNER_PREFIX + "a" * 32, "5f0c1c5e7b7d"):
        with service.uploading(owner) as (id, folder):
            (folder / "photo").write_bytes(b"a face")
            upload = Upload(files={"file": Received(folder / "photo", "anna.jpg", "0" * 64, 6)})
            service.submit(id, owner=owner, kind="detect", options={}, upload=upload, keep_s=3600, key_hash=None,
                           fingerprint=owner)
    service.close()  # the process ends here, whatever it did
    service = Service(settings)
    Studio(service, is_by_key=False).sweep()
    assert {job.owner for job in service.store.of_owners("")} == {"5f0c1c5e7b7d"}
    assert len(list((tmp_path / "jobs").iterdir())) == 1
    service.close()


def test_a_defect_of_ours_is_words_on_the_page_and_a_line_in_the_log(studio, capfd, monkeypatch):
    pages = Pages(studio.service, studio.studio.access)
    monkeypatch.setattr(Pages, "tab", lambda self, request: Tab("t", "v", "s"))

    async def bad(tab):
        raise KeyError("anna.jpg")

    with pytest.raises(gr.Error) as told:
        asyncio.run(pages.handler(bad)(None))
    assert "anna" not in str(told.value.message) and told.value.print_exception is False
    assert told.value.__suppress_context__
    written = capfd.readouterr().err
    (line,) = [one for one in log_lines(written) if one["event"] == "defect"]
    assert "KeyError" in line["where"] and "anna" not in written
    with pytest.raises(TypeError, match="not async"):
        pages.handler(lambda tab: None)
