"""Photos for the service with the made-up engine: where it sees faces, these are magenta, and nothing else is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from .stub_engine import boxes

SERIAL = b"CANARY-SERIAL-4711"


def march(seed: int = 0, size: tuple[int, int] = (480, 360), *, form: str = "JPEG", has_faces: bool = True,
          turned: bool = False) -> bytes:
    """A photo with two faces, a position and the camera's serial number; no two seeds give the same bytes.

    Args:
        size: upright.
        turned: lies on its side, and says so.
    """
    pixels = np.random.default_rng(seed).integers(90, 120, (size[1] // 8 + 1, size[0] // 8 + 1, 1)).astype(np.uint8)
    pixels = np.kron(pixels, np.ones((8, 8, 3), np.uint8))[: size[1], : size[0]]
    for _, (x1, y1, x2, y2) in boxes(size) if has_faces else ():
        pixels[y1:y2, x1:x2] = (230, 20, 230)
    if not has_faces:
        pixels[:] = 100  # of one colour, which for the made-up engine is no face
        pixels[0, 0] = 100
    image, exif = Image.fromarray(pixels), Image.Exif()
    if turned:
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = f"Camera {seed}"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.BodySerialNumber] = SERIAL.decode()
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLatitude] = "N", (48.0, 51.0, 30.0)
    gps[ExifTags.GPS.GPSLongitudeRef], gps[ExifTags.GPS.GPSLongitude] = "E", (2.0, 17.0, 40.0)
    data = io.BytesIO()
    image.save(data, form, exif=exif, **({"quality": 92, "subsampling": 0} if form == "JPEG" else {}))
    return data.getvalue()


def shows_faces(photo: bytes | Path) -> bool:
    """Whether there is magenta in it."""
    with Image.open(io.BytesIO(photo) if isinstance(photo, bytes) else photo) as image:
        red, green, blue = np.asarray(image.convert("RGB")).astype(int).transpose(2, 0, 1)
    return bool(((red > 150) & (blue > 150) & (green < 90)).mean() > 0.001)


def tells(photo: bytes | Path) -> bool:
    """Whether it says where it was taken, or with which camera."""
    data = photo if isinstance(photo, bytes) else photo.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        return SERIAL in data or bool(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))


def size_of(photo: bytes | Path) -> tuple[int, int]:
    with Image.open(io.BytesIO(photo) if isinstance(photo, bytes) else photo) as image:
        return image.size
