"""Plans for clips that clients hand in: read by the engine's own reader, and bounded, before they are used."""

from __future__ import annotations

import itertools
from typing import Any

import cloak
from web.problems import Problem

_LONGEST_WORDS = 500
# How far a box may leave the picture, in pictures: covers are made as large as boxes are
_BEYOND = 1.0


def checked(data: bytes, *, sha256: str, size: tuple[int, int] | None = None, frames: int | None = None) -> cloak.Plan:
    """The plan in `data`, for the clip with this sha256. Takes seconds where it is large: call it in a thread.

    Args:
        size: of the clip, where it is known. frames: likewise.
    Raises:
        Problem: it is none, contradicts itself, is for another clip, or would have a file of the service pasted.
    """
    try:
        plan = cloak.plan_from_json(data.decode("utf-8"), named="plan")
        look = plan.settings.get("look")
        style = None if look is None else cloak.ClipLook.from_dict(look, named="plan")
    except UnicodeDecodeError:
        raise _invalid("the plan is no UTF-8") from None
    except cloak.CloakError as error:
        raise Problem("plan-invalid", str(error)[:_LONGEST_WORDS]) from None
    if plan.sha256 != sha256:
        raise _invalid("the plan was made for another clip")
    if size not in (None, plan.size) or frames not in (None, plan.frames):
        raise _invalid(f"the plan is for {plan.frames} frames of {plan.size[0]} x {plan.size[1]} pixels, and the clip "
                       "has others")
    if "picture" in (style and style.style, *(track.style for track in plan.tracks)) or (style and style.picture):
        raise _invalid("the style picture is not offered here")
    width, height = plan.size
    boxes = itertools.chain((spot.box for track in plan.tracks for spot in track.spots),
                            (area.box for area in plan.areas))
    for x1, y1, x2, y2 in boxes:
        if min(x1 / width, y1 / height) < -_BEYOND or max(x2 / width, y2 / height) > 1 + _BEYOND:
            raise _invalid(f"the box {x1:g} {y1:g} {x2:g} {y2:g} is far outside the picture of {width} x {height} "
                           "pixels")
    return plan


def decisions(plan: cloak.Plan, tracks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tracks of a job with what the plan says of them now; no decision where it has the track no longer."""
    known = {track.number: track for track in plan.tracks}
    return [{**row, "decision": known[row["number"]].decision if row["number"] in known else None,
             "style": known[row["number"]].style if row["number"] in known else None} for row in tracks]


def _invalid(what: str) -> Problem:
    return Problem("plan-invalid", f"{what}. Nothing was changed. Get the plan of the job again.")
