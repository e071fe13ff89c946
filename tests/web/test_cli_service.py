"""`cloak serve` and `cloak token`, as typed."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloak.cli import app
from web.settings import ServiceSettings


@pytest.fixture
def cloak(tmp_path, monkeypatch):
    monkeypatch.setenv("FACECLOAK_SERVICE", str(tmp_path / "service"))
    return lambda *words: CliRunner().invoke(app, list(words))


def test_a_token_is_printed_once_listed_without_it_and_taken_back(cloak):
    token = cloak("token", "create", "newsroom").stdout.strip()
    id = token.split("_")[1]
    assert id in cloak("token", "list").stdout and "newsroom" in cloak("token", "list").stdout
    assert token.split("_")[2] not in cloak("token", "list", "--json").stdout
    assert cloak("token", "revoke", id).exit_code == 0
    again = cloak("token", "revoke", id)
    assert again.exit_code == 2 and "Nothing was changed" in again.stderr
    (row,) = json.loads(cloak("token", "list", "--json").stdout)["tokens"]
    assert row["revoked"]
    assert cloak("token", "create", "a\nb").exit_code == cloak("token", "create", " ").exit_code == 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "newsroom.example.org"])
def test_other_machines_are_not_let_in_before_there_is_a_valid_token(cloak, host):
    for _ in range(2):
        run = cloak("serve", "--host", host)
        assert run.exit_code == 2 and "there is no token" in run.stderr and "Nothing was started" in run.stderr
        id = json.loads(cloak("token", "create", "x", "--json").stdout)["id"]
        cloak("token", "revoke", id)  # a revoked one lets nobody in


def test_with_a_token_it_starts_and_without_one_on_this_machine_too(cloak, monkeypatch):
    started = []
    monkeypatch.setattr("web.serving.uvicorn.Server.run", lambda self, sockets: started.append(
        (sockets[0].getsockname()[0], sockets[0].close())[0]))
    run = cloak("serve", "--port", "0")
    assert run.exit_code == 0 and "cloak token create" in run.stderr
    cloak("token", "create", "x")
    assert cloak("serve", "--host", "0.0.0.0", "--port", "0").exit_code == 0
    assert started == ["127.0.0.1", "0.0.0.0"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_told_to_and_that_is_no_failure(tmp_path, number):
    command = [Path(sys.executable).with_name("cloak"), "serve", "--port", "0", "--folder", tmp_path / "service"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert any('"started"' in line for line in process.stderr)
    process.send_signal(number)
    assert process.wait(30) == 0 and "Traceback" not in process.stderr.read()


def test_a_port_that_is_taken_is_said_and_nothing_started(cloak):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = cloak("serve", "--port", str(taken.getsockname()[1]))
    assert run.exit_code == 2 and "cannot listen there" in run.stderr and "Nothing was started" in run.stderr


@pytest.mark.parametrize("host, is_loopback", [
    ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False),
    ("::", False), ("10.0.0.1", False), ("localhost.example.org", False), ("::ffff:10.0.0.1", False)])
def test_what_is_loopback(tmp_path, host, is_loopback):
    assert ServiceSettings(folder=tmp_path, host=host).is_loopback is is_loopback


@pytest.mark.parametrize("words", [["--port", "70000"], ["--workers", "0"], ["--keep", "0"], ["--host", ""]])
def test_limits_that_mean_nothing_are_refused(cloak, words):
    assert cloak("serve", *words).exit_code == 2
