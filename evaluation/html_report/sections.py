"""What is shown of each kind of result. One function a kind: document to markup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evaluation import batch_tables
from evaluation.html_report.markup import Markup, facts, figure, folded, table, tag
from evaluation.html_report.plots import Axis, Point, Series, lines, logarithmic, rates, rows
from evaluation.html_report.searches import searches
from evaluation.table import (
    below_words,
    covered,
    kill_table,
    kill_words,
    memory_table,
    memory_words,
    smeared,
    smeared_words,
    stream_row,
)

Document = dict[str, Any]


def of_kind(kind: str) -> Callable[[Document], list[Markup]] | None:
    """None for a kind that this page does not know."""
    return _KINDS.get(kind)


def kinds() -> tuple[str, ...]:
    return tuple(_KINDS)


def _gallery(document: Document) -> list[Markup]:
    protocol, people = document["protocol"], document["people"]
    words = (
        f"{people['searched']} people are searched for with one clean photo each, {protocol['mates_enrolled']} photo "
        f"of each is enrolled; {people['strangers']} strangers are searched for in vain. Protected: "
        f"{protocol['protected']}. What a searcher finds without any cloak."
    )
    body = []
    for name, one in document["matchers"].items():
        for size, found in one["by_gallery_size"].items():
            body.append([
                f"{name}, {int(size):,} people", f"{found['synthetic']:,}",
                *(_rate(found[f"rank_{rank}"]) for rank in (1, 10, 50)),
                *(_rate(found["fnir"][fpir]) for fpir in ("0.01", "0.003") if fpir in found["fnir"]),
            ])
    heads = ["matcher, gallery", "of them synthetic", "rank-1", "rank-10", "rank-50", "FNIR at FPIR 0.01",
             "FNIR at FPIR 0.003"]
    sizes = [int(size) for one in document["matchers"].values() for size in one["by_gallery_size"]]
    people_axis = logarithmic("people in the gallery", min(sizes), max(max(sizes), 10 * min(sizes)))
    plots = [
        figure(
            caption,
            _over_sizes(document, caption, people_axis, axis, get),
        )
        for caption, axis, get in (
            ("Share of searches with the right person first, by the size of the gallery. Larger galleries are filled "
             "with templates of nobody, drawn to resemble real ones.", rates("rank-1"), lambda one: one["rank_1"]),
            ("Share of searches in which the right person is missed (FNIR) when 1 in 100 searches for a stranger may "
             "give somebody, by the size of the gallery.", rates("FNIR at FPIR 0.01"), lambda one: one["fnir"]["0.01"]),
        )
    ]
    return [tag("p", words), tag("div", *plots, class_="figures"),
            table("Search in clean galleries, with 95 % intervals by person.", heads, body)]


def _over_sizes(document: Document, caption: str, x: Axis, y: Axis, get: Callable[[Any], Any]) -> Markup:
    series = [
        Series(name, tuple(_point(float(size), get(found)) for size, found in one["by_gallery_size"].items()), look)
        for look, (name, one) in enumerate(document["matchers"].items())
    ]
    ends = "; ".join(f"{one.name}: {one.points[0].y:.2f} to {one.points[-1].y:.2f}" for one in series if one.points)
    return lines(f"{caption} From the smallest to the largest gallery, {ends}.", x, y, series)


def _gallery_compressed(document: Document) -> list[Markup]:
    body = []
    for name, one in document["matchers"].items():
        body.append([f"{name}, exact", f"{one['templates']:,}", _share(one["exact"]["rank_1"]),
                     _share(one["exact"]["rank_50"]), f"{one['exact_bytes'] / 1e6:,.0f} MB"])
        body += [
            [f"{name}, {cells} cells looked at", f"{one['templates']:,}", _share(found["rank_1"]),
             _share(found["rank_50"]), f"{one['compressed_bytes'] / 1e6:,.0f} MB"]
            for cells, found in one["compressed"].items()
        ]
    return [table("What compression loses in a gallery too large for the memory.",
                  ["matcher", "templates", "rank-1", "rank-50", "memory"], body)]


def _pairs(document: Document) -> list[Markup]:
    protocol = document["protocol"]
    body = [
        [f"{name} after {detector}", f"{one['accuracy']['mean']:.4f} ± {one['accuracy']['standard_error']:.4f}",
         f"{one['eer']:.4f}", *(f"{one['tar'][fmr]:.4f}" if fmr in one["tar"] else "-" for fmr in ("1e-2", "1e-3")),
         str(found["pairs_not_detected"])]
        for detector, found in document["detectors"].items() for name, one in found["matchers"].items()
    ]
    caption = f"How accurate the matchers are on {protocol['pairs']} clean pairs, {protocol['same']} of one person."
    heads = ["matcher after detector", "accuracy", "EER", "TAR at FMR 1e-2", "TAR at FMR 1e-3", "pairs not detected"]
    return [table(caption, heads, body)]


def _detectors(document: Document) -> list[Markup]:
    sets = list(next(iter(document["detectors"].values())))
    body = [[name, *(f"{found[one]['recall']:.3f} ({found[one]['false_positives']})" for one in sets)]
            for name, found in document["detectors"].items()]
    series = [
        Series(name, tuple(Point(float(found[one]["recall"]), float(row)) for row, one in enumerate(sets)), look)
        for look, (name, found) in enumerate(document["detectors"].items())
    ]
    says = "Recall by set: " + "; ".join(
        f"{one.name}: " + ", ".join(f"{where} {p.x:.2f}" for where, p in zip(sets, one.points)) for one in series)
    caption = (f"Share of the faces from 20 px up that each detector finds (IoU above "
               f"{document['protocol']['found_above_iou']}).")
    plot = figure(caption, rows(says, rates("recall"), sets, series))
    return [tag("div", plot, class_="figures"),
            table(f"{caption} False positives in brackets.", ["detector", *sets], body)]


def _detectors_motion(document: Document) -> list[Markup]:
    heads = ["clip", "smeared by", "faces", *next(iter(document["real"].values()))]
    body = [[clip, smear, str(faces), *map(_rate, rates)] for clip, smear, faces, rates in smeared(document)]
    return [table("Faces found by the network for clips as published and as taught, each at the threshold at which it "
                  f"says one face too many in a frame, by the smear in heights of the face. {smeared_words(document)}",
                  heads, body)]


def _speed(document: Document) -> list[Markup]:
    machine = document["run"]
    body = [[f"one step over the bare network, batch of {batch}", f"{one['ratio']:.2f} times"]
            for batch, one in document["step"].items()]
    body += [[f"balanced, {faces} faces in a photo", f"{one['seconds_per_face']:.2f} s per face"]
             for faces, one in document["per_face_at_balanced"].items()]
    for key, one in document.items():
        if key.startswith("memory_"):
            body.append([f"{key.split('_')[1]} megapixels with {one['faces_found']} faces, peak memory",
                         f"{one['above_import_mb']:.0f} MB above import torch"])
    return [table(f"On {machine['device']}, {machine['threads']} threads.", ["what", "cost"], body)]


def _service(document: Document) -> list[Markup]:
    run, answered, done, files = (document[part] for part in ("run", "answered", "done", "files"))
    memory = document["memory"]["after"]
    caption = (f"{run['uploads']} photos of {run['megapixels']:.1f} megapixels handed in to the HTTP service at once; "
               f"workers: {run['workers']}; {run['processors']} processors, load before: {run['load_before']:.0f}.")
    body = [["uploads taken", f"{answered['all']}, the slowest after {answered['slowest_s']:.1f} s"],
            ["largest place in the queue", str(answered["largest_place"])],
            ["jobs done", f"{done['all']}, {done['protected']} judged protected; after {done['together_s']:.0f} s"],
            ["largest memory of the service", f"{memory['service_mb']:.0f} MB"],
            ["largest memory of a worker", f"{max(memory['workers_mb']):.0f} MB"],
            ["files before the deadline, and after", f"{files['before_the_deadline']}, {files['after_the_deadline']}"]]
    return [table(caption, ["what", "found"], body)]


def _studio(document: Document) -> list[Markup]:
    run, medians = document["run"], document["medians_s"]
    caption = (f"Seconds from opening the studio in a browser; a photo of {run['megapixels']:.1f} megapixels with "
               f"{run['faces']} faces, cloaked at {run['strength']} against {', '.join(run['recognisers'])}. Medians "
               f"of {run['times']}; {run['processors']} processors, load before: {run['load_before']:.0f}.")
    phases = {"page": "the page is ready", "faces": "the faces are shown", "verdict": "the verdict is shown",
              "file": "the file has arrived"}
    body = [[words, f"{medians['first'][phase]:.1f}", f"{medians['second'][phase]:.1f}"]
            for phase, words in phases.items()]
    return [table(caption, ["until", "first photo after the start", "on a page opened later"], body)]


def _wordpress(document: Document) -> list[Markup]:
    run, medians, added = document["run"], document["medians_s"], document["added_s"]
    caption = (f"Seconds that an upload to WordPress {run['wordpress']} takes; a photo of {run['megapixels']:.0f} "
               f"megapixels with {run['faces']} faces, covered with {run['treatment']}. Medians of {run['times']}; "
               f"{run['processors']} processors, load before: {run['load_before']:.0f}. The first upload after the "
               f"service's start took {document['first_s']:.1f}.")
    ways = {"rest": "over REST", "editor": "in the block editor"}
    body = [[words, f"{medians[way]['without']:.1f}", f"{medians[way]['with']:.1f}", f"{added[way]:.1f}"]
            for way, words in ways.items()]
    return [table(caption, ["upload", "without the plugin", "with it", "added"], body)]


def _metadata(document: Document) -> list[Markup]:
    body = []
    for run in document["runs"]:
        kept = run["credit_kept"].values()
        name = " written as ".join(dict.fromkeys((run["format"], run["written_as"])))
        body.append([f"{name}, {run['profile']}", str(len(run["found"])), str(sum(run["found"].values())),
                     f"{sum(kept)} of {len(kept)}"])
    caption = (f"{document['summary']['distinct_canaries']} different secrets planted in photos; how many the written "
               f"file held, by its bytes and by exiftool {document['exiftool']}.")
    return [table(caption, ["format, profile", "planted", "found afterwards", "credit fields kept"], body)]


def _adaptive(document: Document) -> list[Markup]:
    arms, protocol = document["arms"], document["protocol"]
    attackers = list(dict.fromkeys(one for cells in arms.values() for one in cells if "matchers" in cells[one]))
    body = []
    for arm, cells in arms.items():
        for name in dict.fromkeys(name for cell in cells.values() for name in cell.get("matchers", {})):
            found = [cells.get(attacker, {}).get("matchers", {}).get(name) for attacker in attackers]
            body.append([arm, name, *(f"{one['tar']['value']:.2f} / {one['rank_1']['value']:.2f}" if one else ""
                                      for one in found)])
    caption = (f"Searchers who know the tool: TAR at FMR 1e-3 / rank-1 of {protocol['subjects']} subjects among "
               f"{protocol['strangers'] + 1} people; what is trained was trained on {protocol['learnt']} others.")
    return [table(caption, ["arm", "matcher", *attackers], body)]


def _ensure(document: Document) -> list[Markup]:
    photos, engine, judge = document["photos"], document["engine_faces"], document["judge_faces"]
    words = (
        f"{photos['asked']} real photos, {photos['written']} written, {len(photos['refused'])} refused. The engine saw "
        f"{engine['seen']} faces in the written ones; the judge, another detector, saw {judge['seen']} faces or what "
        f"it takes for one, of which the engine never saw {judge['never_seen_by_the_engine']}: those stand unprotected."
    )
    matchers = sorted(document["matchers"].items(), key=lambda item: not item[1]["installed"])
    named = [(f"{name} ({'installed' if one['installed'] else 'held out'})", one) for name, one in matchers]
    body = [
        [name, _count(one["matched"]), *(_count(one["by_treatment"].get(how)) for how in engine["by_treatment"]),
         str(one["alike_when_empty"]), _count(one["never_seen"])]
        for name, one in [("any installed", document["any_installed"]), *named]
    ]
    heads = ["matcher", "still matched", *engine["by_treatment"], "alike because empty", "never seen by the engine"]
    caption = "Faces that are still matched with their very originals after --ensure."
    return [tag("p", words), table(caption, heads, body)]


def _video_search(document: Document) -> list[Markup]:
    protocol, clips = document["protocol"], document["arms"]
    ways = ("one_frame", "best_frame", "average")
    body = []
    for clip, result in clips.items():
        for name, found in result["galleries"]["same_photo"]["matchers"].items():
            other = result["galleries"]["other_photo"]["matchers"][name]
            body.append([
                f"{clip}, {name}", f"{result['faces_detected']} of {result['faces']}",
                *(_way(found["rank_1"], way) for way in ways), *(_way(found["at_fpir_0.01"], way) for way in ways),
                *(_way(other["strangers_named"], way) for way in ("best_frame", "average")),
            ])
    caption = (
        f"Search by video, one frame in {protocol['every_nth_frame']} of {protocol['clip']}: with one frame, with the "
        "frame of the most alike answer, and with the mean over a track. The clip moves an enrolled photo of each "
        "about, so what counts is the difference between clips, not the height."
    )
    heads = ["clip, matcher", "faces detected", *(f"rank-1, {way}" for way in ("one frame", "best frame", "mean")),
             *(f"found at FPIR 0.01, {way}" for way in ("one frame", "best frame", "mean")),
             "strangers named, best frame", "strangers named, mean"]
    return [table(caption, heads, body)]


def _video(document: Document) -> list[Markup]:
    clips = document["clips"]
    body = [
        [f"{clip}, {tool}", covered(one["coverage"]), str(one["leak_events"]), str(one["longest_leak_frames"]),
         f"{one['tracks_never_exposed']} of {one['tracks']}",
         f"{one['over_masking']['changed_area_over_gt_area_median']:.2f}", f"{one['cost']['frames_per_s']:.1f}",
         f"{one['cost']['processor_s']:.0f}", f"{one['cost']['peak_mb_of_largest_process']:.0f}"]
        for clip, tools in clips.items() for tool, one in tools.items()
    ]
    heads = ["clip, tool", "face-frames covered", "leaks", "longest, frames", "people never exposed",
             "changed area over the faces'", "frames / s", "processor s", "peak MB"]
    return [table("Redacted clips whose faces are known. A person who is bare in one frame can be named by it.",
                  heads, body)]


def _streams(document: Document) -> list[Markup]:
    heads = ["clip", "frames", "duration off, frames", "times off, ms", "size as shown", "sounds, kept to the byte",
             "coded as", "colours and HDR10", "PSNR all / worst, dB", "secrets", "left over"]
    caption = ("What redaction of video keeps of a clip, read by ffprobe and ffmpeg: PSNR is that outside the covers, "
               "the least of luma and both colours; secrets are those found in the bytes before and after.")
    memory, kill = document.get("memory"), document["kill"]
    over = [] if memory is None else [
        f"{stage}, {who}: {', '.join(f'{value:.0f}' for value in both[key]['by_minute_mb'])}"
            for stage, both in memory["stages"].items() for key, who in (("own", "cloak"), ("helpers", "ffmpeg"))
            if both[key]["peak_mb"] > 0]
    return [
        tag("p", below_words(document["streams"]).replace("*", "")),
        table(caption, heads, [stream_row(clip, one) for clip, one in document["streams"].items()]),
        table("What is refused, what is said, and what lies in the folder afterwards.",
              ["clip or circumstance", "exit code", "said", "left over"],
              [[name, str(one["exit_code"]), one["said"], ", ".join(one["left"]) or "nothing"]
               for name, one in document["bad"].items()]),
        *([] if memory is None else [table(memory_words(memory), *memory_table(memory)),
                                     folded("MB by minute of the clip", *(tag("p", words) for words in over))]),
        table(kill_words(kill), *kill_table(kill)),
    ]


def _batch(document: Document) -> list[Markup]:
    parts = [table(caption.replace("*", "").replace("`", ""), heads, [[cell.replace("`", "") for cell in row]
                                                                      for row in body])
             for caption, heads, body in batch_tables.tables(document, each_kill=True)]
    if bad := document.get("bad"):
        planted = [[name, one["kind"], one["state"] or "not named", one["error"] or "-"]
                   for name, one in (bad["planted"] | bad["odd_files"]).items()]
        if wrong := bad["published"]["unprotected"]:
            parts.append(table("Files under OUT that are not protected.", ["file", "because it"],
                               [[name, why] for name, why in wrong.items()]))
        parts.append(folded("What became of each planted file",
                            table("Planted files.", ["file", "kind", "ended as", "error"], planted)))
    for part in ("bad", "throughput"):
        if part in document:
            over = [f"{seconds:.0f} s, {outputs:,} outputs: {driver:,} + {workers:,}"
                    for seconds, outputs, driver, workers in document[part]["memory"]["over_time"]]
            parts.append(folded(f"MB over time: driver + workers ({part})", *(tag("p", words) for words in over)))
    return parts


def _clip_search(document: Document) -> list[Markup]:
    searched, protocol = document["searched"], document["protocol"]
    body = [
        [f"{track['from_s']:.2f} to {track['to_s']:.2f} s, {name}", str(track["faces"]), f"{track['height_px']:.0f}",
         *(_named(one[way]) for way in ("average", "best_frame"))]
        for track in searched["tracks"] for name, one in track["matchers"].items()
    ]
    caption = (f"Who is named in {protocol['clip']}, one frame in {protocol['every_nth_frame']}: the most alike person "
               f"of the gallery and the similarity; in brackets where it is below the threshold at FPIR "
               f"{protocol['fpir']}.")
    parts = [table(caption, ["track, matcher", "faces", "height, px", "mean of the track", "best frame"], body)]
    if compared := document.get("against"):
        words = (f"Beside its original: {compared['faces_still_detected']} of {compared['faces_in_original']} faces "
                 "are still detected.")
        rows_ = [[name, f"{len(one['still_found'])} of {len(one['in_original'])}", ", ".join(one["still_found"])]
                 for name, one in compared["people"].items()]
        parts.append(table(words, ["matcher", "people still found", "who"], rows_))
    return parts


def _named(answer: dict[str, Any]) -> str:
    words = f"{answer['subject']} {answer['similarity']:.3f}"
    return words if answer["above"] else f"({words})"


def _way(rates_by_way: dict[str, Any], way: str) -> str:
    """Of nobody there is no rate."""
    return _rate(rates_by_way[way]) if rates_by_way else "-"


def _rekognition(document: Document) -> list[Markup]:
    service = document["service"]
    words = (f"{service['name']} in {service['region']}; {service['photos_sent']} photos were sent. "
             f"{document['gallery_faces']} faces were enrolled.")
    thresholds = sorted({key for arm in document["arms"].values() for key in arm["candidate"]})
    body = [
        [name, *(_rate(arm["candidate"][key]) for key in thresholds),
         *(_rate(arm[f"rank_{rank}"]) for rank in (1, 10, 50) if f"rank_{rank}" in arm), str(arm["not_found"])]
        for name, arm in document["arms"].items()
    ]
    some = next(iter(document["arms"].values()))
    heads = ["arm", *(f"a candidate at {key}" for key in thresholds),
             *(f"rank-{rank}" for rank in (1, 10, 50) if f"rank_{rank}" in some), "not found"]
    return [tag("p", words), table("Searches by the service, with 95 % intervals.", heads, body)]


def _notes(document: Document) -> list[Markup]:
    """Kinds that are read as they are."""
    shown = {key: value for key, value in document.items() if key not in ("schema", "kind", "machine", "versions")}
    return [folded("Everything it holds", facts(shown))]


_KINDS: dict[str, Callable[[Document], list[Markup]]] = {
    "run": searches,
    "photos": searches,
    "gallery": _gallery,
    "gallery-compressed": _gallery_compressed,
    "pairs": _pairs,
    "detectors": _detectors,
    "detectors_motion": _detectors_motion,
    "speed": _speed,
    "service": _service,
    "studio": _studio,
    "wordpress": _wordpress,
    "metadata": _metadata,
    "adaptive": _adaptive,
    "ensure": _ensure,
    "video_search": _video_search,
    "clip_search": _clip_search,
    "video": _video,
    "streams": _streams,
    "batch": _batch,
    "rekognition": _rekognition,
    "calibration": _notes,
    "tuning notes": _notes,
}


def _point(x: float, rate: dict[str, float]) -> Point:
    return Point(x, float(rate["value"]), float(rate["low"]), float(rate["high"]))


def _rate(rate: dict[str, float]) -> str:
    return f"{rate['value']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]"


def _share(value: float) -> str:
    return f"{value:.2f}"


def _count(share: dict[str, Any] | None) -> str:
    return "-" if share is None or not share["of"] else f"{share['count']} of {share['of']}"
