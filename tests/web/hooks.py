"""What schemathesis sends as a photo: small ones, broken ones, and bytes that are none."""

from __future__ import annotations

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image


def _photo(format: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (16, 16), "grey").save(data, format)
    return data.getvalue()


WHOLE = [_photo(format) for format in ("JPEG", "PNG", "WEBP", "TIFF", "GIF")]

schemathesis.openapi.format("binary", st.one_of(
    st.sampled_from(WHOLE), st.sampled_from(WHOLE).flatmap(lambda one: st.integers(0, len(one)).map(lambda n: one[:n])),
    st.binary(max_size=300), st.sampled_from([b"matched", b"noface"])))  # words of the stub worker
