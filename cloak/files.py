"""Output files and their names.

A file is written beside its later name, and gets that name last and only once; an input is never replaced.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloak.errors import OutputRefused
from cloak.formats import HEAD_BYTES, SUFFIXES, sniff
from cloak.types import Format, output_format

# The longest name of ext4, APFS, NTFS and of nearly every other file system, in bytes.
MAX_NAME_BYTES = 255


@dataclass(slots=True)
class PendingFile:
    """A file that exists beside its later name and gets that name by `commit`, or never."""

    path: Path
    temporary: Path
    overwrite: bool
    inputs: tuple[Path, ...]
    mode: int  # what the umask grants; until `commit` only the owner can read
    is_committed: bool = False

    def flush(self) -> None:
        """Waits until the temporary file is on the disk, which takes a large one seconds."""
        try:
            with open(self.temporary, "rb+") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def commit(self) -> None:
        """Flushes the temporary file to the disk and gives it its name."""
        check_output(self.path, overwrite=self.overwrite, inputs=self.inputs)
        self.flush()
        try:
            _set_mode(self.temporary, self.mode)
            if self.overwrite:
                os.replace(self.temporary, self.path)
            else:
                _rename_new(self.temporary, self.path)
            self.is_committed = True
            _sync_folder(self.path.parent)
        except OSError as error:
            raise _cannot_write(self.path, error) from error


@contextlib.contextmanager
def pending_file(path: Path, *, overwrite: bool, inputs: Sequence[Path] = (),
                 temporary: Path | None = None) -> Iterator[PendingFile]:
    """An empty temporary file beside `path`; without `commit` it is gone when the block is left, however it is left.

    Args:
        inputs: files that must never be replaced, whatever `overwrite` says.
        temporary: a place on the same disk that nobody else uses. What a killed process left there is replaced, where
            a file of a name made up each time would stay for ever.
    Raises:
        OutputRefused: `path` exists and may not be replaced, is one of `inputs`, or cannot be written.
    """
    check_output(path, overwrite=overwrite, inputs=inputs)
    # Not made from the output's name: that may have all of the 255 bytes a name can have.
    temporary = temporary or path.parent / f".cloak-{secrets.token_hex(8)}.part"
    try:
        try:
            temporary.unlink(missing_ok=True)
            # Created with the mode the umask grants, which is noted, then closed to others while it is still
            # empty. Asking the umask itself would change it for every thread of the process.
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                mode = stat.S_IMODE(os.fstat(handle).st_mode)
            finally:
                os.close(handle)
            _set_mode(temporary, 0o600)
        except OSError as error:
            raise _cannot_write(path, error) from error
        yield PendingFile(path, temporary, overwrite, tuple(inputs), mode)
    finally:
        if os.path.lexists(temporary):
            temporary.unlink()


def write_new(path: Path, data: bytes, *, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Writes `data` to `path` as a whole or not at all; what reached the disk is compared before it gets its name."""
    with pending_file(path, overwrite=overwrite, inputs=inputs) as pending:
        write_all(pending.temporary, data, named=path)
        if pending.temporary.read_bytes() != data:
            raise OutputRefused(f"{path}: what was read back differs from what was written. Check the disk. "
                                "Nothing was written.")
        pending.commit()


def write_all(path: Path, data: bytes, *, named: Path) -> None:
    """Fills the existing file `path`; errors speak of `named`, the name that people know."""
    try:
        with open(path, "r+b") as file:
            file.write(data)
    except OSError as error:
        raise _cannot_write(named, error) from error


def move_new(made: Path, path: Path, *, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Gives a finished file that lies elsewhere on the same disk its name.

    Raises:
        OutputRefused: `path` exists and may not be replaced, or is one of `inputs`.
        OSError: it cannot be done, with EXDEV where it would be another disk.
    """
    check_output(path, overwrite=overwrite, inputs=inputs)
    if overwrite:
        os.replace(made, path)
    else:
        try:
            _rename_new(made, path)
        except FileExistsError as error:
            raise _cannot_write(path, error) from error
        made.unlink(missing_ok=True)
    _sync_folder(path.parent)


def check_output(path: Path, *, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Raises OutputRefused where writing to `path` would be refused; cheap, so ask before any long work."""
    try:
        if not os.path.lexists(path):
            return
        for source in inputs:
            if os.path.exists(source) and os.path.exists(path) and os.path.samefile(source, path):
                raise OutputRefused(f"{path}: is the input {source.name} itself, which is never changed. "
                                    "Choose another output. Nothing was written.")
        if path.is_dir():
            raise OutputRefused(f"{path}: is a folder. Choose a file name. Nothing was written.")
        if not overwrite:
            raise OutputRefused(f"{path}: exists already. Choose another output, or pass --overwrite to replace it. "
                                "Nothing was written.")
    except OSError as error:
        raise _cannot_write(path, error) from error


def _rename_new(temporary: Path, path: Path) -> None:
    """Renames without ever replacing: `rename` alone would silently replace a file made a moment ago."""
    try:
        os.link(temporary, path)  # fails where `path` exists, in one step
        return
    except FileExistsError:
        raise
    except OSError as error:
        # FAT, exFAT (memory sticks) and some network folders have no hard links.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL):
            raise
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # takes the name, in one step
    try:
        os.replace(temporary, path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _set_mode(path: Path, mode: int) -> None:
    # FAT and some network folders keep no permissions and refuse to pretend.
    with contextlib.suppress(PermissionError, NotImplementedError):
        os.chmod(path, mode)


def _sync_folder(folder: Path) -> None:
    """Makes the new name itself survive a power cut; the file has it already, so a refusal is no failure."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def own_folder(folder: Path, *, named: Path) -> Iterator[Path]:
    """A folder for what has to survive being killed, for one process at a time; gone when the block is left empty.

    Args:
        folder: made where it is missing, for its owner only.
        named: the output that people know, for which the folder is.
    Raises:
        OutputRefused: it cannot be made, or another process has it.
    """
    handle = None
    try:
        try:
            while handle is None:
                folder.mkdir(mode=0o700, exist_ok=True)
                handle = _locked(folder)
        except BlockingIOError as error:
            raise OutputRefused(f"{named}: another run is making it at this moment. Wait for that one, or choose "
                                "another output. Nothing was written.") from error
        except OSError as error:
            raise _cannot_write(named, error) from error
        yield folder
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                folder.rmdir()
            os.close(handle)


def _locked(folder: Path) -> int | None:
    """A handle that holds the folder until it is closed or the process dies; None where it vanished meanwhile.

    Raises:
        BlockingIOError: another process holds it.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        _lock(handle)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(folder)):
                return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _lock(handle: int) -> None:
    with contextlib.suppress(ImportError):  # Windows has none of it
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # some network folders cannot lock
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
                raise


def _cannot_write(path: Path, error: OSError) -> OutputRefused:
    if isinstance(error, FileExistsError):
        return OutputRefused(f"{path}: exists already. Choose another output, or pass --overwrite to replace it. "
                             "Nothing was written.")
    advice = {
        errno.ENOSPC: "Free some space or choose another disk.",
        errno.ENAMETOOLONG: "Choose a shorter name.",
        errno.ENOENT: "Create the folder first.",
    }.get(error.errno or 0, "Choose another folder.")
    return OutputRefused(f"{path}: cannot be written ({error.strerror}). {advice} Nothing was written.")


# --- names -------------------------------------------------------------------------------------------------------


def output_path_for(
    input: Path, out: str | None, *, several: bool, mark: str = "cloaked", keep_heic: bool = False
) -> Path:
    """Where the protected copy of `input` goes.

    `out` None: `<stem>.<mark>.jpg` beside the input, or the suffix of whatever format is written. A folder (it exists,
    ends with a separator, has no suffix, or there are `several` inputs): the name is kept, so that pages that link to
    it need no change; only a suffix that does not fit what is written is replaced. Otherwise `out` is the file itself,
    whose suffix must fit.
    """
    format = _format_of(input)
    written = None if format is None else output_format(format, keep_heic=keep_heic)
    suffix = input.suffix if written is None else SUFFIXES[written][0]
    if out is None:
        return input.parent / fitted_name(input.stem, f".{mark}{suffix}")
    is_fit = written is None or input.suffix.lower() in SUFFIXES[written]
    name = fitted_name(input.stem, input.suffix if is_fit else suffix)
    path = Path(out)
    if several and path.exists() and not path.is_dir():
        raise OutputRefused(f"{out}: is a file, and there are several inputs. Give a folder. Nothing was written.")
    if several or path.is_dir() or not path.suffix or out.endswith(("/", os.sep)):
        return path / name
    if written is not None and path.suffix.lower() not in SUFFIXES[written]:
        why = "the output keeps its format" if written == format else f"the output is a {written}"
        raise OutputRefused(f"{out}: {input.name} is a {format} and {why}. Name it {path.stem}{suffix}. "
                            "Nothing was written.")
    return path


def shown(text: object) -> str:
    """`text` on one line and safe to print: control and direction marks and bytes that are no UTF-8 escaped.

    A file name may hold terminal commands, or marks that make it read backwards.
    """
    return "".join(
        c if c.isprintable() else c.encode("utf-8", "surrogateescape").decode("ascii", "backslashreplace")
        if "\udc80" <= c <= "\udcff" else c.encode("unicode_escape").decode("ascii")
        for c in str(text)
    )


def fitted_name(stem: str, suffix: str, *, room: int = len(".json")) -> str:
    """`stem + suffix`, shortened where it and its report (`room` bytes more) would pass the 255 bytes of a name.

    A shortened stem ends in a few digits of its hash, so that two long names stay two.
    """
    limit = MAX_NAME_BYTES - room - len(os.fsencode(suffix))
    raw = os.fsencode(stem)
    if len(raw) <= limit:
        return stem + suffix
    mark = "~" + hashlib.sha256(raw).hexdigest()[:8]
    kept = raw[: limit - len(mark)]
    while kept and raw[len(kept)] & 0xC0 == 0x80:  # never inside a UTF-8 character
        kept = kept[:-1]
    return os.fsdecode(kept) + mark + suffix


def _format_of(path: Path) -> Format | None:
    """By content; None where that cannot be told, which the reader will explain."""
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            return sniff(file.read(HEAD_BYTES))
    except (OSError, ValueError):
        return None
