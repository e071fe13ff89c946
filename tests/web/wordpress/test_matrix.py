"""Every way in, under every policy, whatever the service does: what may be fetched, what is kept, what people are told.

The service's engine is made up and quick; `test_crawler` does the same to real faces.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytest

from .photos import march, shows_faces, size_of, tells

POLICIES = ("off", "suggest", "require", "enforce")
PATHS = ("multipart", "raw", "xmlrpc", "sideload")
SERVICE = ("up", "down", "slow", "error", "html", "cut", "picture", "original", "other")
WORDS = {"up": "up", "down": "down", "slow": "slower than the time allowed", "error": "answers 500",
         "html": "garbage: a page", "cut": "garbage: JSON cut short", "picture": "garbage: a photo for an answer",
         "original": "garbage: the untouched photo as result", "other": "garbage: another photo as result"}


@dataclass
class Came:
    """What became of one upload."""

    id: int | None  # of the attachment
    words: str  # the error, as the person who uploads reads it


def hand_in(site, data: bytes, name: str, how: str) -> Came:
    if how == "sideload":
        (site.docroot / "elsewhere").mkdir(exist_ok=True)
        path = site.docroot / "elsewhere" / name
        path.write_bytes(data)
        made = site.php("""
            $id = media_sideload_image($url, 0, null, 'id');
            return is_wp_error($id) ? ['words' => $id->get_error_message()] : ['id' => $id];""",
                        url=f"{site.url}/elsewhere/{name}", user="author", is_admin=True)
        path.unlink()
        return Came(made.get("id"), made.get("words", ""))
    answer = site.upload(data, name, how=how)
    if how == "xmlrpc":
        assert answer.status_code == 200
        try:
            return Came(int(xmlrpc.client.loads(answer.text)[0][0]["attachment_id"]), "")
        except xmlrpc.client.Fault as fault:
            return Came(None, html.unescape(fault.faultString))
    said = answer.json()
    if answer.status_code == 201:
        return Came(said["id"], "")
    assert answer.status_code >= 400
    return Came(None, said["message"])


def break_service(proxy, mode: str, original: bytes) -> None:
    """`original` and `other` are a service, or somebody in between, that answers well but gives back a wrong file."""
    proxy.mode, proxy.body = mode, original
    if mode in ("original", "other"):
        body = original if mode == "original" else march(999)
        proxy.mode = "answer"
        proxy.answer = lambda method, path, _: (200, "image/jpeg", body) if "/result" in path else None


def facts(site, name: str, came: Came) -> dict:
    """What is under uploads, in the quarantine and in the table about this upload."""
    stem = name.partition(".")[0]
    rows = site.sql("SELECT state, original, faces IS NOT NULL AND faces != '[]', next_try IS NOT NULL, attachment_id "
                    f"FROM wp_facecloak_media WHERE name LIKE '{stem}.%'")
    return {
        "files": [path for path in site.files if path.name.startswith(stem)],
        "strangers": [path for path in site.uploads.rglob("*") if path.is_file() and SERIALS.search(path.read_bytes())],
        "rows": [(state, original, has == "1", due == "1", int(of)) for state, original, has, due, of in rows],
        "posts": len(site.sql("SELECT ID FROM wp_posts WHERE post_type = 'attachment' AND "
                              f"(post_title LIKE '{stem}%' OR guid LIKE '%{stem}%')")),
        "id": came.id, "words": came.words,
    }


SERIALS = re.compile(rb"CANARY-SERIAL")


def untouched(original: bytes, state: str | None, found: dict, site) -> list[str]:
    full = [path for path in found["files"] if path.read_bytes() == original]
    return [
        *([] if found["id"] else [f"refused: {found['words']}"]),
        *([] if len(full) == 1 and len(found["files"]) > 1 else [f"{len(full)} files are the original"]),
        *([] if [row[0] for row in found["rows"]] == ([state] if state else []) else [f"records: {found['rows']}"]),
        *([] if all(not row[1] for row in found["rows"]) else ["an original is kept"]),
        *(["no faces are told of"] if state == "suggested" and not found["rows"][0][2] else []),
    ]


def clean(found: dict) -> list[str]:
    return [
        *(f"{path.name} shows faces" for path in found["files"] if shows_faces(path)),
        *(f"{path.name} tells of its origin" for path in found["files"] if tells(path)),
        *(f"{path.name} holds the original" for path in found["strangers"]),
    ]


def kept(original: bytes, found: dict, site) -> list[str]:
    if len(found["rows"]) != 1:
        return [f"records: {found['rows']}"]
    path = site.quarantine / found["rows"][0][1]
    if not found["rows"][0][1] or not path.is_file():
        return ["the original is not kept"]
    return [
        *([] if path.read_bytes() == original else ["what is kept is not the original"]),
        *([] if path.stat().st_mode & 0o077 == 0 else ["the original can be read by others"]),
        *([] if found["rows"][0][4] == found["id"] else ["the record belongs to no attachment"]),
    ]


def covered(original: bytes, state: str, found: dict, site) -> list[str]:
    sizes = {size_of(path) for path in found["files"]}
    return [
        *([] if found["id"] else [f"refused: {found['words']}"]),
        *clean(found), *kept(original, found, site),
        *([] if size_of(original) in sizes and len(found["files"]) > 1 else [f"files of {sizes}"]),
        *([] if [row[0] for row in found["rows"]] == [state] else [f"records: {found['rows']}"]),
        *([] if all(row[3] == (state == "waiting") for row in found["rows"]) else ["tried again, or never"]),
    ]


def refused(original: bytes, _: str, found: dict, site) -> list[str]:
    return [
        *(["taken"] if found["id"] else []),
        *([] if len(found["words"]) > 40 else [f"no clear words: {found['words']!r}"]),
        *(f"{path} is left" for path in found["files"] + found["strangers"]),
        *([] if not found["rows"] else [f"records: {found['rows']}"]),
        *([] if not found["posts"] else ["an attachment is left"]),
        *(f"{path.name} is kept" for path in site.kept if path.read_bytes() == original),
    ]


def expected(policy: str, mode: str) -> tuple[Callable[..., list[str]], str | None]:
    """How to look at a cell, and the state of its record."""
    is_up = mode == "up"
    return {
        "off": (untouched, None),
        # It wants a list of faces and no result, so wrong results cannot harm it
        "suggest": (untouched, "suggested" if is_up or mode in ("original", "other") else "unchecked"),
        "require": (covered, "unreviewed" if is_up else "waiting"),
        "enforce": (covered, "unreviewed") if is_up else (refused, None),
    }[policy]


TABLE: dict[tuple[str, str, str], list[str]] = {}


@pytest.fixture
def left_with_the_service(service):
    """Jobs whose numbers the plugin never learnt, as answers were cut: only their deadline ends them, and soon."""
    yield
    for job in service.client.get("/v1/jobs").json()["jobs"]:
        if job["kind"] != "protect":
            continue  # clips of other tests stay for the desk
        created, expires = (datetime.fromisoformat(job[name].replace("Z", "+00:00")) for name in ("created", "expires"))
        assert (expires - created).total_seconds() <= 45 + 60 + 1, job
        service.client.delete(f"/v1/jobs/{job['id']}")


@pytest.mark.parametrize("policy", POLICIES)
def test_every_cell_is_as_specified(guarded, proxy, left_with_the_service, policy):
    site = guarded(policy)
    for k, mode in enumerate(SERVICE):
        site.configure(timeout_s=1 if mode == "slow" else 45)
        for i, how in enumerate(PATHS):
            original = march(1000 * POLICIES.index(policy) + 10 * k + i + 1)
            name = f"{policy}{mode}{how}.jpg"
            break_service(proxy, mode, original)
            proxy.requests.clear()
            came = hand_in(site, original, name, how)
            look, state = expected(policy, mode)
            wrong = look(original, state, facts(site, name, came), site)
            if bool(proxy.requests) != (policy != "off"):
                wrong.append(f"the service was asked {len(proxy.requests)} times")
            TABLE[policy, mode, how] = wrong
            proxy.reset(proxy.target)
    wrong = {" ".join(cell): what for cell, what in TABLE.items() if cell[0] == policy and what}
    assert not wrong, json.dumps(wrong, indent=1)
    if policy == "require":
        site.configure(timeout_s=45)
        swapped_when_the_service_is_back(site)


def swapped_when_the_service_is_back(site):
    """The originals come out of the quarantine covered, under the same addresses, as soon as the service is there."""
    waiting = site.sql("SELECT id, attachment_id FROM wp_facecloak_media WHERE state = 'waiting'")
    assert len(waiting) == len(PATHS) * (len(SERVICE) - 1)
    before = {path for path in site.files}
    seen = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(before))).hexdigest()
    for _ in range(len(waiting)):
        site.sql("UPDATE wp_facecloak_media SET next_try = '2000-01-01 00:00:00' WHERE state = 'waiting'")
        site.cron("facecloak_work")
        if not site.sql("SELECT id FROM wp_facecloak_media WHERE state = 'waiting'"):
            break
    states = site.sql("SELECT state, COUNT(*) FROM wp_facecloak_media GROUP BY state")
    assert states == [["unreviewed", str(len(PATHS) * len(SERVICE))]]
    assert {path for path in site.files} == before
    assert hashlib.sha256(b"".join(path.read_bytes() for path in sorted(before))).hexdigest() != seen
    for path in site.files:
        assert not shows_faces(path) and not tells(path), path


def test_the_table_says_how_many_cells_are_as_specified(capsys):
    """Counts what the test above looked at, which has to run before it."""
    assert len(TABLE) == len(POLICIES) * len(PATHS) * len(SERVICE), "run the whole module"
    lines = [f"{'the service is':40}" + "".join(f"{policy:>10}" for policy in POLICIES)]
    for mode in SERVICE:
        good = [sum(not TABLE[policy, mode, how] for how in PATHS) for policy in POLICIES]
        lines.append(f"{WORDS[mode]:40}" + "".join(f"{n:>6} / {len(PATHS)}" for n in good))
    total = sum(not wrong for wrong in TABLE.values())
    lines.append(f"{total} of {len(TABLE)} as specified, each by {', '.join(PATHS)}")
    with capsys.disabled():
        print("", *lines, sep="\n")
    assert total == len(TABLE)
