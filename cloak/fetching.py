"""Fetches weight files. The only module that may open a connection, and only when `cloak models fetch` asks.

What arrives is a file only after its size and sha256 were compared; until then it is a `.part` in the store, which the
next fetch continues. Nothing is sent but the request for the file: no cookie, no referer, no name of ours.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO

from cloak import store, weights
from cloak.errors import FetchFailed, ModelRefused, SettingsInvalid, WeightsCorrupt, WeightsMissing
from cloak.store import Model
from cloak.weights import Weights

# A folder served over https that holds the files of the registry under their own names, for those who must not or
# cannot reach the original ones: <FACECLOAK_MIRROR>/mobilefacenet.pt. Its files are verified like any others.
MIRROR = "FACECLOAK_MIRROR"

_TIMEOUT_S = 30.0  # for each answer of the network, not for the whole file
_BLOCK = 1 << 16
_MOST_REDIRECTS = 5

Say = Callable[[str], None]
Report = Callable[[int, int | None], None]  # bytes so far, and of how many


def fetch(
    name: str, *, say: Say, progress: Report | None = None, accept_licence: bool = False, accept_hash: bool = False,
    source: Path | None = None,
) -> Model:
    """Installs a file of the registry, from its address or, without any connection, from `source`.

    Args:
        say: is told the licence and its cautions, and each host before it is connected to.
        accept_licence: the user has agreed to a licence that forbids commercial use.
        accept_hash: the user takes a file whose sha256 nobody published; what is found is recorded.
        source: the file itself, or a folder that holds it under its name at the source.
    Returns:
        the installed model; the one that was there if it is whole.
    Raises:
        SettingsInvalid: no such entry, or a mirror that cannot be used.
        ModelRefused: there is nothing to fetch, or something to accept first. Nothing was connected to.
        FetchFailed: the connection or the server failed; what arrived is kept for the next attempt if it is of use.
        WeightsCorrupt: another file arrived. It was deleted.
        WeightsMissing: `source` does not hold the file.
    """
    entry = _fetchable(name)
    there = _installed(entry)
    if there is not None:
        say(f"{name}: already installed and whole.")
        return there
    _consent(entry, say, accept_licence=accept_licence, accept_hash=accept_hash)
    if source is not None:
        return _install(entry, _within(source, entry), say, move=False)
    address = _address(entry)
    with _locked(entry.name) as part:
        _download(entry, address, part, say=say, progress=progress)
        try:
            model = _install(entry, part.file, say, move=True)
        except WeightsCorrupt as error:
            part.discard()
            raise WeightsCorrupt(f"{_public(address)}: {error} What arrived was deleted.") from error
        part.discard()
    return model


# --- before anything is fetched ----------------------------------------------------------------------------------


def _fetchable(name: str) -> Weights:
    entries = weights.registry()
    possible = ", ".join(one for one, entry in entries.items() if entry.address)
    if name not in entries:
        raise SettingsInvalid(f"nothing called {name!r} can be fetched; there is {possible}. Nothing was fetched.")
    entry = entries[name]
    if entry.is_bundled:
        raise ModelRefused(f"{name}: comes with the package {entry.package}, which is installed with facecloak. There "
                           "is nothing to fetch.")
    if not entry.address:
        raise ModelRefused(f"{name}: is nowhere to be fetched from. Add the file if you have it: cloak models add NAME "
                           "FILE. Nothing was fetched.")
    return entry


def _installed(entry: Weights) -> Model | None:
    """The model under this name, if it is there and whole. What was fetched and is damaged is fetched anew, if the
    registry says what it has to be."""
    try:
        model = store.describe(entry.name)
    except WeightsMissing:
        return None
    if model.origin == "added":
        raise ModelRefused(f"{entry.name}: a model that you added has this name. Remove it first (cloak models remove "
                           f"{entry.name}). Nothing was fetched.")
    weights.locate.cache_clear()
    try:
        weights.locate(entry.name)
    except (WeightsMissing, WeightsCorrupt) as error:
        if model.hash_accepted:  # what was recorded is not replaced by whatever arrives next
            raise ModelRefused(f"{error} To trust what arrives once more, remove it first (cloak models remove "
                               f"{entry.name}). Nothing was connected to.") from error
        return None
    return model


def _consent(entry: Weights, say: Say, *, accept_licence: bool, accept_hash: bool) -> None:
    terms = " ".join([f"Licence: {entry.licence}.", *(f"Caution: {line}" for line in entry.cautions)])
    if entry.non_commercial and not accept_licence:
        raise ModelRefused(f"{entry.name}: not for commercial use. {terms} If you may use it, say so with "
                           "--accept-licence. Nothing was connected to.")
    if not entry.sha256 and not accept_hash:
        raise ModelRefused(f"{entry.name}: no sha256 of this file is known, so nothing tells the real one from any "
                           f"other. {terms} To trust what arrives this once, and only it from then on: --accept-hash. "
                           "Nothing was connected to.")
    say(f"{entry.name}: {terms}")
    if not entry.loads_as:
        say(f"{entry.name}: cloak cannot load this file yet; it is kept, and changes nothing.")


def _within(source: Path, entry: Weights) -> Path:
    path = source / entry.file_name if source.is_dir() else source
    if not path.is_file():
        raise WeightsMissing(f"{path}: not there. {entry.name} is the file {entry.file_name} from {entry.address}. "
                             "Nothing was installed.")
    return path


def _install(entry: Weights, file: Path, say: Say, *, move: bool) -> Model:
    """The file as a model, if it is the one."""
    size, sha256 = store.measure(file)
    if entry.sha256 and sha256 != entry.sha256 or entry.size not in (None, size) or size > entry.largest:
        raise WeightsCorrupt(f"{entry.name}: sha256 is {sha256} ({size} bytes), expected {entry.sha256 or 'any'} "
                             f"({entry.size or f'at most {entry.largest}'} bytes). It is not the file that was vouched "
                             "for; nothing was installed.")
    model = store.add(
        Model(name=entry.name, role=entry.role, loads_as=entry.loads_as, path=file, size=size, sha256=sha256,
              licence=entry.licence, source=f"{entry.source}; {entry.address}", origin="fetched",
              training_data=entry.training_data, cautions=entry.cautions, non_commercial=entry.non_commercial,
              hash_accepted=not entry.sha256, recipe=entry.recipe),
        move=move, replace=True, suffix=Path(entry.file_name).suffix)
    weights.locate.cache_clear()
    if model.hash_accepted:
        say(f"{entry.name}: sha256 {sha256}. It is recorded, and from now on the only file accepted as {entry.name} "
            "here. Compare it with what somebody you trust has found.")
    return model


# --- addresses ---------------------------------------------------------------------------------------------------


def _address(entry: Weights) -> str:
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return entry.address
    address = f"{mirror.rstrip('/')}/{urllib.parse.quote(entry.file_name)}"
    trouble = _refusal(address)
    if trouble:
        raise SettingsInvalid(f"{MIRROR} is {_public(mirror)!r}: {trouble}. Nothing was connected to.")
    return address


def _refusal(address: str) -> str | None:
    """Why this address is not connected to; None where it is."""
    try:
        parts = urllib.parse.urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no address"
    if any(c.isspace() or not c.isprintable() for c in address):
        return "it holds a space or a control character"
    if parts.username is not None or parts.password is not None:
        return "it holds a user name, which is not supported"
    if not host:
        return "it names no host"
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        return "only https is used, for whoever sits in between could read which recogniser is fetched"
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(address: str) -> str:
    return urllib.parse.urlsplit(address).hostname or ""


def _public(address: str) -> str:
    """The address without what may be secret in it: signed addresses carry keys, and others a password."""
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        return "what is no address"
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _proxy(host: str) -> str | None:
    """The proxy that the system is set to for this host; none for this machine itself.

    Raises:
        FetchFailed: it is of a kind that cannot be used. To go around it might show an address meant to stay hidden.
    """
    if _is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    named = urllib.request.getproxies()
    chosen = named.get("https") or named.get("all")
    if chosen and "://" in chosen and not chosen.startswith("http://"):
        raise FetchFailed(f"this machine is set to use a proxy of a kind that cloak cannot use "
                          f"({chosen.partition('://')[0]}), and going around it might show who you are. Fetch the file "
                          "in another way and install it with --from FILE. Nothing was connected to.")
    return chosen or None


def _announce(address: str, say: Say) -> None:
    host = _host(address)
    proxy = _proxy(host)
    through = f" through the proxy {proxy.rpartition('@')[2].removeprefix('http://')}" if proxy else ""
    say(f"connecting to {host}{through}: {_public(address)}")


class _Proxies(urllib.request.ProxyHandler):
    """Asks for each address on its own, so that a redirect leads around no proxy."""

    def __init__(self) -> None:
        super().__init__({"https": "-"})  # the name of the method that urllib calls comes from this

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> http.client.HTTPResponse | None:
        chosen = _proxy(_host(req.full_url))
        return super().proxy_open(req, chosen, type) if chosen else None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https alone, and says where to before it does."""

    max_redirections = _MOST_REDIRECTS

    def __init__(self, say: Say) -> None:
        self._say = say

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request:
        trouble = _refusal(newurl)
        if trouble is None and _is_loopback(_host(newurl)) and not _is_loopback(_host(req.full_url)):
            trouble = "it leads to this machine, where a server elsewhere has no business"
        if trouble is not None:
            raise FetchFailed(f"{_public(req.full_url)}: is redirected to {_public(newurl)}, which is not followed: "
                              f"{trouble}. Nothing was installed.")
        _announce(newurl, self._say)
        return urllib.request.Request(newurl, headers=req.headers)  # Range and If-Range; Host is not among them

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302  # Python 3.10 does not know it


def _open(address: str, headers: dict[str, str], say: Say) -> http.client.HTTPResponse:
    """The answer of http or https; unlike with urllib's own opener, no file, no FTP and no data address."""
    opener = urllib.request.OpenerDirector()
    for handler in (_Proxies(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(), _Redirects(say),
                    urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler()):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "Python-urllib")]
    _announce(address, say)
    answer: http.client.HTTPResponse = opener.open(urllib.request.Request(address, headers=headers), timeout=_TIMEOUT_S)
    return answer


# --- the part ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """What has arrived so far, and which version of the server's file it belongs to."""

    file: Path
    notes: Path

    def to_continue(self, address: str) -> tuple[int, str]:
        """How many bytes are here from this address, and what If-Range needs; (0, "") where there are none of use."""
        try:
            notes = json.loads(self.notes.read_text("utf-8"))
            size = self.file.stat().st_size
            if notes["address"] == address and isinstance(notes["validator"], str) and notes["validator"]:
                return (size, notes["validator"]) if size else (0, "")
        except (OSError, ValueError, KeyError, TypeError):  # no notes, or damaged ones
            pass
        return 0, ""

    def begin(self, address: str, validator: str) -> None:
        """Empty, of this version. The file first: its old bytes must never stand beside new notes."""
        self.file.write_bytes(b"")
        self.notes.write_text(json.dumps({"address": address, "validator": validator}), "utf-8")

    def discard(self) -> None:
        for path in (self.file, self.notes):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(name: str) -> Iterator[_Part]:
    """The part of this name, for one process alone.

    Raises:
        ModelRefused: another one is at it.
    """
    parts = store.make_store() / ".parts"
    try:
        parts.mkdir(mode=0o700, exist_ok=True)
        with (parts / f"{name}.lock").open("a") as lock:
            if not _try_lock(lock):
                raise ModelRefused(f"{name}: is being fetched by another cloak right now. Wait for it; nothing was "
                                   "changed.")
            yield _Part(parts / f"{name}.part", parts / f"{name}.json")
    except OSError as error:
        raise FetchFailed(f"{parts}: cannot be written ({error.strerror or error}). Make room, or choose another place "
                          "with FACECLOAK_MODELS. Nothing was installed.") from error


def _try_lock(lock: IO[str]) -> bool:
    """Held until the file is closed, which the system does for a process that dies."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _download(entry: Weights, address: str, part: _Part, *, say: Say, progress: Report | None) -> None:
    """Brings `part.file` to what the server holds, continuing what is there. Not yet verified.

    Raises:
        FetchFailed: it did not arrive as a whole, or cannot be the file.
    """
    if entry.sha256 and part.file.is_file() and store.measure(part.file)[1] == entry.sha256:
        return  # interrupted between the last byte and the installation
    while not _request(entry, address, part, say=say, progress=progress):
        part.discard()  # the server does not hold what the part began with; the second request asks for everything


def _request(entry: Weights, address: str, part: _Part, *, say: Say, progress: Report | None) -> bool:
    """One request, and what it answers put into the part. False where the part cannot be continued.

    Source: RFC 9110, 13.1.5 (If-Range), 14.2 to 14.4 (Range, Content-Range) and 15.5.17 (status 416).
    """
    have, validator = part.to_continue(address)
    if have > entry.largest:
        return False
    try:
        answer = _open(address, {"Range": f"bytes={have}-", "If-Range": validator} if have else {}, say)
    except urllib.error.HTTPError as error:
        error.close()
        if have and error.code == 416:
            return False
        raise FetchFailed(f"{_public(address)}: the server answered {error.code} {str(error.reason)[:80]}. Nothing was "
                          "installed.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: redirected to what is no address
        raise FetchFailed(f"{_public(address)}: no connection ({getattr(error, 'reason', error)}). Nothing was "
                          "installed; what arrived before is kept.") from error
    with answer:
        if have and answer.status == 206:
            whole = _continues(answer.headers, have)
            if whole is None:
                return False
        elif answer.status == 200:
            have, whole = 0, _declared_length(answer.headers)
            part.begin(address, _validator(answer.headers, pinned=bool(entry.sha256)))
        else:
            raise FetchFailed(f"{_public(address)}: the server answered {answer.status}, where 200 was expected. "
                              "Nothing was installed.")
        trouble = _unfit(entry, answer.headers, whole)
        if trouble:
            part.discard()
            raise FetchFailed(f"{_public(address)}: {trouble}. Nothing was installed.")
        _receive(entry, address, answer, part, have, whole, progress)
    return True


def _receive(
    entry: Weights, address: str, answer: http.client.HTTPResponse, part: _Part, have: int, whole: int | None,
    progress: Report | None,
) -> None:
    """Appends the answer's body to the part. `whole`: how long the file then is, if the server says so."""
    cut = False
    with part.file.open("ab") as file:
        while True:
            try:
                block = answer.read1(_BLOCK)  # what is there, so that none of it is lost when the next never comes
            except (OSError, http.client.HTTPException):
                cut = True
                break
            if not block:
                break
            have += len(block)
            if have > entry.largest:
                file.close()
                part.discard()
                raise FetchFailed(f"{_public(address)}: more arrives than the {entry.largest} bytes that {entry.name} "
                                  "may have. It was stopped and deleted; nothing was installed.")
            file.write(block)
            if progress is not None:
                progress(have, whole)
    if cut or (whole is not None and have < whole):
        raise FetchFailed(f"{_public(address)}: the connection was cut after {have} of {whole or 'unknown'} bytes. "
                          "Fetch again: what arrived is continued if the server can. Nothing was installed.")


def _validator(headers: Message, *, pinned: bool) -> str:
    """What names this version of the server's file; "" where nothing does well enough to continue it later.

    A date has the precision of a second, so two versions can share it: good enough only where a sha256 has the last
    word.
    """
    tag = headers.get("ETag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', tag):  # a weak one, W/"...", is not allowed in If-Range
        return tag
    date = headers.get("Last-Modified", "")
    return date if pinned and re.fullmatch(r"[A-Za-z0-9,: ]{20,40}", date) else ""


def _declared_length(headers: Message) -> int | None:
    found = headers.get("Content-Length", "")
    return int(found) if re.fullmatch(r"[0-9]{1,18}", found) else None


def _continues(headers: Message, have: int) -> int | None:
    """How long the whole file is, if the answer continues exactly after `have` bytes up to its end."""
    match = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", headers.get("Content-Range", "").strip())
    if match is None:
        return None
    first, last, whole = map(int, match.groups())
    return whole if first == have and last == whole - 1 >= first else None


def _unfit(entry: Weights, headers: Message, whole: int | None) -> str | None:
    """Why this answer cannot be the file; None where it can."""
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        return "the server sends it packed, which was not asked for"
    if whole is None:
        # Without the length and without a sha256 a cut file would look like a whole one.
        return None if entry.sha256 else "the server does not say how long the file is"
    if entry.size is not None and whole != entry.size:
        return f"the server's file has {whole} bytes, {entry.name} has {entry.size}"
    too_many = whole > entry.largest
    return f"{whole} bytes are more than the {entry.largest} that {entry.name} may have" if too_many else None
