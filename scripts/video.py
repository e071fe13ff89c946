"""Measures redaction of video against deface, in one run: writes `evaluation/results/video.json`.

    python scripts/video.py --judge coverage.py --clips street.mp4 hard.mp4 [--out FILE] [--options "--style solid"]

Every clip has its ground truth beside it, `street.json` for `street.mp4`, as the judge wants it. Each tool treats each
clip once, in a process of its own, start-up included; the judge sees only the files. The tools take turns clip by clip,
so that a machine whose speed drifts slows all of them.

- how many face-frames are covered, by height; leaks and the longest; tracks never exposed; how much else is covered;
- frames, size, duration and sound tracks of the output against the input's;
- wall and processor seconds, frames per second, and the peak memory of the largest process;
- of ours, how far luma outside the covers is from the input's (PSNR, all frames together and the worst one).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from cloak.video import clips as reading
from cloak.video.look import Look
from cloak.video.plan import read_plan
from cloak.video.shapes import Shapes, clipped
from evaluation import record

RESULT = Path(__file__).parent.parent / "evaluation" / "results" / "video.json"
OURS = {"cloak video": (), "cloak video --quick": ("--quick",)}
_DEFACE = Path(sys.executable).parent / "deface"
DEFACE = {
    "deface": (),
    "deface --scale 640x360": ("--scale", "640x360"),
    "deface --replacewith solid": ("--replacewith", "solid"),
}
# Exit codes after which there is an output: 3 says that a face may be left in it
_WRITTEN = {0, 3}
_JUDGED = ("face_frames", "coverage", "coverage_visible_pixels_only", "by_height", "leak_events", "longest_leak_frames",
           "tracks", "tracks_never_exposed", "tracks_never_exposed_share", "over_masking", "frames", "size",
           "duration_difference_s", "audio")


def command(tool: str, clip: Path, output: Path, options: list[str]) -> list[str]:
    """What a user would type."""
    if tool in OURS:
        return [sys.executable, "-c", "from cloak.cli import main; main()", "video", str(clip), "-o", str(output),
                *OURS[tool], *options]
    return [str(_DEFACE), str(clip), "-o", str(output), *DEFACE[tool]]


def timed(words: list[str], log: Path) -> dict[str, float]:
    """Runs a command to its end. Its children's processor time is counted with its own."""
    start = time.perf_counter()
    with open(log, "wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in _WRITTEN:
        said = log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{shlex.join(words)} ended with {process.returncode}; nothing was recorded.\n{said}")
    return {"exit_code": process.returncode, "wall_s": time.perf_counter() - start,
            "processor_s": usage.ru_utime + usage.ru_stime, "peak_mb_of_largest_process": usage.ru_maxrss / 1024}


def judged(judge: Path, clip: Path, output: Path, report: Path) -> dict[str, Any]:
    """What the judge says of one output."""
    subprocess.run([sys.executable, str(judge), str(clip), str(output), str(clip.with_suffix(".json")),
                    "--json", str(report)], check=True, stdout=subprocess.DEVNULL)
    said = json.loads(report.read_text())
    return {name: said[name] for name in _JUDGED}


def outside(clip: Path, output: Path, plan: Path) -> dict[str, float]:
    """PSNR in dB of the luma that no cover of the plan hides."""
    shapes = Shapes(read_plan(plan), Look())
    pooled, worst, count = 0.0, 0.0, 0
    for before, after in zip(reading.frames(reading.probe(clip)), reading.frames(reading.probe(output)), strict=True):
        is_free = np.ones(before.planes[0].shape, np.bool_)
        for cover in shapes.at(before.number):
            where, mask = clipped(cover.patch, is_free.shape)
            is_free[where] &= ~mask
        error = float(np.square(np.subtract(before.planes[0], after.planes[0], dtype=np.float32)[is_free]).mean())
        pooled, worst, count = pooled + error, max(worst, error), count + 1
    return {"db": 10 * math.log10(255**2 / (pooled / count)), "worst_frame_db": 10 * math.log10(255**2 / worst)}


def measure(tools: list[str], clip: Path, judge: Path, options: list[str], folder: Path) -> dict[str, Any]:
    """All tools on one clip."""
    found: dict[str, Any] = {}
    for number, tool in enumerate(tools):
        output = folder / f"{clip.stem}.{number}.mp4"
        cost = timed(command(tool, clip, output, options), folder / "log.txt")
        verdict = judged(judge, clip, output, folder / "report.json")
        cost["frames_per_s"] = verdict["frames"]["original"] / cost["wall_s"]
        found[tool] = verdict | {"cost": cost}
        if tool in OURS:
            plan = folder / f"{clip.stem}.{number}.plan.json"
            timed([*command(tool, clip, plan, options), "--plan-only"], folder / "log.txt")
            found[tool]["psnr_outside_covers"] = outside(clip, output, plan)
        print(f"{clip.stem:16} {tool:28} coverage {verdict['coverage']:.4f}  longest leak "
              f"{verdict['longest_leak_frames']}  {cost['frames_per_s']:.2f} frames/s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", type=Path, required=True, help="the program that judges a redacted clip")
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--tools", nargs="+", choices=[*OURS, *DEFACE], default=[*OURS, *DEFACE])
    parser.add_argument("--options", default="", help="for cloak video, in one string")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    options = shlex.split(arguments.options)
    with tempfile.TemporaryDirectory() as name:
        clips = {clip.stem: measure(arguments.tools, clip, arguments.judge, options, Path(name))
                 for clip in arguments.clips}
    run = {"options": options, "judge_sha256": hashlib.sha256(arguments.judge.read_bytes()).hexdigest()}
    record.write(arguments.out, "video", {"run": run, "clips": clips})


if __name__ == "__main__":
    main()
