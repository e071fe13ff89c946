"""A worker process whose "photos" and "clips" say what happens in them, so that tests of the service need no engine.

    sleep 3 | child | die | bug | full | matched | anything else, which succeeds
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from cloak import CloakError, NoFaceFound
from web.worker import main


def happen(path, on_share):
    words = path.read_bytes()[:60].decode("latin-1").split() or [""]
    match words[0]:
        case "sleep":
            for k in range(20):
                on_share(k / 20, f"step {k} of 20")
                time.sleep(float(words[1]) / 20)
        case "child":  # as the engine runs its encoder: away from our group, and ended with us
            child = subprocess.Popen(["sleep", "600"], start_new_session=True)
            try:
                on_share(0.5, f"child {child.pid}")
                child.wait()
            finally:
                child.kill()
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "bug":
            raise KeyError("march.jpg shows Anna")
        case "full":
            raise CloakError("photo.cloaked.jpg: cannot be written (No space left on device).")
        case "noface":
            Path("looks").mkdir()  # where the engine keeps what it saw of a clip
            Path("looks/seen").write_bytes(b"faces")
            raise NoFaceFound("photo: centerface finds no face, nothing was written.")
    return words[0]


def act(options, most, on_share):
    word = happen(Path("photo"), on_share)
    Path("photo.redacted.jpg").write_bytes(b"\xff\xd8 safe")
    return {"size": [4, 3], "sha256": "0" * 64, "is_protected": word != "matched",
            "result": {"file": "photo.redacted.jpg", "media_type": "image/jpeg"}}


def facts():
    sha256 = hashlib.sha256(Path("clip").read_bytes()).hexdigest()
    return {"size": [64, 48], "sha256": sha256, "duration_s": 0.2, "frames": 5, "plan": "plan.json"}


def plan(options, most, on_share):
    happen(Path("clip"), on_share)
    known = facts()
    spots = [[frame, 10.0, 10.0, 20.0, 22.0, 0.9, "seen"] for frame in range(5)]
    Path("plan.json").write_text(json.dumps({
        "schema": "facecloak-plan/1", "clip": "clip", "sha256": known["sha256"], "size": [64, 48], "frames": 5,
        "cuts": [], "settings": {}, "versions": {}, "weights": {}, "areas": [],
        "tracks": [{"number": 1, "decision": "hide", "style": None, "is_lost": False, "spots": spots}]}))
    Path("track-1-1.jpg").write_bytes(b"\xff\xd8 a face")
    track = {"number": 1, "from_s": 0.0, "to_s": 0.16, "frames": 5, "height_px": 12, "score": 0.9, "is_lost": False,
             "risks": ["small"], "decision": "hide", "style": None, "pictures": ["track-1-1.jpg"]}
    return {**known, "tracks": [track], "moments": [],
            "views": {"track-1-1.jpg": {"file": "track-1-1.jpg", "media_type": "image/jpeg"}}}


def render(options, most, on_share):
    happen(Path("clip"), on_share)
    given = Path("given.json")
    Path("plan.json").write_bytes(given.read_bytes() if given.exists() else b"{}")
    Path("clip.redacted.mp4").write_bytes(b"covered")
    return {**facts(), "needs_a_look": False, "found_again": [],
            "result": {"file": "clip.redacted.mp4", "media_type": "video/mp4"}}


if __name__ == "__main__":
    main({"detect": act, "protect": act, "check": act, "video-plan": plan, "video": render}, preload=lambda: None)
