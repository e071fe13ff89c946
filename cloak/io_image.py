"""Files <-> pixels, for photos.

Reading: the bytes are read once, the header is judged before any pixel memory is taken, and whatever cannot be
kept in kind is refused rather than lost silently. Encoding: only pixels, alpha and the colour profile reach the
bytes; there is no list of metadata to remove because nothing else is ever passed on.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from cloak.errors import PhotoTooLarge, PhotoUnreadable, PhotoUnsupported
from cloak.formats import Format, other_format, sniff
from cloak.types import Photo, Pixels

# Phones append whole films to a JPEG, and makers write megabytes of notes; the pixels themselves never take
# more than four bytes each. Anything longer is not a photo, and reading it would only fill the memory.
_ROOM_FOR_METADATA = 256 * 2**20

# What Pillow's two readers raise on damaged input; their documentation names OSError only, their code does not.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, struct.error,
           zlib.error)

_ORIENTATION_TAG, _SHORT = 0x0112, 3


def read_photo(path: Path, *, max_pixels: int) -> Photo:
    """The upright photo at `path`, with what is needed to write it again in kind.

    Args:
        max_pixels: the most pixels that are decoded; a larger header is refused before memory is taken.
    Raises:
        PhotoUnreadable: missing, not a regular file, not a picture, cut off or damaged.
        PhotoUnsupported: a picture of a kind that would lose something silently.
        PhotoTooLarge: more than `max_pixels`.
    """
    data = _read_once(path, max_pixels=max_pixels)
    format = sniff(data[:64])
    if format is None:
        raise _not_ours(path, data)
    if format == "PNG":
        _check_png_header(path, data)
    try:
        image = _open(data)
    except _DAMAGE as error:
        raise _damaged(path, format, error) from error
    _check_size(path, image.size, max_pixels=max_pixels)
    if image.mode == "CMYK":
        raise PhotoUnsupported(f"{path}: a CMYK JPEG, made for print; the cloak works on RGB. Convert it to RGB first "
                               "(in the editor it came from, so that its colours are kept). Nothing was written.")
    if getattr(image, "is_animated", False):
        raise PhotoUnsupported(f"{path}: an animated PNG with {getattr(image, 'n_frames', 'several')} frames; only "
                               "still pictures can be cloaked. Export the frame you need. Nothing was written.")
    try:
        image.load()
    except _DAMAGE as error:
        raise _damaged(path, format, error) from error
    pixels, alpha, is_grey = _to_arrays(image, data)
    orientation = _orientation(image.info.get("exif"))
    icc_profile = _valid_icc(image.info.get("icc_profile"), is_grey=is_grey)
    del image  # a 100-megapixel photo is 400 MB here; let it go before the arrays are turned
    return Photo(
        path=path,
        pixels=_upright(pixels, orientation),
        format=format,
        sha256=hashlib.sha256(data).hexdigest(),
        icc_profile=icc_profile,
        is_grey=is_grey,
        alpha=None if alpha is None else _upright(alpha, orientation),
    )


def encode_photo(photo: Photo, pixels: Pixels, *, jpeg_quality: int) -> bytes:
    """The bytes of a file that shows `pixels` and carries the format, alpha and colour profile of `photo`.

    The one place where pixels become a file, so that what the optimiser judges is what people get. The same
    input gives the same bytes. `pixels` is (H, W, 3) RGB of the size of `photo`; a grey photo is written grey.
    """
    if pixels.shape != photo.pixels.shape or pixels.dtype != np.uint8:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, expected uint8 {photo.pixels.shape}")
    image = Image.fromarray(pixels)
    if photo.is_grey:
        image = image.convert("L")
    if photo.format == "PNG":
        if photo.alpha is not None:
            image.putalpha(Image.fromarray(photo.alpha))
        buffer = io.BytesIO()
        image.save(buffer, "PNG", icc_profile=photo.icc_profile)
        return buffer.getvalue()
    for optimise in (True, False):
        buffer = io.BytesIO()
        try:
            # 4:4:4 (subsampling=0): at 4:2:0 the encoder averages chroma over 2x2 pixels, and with it the cloak.
            image.save(buffer, "JPEG", quality=jpeg_quality, subsampling=0, optimize=optimise,
                       icc_profile=photo.icc_profile)
        except OSError:
            # Pillow guesses the buffer for the optimised tables at one or two bytes a pixel; pure noise at 4:4:4
            # needs more and fails. The standard tables are written in pieces and need no guess.
            if not optimise:
                raise
            continue
        break
    return buffer.getvalue()


def decode_pixels(data: bytes) -> Pixels:
    """What a viewer gets from the bytes of `encode_photo`: (H, W, 3) RGB, alpha left out."""
    return np.array(_open(data).convert("RGB"))


# --- reading -----------------------------------------------------------------------------------------------------


def _read_once(path: Path, *, max_pixels: int) -> bytes:
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PhotoUnreadable(f"{path}: cannot be opened ({reason}). Check the name and the permissions. "
                              "Nothing was written.") from error
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise PhotoUnreadable(f"{path}: is a folder. Name the photos in it. Nothing was written.")
        if not stat.S_ISREG(status.st_mode):
            raise PhotoUnreadable(f"{path}: is a pipe or a device. Save the photo to a file first. "
                                  "Nothing was written.")
        if status.st_size > 4 * max_pixels + _ROOM_FOR_METADATA:
            raise PhotoTooLarge(f"{path}: the file has {status.st_size:,} bytes, more than any photo of {max_pixels:,} "
                                "pixels needs. Nothing was decoded or written.")
        with open(handle, "rb", closefd=False) as file:
            data = file.read()
    except OSError as error:
        raise PhotoUnreadable(f"{path}: cannot be read ({error.strerror}). Nothing was written.") from error
    finally:
        os.close(handle)
    if not data:
        raise PhotoUnreadable(f"{path}: the file is empty (0 bytes). Copy it again from where it came. "
                              "Nothing was written.")
    return data


def _open(data: bytes) -> Image.Image:
    """Reads the header, not the pixels.

    The reader classes are called directly instead of `Image.open`: that would try every format Pillow knows, hand
    phone JPEGs to the multi-picture reader, and apply a process-wide pixel limit that is not ours.
    """
    reader = PngImageFile if sniff(data[:64]) == "PNG" else JpegImageFile
    return reader(io.BytesIO(data))


def _check_png_header(path: Path, data: bytes) -> None:
    """Pillow reads 16-bit RGB as 8-bit without a word, so the depth is taken from the file."""
    if data[12:16] == b"IHDR" and data[24:25] == b"\x10":
        raise PhotoUnsupported(f"{path}: a PNG with 16 bits per channel; the cloak is made for 8 and would throw half "
                               "of each value away. Convert it to 8 bits first. Nothing was written.")


def _check_size(path: Path, size: tuple[int, int], *, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise PhotoTooLarge(f"{path}: the header says {width} x {height} = {width * height:,} pixels, the limit is "
                            f"{max_pixels:,}. Make it smaller first. Nothing was decoded or written.")


def _damaged(path: Path, format: Format, error: Exception) -> PhotoUnreadable:
    return PhotoUnreadable(f"{path}: a {format} that is cut off or damaged ({error}). Copy it again from where it "
                           "came. Nothing was written.")


def _not_ours(path: Path, data: bytes) -> PhotoUnreadable | PhotoUnsupported:
    found = other_format(data)
    if found is None:
        return PhotoUnreadable(f"{path}: not a picture that is known here (by its content, whatever its name says). "
                               "Give a JPEG or PNG. Nothing was written.")
    if found == "plain text":
        return PhotoUnreadable(f"{path}: plain text, not a picture. Give a JPEG or PNG. Nothing was written.")
    return PhotoUnsupported(f"{path}: found {found} by its content; JPEG and PNG are supported. Export it as one of "
                            "these. Nothing was written.")


def _to_arrays(image: Image.Image, data: bytes) -> tuple[Pixels, Pixels | None, bool]:
    """(pixels expanded to three channels, alpha or None, whether the photo is grey)."""
    is_grey = image.mode in ("1", "L", "LA")
    if "transparency" in image.info:
        key = image.info["transparency"]
        if image.mode == "L" and isinstance(key, int):
            # The key counts in the file's own 2 or 4 bits; Pillow spreads the pixels to 8 bits but not the key.
            image.info["transparency"] = key * {2: 85, 4: 17}.get(data[24], 1)
        image = image.convert("LA" if is_grey else "RGBA")
    alpha = np.array(image.getchannel("A")) if image.mode in ("LA", "RGBA") else None
    return np.array(image.convert("RGB")), alpha, is_grey


def _orientation(exif: bytes | None) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it cannot be read, as viewers do.

    Pillow's own reader also believes XMP, which viewers do not (the photo would turn against what people saw), and
    warns on stderr of every oddity. Source: EXIF 2.32, 4.6.2: a TIFF header, then entries of 12 bytes.
    """
    tiff = (exif or b"").removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for i in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * i)
            if tag == _ORIENTATION_TAG and kind == _SHORT:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:  # it ends early
        pass
    return 1


def _upright(array: Pixels, orientation: int) -> Pixels:
    """Turns (H, W, ...) as EXIF 2.32, 4.6.4, tag 274 says."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _valid_icc(profile: bytes | None, *, is_grey: bool) -> bytes | None:
    """The profile without trailing bytes, or None where no viewer could use it (ICC.1:2022, 7.2)."""
    if not profile or len(profile) < 132 or profile[36:40] != b"acsp":
        return None
    size = int.from_bytes(profile[:4], "big")
    if not 132 <= size <= len(profile) or profile[16:20] != (b"GRAY" if is_grey else b"RGB "):
        return None
    return profile[:size]
