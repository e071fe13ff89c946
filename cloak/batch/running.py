"""A batch from end to end: reads the folder, plans, has the work done, and gives outputs their names.

The only process that writes the ledger. Whatever fails closes: a file whose output no longer stands for what is asked
loses that output.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloak.batch import finding, fingerprint, grouping, placing
from cloak.batch.finding import Found, Unreadable, Walked
from cloak.batch.ledger import NAME, File, Ledger, Work
from cloak.batch.placing import Made
from cloak.batch.rules import Rules
from cloak.batch.types import Common, Entry, Group, Item, Lost, Result, Runner, State
from cloak.errors import OutputRefused, SettingsInvalid
from cloak.files import fitted_name, output_path_for, shown
from cloak.report import report_path_for

# Clips keep their container where it is one of these, and become MP4 otherwise
_CLIP_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
# Trouble that may be over by the next run
_PASSING = ("OutputRefused", "SourceChanged")
# A group whose worker dies is tried as a whole again, so that its bytes stay the same, and then photo by photo
_DEATHS_TO_SPLIT = 2
_DEATHS_TO_FAIL = {"photo": 3, "clip": 2}
# Files whose hashes share one write to the ledger
_READ_AT_ONCE = 128
# Each death takes a round, and so does an input that vanishes while others hold the same content
_MOST_ROUNDS = 6
_SECONDS_BETWEEN_WORDS = 0.5


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for."""

    folder: Path
    output: Path
    work: Path
    rules: Rules
    common: Common
    retry_failed: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is, for whoever is waiting."""

    stage: str  # reading, working
    done: int  # files
    files: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run came to."""

    entries: tuple[Entry, ...]
    left_alone: tuple[str, ...]
    troubles: tuple[str, ...]
    made: int  # files that got their output in this run


OnProgress = Callable[[Progress], None]


def check(job: Job) -> None:
    """Raises SettingsInvalid where folders lie in each other in a way that would mix inputs, outputs and secrets."""
    folder, output, work = (Path(os.path.realpath(path)) for path in (job.folder, job.output, job.work))
    if not folder.is_dir():
        raise SettingsInvalid(f"{job.folder}: is no folder. Nothing was written.")
    if os.path.lexists(job.output) and not output.is_dir():
        raise SettingsInvalid(f"{job.output}: is no folder. Name another with -o. Nothing was written.")
    if folder.is_relative_to(output):
        raise SettingsInvalid(f"{job.output}: holds the inputs, and is meant to be published. Name another folder "
                              "with -o. "
                              "Nothing was written.")
    if work.is_relative_to(output):
        raise SettingsInvalid(f"{job.work}: lies in the folder of the outputs, and knows names of originals. Name "
                              "another "
                              "with --work. Nothing was written.")
    if output.is_relative_to(work):
        raise SettingsInvalid(f"{job.output}: lies in the work folder. Name another with --work. Nothing was written.")


def run(job: Job, runner: Runner, *, on_progress: OnProgress | None = None) -> Ended:
    """Does what is missing. The caller holds the lock of the work folder.

    Raises:
        CloakError: nothing could be begun, or the ledger cannot be written; what was done stays done.
    """
    batch = _Batch(job, on_progress or (lambda progress: None))
    try:
        return batch.run(runner)
    except sqlite3.Error as error:
        raise OutputRefused(f"{job.work / NAME}: the ledger cannot be written ({error}). What was finished is there; "
                            "make "
                            "room, and run the same command again.") from error
    finally:
        batch.ledger.close()


def walk(job: Job) -> Walked:
    """What is in the folder, without outputs and what is private."""
    own = [job.output, job.work, *([job.common.folder] if job.common.folder else [])]
    return finding.walk(job.folder, leave_out=own)


class _Batch:
    def __init__(self, job: Job, on_progress: OnProgress) -> None:
        self.job, self.on_progress = job, on_progress
        self.ledger = Ledger(job.work)
        self.temporary = job.common.folder or job.work / "temporary"
        self.common = dataclasses.replace(job.common, folder=self.temporary)
        self.deaths: Counter[int] = Counter()  # by item
        self.hashes: dict[tuple[str, str], str] = {}
        self.made = 0
        self.told = 0.0  # when somebody was last told how far it is

    def run(self, runner: Runner) -> Ended:
        self.temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in self.temporary.glob("photos-*"):
            shutil.rmtree(stale, ignore_errors=True)
        shutil.rmtree(self.temporary / "copies", ignore_errors=True)
        walked = walk(self.job)
        if not walked.found and not walked.troubles:
            raise SettingsInvalid(f"{self.job.folder}: holds no photo and no clip. Nothing was written.")
        self._recover()
        with self.ledger.at_once():
            self.ledger.see(walked.found)
        self._read(walked.found)
        with self.ledger.at_once():
            if self.job.retry_failed:
                self.ledger.forgive()
            for item in self.ledger.items("state = 'failed'"):
                if item.raised in _PASSING:
                    self.ledger.set_state(item.number, "waiting")
            self._plan()
        self._compare()
        with self.ledger.at_once():
            for members in grouping.groups(self.ledger.singles()):
                self.ledger.add_group(members)
        for _ in range(_MOST_ROUNDS):
            waiting = self.ledger.waiting_groups()
            if not waiting:
                break
            answers = runner.run(self._groups(waiting), self.common)
            try:
                for group, answer in answers:
                    self._take(group, answer)
                    self._tell()
            finally:  # stops the workers
                if isinstance(answers, Generator):
                    answers.close()
        if not self.ledger.waiting_groups() and self.job.common.folder is None:
            shutil.rmtree(self.temporary, ignore_errors=True)
        return Ended(self._entries(), walked.left_alone, walked.troubles, self.made)

    # --- before the work ------------------------------------------------------------------------------------------

    def _recover(self) -> None:
        """An output that got its name in a run that was killed before it could say so is known by its hash."""
        for file in self.ledger.files("making IS NOT NULL AND output IS NOT NULL"):
            output = self._output(file)
            is_there = not output.is_symlink() and placing.sha256_of(output) == file.making
            with self.ledger.at_once():
                if not is_there:
                    # Its report may have got its name before it
                    placing.withdraw(output, None, file.making_report)
                    self.ledger.not_placed(file.number)
                    continue
                if file.ours_at is not None and file.ours_at != file.output:
                    self._withdraw(file)
                self.ledger.placed(file.number, placing.signature_of(output))

    def _read(self, found: Sequence[Found]) -> None:
        known = {file.name: file for file in self.ledger.files("is_seen")}
        for start in range(0, len(found), _READ_AT_ONCE):
            self.on_progress(Progress("reading", start, len(found)))
            with self.ledger.at_once():
                for one in found[start : start + _READ_AT_ONCE]:
                    self._read_one(one, known[one.name])
        self.on_progress(Progress("reading", len(found), len(found)))

    def _read_one(self, one: Found, file: File) -> None:
        if one.problem is not None:
            self.ledger.set_unread(file.number, "failed", one.problem, "PhotoUnreadable")
        elif file.sha256 is None or not file.signature or file.signature != one.signature:
            try:
                content = finding.read(one)
            except Unreadable as error:
                state: State = "vanished" if error.is_gone else "failed"
                self.ledger.set_unread(file.number, state, str(error), "PhotoUnreadable")
                return
            if finding.is_fresh(one, content.read_at):
                one = dataclasses.replace(one, signature="")
            self.ledger.note_content(file.number, one, content)

    def _plan(self) -> None:
        """Which treatment each file gets and where its output goes. Who has a place keeps it."""
        taken: dict[str, str] = {}
        files = sorted(self.ledger.files("is_seen"), key=lambda file: (file.ours_at is None, os.fsencode(file.name)))
        # Outputs whose input is gone stay, and keep their places
        for gone in self.ledger.files("NOT is_seen AND ours_at IS NOT NULL"):
            taken[(gone.ours_at or "").casefold()] = gone.name
        for file in files:
            recipe = self.job.rules.recipe(file.name, file.media)
            self.ledger.set_treatment(file.number, str(recipe.treatment))
            if file.sha256 is None:
                continue
            output = self._place_for(file)
            # Memory cards and many disks do not tell IMG_1.JPG from img_1.jpg
            other = taken.setdefault(output.casefold(), file.name)
            key = (file.media, repr(recipe))
            if key not in self.hashes:
                self.hashes[key] = fingerprint.settings_hash(recipe, file.media, self.common)
            item = self.ledger.item_for(file, Path(output).suffix.lower(), self.hashes[key], recipe)
            self.ledger.set_plan(file.number, item=item, treatment=str(recipe.treatment), output=output)
            if other != file.name:
                self.ledger.settle_file(file.number, "failed", f"{shown(other)} is written to {shown(output)} too, "
                                                               "and one "
                                        "of them would be lost. Rename one. Nothing was written for this one.",
                                        "ChoicesInvalid")
            elif file.state != "vanished":
                self.ledger.settle_file(file.number, "waiting")

    def _place_for(self, file: File) -> str:
        path = self.job.folder / file.name
        if file.media == "photo":
            name = output_path_for(path, os.fspath(self.job.output), several=True,
                                   keep_heic=self.common.photo.keep_heic).name
        else:
            suffix = path.suffix if path.suffix.lower() in _CLIP_SUFFIXES else ".mp4"
            name = fitted_name(path.stem, suffix)
        return os.fspath(Path(file.name).parent / name)

    def _compare(self) -> None:
        """What is done already and still stands as it was written; what does not hold any more goes."""
        items = {item.number: item for item in self.ledger.items()}
        standing: set[int] = set()
        for file in self.ledger.files("ours IS NOT NULL"):
            item = items.get(file.item or 0)
            if not self._stands(file):
                with self.ledger.at_once():
                    self._withdraw(file)  # what was changed since stays, and is nobody's
                    if not file.is_seen:
                        self.ledger.settle_file(file.number, "vanished", "its output was changed or removed, and the "
                                                                         "input "
                                                "is gone too.")
                continue
            # Of an input that cannot be read today nobody knows whether it changed: a card was pulled out, say
            if not file.is_seen or file.sha256 is None:
                continue
            if (file.state == "waiting" and item is not None and item.state == "done"
                    and (file.ours, file.ours_at) == (item.output_sha256, file.output)):
                self.ledger.settle_file(file.number, "done")
                standing.add(item.number)
            elif file.state != "waiting" or item is None or file.ours_at != file.output:
                with self.ledger.at_once():
                    self._withdraw(file)
        with self.ledger.at_once():
            for file in self.ledger.files("is_seen AND state = 'waiting' AND item IS NOT NULL"):
                item = items[file.item or 0]
                if item.state in ("failed", "no_face"):
                    self._settle_without(file, item.state, item.words, item.raised)
                elif item.state == "done" and item.number not in standing:
                    self.ledger.set_state(item.number, "waiting")
        for number in standing:
            self._copy_to_others(items[number])

    def _stands(self, file: File) -> bool:
        """Whether our output is still as we wrote it, and its report beside it."""
        output = self.job.output / (file.ours_at or "")
        signature = placing.signature_of(output)
        if not signature or output.is_symlink():
            return False
        if signature != file.ours_signature:
            if placing.sha256_of(output) != file.ours:
                return False
            self.ledger.set_signature(file.number, signature)
        if not file.is_seen or file.ours_report is None:
            return True
        return placing.sha256_of(report_path_for(output)) == file.ours_report

    # --- the work -------------------------------------------------------------------------------------------------

    def _groups(self, numbers: Sequence[int]) -> Iterator[Group]:
        for number in numbers:
            items: list[Item] = []
            missing: set[int] = set()
            for work in self.ledger.items("in_group = ?", (number,)):
                files = self.ledger.files("item = ? AND is_seen AND state != 'vanished'", (work.number,))
                wanting = [file for file in files if file.state == "waiting"]
                if not files:
                    continue
                first = (wanting or files)[0]
                items.append(Item(work.number, work.media, self.job.folder / first.name, self._output(first),
                                  work.sha256,
                                  self.job.rules.recipe(first.name, work.media)))
                if wanting and work.state == "waiting":
                    missing.add(work.number)
            if not missing:
                continue
            if any(self.deaths[one] >= _DEATHS_TO_SPLIT for one in missing):
                for item in items:
                    if item.number in missing:
                        yield Group(number, (item,), frozenset((item.number,)))
            else:
                yield Group(number, tuple(items), frozenset(missing))

    def _take(self, group: Group, answer: tuple[Result, ...] | Lost) -> None:
        if isinstance(answer, Lost):
            with self.ledger.at_once():
                self.ledger.lost(group.number)
                self.ledger.attempted(group.missing)
            self.deaths.update(group.missing)
            if len(group.items) == 1 and self.deaths[group.items[0].number] >= _DEATHS_TO_FAIL[group.items[0].media]:
                words = f"the worker died over it more than once: {answer.why}. Nothing was written."
                self._settle(Result(group.items[0].number, "failed", words=words, raised="EncodingFailed"))
            return
        items = {item.number: item for item in group.items}
        with self.ledger.at_once():
            self.ledger.attempted(result.number for result in answer)
        for result in answer:
            if result.state == "done" and result.made is not None:
                self._publish(result, result.made)
            elif result.state == "failed" and not os.path.lexists(items[result.number].source):
                gone = items[result.number].source
                with self.ledger.at_once():
                    for file in self._waiting_files(result.number):
                        if self.job.folder / file.name == gone:
                            self._settle_without(file, "vanished", "it was there when the folder was read, and is "
                                                                   "not any "
                                                 "more. Nothing was written.", "PhotoUnreadable")
            elif result.state in ("no_face", "failed"):
                self._settle(result)
            # Whatever else was said stays waiting

    def _publish(self, result: Result, path: Path) -> None:
        """Hashes what was made, puts that into the ledger, and only then gives it its names."""
        try:
            made = placing.made_at(path, with_report=True)
            if made.sha256 != result.output_sha256:
                raise OutputRefused("what was made differs from what the worker wrote. Check the disk. Nothing was "
                                    "written.")
        except (OutputRefused, OSError) as error:
            self._settle(Result(result.number, "failed", words=_words(error), raised="OutputRefused"))
            return
        with self.ledger.at_once():
            self.ledger.note_result(result, "done")
        self._give_names(made, self._waiting_files(result.number))
        shutil.rmtree(path.parent, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.parent.parent.rmdir()

    def _copy_to_others(self, item: Work) -> None:
        """Files of a content whose output stands under another name already."""
        wanting = self._waiting_files(item.number)
        done = self.ledger.files("item = ? AND state = 'done' AND ours = ?", (item.number, item.output_sha256))
        if wanting and done:
            path = self._output(done[0])
            self._give_names(Made(path, item.output_sha256 or "", done[0].ours_report), wanting)

    def _give_names(self, made: Made, files: Sequence[File]) -> None:
        """Each file gets a copy; a copy costs little, and what was made stays whole if one place is refused."""
        for file in files:
            output = self._output(file)
            folder = self.temporary / "copies" / str(file.number)
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                one = placing.copy(made.path, made.sha256, folder, output.name, source=self.job.folder / file.name,
                                   with_report=True)
                placing.check_place(output, (file.ours, one.sha256) if file.ours_at == file.output else (file.ours,))
                with self.ledger.at_once():
                    self.ledger.will_place(file.number, one.sha256, one.report_sha256)
                placing.place(one, output, known=(file.ours,), known_reports=(file.ours_report,),
                              inputs=(self.job.folder / file.name,))
                with self.ledger.at_once():
                    self.ledger.placed(file.number, placing.signature_of(output))
                self.made += 1
            except (OutputRefused, OSError, ValueError) as error:
                with self.ledger.at_once():
                    self.ledger.not_placed(file.number)
                    self._settle_without(file, "failed", _words(error), "OutputRefused")
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    # --- what became of it ----------------------------------------------------------------------------------------

    def _settle(self, result: Result) -> None:
        """Without an output: whatever an earlier run wrote for these files goes too."""
        with self.ledger.at_once():
            self.ledger.note_result(result, result.state)
            for file in self._waiting_files(result.number):
                self._settle_without(file, result.state, result.words, result.raised)

    def _settle_without(self, file: File, state: State, words: str, raised: str | None) -> None:
        self.ledger.settle_file(file.number, state, words, raised)
        self._withdraw(file)

    def _withdraw(self, file: File) -> None:
        if file.ours is not None and file.ours_at is not None:
            placing.withdraw(self.job.output / file.ours_at, file.ours, file.ours_report)
            self.ledger.withdrawn(file.number)

    def _waiting_files(self, item: int) -> list[File]:
        return self.ledger.files("item = ? AND is_seen AND state = 'waiting'", (item,))

    def _output(self, file: File) -> Path:
        return self.job.output / (file.output or "")

    def _tell(self) -> None:
        if time.monotonic() - self.told < _SECONDS_BETWEEN_WORDS:
            return  # counting takes a while where there are a hundred thousand
        self.told = time.monotonic()
        counts = self.ledger.counts()
        files = sum(counts.values())
        self.on_progress(Progress("working", files - counts.get("waiting", 0), files))

    def _entries(self) -> tuple[Entry, ...]:
        items = {item.number: item for item in self.ledger.items()}
        first: dict[int, str] = {}
        entries = []
        for file in sorted(self.ledger.files("is_seen OR state = 'done'"), key=lambda file: os.fsencode(file.name)):
            item = items.get(file.item or 0)
            is_done = file.state == "done"
            name = shown(file.name)
            same_as = first.setdefault(item.number, name) if item is not None and is_done else None
            entries.append(Entry(
                name, shown(file.ours_at) if is_done else None, file.media, file.treatment, file.state,
                bool(is_done and item and item.needs_look), item.attempts if item else 0, file.size, file.sha256,
                file.ours if is_done else None, None if same_as == name else same_as,
                item.faces if item and is_done else {}, file.words or (item.words if item and is_done else ""),
                item.seconds if item else 0.0, file.raised,
                self.job.output / (file.ours_at or "") if is_done else None))
        return tuple(entries)


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be written ({error.strerror}). Nothing was written."
    return str(error)
