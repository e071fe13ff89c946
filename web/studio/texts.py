"""Every word that a person reads on the pages, in one place for translation; what the engine says it says itself.

Plain sentences for people who publish photos. Never more than is known: "no longer match", not "safe".
"""

from __future__ import annotations

from types import MappingProxyType

LANGUAGE = "en"
TITLE = "facecloak studio"
SUBTITLE = "Covers or cloaks faces before you publish, and checks the file it wrote. Everything stays on {where}."
HERE = "this machine"
THERE = "the machine that runs this page"

# --- the entrance ---
TOKEN_LABEL = "Token"
TOKEN_BUTTON = "Open the studio"
TOKEN_WRONG = "This token is not valid."
TOKEN_HELP = "Whoever runs this service makes one with: cloak token create NAME"
KEY_HELP = ("This page opens from the terminal: run `cloak studio`. Its address opens one browser, once. "
            "If yours was closed, stop `cloak studio` and start it again.")

# --- tabs ---
PHOTO_TAB = "Photo"
VIDEO_TAB = "Video"
CHECK_TAB = "Check"
LEAVE = "Delete everything and leave"
VIDEO_LATER = "Clips are covered with the command `cloak video` for now."

# --- what goes wrong ---
ERROR_TITLE = "That did not work"
BROKEN = "An error of ours. It was noted, without your picture. Nothing more is known to have been done."
TAB_CLOSED = "This page was away for a while, and its pictures were deleted. Load the page again."
GONE = "The files were deleted: their time was over."

# --- uploads, read by assets/drop.js ---
DROP = MappingProxyType({
    "choose": "Choose {what}",
    "or": "or drop {what} here",
    "or_paste": "or drop {what} here, or paste from the clipboard",
    "uploading": "Sending {name} ({percent} %)",
    "too_large": "{name}: larger than {limit} MB, so it was not sent.",
    "failed": "{name}: {why}",
    "no_connection": "the connection to the studio ended. Nothing was kept.",
})
PHOTOS = "photos"
PHOTO = "the photo"

# --- photo page ---
PHOTO_HELP = "JPEG, PNG, WebP, TIFF, HEIC or AVIF, up to {megabytes} MB each. The original is never changed."
ADVICE = ("**Hide people who did not ask to be seen.** Cloak only faces of people who know the risk and agreed. "
          "A cloak lowers the chance that a search finds somebody; it is no promise, and clothes, place and company "
          "still tell who somebody is.")
