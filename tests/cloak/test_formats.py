"""Every format, in and out: what is kept, what is said, and what is refused."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, TiffImagePlugin

from cloak import colour
from cloak.errors import CloakError, PhotoTooLarge, PhotoUnreadable, PhotoUnsupported
from cloak.formats import sniff
from cloak.icc import colours_only
from cloak.io_image import decode_pixels, encode_photo, read_photo
from cloak.metadata import Blocks, Credit
from cloak.types import Photo

SRGB = colour.srgb_profile()
GREY_ICC = colours_only(SRGB[:16] + b"GRAY" + SRGB[20:].replace(b"rTRC", b"kTRC", 1))
LOSSLESS = {"PNG", "TIFF"}


def scene(height: int = 72, width: int = 96) -> np.ndarray:
    """(H, W, 4), smooth and without symmetry, so that any wrong turn or swapped channel shows."""
    y, x = np.mgrid[0:height, 0:width]
    values = [x * 200 / width, y * 255 / height, 40 + (x + 2 * y) / 2, 255 - x * 255 / width]
    return np.stack(values, -1).astype(np.uint8)


def picture(mode: str) -> Image.Image:
    values = scene()
    if mode == "CMYK":
        return Image.fromarray(values[..., :3]).convert("CMYK")
    if mode == "P":
        return Image.fromarray(values[..., :3]).quantize(64)
    return Image.fromarray(values).convert(mode)


def packed(image: Image.Image, format: str, **options: object) -> bytes:
    """The bytes of a file, of good quality unless the options say otherwise."""
    buffer = io.BytesIO()
    if format == "HEIF":
        pillow_heif.encode(image.mode, image.size, image.tobytes(), buffer, quality=95,
                           enc_params={"chroma": "444", "preset": "ultrafast"}, **options)
        return buffer.getvalue()
    good = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True, "exact": True},
            "AVIF": {"quality": 97, "subsampling": "4:0:0" if image.mode in ("L", "LA") else "4:4:4", "speed": 10}}
    image.save(buffer, format, **{**good.get(format, {}), **options})
    return buffer.getvalue()


def read(data: bytes, folder: Path, **options: object) -> Photo:
    path = folder / "photo"
    path.write_bytes(data)
    return read_photo(path, **{"max_pixels": 10**7, **options})


MODES = {
    "JPEG": ("L", "RGB"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "HEIF": ("L", "LA", "RGB", "RGBA"),
    "AVIF": ("L", "LA", "RGB", "RGBA"),
}


@pytest.mark.parametrize(("format", "mode"), [(f, m) for f, modes in MODES.items() for m in modes])
def test_size_colour_profile_and_alpha_are_kept_in_kind(tmp_path, format, mode):
    image = picture(mode)
    is_grey = mode in ("1", "L", "LA")
    profile = GREY_ICC if is_grey else SRGB
    photo = read(packed(image, format, icc_profile=profile), tmp_path, keep_heic=True)
    written = encode_photo(photo, photo.pixels, jpeg_quality=95)
    again = read(written, tmp_path, keep_heic=True)
    assert sniff(written) == format == again.format
    expected = np.array(image.convert("RGBA"))
    is_exact = format in LOSSLESS or format == "WEBP"
    for one in (photo, again):
        assert one.pixels.shape == expected[..., :3].shape
        assert np.abs(one.pixels.astype(int) - expected[..., :3]).mean() < (0.01 if is_exact else 2.5)
        assert one.is_grey == is_grey and one.icc_profile == profile and one.notes == ()
        if mode in ("LA", "RGBA"):
            assert one.alpha is not None
            assert np.abs(one.alpha.astype(int) - expected[..., 3]).max() <= (0 if is_exact else 3)
        else:
            assert one.alpha is None
    if is_exact:
        assert np.array_equal(again.pixels, photo.pixels)
    assert np.array_equal(decode_pixels(written), again.pixels)
    assert written == encode_photo(photo, photo.pixels.copy(), jpeg_quality=95), "the same bytes every time"


def test_heic_becomes_jpeg_unless_asked(tmp_path):
    data = packed(picture("RGB"), "HEIF", icc_profile=SRGB)
    photo = read(data, tmp_path)
    written = encode_photo(photo, photo.pixels, jpeg_quality=95)
    assert photo.format == "HEIF" and photo.output_format == "JPEG" == sniff(written)
    assert "HEIF became JPEG" in photo.notes and read(written, tmp_path).icc_profile == SRGB
    assert "HEIF became JPEG" not in read(data, tmp_path, keep_heic=True).notes
    with pytest.raises(PhotoUnsupported, match="transparent parts.*--keep-heic"):
        read(packed(picture("RGBA"), "HEIF"), tmp_path)


def test_lossy_webp_stays_lossy_at_the_asked_quality_and_says_what_that_costs(tmp_path):
    photo = read(packed(picture("RGB"), "WEBP", lossless=False, quality=90), tmp_path)
    assert not photo.is_lossless and any("4:2:0" in note for note in photo.notes)
    fine, coarse = (encode_photo(photo, photo.pixels, jpeg_quality=q) for q in (100, 85))
    assert b"VP8 " in fine[:64] and len(coarse) < len(fine)
    lossless = read(packed(picture("RGB"), "WEBP"), tmp_path)
    assert lossless.is_lossless and not lossless.notes
    assert np.array_equal(decode_pixels(encode_photo(lossless, lossless.pixels, jpeg_quality=85)), lossless.pixels)


# --- orientation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("format", MODES)
def test_all_eight_orientations_come_out_upright_in_every_format(tmp_path, format, number):
    """Stored turned, with the tag that turns it back. HEIC and AVIF get `irot` and `imir` from these writers."""
    upright = scene()[..., :3]
    undo = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[number]
    stored = Image.fromarray(turned(upright, undo))
    exif = Image.Exif()
    exif[0x0112] = number
    options = {"tiffinfo": {0x0112: number}} if format == "TIFF" else {"exif": exif.tobytes()}
    photo = read(packed(stored, format, **options), tmp_path, keep_heic=True)
    assert photo.pixels.shape == upright.shape
    assert np.abs(photo.pixels.astype(int) - upright).mean() < 2.5
    again = read(encode_photo(photo, photo.pixels, jpeg_quality=95), tmp_path, keep_heic=True)
    assert np.abs(again.pixels.astype(int) - upright).mean() < 2.5


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """By Pillow's own table, which is not the one under test."""
    move = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
            7: "TRANSVERSE", 8: "ROTATE_90"}.get(orientation)
    image = Image.fromarray(pixels)
    return np.array(image if move is None else image.transpose(Image.Transpose[move]))


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_exif_does_not_turn_what_the_boxes_turn(tmp_path, format):
    """Phones write both, and turning twice shows people upside down; browsers ignore EXIF here."""
    make, turn = (struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, tag, 3, 1, 6, 0) for tag in (0x0113, 0x0112))
    data = packed(picture("RGB"), format, exif=make)  # given as another tag: the writers would make `irot` of it
    assert make in data
    assert read(data.replace(make, turn), tmp_path).pixels.shape == (72, 96, 3)


def test_xmp_does_not_turn_a_tiff(tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info.tagtype[700] = 1
    info[700] = xmp
    assert read(packed(picture("RGB"), "TIFF", tiffinfo=info), tmp_path).pixels.shape == (72, 96, 3)


# --- depth -------------------------------------------------------------------------------------------------------

DEEP = np.random.default_rng(0).integers(0, 65536, (40, 60, 4)).astype(np.uint16)


def exact(values: np.ndarray) -> np.ndarray:
    """To the nearest of 256 levels, in whole numbers."""
    return ((values.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("suffix", "options"), [
    (".png", []), (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 1]), (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
    (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 8]),
])
def test_sixteen_bits_become_eight_to_the_nearest_and_say_so(tmp_path, channels, suffix, options):
    values = DEEP[..., :channels].squeeze()
    stored = values[..., [2, 1, 0, 3][:channels]] if channels > 1 else values
    photo = read(cv2.imencode(suffix, stored, options)[1].tobytes(), tmp_path)
    expected = exact(values)
    assert np.array_equal(photo.pixels, expected[..., :3] if channels > 1 else np.dstack([expected] * 3))
    assert photo.is_grey == (channels == 1)
    if channels == 4:
        assert photo.alpha is not None and np.array_equal(photo.alpha, expected[..., 3])
    assert photo.notes == ("16 bits per channel became 8",)
    again = read(encode_photo(photo, photo.pixels, jpeg_quality=95), tmp_path)
    shown = np.ones(photo.pixels.shape[:2], bool) if photo.alpha is None else photo.alpha > 0
    assert np.array_equal(again.pixels[shown], photo.pixels[shown]) and again.notes == ()


def test_the_sixteen_bit_files_of_the_data_pack_are_read_exactly(shared_data):
    for name in ("rgb16.png", "grey16.png"):
        path = shared_data / "photos" / name
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        photo = read_photo(path, max_pixels=10**7)
        assert np.array_equal(photo.pixels, exact(raw[..., ::-1] if raw.ndim == 3 else np.dstack([raw] * 3)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_ten_bit_heic_is_read_and_says_so(tmp_path, mode):
    values = np.array(picture(mode)).astype(np.uint16) * 257
    buffer = io.BytesIO()
    pillow_heif.encode(mode + ";16", (96, 72), values.tobytes(), buffer, quality=95, chroma=444)
    photo = read(buffer.getvalue(), tmp_path, keep_heic=True)
    assert "10 bits per channel became 8" in photo.notes and photo.is_grey == (mode == "L")
    assert np.abs(photo.pixels.astype(int) - np.array(picture(mode).convert("RGB"))).mean() < 2


def test_hdr_is_named(tmp_path):
    data = packed(picture("RGB"), "HEIF", color_primaries=9, transfer_characteristics=16, matrix_coefficients=9,
                  full_range_flag=1)
    notes = read(data, tmp_path).notes
    assert any("HDR (PQ)" in note for note in notes) and any("primaries 9" in note for note in notes)


# --- CMYK --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile_becomes_rgb_with_a_warning(tmp_path, format):
    photo = read(packed(picture("CMYK"), format), tmp_path)
    assert np.abs(photo.pixels.astype(int) - scene()[..., :3]).mean() < 2.5
    assert any("CMYK" in note and "approximate" in note for note in photo.notes)
    assert photo.icc_profile == SRGB
    written = encode_photo(photo, photo.pixels, jpeg_quality=95)
    with Image.open(io.BytesIO(written)) as again:
        assert again.mode == "RGB" and again.info["icc_profile"] == SRGB and again.format == format


def test_the_cmyk_jpeg_of_the_data_pack_looks_like_its_rgb_twin(shared_data):
    photo = read_photo(shared_data / "photos" / "cmyk.jpg", max_pixels=10**7)
    twin = read_photo(shared_data / "photos" / "two-faces.jpg", max_pixels=10**7)
    assert np.abs(photo.pixels.astype(int) - twin.pixels).mean() < 6


def cmyk_profile() -> bytes:
    """A small profile of a device that prints exactly 1 - ink: a table (mft1) of 2^4 corners to Lab of sRGB."""
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    corners = []
    for index in range(16):
        c, m, y, k = (index >> shift & 1 for shift in (3, 2, 1, 0))
        colour_of = tuple(int(255 * (1 - ink) * (1 - k)) for ink in (c, m, y))
        corner = ImageCms.applyTransform(Image.new("RGB", (1, 1), colour_of), to_lab)
        level, a, b = np.asarray(corner)[0, 0]
        corners += [int(level), (int(a) + 128) % 256, (int(b) + 128) % 256]
    ramp = bytes(range(256))
    identity = b"".join(struct.pack(">i", 65536 if i % 4 == 0 else 0) for i in range(9))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + bytes(corners) + ramp * 3
    tags = {b"A2B0": table, b"A2B1": table, b"wtpt": b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061),
            b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"made\0" + bytes(78)}
    start = 128 + 4 + 12 * len(tags)
    entries, body = b"", b""
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        entries += name + struct.pack(">II", start + len(body), len(value))
        body += value
    head = bytearray(128)
    head[8:12], head[12:16], head[16:20], head[20:24] = b"\x02\x40\0\0", b"prtr", b"CMYK", b"Lab "
    head[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    head[36:40], head[68:80] = b"acsp", struct.pack(">iii", 63190, 65536, 54061)
    made = bytes(head) + struct.pack(">I", len(tags)) + entries + body
    return struct.pack(">I", len(made)) + made[4:]


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_own_profile(tmp_path, format):
    """Full cyan is (0, 255, 255) in this profile; a mistaken inversion would give red."""
    inks = Image.new("CMYK", (64, 64), (255, 0, 0, 0))
    photo = read(packed(inks, format, icc_profile=cmyk_profile()), tmp_path)
    assert photo.notes == ("CMYK became sRGB by its colour profile",) and photo.icc_profile == SRGB
    assert np.abs(photo.pixels.astype(int) - (0, 255, 255)).max() < 12


def test_the_profile_we_add_tells_no_time():
    import time
    year = struct.pack(">H", time.gmtime().tm_year)
    assert SRGB[24:26] != year and SRGB == colour.srgb_profile()
    opened = ImageCms.ImageCmsProfile(io.BytesIO(SRGB))
    assert "sRGB" in ImageCms.getProfileDescription(opened)


# --- refused by name ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("format", "words"), [
    ("PNG", "animated PNG with 3 frames"), ("WEBP", "animated WebP"), ("AVIF", "animation"), ("TIFF", "3 pages"),
    ("GIF", "found GIF"),
])
def test_animations_and_pages_are_refused_by_name(tmp_path, format, words):
    frames = [Image.fromarray(np.roll(scene()[..., :3], i, axis=1)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format, save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(PhotoUnsupported, match=words):
        read(buffer.getvalue(), tmp_path)


def test_a_heic_of_two_pictures_is_refused_and_one_with_a_thumbnail_is_read(tmp_path):
    file = pillow_heif.from_pillow(picture("RGB"))
    file.add_from_pillow(Image.fromarray(255 - scene()[..., :3]))
    buffer = io.BytesIO()
    file.save(buffer)
    with pytest.raises(PhotoUnsupported, match="2 pictures"):
        read(buffer.getvalue(), tmp_path)
    data = packed(picture("RGB"), "HEIF", thumbnails=[32])
    assert len(data) > len(packed(picture("RGB"), "HEIF")) and read(data, tmp_path).pixels.shape == (72, 96, 3)


def tiff_with(tags: dict[int, tuple[int, object]], *, then: bytes = b"") -> bytes:
    """An uncompressed RGB TIFF with more tags: number -> (type, value)."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, (kind, value) in tags.items():
        info.tagtype[tag] = kind
        info[tag] = value
    return packed(picture("RGB"), "TIFF", tiffinfo=info) + then


@pytest.mark.parametrize(("data", "words"), [
    (tiff_with({50706: (1, b"\1\4\0\0")}), "DNG"), (tiff_with({254: (4, 1)}), "camera raw"),
    (b"II*\0\x10\0\0\0CR\x02\0" + bytes(64), "camera raw"), (b"\0\0\0\x18ftypcrx " + bytes(64), "camera raw"),
    (b"FUJIFILMCCD-RAW " + bytes(64), "camera raw"), (b"IIRO\x08\0\0\0" + bytes(64), "camera raw"),
])
def test_camera_raw_is_refused_by_name(tmp_path, data, words):
    with pytest.raises(PhotoUnsupported, match=words):
        read(data, tmp_path)


def test_a_tiff_with_a_preview_behind_it_is_read_and_the_preview_dropped(tmp_path):
    preview = Image.new("RGB", (24, 18), (255, 0, 255))
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[254] = 1
    preview.encoderinfo = {"tiffinfo": info}
    buffer = io.BytesIO()
    picture("RGB").save(buffer, "TIFF", save_all=True, append_images=[preview])
    photo = read(buffer.getvalue(), tmp_path)
    assert np.array_equal(photo.pixels, scene()[..., :3])
    with Image.open(io.BytesIO(encode_photo(photo, photo.pixels, jpeg_quality=95))) as again:
        assert again.n_frames == 1


@pytest.mark.parametrize("options", [
    {}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}, {"compression": "packbits"},
    {"compression": "jpeg", "quality": 95}, {"tiffinfo": {322: 32, 323: 32}, "compression": "tiff_lzw"},
    {"big_tiff": True}, {"strip_size": 1024},
])
def test_the_usual_layouts_of_tiff_are_read(tmp_path, options):
    photo = read(packed(picture("RGB"), "TIFF", **options), tmp_path)
    assert np.abs(photo.pixels.astype(int) - scene()[..., :3]).mean() < (2.5 if "quality" in options else 0.01)


# --- bombs and damage --------------------------------------------------------------------------------------------


def bomb(format: str) -> bytes:
    """A file that claims 60000 x 60000 (WebP: 16383 x 16383, all it can) by its header."""
    data = packed(picture("RGB"), format)
    big = struct.pack(">II", 60000, 60000)
    if format == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", 60000, 60000) + data[at + 4 :]
    if format == "PNG":
        import zlib
        body = b"IHDR" + big + data[24:29]
        return data[:12] + body + struct.pack(">I", zlib.crc32(body)) + data[33:]
    if format == "WEBP":
        at = data.index(b"VP8L") + 9
        return data[:at] + struct.pack("<I", 16382 | 16382 << 14) + data[at + 4 :]
    if format == "TIFF":
        for tag, value in ((256, 96), (257, 72)):
            for kind, code in ((3, "<HHIHH"), (4, "<HHII")):
                old = struct.pack(code, tag, kind, 1, value, *([0] if kind == 3 else []))
                data = data.replace(old, struct.pack("<HHII", tag, 4, 1, 60000))
        return data
    return data.replace(b"ispe" + bytes(4) + struct.pack(">II", 96, 72), b"ispe" + bytes(4) + big)


@pytest.mark.parametrize("format", MODES)
def test_a_bomb_is_refused_by_its_header_and_takes_no_memory(tmp_path, format):
    path = tmp_path / "bomb"
    path.write_bytes(bomb(format))
    # In a process of its own, with 100 MB of room: a decoder that allocated would be killed or raise MemoryError.
    code = (
        "import resource, sys, pathlib\n"
        "import cloak.io_image as io_image\n"
        "from cloak.errors import PhotoTooLarge\n"
        "room = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + 100 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (room, room))\n"
        "try:\n    io_image.read_photo(pathlib.Path(sys.argv[1]), max_pixels=120_000_000)\n"
        "except PhotoTooLarge as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code, str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert ("16383 x 16383" if format == "WEBP" else "60000 x 60000") in run.stdout


def test_the_limit_holds_in_every_format(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own must play no part
    for format in MODES:
        data = packed(picture("RGB"), format)
        assert read(data, tmp_path, max_pixels=96 * 72).pixels.shape == (72, 96, 3)
        with pytest.raises(PhotoTooLarge, match="the limit is 6,911"):
            read(data, tmp_path, max_pixels=96 * 72 - 1)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (72, 96, 3), dtype=np.uint8))


@pytest.mark.parametrize(("format", "options"), [
    ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": False}),
    ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}), ("HEIF", {}), ("AVIF", {}),
])
def test_a_file_cut_anywhere_never_gives_a_picture(tmp_path, format, options):
    data = packed(NOISE, format, **options)
    assert read(data, tmp_path).pixels.shape == (72, 96, 3)
    few = range(64, len(data), max(1, len(data) // 60))
    for end in sorted({*range(1, 64), *few, *range(len(data) - 8, len(data))}):
        with pytest.raises((PhotoUnreadable, PhotoUnsupported)):
            read(data[:end], tmp_path)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 8}])
def test_a_jpeg_with_a_hole_but_a_proper_end_is_refused(tmp_path, options):
    """libjpeg fills the rest with grey and only warns, which Pillow hides."""
    data = packed(NOISE, "JPEG", **options)
    scan = data.index(b"\xff\xda")
    for share in (0.2, 0.5, 0.8):
        end = scan + int(share * (len(data) - scan))
        with pytest.raises(PhotoUnreadable, match="damaged"):
            read(data[:end] + b"\xff\xd9", tmp_path)


@pytest.mark.parametrize("padding", [b"\0" * 700, b"\xff" * 9, b"\0\0", b"stray"])
def test_padding_before_the_end_of_a_jpeg_is_no_damage(tmp_path, padding):
    """Some cameras write it."""
    data = packed(NOISE, "JPEG")
    assert np.array_equal(read(data[:-2] + padding + data[-2:], tmp_path).pixels, read(data, tmp_path).pixels)
    with pytest.raises(PhotoUnreadable, match="extraneous bytes"):
        read(data[:-2] + bytes(range(1, 71)) * 10 + data[-2:], tmp_path)


def test_healthy_jpegs_are_read_as_pillow_reads_them(shared_data):
    paths = [*sorted((shared_data / "photos" / "dlib-faces").glob("*.jpg")),
             *sorted((shared_data / "lfw-dev").glob("*/*.jpg"))[::200]]
    assert len(paths) > 40
    for path in paths:
        with Image.open(path) as image:
            assert np.array_equal(read_photo(path, max_pixels=10**7).pixels, np.array(image.convert("RGB"))), path


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(MODES)), st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8), st.floats(0.3, 1.2))
def test_damage_in_any_format_is_either_harmless_or_one_of_our_errors(tmp_path_factory, format, hits, share):
    damaged = bytearray(WHOLE[format])
    for where, value in hits:
        damaged[int(where * len(damaged))] = value
    path = tmp_path_factory.getbasetemp() / "damaged-in-any"
    path.write_bytes(bytes(damaged[: int(share * len(damaged))]))
    try:
        photo = read_photo(path, max_pixels=100_000)
    except CloakError as error:
        assert str(error).startswith(str(path)) and "Nothing was" in str(error)
    else:
        assert photo.pixels.ndim == 3


WHOLE = {format: packed(Image.fromarray(scene(24, 32)[..., :3]), format) for format in MODES}


# --- credit ------------------------------------------------------------------------------------------------------

TIFF_HEAD = b"II*\0\x08\0\0\0"
# Artist = "Ada L.", as a block of its own
EXIF = TIFF_HEAD + struct.pack("<HHHIII", 1, 315, 2, 7, 26, 0) + b"Ada L.\0"
PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><!-- the packet --></x:xmpmeta>'
IIM = b"\x1c\x02\x50\x00\x06Ada L."


@pytest.fixture
def seen(monkeypatch):
    """What `read_credit` is given; and `blocks` says the three blocks above."""
    given: dict[str, bytes | None] = {}

    def read_credit(*, exif, iptc, xmp):
        given.update(exif=exif, iptc=iptc, xmp=xmp)
        return Credit(creator=("Ada L.",))

    def blocks(credit, source_type):
        assert credit == Credit(creator=("Ada L.",)) and source_type == "humanEdits"
        return Blocks(EXIF, PACKET, IIM)

    monkeypatch.setattr("cloak.io_image.read_credit", read_credit)
    monkeypatch.setattr("cloak.io_image.blocks", blocks)
    return given


@pytest.mark.parametrize("format", MODES)
def test_a_credit_is_embedded_where_the_format_has_a_place_and_read_from_there(tmp_path, seen, format):
    photo = read(packed(picture("RGB"), format, icc_profile=SRGB), tmp_path, keep_heic=True)
    bare = encode_photo(photo, photo.pixels, jpeg_quality=95)
    assert not any(part in bare for part in (b"Ada L.", b"the packet", b"xmpmeta"))
    read(bare, tmp_path, keep_heic=True)
    assert seen == {"exif": None, "iptc": None, "xmp": None}
    written = encode_photo(photo, photo.pixels, jpeg_quality=95, metadata="credit", source_type="humanEdits")
    again = read(written, tmp_path, keep_heic=True)
    assert np.array_equal(again.pixels, decode_pixels(bare)) and again.icc_profile == SRGB
    assert again.credit == Credit(creator=("Ada L.",))
    assert seen["xmp"] is not None and seen["xmp"].strip(b"\0") == PACKET
    assert seen["exif"] is not None and b"Ada L.\0" in seen["exif"]
    assert seen["exif"].removeprefix(b"Exif\0\0").startswith((b"II*\0", b"MM\0*"))
    assert (seen["iptc"] is not None and IIM in seen["iptc"]) == (format in ("JPEG", "TIFF"))


def test_the_blocks_of_a_jpeg_stand_where_other_programs_look(tmp_path, seen):
    photo = read(packed(picture("RGB"), "JPEG", icc_profile=SRGB), tmp_path)
    written = encode_photo(photo, photo.pixels, jpeg_quality=95, metadata="credit", source_type="humanEdits")
    with Image.open(io.BytesIO(written)) as image:  # Pillow's parsers, not ours
        assert image.getexif()[315] == "Ada L." and image.info["xmp"] == PACKET
        assert image.info["photoshop"] == {0x0404: IIM} and image.info["icc_profile"] == SRGB
        assert "jfif" in image.info


def test_the_tags_of_a_tiff_stand_where_other_programs_look(tmp_path, seen):
    photo = read(packed(picture("RGB"), "TIFF"), tmp_path)
    written = encode_photo(photo, photo.pixels, jpeg_quality=95, metadata="credit", source_type="humanEdits")
    with Image.open(io.BytesIO(written)) as image:
        assert image.tag_v2[315] == "Ada L." and image.tag_v2[700] == PACKET and image.tag_v2[33723] == IIM
        layout = {254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 339}
        assert set(image.tag_v2) <= layout | {315, 700, 33723}


def test_photoshop_blocks_of_a_tiff_count_where_it_has_no_iptc_of_its_own(tmp_path, seen):
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IIM)) + IIM + bytes(len(IIM) % 2)
    read(tiff_with({34377: (1, resource), 315: (2, "Ada L.")}), tmp_path)
    assert seen["iptc"] == resource and seen["exif"] is not None and b"Ada L.\0" in seen["exif"]


# --- boxes -------------------------------------------------------------------------------------------------------


def test_a_heic_in_tiles_as_phones_write_it_is_one_picture_and_read_whole(tmp_path):
    image = Image.fromarray(scene(300, 420)[..., :3])
    data = packed(image, "HEIF", tile_size=128)
    assert data.count(b"hvc1") > 6
    photo = read(data, tmp_path)
    assert photo.pixels.shape == (300, 420, 3)
    assert np.abs(photo.pixels.astype(int) - np.array(image)).mean() < 2


def test_an_avif_that_hides_pixels_by_cropping_is_refused(tmp_path):
    """libavif would show what `clap` cuts off; the renamed property stands for one."""
    data = packed(picture("RGB"), "AVIF")
    assert data.count(b"pixi") == 1
    with pytest.raises(PhotoUnsupported, match="cropped"):
        read(data.replace(b"pixi", b"clap"), tmp_path)


@pytest.mark.parametrize("format", MODES)
def test_what_is_written_says_nothing_of_who_wrote_it(tmp_path, format):
    """No thumbnail, no program, no time; encoders like to leave their name and settings."""
    photo = read(packed(picture("RGB"), format, icc_profile=SRGB), tmp_path, keep_heic=True)
    written = encode_photo(photo, photo.pixels, jpeg_quality=95).replace(SRGB, b"").lower()
    for name in (b"x265", b"pillow", b"libheif", b"libavif", b"aom", b"python", b"libtiff", b"cloak", b"lavc"):
        assert name not in written, name


def test_a_large_heic_is_written_in_tiles(tmp_path):
    wide = np.ascontiguousarray(scene(16, 5000)[..., :3])
    photo = Photo(tmp_path / "a.heic", wide, "HEIF", "", keep_heic=True)
    written = encode_photo(photo, wide, jpeg_quality=95)
    assert b"grid" in written
    again = read(written, tmp_path)
    assert again.pixels.shape == wide.shape and np.abs(again.pixels.astype(int) - wide).mean() < 2
