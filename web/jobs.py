"""The jobs: a queue, the worker processes that empty it, and the deadlines. Knows nothing of HTTP.

Whoever offers this to people (the API now, the studio later) says who the owner of a job is; nobody gets another's.
All of it runs in one event loop; only the work itself is elsewhere, in processes that may be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
import sqlite3
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import cloak
from web import logs, problems
from web.folders import Folders, Lock
from web.kinds import FILES, KINDS, Line, Most, of_line
from web.problems import Problem
from web.settings import ServiceSettings
from web.store import DELETED, UNFINISHED, Job, KeyTaken, State, Store
from web.uploads import Received, Upload

_LOOK_FOR_OVERDUE_S = 1.0
_BETWEEN_TRIES_S = 1.0
_GRACE_S = 5.0  # that a worker has to end what it started, before it is killed
_LONGEST_LINE = 64 * 2**20  # a report on a thousand faces has a few megabytes
_TRIES = 2  # of a job that the service was stopped in: it may be what stopped it


@dataclass(frozen=True, slots=True)
class Share:
    """How far a running job is."""

    share: float  # in [0, 1]
    words: str


class Service:
    """Takes jobs, has them done in the order they came, and deletes everything at its deadline.

    Raises:
        SettingsInvalid: another service has the folder.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.folders = Folders(settings.folder)
        self._lock = Lock(settings.folder)
        self.store = Store(settings.folder)
        self._tasks: list[asyncio.Task[None]] = []
        self._running: dict[str, Process] = {}
        self._doomed: set[Process] = set()  # killed, perhaps not dead yet
        self._shares: dict[str, Share] = {}
        self._names: dict[str, dict[str, str | None]] = {}  # part -> what the client calls the file; never on the disk
        self._more: dict[Line, asyncio.Event] = {line: asyncio.Event() for line in get_args(Line)}  # a job waits
        self._ends: dict[str, asyncio.Event] = {}  # of the jobs that somebody waits for
        self._uploads = 0
        self.reading_plans = asyncio.Lock()

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Takes up what an earlier process left, deletes its strays, and starts the workers."""
        for job in self.store.interrupted():
            if job.attempts < _TRIES:
                self.store.requeue(job.id, is_attempt=True)
                logs.event("job", job=job.id, kind=job.kind, state="queued")
            else:
                self._fail(job, "interrupted", "the service ended twice while it worked on this. Nothing was written.")
        for id in self.store.ids():
            if not self.folders.of(id).is_dir():
                self.store.forget(id, "expired")
        self._delete_overdue()
        strays = self.folders.remove_others(self.store.ids())
        logs.event("started", count=strays, workers=self.settings.workers, version=cloak.__version__)
        for more in self._more.values():
            more.set()
        self._tasks = [asyncio.create_task(self._work("photos")) for _ in range(self.settings.workers)]
        self._tasks.append(asyncio.create_task(self._work("clips")))
        self._tasks.append(asyncio.create_task(self._watch_deadlines()))

    async def stop(self) -> None:
        """Jobs in work go back to the queue; the next process finds them there."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for job in self.store.interrupted():
            self.store.requeue(job.id, is_attempt=False)
        self.close()

    def close(self) -> None:
        """Gives the folder back; also where `start` was never reached."""
        self.store.close()
        self._lock.release()

    # --- for owners -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def uploading(self, owner: str) -> Iterator[tuple[str, Path]]:
        """(id, folder) for an upload. The folder is gone afterwards unless `submit` made a job of it.

        Raises:
            Problem: too much is going on, or the disk is full.
        """
        self._check_room(owner)
        if self._uploads >= self.settings.max_uploads:
            raise Problem("too-many-uploads", f"{self._uploads} uploads are arriving. Nothing was kept. Try again.",
                          headers={"Retry-After": "5"})
        self._uploads += 1
        try:
            id, folder = self.folders.make()
            try:
                yield id, folder
            finally:
                try:
                    self.store.get(id)
                except KeyError:
                    self.folders.remove(id)
        finally:
            self._uploads -= 1

    def submit(self, id: str, *, owner: str, kind: str, options: dict[str, Any], upload: Upload, keep_s: float,
               key_hash: str | None, fingerprint: str) -> Job:
        """Makes a job of an upload.

        Returns:
            the job, or the earlier one with the same idempotency key, if it was for the same thing.
        Raises:
            Problem: too many jobs, or the key stands for something else.
        """
        self._check_room(owner)
        try:
            job = self.store.add(id, owner=owner, kind=kind, options=options, expires=time.time() + keep_s,
                                 key_hash=key_hash, fingerprint=fingerprint)
        except KeyTaken as taken:
            if taken.job.fingerprint != fingerprint:
                raise Problem("key-reused", "this Idempotency-Key came with another file or other choices before. "
                                            "Nothing was kept. Take a new key.") from None
            return taken.job
        self._names[id] = {part: received.name for part, received in upload.files.items()}
        logs.event("job", job=id, kind=kind, state="queued", bytes=sum(f.size for f in upload.files.values()))
        self._more[KINDS[kind].line].set()
        return job

    def find(self, owner: str, id: str) -> Job:
        """Raises Problem, and the same one for a job that is another's as for none."""
        try:
            job = self.store.get(id)
        except KeyError:
            job = None
        if job is None or job.owner != owner:
            raise Problem("not-found", "there is no job with this id, or no longer.")
        return job

    def lend(self, job: Job, folder: Path, part: str, *, file: str | None = None,
             sha256: str | None = None) -> Received:
        """A file of a job for another job of the same owner, as its `part` in `folder`; no second copy of it is made.

        Args:
            file: its name in the folder of the first job; that of the part where none is given.
            sha256: where it is known; a clip takes seconds to read.
        Raises:
            Problem: it is gone.
        """
        lent = folder / FILES[part]
        try:
            os.link(self.folders.of(job.id) / (file or FILES[part]), lent)
        except FileNotFoundError:
            raise Problem("gone", "the files of that job are gone. Nothing was kept. Send them again.") from None
        return Received(lent, self.name(job, part), sha256 or _sha256_of(lent), lent.stat().st_size)

    def lend_clip(self, job: Job, folder: Path) -> dict[str, Received]:
        """The clip of a job and its plan as it is now, as the parts of a `video` job in `folder`.

        Raises:
            Problem: there is no plan, or not yet, or the files are gone.
        """
        plan = self.plan(job)
        return {"clip": self.lend(job, folder, "clip", sha256=(job.outcome or {}).get("sha256")),
                "plan": self.lend(job, folder, "plan", file=plan.name)}

    def place(self, job: Job) -> int | None:
        return self.store.place(job, of_line(KINDS[job.kind].line))

    def share(self, job: Job) -> Share | None:
        return self._shares.get(job.id) if job.state == "running" else None

    def name(self, job: Job, part: str | None = None) -> str | None:
        """What the client calls a file of the job, that which it is about where no part is named; None where the
        service was started anew since.
        """
        return self._names.get(job.id, {}).get(part or KINDS[job.kind].main)

    def result(self, job: Job) -> tuple[Path, str]:
        """(file, media type). Raises Problem where there is none."""
        result = _made(job, "result", "file")
        return self.folders.of(job.id) / result["file"], result["media_type"]

    def hasten(self, job: Job, seconds: float) -> None:
        """Deletes all that the owner has of the job's file after so many seconds, unless its deadline is sooner."""
        if sha256 := (job.outcome or {}).get("sha256"):
            self.store.hasten(job.owner, sha256, time.time() + seconds)

    def file(self, job: Job, name: str) -> tuple[Path, str]:
        """(file, media type) of one of the pictures a job has made. Raises Problem where there is none."""
        if job.state in DELETED:
            raise gone(job)
        view = (job.outcome or {}).get("views", {}).get(name)
        if view is None:
            raise Problem("not-found", "this job has no such file.")
        return self.folders.of(job.id) / view["file"], view["media_type"]

    def plan(self, job: Job) -> Path:
        """The plan of a job about a clip. Raises Problem where there is none, or not yet."""
        return self.folders.of(job.id) / str(_made(job, "plan", "plan"))

    def replace_plan(self, job: Job, data: bytes, outcome: dict[str, Any]) -> None:
        """Another plan for a job that is done, and what is said of it from now on. Whoever took the earlier one has it.

        Raises:
            Problem: the job is gone meanwhile.
        """
        path = self.plan(self.find(job.owner, job.id))
        aside = path.with_name(f".{secrets.token_hex(8)}")
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
        self.store.amend(job.id, outcome)

    def delete(self, job: Job) -> None:
        """Stops it where it is in work, and removes its files and what was said of them. At once."""
        self._forget(job, "cancelled")

    async def finished(self, job: Job, seconds: float) -> Job:
        """The job as it is when it has ended, or when the time is up."""
        if seconds > 0 and not job.is_finished:
            end = self._ends.setdefault(job.id, asyncio.Event())
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(end.wait(), seconds)
        return self.find(job.owner, job.id)

    def _check_room(self, owner: str) -> None:
        mine, all = self.store.count(*UNFINISHED, owner=owner), self.store.count(*UNFINISHED)
        if mine >= self.settings.max_jobs_per_token or all >= self.settings.max_jobs:
            raise Problem("too-many-jobs", f"{mine} of your jobs wait or are in work. Nothing was kept. Try again when "
                                           "one is done.", headers={"Retry-After": "10"})

    # --- deadlines ------------------------------------------------------------------------------------------------

    async def _watch_deadlines(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_FOR_OVERDUE_S)
            try:
                self._delete_overdue()
            except Exception as error:  # a full disk now must not keep files for ever
                logs.event("deadline", where=logs.where(error))

    def _delete_overdue(self) -> None:
        for job in self.store.overdue():
            self._forget(job, "expired")
        self.store.purge(before=time.time() - self.settings.keep_s)

    def _forget(self, job: Job, state: State) -> None:
        self.folders.remove(job.id)
        self.store.forget(job.id, state)
        self._names.pop(job.id, None)
        if process := self._running.get(job.id):
            self._end(process)  # the folder is removed again when it is dead
        logs.event("job", job=job.id, kind=job.kind, state=state)
        self._tell(job.id)

    # --- workers --------------------------------------------------------------------------------------------------

    async def _work(self, line: Line) -> None:
        """The life of one worker, over all the processes it takes."""
        process: Process | None = None
        kinds, more = of_line(line), self._more[line]
        try:
            while True:
                try:
                    if process is not None and process in self._doomed:
                        self._doomed.discard(process)
                        await process.wait()
                    # Who covers photos is ready before they come; clips are rarer, and a process takes memory
                    if line == "clips" and not self.store.waits(kinds):
                        more.clear()
                        await more.wait()
                    if process is None or process.returncode is not None:  # also where it died with nothing to do
                        process = await self._spawn(line)
                    if job := self.store.take(kinds):
                        await self._do(job, process)
                    else:
                        more.clear()
                        await more.wait()
                # No memory for a process, no room on the disk, or a defect of ours: the jobs that wait are not to blame
                except Exception as error:
                    logs.event("worker", where=logs.where(error))
                    await asyncio.sleep(_BETWEEN_TRIES_S)
        finally:
            if process is not None and process.returncode is None:
                self._end(process)
                await process.wait()

    async def _spawn(self, line: Line) -> Process:
        threads = str(max(1, (os.cpu_count() or 1) // self.settings.workers))
        environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **os.environ}
        return await asyncio.create_subprocess_exec(*self.settings.worker, line, stdin=PIPE, stdout=PIPE,
                                                    stderr=DEVNULL, env=environment, limit=_LONGEST_LINE, cwd="/")

    async def _do(self, job: Job, process: Process) -> None:
        began = time.monotonic()
        self._running[job.id] = process
        logs.event("job", job=job.id, kind=job.kind, state="running")
        is_clip = KINDS[job.kind].line == "clips"
        longest = self.settings.clip_job_s if is_clip else self.settings.job_s
        try:
            seconds = max(0.0, min(longest, job.expires - time.time()))
            message = await asyncio.wait_for(self._answer(job, process), seconds)
        except (asyncio.TimeoutError, TimeoutError):
            self._end(process)
            smaller = "a shorter clip" if is_clip else "a smaller photo, or fewer cloaked faces"
            message = {"failed": "took-too-long", "detail": f"the job was stopped after {longest:.0f} seconds of work. "
                                                            f"Nothing was written. Try {smaller}."}
        except (OSError, ValueError, asyncio.IncompleteReadError):
            self._end(process)
            message = {"killed": True}
        finally:
            self._running.pop(job.id, None)
            self._shares.pop(job.id, None)
        if process in self._doomed:
            logs.event("worker", job=job.id, exit=await process.wait())
        while True:
            try:
                state = self._settle(job, message)
                break
            except (OSError, sqlite3.OperationalError) as error:  # a full disk: nothing can be said before it is not
                logs.event("job", job=job.id, where=logs.where(error))
                await asyncio.sleep(_BETWEEN_TRIES_S)
        if state is None:  # deleted meanwhile; what the process wrote after that goes too
            self.folders.remove(job.id)
        else:
            logs.event("job", job=job.id, kind=job.kind, state=state, ms=round(1000 * (time.monotonic() - began)))
        self._tell(job.id)

    async def _answer(self, job: Job, process: Process) -> dict[str, Any]:
        """The last line of a job. Raises OSError where the process is gone."""
        assert process.stdin is not None and process.stdout is not None
        request = {"id": job.id, "kind": job.kind, "folder": str(self.folders.of(job.id).absolute()),
                   "options": job.options,
                   "most": {field.name: getattr(self.settings, field.name) for field in dataclasses.fields(Most)}}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()
        while line := await process.stdout.readline():
            message: dict[str, Any] = json.loads(line)
            if "share" not in message:
                return message
            self._shares[job.id] = Share(message["share"], message["words"])
        raise ConnectionResetError

    def _end(self, process: Process) -> None:
        """Told first, so that it ends the encoder it may have started; then killed."""
        self._doomed.add(process)  # it may look alive a moment longer; no job is to be given to it

        def kill() -> None:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()

        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        asyncio.get_running_loop().call_later(_GRACE_S, kill)

    def _settle(self, job: Job, message: dict[str, Any]) -> State | None:
        """Notes how a job ended; None where it was deleted meanwhile."""
        if "outcome" in message:
            return "done" if self.store.finish(job.id, outcome=message["outcome"]) else None
        if "failed" in message:
            return self._fail(job, message["failed"], message["detail"])
        if "broken" in message:
            logs.event("defect", job=job.id, where=message["broken"])
            return self._fail(job, "broken", "the job failed by an error of ours. Nothing was written.")
        return self._fail(job, "worker-killed", "the process that worked on this ended, perhaps for want of memory. "
                                                "Nothing was written. Try again, or with less.")

    def _fail(self, job: Job, code: str, detail: str) -> State | None:
        """The job has failed, and nothing of it is left but the problem; None where it was deleted meanwhile."""
        if not self.store.finish(job.id, problem=problems.document(code, detail)):
            return None
        # A photo that cannot be protected should not lie here for an hour, nor half a result
        self.folders.empty(job.id)
        return "failed"

    def _tell(self, id: str) -> None:
        if end := self._ends.pop(id, None):
            end.set()


def _sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def gone(job: Job) -> Problem:
    why = "its deadline passed" if job.state == "expired" else "it was deleted"
    return Problem("gone", f"the files of this job are gone: {why}.")


def _made(job: Job, key: str, what: str) -> Any:
    """What the job tells of something it has made. Raises Problem where it was deleted, is not ready, or never was."""
    if job.state in DELETED:
        raise gone(job)
    if not job.is_finished:
        raise Problem("not-ready", f"the job is {job.state}.")
    if job.outcome is None or key not in job.outcome:
        raise Problem("no-result", f"the job is {job.state}, and there is no {what}.")
    return job.outcome[key]
