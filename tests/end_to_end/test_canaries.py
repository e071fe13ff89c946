"""No secret comes through: canaries in every place of every format, under both profiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cloak.io_image import encode_photo, read_photo
from evaluation import canaries

ROOT = Path(__file__).resolve().parent.parent.parent
CASES = [*((format, False) for format in canaries.FORMATS), ("HEIF", True)]  # HEIC becomes JPEG unless it is kept
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/humanEdits"


@pytest.fixture(scope="module")
def planted(portrait):
    """The photo of each format with its canaries, made once."""
    with Image.open(portrait) as image:
        head = image.convert("RGB")
    picture, face = head.resize((320, 320)), head.crop((170, 20, 290, 140))
    return {format: canaries.plant(picture, face, format) for format in canaries.FORMATS}


@pytest.fixture(scope="module")
def photos(planted, tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("planted"), {}
    for format, keep_heic in CASES:
        path = folder / f"planted{canaries.SUFFIXES[format]}"
        path.write_bytes(planted[format].data)
        found[format, keep_heic] = read_photo(path, max_pixels=10**6, keep_heic=keep_heic)
    return found


@pytest.mark.parametrize("format", canaries.FORMATS)
def test_the_search_finds_every_canary_before_it_is_removed(planted, format):
    """Or the tests below would pass for a search that is blind."""
    one = planted[format]
    seen = canaries.inspect(one.data, one.canaries, "credit")
    assert set(seen.found) == {canary.name for canary in one.canaries} and len(seen.found) >= 30
    assert all(canary.needles and all(len(needle) >= 7 for needle in canary.needles) for canary in one.canaries)
    assert seen.pictures > 1 and len(seen.strange) > 40
    assert seen.kept == canaries.CREDIT


@pytest.mark.parametrize(("format", "keep_heic"), CASES)
@pytest.mark.parametrize("profile", canaries.PROFILES)
def test_no_canary_comes_through_and_a_credit_only_where_it_was_asked_for(planted, photos, format, keep_heic, profile):
    photo = photos[format, keep_heic]
    written = encode_photo(photo, photo.pixels, jpeg_quality=95, metadata=profile, source_type="humanEdits")
    seen = canaries.inspect(written, planted[format].canaries, profile)
    assert seen.found == ()
    assert seen.strange == ()
    assert seen.pictures == 1
    nothing = dict.fromkeys(canaries.CREDIT, "")
    assert (seen.kept, seen.source_type) == ((canaries.CREDIT, SOURCE_TYPE) if profile == "credit" else (nothing, ""))


@pytest.mark.parametrize("profile", canaries.PROFILES)
def test_the_photo_of_the_data_pack_loses_what_must_go(shared_data, profile):
    source = shared_data / "photos" / "canaries.jpg"
    lists = json.loads(source.with_suffix(".json").read_text())
    gone = [canaries.Canary(text, (text.encode(),)) for text in lists["must_be_gone"]["bytes"]]
    photo = read_photo(source, max_pixels=10**7)
    written = encode_photo(photo, photo.pixels, jpeg_quality=95, metadata=profile, source_type="humanEdits")
    seen = canaries.inspect(written, gone, profile)
    assert (seen.found, seen.strange, seen.pictures) == ((), (), 1)
    stay = {text for texts in lists["must_stay"].values() for text in texts}
    kept = {name: value for name, value in seen.kept.items() if value}
    assert kept.keys() == ({"creator", "credit", "copyright", "caption", "usage_terms", "source"}
                           if profile == "credit" else set())
    assert set(kept.values()) <= stay and b"KEEP-" in source.read_bytes()
    assert (b"KEEP-" in written) == (profile == "credit")


def test_the_committed_result_says_what_these_tests_say():
    document = json.loads((ROOT / "evaluation" / "results" / "metadata.json").read_text())
    assert {(run["format"], run["written_as"], run["profile"]) for run in document["runs"]} == {
        (format, "JPEG" if format == "HEIF" and not keep_heic else format, profile)
        for format, keep_heic in CASES for profile in canaries.PROFILES}
    assert document["summary"]["found"] == 0 and document["summary"]["distinct_canaries"] >= 25
    assert document["summary"]["credit_fields_kept"] == document["summary"]["credit_fields"] == 7 * len(CASES)
