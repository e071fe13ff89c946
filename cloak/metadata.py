"""Who is to be credited, read from and written to the three blocks that photos carry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credit:
    """What a newsroom must keep, and nothing else."""

    creator: tuple[str, ...] = ()
    credit: str = ""
    copyright: str = ""
    caption: str = ""
    headline: str = ""
    usage_terms: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Ready to be embedded; empty bytes where there is nothing to say."""

    exif: bytes  # begins with a TIFF header
    xmp: bytes  # a packet
    iptc: bytes  # raw IIM datasets


def read_credit(*, exif: bytes | None, iptc: bytes | None, xmp: bytes | None) -> Credit:
    """Placeholder until the real module is merged: reads nothing."""
    return Credit()


def blocks(credit: Credit, source_type: str | None) -> Blocks:
    """Placeholder until the real module is merged: writes nothing."""
    return Blocks(b"", b"", b"")
