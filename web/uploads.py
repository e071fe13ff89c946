"""multipart/form-data -> files in a private folder, as it arrives and never more than allowed.

Starlette's own parser copies to the folder for temporary files first, before anybody looks at a token or a length. Here
a file is written once, where it belongs, under a name of ours; the name it came with is handed on and not written.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from web.problems import Problem

_LONGEST_FIELD = 256 * 2**10  # bytes; the choices for a thousand faces are below
_MOST_PARTS = 16
_LONGEST_NAME = 200  # bytes; leaves room for what a browser adds
# A client that gets an answer while it still sends often sees a broken connection instead: so much is read and
# thrown away first.
_DRAIN_BYTES, _DRAIN_S = 16 * 2**20, 2.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


class ClientGone(Exception):
    """Nobody is there any more to answer to."""


@dataclass(frozen=True, slots=True)
class Received:
    """One file of an upload."""

    path: Path
    name: str | None  # as the client calls it, without folders; for the client's eyes only
    sha256: str
    size: int  # bytes


@dataclass(slots=True)
class Upload:
    """A whole upload."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, Received] = field(default_factory=dict)


async def receive(
    request: Request,
    folder: Path,
    *,
    files: Mapping[str, str],
    fields: Collection[str],
    max_bytes: int,
    larger: Mapping[str, int] = MappingProxyType({}),
    seconds: float,
    min_free_bytes: int,
) -> Upload:
    """Write the files of a request into `folder`, which the caller removes if this raises.

    Args:
        files: part -> the name its file gets in `folder`.
        fields: the other parts that may come.
        max_bytes: of the body, but for the parts in `larger`.
        larger: parts that may have more bytes, and how many.
        seconds: until the last byte of a body of `max_bytes`; a larger one has more in proportion.
    Raises:
        Problem: not what was asked for, too large, too slow, or the disk is full.
        ClientGone: the connection ended first.
    """
    boundary, body = _boundary(request), _Body(request)
    length = request.headers.get("content-length", "")
    announced = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
    longest = max_bytes + sum(larger.values())
    seconds *= max(1.0, min(announced, longest) / max_bytes)
    try:
        if announced > longest:
            raise _too_large(longest)
        if shutil.disk_usage(folder).free < min_free_bytes + announced:
            raise disk_full()
        parts = _Parts(folder, files, fields, max_bytes, larger)
        parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
        with contextlib.closing(parts):
            await asyncio.wait_for(_pump(body, parser, longest), seconds)
        return parts.whole()
    except FormParserError:
        problem = Problem("invalid", "the body is no multipart/form-data as RFC 7578 has it. Nothing was kept.")
    except (TimeoutError, asyncio.TimeoutError):
        raise _too_slow(seconds) from None
    except ClientDisconnect:
        raise ClientGone from None
    except OSError as error:
        if error.errno not in _FULL:
            raise
        problem = disk_full()
    except Problem as error:
        problem = error
    await _drain(body)
    raise problem from None


async def receive_bytes(request: Request, *, max_bytes: int, seconds: float) -> bytes:
    """A body that is one document.

    Raises:
        Problem: too large or too slow.
        ClientGone: the connection ended first.
    """
    body, data = _Body(request), bytearray()

    async def read() -> None:
        async for chunk in body.chunks():
            data.extend(chunk)
            if len(data) > max_bytes:
                raise _too_large(max_bytes)

    try:
        await asyncio.wait_for(read(), seconds)
    except (TimeoutError, asyncio.TimeoutError):
        raise _too_slow(seconds) from None
    except ClientDisconnect:
        raise ClientGone from None
    except Problem:
        await _drain(body)
        raise
    return bytes(data)


def disk_full() -> Problem:
    return Problem("disk-full", "there is not enough room on the disk of the service. Nothing was kept. Try again "
                                "later, or tell whoever runs the service.")


def plain_name(raw: bytes | None) -> str | None:
    """What a client calls a file, without folders, control characters or tricks; None where nothing is left."""
    if raw is None:
        return None
    name = raw.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in name if c.isprintable()).strip()
    while len(name.encode()) > _LONGEST_NAME:
        name = name[1:]  # the suffix tells more than the start
    return name if name.strip(". ") else None


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Problem("not-multipart", "send the file as multipart/form-data, as a form or `curl -F` does. "
                                       "Nothing was kept.")
    return options[b"boundary"]


class _Body:
    """The body as it comes, which can also be left and read on: `Request.stream` cannot."""

    def __init__(self, request: Request) -> None:
        self._receive, self._is_ended = request.receive, False

    async def chunks(self) -> AsyncIterator[bytes]:
        while not self._is_ended:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            self._is_ended = not message.get("more_body", False)
            yield message.get("body", b"")


async def _pump(body: _Body, parser: MultipartParser, max_bytes: int) -> None:
    count = 0
    async for chunk in body.chunks():
        count += len(chunk)
        if count > max_bytes:
            raise _too_large(max_bytes)
        if chunk:
            parser.write(chunk)
    parser.finalize()


async def _drain(body: _Body) -> None:
    with contextlib.suppress(ClientDisconnect, TimeoutError, asyncio.TimeoutError):
        await asyncio.wait_for(_throw_away(body), _DRAIN_S)


async def _throw_away(body: _Body) -> None:
    count = 0
    async for chunk in body.chunks():
        count += len(chunk)
        if count > _DRAIN_BYTES:
            return


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _too_large(max_bytes: int) -> Problem:
    return Problem("upload-too-large", f"an upload may have {max_bytes:,} bytes. Nothing was kept.")


def _too_slow(seconds: float) -> Problem:
    return Problem("upload-too-slow", f"the upload took more than {seconds:.0f} seconds. Nothing was kept.",
                   headers={"Connection": "close"})


class _Parts:
    """What the parser reports, put together. One file is open at a time."""

    def __init__(self, folder: Path, files: Mapping[str, str], fields: Collection[str], max_bytes: int,
                 larger: Mapping[str, int]) -> None:
        self._folder, self._files, self._fields = folder, files, fields
        self._max_bytes, self._larger = max_bytes, larger
        self._others = 0  # bytes of all parts that are not among the larger ones
        self._upload = Upload()
        self._count = 0
        self._is_ended = False
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        self._name = ""
        self._filename: bytes | None = None
        self._text = bytearray()
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._size = 0

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin, "on_header_begin": self._begin_header,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._end_header, "on_headers_finished": self._open, "on_part_data": self._data,
            "on_part_end": self._end, "on_end": self._finish,
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def whole(self) -> Upload:
        if not self._is_ended:
            raise Problem("invalid", "the body ends in the middle. Nothing was kept.")
        return self._upload

    def _begin(self) -> None:
        self._count += 1
        if self._count > _MOST_PARTS:
            raise Problem("invalid", f"more than {_MOST_PARTS} parts. Nothing was kept.")
        self._disposition = b""

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _end_header(self) -> None:
        if bytes(self._header[0]).lower() == b"content-disposition":
            self._disposition = bytes(self._header[1])

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._filename = options.get(b"filename")
        if self._name in self._upload.files or self._name in self._upload.fields:
            raise Problem("invalid", f"the part {self._name!r} comes twice. Nothing was kept.")
        self._text, self._hash, self._size = bytearray(), hashlib.sha256(), 0
        if self._name in self._files:
            self._file = open(self._folder / self._files[self._name], "xb", opener=_private)  # closed by `_end`
        elif self._name not in self._fields:
            raise Problem("invalid", f"there is a part {self._name[:40]!r}; "
                                     f"{', '.join([*self._files, *self._fields])} are known. Nothing was kept.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._name in self._larger:
            if self._size > self._larger[self._name]:
                raise _too_large(self._larger[self._name])
        else:
            self._others += end - start
            if self._others > self._max_bytes:
                raise _too_large(self._max_bytes)
        if self._file is None:
            if self._size > _LONGEST_FIELD:
                raise Problem("invalid", f"{self._name} has more than {_LONGEST_FIELD:,} bytes. Nothing was kept.")
            self._text.extend(data[start:end])
        else:
            self._hash.update(memoryview(data)[start:end])
            self._file.write(memoryview(data)[start:end])

    def _end(self) -> None:
        if self._file is None:
            try:
                self._upload.fields[self._name] = self._text.decode("utf-8")
            except UnicodeDecodeError:
                raise Problem("invalid", f"{self._name} is no UTF-8. Nothing was kept.") from None
            return
        self._file.close()  # what is still in the buffer may find the disk full
        path, self._file = Path(self._file.name), None
        self._upload.files[self._name] = Received(path, plain_name(self._filename), self._hash.hexdigest(), self._size)

    def _finish(self) -> None:
        self._is_ended = True
