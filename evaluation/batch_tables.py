"""What the result of scripts/batch.py says, as tables: caption, heads and rows, for README and page alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

Table: TypeAlias = tuple[str, list[str], list[list[str]]]


def tables(document: dict[str, Any], *, each_kill: bool) -> list[Table]:
    """One a part that was measured.

    Args:
        each_kill: a row for every kill; otherwise one for every way to kill.
    """
    makers = {"bad": _bad, "throughput": _throughput, "scale": _scale,
              "kill": _every_kill if each_kill else _kill}
    return [make(document[part]) for part, make in makers.items() if part in document]


def _bad(part: dict[str, Any]) -> Table:
    published, memory, bad = part["published"], part["memory"], part["bad"]
    good, wrong = part["photos"] + part["clips"], len(published["unprotected"])
    others = sorted(name for name in part["matchers"] if name != "dlib_cpp")
    matched = published["faces_matched"]
    caption = (
        f"`{part['command']}` on a card of {part['photos']:,} real photos and {part['clips']} clips with {bad} bad "
        f"files among them (broken, empty, huge, locked, vanishing, links, pipes) and {len(part['odd_files'])} good "
        f"ones with names or places that are trouble; each file under OUT looked at by exiftool, another detector and "
        f"{len(part['matchers'])} recognisers. "
        + ("Nothing under OUT was unprotected." if not wrong else
           f"**{wrong} files under OUT were not protected.**")
        + " A cloak is made against dlib: the batch flags what dlib still matches. Recognisers held out are judged by "
        "nobody in the batch, and what they still match is in files that were not flagged."
    )
    rows = [
        ["exit code (2: something failed)", str(part["exit_code"])],
        ["good files written", f"{part['good_done']:,} of {good:,}"],
        ["bad files named in the report, on the page, in the ledger",
         ", ".join(f"{part[f'bad_in_{place}']} of {bad}" for place in ("report", "page", "ledger"))],
        ["bad files that ended as they had to", f"{part['bad_as_expected']} of {bad}"],
        ["files under OUT that are not protected", f"{wrong} of {published['files']:,}"],
        ["inputs changed, temporary files left", f"{len(part['inputs_changed'])}, {len(part['left_over'])}"],
        ["outputs flagged for a look", f"{published['flagged']:,} of {published['photos'] + published['clips']:,}"],
        ["faces of photos left as they were, in files not flagged",
         f"{sum(published['faces_bare'].values())} of {published['faces']:,}"],
        ["face-frames of clips left as they were; in clips not flagged",
         f"{published['clip_faces_bare']} of {published['clip_faces']:,}; {published['clip_faces_bare_unflagged']}"],
        [f"faces still matched by dlib at FMR {part['fmr']}, in files not flagged",
         f"{matched.get('dlib_cpp', 0)} of {published['faces_judged']:,}"],
        *([[f"the same, held out: {name}", f"{matched.get(name, 0)} of {published['faces_judged']:,}"]
           for name in others]),
        ["time", f"{part['wall_s'] / 60:.1f} min; the same command again {part['again']['wall_s']:.0f} s"],
        ["memory: peak; second quarter of the time, last quarter",
         f"{memory['peak_mb']:,.0f} MB; {memory['quarters_mb'][1]:,.0f} MB, {memory['quarters_mb'][3]:,.0f} MB"],
    ]  # fmt: skip
    return caption, ["what", "found"], rows


def _throughput(part: dict[str, Any]) -> Table:
    times, seconds = part["times_the_loop"], part["seconds_per_photo"]
    ways = {"batch": "`cloak batch`", "loop": "a shell loop, one `cloak photo` a file",
            "one": "one `cloak photo FOLDER`"}
    caption = (
        f"The same {part['photos']} photos cloaked three ways, one after the other, on {part['processors']} "
        f"processors, system load {part['load_before']:.1f} before. "
        + (f"The batch is {_down(times)} times as fast as the loop; the bar is {part['bar']:g}." if part["is_above_bar"]
           else f"**The batch is {_down(times)} times as fast as the loop and misses the bar of {part['bar']:g}.**")
        + f" Its peak is {part['memory']['peak_mb']:,.0f} MB, and it grows by "
        f"{part['memory']['mb_per_1000_outputs']:+.0f} MB in 1,000 outputs."
    )
    rows = [[words, f"{seconds[way]:.2f}", f"{seconds[way] / seconds['batch']:.2f}", str(part["exit_codes"][way])]
            for way, words in ways.items()]
    return caption, ["way", "seconds a photo", "times the batch", "exit code"], rows


def _scale(part: dict[str, Any]) -> Table:
    spread = f"differ by {100 * part['spread']:.0f} %"
    caption = (
        f"Small photos by one `cloak batch` (`{part['treatment']}`): time for each beyond a batch of one, which takes "
        f"{part['start_s']:.1f} s. "
        + (f"The times {spread}; the bar is {100 * part['bar']:.0f} %." if part["is_within_bar"]
           else f"**The times {spread} and miss the bar of {100 * part['bar']:.0f} %.**")
    )
    rows = [[f"{row['photos']:,}", f"{row['wall_s']:.1f}", f"{row['ms_each']:.1f}", f"{row['done']:,}",
             f"{row['peak_mb']:,.0f}", f"{row['driver_peak_mb']:,.0f}"] for row in part["rows"]]
    return caption, ["photos", "seconds", "ms a photo", "written", "peak MB, all processes", "driver alone"], rows


def _kill(part: dict[str, Any]) -> Table:
    rows = []
    for what, words in _KILLED.items():
        kills = [one for one in part["kills"] if one["killed"] == what]
        if kills:
            then = [one["outputs_then"] for one in kills]
            rows.append([words, str(len(kills)), f"{min(one['after_s'] for one in kills):.1f} to "
                         f"{max(one['after_s'] for one in kills):.1f}", f"{min(then)} to {max(then)}",
                         str(sum(len(one["half_made"]) for one in kills)),
                         str(sum(not one["differences"] for one in kills)),
                         str(sum(len(one["left_over"]) for one in kills))])
    return _kill_words(part), ["SIGKILL to", "kills", "after, s", "outputs then", "half made then",
                               "same bytes in the end", "left over in the end"], rows


def _every_kill(part: dict[str, Any]) -> Table:
    rows = [[f"{one['after_s']:.1f}", _KILLED[one["killed"]], str(one["outputs_then"]),
             str(one["ledger_done_then"] or 0), _names(one["half_made"]), str(one["exit_code"]),
             _names(one["differences"]), _names(one["left_over"])] for one in part["kills"]]
    return _kill_words(part), ["after, s", "SIGKILL to", "outputs then", "done in the ledger", "half made then",
                               "exit code in the end", "other bytes", "left over"], rows


def _kill_words(part: dict[str, Any]) -> str:
    kills = len(part["kills"])
    same = (f"After all {kills} the outputs and their reports are those of the unbroken run, byte for byte."
            if part["same"] == kills else f"**{kills - part['same']} of {kills} ended otherwise.**")
    return (f"`cloak batch --photos {part['photos_as']}` on {part['photos']} photos and {part['clips']} clips "
            f"({part['unbroken_wall_s']:.0f} s when nobody touches it), killed at {kills} drawn moments and "
            f"started again. {same}")


_KILLED = {"driver": "the driver alone", "all": "all its processes"}


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _down(times: float) -> str:
    return f"{math.floor(10 * times + 1e-6) / 10:.1f}"
