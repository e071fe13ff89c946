"""A rebuilt profile shows the same colours and says nothing else."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from cloak.icc import colours_only

LITTLE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # version 4, parametric curves


@pytest.fixture(scope="module")
def hp(portrait) -> bytes:
    """The sRGB profile of nearly every camera and editor: version 2, curves of 1,024 points."""
    with Image.open(portrait) as image:
        return bytes(image.info["icc_profile"])


def entries(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    rows = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(count)]
    return {name: profile[at : at + size] for name, at, size in rows}


def build(header: bytes, tags: dict[bytes, bytes]) -> bytes:
    at, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    return struct.pack(">I", at + len(body)) + header[4:128] + table + body


def seen_as(profile: bytes) -> np.ndarray:
    """What littleCMS makes of every corner and many colours in between."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(colours), source, ImageCms.createProfile("LAB"),
                                                outputMode="LAB"))


@pytest.mark.parametrize("which", ["littleCMS", "HP"])
def test_every_colour_stays_and_every_word_goes(which, hp):
    profile = LITTLE if which == "littleCMS" else hp
    rebuilt = colours_only(profile)
    assert rebuilt is not None and len(rebuilt) <= len(profile)
    assert np.array_equal(seen_as(rebuilt), seen_as(profile))
    for word in (b"Hewlett", b"IEC http", b"Reference", b"lcms", b"MSFT", b"HP  ", b"No copyright".hex().encode()):
        assert word not in rebuilt
    assert rebuilt[24:36] == struct.pack(">6H", 1998, 2, 9, 6, 49, 0) and rebuilt[80:128] == bytes(48)
    assert set(entries(rebuilt)) <= {b"desc", b"cprt", b"wtpt", b"bkpt", b"chad", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC",
                                     b"gTRC", b"bTRC"}
    known = ImageCms.ImageCmsProfile(io.BytesIO(rebuilt))
    assert ImageCms.getProfileName(known).strip() == {"littleCMS": "sRGB built-in", "HP": "sRGB IEC61966-2.1"}[which]


def test_a_rebuilt_profile_stays_as_it_is(hp):
    for profile in (LITTLE, hp):
        once = colours_only(profile)
        assert once is not None and colours_only(once) == once == colours_only(profile + b"CANARY")


def test_a_displays_own_name_and_private_tags_go(hp):
    for profile in (LITTLE, hp):
        name = entries(profile)[b"desc"].replace(b"sRGB", b"Ann1").replace("sRGB".encode("utf-16-be"),
                                                                           "Ann1".encode("utf-16-be"))
        mine = build(profile, entries(profile) | {b"desc": name, b"mmod": b"text\0\0\0\0CANARY\0", b"vcgt": b"CANARY"})
        rebuilt = colours_only(mine)
        assert rebuilt is not None and b"CANARY" not in rebuilt
        assert b"Ann1" not in rebuilt and "Ann1".encode("utf-16-be") not in rebuilt
        assert np.array_equal(seen_as(rebuilt), seen_as(profile))
        assert ImageCms.getProfileName(ImageCms.ImageCmsProfile(io.BytesIO(rebuilt))).strip() == "RGB"


def test_words_behind_a_number_go_with_it():
    """A tag may be longer than its value."""
    tags = {name: value + b"CANARY!!" if value[:4] in (b"XYZ ", b"para", b"sf32") else value
            for name, value in entries(LITTLE).items()}
    rebuilt = colours_only(build(LITTLE, tags))
    assert rebuilt == colours_only(LITTLE)


def test_words_in_the_place_of_numbers_are_no_profile():
    tags = entries(LITTLE) | {b"rTRC": b"text\0\0\0\0CANARY\0"}
    assert colours_only(build(LITTLE, tags)) is None


def test_a_grey_profile_keeps_its_curve():
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)  # gamma 2.2 in 256ths
    grey = build(LITTLE[:16] + b"GRAY" + LITTLE[20:], {b"desc": b"", b"wtpt": entries(LITTLE)[b"wtpt"], b"kTRC": curve})
    rebuilt = colours_only(grey)
    assert rebuilt is not None and entries(rebuilt)[b"kTRC"] == curve
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    seen = [np.asarray(ImageCms.profileToProfile(ramp, ImageCms.ImageCmsProfile(io.BytesIO(one)),
                                                 ImageCms.createProfile("sRGB"), outputMode="RGB"))
            for one in (grey, rebuilt)]  # fmt: skip
    assert np.array_equal(*seen)


@pytest.mark.parametrize("end", range(0, len(LITTLE), 7))
def test_a_profile_that_is_cut_off_is_none(end):
    assert colours_only(LITTLE[:end]) is None


@given(st.data())
def test_no_damage_raises_or_grows(data):
    damaged = bytearray(LITTLE)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    rebuilt = colours_only(bytes(damaged))
    assert rebuilt is None or (len(rebuilt) < 4 * len(LITTLE) and colours_only(rebuilt) == rebuilt)
