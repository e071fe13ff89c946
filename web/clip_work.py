"""What is done in a job about a clip: calls into the engine, nothing of our own. Runs in a worker process.

The folder of the job is the current one, so that messages of the engine say "clip" and no path. What a killed worker
has seen of a clip lies in that folder too, and the next one goes on from there.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cloak
from web.failures import Failed
from web.kinds import FILES, PLAN, Most
from web.pace import OnShare, Options, Pace

_MEDIA_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".mkv": "video/x-matroska", ".webm": "video/webm"}
_CLIP, _GIVEN, _PLAN = Path(FILES["clip"]), Path(FILES["plan"]), Path(PLAN)
# A header may promise less than there is: frames are counted too, with this much more than promised
_LENIENCE = 1.05
# Where each stage begins and ends. Of a 1080p street of 105 frames with 68 tracks looking took about two thirds of the
# time, and the second look nearly as long as writing.
_PLANNING = MappingProxyType({"looking": (0.0, 0.9), "picturing": (0.9, 1.0)})
_RENDERING = MappingProxyType({"writing": (0.0, 0.55), "checking": (0.55, 1.0)})
_BOTH = MappingProxyType({"looking": (0.0, 0.65), "writing": (0.65, 0.83), "checking": (0.83, 1.0)})


def plan(options: Options, most: Most, on_share: OnShare) -> dict[str, Any]:
    """The faces of a clip, followed: tracks with pictures, frames to look at, and the plan."""
    clip = _probed(most)
    pace = Pace(on_share, _PLANNING)
    settings = cloak.VideoSettings(overwrite=True, allow_damage=options["allow_damage"])
    made = cloak.plan_video(_CLIP, _PLAN, settings, on_progress=_telling(pace, clip, most))
    review = cloak.review_clip(_CLIP, made, on_damage=_ignored if options["allow_damage"] else None,
                               on_frame=lambda done: pace.tell("picturing", done, made.frames))
    views: dict[str, dict[str, str]] = {}

    def kept(name: str, data: bytes) -> str:
        Path(name).write_bytes(data)
        views[name] = {"file": name, "media_type": "image/jpeg"}
        return name

    tracks = [{
        "number": row.track.number, "from_s": round(row.start_s, 3), "to_s": round(row.end_s, 3),
        "frames": len(row.track.spots), "height_px": row.height_px, "is_lost": row.track.is_lost,
        "score": round(max(spot.score for spot in row.track.spots), 3), "risks": list(row.risks),
        "decision": row.track.decision, "style": row.track.style,
        "pictures": [kept(f"track-{row.track.number}-{i}.jpg", data) for i, data in enumerate(row.pictures, 1)],
    } for row in review.rows]
    moments = [{
        "frame": moment.frame, "seconds": round(moment.seconds, 3), "why": moment.why or None,
        "picture": kept(f"frame-{moment.frame}.jpg", moment.picture),
        "boxes": [{"track": number, "box": [round(v, 1) for v in box]} for number, box in moment.boxes],
    } for moment in review.moments]
    return {"tracks": tracks, "moments": moments, "views": views, "plan": PLAN, "frames": made.frames,
            **_clip_facts(clip, made.sha256)}


def render(options: Options, most: Most, on_share: OnShare) -> dict[str, Any]:
    """The clip with covered faces, and what a second look at it found."""
    clip = _probed(most)
    given = cloak.read_plan(_GIVEN) if _GIVEN.exists() else None
    if options["keep"] and given is None:
        raise Failed("choices-invalid", "keep speaks of the tracks of a plan, and none came with it. Hand in a "
                                        "video-plan job first, and name it with plan_of. Nothing was written.")
    if given is not None and given.frames > _longest(clip, most):
        raise Failed("plan-invalid", f"plan: is for {given.frames:,} frames, more than the clip can have. Nothing was "
                                     "written.")
    pace = Pace(on_share, _RENDERING if given else _BOTH)
    telling = _telling(pace, clip, most)
    chosen = cloak.VideoSettings(
        look=_look(options, given), keep=tuple(options["keep"]), regions=_regions(options, clip), overwrite=True,
        allow_damage=options["allow_damage"])
    # Its own step, so that what was decided is there to be corrected and rendered again
    made = cloak.plan_video(_CLIP, _PLAN, chosen, plan=given, on_progress=telling)
    spans = tuple((span["from_s"], span["to_s"]) for span in options["mute"])
    if options["audio"] == "drop":
        encoding = cloak.Encoding(audio="drop")
    else:
        encoding = cloak.Encoding(audio="mute", mute_spans=spans) if spans else cloak.Encoding()
    suffix = cloak.clip_suffix_of(_CLIP) if options["container"] == "auto" else f".{options['container']}"
    output = Path(f"clip.redacted{suffix}")
    report = cloak.redact_video(
        _CLIP, output, cloak.VideoSettings(encoding=encoding, overwrite=True, allow_damage=options["allow_damage"],
                                           no_face=options["no_face"]), plan=made, on_progress=telling)
    found = [{"from_s": round(leak.first_s, 3), "to_s": round(leak.last_s, 3), "from": cloak.time_code(leak.first_s),
              "to": cloak.time_code(leak.last_s), "box": [round(v, 1) for v in leak.box],
              "score": round(leak.score, 3)} for leak in report.leaks]
    return {"report": cloak.video_report_to_dict(report), "needs_a_look": report.needs_a_look, "found_again": found,
            "plan": PLAN, "frames": report.frames, **_clip_facts(clip, report.input_sha256),
            "result": {"file": output.name, "media_type": _MEDIA_TYPES[suffix]}}


def _probed(most: Most) -> cloak.Clip:
    clip = cloak.probe_clip(_CLIP, max_pixels=most.max_clip_pixels)
    if (clip.duration_s or 0.0) > most.max_clip_s:
        raise _too_long(most)
    return clip


def _telling(pace: Pace, clip: cloak.Clip, most: Most) -> Callable[[cloak.ClipProgress], None]:
    longest = _longest(clip, most)

    def tell(progress: cloak.ClipProgress) -> None:
        if progress.done > longest:
            raise _too_long(most)
        pace.tell(progress.stage, progress.done, progress.frames)

    return tell


def _longest(clip: cloak.Clip, most: Most) -> int:
    """Frames. A rate that is a lie, such as one frame an hour, must not let everything or nothing through."""
    return math.ceil(most.max_clip_s * min(max(float(clip.rate), 1.0), 240.0) * _LENIENCE) + 1


def _too_long(most: Most) -> Failed:
    return Failed("clip-too-long", f"clip: lasts longer than the {most.max_clip_s:g} seconds that are allowed. Cut it "
                                   "into parts. Nothing was written.")


def _clip_facts(clip: cloak.Clip, sha256: str) -> dict[str, Any]:
    return {"size": list(clip.size), "sha256": sha256,
            "duration_s": None if clip.duration_s is None else round(clip.duration_s, 3),
            "container": cloak.clip_suffix_of(_CLIP).removeprefix(".")}


def _look(options: Options, given: cloak.Plan | None) -> cloak.ClipLook | None:
    """None where nothing was said; then that of the plan counts."""
    said: dict[str, Any] = {name: options[name] for name in ("style", "paranoid") if options[name] is not None}
    if options["colour"] is not None:
        said["colour"] = cloak.parse_colour(options["colour"])
    if not said:
        return None
    known = None if given is None else given.settings.get("look")
    look = cloak.ClipLook() if known is None else cloak.ClipLook.from_dict(known, named="plan")
    return dataclasses.replace(look, **said)


def _regions(options: Options, clip: cloak.Clip) -> tuple[cloak.ClipRegion, ...]:
    width, height = clip.size
    for region in options["regions"]:
        if region["width"] > 2 * width or region["height"] > 2 * height:
            raise Failed("choices-invalid", f"a region of {region['width']} x {region['height']} pixels is larger than "
                                            f"the picture of {width} x {height}. Nothing was written.")
    return tuple(cloak.ClipRegion(r["x"], r["y"], r["width"], r["height"], r["from_s"], r["to_s"])
                 for r in options["regions"])


def _ignored(words: str) -> None:
    """Damage is told once, by the pass that renders."""
