"""The portrait that every machine with scikit-image has."""

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
