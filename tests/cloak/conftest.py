"""People to work on, from the portrait that is always there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def woman(portrait):
    """(512, 512, 3); the face is about 87 x 110 pixels at (181, 62)."""
    return np.array(Image.open(portrait).convert("RGB"))


@pytest.fixture(scope="session")
def two_people(woman):
    """(300, 560, 3): the portrait, and smaller and mirrored beside it."""
    part = woman[:300, 80:380]
    frame = np.full((300, 560, 3), 120, np.uint8)
    frame[:, :300] = part
    frame[40:265, 320:545] = cv2.resize(part[:, ::-1], (225, 225), interpolation=cv2.INTER_AREA)
    return frame
