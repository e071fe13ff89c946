"""Who may use the service: bearer tokens, of which only a hash is kept.

A token is `fcl_<id>_<secret>`. The id finds the row and may be shown; the secret has 256 random bits, so a plain
SHA-256 is as good as a slow hash, which is for words that people choose.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from cloak import SettingsInvalid
from web.store import Store

_TOKEN = re.compile(r"fcl_([0-9a-f]{12})_([0-9a-f]{64})")
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Token:
    """What may be shown of a token. Times are seconds since 1970."""

    id: str
    name: str
    created: float
    revoked: float | None


def create(store: Store, name: str) -> tuple[str, str]:
    """(id, token). The token is nowhere else: whoever loses it makes another.

    Raises:
        SettingsInvalid: the name is empty, too long or not printable.
    """
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise SettingsInvalid(f"the name of a token has 1 to {_LONGEST_NAME} printable characters. Nothing was made.")
    id, secret = secrets.token_hex(6), secrets.token_hex(32)
    token = f"fcl_{id}_{secret}"
    store.add_token(id, name, _hash(token))
    return id, token


def listed(store: Store) -> list[Token]:
    """All of them, oldest first, the revoked too."""
    return [Token(**dict(row)) for row in store.tokens()]


def revoke(store: Store, id: str) -> None:
    """From now on the token opens nothing.

    Raises:
        SettingsInvalid: there is no such token, or it was revoked before.
    """
    if not store.revoke_token(id):
        raise SettingsInvalid(f"{id[:40]!r}: no valid token has this id. See `cloak token list`. Nothing was changed.")


def owner_of(store: Store, token: str) -> str | None:
    """The id of a valid token."""
    match = _TOKEN.fullmatch(token)
    kept = match and store.token_hash(match[1])
    return match[1] if match and kept and hmac.compare_digest(kept, _hash(token)) else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
