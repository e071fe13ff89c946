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
PHOTO_HELP = "JPEG, PNG, WebP, TIFF, HEIC or AVIF, up to {megabytes} MB. Your file is never changed; you get a copy."
ADVICE = ("**Hide people who did not ask to be seen.** Cloak only faces of people who know the risk and agreed. "
          "A cloak lowers the chance that a search finds somebody; it is no promise, and clothes, place and company "
          "still tell who somebody is.")
STRIP = "Your photos"
UNNAMED = "photo"
STATE = MappingProxyType({
    "looking": "looking for faces", "choosing": "choose", "working": "in work", "done": "done", "look": "look again",
    "failed": "not possible"})

FACES = MappingProxyType({
    "face": "Face {number}", "area": "Area {number}", "hide": "Hide", "cloak": "Cloak", "keep": "Keep",
    "all": "All faces", "all_hide": "Hide all", "all_cloak": "Cloak all", "all_keep": "Keep all",
    "none": "No face was found. That does not prove that there is none: look yourself, and cover what you see.",
    "one": "1 face was found. Did the search miss one? Cover it yourself.",
    "several": "{count} faces were found. Did the search miss one? Cover it yourself.",
    "picture": "Your photo, with {count} faces found",
    "draw": "Cover another area", "draw_hint": "Draw a box on the picture.", "remove": "Remove",
    "area_keys": "Arrow keys move it, with Shift they change its size, Delete removes it.",
})
WAYS = "How"
COVER_LABEL = "Hide with"
COVER_INFO = "Solid lets nothing through. The others keep some colours, from which people can be guessed."
COVERS = (("Solid", "solid"), ("Mosaic", "mosaic"), ("Blur", "blur"), ("Ring", "ring"))
STRENGTH_LABEL = "Cloak strength"
STRENGTH_INFO = "Stronger protects more and shows more, as lines and folds on the skin. Look at the result."
STRENGTHS = (("Light", "light"), ("Balanced", "balanced"), ("Strong", "strong"))
METADATA_LABEL = "Details in the file"
METADATA_INFO = "Place, serial numbers and thumbnails are always removed. A kept caption may hold names."
METADATA = (("Remove all", "strip"), ("Keep credit and caption", "credit"))
ENSURE_LABEL = "Make sure: treat a face harder, and cover it at last, if it is still matched here"
START = "Protect this photo"
START_ALL = "Protect all {count} photos"
CANCEL = "Cancel"
AGAIN = "Change the choices"
REMOVE = "Remove this photo"
CANCELLED = "Cancelled. Nothing was written."

QUEUED_NEXT = "Waiting for its turn: it is next."
QUEUED = "Waiting for its turn: {before} before it."
LOOKING = "Looking for faces ..."
WORKING = "Working ..."
SHARE = "{percent} %: {words}"

COMPARE = MappingProxyType({
    "before": "Before", "after": "After", "slider": "Show more of before or of after",
    "zoom": "Full size"})
DOWNLOAD = "Download {name}"
DOWNLOAD_ALL_THE_SAME = "Download {name} all the same"
DOWNLOAD_REPORT = "Download the report"
DELETED_LATER = "After the download everything of this photo is deleted here within {minutes} minutes."

# --- verdicts ---
VERDICT = "Verdict"
FACE = "Face {number}"
AREA = "Area {number}"
NO_LONGER_MATCHED = "No recogniser here matches a treated face any more. Others were not asked."
ALL_COVERED = "Every treated face is covered."
ALL_KEPT = "Every face was left as it was, as you chose. Whoever searches for them finds them."
NOT_INDEPENDENT = "None of those here is independent: it was, or may have been, made against each of them."
SOME_KEPT = "Left as they were, as you chose: {count}."
MATCHED = "Do not publish this yet: a face is still matched."
NOT_SETTLED = "Look again before you publish: about one face or more nothing can be promised."
NOTHING_JUDGED = "No face was found, so nothing was judged. That does not prove that there is none."
UNJUDGED = "Faces were found, but without the original nothing can be said about them."
FACE_VERDICT = MappingProxyType({
    "protected": "{rest} of {count} recognisers no longer match it.",
    "protected_one": "The one recogniser here no longer matches it.",
    "matched": "Still matched by {matching} of {count} recognisers.",
    "matched_one": "Still matched by the one recogniser here.",
    "redacted": "Covered.",
    "kept": "Left as it was, as you chose.",
    "lost": "No longer found in its place, which is no protection: others may find it.",
    "too_small": "Too small to judge. Hide it.",
    "unjudged": "Found, but not judged.",
})
NUMBERS = "Numbers"
NUMBERS_HEAD = ("Face", "Recogniser", "Alike before", "Alike after", "Match from", "Verdict", "Strangers")
NUMBERS_HELP = ("How alike the face and the original are to a recogniser, from -1 to 1. The last column is the share "
                "of strangers that a searcher would have to accept to still match them.")
MATCH = MappingProxyType({True: "still matched", False: "not matched"})
NOTES = "What this does not say"
_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

# --- video page ---
A_CLIP = "a clip"
VIDEO_HELP = ("MP4, MOV, MKV, WebM, AVI and more, up to {megabytes} MB and {minutes} minutes. Your file is never "
              "changed; you get a copy.")
VIDEO_ADVICE = ("**A program looks for faces, and misses some:** most of all small, dark, turned and half hidden ones. "
                "One frame is enough to name somebody. Look through what was found here, then watch the whole clip "
                "before you publish it. Voices, clothes and places tell who somebody is too.")
CLIP_LOOKING = "Looking for faces in every part of the clip ..."
CLIP_WORKING = "Covering faces ..."
CLIP = MappingProxyType({
    "none": "No face was found. That does not prove that there is none: look through the clip, and cover what you see.",
    "one": "1 face was followed. It is hidden unless you keep it.",
    "several": "{count} tracks were followed, each one face through one shot; somebody who is seen twice has two. "
               "Everybody is hidden whom you do not keep.",
    "careful": "Keep a track only where all its pictures show the same person: a track can pass from one to another.",
    "tracks": "Who was found, the most doubtful first", "track": "Track {number}", "span": "{from} to {to}",
    "hide": "Hide", "keep": "Keep", "show": "Show track {number} in the clip",
    "slider": "Time in the clip", "at": "{time} of {end}",
    "picture": "The clip at {time}. Boxes show whom the program found: {count}.",
    "risky": "Look here first ({count})", "draw": "Cover another area",
    "draw_hint": "Draw a box on the picture.", "area": "Area {number}", "area_name": "Area {number}, covered",
    "area_keys": "Arrow keys move it, with Shift they change its size, Delete removes it.",
    "from": "from second", "to": "to second", "starts": "Starts at the picture", "ends": "Ends at the picture",
    "end": "the end", "remove": "Remove",
})
STYLE_LABEL = "Hide with"
STYLE_INFO = "Solid lets nothing through. The others keep some colours, from which people can be guessed."
STYLES = (("Solid", "solid"), ("Mosaic", "mosaic"), ("Blur", "blur"), ("Ring", "ring"))
AUDIO_LABEL = "Sound"
AUDIO_INFO = "Voices identify people too."
AUDIO = (("Keep the sound", "keep"), ("Remove the sound", "drop"))
PARANOID_LABEL = "Cover the whole picture while a face is lost from sight"
CLIP_START = "Cover these faces"
CLIP_REMOVE = "Remove this clip"
CLIP_PROBLEMS = MappingProxyType({
    "no-face": "No face was found, so nothing was written. That does not prove that there is none: look through the "
               "clip, and cover what you see.",
    "clip-unreadable": "This is not a video that can be read, or it is damaged or cut off. Copy it from the camera "
                       "again.",
    "worker-killed": "The work on this clip ended before it was done, perhaps for want of memory. Nothing was written.",
    "took-too-long": "This took too long and was stopped. Nothing was written. Use a shorter clip.",
})
CLIP_RESULT = "What a second look at the written clip found"
CLIP_LOOK = "Look before you publish: what may be an uncovered face was seen."
CLIP_TROUBLE = "Look before you publish: the written clip is not quite as it should be."
CLIP_KEPT = "Nobody was covered. Whoever searches for the people in this clip finds them."
CLIP_NOTHING = "The second look found no other face. It misses some, as the first does: watch the whole clip."
CLIP_FOUND = "{start} to {end}"
CLIP_SHOW = "Show {start}"
CLIP_COVER_FOUND = "Cover these places too"
CLIP_COVERED_FOUND = ("Where the second look saw something, there are areas now, for half a second before and after. "
                      "Look at them, then cover the faces again.")
CLIP_PREVIEW = "The written clip"
CLIP_NO_PREVIEW = "Where your browser cannot play it, download it and watch it in a player."
CLIP_NOTES = "What was left out or changed"
CLIP_DOWNLOAD = "Download {name}"
CLIP_DOWNLOAD_ALL_THE_SAME = "Download {name} all the same"
CLIP_REPORT = "Download the report"
CLIP_DELETED_LATER = "After the download everything of this clip is deleted here within {minutes} minutes."

# --- check page ---
CHECK_ADVICE = ("**Is the face still matched in the file that was published?** Give the file as it will be or was "
                "published, after any edit, and the untouched original.")
CHECK_PUBLISHED = "the published photo"
CHECK_ORIGINAL = "the original"
CHECK_BUTTON = "Check"
CHECKING = "Comparing ..."

# --- why a job failed, where the words of the API are for programs ---
PROBLEMS = MappingProxyType({
    "no-face": "No face was found, so nothing was written. That does not prove that there is none: look yourself, and "
               "cover what you see.",
    "photo-unreadable": "This is not a photo that can be read, or it is damaged.",
    "photo-too-large": "This photo has too many pixels.",
    "not-ensured": "A face is still matched although everything was tried. Nothing was written. Cover it yourself.",
    "worker-killed": "The work ended before it was done, perhaps for want of memory. Nothing was written.",
    "took-too-long": "This took too long and was stopped. Nothing was written. Cloak fewer faces, or use a smaller "
                     "photo.",
    "disk-full": "The disk is full. Nothing was written.",
})
PROBLEM = "{title}: {detail}"


def number(count: int) -> str:
    """As it is written in a sentence."""
    return _NUMBERS[count] if 0 <= count < len(_NUMBERS) else str(count)
