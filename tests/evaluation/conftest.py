"""The portrait that every machine with scikit-image has, and a small part of the data pack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as skimage_data


@pytest.fixture(scope="session")
def astronaut():
    """NASA portrait of Eileen Collins, public domain: (512, 512, 3) RGB."""
    return np.ascontiguousarray(skimage_data.astronaut())


@pytest.fixture
def astronaut_png(astronaut, tmp_path) -> Path:
    path = tmp_path / "astronaut.png"
    Image.fromarray(astronaut).save(path)
    return path


# Where the face of the portrait is, by eye.
ASTRONAUT_BOX = np.array([172, 64, 274, 208], np.float32)

SUBJECTS, STRANGERS = 4, 300


@pytest.fixture(scope="session")
def small_pack(shared_data, tmp_path_factory) -> Path:
    """Four judging subjects among 304 people in `people`: enough strangers to show an FMR of 1e-3, seconds to embed."""
    from evaluation.samples import read_samples

    pack = tmp_path_factory.mktemp("pack")
    (pack / "weights").symlink_to(shared_data / "weights")
    (pack / "people").mkdir()
    samples = read_samples(shared_data / "lfw-dev", "judging", SUBJECTS)
    chosen = [sample.subject for sample in samples.probes]
    chosen += [subject for subject in samples.distractors if subject not in chosen][:: 3400 // STRANGERS]
    for subject in chosen[: SUBJECTS + STRANGERS]:
        (pack / "people" / subject).symlink_to(shared_data / "lfw-dev" / subject)
    return pack


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory) -> Path:
    """Templates of that part, computed by whichever test comes first."""
    return tmp_path_factory.mktemp("cache")
