"""Gives what was made its name under the folder of outputs, and takes it away again. Never what is somebody else's."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloak.errors import OutputRefused
from cloak.files import move_new, pending_file, shown, write_new
from cloak.report import report_path_for

_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Made:
    """An output and its report, before they have their names."""

    path: Path
    sha256: str
    report_sha256: str | None  # None where no report goes with it


def sha256_of(path: Path) -> str | None:
    """As it is on the disk; None where there is no such file."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    return digest.hexdigest()


def signature_of(path: Path) -> str:
    """Changes whenever the file does, as far as its times tell; "" where there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


def made_at(path: Path, *, with_report: bool) -> Made:
    """What lies at `path`, read from the disk.

    Raises:
        OutputRefused: it is not there.
    """
    sha256 = sha256_of(path)
    report = sha256_of(report_path_for(path)) if with_report else None
    if sha256 is None or (with_report and report is None):
        raise OutputRefused("what was made is gone from the folder for temporary files. Nothing was written.")
    return Made(path, sha256, report)


def check_place(output: Path, hashes: Sequence[str | None]) -> None:
    """Raises OutputRefused where something stands in the output's place that has none of these hashes."""
    if os.path.lexists(output):
        found = None if output.is_symlink() else sha256_of(output)
        if found is None or found not in hashes:
            raise OutputRefused("a file that this batch did not make, or that was changed since, stands in the "
                                "output's "
                                "place. It was left as it is, and nothing was written. Move it away and run the same "
                                "command again.")


def place(made: Made, output: Path, *, known: Sequence[str | None], known_reports: Sequence[str | None],
          inputs: Sequence[Path]) -> None:
    """The report first, so that no output stands without one; then the output, which is read again.

    Args:
        known: hashes of what we put there before, and may replace.
    Raises:
        OutputRefused: something else stands there, or it cannot be written. The output does not stand there then, or
            what stood there before still does.
    """
    beside = report_path_for(output)
    check_place(output, (made.sha256, *known))
    if made.report_sha256 is not None:
        check_place(beside, (made.report_sha256, *known_reports))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputRefused(f"the folder of the output cannot be made ({error.strerror}). Nothing was "
                            "written.") from error
    is_new_report = not os.path.lexists(beside)
    if made.report_sha256 is not None:
        _name(report_path_for(made.path), beside, inputs)
    try:
        _name(made.path, output, inputs)
        if sha256_of(output) != made.sha256:
            output.unlink(missing_ok=True)
            raise OutputRefused("what was read back differs from what was written. Check the disk. Nothing was "
                                "written.")
    except BaseException:
        if is_new_report and made.report_sha256 is not None and not os.path.lexists(output):
            with contextlib.suppress(OSError):
                beside.unlink()
        raise


def copy(done: Path, sha256: str, folder: Path, name: str, *, source: Path, with_report: bool) -> Made:
    """A copy of an output for another file of the same content, in `folder`, with a report of its own.

    Raises:
        OutputRefused: the output is not what it was, or the copy cannot be written.
    """
    path = folder / name
    with pending_file(path, overwrite=True) as pending:
        try:
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(done, pending.temporary)
        except OSError as error:
            raise OutputRefused(f"cannot be written ({error.strerror}). Nothing was written.") from error
        if sha256_of(pending.temporary) != sha256:
            raise OutputRefused("the output of the same content is gone or was changed. Nothing was written; run the "
                                "same "
                                "command again.")
        pending.commit()
    if with_report:
        report = json.loads(report_path_for(done).read_text("utf-8"))
        report |= {"input": shown(source.name), "output": shown(name)}
        text = json.dumps(report, indent=2, allow_nan=False) + "\n"
        write_new(report_path_for(path), text.encode("ascii"), overwrite=True)
    return made_at(path, with_report=with_report)


def withdraw(output: Path, sha256: str | None, report_sha256: str | None) -> None:
    """Removes an output of ours that does not hold any more, and its report; not what was changed since."""
    for path, known in ((output, sha256), (report_path_for(output), report_sha256)):
        with contextlib.suppress(OSError):
            if known is not None and not path.is_symlink() and sha256_of(path) == known:
                path.unlink()


def _name(made: Path, path: Path, inputs: Sequence[Path]) -> None:
    """In one step where both are on one disk; otherwise by way of a temporary file beside the name."""
    is_there = os.path.lexists(path)  # checked to be ours
    try:
        move_new(made, path, overwrite=is_there, inputs=inputs)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise OutputRefused(f"cannot be written ({error.strerror}). Nothing was written.") from error
        # Always the same name, so that what a killed run left is replaced
        mark = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
        with pending_file(path, overwrite=is_there, inputs=inputs,
                          temporary=path.parent / f".cloak-{mark}.part") as pending:
            try:
                shutil.copyfile(made, pending.temporary)
            except OSError as problem:
                raise OutputRefused(f"cannot be written ({problem.strerror}). Nothing was written.") from problem
            pending.commit()
        made.unlink(missing_ok=True)
