"""Measures what redaction of video does to all but faces: writes `evaluation/results/streams.json`.

    python scripts/video_streams.py --data FOLDER [--parts streams bad memory kill] [--out FILE]

- streams: every clip of the test data and clips made here, each planned and then written from its plan: size, times,
  sounds, colours and depth before and after, PSNR outside the covers, planted secrets found by a search of the bytes;
- bad: clips and circumstances that must be refused: exit code, words, what is left in the folder;
- memory: a street of half an hour; resident memory over the clip, above what the imports take;
- kill: SIGKILL to the whole process group while it looks, writes and checks; the same command again must give the bytes
  of a run that nobody touched.

Files are read by ffprobe and ffmpeg alone (`evaluation.streams`); of ours come the places of the covers, from the plan.
A part that is not asked for stays as it is in the result.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import evaluation.streams
from cloak.video.look import Look
from cloak.video.plan import read_plan
from cloak.video.shapes import Shapes, clipped
from evaluation import long_runs, record
from evaluation.stream_clips import Made, make, make_bad, run

RESULT = Path(__file__).parent.parent / "evaluation" / "results" / "streams.json"
# Of the test data: those that cannot be treated, and what its notes say was planted
REFUSED = ("not-a-video.mp4", "truncated-nomoov.mp4", "truncated.mp4")
PLANTED = {"gps-tagged.mp4": ("CANARY", "Canary", "48.85", "2.29", "GoPro", "gpmd", "ISO6709")}
# Exit codes: after 3 a person has to look at what was written; after 4 nothing was
WRITTEN, NO_FACE = (0, 3), 4
AT_ONCE = 4
# The command does the same; this tells how far it is
WATCHED = """
import sys
from pathlib import Path
import cloak.detectors.centerface
from cloak.video.redact import VideoSettings, redact_video
print("ready", flush=True)
sys.stdin.readline()
redact_video(Path(sys.argv[1]), Path(sys.argv[2]), VideoSettings(),
             on_progress=lambda progress: print(progress.stage, progress.done, flush=True))
"""
# Memory grows with the number of frames, if with anything; small ones make half an hour of them pass in a quarter
LONG_S, LONG_SIZE = 1800, "320x180"
SHORT_S, SHORT_SIZE = 10, "640x360"
RATE = 25
LIMIT_MB = 1000


def watched(clip: Path, folder: Path, kill: tuple[str, int] | None = None) -> long_runs.Watched:
    return long_runs.watch([sys.executable, "-c", WATCHED, str(clip), "out.mp4"], folder, kill=kill)


def looped(data: Path, out: Path, seconds: int, size: str) -> Path:
    """All frames of crowd-street over and over, with a tone."""
    once = out.with_name(f".{out.name}")
    run("-i", data / "video" / "crowd-street.mp4", "-an", "-vf", f"settb=1/{RATE},setpts=N,scale="
        f"{size.replace('x', ':')}", "-r", RATE, "-c:v", "libx264", "-crf", 18, "-preset", "veryfast", "-bf", 0,
        once)
    run("-stream_loop", -1, "-i", once, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000", "-map", "0:v",
        "-map", "1:a", "-t", seconds, "-c:v", "copy", "-c:a", "aac", "-b:a", "24k", out)
    once.unlink()
    return out


def memory(data: Path, folder: Path) -> dict[str, Any]:
    """The half hour."""
    clip, work = looped(data, folder / "long.mp4", LONG_S, LONG_SIZE), folder / "long"
    work.mkdir()
    frames = LONG_S * RATE
    seen = watched(clip, work)
    if seen.code:
        raise SystemExit(f"{clip.name}: ended with {seen.code}; nothing was recorded.")
    found = long_runs.memory(seen, frames, RATE)
    return {"clip": {"of": "crowd-street", "size": LONG_SIZE, "frames": frames, "rate": RATE, "seconds": LONG_S},
            "wall_s": seen.wall_s, "limit_above_import_mb": LIMIT_MB,
            "is_below_limit": found["together_above_import_mb"] < LIMIT_MB, **found}


def killed(data: Path, folder: Path) -> dict[str, Any]:
    """Three runs that are killed half way through a stage, each beside the same unbroken one."""
    clip, frames = looped(data, folder / "short.mp4", SHORT_S, SHORT_SIZE), SHORT_S * RATE
    whole = folder / "whole"
    whole.mkdir()
    unbroken = watched(clip, whole)
    expected = digest(whole / "out.mp4")
    kills = []
    for stage in ("looking", "writing", "checking"):
        work = folder / stage
        work.mkdir()
        first = watched(clip, work, kill=(stage, frames // 2))
        left = {str(path.relative_to(work)): path.stat().st_size for path in sorted(work.rglob("*")) if path.is_file()}
        again = watched(clip, work)
        kills.append({
            "stage": stage, "frame": frames // 2, "left_behind": left,
            "ffmpeg_outlived_it_s": first.outlived_s, "code_again": again.code,
            "looking_spared": (again.first_frame.get("looking", frames + 1) - 1) / frames,
            "wall_s": first.wall_s, "wall_s_again": again.wall_s,
            "same_bytes": again.code == 0 and digest(work / "out.mp4") == expected,
            "leftovers": sorted(path.name for path in work.iterdir() if path.name not in ("out.mp4", "out.mp4.json")),
        })  # fmt: skip
    return {"clip": {"of": "crowd-street", "size": SHORT_SIZE, "frames": frames, "rate": RATE},
            "unbroken_wall_s": unbroken.wall_s, "sha256": expected, "kills": kills}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- one clip ----------------------------------------------------------------------------------------------------


def cloak(folder: Path, *words: str, **options: Any) -> tuple[int, str]:
    """What a user would type in `folder`: the exit code, and the last line of what it complains of."""
    done = subprocess.run([sys.executable, "-c", "from cloak.cli import main; main()", "video", *words], cwd=folder,
                          stdin=subprocess.DEVNULL, capture_output=True, **options)
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return done.returncode, lines[-1].strip() if lines else ""


def streams(data: Path, folder: Path) -> dict[str, Any]:
    """Every clip that can be treated."""
    base = data / "video" / "crowd-street.mp4"
    own = folder / "made"
    own.mkdir()
    given = [Made(path, PLANTED.get(path.name, ())) for path in sorted((data / "video").glob("*.mp4"))
             if path.name not in REFUSED]
    with ThreadPoolExecutor(AT_ONCE) as pool:  # nothing is timed, and each clip waits for processes of its own
        return dict(pool.map(lambda made: _in_a_folder(made, folder), [*given, *make(base, own)]))


def _in_a_folder(made: Made, folder: Path) -> tuple[str, dict[str, Any]]:
    """One clip, with nothing else beside it."""
    work = folder / f"{made.path.name}.folder"
    work.mkdir()
    clip = work / made.path.name
    clip.write_bytes(made.path.read_bytes())
    one = treated(clip, made.secrets)
    print(f"{clip.name:24} exit {one['exit_code']}  {one['duration_error_frames']:.2f} frames, PSNR "
          f"{one['psnr']['all_db']:.1f} / {one['psnr']['worst_frame_db']:.1f} dB, secrets "
          f"{one['secrets']['before']} -> {one['secrets']['after']}, left {one['leftovers']}", flush=True)
    return clip.name, one


def treated(clip: Path, secrets: tuple[str, ...]) -> dict[str, Any]:
    """One clip before and after."""
    output, plan, before = clip.with_name(f"out{_suffix(clip)}"), clip.with_name("plan.json"), digest(clip)
    code, said = cloak(clip.parent, clip.name, "-o", plan.name, "--plan-only")
    # Without a face nothing would be written: then a corner is covered
    corner = ("--regions", "0,0,32,32") if code == NO_FACE else ()
    if code in (0, NO_FACE):
        code, said = cloak(clip.parent, clip.name, "-o", output.name, "--plan", plan.name, *corner)
    if code not in WRITTEN:
        raise SystemExit(f"{clip.name}: ended with {code} ({said}); nothing was recorded.")
    expected = {clip.name, plan.name, output.name, f"{output.name}.json"}
    leftovers = sorted(path.name for path in clip.parent.iterdir() if path.name not in expected)
    shapes = Shapes(read_plan(plan), Look())
    width, height = evaluation.streams.read_size(clip)

    def free(number: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        is_free = np.ones((height, width), np.bool_)
        for cover in shapes.at(number):
            where, mask = clipped(cover.patch, is_free.shape)
            is_free[where] &= ~mask
        if corner:
            is_free[:32, :32] = False
        return is_free

    counts = [evaluation.streams.found(path, secrets) for path in (clip, output)]
    return {
        "exit_code": code,
        "covered": "a corner, for no face was seen" if corner else "faces",
        "input_unchanged": digest(clip) == before,
        "leftovers": leftovers,
        **evaluation.streams.compared(evaluation.streams.read(clip), evaluation.streams.read(output)),
        "psnr": evaluation.streams.psnr(clip, output, free),
        "secrets": {"planted": len(secrets), "before": sum(counts[0].values()), "after": sum(counts[1].values()),
                    "all_found_before": all(counts[0].values()),
                    "left": sorted(name for name, count in counts[1].items() if count)},
        "bytes": [clip.stat().st_size, output.stat().st_size],
    }


def _suffix(clip: Path) -> str:
    """Of the output."""
    return clip.suffix if clip.suffix in (".mp4", ".mov", ".mkv", ".webm") else ".mp4"


# --- what must be refused ----------------------------------------------------------------------------------------


def bad(data: Path, folder: Path) -> dict[str, Any]:
    """Clips that are none, and circumstances in which none can be written."""
    own = folder / "made"
    own.mkdir()
    found = {}
    for path in [*(data / "video" / name for name in REFUSED), *make_bad(data / "video" / "crowd-street.mp4", own)]:
        found[path.name] = refused(folder / path.stem, path)
    street = data / "video" / "crowd-street.mp4"
    cases: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "an output that is the input": (("-o", "crowd-street.mp4", "--overwrite"), {}),
        "an output that exists": (("-o", "there.mp4"), {}),
        "a file where the folder of the output should be": (("-o", "crowd-street.mp4/out.mp4"), {}),
        "a preset that the encoder does not know": (("--preset", "quickest"), {}),
        "an encoder whose hardware is missing": (("--encoder", "h264_nvenc"), {}),
        "files may not grow beyond 1 MB": ((), {"preexec_fn": _small_files}),
        "ffmpeg killed while it encodes": ((), {"env": os.environ | {"FACECLOAK_FFMPEG": str(_mortal(folder))}}),
    }
    for number, (name, (words, options)) in enumerate(cases.items()):
        found[name] = refused(folder / f"case{number}", street, *words, **options)
    return found


def refused(work: Path, source: Path, *words: str, **options: Any) -> dict[str, Any]:
    """One that should end with 2 and write nothing."""
    work.mkdir()
    clip = work / source.name
    clip.write_bytes(source.read_bytes())
    (work / "there.mp4").write_bytes(b"somebody's")
    before = _listing(work)
    start = time.perf_counter()
    code, said = cloak(work, clip.name, *(() if "-o" in words else ("-o", "out.mp4")), *words, **options)
    seconds = time.perf_counter() - start
    after = _listing(work)
    print(f"{work.name:24} exit {code}  {seconds:.1f} s  {said[:150]}", flush=True)
    return {
        "exit_code": code, "said": said.replace(f"{work}/", ""), "seconds": seconds,
        "nothing_changed": all(after.get(name) == before[name] for name in before),
        "left": sorted(name for name in after if name not in before),
    }  # fmt: skip


def _listing(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


def _mortal(folder: Path) -> Path:
    """An ffmpeg that is killed two seconds after it begins to encode, but not while it only rehearses."""
    path = folder / "mortal-ffmpeg"
    path.write_text("#!/bin/sh\n"
                    'case "$*" in *rehearsal*) ;; *pipe:0*) exec timeout -s KILL 2 ffmpeg "$@";; esac\n'
                    'exec ffmpeg "$@"\n')
    path.chmod(0o755)
    return path


PARTS = {"streams": streams, "bad": bad, "memory": memory, "kill": killed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of test data that holds video/")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    found: dict[str, Any] = {}
    for name in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = PARTS[name](data, Path(folder))
        known = record.read(arguments.out) if arguments.out.exists() else {}
        parts = {one: known.get(one) for one in PARTS} | found
        record.write(arguments.out, "streams", {one: part for one, part in parts.items() if part})
        print(f"{name}: {arguments.out}", flush=True)


if __name__ == "__main__":
    main()
