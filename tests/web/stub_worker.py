"""A worker process whose "photos" say what happens in them, so that tests of the service need no engine.

    sleep 3 | die | bug | full | matched | anything else, which succeeds
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from cloak import CloakError, NoFaceFound
from web.worker import main


def act(options, max_pixels, on_share):
    words = Path("photo").read_bytes()[:60].decode("latin-1").split() or [""]
    match words[0]:
        case "sleep":
            for k in range(20):
                on_share(k / 20, f"step {k} of 20")
                time.sleep(float(words[1]) / 20)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "bug":
            raise KeyError("march.jpg shows Anna")
        case "full":
            raise CloakError("photo.cloaked.jpg: cannot be written (No space left on device).")
        case "noface":
            raise NoFaceFound("photo: centerface finds no face, nothing was written.")
    Path("photo.redacted.jpg").write_bytes(b"\xff\xd8 safe")
    return {"size": [4, 3], "sha256": "0" * 64, "is_protected": words[0] != "matched",
            "result": {"file": "photo.redacted.jpg", "media_type": "image/jpeg"}}


if __name__ == "__main__":
    main({"detect": act, "protect": act, "check": act}, preload=lambda: None)
