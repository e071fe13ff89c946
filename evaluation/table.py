"""Tables for README, made from committed result files and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evaluation import batch_tables, record
from evaluation.errors import EvaluationFailed

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
FMR = "1e-3"
LEAST_DB = 46  # that a clip written again should keep where nothing was covered


class MarkersMissing(EvaluationFailed):
    """The document has no place for the tables."""


def fill(document: str, tables: str) -> str:
    """The document with everything between the two markers replaced."""
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(BEGIN) > document.index(END):
        raise MarkersMissing(f"the document needs one {BEGIN} and after it one {END}. Nothing was written.")
    head, rest = document.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n{tables}\n{END}{tail}"


def render(paths: Sequence[Path]) -> str:
    """One table per result file of a kind that has one, in the order of the kinds below, then of the file names."""
    documents = [(path, record.read(path)) for path in sorted(paths)]
    makers = {
        "photos": _photos, "run": _run, "adaptive": _adaptive, "ensure": _ensure, "video_search": _video_search,
        "video": _video, "streams": _streams, "detectors": _detectors,
        "detectors_motion": _detectors_motion,
        "speed": _speed, "studio": _studio, "wordpress": _wordpress, "metadata": _metadata, "batch": _batch,
    }  # fmt: skip
    tables = [
        _made(make, path, document)
        for kind, make in makers.items()
        for path, document in documents
        if document.get("kind") == kind
    ]
    return "\n\n".join(tables)


def _made(make: Callable[[Path, dict[str, Any]], str], path: Path, document: dict[str, Any]) -> str:
    try:
        return make(path, document)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
        raise record.ResultUnreadable(
            f"{path}: says it is of kind {document['kind']!r}, but does not hold what that kind holds "
            f"({type(error).__name__}: {error}). No table was written."
        ) from error


def _photos(path: Path, document: dict[str, Any]) -> str:
    matchers = document["white_box"] + document["held_out"]
    names = [f"{name} (white-box)" if name in document["white_box"] else name for name in matchers]
    heads = ["arm", "SSIMULACRA2 photo / face", "face by reference", "SSIM", "PSNR"]
    heads += [f"TAR {name}" for name in names] + ["rank-1 / 50, worst held-out", "not found"]
    rows = [_row(arm, result, document, matchers) for arm, result in document["arms"].items()]
    protocol = document["protocol"]
    caption = (
        f"{protocol['subjects']} subjects with {protocol['mates']} mates each among "
        f"{protocol['gallery_subjects']:,} people, published as `{protocol['publish']}`. "
        f"TAR at FMR {FMR} with its 95 % interval by subject; quality on the written file, "
        f"SSIM and PSNR on the face box x 1.3. "
        f"Source: `{path.parent.name}/{path.name}`."
    )
    return _markdown(caption, heads, rows)


def _ensure(path: Path, document: dict[str, Any]) -> str:
    photos, engine, judge = document["photos"], document["engine_faces"], document["judge_faces"]
    treatments = [name for name in ("cloak light", "cloak balanced", "cloak strong") if name in engine["by_treatment"]]
    treatments += sorted(set(engine["by_treatment"]) - set(treatments))
    heads = ["matcher", *(f"still matched: {name}" for name in treatments), "all the engine saw",
             "alike because empty", "never seen by the engine"]
    matchers = sorted(document["matchers"].items(), key=lambda item: not item[1]["installed"])
    named = [(f"{name} ({'installed' if one['installed'] else 'held out'})", one) for name, one in matchers]
    rows = [
        [
            name,
            *(_count(one["by_treatment"].get(treatment)) for treatment in treatments),
            _count(one["matched"]) + (f": {_rate(one['matched'])}" if one["matched"]["of"] else ""),
            str(one["alike_when_empty"]),
            _count(one["never_seen"]),
        ]
        for name, one in [("any installed", document["any_installed"]), *named]
    ]
    remained = ", ".join(f"{engine['by_treatment'][name]} {name}" for name in treatments)
    caption = (
        f"`--ensure` from `{document['engine']['strength']}` on {photos['asked']} real photos, {photos['groups']} of "
        f"them of groups, with {' and '.join(document['recognisers'])} installed: {photos['written']} written, "
        f"{len(photos['refused'])} refused. The engine saw {engine['seen']} faces in the written ones, which ended as "
        f"{remained}; {engine['covered_as_too_small']} of them were covered as too small to cloak, and "
        f"{engine['not_settled']} were left unsettled. The judge, another detector, saw {judge['seen']} faces or what "
        f"it takes for one; {judge['never_seen_by_the_engine']} of these the engine never saw, and **what it does not "
        f"see stands unprotected.** Matched is a face in the file that is at least as alike to the very original as 1 "
        f"stranger in 1,000 is. Source: `{path.parent.name}/{path.name}`."
    )
    return _markdown(caption, heads, rows)


def _count(share: dict[str, Any] | None) -> str:
    return "-" if share is None or not share["of"] else f"{share['count']} of {share['of']}"


def _video_search(path: Path, document: dict[str, Any]) -> str:
    protocol, clips = document["protocol"], document["arms"]
    rows = []
    for clip, result in clips.items():
        same, other = (result["galleries"][kind]["matchers"] for kind in ("same_photo", "other_photo"))
        for i, (name, rates) in enumerate(same.items()):
            head = [clip, f"{result['faces_detected']} of {result['faces']}"] if i == 0 else ["", ""]
            rows.append([
                *head,
                name,
                *(" / ".join(f"{rates[kind][way]['value']:.2f}" for way in ("one_frame", "best_frame", "average"))
                  for kind in ("rank_1", "at_fpir_0.01")),
                f"{other[name]['rank_1']['best_frame']['value']:.2f} / {other[name]['rank_1']['average']['value']:.2f}",
                " / ".join(f"{other[name]['strangers_named'][way]['value']:.2f}" for way in ("best_frame", "average")),
            ])
    first = next(iter(clips.values()))
    of_other = next(iter(first["galleries"]["other_photo"]["matchers"].values()))
    caption = (
        f"Search by video: {first['people']} people of `{protocol['clip']}`, one frame in "
        f"{protocol['every_nth_frame']}, among {first['galleries']['same_photo']['enrolled']:,} people; found with one "
        f"frame / with the frame of the most alike answer / with the mean over a track. The clip moves an enrolled "
        f"photo of each about, so what counts is the difference between rows, not their height; {of_other['mates']} "
        f"people have another photo, which is enrolled in its place, and {of_other['strangers']} are strangers then. "
        f"Source: `{path.parent.name}/{path.name}`."
    )
    heads = ["clip", "faces detected", "matcher", "rank-1", "found at FPIR 0.01",
             "rank-1, other photo: best frame / mean", "strangers named: best frame / mean"]  # fmt: skip
    return _markdown(caption, heads, rows)


def _video(path: Path, document: dict[str, Any]) -> str:
    """Tools that redact clips: what the judge of coverage says of each, and its speed; see scripts/video.py."""
    rows = [
        [
            clip if number == 0 else "",
            tool,
            covered(one["coverage"]),
            f"{one['leak_events']}, {one['longest_leak_frames']} frames",
            f"{one['tracks_never_exposed']} of {one['tracks']}",
            f"{one['over_masking']['changed_area_over_gt_area_median']:.1f}",
            f"{one['cost']['frames_per_s']:.1f}",
        ]
        for clip, tools in document["clips"].items()
        for number, (tool, one) in enumerate(tools.items())
    ]
    caption = (
        "Redacted clips with known faces: face-frames of which at least 95 % was destroyed, leaks and the longest, "
        "people of whom none leaked, changed area over that of the faces (median of frames), frames a second. A person "
        "who is bare in one frame can be named by it. "
        f"Source: `{path.parent.name}/{path.name}`."
    )
    heads = ["clip", "tool", "face-frames covered", "leaks, longest", "people never exposed", "changed area",
             "frames / s"]  # fmt: skip
    return _markdown(caption, heads, rows)


def _streams(path: Path, document: dict[str, Any]) -> str:
    """What redaction of video does to all but faces; see scripts/video_streams.py."""
    source = f"Source: `{path.parent.name}/{path.name}`."
    tables = [
        _markdown(
            "What `cloak video` keeps of a clip, read by ffprobe and ffmpeg: frames; how far the duration and the "
            "times of frames are off; sound tracks, and how many have packets of the same bytes; tags of colour and "
            "HDR10; PSNR outside the covers, the least of luma and both colours, of all frames and the worst one; "
            f"planted secrets found in the bytes of the file before and after; what else lay in the folder. "
            f"{below_words(document['streams'])} {source}",
            ["clip", "frames", "duration off, frames", "times off, ms", "size as shown", "sounds, kept to the byte",
             "coded as", "colours and HDR10", "PSNR, dB", "secrets", "left over"],
            [stream_row(clip, one) for clip, one in document["streams"].items()],
        ),
        _markdown(
            "What `cloak video` refuses, and what lies in the folder afterwards. Where the writing failed, what was "
            f"seen stays for the next run. {source}",
            ["clip or circumstance", "exit code", "input unchanged", "left over"],
            [[name, str(one["exit_code"]), _yes(one["nothing_changed"]), ", ".join(one["left"]) or "nothing"]
             for name, one in document["bad"].items()],
        ),
        *([_markdown(f"{memory_words(document['memory'])} {source}", *memory_table(document["memory"]))]
          if "memory" in document else []),
        _markdown(f"{kill_words(document['kill'])} {source}", *kill_table(document["kill"])),
    ]  # fmt: skip
    return "\n\n".join(tables)


def below_words(streams: dict[str, Any]) -> str:
    """Which clips miss the bar of quality, in a sentence."""
    names = [clip for clip, one in streams.items() if one["psnr"]["all_db"] < LEAST_DB]
    if not names:
        return f"All {len(streams)} clips reach {LEAST_DB} dB over all frames."
    return f"**{len(names)} of {len(streams)} clips miss {LEAST_DB} dB over all frames: {', '.join(names)}.**"


def stream_row(clip: str, one: dict[str, Any]) -> list[str]:
    """Of one clip, before and after where the two differ."""
    sounds = one["sounds"]
    same = sum(sound["identical"] for sound in sounds)
    secrets = one["secrets"]
    is_kept = one["colours_kept"] and one["hdr_kept"]
    has_any = one["colours"][0] or one["hdr"][0]
    return [
        clip,
        _beside(*one["frames"]),
        f"{one['duration_error_frames']:.2f}",
        f"{one['largest_time_difference_ms']:.1f}",
        _beside(*("x".join(map(str, size)) for size in one["size"])),
        f"{_beside(*one['sound_tracks'])}, {same}" if sounds or one["sound_tracks"][1] else "none",
        _beside(*(f"{codec} {pixels}" for codec, pixels in zip(one["codec"], one["pixel_format"]))),
        ("kept" if is_kept else "CHANGED") if has_any else "none",
        " / ".join(f"{math.floor(10 * one['psnr'][name] + 1e-6) / 10:.1f}" for name in ("all_db", "worst_frame_db")),
        f"{secrets['before']} to {secrets['after']}" if secrets["planted"] else "none",
        ", ".join(one["leftovers"]) or "nothing",
    ]


def memory_words(memory: dict[str, Any]) -> str:
    """What the table of memory is about."""
    clip = memory["clip"]
    return (
        f"Memory on a clip of {clip['seconds'] / 60:.0f} minutes, {clip['frames']:,} frames of {clip['size']} (loops "
        f"of {clip['of']}), in MB of resident memory, sampled every second: {memory['after_import_mb']:.0f} after the "
        f"imports, at most {memory['peak_mb']:.0f}, and {memory['together_above_import_mb']:.0f} above the imports "
        f"together with ffmpeg; the bar is {memory['limit_above_import_mb']}."
    )


def memory_table(memory: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: each stage in the first and the last ten minutes of the clip."""
    rows = [
        [f"{stage}, {who}", _mb(one["first_mb"]), _mb(one["last_mb"]), f"{one['mb_per_minute']:+.2f}",
         _mb(one["peak_mb"])]
        for stage, both in memory["stages"].items()
        for who, one in (("cloak", both["own"]), ("ffmpeg", both["helpers"]))
        if one["peak_mb"] > 0
    ]
    return ["stage", "first ten minutes", "last ten minutes", "growth a minute of the clip", "largest"], rows


def kill_words(kill: dict[str, Any]) -> str:
    """What the table of kills is about."""
    clip = kill["clip"]
    return (
        f"Killed half way (SIGKILL to the process group) on {clip['frames']} frames of {clip['size']}, and started "
        "again: whether the bytes are those of a run that nobody touched, how much of the looking was spared, what was "
        "left behind between and afterwards."
    )


def kill_table(kill: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: one a kill."""
    rows = [
        [one["stage"], _yes(one["same_bytes"]), f"{100 * one['looking_spared']:.0f}%",
         ", ".join(one["left_behind"]), ", ".join(one["leftovers"]) or "nothing"]
        for one in kill["kills"]
    ]  # fmt: skip
    return ["killed while", "same bytes", "looking spared", "left by the kill", "left afterwards"], rows


def _beside(before: object, after: object) -> str:
    return str(before) if before == after else f"{before} to {after}"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "NO"


def _mb(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def smeared(document: dict[str, Any]) -> list[tuple[str, str, int, list[dict[str, float]]]]:
    """Clip, smear, faces and the recalls at one face too many in a frame, of detectors_motion."""
    clips = {document["protocol"]["real"]: document["real"], **document["truth"]}
    return [
        (clip, smear, next(iter(networks.values()))["1"]["faces"], [one["1"]["recall"] for one in networks.values()])
        for clip, smears in clips.items() for smear, networks in smears.items()
    ]  # fmt: skip


def smeared_words(document: dict[str, Any]) -> str:
    """Where the truth of detectors_motion is from."""
    return (f"In {document['protocol']['real']}, a real street of which no frame was learnt, the truth is what the "
            "published network finds in the sharp frames, which favours it.")


def covered(share: float) -> str:
    """Rounded down: 100 % is said of nothing that leaked."""
    return f"{math.floor(share * 10_000 + 1e-6) / 100:.2f}%"


def _run(path: Path, document: dict[str, Any]) -> str:
    """The arms, what is left of them after further steps, by group, in larger galleries, and among each other."""
    tables = [_photos, _robustness, _groups, _galleries, _other_role, _linkability]
    return "\n\n".join(text for make in tables if (text := make(path, document)))


def _robustness(path: Path, document: dict[str, Any]) -> str:
    rows = [row for row in document["robustness"] if row["matcher"] in document["held_out"]]
    names = list(dict.fromkeys(row["arm"] for row in rows))
    steps = list(dict.fromkeys(row["step"] for row in rows))
    caption = (
        f"After each publishing step: TAR at FMR {FMR} with its 95 % interval / rank-1, each of the held-out matcher "
        f"that found most; in brackets how many faces were not found. Source: `{path.parent.name}/{path.name}`."
    )
    body = [[f"`{step}`", *(_worst_cell(rows, arm, step) for arm in names)] for step in steps]
    return _markdown(caption, ["published as", *names], body) if body else ""


def _worst_cell(rows: Sequence[dict[str, Any]], arm: str, step: str) -> str:
    here = [row for row in rows if row["arm"] == arm and row["step"] == step]
    tar, rank = (max((row[key] for row in here), key=lambda r: float(r["value"])) for key in ("tar", "rank_1"))
    lost = f" ({here[0]['not_found']})" if here[0]["not_found"] else ""
    return f"{_rate(tar)} / {rank['value']:.2f}{lost}"


def _groups(path: Path, document: dict[str, Any]) -> str:
    rows = [row for row in document["groups"] if row["matcher"] in document["held_out"]]
    shown = {row["arm"] for row in document["robustness"]} or {row["arm"] for row in rows}
    names = [arm for arm in document["arms"] if arm in shown]
    kinds = list(dict.fromkeys((row["group"], row["value"]) for row in rows))
    body = []
    for kind in kinds:
        here = {arm: [r for r in rows if r["arm"] == arm and (r["group"], r["value"]) == kind] for arm in names}
        counts = [found[0]["count"] for found in here.values() if found]
        worst = [_rate(max((r["tar"] for r in found), key=lambda r: float(r["value"]))) if found else "none"
                 for found in here.values()]
        body.append([f"{kind[0]}: {kind[1]}", str(max(counts, default=0)), *worst])
    caption = (
        f"By group of subjects, published as `{document['protocol']['publish']}`: TAR at FMR {FMR} of the held-out "
        f"matcher that found most. Small groups have wide intervals. Source: `{path.parent.name}/{path.name}`."
    )
    return _markdown(caption, ["group", "subjects", *names], body) if body else ""


def _galleries(path: Path, document: dict[str, Any]) -> str:
    rows = [row for row in document["galleries"] if row["matcher"] in document["held_out"]]
    sizes = sorted({row["size"] for row in rows})
    body = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        here = [[row for row in rows if row["arm"] == arm and row["size"] == size] for size in sizes]
        body.append([arm, *(" / ".join(f"{max(r[k]['value'] for r in one):.2f}" for k in ("rank_1", "rank_50"))
                            for one in here)])
    caption = (
        "Rank-1 / rank-50 in larger galleries, filled up with drawn people, of the held-out matcher that found most. "
        f"Source: `{path.parent.name}/{path.name}`."
    )
    return _markdown(caption, ["arm", *(f"{size:,} people" for size in sizes)], body) if body else ""


def _other_role(path: Path, document: dict[str, Any]) -> str:
    body = []
    for arm, result in document["arms"].items():
        here = [result["matchers"][name]["enrolled_instead"] for name in document["held_out"]]
        best = [max((one[key] for one in here), key=lambda r: float(r["value"])) for key in ("rank_1", "rank_50")]
        body.append([arm, *map(_rate, best)])
    caption = (
        "The other role: the arm's file is the one that is enrolled, and clean photos are searched for. Held-out "
        f"matcher that found most. Source: `{path.parent.name}/{path.name}`."
    )
    return _markdown(caption, ["arm", "rank-1", "rank-50"], body) if body else ""


def _linkability(path: Path, document: dict[str, Any]) -> str:
    body = []
    for arm, result in document["linkability"].items():
        kinds = ("tar_at_thresholds_of_clean_photos", "tar_at_thresholds_of_these_photos")
        here = [result["matchers"][name] for name in document["held_out"]]
        cells = []
        for kind in kinds:
            shown = [one[kind][FMR] for one in here if FMR in one[kind]]
            cells.append(_rate(max(shown, key=lambda r: float(r["value"]))) if shown else "too few photos")
        body.append([arm, *cells, str(result["not_found"])])
    caption = (
        f"Two written photos of one person compared with each other: TAR at FMR {FMR} of the held-out matcher that "
        f"found most. Source: `{path.parent.name}/{path.name}`."
    )
    heads = ["arm", "threshold of clean photos", "threshold of these photos", "not found"]
    return _markdown(caption, heads, body) if body else ""


# Column of the table, by attacker in the result
_CLOAK_ATTACKERS = {
    "as it is": "clear gallery", "eight views": "eight views", "network": "undone by a network", "head": "trained head",
    "parrot": "parrot gallery", "detector": "seen to be cloaked, AUC",
}  # fmt: skip
_REDACTION_ATTACKERS = {
    "as it is": "clear gallery", "parrot": "parrot gallery", "averaged": "averaged", "averaged parrot":
    "averaged parrot", "sharpened": "sharpened", "network": "undone by a network", "head": "trained head",
    "classifier": "named by a classifier",
}  # fmt: skip


def _adaptive(path: Path, document: dict[str, Any]) -> str:
    arms = document["arms"]
    cloaks = [arm for arm, cells in arms.items() if "detector" in cells]
    redactions = [arm for arm in arms if arm not in (*cloaks, "clean")]
    clean = [arm for arm in arms if arm == "clean"]
    protocol = document["protocol"]
    people = protocol["strangers"] + 1
    caption = (
        f"Searchers who know the tool: {protocol['subjects']} subjects with one mate each among {people} people, "
        f"published as `{protocol['publish']}`; what is trained was trained on {protocol['learnt']} others. TAR at FMR "
        f"{FMR} with its 95 % interval / rank-1, of which chance is {1 / people:.2f}. "
        f"Source: `{path.parent.name}/{path.name}`."
    )
    tables: list[str] = []
    for chosen, attackers, words in (
        (cloaks, _CLOAK_ATTACKERS, "Cloaks."),
        (redactions, _REDACTION_ATTACKERS, f"Redactions, eyes, nose and mouth marked by hand. {_named(arms)}"),
    ):
        if chosen:
            lines = [line for arm in [*clean, *chosen] for line in _attacked(arm, arms[arm], attackers)]
            words = f"The same: {words}" if tables else f"{caption} {words}"
            tables.append(_markdown(words, ["arm", "recogniser", *attackers.values()], lines))
    return "\n\n".join(tables)


def _named(arms: dict[str, Any]) -> str:
    """What the classifier's column means."""
    for cells in arms.values():
        for one in cells.get("classifier", {}).get("classifier", {}).values():
            return (
                f"The classifier names one of {one['people']} people of whom it learnt redacted photos; chance is "
                f"{one['chance_top_1']:.2f}."
            )
    return ""


def _attacked(arm: str, cells: dict[str, Any], attackers: dict[str, str]) -> list[list[str]]:
    """A row per recogniser, and one for what needs none: the detector, and the classifier that sees plain pixels."""
    named = cells.get("classifier", {}).get("classifier", {}) if "classifier" in attackers else {}
    lines = []
    for name in cells["as it is"]["matchers"]:
        line = [arm, name]
        for attacker in attackers:
            found = cells.get(attacker, {}).get("matchers", {}).get(name)
            line.append(f"{_rate(found['tar'])} / {found['rank_1']['value']:.2f}" if found else "")
        if name in named:
            line[2 + list(attackers).index("classifier")] = _rate(named[name]["top_1"])
        lines.append(line)
    alone = {"classifier": named.get("pixels", {}).get("top_1"),
             "detector": cells.get("detector", {}).get("detector", {}).get("auc")}  # fmt: skip
    if any(alone[attacker] for attacker in attackers if attacker in alone):
        shown = [_rate(alone[one]) if alone.get(one) else "" for one in attackers]
        lines.append([arm, "none", *shown])
    return lines


def _detectors(path: Path, document: dict[str, Any]) -> str:
    heads = ["detector", *(f"{name}: recall (false positives)" for name in next(iter(document["detectors"].values())))]
    rows = [
        [name, *(f"{one['recall']:.3f} ({one['false_positives']})" for one in sets.values())]
        for name, sets in document["detectors"].items()
    ]
    caption = (
        f"Detectors on boxes drawn by others, faces from 20 px up, found above IoU "
        f"{document['protocol']['found_above_iou']}. Source: `{path.parent.name}/{path.name}`."
    )
    return _markdown(caption, heads, rows)


def _detectors_motion(path: Path, document: dict[str, Any]) -> str:
    """One network before and after it was taught, on smeared faces; see scripts/detectors_in_motion.py."""
    caption = (
        "Faces that the network for clips finds, as published and as taught, each at the threshold at which it says "
        f"one face too many in a frame. {smeared_words(document)} Source: `{path.parent.name}/{path.name}`."
    )
    return _markdown(caption, ["clip", "smeared by, in heights of the face", "faces",
                               *next(iter(document["real"].values()))],
                     [[clip, smear, str(faces), *map(_rate, rates)] for clip, smear, faces, rates in smeared(document)])


def _speed(path: Path, document: dict[str, Any]) -> str:
    machine = document["run"]
    rows = [
        [f"one step over the bare network, batch of {batch}", f"{step['ratio']:.2f} times"]
        for batch, step in document["step"].items()
    ]
    rows += [
        [f"`balanced`, {faces} faces in a photo", f"{one['seconds_per_face']:.2f} s per face"]
        for faces, one in document["per_face_at_balanced"].items()
    ]
    rows += [
        [f"{megapixels} megapixels with {memory['faces_found']} faces, peak memory",
         f"{memory['above_import_mb']:.0f} MB above import torch"]
        for megapixels in (12, 100)
        if (memory := document.get(f"memory_{megapixels}_megapixels"))
    ]
    caption = f"On {machine['device']}, {machine['threads']} threads. Source: `{path.parent.name}/{path.name}`."
    return _markdown(caption, ["what", "cost"], rows)


def _studio(path: Path, document: dict[str, Any]) -> str:
    run, medians = document["run"], document["medians_s"]
    phases = {"page": "the page is ready", "faces": "the faces are shown", "verdict": "the verdict is shown",
              "file": "the file has arrived"}
    rows = [[words, *(f"{medians[way][phase]:.1f} s" for way in ("first", "second"))]
            for phase, words in phases.items()]
    caption = (
        f"From opening the page in a browser to a downloaded photo of {run['megapixels']:.1f} megapixels with "
        f"{run['faces']} faces cloaked at `{run['strength']}` against {', '.join(run['recognisers'])}; medians of "
        f"{run['times']} on {run['processors']} processors, system load {run['load_before']:.1f} before. "
        f"Source: `{path.parent.name}/{path.name}`."
    )
    return _markdown(caption, ["until", "first photo after the start", "on a page opened later"], rows)


def _wordpress(path: Path, document: dict[str, Any]) -> str:
    run, medians, added = document["run"], document["medians_s"], document["added_s"]
    ways = {"rest": "over REST", "editor": "in the block editor"}
    rows = [[words, *(f"{seconds:.1f} s" for seconds in (medians[way]["without"], medians[way]["with"], added[way]))]
            for way, words in ways.items()]
    caption = (
        f"Upload of a photo of {run['megapixels']:.0f} megapixels with {run['faces']} faces to WordPress "
        f"{run['wordpress']}, until all its sizes are made; policy `{run['policy']}`, faces covered with "
        f"`{run['treatment']}`; medians of {run['times']}, with and without the plugin by turns, on "
        f"{run['processors']} processors that WordPress, database, browser and service share, system load "
        f"{run['load_before']:.1f} before. "
        f"The first upload after the service's start, which loads its networks, took {document['first_s']:.1f} s. "
        f"Source: `{path.parent.name}/{path.name}`."
    )
    return _markdown(caption, ["upload", "without the plugin", "with it", "added"], rows)


def _batch(path: Path, document: dict[str, Any]) -> str:
    source = f"Source: `{path.parent.name}/{path.name}`."
    return "\n\n".join(_markdown(f"{caption} {source}", heads, rows)
                       for caption, heads, rows in batch_tables.tables(document, each_kill=False))


def _metadata(path: Path, document: dict[str, Any]) -> str:
    files: dict[str, dict[str, dict[str, Any]]] = {}
    for run in document["runs"]:
        before, after = run["format"], run["written_as"]
        files.setdefault(before if before == after else f"{before}, written as {after}", {})[run["profile"]] = run
    rows = []
    for name, run in files.items():
        strip, credit = run["strip"], run["credit"]
        kept = credit["credit_kept"].values()
        found = (str(sum(one["found"].values())) for one in (strip, credit))
        rows.append([name, str(len(strip["found"])), *found, f"{sum(kept)} of {len(kept)}"])
    caption = (
        f"{document['summary']['distinct_canaries']} different secrets, planted wherever a format has room for them; "
        f"how many of them the written file held, by its bytes and by exiftool {document['exiftool']}. "
        f"Source: `{path.parent.name}/{path.name}`."
    )
    heads = ["format", "planted", "found after `strip`", "found after `credit`", "credit fields kept by `credit`"]
    return _markdown(caption, heads, rows)


def _markdown(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" | ".join(heads), " | ".join("---" for _ in heads), *(" | ".join(row) for row in rows)]
    return caption + "\n\n" + "\n".join(f"| {line} |" for line in lines)


def _row(arm: str, result: dict[str, Any], document: dict[str, Any], matchers: list[str]) -> list[str]:
    photo, face = result["quality_written"]["photo"], result["quality_written"]["face"]
    held_out = [result["matchers"][name] for name in document["held_out"]]
    # Each of the matcher that found most: with TAR at 0 for all, the one by TAR would be anybody.
    ranks = [max(rates[f"rank_{k}"]["value"] for rates in held_out) for k in (1, 50)]
    return [
        arm,
        f"{photo['ssimulacra2']:.0f} / {face['ssimulacra2']:.0f}",
        f"{face['ssimulacra2_reference']:.0f}",
        f"{face['ssim']:.3f}",
        "same" if face["psnr_db"] is None else f"{face['psnr_db']:.1f}",
        *(_rate(result["matchers"][name]["tar"][FMR]) for name in matchers),
        " / ".join(f"{rank:.2f}" for rank in ranks),
        str(result["not_found"]),
    ]


def _rate(rate: dict[str, float]) -> str:
    return f"{rate['value']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]"
