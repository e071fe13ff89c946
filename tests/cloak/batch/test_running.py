"""The ledger's part of a batch, with a runner that makes known bytes: only the engine is left out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from cloak.batch import locking, placing, running
from cloak.batch.rules import Rules, read_rules
from cloak.batch.running import Job
from cloak.batch.types import Common, Group, Lost, Result
from cloak.choices import parse_treatment
from cloak.errors import ChoicesInvalid, OutputRefused, SettingsInvalid
from cloak.report import report_path_for
from cloak.settings import Settings
from cloak.video.redact import VideoSettings


class Stub:
    """Makes `protected <hash of the input> <treatment>` of everything, and remembers what it was asked for."""

    def __init__(self, *, dies_over: bytes | None = None, stops_after: int | None = None, lies: bool = False) -> None:
        self.dies_over, self.stops_after, self.lies = dies_over, stops_after, lies
        self.asked: list[str] = []
        self.deaths = 0

    def run(self, groups: Iterable[Group], common: Common) -> Iterator[tuple[Group, tuple[Result, ...] | Lost]]:
        assert common.folder is not None
        for group in groups:
            if self.dies_over and any(self.dies_over in item.source.read_bytes() for item in group.items
                                      if item.source.exists()):
                self.deaths += 1
                yield group, Lost("it was ended by SIGKILL")
                continue
            results = []
            for item in group.items:
                if item.number not in group.missing:
                    continue
                self.asked.append(item.source.name)
                try:
                    data = b"protected " + hashlib.sha256(item.source.read_bytes()).hexdigest().encode()
                except OSError:
                    results.append(Result(item.number, "failed", words="cannot be read", raised="PhotoUnreadable"))
                    continue
                data += str(item.recipe.treatment).encode()
                place = common.folder / f"photos-{group.number}" / str(item.number) / item.output.name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(b"torn" if self.lies else data)
                report_path_for(place).write_text(json.dumps({"input": item.source.name, "output": place.name}))
                results.append(Result(item.number, "done", hashlib.sha256(data).hexdigest(), place,
                                      faces={"protected": 1}))
            yield group, tuple(results)
            if self.stops_after is not None and len(self.asked) >= self.stops_after:
                raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloak.batch.fingerprint.settings_hash",
                        lambda recipe, media, common: f"{recipe} {media} {common.photo.seed}")


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "card"
    for number, name in enumerate(("a.png", "b.png", "day/c.png", "day/crowd/d.png")):
        _photo(folder / name, number)
    return folder


def _photo(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(path, "PNG")


def _job(card: Path, photos: str = "cloak", rules: Rules | None = None, seed: int = 0) -> Job:
    rules = rules or Rules(parse_treatment(photos), parse_treatment("solid"))
    (card.parent / "out.batch").mkdir(exist_ok=True)
    return Job(card, card.parent / "out", card.parent / "out.batch", rules,
               Common(Settings(seed=seed), VideoSettings()))


def _states(ended: running.Ended) -> dict[str, str]:
    return {entry.source: entry.state for entry in ended.entries}


def _tree(folder: Path) -> dict[str, bytes]:
    return {os.fspath(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


def test_every_photo_gets_its_mirrored_place_and_nothing_else_lies_there(card: Path) -> None:
    ended = running.run(_job(card), Stub())
    names = ("a.png", "b.png", "day/c.png", "day/crowd/d.png")
    assert set(_states(ended).values()) == {"done"} and ended.made == 4
    assert set(_tree(card.parent / "out")) == {one for name in names for one in (name, f"{name}.json")}
    assert not (card.parent / "out.batch" / "temporary").exists()


def test_a_second_run_does_nothing_and_a_changed_setting_redoes(card: Path) -> None:
    running.run(_job(card), Stub())
    before = _tree(card.parent / "out")
    again = Stub()
    assert running.run(_job(card), again).made == 0 and again.asked == []
    assert _tree(card.parent / "out") == before
    changed = Stub()
    assert running.run(_job(card, "solid"), changed).made == 4 and len(changed.asked) == 4
    assert all(data.endswith(b"redact solid") for name, data in _tree(card.parent / "out").items()
               if name.endswith(".png"))


def test_only_what_is_new_or_changed_or_was_removed_is_done_again(card: Path) -> None:
    running.run(_job(card), Stub())
    _photo(card / "new.png", 50)
    _photo(card / "a.png", 51)
    (card.parent / "out" / "b.png").unlink()
    stub = Stub()
    ended = running.run(_job(card), stub)
    assert sorted(stub.asked) == ["a.png", "b.png", "new.png"] and set(_states(ended).values()) == {"done"}
    digest = hashlib.sha256((card / "a.png").read_bytes()).hexdigest()
    assert digest.encode() in (card.parent / "out/a.png").read_bytes()


def test_the_same_content_is_made_once_and_copied_with_a_report_of_its_own(card: Path) -> None:
    (card / "twin.png").write_bytes((card / "a.png").read_bytes())
    stub = Stub()
    ended = running.run(_job(card), stub)
    assert sum(name in ("a.png", "twin.png") for name in stub.asked) == 1 and ended.made == 5
    out = card.parent / "out"
    assert (out / "twin.png").read_bytes() == (out / "a.png").read_bytes()
    assert json.loads((out / "twin.png.json").read_text())["input"] == "twin.png"
    (card / "day" / "late.png").write_bytes((card / "a.png").read_bytes())
    late = Stub()
    assert running.run(_job(card), late).made == 1 and late.asked == []


def test_a_stranger_s_file_in_an_output_s_place_is_left_alone_and_named(card: Path) -> None:
    out = card.parent / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"somebody else's")
    ended = running.run(_job(card), Stub())
    assert _states(ended)["a.png"] == "failed" and (out / "a.png").read_bytes() == b"somebody else's"
    assert not (out / "a.png.json").exists()
    (out / "a.png").unlink()
    assert _states(running.run(_job(card), Stub()))["a.png"] == "done"


def test_an_output_that_was_changed_since_is_never_replaced(card: Path) -> None:
    running.run(_job(card), Stub())
    (card.parent / "out" / "a.png").write_bytes(b"retouched by hand")
    ended = running.run(_job(card), Stub())
    assert _states(ended)["a.png"] == "failed"
    assert (card.parent / "out" / "a.png").read_bytes() == b"retouched by hand"


def test_bytes_that_are_not_those_the_worker_wrote_are_never_published(card: Path) -> None:
    ended = running.run(_job(card), Stub(lies=True))
    assert set(_states(ended).values()) == {"failed"} and _tree(card.parent / "out") == {}


@pytest.mark.parametrize("call", range(1, 9))
def test_a_run_killed_at_any_step_of_naming_ends_as_an_unbroken_one(card: Path, call: int) -> None:
    job = _job(card)
    child = os.fork()
    if not child:  # as after `kill -9`, nothing is tidied up
        _die_at(call, job)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    ended = running.run(job, Stub())
    assert set(_states(ended).values()) == {"done"}
    broken = _tree(card.parent / "out")
    for folder in ("out", "out.batch"):
        shutil.rmtree(card.parent / folder)
    running.run(_job(card), Stub())
    assert _tree(card.parent / "out") == broken


def _die_at(call: int, job: Job) -> None:
    """Before the renames of odd numbers, after those of even ones."""
    calls = 0
    real = placing.move_new

    def mortal(made: Path, path: Path, *, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
        nonlocal calls
        calls += 1
        if calls == call and call % 2:
            os._exit(9)
        real(made, path, overwrite=overwrite, inputs=inputs)
        if calls == call:
            os._exit(9)

    try:
        placing.move_new = mortal
        running.run(job, Stub())
    finally:
        os._exit(1)


def test_a_run_that_is_stopped_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    card = tmp_path / "card"
    for number in range(40):
        _photo(card / f"{number}.png", number)
    with pytest.raises(KeyboardInterrupt):
        running.run(_job(card), Stub(stops_after=16))
    stub = Stub()
    ended = running.run(_job(card), stub)
    assert set(_states(ended).values()) == {"done"} and len(stub.asked) == 24


def test_who_kills_its_worker_again_and_again_fails_alone(card: Path) -> None:
    (card / "bomb.png").write_bytes((card / "a.png").read_bytes() + b"BOMB")
    stub = Stub(dies_over=b"BOMB")
    states = _states(running.run(_job(card), stub))
    assert states.pop("bomb.png") == "failed" and set(states.values()) == {"done"} and stub.deaths == 3
    quiet = Stub(dies_over=b"BOMB")
    running.run(_job(card), quiet)
    assert quiet.deaths == 0  # only --retry-failed tries it again


def test_bad_input_is_named_and_stops_nothing(card: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.png").write_bytes((card / "a.png").read_bytes())
    (card / "leads-out.png").symlink_to(tmp_path / "elsewhere.png")
    (card / "loop.png").symlink_to("loop.png")
    (card / "around").symlink_to(card)
    os.mkfifo(card / "pipe.png")
    (card / "B.PNG").write_bytes((card / "day/c.png").read_bytes())
    (card / "notes.txt").write_text("no photo")
    ended = running.run(_job(card), Stub())
    states = _states(ended)
    assert {name for name, state in states.items() if state == "failed"} == {"leads-out.png", "loop.png", "pipe.png",
                                                                             "b.png"}
    assert [trouble.split(":")[0] for trouble in ended.troubles] == ["around"] and ended.left_alone == ("notes.txt",)
    assert set(_tree(tmp_path / "out")) == {one for name in ("B.PNG", "a.png", "day/c.png", "day/crowd/d.png")
                                            for one in (name, f"{name}.json")}


def test_a_name_that_is_not_utf_8_is_kept(card: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    _photo(card / "x.png", 9)
    os.rename(card / "x.png", card / name)
    ended = running.run(_job(card), Stub())
    assert set(_states(ended).values()) == {"done"} and (card.parent / "out" / name).exists()
    assert all(entry.source.isprintable() for entry in ended.entries)


def test_a_file_that_vanishes_is_said_to_have_vanished(card: Path) -> None:
    class Thief(Stub):
        def run(self, groups, common):  # type: ignore[no-untyped-def]
            (card / "b.png").unlink()
            yield from super().run(groups, common)

    states = _states(running.run(_job(card), Thief()))
    assert states.pop("b.png") == "vanished" and set(states.values()) == {"done"}


def test_an_unreadable_card_takes_no_output_away(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running.run(_job(card), Stub())
    before = _tree(card.parent / "out")

    def broken(found: object) -> None:
        raise running.Unreadable("cannot be read (Input/output error)")

    for path in card.rglob("*.png"):
        os.utime(path, (1, 1))
    with monkeypatch.context() as patch:
        patch.setattr("cloak.batch.finding.read", broken)
        assert set(_states(running.run(_job(card), Stub())).values()) == {"failed"}
    assert _tree(card.parent / "out") == before
    assert running.run(_job(card), Stub()).made == 0


def test_folders_within_each_other(card: Path) -> None:
    job = _job(card)
    inside = Job(card, card / "out", card / "out.batch", job.rules, job.common)
    inside.work.mkdir()
    running.check(inside)
    running.run(inside, Stub())
    stub = Stub()
    assert running.run(inside, stub).made == 0 and stub.asked == []
    above = card.parent
    for output, work in ((card, above / "w"), (above, above / "w"), (above / "o", above / "o/w")):
        with pytest.raises(SettingsInvalid, match="Nothing was written"):
            running.check(Job(card, output, work, job.rules, job.common))


def test_rules_decide_by_name(card: Path) -> None:
    path = card.parent / "rules.toml"
    path.write_text('[rules]\n"crowd/**" = "redact mosaic"\n"day/**" = "cloak strong"\n"**/crowd/**" = "solid"\n')
    rules = read_rules(path, Rules(parse_treatment("solid"), parse_treatment("blur")))
    ended = running.run(_job(card, rules=rules), Stub())
    assert {entry.source: entry.treatment for entry in ended.entries} == {
        "a.png": "redact solid", "b.png": "redact solid", "day/c.png": "cloak strong",
        "day/crowd/d.png": "cloak strong"}
    path.write_text('[rules]\n"**" = "keep"\n')
    with pytest.raises(ChoicesInvalid, match="keep whom"):
        read_rules(path, rules)


def test_two_runs_in_one_work_folder_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "_SECONDS_FOR_WORKERS_TO_END", 0.0)
    with locking.locked(tmp_path), pytest.raises(OutputRefused, match="another run"):
        with locking.locked(tmp_path):
            raise AssertionError("both hold it")
    with locking.locked(tmp_path):
        pass
