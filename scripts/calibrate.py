"""Makes `cloak/calibration/<recogniser>.json`: similarity against false match rate, from real impostor pairs.

    python scripts/calibrate.py FOLDER [--detector centerface]

FOLDER is in LFW layout, `<subject>/<photo>.jpg`. One photo of every subject is detected, aligned and embedded as
`cloak verify` does it, and all pairs of different subjects are compared. Only the curve is written: no name, no
picture, no template.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from cloak import io_image, networks, weights
from cloak.settings import Settings

CURVES = Path(__file__).parent.parent / "cloak" / "calibration"
# Three a decade, and to the top: a cloaked face lies where most strangers do. The last needs at least 30 pairs beyond
# it to mean anything.
RATES = (0.99, 0.9, 0.7, *(float(f"{m}e-{e}") for e in range(1, 7) for m in (5, 2, 1)))
PAIRS_BEYOND = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--detector", default=Settings().detector)
    parser.add_argument("--source", default="Labeled Faces in the Wild, deep-funnelled, first photo of each subject")
    arguments = parser.parse_args()
    settings = Settings(detector=arguments.detector)
    nets = networks.load(settings)
    photos = [sorted(person.glob("*.jpg"))[0] for person in sorted(arguments.folder.iterdir()) if person.is_dir()]
    embeddings: dict[str, list[torch.Tensor]] = {s.name: [] for s in nets.surrogates}
    for path in photos:
        pixels = io_image.read_photo(path, max_pixels=settings.max_pixels).pixels
        (faces,) = nets.find([pixels])
        if not len(faces):
            continue
        # The subject of an LFW photo is the face at its centre
        offset = np.abs((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 - np.array(pixels.shape[1::-1]) / 2).sum(1)
        main_face = faces.take([int(offset.argmin())])
        for surrogate in nets.surrogates:
            embeddings[surrogate.name].append(nets.embed(surrogate, pixels, main_face).cpu())
    for surrogate in nets.surrogates:
        vectors = torch.cat(embeddings[surrogate.name]).numpy()
        scores = np.sort((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)].astype(np.float64))
        rates = [rate for rate in RATES if rate * len(scores) >= PAIRS_BEYOND]
        # The smallest score that at most `rate` of the pairs reach: a tie counts as a match
        similarity = [float(scores[len(scores) - int(rate * len(scores)) - 1]) + 1e-6 for rate in rates]
        CURVES.mkdir(exist_ok=True)
        fields = {
            "recogniser": surrogate.name,
            "weights_sha256": weights.registry()[surrogate.name].sha256,
            "detector": settings.detector,
            "subjects": len(vectors),
            "impostor_pairs": len(scores),
            "source": arguments.source,
            "fmr": rates,
            "similarity": [round(value, 6) for value in similarity],
        }
        (CURVES / f"{surrogate.name}.json").write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")
        print(f"{surrogate.name}: {len(vectors)} of {len(photos)} subjects, {len(scores)} pairs")


if __name__ == "__main__":
    main()
