"""Makes `cloak/calibration/<recogniser>.json`: similarity against false match rate, from real impostor pairs.

    python scripts/calibrate.py FOLDER [--detector centerface] [--only NAME] [--same-network SHA256]

FOLDER is in LFW layout, `<subject>/<photo>.jpg`. One photo of every subject is detected, aligned and embedded as
`cloak verify` does it, and all pairs of different subjects are compared. Every recogniser that is installed is
measured; only the curve is written: no name, no picture, no template.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from cloak import calibration, io_image, networks, store, surrogates, weights
from cloak.calibration import Curve
from cloak.settings import Settings

CURVES = Path(__file__).parent.parent / "cloak" / "calibration"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--detector", default=Settings().detector)
    parser.add_argument("--source", default="Labeled Faces in the Wild, deep-funnelled, first photo of each subject")
    parser.add_argument("--only", metavar="NAME", help="measure this recogniser alone")
    parser.add_argument("--same-network", metavar="SHA256", nargs="*", default=[],
                        help="other files that hold the values of the one measured with --only")
    arguments = parser.parse_args()
    if arguments.same_network and not arguments.only:
        parser.error("--same-network speaks of one recogniser: name it with --only")
    settings = Settings(detector=arguments.detector)
    nets = networks.load(settings)
    chosen = [s for s in nets.recognisers if arguments.only in (None, s.name)]
    photos = [sorted(person.glob("*.jpg"))[0] for person in sorted(arguments.folder.iterdir()) if person.is_dir()]
    embeddings: dict[str, list[torch.Tensor]] = {s.name: [] for s in chosen}
    for path in photos:
        pixels = io_image.read_photo(path, max_pixels=settings.max_pixels).pixels
        (faces,) = nets.find([pixels])
        if not len(faces):
            continue
        # The subject of an LFW photo is the face at its centre
        offset = np.abs((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 - np.array(pixels.shape[1::-1]) / 2).sum(1)
        main_face = faces.take([int(offset.argmin())])
        for surrogate in chosen:
            embeddings[surrogate.name].append(nets.embed(surrogate, pixels, main_face).cpu())
    for surrogate in chosen:
        vectors = torch.cat(embeddings[surrogate.name]).numpy()
        scores = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)].astype(np.float64)
        rates, similarity, made = calibration.measure(scores)
        model = None if surrogate.name in surrogates.bundled() else store.describe(surrogate.name)
        curve = Curve(
            recogniser=surrogate.name,
            weights_sha256=weights.sha256_of(surrogate.name),
            detector=settings.detector,
            subjects=len(vectors),
            impostor_pairs=len(scores),
            source=arguments.source,
            fmr=tuple(rates),
            similarity=tuple(round(value, 6) for value in similarity),
            made=made,
            same_network=tuple(arguments.same_network),
            recipe=None if model is None or model.recipe is None else dataclasses.asdict(model.recipe),
        )
        CURVES.mkdir(exist_ok=True)
        (CURVES / f"{surrogate.name}.json").write_text(json.dumps(curve.fields(), indent=1) + "\n", encoding="utf-8")
        print(f"{surrogate.name}: {len(vectors)} of {len(photos)} subjects, {len(scores)} pairs, {made}")


if __name__ == "__main__":
    main()
