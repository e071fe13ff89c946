"""`python -m evaluation photos|ensure|pairs|gallery|...|table`: measure, and show what was measured."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parent.parent

PUBLISH_HELP = "what happens to every file before it is judged: none, or a step of evaluation/publishing.py"
ARM_HELP = "NAME=FOLDER: files another tool made of the same photos, by relative path or name; may be repeated"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # Timings and bits must not depend on what else runs here; this is the edge, so setting it is allowed.
    cv2.setNumThreads(1)
    # OpenCV 5 warns at every YuNet that it chose its processor backend, which is what is wanted.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    from evaluation.ensure import WrittenUnusable
    from evaluation.files import FileMismatch
    from evaluation.gallery import GalleryUnusable
    from evaluation.metrics import ScoresUnusable
    from evaluation.samples import SamplesUnusable

    try:
        return int(options.run(options))
    except (FileMismatch, GalleryUnusable, SamplesUnusable, ScoresUnusable, WrittenUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _photos(options: argparse.Namespace) -> int:
    from evaluation import arms, photos, record
    from evaluation.judge import open_bench
    from evaluation.samples import MATES

    bench = open_bench(
        options.data,
        options.split,
        cache=options.cache,
        subjects=options.subjects,
        skip=options.skip,
        photos=options.photos,
        seed=options.seed,
    )
    probes, root = [sample.probe for sample in bench.samples.probes], options.data / options.photos
    supplied = {name: arms.supplied(folder, probes, root) for name, folder in options.arm}
    with tempfile.TemporaryDirectory(prefix="facecloak-evaluation-") as temporary:
        work = options.work or Path(temporary)
        measured = photos.measure(
            bench,
            options.strengths,
            options.publish,
            work,
            made=options.made,
            supplied=supplied,
            device=options.device,
            seed=options.seed,
            recognisers=options.recognisers,
        )
    protocol = {
        "split": options.split,
        "subjects": len(bench.samples.probes),
        "subjects_skipped": options.skip,
        "mates": MATES,
        "gallery_subjects": len(bench.samples.distractors),
        "gallery_photos_without_a_face": bench.gallery_not_found,
        "publish": options.publish,
        "seed": options.seed,
    }
    record.write(options.out, "photos", {"protocol": protocol, "weights": bench.reader.weights(), **measured})
    for warning in measured["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{options.out} written")
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


def _pairs(options: argparse.Namespace) -> int:
    from evaluation import matchers, pairs, record
    from evaluation.reading import Reader

    named = pairs.read_pairs(options.data / options.photos / "pairs-dev.txt")
    reader = Reader(options.data / "weights", matchers.names(), options.cache)
    measured = pairs.measure(reader, named)
    protocol = {
        "pairs": len(named.same),
        "same": int(named.same.sum()),
        "folds": int(named.fold.max()) + 1,
        "known": {"of": f"weights/README.md, dev people, folds 1 to {pairs.KNOWN_FOLDS}", **pairs.KNOWN},
    }
    record.write(options.out, "pairs", {"protocol": protocol, "weights": reader.weights(), **measured})
    for warning in measured["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{options.out} written")
    return 0


def _gallery(options: argparse.Namespace) -> int:
    from evaluation import identification, matchers, record
    from evaluation.reading import Reader

    folder = options.data / options.photos
    protocol = {"mates_enrolled": 1, "probes_each": 1, "seed": options.seed, "protected": "nothing"}
    reader = Reader(options.data / "weights", options.matchers or matchers.names(), options.cache)
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
    from functools import partial

    from evaluation import detectors, protect, record
    from evaluation.faces import YUNET_SHA256

    found: dict[str, detectors.Find] = {
        name: partial(protect.find_boxes, detector=name) for name in protect.detectors()
    }
    found["yunet (the judge's)"] = detectors.yunet(options.data / "weights")
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    verbs = parser.add_subparsers(required=True)

    photos = verbs.add_parser("photos", help="cloak photos of known people, publish them, search for them")
    _reading(photos)
    photos.add_argument("--out", type=Path, required=True, help="result file")
    photos.add_argument("--split", choices=("tuning", "judging"), default="judging")
    photos.add_argument("--subjects", type=int, default=150)
    photos.add_argument("--skip", type=int, default=0, help="leave out so many subjects, looked at before")
    photos.add_argument(
        "--strengths", type=lambda text: text.split(","), default=["light", "balanced", "strong"]
    )
    photos.add_argument("--publish", default="jpeg90", help=PUBLISH_HELP)
    photos.add_argument("--arm", type=_named_folder, action="append", default=[], help=ARM_HELP)
    photos.add_argument(
        "--made",
        type=lambda text: text.split(","),
        default=[],
        help="further arms: naive-blur, naive-mosaic, redact-solid, -mosaic, -blur, -ring",
    )
    photos.add_argument("--device", default="auto")
    photos.add_argument(
        "--recognisers", type=lambda text: tuple(text.split(",")), default=("dlib_resnet29",),
        help="the engine's recognisers that the cloaks are made against; see `cloak models list`",
    )
    photos.add_argument("--seed", type=int, default=0)
    photos.add_argument("--work", type=Path, help="keep the written files here; temporary otherwise")
    photos.set_defaults(run=_photos)

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

    table = verbs.add_parser("table", help="put the results into README")
    table.add_argument("--readme", type=Path, default=ROOT / "README.md")
    table.add_argument("--results", type=Path, default=ROOT / "evaluation" / "results")
    table.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when README is out of date"
    )
    table.set_defaults(run=_table)
    return parser


def _reading(verb: argparse.ArgumentParser) -> None:
    """What every verb that embeds photos takes."""
    verb.add_argument("--data", type=Path, default=default_data(), help="data pack; FACECLOAK_DATA sets the default")
    verb.add_argument("--photos", default="lfw-dev", help="its folder in LFW layout")
    verb.add_argument(
        "--cache", type=Path, default=ROOT / ".cache" / "evaluation", help="templates of clean photos"
    )
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
