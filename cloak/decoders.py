"""Bytes of a photo file -> pixels, one function a format.

The reader classes are called directly instead of `Image.open`: that would try every format Pillow knows, hand phone
JPEGs to the multi-picture reader, and apply a process-wide pixel limit that is not ours. Nothing is registered.
"""

from __future__ import annotations

import dataclasses
import io
import re
import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pillow_heif
import simplejpeg
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cloak import boxes, colour
from cloak.headers import PHOTOMETRIC, PLANAR, Broken, Header, Refused, orientation_of
from cloak.types import Format, Pixels

# What the readers raise on damaged input; their documentation names OSError only, their code does not.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, RuntimeError,
           struct.error, zlib.error)

# libjpeg goes on after damage and only warns: the rest of the picture is grey. These warnings are harmless instead,
# unless many bytes are left over. (simplejpeg hands on the first warning of a file.)
_HARMLESS = re.compile(r"Invalid SOS parameters for sequential JPEG|Warning: unknown JFIF revision number|"
                       r"Unknown Adobe color transform code|"
                       r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0x(d9|db|c[0-24]|dd|fe|e.)")
# Some cameras leave a few stray bytes, or pad the picture with zeros up to the end of a disk sector. More that is not
# padding are pixels that were not understood, and the picture above them is shifted.
_MOST_STRAY_BYTES = 64


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pixels as they are stored, before `header.orientation` is applied."""

    pixels: Pixels  # (H, W, 3) RGB
    alpha: Pixels | None  # (H, W)
    is_grey: bool
    header: Header  # with what only the decoder knows: profile and metadata of HEIC and AVIF, notes


def decode(data: bytes, format: Format, header: Header) -> Decoded:
    """The pixels of a file whose header was judged.

    Raises:
        Broken: cut off or damaged.
        Refused: stored in a way that no decoder here reads.
    """
    try:
        decoded = _DECODERS[format](data, header)
    except _DAMAGE as error:
        raise Broken(str(error) or type(error).__name__) from error
    if decoded.pixels.shape[0] * decoded.pixels.shape[1] > header.size[0] * header.size[1]:
        raise Broken("the picture is larger than its header says")
    if header.bits > 8:
        decoded = _noted(decoded, f"{header.bits} bits per channel became 8")
    if decoded.alpha is not None and decoded.alpha.min() == 255 and format in ("HEIF", "AVIF"):
        decoded = dataclasses.replace(decoded, alpha=None)
    return decoded


def _noted(decoded: Decoded, note: str) -> Decoded:
    header = dataclasses.replace(decoded.header, notes=(*decoded.header.notes, note))
    return dataclasses.replace(decoded, header=header)


def _arranged(values: Pixels, header: Header) -> Decoded:
    """(H, W) grey or (H, W, 1 to 4) of 8 bits as pixels and alpha."""
    if values.ndim == 2:
        values = values[..., None]
    channels = values.shape[2]
    alpha = np.ascontiguousarray(values[..., -1]) if channels in (2, 4) else None
    if channels < 3:
        return Decoded(colour.three_channels(values[..., 0]), alpha, True, header)
    return Decoded(np.ascontiguousarray(values[..., :3]), alpha, False, header)


def _array(image: Image.Image) -> Pixels:
    """Pixels of a Pillow image; band by band, because `np.array` holds them twice on the way.

    Not by `image.crop`, which would judge the band by Pillow's process-wide limit.
    """
    width, height = image.size
    bands = len(image.getbands())
    made = np.empty((height, width, bands) if bands > 1 else (height, width), np.uint8)
    for top in range(0, height, 256):
        made[top : top + 256] = np.asarray(image._new(image.im.crop((0, top, width, min(top + 256, height)))))
    return made


def _from_pillow(image: Image.Image, header: Header) -> Decoded:
    """Of a loaded image with 8 bits or fewer per channel."""
    if "transparency" in image.info:
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode == "CMYK":
        pixels, note = colour.from_cmyk(_array(image), header.icc_profile)
        return _noted(Decoded(pixels, None, False, dataclasses.replace(header, icc_profile=colour.srgb_profile())),
                      note)
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" else "RGB")
    elif image.mode in ("YCbCr", "RGBX"):
        image = image.convert("RGB")
    return _arranged(_array(image), header)


def _unread(image: ImageFile.ImageFile) -> ImageFile.ImageFile:
    image.load()
    return image


# --- JPEG --------------------------------------------------------------------------------------------------------


def _jpeg(data: bytes, header: Header) -> Decoded:
    colours = {1: "GRAY", 3: "RGB", 4: "CMYK"}.get(header.channels)
    if colours is None:
        raise Refused(f"a JPEG with {header.channels} channels. Export it as RGB")
    try:
        pixels = _strictly(data, colours)
    except ValueError as error:
        if "subsampling" not in str(error):
            raise
        # A rare layout of the colour channels that TurboJPEG does not name; Pillow asks libjpeg itself.
        return _from_pillow(_unread(JpegImageFile(io.BytesIO(data))), header)
    if pixels.shape[1::-1] != header.size:
        raise Broken(f"the picture is {pixels.shape[1]} x {pixels.shape[0]}, its header says otherwise")
    if colours != "CMYK":
        return _arranged(pixels, header)
    if header.is_inverted:
        np.subtract(255, pixels, out=pixels)
    made, note = colour.from_cmyk(pixels, header.icc_profile)
    return _noted(Decoded(made, None, False, dataclasses.replace(header, icc_profile=colour.srgb_profile())), note)


def _strictly(data: bytes, colours: str) -> Pixels:
    """The pixels, straight into one array; anything that looks like lost data raises ValueError."""
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colours), np.uint8)
    except ValueError as error:
        harmless = _HARMLESS.search(str(error))
        if harmless is None:
            raise
        left_over = int(harmless[1] or 0)
        end = data.find(b"\xff\xd9", data.find(b"\xff\xda"))
        is_padding = harmless[2] == "d9" and end > left_over and len(set(data[end - left_over : end])) == 1
        if left_over > _MOST_STRAY_BYTES and not is_padding:
            raise
        return np.asarray(simplejpeg.decode_jpeg(data, colours, strict=False), np.uint8)


# --- PNG and TIFF ------------------------------------------------------------------------------------------------


def _png(data: bytes, header: Header) -> Decoded:
    image = PngImageFile(io.BytesIO(data))
    if header.bits == 16:
        return _png16(data, image, header)
    image.load()
    key = image.info.get("transparency")
    if image.mode == "L" and isinstance(key, int):
        # The key counts in the file's own 2 or 4 bits; Pillow spreads the pixels to 8 bits but not the key.
        image.info["transparency"] = key * {2: 85, 4: 17}.get(header.bits, 1)
    return _from_pillow(image, header)


def _png16(data: bytes, image: PngImageFile, header: Header) -> Decoded:
    """Pillow keeps one byte of two, but which one can be said; so each is read in its turn."""
    key = image.info.get("transparency")
    if image.mode.startswith("I"):
        image.load()
        values = np.array(image).astype(np.uint16)
    elif header.channels == 2:
        # Pillow opens grey with alpha as RGBA. Four bytes a pixel, so read as such they come out untouched: grey
        # high, grey low, alpha high, alpha low.
        both = _array(_as_read(image, "RGBA"))
        values = colour.joined(both[..., 0::2], both[..., 1::2])
    else:
        high = _array(_as_read(image, image.mode + ";16B"))
        low = _array(_as_read(PngImageFile(io.BytesIO(data)), image.mode + ";16L"))
        values = colour.joined(high, low)
    decoded = _arranged(colour.to_eight_bits(values, top=65535), header)
    if key is not None:  # one 16-bit colour is transparent; among 8-bit ones it could not be told from its neighbours
        is_key = values == np.asarray(key, np.uint16)
        alpha = np.where(is_key.all(-1) if values.ndim == 3 else is_key, 0, 255).astype(np.uint8)
        decoded = dataclasses.replace(decoded, alpha=alpha)
    return decoded


def _as_read(image: ImageFile.ImageFile, layout: str) -> ImageFile.ImageFile:
    """Loads with another raw layout than the reader chose."""
    image.tile = [tile._replace(args=(layout, *tile.args[1:]) if isinstance(tile.args, tuple) else layout)
                  for tile in image.tile]
    image.load()
    return image


class _Tiff(TiffImageFile):
    """Pillow's reader, which neither turns the picture (by XMP too) nor judges its size; both were done here."""

    def load_prepare(self) -> None:
        self._size = self._tile_size
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size).im
        ImageFile.ImageFile.load_prepare(self)

    def load_end(self) -> None:
        pass


def _tiff(data: bytes, header: Header) -> Decoded:
    try:
        image = _Tiff(io.BytesIO(data))
    except (SyntaxError, KeyError, OSError) as error:
        # The directory was read by our own parser; what is left is a layout or compression that Pillow lacks.
        raise Refused(f"a TIFF stored in a way that is not read here ({error}). Export it anew") from error
    tags = header.tiff or {}
    if header.bits <= 8:
        image.load()
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBX", "RGBA", "CMYK", "YCbCr"):
            raise Refused(f"a TIFF with pixels of the kind {image.mode}. Export it as RGB")
        return _from_pillow(image, header)
    if image.mode.startswith("I;16"):
        values = np.array(_unread(image)).astype(np.uint16)
        top = 2**header.bits - 1
        if tags.get(PHOTOMETRIC, (1,))[0] == 0:  # white is zero
            values = top - values
        return _arranged(colour.to_eight_bits(values, top=top), header)
    layout = image.tile[0].args[0] if image.tile and isinstance(image.tile[0].args, tuple) else ""
    if layout not in {f"{mode};16{end}" for mode in ("RGB", "RGBX", "RGBA", "CMYK") for end in "LBN"} or \
            tags.get(PLANAR, (1,))[0] == 2:
        raise Refused(f"a TIFF of {header.bits} bits per channel in a layout that is not read here. Export it with 8")
    mode, end = layout[:-4].rstrip(";"), layout[-1]
    other = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}[end]
    high = _array(_unread(image))
    low = _array(_as_read(_Tiff(io.BytesIO(data)), f"{mode};16{other}"))
    values8 = colour.to_eight_bits(colour.joined(high, low), top=65535)
    if mode == "CMYK":
        made, note = colour.from_cmyk(values8, header.icc_profile)
        return _noted(Decoded(made, None, False, dataclasses.replace(header, icc_profile=colour.srgb_profile())), note)
    return _arranged(values8[..., :3] if mode == "RGBX" else values8, header)


# --- WebP, HEIC, AVIF --------------------------------------------------------------------------------------------


def _webp(data: bytes, header: Header) -> Decoded:
    return _from_pillow(_unread(WebPImageFile(io.BytesIO(data))), header)


def _heif(data: bytes, header: Header) -> Decoded:
    file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    picture = file[file.primary_index]
    raw, mode = picture.data, picture.mode
    width, height = picture.size  # after the turns, which libheif has applied
    bands, _, depth = mode.partition(";")
    is_wide = bool(depth)
    values = np.frombuffer(raw, np.uint16 if is_wide else np.uint8).reshape(height, width, -1)
    made = colour.to_eight_bits(values, top=2 ** int(depth) - 1) if is_wide else values.copy()
    if bands in ("RGBa", "La"):
        raise Refused("a HEIC with premultiplied transparency. Export it as PNG")
    decoded = _arranged(made, dataclasses.replace(
        header, icc_profile=_block(picture.info, "icc_profile"), exif=_block(picture.info, "exif"),
        xmp=_block(picture.info, "xmp")))
    return _greyed(decoded, data)


def _avif(data: bytes, header: Header) -> Decoded:
    image = AvifImageFile(io.BytesIO(data))
    info = image.info
    # Pillow translates the turns of the file itself into this tag, and overwrites the file's EXIF with it.
    header = dataclasses.replace(header, orientation=orientation_of(_block(info, "exif")), exif=_block(info, "exif"),
                                 xmp=_block(info, "xmp"), icc_profile=_block(info, "icc_profile"))
    return _greyed(_from_pillow(_unread(image), header), data)


def _block(info: Mapping[Any, Any], name: str) -> bytes | None:
    value = info.get(name)
    return bytes(value) if isinstance(value, (bytes, bytearray)) else None


def _greyed(decoded: Decoded, data: bytes) -> Decoded:
    """Grey pictures come out of both decoders as RGB where they have alpha."""
    return dataclasses.replace(decoded, is_grey=decoded.is_grey or boxes.read_picture(data).channels == 1)


_DECODERS: dict[Format, Callable[[bytes, Header], Decoded]] = {
    "JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "TIFF": _tiff, "HEIF": _heif, "AVIF": _avif,
}
