"""What may go with the pixels: read by allow-list, written from scratch, and what exiftool makes of it."""

from __future__ import annotations

import io
import json
import struct
import subprocess
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cloak.metadata import Credit, blocks, read_credit

FULL = Credit(
    creator=("Zoë Ångström", "李 小龙", "A & B <c>"),
    credit="Agence «Exemple» / AFP",
    copyright="© 2026 Zoë Ångström; all rights \"reserved\"",
    caption="Protesters & police at the bridge, <not> far from ]]> the town hall, say 'no'.",
    headline="March for the river",
    usage_terms="No use by & for face recognition. See https://example.org/?a=1&b=2",
    source="Staff",
)  # fmt: skip
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

# Words as people write them, in any script, with XML's own signs; hypothesis thinks of the worst spaces and marks.
lines = st.text(st.characters(codec="utf-8"), max_size=120) | st.sampled_from(["<&>\"']]>", "👩‍👩‍👧 🏴", "a" * 5000])
credits = st.builds(Credit, creator=st.lists(lines, max_size=4).map(tuple),
                    **{f.name: lines for f in fields(Credit) if f.name != "creator"})


def read(**given):
    return read_credit(**({"exif": None, "iptc": None, "xmp": None} | given))


def packet(properties: str, *, attributes: str = "") -> bytes:
    return (f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
            f'xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" {attributes}>{properties}</rdf:Description>'
            "</rdf:RDF></x:xmpmeta>").encode()


def tiff(entries: list[tuple[int, int, int, bytes]], *, order: str = "<", following: int = 0) -> bytes:
    """One directory; each entry is (tag, type, count, its four bytes)."""
    body = b"".join(struct.pack(order + "HHI", *head) + value for *head, value in entries)
    return ((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries)) + body
            + struct.pack(order + "I", following))


def dataset(record: int, number: int, value: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


def jpeg_with(exif: bytes, iptc: bytes, xmp: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    resource = b"Photoshop 3.0\x008BIM\4\4\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    segments = [(0xE1, b"Exif\0\0" + exif), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp), (0xED, resource)]
    inserted = b"".join(struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body for marker, body in segments)
    return buffer.getvalue()[:2] + inserted + buffer.getvalue()[2:]


def exiftool(path, *options):
    run = subprocess.run(["exiftool", "-j", "-G1", "-struct", *options, path], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout)[0]


# --- there and back ----------------------------------------------------------------------------------------------


@given(credits)
def test_what_is_written_is_read_again(credit):
    written = blocks(credit, None)
    found = read_credit(**asdict(written))
    again = blocks(found, None)
    assert again == written
    assert read_credit(**asdict(again)) == found


@pytest.mark.parametrize("credit", [FULL, Credit(), Credit(creator=("x",)), Credit(usage_terms="y")], ids=str)
@pytest.mark.parametrize("source_type", [None, "humanEdits"])
def test_plain_words_come_back_as_they_were(credit, source_type):
    assert read_credit(**asdict(blocks(credit, source_type))) == credit


def test_each_block_alone_gives_what_it_has_a_place_for():
    written = blocks(FULL, "humanEdits")
    assert read(xmp=written.xmp) == FULL
    assert read(iptc=written.iptc) == replace(FULL, usage_terms="")
    assert read(exif=written.exif) == Credit(creator=FULL.creator, copyright=FULL.copyright, caption=FULL.caption)
    assert read(exif=b"Exif\0\0" + written.exif) == read(exif=written.exif)


def test_nothing_to_say_is_no_block_at_all():
    assert set(asdict(blocks(Credit(), None)).values()) == {b""}
    only_type = blocks(Credit(), "algorithmicallyEnhanced")
    assert (only_type.exif, only_type.iptc) == (b"", b"") and b"/algorithmicallyEnhanced<" in only_type.xmp
    assert read(xmp=only_type.xmp) == Credit()


def test_an_unknown_source_type_is_refused():
    with pytest.raises(ValueError, match="humanEdits"):
        blocks(FULL, "trainedAlgorithmicMedia")


@pytest.mark.parametrize("character", ["a", "&", "😀", "語"])
def test_the_longest_credit_fits_one_jpeg_segment_each(character):
    huge = Credit(tuple(str(i) + character * 9000 for i in range(99)), *[character * 9000] * 6)
    written = blocks(huge, "algorithmicallyEnhanced")
    assert len(written.xmp) <= 65533 - len(b"http://ns.adobe.com/xap/1.0/\0")
    assert len(written.exif) <= 65533 - 6 and len(written.iptc) <= 65533 - 100
    kept = read_credit(**asdict(written))
    assert kept.caption == character * 2000 and len(kept.creator) == 20


def test_iim_keeps_its_octets_and_never_half_a_letter():
    written = blocks(Credit(creator=("é" * 40,), credit="x" + "é" * 40, caption="語" * 1999), None)
    kept = read(iptc=written.iptc)
    assert kept == Credit(creator=("é" * 16,), credit="x" + "é" * 15, caption="語" * 666)


def test_the_same_words_give_the_same_bytes_and_no_trace_of_us():
    one, two = blocks(FULL, "humanEdits"), blocks(FULL, "humanEdits")
    assert one == two
    for word in (b"cloak", b"Pillow", b"CreatorTool", b"xmptk", b"History", b"uuid", b"Date", b"2026-"):
        assert word.lower() not in one.xmp.lower() + one.exif.lower() + one.iptc.lower()


# --- what others make of it --------------------------------------------------------------------------------------


def test_exiftool_reads_every_field_and_finds_nothing_else(tmp_path):
    written = blocks(FULL, "algorithmicallyEnhanced")
    path = tmp_path / "credit.jpg"
    path.write_bytes(jpeg_with(written.exif, written.iptc, written.xmp))
    kind = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
    expected = {
        "XMP-dc:Creator": list(FULL.creator), "XMP-photoshop:Credit": FULL.credit, "XMP-dc:Rights": FULL.copyright,
        "XMP-dc:Description": FULL.caption, "XMP-photoshop:Headline": FULL.headline,
        "XMP-xmpRights:UsageTerms": FULL.usage_terms, "XMP-photoshop:Source": FULL.source,
        "XMP-iptcExt:DigitalSourceType": kind,
        "IPTC:CodedCharacterSet": "UTF8", "IPTC:ApplicationRecordVersion": 4, "IPTC:By-line": list(FULL.creator),
        "IPTC:Credit": FULL.credit, "IPTC:CopyrightNotice": FULL.copyright, "IPTC:Caption-Abstract": FULL.caption,
        "IPTC:Headline": FULL.headline, "IPTC:Source": FULL.source,
        "IFD0:Artist": "; ".join(FULL.creator), "IFD0:Copyright": FULL.copyright,
        "IFD0:ImageDescription": FULL.caption,
    }  # fmt: skip
    found = exiftool(path, "-charset", "exif=utf8", "-EXIF:all", "-IPTC:all", "-XMP:all", "-MakerNotes:all")
    assert found.pop("SourceFile") and found == expected
    judged = subprocess.run(["exiftool", "-a", "-s3", "-validate", "-warning", "-error", path],
                            capture_output=True, text=True).stdout.splitlines()[1:]
    # It misses the resolution, which the JFIF header says; it finds nothing wrong with what is there.
    assert [line for line in judged if not line.startswith("Missing required JPEG IFD0 tag")] == []


def test_what_exiftool_writes_is_read(tmp_path):
    """The other way round: its XMP, IIM with the digest, big-endian EXIF with the usual company."""
    path = tmp_path / "other.jpg"
    Image.new("RGB", (8, 8)).save(path)
    subprocess.run([
        "exiftool", "-q", "-overwrite_original", "-charset", "iptc=utf8", "-IPTC:CodedCharacterSet=UTF8",
        *(f"-IPTC:By-line={name}" for name in ("Zoë", "Bo")), "-IPTC:Credit=c", "-IPTC:Caption-Abstract=été à Nîmes",
        "-IPTC:CopyrightNotice=r", "-IPTC:Headline=h", "-IPTC:Source=s", "-IPTC:City=GONE",
        "-XMP-dc:Creator=Zoë", "-XMP-dc:Rights-fr=droits", "-XMP-dc:Rights=rights", "-XMP-photoshop:City=GONE",
        "-XMP-xmpRights:UsageTerms-de=nur so", "-XMP-dc:Subject=GONE", "-XMP-xmpMM:DocumentID=GONE",
        "-EXIF:Artist=Ann; Bo", "-EXIF:Copyright=e", "-EXIF:Make=GONE", "-EXIF:SerialNumber=GONE", path,
    ], check=True)  # fmt: skip
    with Image.open(path) as image:
        exif, xmp = image.info["exif"], image.info["xmp"]
        (iptc,) = [body for name, body in image.applist if name == "APP13"]
    assert read(iptc=iptc) == Credit(("Zoë", "Bo"), "c", "r", "été à Nîmes", "h", "", "s")
    assert read(xmp=xmp) == Credit(creator=("Zoë",), copyright="rights", usage_terms="nur so")
    assert read(exif=exif) == Credit(creator=("Ann", "Bo"), copyright="e")
    assert read(exif=exif, iptc=iptc, xmp=xmp) == Credit(("Zoë",), "c", "rights", "été à Nîmes", "h", "nur so", "s")


def test_the_photo_of_canaries_keeps_its_credit_and_nothing_else(shared_data):
    with Image.open(shared_data / "photos" / "canaries.jpg") as image:
        exif, xmp = image.info["exif"], image.info["xmp"]
        (iptc,) = [body for name, body in image.applist if name == "APP13"]
    lists = json.loads((shared_data / "photos" / "canaries.json").read_text())
    stay = lists["must_stay"]
    alone = {"IPTC": read(iptc=iptc), "XMP": read(xmp=xmp), "EXIF": read(exif=exif)}
    for block, credit in alone.items():
        values = [*credit.creator, *(value for name, value in asdict(credit).items() if name != "creator" and value)]
        assert sorted(values) == sorted(stay[block])
    together = read(exif=exif, iptc=iptc, xmp=xmp)
    assert together == Credit(("KEEP-CREATOR",), "KEEP-XMPCREDIT", "KEEP-RIGHTS", "KEEP-CAPTION", "",
                              "KEEP-USAGETERMS", "KEEP-SOURCE")
    written = blocks(together, "humanEdits")
    for gone in lists["must_be_gone"]["bytes"]:
        assert gone.encode() not in written.xmp + written.iptc + written.exif


# --- the forms files come in -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("properties", "attributes"), [
    ("<dc:rights>R</dc:rights>", ""),
    ("", 'dc:rights="R"'),
    ('<dc:rights><rdf:Alt><rdf:li xml:lang="x-default"> R\n</rdf:li><rdf:li xml:lang="fr">D</rdf:li></rdf:Alt>'
     "</dc:rights>", ""),
    ('<dc:rights><rdf:Alt><rdf:li xml:lang="fr">D</rdf:li><rdf:li xml:lang="x-default">R</rdf:li></rdf:Alt>'
     "</dc:rights>", ""),
    ('<dc:rights><rdf:Alt><rdf:li xml:lang="en">R</rdf:li><rdf:li xml:lang="fr">D</rdf:li></rdf:Alt></dc:rights>', ""),
    ("<dc:rights><rdf:Bag><rdf:li>R</rdf:li></rdf:Bag></dc:rights>", ""),
    ("<dc:rights><![CDATA[R]]></dc:rights><!-- GONE -->", ""),
])  # fmt: skip
def test_every_form_of_an_xmp_property_is_read(properties, attributes):
    assert read(xmp=packet(properties, attributes=attributes)) == Credit(copyright="R")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_packet_in_any_unicode_encoding_is_read(encoding):
    text = '<?xpacket begin=""?>' + packet("<photoshop:Credit>Zoë 李</photoshop:Credit>").decode()
    assert read(xmp=text.encode(encoding) + b"\0\0\0\0") == Credit(credit="Zoë 李")


def test_a_property_inside_another_is_not_the_photos():
    """Ingredients, regions and derived-from carry whole descriptions of other pictures and of people."""
    inner = '<rdf:Description dc:rights="GONE"><dc:creator>GONE</dc:creator></rdf:Description>'
    for outer in ("photoshop:DerivedFrom", "dc:creator", "photoshop:Source"):
        assert read(xmp=packet(f"<{outer}>{inner}</{outer}>")) == Credit()
    item = '<rdf:li rdf:parseType="Resource"><dc:rights>GONE</dc:rights></rdf:li>'
    assert read(xmp=packet(f"<dc:creator><rdf:Seq>{item}</rdf:Seq></dc:creator>")) == Credit()


def test_a_property_of_the_same_name_in_another_namespace_is_not_read():
    foreign = packet('<dc:rights xmlns:dc="http://example.org/">GONE</dc:rights><dc:contributor>GONE</dc:contributor>')
    assert read(xmp=foreign) == Credit()


def test_iim_may_stand_bare_in_a_resource_or_among_others():
    words = dataset(2, 80, b"Ann") + dataset(2, 120, b"A town at night")
    bare = dataset(2, 0, b"\0\4") + words + dataset(2, 90, b"GONE")
    expected = Credit(creator=("Ann",), caption="A town at night")
    resource = b"8BIM\4\4\0\0" + struct.pack(">I", len(bare)) + bare + b"\0" * (len(bare) % 2)
    thumbnail = b"8BIM\4\x0c\3abc" + struct.pack(">I", 5) + b"GONE!\0"
    for block in (bare, bare + b"\0\0\0", resource, thumbnail + resource, b"Photoshop 3.0\0" + thumbnail + resource):
        assert read(iptc=block) == expected
    assert read(iptc=thumbnail) == Credit()


def test_iim_charsets():
    latin = dataset(2, 110, "Zoë".encode("latin-1"))
    assert read(iptc=latin) == Credit(credit="Zoë")
    assert read(iptc=dataset(1, 90, b"\x1b.A") + latin) == Credit(credit="Zoë")
    assert read(iptc=dataset(2, 110, "Zoë".encode())) == Credit(credit="Zoë")
    assert read(iptc=dataset(1, 90, b"\x1b%G") + latin) == Credit()  # says UTF-8 and is not: nothing, not a guess


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_in_both_byte_orders_with_values_inside_and_outside_their_entry(order):
    at = 8 + 2 + 36 + 4
    both = b"Photographer\0Editor\0"
    entries = [(0x010F, 2, 4, b"GON\0"), (315, 2, 3, b"Al\0\0"), (33432, 2, len(both), struct.pack(order + "I", at))]
    assert read(exif=tiff(entries, order=order) + both) == Credit(creator=("Al",), copyright="Photographer; Editor")


@pytest.mark.parametrize("caption", [
    "OLYMPUS DIGITAL CAMERA", "SONY DSC", "KONICA MINOLTA DIGITAL CAMERA", "Exif_JPEG_PICTURE", "Screenshot", "default",
    r"DCIM\100MEDIA\DJI_0012.JPG", "IMG_20260314_150926.jpg", "DSC_0815", "Processed with VSCO with a6 preset",
    "<Digimax S600 / Kenox S600>", '{"shape": [480, 640, 3]}',
    "filter: 0; fileterIntensity: 0.0; filterMask: 0; captureOrientation: 90;",
])  # fmt: skip
def test_what_a_machine_wrote_is_no_caption_wherever_it_stands(caption):
    entries = [(270, 2, len(caption) + 1, struct.pack("<I", 8 + 2 + 12 + 4))]
    assert read(exif=tiff(entries) + caption.encode() + b"\0") == Credit()
    assert read(iptc=dataset(2, 120, caption.encode())) == Credit()
    assert blocks(Credit(caption=caption), None) == blocks(Credit(), None)
    after = read(xmp=blocks(Credit(caption="x"), None).xmp.replace(b">x<", f">{caption}<".encode()
                 if "<" not in caption else b"><"), iptc=dataset(2, 120, b"What people wrote."))
    assert after == Credit(caption="What people wrote.")


@pytest.mark.parametrize(("words", "kept"), [
    ("oznor", ""), ("fbtlowlight", ""), ("抗议活动", "抗议活动"), ("A march.", "A march."), ("Nîmes", "Nîmes"),
])  # fmt: skip
def test_a_camera_mode_is_no_caption_and_a_persons_is(words, kept):
    raw = words.encode() + b"\0"
    assert read(exif=tiff([(270, 2, len(raw), struct.pack("<I", 26))]) + raw).caption == kept


def test_nothing_unseen_is_kept():
    hidden = "a\u200bb\u202ec\x00\x07\x9fd\U000e0041\U000e0101e\ufefff\ue000g\u2028h\r\n\t i\u00a0\u3000j\ufffe"
    assert blocks(Credit(caption=hidden), None) == blocks(Credit(caption="abcdefg h i j"), None)
    assert read(iptc=dataset(2, 120, hidden.encode())) == Credit(caption="abcdefg h i j")
    assert read_credit(**asdict(blocks(Credit(creator=("\ud800x",), headline="\x00"), None))) == Credit(creator=("x",))


# --- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["exif", "iptc", "xmp"])
def test_a_block_cut_anywhere_gives_whole_values_or_none(name):
    whole = getattr(blocks(FULL, "humanEdits"), name)
    complete = asdict(read(**{name: whole}))
    for end in range(len(whole)):
        for key, value in asdict(read(**{name: whole[:end]})).items():
            # Creators are a list of datasets in IIM; where the cut falls between two, nothing tells.
            assert not value or value == complete[key] or (key == "creator" and value == complete[key][: len(value)])


@given(st.data())
def test_no_damage_raises(data):
    name = data.draw(st.sampled_from(["exif", "iptc", "xmp"]))
    block = bytearray(getattr(blocks(FULL, "humanEdits"), name))
    for _ in range(data.draw(st.integers(1, 8))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(read(**{name: bytes(block)}), Credit)
    noise = data.draw(st.binary(max_size=60))
    for start in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"8BIM\4\4", b"\x1c\2P", b"<", b"\xff\xfe", b"\0<"):
        for key in ("exif", "iptc", "xmp"):
            assert isinstance(read(**{key: start + noise}), Credit)


BILLION = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefghi", "bcdefghij", strict=True)) + "]>"


@pytest.mark.parametrize("prologue", [
    BILLION, '<!DOCTYPE x [<!ENTITY j SYSTEM "file:///etc/passwd">]>', '<!DOCTYPE x SYSTEM "http://example.org/x.dtd">',
])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_packet_that_declares_entities_is_not_read(prologue, encoding):
    body = packet("<dc:rights>&j;</dc:rights><photoshop:Credit>c</photoshop:Credit>").decode()
    assert read(xmp=(prologue + body).encode(encoding)) == Credit()


@pytest.mark.parametrize("xmp", [
    packet("<a>" * 500_000 + "</a>" * 500_000), packet("<dc:rights>" + "x" * 5 * 2**20 + "</dc:rights>"),
    packet("<photoshop:Credit>&undefined;</photoshop:Credit>"), packet("<photoshop:Credit>\x00</photoshop:Credit>"),
    packet("<photoshop:Credit>x</photoshop:Credit>") + b"trailing", b"", b"\xff", b"<x/>",
], ids=["deep", "huge", "undefined", "zero", "trailing", "empty", "no text", "no packet"])  # fmt: skip
def test_a_packet_that_is_none_gives_nothing(xmp):
    assert read(xmp=xmp) == Credit()


def test_directories_that_point_at_themselves_or_beyond_are_not_followed():
    artist = (315, 2, 3, b"Al\0\0")
    pointers = [(0x8769, 4, 1, struct.pack("<I", 8)), (0x014A, 4, 1, struct.pack("<I", 8))]
    assert read(exif=tiff([artist, *pointers], following=8)) == Credit(creator=("Al",))
    for count, where in ((2**32 - 1, 8), (100, 20), (5, 2**32 - 1)):
        lying = (33432, 2, count, struct.pack("<I", where))
        assert read(exif=tiff([artist, lying])) == Credit(), "a block with a wrong length is damaged as a whole"
    assert read(exif=b"II*\0" + struct.pack("<I", 2**32 - 1)) == Credit()
    crowd = tiff([artist] + [(315, 2, 3_000_000, struct.pack("<I", 8))] * 65_000) + b"A" * 3_000_000
    assert read(exif=crowd) == Credit(creator=("Al",))  # in passing: only the first of a tag is looked at
    assert read(exif=b"II*\0" + struct.pack("<IH", 8, 65535) + b"\0" * 24) == Credit()


@pytest.mark.parametrize("tail", [
    b"\x1c\2P\0\x20short", b"\x1c\2P\x80\x04\xff\xff\xff\xffx", b"\x1c\2P\xff\xff", b"\x1c", b"\x1d\2P\0\1x", b"\0\0x",
])  # fmt: skip
def test_iim_with_a_wrong_length_gives_nothing(tail):
    assert read(iptc=dataset(2, 80, b"Ann") + tail) == Credit()
    resource = b"8BIM\4\4\0\0" + struct.pack(">I", 10_000) + dataset(2, 80, b"Ann")
    assert read(iptc=resource) == Credit()


def test_iim_of_the_largest_size_is_read_in_passing():
    """Linear in its bytes: at four megabytes anything else would never end."""
    many = dataset(2, 25, b"") * (4 * 2**20 // 5 - 10) + dataset(2, 80, b"Ann")
    assert read(iptc=many) == Credit(creator=("Ann",))
