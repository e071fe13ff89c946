"""Who may use the studio, and which page is whose. All of it in memory: a service that is started anew knows nobody.

A *visitor* is one browser that was let in, known by a cookie. A *tab* is one loaded page of a visitor; it owns jobs,
and when it is closed its jobs are deleted.

`cloak studio` lets in by a key in the address it opens, once: other people at the machine, and whoever reads the
history of the browser, stay outside without anybody typing a token. `cloak serve` asks for one, at loopback too, as the
API does: it does not know who can reach it through a proxy.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, TypeVar

from web import tokens
from web.jobs import Service
from web.store import DELETED

Desk = TypeVar("Desk")

OWNER_PREFIX = "studio-"  # of jobs; an API token's id has no hyphen
_IDLE_S = 12 * 3600.0  # after which a browser that does nothing has to come in again
_MOST_TABS = 64  # of one visitor; opening pages must not fill the memory


@dataclass(slots=True)
class Visitor:
    """One browser that was let in."""

    id: str
    token_id: str | None  # None: came in by the key of `cloak studio`
    seen: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Tab:
    """One loaded page. What the pages of the studio remember of it stands in its desks."""

    id: str
    visitor: str
    session_hash: str  # Gradio's own name for the page
    is_closed: bool = False
    _desks: dict[type, Any] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """Of its jobs."""
        return OWNER_PREFIX + self.id

    def desk(self, kind: type[Desk]) -> Desk:
        """What one page of the studio remembers of this tab, made when it is first asked for."""
        if kind not in self._desks:
            self._desks[kind] = kind()
        return self._desks[kind]  # type: ignore[no-any-return]


class Access:
    """Visitors and tabs of one running service."""

    def __init__(self, service: Service, *, is_by_key: bool, tab_grace_s: float = 20.0,
                 after_download_s: float = 600.0) -> None:
        """
        Args:
            is_by_key: a one-time key lets in, as `cloak studio` opens the page with; otherwise a token does.
            tab_grace_s: how long a tab whose connection ended is waited for. A phone that sleeps comes back.
            after_download_s: from a download to the deletion of everything of that photo.
        """
        self.service, self.is_by_key, self.tab_grace_s = service, is_by_key, tab_grace_s
        self.after_download_s = after_download_s
        self.key = secrets.token_urlsafe(32)
        self._is_key_used = False
        self._visitors: dict[str, Visitor] = {}  # by the hash of the cookie
        self._tabs: dict[str, Tab] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    # --- visitors -------------------------------------------------------------------------------------------------

    def enter_by_key(self, key: str) -> str | None:
        """A cookie for whoever has the key, once: an address in a browser's history opens nothing afterwards."""
        if not self.is_by_key or self._is_key_used or not hmac.compare_digest(key.encode(), self.key.encode()):
            return None
        self._is_key_used = True
        return self._let_in(None)

    def enter_by_token(self, token: str) -> str | None:
        """A cookie for whoever has a valid token."""
        if self.is_by_key:
            return None
        token_id = tokens.owner_of(self.service.store, token)
        return None if token_id is None else self._let_in(token_id)

    def visitor(self, cookie: str | None) -> Visitor | None:
        """Who comes with this cookie; None where nobody was let in with it, or the token was revoked since."""
        if cookie is None:
            return None
        visitor = self._visitors.get(_hash(cookie))
        if visitor is None:
            return None
        is_revoked = visitor.token_id is not None and self.service.store.token_hash(visitor.token_id) is None
        if is_revoked or time.monotonic() - visitor.seen > _IDLE_S:
            self._show_out(_hash(cookie), visitor)
            return None
        visitor.seen = time.monotonic()
        return visitor

    def leave(self, cookie: str) -> None:
        """The cookie opens nothing any more, and everything of the visitor is deleted."""
        if visitor := self._visitors.get(_hash(cookie)):
            self._show_out(_hash(cookie), visitor)

    def _let_in(self, token_id: str | None) -> str:
        cookie = secrets.token_urlsafe(32)
        self._visitors[_hash(cookie)] = Visitor(secrets.token_hex(16), token_id)
        return cookie

    def _show_out(self, hashed: str, visitor: Visitor) -> None:
        self._visitors.pop(hashed, None)
        for tab in [tab for tab in self._tabs.values() if tab.visitor == visitor.id]:
            self.close(tab)

    # --- tabs -----------------------------------------------------------------------------------------------------

    def open_tab(self, visitor: Visitor, session_hash: str) -> Tab:
        """A tab for a page that was just loaded."""
        if earlier := self.tab_of(visitor, session_hash):
            return earlier
        mine = [tab for tab in self._tabs.values() if tab.visitor == visitor.id]
        for tab in mine[: max(0, len(mine) - _MOST_TABS + 1)]:
            self.close(tab)
        tab = Tab(secrets.token_hex(16), visitor.id, session_hash)
        self._tabs[tab.id] = tab
        return tab

    def tab_of(self, visitor: Visitor, session_hash: str | None) -> Tab | None:
        """The tab of a visitor by Gradio's name for it. Whoever speaks for it is there: it is not closed then."""
        for tab in self._tabs.values():
            if tab.session_hash == session_hash and tab.visitor == visitor.id:
                self._stay(tab)
                return tab
        return None

    def tab(self, visitor: Visitor, id: str) -> Tab | None:
        """The tab of a visitor by our name for it."""
        tab = self._tabs.get(id)
        return tab if tab is not None and tab.visitor == visitor.id else None

    def is_anothers(self, visitor: Visitor, session_hash: str) -> bool:
        """Whether Gradio's name stands for the tab of somebody else."""
        return any(tab.session_hash == session_hash and tab.visitor != visitor.id for tab in self._tabs.values())

    def connection_ended(self, session_hash: str) -> None:
        """Closes the tab a while from now, unless it is heard of again."""
        for tab in [tab for tab in self._tabs.values() if tab.session_hash == session_hash]:
            self._stay(tab)
            self._leaving[tab.id] = asyncio.get_running_loop().create_task(self._close_later(tab))

    def close(self, tab: Tab) -> None:
        """Stops and deletes everything of the tab."""
        tab.is_closed = True
        self._tabs.pop(tab.id, None)
        for job in self.service.store.of(tab.owner, limit=-1):
            if job.state not in DELETED:
                self.service.delete(job)

    def sweep(self) -> None:
        """Deletes what tabs of an earlier process left. To be called before the service starts."""
        for job in self.service.store.of_owners(OWNER_PREFIX):
            self.service.delete(job)

    def stop(self) -> None:
        """Deletes everything of everybody: no page outlives the service."""
        for task in self._leaving.values():
            task.cancel()
        for tab in list(self._tabs.values()):
            self.close(tab)

    def _stay(self, tab: Tab) -> None:
        if task := self._leaving.pop(tab.id, None):
            task.cancel()

    async def _close_later(self, tab: Tab) -> None:
        await asyncio.sleep(self.tab_grace_s)
        self._leaving.pop(tab.id, None)
        self.close(tab)


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
