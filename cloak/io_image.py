"""Photo files <-> pixels.

Reading: the bytes are read once, the header is judged before any pixel memory is taken, and whatever cannot be
kept in kind is refused, or noted, rather than lost silently. Encoding: only pixels, alpha, the colour profile and, if
asked, a credit made anew reach the bytes; there is no list of metadata to remove because nothing else is passed on.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from cloak import colour, decoders, encoders, headers
from cloak.errors import PhotoTooLarge, PhotoUnreadable, PhotoUnsupported
from cloak.formats import HEAD_BYTES, SUPPORTED, other_format, sniff
from cloak.headers import Broken, Refused
from cloak.icc import colours_only
from cloak.metadata import Blocks, SourceType, blocks, read_credit
from cloak.types import Photo, Pixels, output_format

# What of the metadata of the input is written again: nothing, or who is to be credited.
Metadata: TypeAlias = Literal["strip", "credit"]

# Phones append whole films to a JPEG, and makers write megabytes of notes; the pixels themselves never take
# more than eight bytes each (four channels of 16 bits). Anything longer is not a photo, and reading it would only
# fill the memory.
_BYTES_PER_PIXEL = 8
_ROOM_FOR_METADATA = 256 * 2**20


def read_photo(path: Path, *, max_pixels: int, keep_heic: bool = False) -> Photo:
    """The upright photo at `path`, with what is needed to write it again in kind.

    Args:
        max_pixels: the most pixels that are decoded; a larger header is refused before memory is taken.
        keep_heic: HEIC is written as HEIC again, not as JPEG.
    Raises:
        PhotoUnreadable: missing, not a regular file, not a picture, cut off or damaged.
        PhotoUnsupported: a picture of a kind that would lose something silently.
        PhotoTooLarge: more than `max_pixels`.
    """
    data = _read_once(path, max_pixels=max_pixels)
    format = sniff(data[:HEAD_BYTES])
    if format is None:
        raise _not_ours(path, data)
    try:
        header = headers.read_header(data, format)
        _check_size(path, header.size, max_pixels=max_pixels)
        decoded = decoders.decode(data, format, header)
    except Broken as error:
        raise PhotoUnreadable(f"{path}: a {format} that is cut off or damaged ({error}). Copy it again from where it "
                              "came. Nothing was written.") from error
    except Refused as error:
        raise PhotoUnsupported(f"{path}: {error}. Nothing was written.") from error
    header = decoded.header
    written_as = output_format(format, keep_heic=keep_heic)
    if written_as == "JPEG" and decoded.alpha is not None:
        raise PhotoUnsupported(f"{path}: a {format} with transparent parts, which JPEG has not. Pass --keep-heic, or "
                               "export it as PNG. Nothing was written.")
    notes = header.notes if written_as == format else (*header.notes, f"{format} became {written_as}")
    icc_profile = colour.valid_profile(header.icc_profile, b"GRAY" if decoded.is_grey else b"RGB ")
    return Photo(
        path=path,
        pixels=_upright(decoded.pixels, header.orientation),
        format=format,
        sha256=hashlib.sha256(data).hexdigest(),
        icc_profile=colours_only(icc_profile) if icc_profile else None,
        is_grey=decoded.is_grey,
        alpha=None if decoded.alpha is None else _upright(decoded.alpha, header.orientation),
        is_lossless=header.is_lossless,
        keep_heic=keep_heic,
        notes=notes,
        credit=read_credit(exif=header.exif, iptc=header.iptc, xmp=header.xmp),
    )


def encode_photo(
    photo: Photo,
    pixels: Pixels,
    *,
    jpeg_quality: int,
    metadata: Metadata = "strip",
    source_type: SourceType | None = None,
) -> bytes:
    """The bytes of a file that shows `pixels` and carries the format, alpha and colour profile of `photo`.

    The one place where pixels become a file, so that what the optimiser judges is what people get. The same
    input gives the same bytes. What is fully transparent is written black.

    Args:
        pixels: (H, W, 3) RGB of the size of `photo`; a grey photo is written grey.
        jpeg_quality: of every format that loses something, on its own scale.
        metadata: "credit" embeds the credit of `photo`, made anew, where the format has a place for it.
        source_type: with "credit", the IPTC term for how the picture came about.
    """
    if pixels.shape != photo.pixels.shape or pixels.dtype != np.uint8:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, expected uint8 {photo.pixels.shape}")
    if photo.alpha is not None and not photo.alpha.all():
        # What nobody sees is in the file all the same: a face cut out by transparency could be had back
        pixels = np.where(photo.alpha[..., None] == 0, np.uint8(0), pixels)
    return encoders.encode(
        encoders.Content(
            pixels=pixels,
            alpha=photo.alpha,
            is_grey=photo.is_grey,
            icc_profile=photo.icc_profile,
            quality=jpeg_quality,
            is_lossless=photo.is_lossless,
            blocks=_blocks(photo, metadata, source_type),
        ),
        photo.output_format,
    )


def decode_pixels(data: bytes) -> Pixels:
    """What a viewer gets from the bytes of `encode_photo`: (H, W, 3) RGB, alpha left out."""
    format = sniff(data[:HEAD_BYTES])
    if format is None:
        raise ValueError("not the bytes of a photo")
    return decoders.decode(data, format, headers.read_header(data, format)).pixels


def _blocks(photo: Photo, wanted: Metadata, source_type: SourceType | None) -> Blocks:
    return blocks(photo.credit, source_type) if wanted == "credit" else Blocks(b"", b"", b"")


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
        if status.st_size > _BYTES_PER_PIXEL * max_pixels + _ROOM_FOR_METADATA:
            raise PhotoTooLarge(f"{path}: the file has {status.st_size:,} bytes, more than any photo of {max_pixels:,} "
                                "pixels needs. Nothing was decoded or written.")
        with open(handle, "rb", closefd=False) as file:
            data = file.read()
        after = os.fstat(handle)
        if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns) or len(data) != after.st_size:
            raise PhotoUnreadable(f"{path}: changed while it was read, so what was read may be half of each. Try again "
                                  "when it is complete. Nothing was written.")
    except OSError as error:
        raise PhotoUnreadable(f"{path}: cannot be read ({error.strerror}). Nothing was written.") from error
    finally:
        os.close(handle)
    if not data:
        raise PhotoUnreadable(f"{path}: the file is empty (0 bytes). Copy it again from where it came. "
                              "Nothing was written.")
    return data


def _check_size(path: Path, size: tuple[int, int], *, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise PhotoTooLarge(f"{path}: the header says {width} x {height} = {width * height:,} pixels, the limit is "
                            f"{max_pixels:,}. Make it smaller first. Nothing was decoded or written.")


def _not_ours(path: Path, data: bytes) -> PhotoUnreadable | PhotoUnsupported:
    found = other_format(data)
    if found is None:
        return PhotoUnreadable(f"{path}: not a picture that is known here (by its content, whatever its name says). "
                               f"Give a {SUPPORTED.replace(' and ', ' or ')} file. Nothing was written.")
    if found == "plain text":
        return PhotoUnreadable(f"{path}: plain text, not a picture. Give a photo. Nothing was written.")
    return PhotoUnsupported(f"{path}: found {found} by its content; {SUPPORTED} are supported. Export it as one of "
                            "these. Nothing was written.")


def _upright(array: Pixels, orientation: int) -> Pixels:
    """Turns (H, W, ...) as EXIF 2.32, 4.6.4, tag 274 says."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)
