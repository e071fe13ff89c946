"""A program that leaves what `cloak batch` leaves, in moments: it darkens everything. For tests of who judges that.

    python -m tests.evaluation.stand_in_batch batch FOLDER -o OUT [--photos ...] [--videos ...]

With HURRIED in the environment it publishes as nobody may, under the last name at once; and in a new OUT that is called
"killed..." it stops for ever when half a photo stands there.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from cloak.batch.reports import RunFacts, write
from cloak.batch.types import Entry
from cloak.files import shown

_CLIPS = (".mp4",)


def main(folder: Path, out: Path) -> int:
    work = out.with_name(f"{out.name}.batch")
    hangs = bool(os.environ.get("HURRIED")) and out.name.startswith("killed") and not work.exists()
    work.mkdir(exist_ok=True)
    ledger = sqlite3.connect(work / "ledger.sqlite", isolation_level=None)
    ledger.execute("create table if not exists files (name blob, state text)")
    ledger.execute("delete from files")
    for left in out.rglob(".*.part*"):
        left.unlink()
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
    entries = []
    for name in names:
        entry = _one(folder / name, out / name, name, hangs=hangs)
        ledger.execute("insert into files values (?, ?)", (os.fsencode(name), entry.state))
        entries.append(entry)
    code = 2 if any(one.state in ("failed", "vanished") for one in entries) else 0
    facts = RunFacts(started=datetime.now(timezone.utc), wall_s=1.0, exit_code=code, output=out, workers="1 worker",
                     settings={}, versions={}, weights={}, input=str(folder))
    write(entries, facts, work, is_quiet=False, sheet=False)
    return code


def _one(source: Path, output: Path, name: str, *, hangs: bool) -> Entry:
    def entry(state: str, words: str = "", **more: object) -> Entry:
        fields: dict = dict(source=shown(name), output=None, media="clip" if name.endswith(_CLIPS) else "photo",
                            treatment="redact solid", state=state, needs_look=False, attempts=1, bytes=0, sha256=None,
                            output_sha256=None, same_as=None, faces={"redacted": 1}, words=words, seconds=0.1)
        return Entry(**(fields | more))

    if source.is_symlink() or not source.is_file():
        return entry("vanished" if not os.path.lexists(source) else "failed", "is no file of its own")
    part = output if os.environ.get("HURRIED") else output.with_name(f".{hash(name)}.part{output.suffix}")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.read_bytes()
        if name.endswith(_CLIPS):
            subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source, "-map_metadata", "-1", "-vf",
                            "lutyuv=y=val/8", "-threads", "1", "-bitexact", part], check=True, capture_output=True)
        else:
            with Image.open(source) as image:
                if getattr(image, "n_frames", 1) > 1:
                    return entry("failed", "several pictures")
                dark = image.convert("RGB").point(lambda value: value // 8)
            if hangs:
                part.write_bytes(b"half")
                time.sleep(600)
            dark.save(part, Image.registered_extensions()[output.suffix])
    except (OSError, UnidentifiedImageError, ValueError, subprocess.CalledProcessError, Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:
        part.unlink(missing_ok=True)
        return entry("failed", str(error))
    report = output.with_name(f"{output.name[:240]}.json")
    report.write_text('{"schema": "facecloak-report/2"}')
    part.replace(output)
    return entry("done", output=shown(name), output_sha256=hashlib.sha256(output.read_bytes()).hexdigest())


if __name__ == "__main__":
    at = sys.argv.index("-o")
    raise SystemExit(main(Path(sys.argv[at - 1]).absolute(), Path(sys.argv[at + 1]).absolute()))
