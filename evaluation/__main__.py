"""`python -m evaluation photos|pairs|gallery|detectors|table`: measure, and show what was measured."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # Timings and bits must not depend on what else runs here; this is the edge, so setting it is allowed.
    cv2.setNumThreads(1)
    # OpenCV 5 warns at every YuNet that it chose its processor backend, which is what is wanted.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    from evaluation.files import FileMismatch
    from evaluation.gallery import GalleryUnusable
    from evaluation.metrics import ScoresUnusable
    from evaluation.samples import SamplesUnusable

    try:
        return int(options.run(options))
    except (FileMismatch, GalleryUnusable, SamplesUnusable, ScoresUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _photos(options: argparse.Namespace) -> int:
    from evaluation import photos, record
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
    with tempfile.TemporaryDirectory(prefix="facecloak-evaluation-") as temporary:
        work = options.work or Path(temporary)
        measured = photos.measure(
            bench, options.strengths, options.publish, work, device=options.device, seed=options.seed
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
    photos.add_argument("--publish", default="jpeg90", help="none, jpegQ (4:2:0), jpegQ-444, half or blurS")
    photos.add_argument("--device", default="auto")
    photos.add_argument("--seed", type=int, default=0)
    photos.add_argument("--work", type=Path, help="keep the written files here; temporary otherwise")
    photos.set_defaults(run=_photos)

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


def default_data() -> Path:
    """Where the data pack lies: FACECLOAK_DATA, or beside the repository."""
    return Path(os.environ.get("FACECLOAK_DATA", ROOT.parent / "shared" / "data"))


if __name__ == "__main__":
    sys.exit(main())
