"""`cloak-eval VERB` or `python -m evaluation VERB`: measure, check one photo, and show what was measured."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from evaluation.reading import Reader

ROOT = Path(__file__).resolve().parent.parent

PUBLISH_HELP = "what happens to every file before it is judged: none, or a step of evaluation/publishing.py"
DATA_HELP = "data pack; FACECLOAK_DATA sets the default"
WEIGHTS_HELP = "folder of networks that the data pack has not, such as FaceNet; its own folder otherwise"
ARM_HELP = "NAME=FOLDER: files another tool made of the same photos, by relative path or name; may be repeated"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # Timings and bits must not depend on what else runs here; this is the edge, so setting it is allowed.
    cv2.setNumThreads(1)
    # OpenCV 5 warns at every YuNet that it chose its processor backend, which is what is wanted.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    from evaluation.errors import EvaluationFailed
    from evaluation.faces import PhotoUnreadable

    try:
        return int(options.run(options))
    except (EvaluationFailed, PhotoUnreadable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    from evaluation import progress, protocol, record
    from evaluation.run import Run

    wanted = protocol.read(options.protocol)
    needed = [options.data / wanted.data.photos, options.data / wanted.data.weights]
    if absent := [folder for folder in needed if not folder.is_dir()]:
        raise protocol.ProtocolInvalid(
            f"{absent[0]}: no such folder. {options.protocol} wants a folder with {wanted.data.photos}/ (photos as "
            f"<subject>/<photo>) and {wanted.data.weights}/ (the matchers' files); name it with --data or "
            "FACECLOAK_DATA. Nothing was judged."
        )
    with progress.shown() as watch:
        run = Run(wanted, options.data, options.out, cache=options.cache, further=options.weights, watch=watch)
        out = run.measure()
    for warning in record.read(out)["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{out} written")
    return 0


def _ensure(options: argparse.Namespace) -> int:
    from evaluation import ensure, matchers, record
    from evaluation.reading import Reader
    from evaluation.samples import MATES

    chosen = ensure.choose(options.data, options.photos, options.count, skip=options.skip)
    reader = Reader(options.data / "weights", matchers.names(), options.cache)
    with tempfile.TemporaryDirectory(prefix="facecloak-evaluation-") as temporary:
        measured = ensure.measure(
            reader, chosen, options.strength, options.work or Path(temporary),
            device=options.device, seed=options.seed, recognisers=options.recognisers,
        )
    protocol = {
        "photos": f"all group photos; then one photo each of people with at most {MATES} photos, by digest of the name",
        "people_skipped": options.skip,
        "fmr": ensure.FMR,
        "matched": "similarity with the face in the original at or above the threshold, at the place of the face in "
                   "the original or where the judge finds a face there; either is enough",
        "strangers": len(chosen.strangers),
        "seed": options.seed,
    }
    record.write(options.out, "ensure", {"protocol": protocol, "weights": reader.weights(), **measured})
    for warning in measured["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{options.out} written")
    return 0


def _adaptive(options: argparse.Namespace) -> int:
    from dataclasses import asdict, replace

    from evaluation import adaptive_arms, matchers, record
    from evaluation.faces import YuNet
    from evaluation.reading import Reader

    plan = adaptive_arms.Plan(publish=options.publish, seed=options.seed)
    sizes = {name: getattr(options, name) for name in ("subjects", "strangers", "learnt", "named")}
    plan = replace(plan, **{name: value for name, value in sizes.items() if value is not None})
    if options.arms:
        plan = replace(plan, arms=options.arms)
    weights = options.data / "weights"
    reader = Reader(weights, options.matchers or matchers.names(), options.cache)
    with tempfile.TemporaryDirectory(prefix="facecloak-evaluation-") as temporary:
        measured = adaptive_arms.measure(
            reader,
            YuNet(weights / "yunet_n.onnx"),
            options.data / options.photos,
            options.split,
            plan,
            options.work or Path(temporary),
        )
    protocol = {"split": options.split, "photos": options.photos, **asdict(plan)}
    record.write(options.out, "adaptive", {"protocol": protocol, "weights": reader.weights(), **measured})
    print(f"{options.out} written")
    return 0


def _pairs(options: argparse.Namespace) -> int:
    from evaluation import pairs, record
    from evaluation.reading import Reader

    named = pairs.read_pairs(options.data / options.photos / "pairs-dev.txt")
    names, left_out = _matchers(options)
    reader = Reader(options.data / "weights", names, options.cache, options.weights)
    measured = pairs.measure(reader, named)
    protocol = {
        "pairs": len(named.same),
        "same": int(named.same.sum()),
        "folds": int(named.fold.max()) + 1,
        "matchers_left_out": left_out,
        "known": {"of": f"weights/README.md, dev people, folds 1 to {pairs.KNOWN_FOLDS}", **pairs.KNOWN},
    }
    record.write(options.out, "pairs", {"protocol": protocol, "weights": reader.weights(), **measured})
    for warning in measured["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{options.out} written")
    return 0


def _gallery(options: argparse.Namespace) -> int:
    from evaluation import identification, record
    from evaluation.reading import Reader

    folder = options.data / options.photos
    names, left_out = _matchers(options)
    protocol = {"mates_enrolled": 1, "probes_each": 1, "seed": options.seed, "protected": "nothing"}
    protocol |= {"matchers_left_out": left_out}
    reader = Reader(options.data / "weights", names, options.cache, options.weights)
    if options.scale:
        kind, out = "gallery-compressed", options.out.with_stem(f"{options.out.stem}-compressed")
        measured = identification.measure_compressed(reader, folder, options.scale, options.seed)
    else:
        kind, out = "gallery", options.out
        measured = identification.measure(reader, folder, options.sizes, options.seed)
    record.write(out, kind, {"protocol": protocol, "weights": reader.weights(), **measured})
    print(f"{out} written")
    return 0


def _detectors(options: argparse.Namespace) -> int:
    from evaluation import detectors, protect, record
    from evaluation.faces import YUNET_SHA256

    found: dict[str, detectors.Find] = {name: protect.finder(name) for name in protect.detectors()}
    found |= {f"{name} (the judge's)": find for name, find in detectors.own(options.data / "weights").items()}
    with tempfile.TemporaryDirectory(prefix="facecloak-evaluation-") as temporary:
        measured = detectors.measure(found, options.data, Path(temporary))
    protocol = {"found_above_iou": detectors.FOUND_IOU, "every_nth_frame": detectors.EVERY}
    content = {"protocol": protocol, "weights": {"yunet": YUNET_SHA256}, "detectors": measured}
    record.write(options.out, "detectors", content)
    print(f"{options.out} written")
    return 0


def _rekognition(options: argparse.Namespace) -> int:
    from datetime import timedelta

    from evaluation import rekognition
    from evaluation.arms import ArmIncomplete

    try:
        if options.delete_left_over:
            service = rekognition.connect(rekognition.upload_of(0, options.region), options.send)
            for name in rekognition.delete_left_over(service, timedelta(hours=24)):
                print(f"{name} deleted")
            return 0
        return _searched_by_rekognition(options)
    except (rekognition.RekognitionFailed, ArmIncomplete) as error:
        print(error, file=sys.stderr)
        return 2


def _searched_by_rekognition(options: argparse.Namespace) -> int:
    from itertools import islice

    from evaluation import arms, protect, record, rekognition, rekognition_arms
    from evaluation.publishing import publish
    from evaluation.reading import Reader
    from evaluation.samples import read_samples

    if options.out is None:
        raise rekognition.RekognitionFailed("no --out: the result has no place. Nothing was sent.")
    root = options.data / options.photos
    samples = read_samples(root, options.split, options.subjects)
    probes = {sample: sample.probe for sample in samples.probes}
    known = {sample.subject for sample in probes}
    strangers = {subject: path for subject, path in samples.distractors.items() if subject not in known}
    distractors = dict(islice(strangers.items(), options.strangers))
    reader = Reader(options.data / "weights", [], options.cache)
    boxes = {sample: reader.main_box(sample.probe) for sample in probes}
    written = {"clean": probes} | {
        name: dict(zip(probes, arms.supplied(folder, list(probes.values()), root).values(), strict=True))
        for name, folder in options.arm
    }
    with tempfile.TemporaryDirectory(prefix="facecloak-evaluation-") as temporary:
        for strength in options.strengths:
            cloaked = protect.protect(list(probes.values()), Path(temporary) / strength, strength)
            written[strength] = {sample: cloaked[path] for sample, path in probes.items() if path in cloaked}
        published = {
            name: {
                sample: publish(path, Path(temporary) / "published" / name / sample.subject, options.publish)
                for sample, path in files.items()
            }
            for name, files in written.items()
        }
        photos = rekognition_arms.photos_to_send(published, list(probes), distractors)
        service = rekognition.connect(rekognition.upload_of(photos, options.region), options.send)
        measured = rekognition_arms.measure(published, list(probes), distractors, boxes, service)
    protocol = {
        "split": options.split,
        "publish": options.publish,
        "subjects": len(probes),
        "strangers": len(distractors),
    }
    record.write(options.out, "rekognition", {"protocol": protocol, **measured})
    for warning in measured["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{options.out} written")
    return 0


def _video(options: argparse.Namespace) -> int:
    from evaluation import clips, publishing, record, video_search
    from evaluation.reading import Reader

    publishing.check_clip(options.publish)
    names, left_out = _matchers(options)
    reader = Reader(options.data / "weights", names, options.cache, options.weights)
    protocol = {
        "clip": options.clip.stem,
        "publish": options.publish,
        "every_nth_frame": options.every,
        "detector": options.detector,
        "fpir": video_search.FPIR,
        "matchers_left_out": left_out,
    }
    if options.truth:
        return _video_with_truth(options, reader, protocol)
    galleries = video_search.enrol_folder(reader, options.gallery or options.data / options.photos)
    detector = reader.detector(options.detector)

    def searched(clip: Path) -> video_search.Report:
        with _as_published(clip, options.publish) as shown:
            return video_search.report(video_search.sight(shown, detector, reader.matchers, options.every), galleries)

    # Before minutes of searching: places in a copy that was cropped mean nothing.
    enlargement = clips.enlargement(options.against, options.clip) if options.against else 1.0
    found = searched(options.clip)
    content: dict[str, object] = {"searched": found[0]}
    for line in video_search.lines(found[0]):
        print(line)
    if options.against:
        content["against"] = compared = video_search.against(searched(options.against), found, enlargement)
        print(f"{compared['faces_still_detected']} of {compared['faces_in_original']} faces are still detected.")
        for name, people in compared["people"].items():
            still, before = people["still_found"], people["in_original"]
            print(f"{name}: {len(still)} of {len(before)} people are still found. {', '.join(still)}")
    if options.out:
        record.write(options.out, "clip_search", {"protocol": protocol, "weights": reader.weights(), **content})
        print(f"{options.out} written")
    return 0


def _video_with_truth(options: argparse.Namespace, reader: Reader, protocol: dict[str, object]) -> int:
    from evaluation import arms, record, video_search, video_truth
    from evaluation import clips as frames
    from evaluation.samples import SamplesUnusable

    folder = options.data / options.photos
    if options.gallery or options.against:
        raise SamplesUnusable("--truth says who is enrolled: leave out --gallery and --against. Nothing was judged.")
    clips = {"original": options.clip, **dict(options.arm)}
    known = {(arm, treatment) for arm in clips for treatment in arms.NAIVE}
    if wrong := [pair for pair in options.parrot if pair not in known]:
        raise SamplesUnusable(
            f"--parrot {'='.join(wrong[0])}: give one of the arms {', '.join(clips)}, and {' or '.join(arms.NAIVE)}. "
            "Nothing was judged."
        )
    truth = video_truth.read_truth(options.truth, options.every)
    photos = video_truth.photos_to_enrol(folder, truth)
    clear = {kind: video_search.enrol_folder(reader, folder, of) for kind, of in photos.items()}
    detector = reader.detector(options.detector)
    tracks, truths = {}, {}
    for name, clip in clips.items():
        with _as_published(clip, options.publish) as shown:
            truths[name] = truth.scaled(frames.enlargement(options.clip, shown))
            tracks[name] = list(video_search.sight(shown, detector, reader.matchers, options.every))
    measured = {name: video_truth.rates(of, truths[name], clear, options.seed) for name, of in tracks.items()}
    for name, treatment in options.parrot:
        with tempfile.TemporaryDirectory(prefix="facecloak-evaluation-") as temporary:
            parroted = video_truth.parroted(photos, arms.NAIVE[treatment], Path(temporary), reader)
        measured[f"{name}, gallery {treatment}"] = video_truth.rates(
            tracks[name], truths[name], parroted, options.seed
        )
    out = options.out or ROOT / "evaluation" / "results" / "video-search.json"
    protocol |= {"seed": options.seed}
    record.write(out, "video_search", {"protocol": protocol, "weights": reader.weights(), "arms": measured})
    print(f"{out} written")
    return 0


@contextmanager
def _as_published(clip: Path, step: str) -> Iterator[Path]:
    """Lends the clip after a publishing step."""
    from evaluation.publishing import publish_clip

    with tempfile.TemporaryDirectory(prefix="facecloak-evaluation-") as temporary:
        yield publish_clip(clip, Path(temporary), step)


def _table(options: argparse.Namespace) -> int:
    from evaluation import table

    old = options.readme.read_text()
    new = table.fill(old, table.render(list(options.results.glob("*.json"))))
    if options.check:
        if new != old:
            print(f"{options.readme} is out of date: run python -m evaluation table.", file=sys.stderr)
        return int(new != old)
    options.readme.write_text(new)
    return 0


def _calibrate(options: argparse.Namespace) -> int:
    from evaluation import calibration, record
    from evaluation.reading import Reader

    names, left_out = _matchers(options)
    reader = Reader(options.data / "weights", names, options.cache, options.weights)
    measured = calibration.measure(reader, options.data / options.photos)
    protocol = {
        "photos": f"one of each person of {options.photos}, each compared with all others",
        "matchers_left_out": left_out,
    }
    record.write(options.out, calibration.KIND, {"protocol": protocol, "weights": reader.weights(), **measured})
    print(f"{options.out} written")
    return 0


def _check(options: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from evaluation import check, check_words

    judges = check.open_judges(options.weights, further=options.further, calibrated=options.calibration)
    found = check.compare(options.original, options.protected, judges, fmr=options.fmr, gallery=options.gallery)
    if options.json:
        said = {"verdict": check_words.verdict(found), "not_asked_in_words": check_words.not_asked(found)}
        print(json.dumps({"exit_code": check.exit_code(found), **said, **asdict(found)}, indent=1, allow_nan=False))
    else:
        print(check_words.words(found))
    return check.exit_code(found)


def _report(options: argparse.Namespace) -> int:
    from evaluation import html_report

    unknown = html_report.write(options.results, options.out, faces=options.faces)
    for name in unknown:
        print(f"warning: not shown, of a kind this report does not know: {name}", file=sys.stderr)
    if options.faces:
        print(f"warning: {options.out} holds faces, unprotected ones too. Do not pass it on.", file=sys.stderr)
    print(f"{options.out} written")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cloak-eval", description=__doc__)
    verbs = parser.add_subparsers(required=True)

    run = verbs.add_parser("run", help="everything that a protocol file asks for; goes on where it was killed")
    run.add_argument("protocol", type=Path, help="a TOML file; evaluation/protocols/standard.toml is the standard")
    run.add_argument("-o", "--out", type=Path, required=True, help="folder for the result and for the work before it")
    run.add_argument("--data", type=Path, default=default_data(), help=DATA_HELP)
    run.add_argument("--cache", type=Path, default=ROOT / ".cache" / "evaluation", help="templates of photos")
    run.add_argument("--weights", type=Path, help=WEIGHTS_HELP)
    run.set_defaults(run=_run)

    ensure = verbs.add_parser("ensure", help="whether what --ensure lets through is still matched")
    _reading(ensure)
    ensure.add_argument("--out", type=Path, default=ROOT / "evaluation" / "results" / "ensure.json")
    ensure.add_argument("--count", type=int, default=60, help="photos in all; group photos come first")
    ensure.add_argument("--skip", type=int, default=0, help="leave out so many people, looked at before")
    ensure.add_argument("--strength", default="light", help="where the engine starts")
    ensure.add_argument("--device", default="auto")
    ensure.add_argument(
        "--recognisers", type=lambda text: tuple(text.split(",")), default=("dlib_resnet29", "mobilefacenet"),
        help="the engine's recognisers; see `cloak models list`",
    )
    ensure.add_argument("--seed", type=int, default=0)
    ensure.add_argument("--work", type=Path, help="keep the written files here; temporary otherwise")
    ensure.set_defaults(run=_ensure)

    adaptive = verbs.add_parser("adaptive", help="searchers who know the tool: trained networks, parrots, classifiers")
    _reading(adaptive)
    adaptive.add_argument("--out", type=Path, required=True, help="result file")
    adaptive.add_argument("--split", choices=("tuning", "judging"), default="judging")
    adaptive.add_argument("--arms", type=lambda text: tuple(text.split(",")), help="clean, a strength, or a made arm")
    adaptive.add_argument("--subjects", type=int, help="people who are searched for")
    adaptive.add_argument("--strangers", type=int, help="further people in the gallery")
    adaptive.add_argument("--learnt", type=int, help="people whom attackers are trained on")
    adaptive.add_argument("--named", type=int, help="people whom the redaction classifier names")
    adaptive.add_argument("--matchers", type=lambda text: text.split(","), help="those alone; all otherwise")
    adaptive.add_argument("--publish", default="jpeg90", help=PUBLISH_HELP)
    adaptive.add_argument("--seed", type=int, default=0)
    adaptive.add_argument("--work", type=Path, help="keeps files and finished cells, and is gone on from")
    adaptive.set_defaults(run=_adaptive)

    pairs = verbs.add_parser("pairs", help="how accurate the matchers are on clean pairs of LFW")
    _reading(pairs)
    pairs.add_argument("--out", type=Path, default=ROOT / "evaluation" / "results" / "pairs.json")
    pairs.set_defaults(run=_pairs)

    gallery = verbs.add_parser("gallery", help="search for unprotected faces in galleries up to 300,000 people")
    _reading(gallery)
    gallery.add_argument("--out", type=Path, default=ROOT / "evaluation" / "results" / "gallery.json")
    gallery.add_argument(
        "--sizes", type=lambda text: [int(word) for word in text.split(",")], default=[1000, 10_000, 100_000, 300_000]
    )
    gallery.add_argument("--seed", type=int, default=0)
    gallery.add_argument(
        "--scale", type=int, metavar="N", help="instead, what compression loses among N synthetic templates"
    )
    gallery.add_argument("--matchers", type=lambda text: text.split(","), help="those alone; all otherwise")
    gallery.set_defaults(run=_gallery)

    detectors = verbs.add_parser("detectors", help="how many faces the engine's detectors miss")
    detectors.add_argument("--data", type=Path, default=default_data())
    detectors.add_argument("--out", type=Path, default=ROOT / "evaluation" / "results" / "detectors.json")
    detectors.set_defaults(run=_detectors)

    amazon = verbs.add_parser(
        "rekognition", help="search with Amazon Rekognition; says what it would send and sends nothing without --send"
    )
    amazon.add_argument("--data", type=Path, default=default_data())
    amazon.add_argument("--photos", default="lfw-dev")
    amazon.add_argument("--out", type=Path, help="result file")
    amazon.add_argument("--split", choices=("tuning", "judging"), default="judging")
    amazon.add_argument("--subjects", type=int, default=20)
    amazon.add_argument("--strangers", type=int, default=500, help="people in the gallery beside the subjects")
    amazon.add_argument("--strengths", type=lambda text: text.split(","), default=[])
    amazon.add_argument("--arm", type=_named_folder, action="append", default=[], help=ARM_HELP)
    amazon.add_argument("--publish", default="jpeg90", help=PUBLISH_HELP)
    amazon.add_argument("--cache", type=Path, default=ROOT / ".cache" / "evaluation")
    amazon.add_argument("--region", help="an AWS region with Rekognition; boto3's own setting otherwise")
    amazon.add_argument("--send", metavar='"N photos to REGION"', help="consent, in the words the command asks for")
    amazon.add_argument(
        "--delete-left-over", action="store_true", help="only delete what killed runs left there over a day ago"
    )
    amazon.set_defaults(run=_rekognition)

    video = verbs.add_parser("video", help="search for the people of a gallery in a clip")
    _reading(video)
    video.add_argument("clip", type=Path)
    video.add_argument("--gallery", type=Path, help="folder in LFW layout; that of --photos otherwise")
    video.add_argument(
        "--against", type=Path, metavar="ORIGINAL", help="what the clip still gives away of its original"
    )
    video.add_argument("--every", type=int, default=2, metavar="N", help="search every Nth frame")
    video.add_argument("--detector", choices=("yunet", "hog", "mtcnn"), default="yunet")
    video.add_argument("--matchers", type=lambda text: text.split(","), help="those alone; all otherwise")
    video.add_argument("--truth", type=Path, help="who is where in the clip: measure, on people of --photos")
    video.add_argument(
        "--arm", type=_named_folder, action="append", default=[], help="NAME=CLIP: a treated copy, with --truth"
    )
    video.add_argument(
        "--parrot", type=lambda text: tuple(text.split("=")), action="append", default=[], metavar="ARM=TREATMENT",
        help="search that arm in a gallery treated with naive-blur or naive-mosaic too, with --truth",
    )  # fmt: skip
    video.add_argument(
        "--publish", default="none", help="what happens to every clip first: none, crfQ or messenger; see publishing.py"
    )
    video.add_argument("--seed", type=int, default=0)
    video.add_argument("--out", type=Path, help="result file")
    video.set_defaults(run=_video)

    table = verbs.add_parser("table", help="put the results into README")
    table.add_argument("--readme", type=Path, default=ROOT / "README.md")
    table.add_argument("--results", type=Path, default=ROOT / "evaluation" / "results")
    table.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when README is out of date"
    )
    table.set_defaults(run=_table)

    calibrate = verbs.add_parser("calibrate", help="make the thresholds that `check` goes by")
    _reading(calibrate)
    calibrate.add_argument("--out", type=Path, default=ROOT / "evaluation" / "calibration.json")
    calibrate.set_defaults(run=_calibrate)

    check = verbs.add_parser(
        "check",
        help="one protected photo, in seconds: do other recognisers still know the faces?",
        epilog="Exit codes: 0 every face was judged and none is matched; 3 one is still matched, or was not judged; "
        "2 an input could not be read.",
    )
    check.add_argument("original", type=Path)
    check.add_argument("protected", type=Path)
    check.add_argument("--gallery", type=Path, metavar="DIR", help="photos, of one or several people, to search among")
    check.add_argument(
        "--weights", type=Path, metavar="DIR", default=default_data() / "weights",
        help="folder of the recognisers' files; those that are not there are named and not asked",
    )
    check.add_argument("--further", type=Path, metavar="DIR", help="folder of FaceNet's files; --weights otherwise")
    check.add_argument(
        "--calibration", type=Path, metavar="FILE", default=ROOT / "evaluation" / "calibration.json",
        help="thresholds by `cloak-eval calibrate`; a recogniser that is here and not in it makes 3 of a 0",
    )
    check.add_argument(
        "--fmr", choices=("1e-2", "1e-3", "1e-4", "1e-5"), default="1e-3", help="false match rate of the searcher"
    )
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=_check)

    report = verbs.add_parser("report", help="one HTML page of result files, with tables and plots")
    report.add_argument("results", type=Path, nargs="+", help="result files")
    report.add_argument("-o", "--out", type=Path, required=True, help="the page")
    report.add_argument(
        "--faces", type=Path, metavar="FOLDER", help="put faces of this work folder into the page; it then holds faces"
    )
    report.set_defaults(run=_report)
    return parser


def _reading(verb: argparse.ArgumentParser) -> None:
    """What every verb that embeds photos takes."""
    verb.add_argument("--data", type=Path, default=default_data(), help=DATA_HELP)
    verb.add_argument("--photos", default="lfw-dev", help="its folder in LFW layout")
    verb.add_argument(
        "--cache", type=Path, default=ROOT / ".cache" / "evaluation", help="templates of clean photos"
    )
    verb.add_argument(
        "--weights", type=Path, help=WEIGHTS_HELP
    )


def _matchers(options: argparse.Namespace) -> tuple[tuple[str, ...], dict[str, str]]:
    """Those asked for, or all that can be loaded, and the others, which are named: it is not that they found nobody."""
    from evaluation import matchers

    if chosen := getattr(options, "matchers", None):
        return tuple(chosen), {}
    names, missing = matchers.present(options.data / "weights", options.weights)
    for name, file in missing.items():
        print(f"matcher {name} left out: no {file} in {options.weights or options.data / 'weights'}", file=sys.stderr)
    return names, missing


def _named_folder(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER")
    return name, Path(folder)


def default_data() -> Path:
    """Where the data pack lies: FACECLOAK_DATA, or beside the repository."""
    return Path(os.environ.get("FACECLOAK_DATA", ROOT.parent / "shared" / "data"))


if __name__ == "__main__":
    sys.exit(main())
