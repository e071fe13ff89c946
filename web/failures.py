"""Why a job has no result: what the engine raises, as codes and words for the client."""

from __future__ import annotations

import errno
import os
from types import MappingProxyType

# What the engine raises, by name, and what a client is told.
CODES = MappingProxyType({
    "PhotoUnreadable": "photo-unreadable", "PhotoUnsupported": "photo-unsupported", "PhotoTooLarge": "photo-too-large",
    "NoFaceFound": "no-face", "ChoicesInvalid": "choices-invalid", "SettingsInvalid": "settings-invalid",
    "NotEnsured": "not-ensured", "WeightsMissing": "recognisers-unusable", "WeightsCorrupt": "recognisers-unusable",
    "ClipUnreadable": "clip-unreadable", "ClipUnsupported": "clip-unsupported", "ClipTooLarge": "clip-too-large",
    "PlanInvalid": "plan-invalid", "EncodingFailed": "encoding-failed",
})


class Failed(Exception):
    """The job has no result, for a reason the client can read."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code, self.detail = code, detail


def failure(name: str, message: str) -> Failed:
    """From the name of one of the engine's errors, and what it says."""
    if os.strerror(errno.ENOSPC) in message or os.strerror(errno.EDQUOT) in message or "disk is full" in message:
        return Failed("disk-full", "the disk of the service is full. Nothing was written. Try again later.")
    return Failed(CODES.get(name, "not-processed"), message)
