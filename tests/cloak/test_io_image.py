"""Files <-> pixels: what is read, what is refused, and that only pixels come out."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from cloak import colour
from cloak.errors import CloakError, PhotoTooLarge, PhotoUnreadable, PhotoUnsupported
from cloak.formats import sniff
from cloak.icc import colours_only
from cloak.io_image import decode_pixels, encode_photo, read_photo
from cloak.types import Photo

MAX_PIXELS = 10_000_000
SRGB = colour.srgb_profile()
GREY_ICC = colours_only(SRGB[:16] + b"GRAY" + SRGB[20:].replace(b"rTRC", b"kTRC", 1))


def read(path: Path, max_pixels: int = MAX_PIXELS) -> Photo:
    return read_photo(path, max_pixels=max_pixels)


def scene(height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture without symmetry, so that any wrong turn shows."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / width, y * 255 / height, (x + 2 * y) % 97], axis=-1).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def markers(jpeg: bytes) -> list[int]:
    """The marker codes of a JPEG up to its first scan, and what follows the end of the picture."""
    found, at = [], 2
    while True:
        assert jpeg[at] == 0xFF
        found.append(jpeg[at + 1])
        if jpeg[at + 1] == 0xDA:
            return found
        at += 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0]


def chunks(png: bytes) -> set[bytes]:
    found, at = set(), 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.add(png[at + 4 : at + 8])
        at += 12 + length
    return found


def png_bytes(ihdr: bytes, rows: bytes, *between: tuple[bytes, bytes]) -> bytes:
    """A PNG made by hand, for kinds that Pillow cannot write."""
    made = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", ihdr), *between, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        made += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return made


# --- reading -----------------------------------------------------------------------------------------------------


def test_a_jpeg_is_read_with_the_hash_of_its_own_bytes(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(scene()), quality=95, icc_profile=SRGB)
    photo = read(path)
    assert photo.format == "JPEG" and photo.pixels.shape == (48, 64, 3) and not photo.is_grey
    assert photo.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert photo.icc_profile == SRGB and photo.alpha is None
    assert np.array_equal(photo.pixels, np.array(Image.open(path)))


@pytest.mark.parametrize(
    "name", ["grey.jpg", "progressive.jpg", "rgba.png", "two-faces.jpg", "canaries.jpg", "no-face.jpg"])
def test_each_supported_kind_is_read_as_pillow_sees_it(shared_data, name):
    path = shared_data / "photos" / name
    photo = read(path)
    with Image.open(path) as image:
        assert np.array_equal(photo.pixels, np.array(image.convert("RGB")))
    assert photo.is_grey == (name == "grey.jpg")
    assert (photo.alpha is not None) == (name == "rgba.png")
    assert photo.format == ("PNG" if name.endswith("png") else "JPEG")


def test_only_the_first_picture_of_a_phone_jpeg_is_used(shared_data):
    path = shared_data / "photos" / "canaries.jpg"
    with Image.open(path) as image:
        assert image.format == "MPO"
    assert read(path).pixels.shape == (900, 1400, 3)


@pytest.mark.parametrize("number", range(1, 9))
def test_all_eight_orientations_come_out_upright(shared_data, number):
    upright = read(shared_data / "photos" / "orientation-1.jpg").pixels
    turned = read(shared_data / "photos" / f"orientation-{number}.jpg").pixels
    assert turned.shape == upright.shape
    # Each was compressed anew, so the pixels agree only nearly; any wrong turn differs by tens of levels.
    assert np.abs(turned.astype(float) - upright).mean() < 2.5


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_orientation_is_applied_exactly_as_pillow_does(tmp_path, number, format):
    exif = Image.Exif()
    exif[0x0112] = number
    image = Image.fromarray(scene())
    if format == "PNG":
        image.putalpha(Image.fromarray(scene()[..., 0]))
    path = saved(tmp_path / "a", image, format=format, exif=exif)
    photo = read(path)
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image))
    assert np.array_equal(photo.pixels, expected[..., :3])
    if format == "PNG":
        assert photo.alpha is not None and np.array_equal(photo.alpha, expected[..., 3])


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff",
                                  b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0"])
def test_exif_that_cannot_be_read_leaves_the_photo_as_it_is(tmp_path, exif):
    path = saved(tmp_path / "a.jpg", Image.fromarray(scene()), exif=exif)
    assert read(path).pixels.shape == (48, 64, 3)


def test_a_bomb_is_refused_without_taking_memory(shared_data):
    # In a process of its own, with 60 MB of room: a decoder that allocated would be killed or raise MemoryError.
    code = (
        "import resource, sys, pathlib\n"
        "import cloak.io_image as io_image\n"
        "from cloak.errors import PhotoTooLarge\n"
        "room = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + 60 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (room, room))\n"
        "try:\n    io_image.read_photo(pathlib.Path(sys.argv[1]), max_pixels=120_000_000)\n"
        "except PhotoTooLarge as error:\n    print(error)\n"
    )
    path = shared_data / "photos" / "bomb-60000x60000.png"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code, str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "60000 x 60000" in run.stdout and "Nothing was decoded" in run.stdout


def test_the_limit_is_ours_and_not_pillows(tmp_path, monkeypatch):
    # Pillow warns above its own limit and fails above twice that, for the whole process.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path = saved(tmp_path / "a.png", Image.fromarray(scene()))
    assert read(path, max_pixels=48 * 64).pixels.shape == (48, 64, 3)
    with pytest.raises(PhotoTooLarge, match="64 x 48 = 3,072 pixels, the limit is 3,071"):
        read(path, max_pixels=48 * 64 - 1)


def test_a_file_far_longer_than_a_photo_is_not_read(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff")
    os.truncate(path, 2**40)  # sparse
    with pytest.raises(PhotoTooLarge, match="bytes"):
        read(path)


@pytest.mark.parametrize(("name", "error", "words"), [
    ("truncated.jpg", PhotoUnreadable, "cut off or damaged"),
    ("text-named.jpg", PhotoUnreadable, "plain text, not a picture"),
    ("empty.jpg", PhotoUnreadable, "0 bytes"),
    ("missing.jpg", PhotoUnreadable, "No such file"),
    ("dlib-faces", PhotoUnreadable, "is a folder"),
    ("two-faces.json", PhotoUnreadable, "plain text"),
    ("two-faces.jpg/x.jpg", PhotoUnreadable, "cannot be opened"),
])
def test_what_cannot_be_kept_in_kind_is_refused_by_name(shared_data, name, error, words):
    path = shared_data / "photos" / name
    with pytest.raises(error, match=words) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "Nothing was written." in message and "\n" not in message


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("options", [
    {"format": "JPEG", "quality": 90}, {"format": "JPEG", "progressive": True, "quality": 90}, {"format": "PNG"},
])
def test_a_file_cut_anywhere_is_refused(tmp_path, share, options):
    rng = np.random.default_rng(0)
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)).save(whole, **options)
    path = tmp_path / "cut"
    path.write_bytes(whole.getvalue()[: int(share * len(whole.getvalue()))])
    with pytest.raises(PhotoUnreadable):
        read(path)


@pytest.mark.parametrize(("head", "found"), [
    (b"\0\0\0\x18ftypisom", "video"), (b"GIF89a\0", "GIF"), (b"BM\0\0", "BMP"), (b"%PDF-1.7\0", "PDF"),
    (b"\xff\x0a\0", "JPEG XL"), (b"PK\x03\x04", "ZIP"),
])
def test_another_format_is_named_by_its_content(tmp_path, head, found):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(head + bytes(64))
    with pytest.raises(PhotoUnsupported, match=found):
        read(path)


def test_an_animated_png_is_refused_by_name(tmp_path):
    frames = [Image.fromarray(np.roll(scene(), i, axis=1)) for i in range(3)]
    path = saved(tmp_path / "a.png", frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(PhotoUnsupported, match="animated PNG with 3 frames"):
        read(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoUnreadable, match="pipe or a device"):
        read(tmp_path / "pipe.jpg")


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_both_bytes_of_every_colour_type_count(tmp_path, colour_type, channels):
    """0x0180 is nearer to 1 than to 2, and Pillow alone would see 1 for 0x01ff too."""
    row = b"".join(struct.pack(">H", value) * channels for value in (0x0180, 0x01ff, 0x8000, 0xffff))
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(struct.pack(">IIBBBBB", 4, 1, 16, colour_type, 0, 0, 0), b"\0" + row))
    photo = read(path)
    assert photo.pixels[0].tolist() == [[v] * 3 for v in (1, 2, 128, 255)]
    assert photo.is_grey == (channels < 3)
    if channels in (2, 4):
        assert photo.alpha is not None and photo.alpha.tolist() == [[1, 2, 128, 255]]


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3)])
def test_of_sixteen_bit_colours_only_the_named_one_is_transparent(tmp_path, colour_type, channels):
    row = b"".join(struct.pack(">H", value) * channels for value in (0x0180, 0x0181))
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(struct.pack(">IIBBBBB", 2, 1, 16, colour_type, 0, 0, 0), b"\0" + row,
                               (b"tRNS", struct.pack(">H", 0x0181) * channels)))
    photo = read(path)
    assert photo.alpha is not None and photo.alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize(("depth", "scale"), [(1, 255), (2, 85), (4, 17), (8, 1)])
def test_grey_pngs_of_few_bits_keep_their_transparent_value(tmp_path, depth, scale):
    path = tmp_path / "a.png"
    row = bytes([0]) + (bytes([0, 1]) if depth == 8 else bytes([1 << (8 - 2 * depth)]))  # the values 0, 1
    ihdr = struct.pack(">IIBBBBB", 2, 1, depth, 0, 0, 0, 0)
    path.write_bytes(png_bytes(ihdr, row, (b"tRNS", struct.pack(">H", 1))))
    photo = read(path)
    assert photo.is_grey and photo.pixels[0, :, 0].tolist() == [0, scale]
    assert photo.alpha is not None and photo.alpha.tolist() == [[255, 0]]


def test_palette_pngs_keep_colours_and_transparency(tmp_path):
    image = Image.fromarray(scene()).quantize(17)
    path = saved(tmp_path / "a.png", image, transparency=bytes([0, 128, 255]))
    photo = read(path)
    expected = np.array(image.convert("RGB"))
    assert np.array_equal(photo.pixels, expected) and not photo.is_grey
    assert photo.alpha is not None and set(np.unique(photo.alpha)) == {0, 128, 255}
    again = np.array(Image.open(io.BytesIO(encode_photo(photo, photo.pixels, jpeg_quality=95))))
    expected[photo.alpha == 0] = 0  # what nobody sees is not passed on
    assert np.array_equal(again, np.dstack([expected, photo.alpha]))


@pytest.mark.parametrize(("mode", "profile", "kept"), [
    ("RGB", SRGB, SRGB), ("L", GREY_ICC, GREY_ICC), ("L", SRGB, None), ("RGB", GREY_ICC, None),
    ("RGB", b"not a profile" * 20, None), ("RGB", SRGB[:200], None), ("RGB", SRGB + b"CANARY-TAIL", SRGB),
])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_profile_is_kept_where_a_viewer_could_use_it(tmp_path, mode, profile, kept, format):
    image = Image.fromarray(scene()).convert(mode)
    photo = read(saved(tmp_path / "a", image, format=format, icc_profile=profile))
    assert photo.icc_profile == kept
    written = encode_photo(photo, photo.pixels, jpeg_quality=95)
    assert Image.open(io.BytesIO(written)).info.get("icc_profile") == kept


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "progressive", "PNG", "palette"]), st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8), st.floats(0.3, 1.2))
def test_damage_is_either_harmless_or_one_of_our_errors(tmp_path_factory, kind, hits, share):
    image = Image.fromarray(scene(24, 32))
    whole = io.BytesIO()
    if kind == "palette":
        image.quantize(9).save(whole, "PNG", transparency=3, icc_profile=SRGB)
    else:
        image.save(whole, "PNG" if kind == "PNG" else "JPEG", progressive=kind == "progressive", exif=b"Exif\0\0II*\0")
    damaged = bytearray(whole.getvalue())
    for where, value in hits:
        damaged[int(where * len(damaged))] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(damaged[: int(share * len(damaged))]))
    try:
        photo = read(path, max_pixels=100_000)
    except CloakError as error:
        assert str(error).startswith(str(path))
    else:
        assert photo.pixels.ndim == 3


# --- encoding ----------------------------------------------------------------------------------------------------


def test_no_canary_survives_and_only_the_profile_does(shared_data):
    planted = json.loads((shared_data / "photos" / "canaries.json").read_text())["must_be_gone"]["bytes"]
    path = shared_data / "photos" / "canaries.jpg"
    raw = path.read_bytes()
    assert all(canary.encode() in raw for canary in planted)
    photo = read(path)
    assert photo.icc_profile
    written = encode_photo(photo, photo.pixels, jpeg_quality=95)
    for canary in planted:
        assert canary.encode() not in written and canary.encode("utf-16-le") not in written
    # APP0 (JFIF), APP2 (ICC), tables, frame, scan: nothing else, and nothing after the end of the picture.
    assert set(markers(written)) <= {0xE0, 0xE2, 0xDB, 0xC0, 0xC4, 0xDA}
    assert written.endswith(b"\xff\xd9") and written.count(b"\xff\xd8\xff") == 1
    assert Image.open(io.BytesIO(written)).info["icc_profile"] == photo.icc_profile


def test_no_text_chunk_of_a_png_survives(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "CANARY-TEXT")
    text.add_itxt("XML:com.adobe.xmp", "CANARY-XMP")
    exif = Image.Exif()
    exif[0x010F] = "CANARY-MAKER"
    path = saved(tmp_path / "a.png", Image.fromarray(scene()), pnginfo=text, exif=exif, dpi=(300, 300),
                 icc_profile=SRGB)
    path.write_bytes(path.read_bytes() + b"CANARY-TAIL")
    photo = read(path)
    written = encode_photo(photo, photo.pixels, jpeg_quality=95)
    assert chunks(written) == {b"IHDR", b"iCCP", b"IDAT", b"IEND"} and b"CANARY" not in written


def test_chroma_is_not_subsampled_and_the_quality_counts(tmp_path):
    photo = read(saved(tmp_path / "a.jpg", Image.fromarray(scene())))
    chequers = np.zeros_like(photo.pixels)
    chequers[..., 0] = 255 * (np.indices((48, 64)).sum(0) % 2)  # red, every other pixel: 4:2:0 would make it one tone
    fine = encode_photo(photo, chequers, jpeg_quality=100)
    # component, horizontal and vertical sampling, quantisation table
    assert [layer[1:3] for layer in Image.open(io.BytesIO(fine)).layer] == [(1, 1)] * 3
    assert np.abs(decode_pixels(fine).astype(int) - chequers).mean() < 3
    assert len(encode_photo(photo, chequers, jpeg_quality=85)) < len(fine)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_png_is_lossless_and_keeps_its_channels(tmp_path, mode):
    image = Image.fromarray(np.dstack([scene(), scene()[..., 1] // 2 + 1])).convert(mode)
    photo = read(saved(tmp_path / "a.png", image))
    written = encode_photo(photo, photo.pixels, jpeg_quality=95)
    with Image.open(io.BytesIO(written)) as again:
        assert again.mode == mode and np.array_equal(np.array(again), np.array(image))
    assert np.array_equal(decode_pixels(written), photo.pixels)


def test_a_grey_jpeg_stays_grey_with_one_channel(shared_data):
    photo = read(shared_data / "photos" / "grey.jpg")
    written = encode_photo(photo, photo.pixels, jpeg_quality=95)
    assert Image.open(io.BytesIO(written)).mode == "L"
    assert decode_pixels(written).shape == photo.pixels.shape


def test_the_same_pixels_give_the_same_bytes(portrait):
    photo = read(portrait)
    for kind in (photo, Photo(photo.path, photo.pixels, "JPEG", photo.sha256)):
        first = encode_photo(kind, photo.pixels, jpeg_quality=95)
        assert first == encode_photo(kind, photo.pixels.copy(), jpeg_quality=95)


@pytest.mark.parametrize("quality", [85, 94, 95, 100])
def test_pure_noise_is_encoded_although_pillow_guesses_its_buffer_too_small(quality):
    noise = np.random.default_rng(0).integers(0, 2, (256, 256, 3), dtype=np.uint8) * 255
    photo = Photo(Path("noise.jpg"), noise, "JPEG", "")
    assert sniff(encode_photo(photo, noise, jpeg_quality=quality)) == "JPEG"


def test_pixels_of_another_size_are_a_defect_of_the_caller(portrait):
    photo = read(portrait)
    with pytest.raises(ValueError, match="expected uint8"):
        encode_photo(photo, photo.pixels[:-1], jpeg_quality=95)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_what_is_fully_transparent_is_not_in_the_file(tmp_path, format):
    """A face that was cut out by transparency alone could be had back by whoever drops the alpha."""
    rgba = np.random.default_rng(0).integers(1, 255, (24, 32, 4), np.uint8)
    rgba[:12, :, 3], rgba[12:, :, 3] = 0, 200
    source = tmp_path / "cut.picture"
    Image.fromarray(rgba).save(source, format, **({"lossless": True, "exact": True} if format == "WEBP" else {}))
    photo = read_photo(source, max_pixels=10**6)
    assert photo.pixels[:12].any(), "or the file never held anything there"
    with Image.open(io.BytesIO(encode_photo(photo, photo.pixels, jpeg_quality=95))) as after:
        made = np.array(after)
    assert not made[:12, :, :3].any() and np.array_equal(made[..., 3], rgba[..., 3])
    assert np.array_equal(made[12:], rgba[12:])


@pytest.mark.parametrize("change", [b"", b"more"])
def test_a_file_that_changes_while_it_is_read_is_refused(portrait, tmp_path, monkeypatch, change):
    source = tmp_path / "growing.png"
    source.write_bytes(portrait.read_bytes())
    real, seen = os.fstat, []

    def fstat(handle):
        if seen and not change:
            os.utime(source, ns=(5, 5))
        elif seen:
            source.write_bytes(portrait.read_bytes() + change)
        seen.append(handle)
        return real(handle)

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(PhotoUnreadable, match="growing.png: changed while it was read"):
        read_photo(source, max_pixels=10**7)
