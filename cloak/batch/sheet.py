"""The contact sheet of a batch: every written file, small, with a number, its name and how it stands.

Made from outputs only, and only from those that are, byte for byte, what the ledger says was written: no input, and no
file that somebody laid in an output's place, is ever drawn.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.JpegImagePlugin import JpegImageFile

from cloak.batch.tally import STANDING_IN_WORDS, Row, faces_in_words
from cloak.errors import CloakError
from cloak.files import pending_file, shown, write_all
from cloak.formats import HEAD_BYTES, sniff
from cloak.io_image import decode_pixels
from cloak.video import clips

# Wide enough to see whether a face is covered; 48 of them make a page that opens on a phone
SIDE_PX, COLUMNS, ROWS = 300, 6, 8
PER_PAGE = COLUMNS * ROWS
_GAP_PX, _LINE_PX, _LINES, _TEXT_PX, _HEAD_PX = 14, 21, 3, 16, 64
_QUALITY = 82
# Neither white nor black: covers made with `solid` are black, and have to be seen as covers
_GROUND, _TILE, _INK, _SOFT = "#e9eaed", "#d7d9de", "#15171b", "#4a4f59"
_ALARM_TILE, _ALARM_INK = "#ffd9a8", "#7a2400"
# Fonts that many machines have, the widest alphabets first; Pillow's own has ASCII and little more
_FONTS = ("NotoSans-Regular.ttf", "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")
_VERSION = 1  # of how a page is drawn
_PAGE = re.compile(r"sheet(-\d{3,})?\.jpg")
# What Pillow raises on files that it cannot read. They are ours by their hash, so this is rare.
_UNDRAWN = (CloakError, OSError, ValueError, TypeError, LookupError, SyntaxError, RuntimeError, ArithmeticError)

Progress = Callable[[int, int], None]


def write_pages(rows: Sequence[Row], output: Path, work: Path, *, on_progress: Progress | None = None) -> list[Path]:
    """`sheet.jpg`, `sheet-002.jpg` ... in the work folder, and what they are; pages that show what they should stay.

    One page and one photo at a time are in the memory.

    Args:
        rows: of the whole batch; those that were written are drawn.
        output: the folder of the outputs.
        on_progress: is told how many of how many pages are there.
    """
    drawn = [row for row in rows if row.number is not None]
    pages = [drawn[start : start + PER_PAGE] for start in range(0, len(drawn), PER_PAGE)]
    paths = [work / ("sheet.jpg" if number == 1 else f"sheet-{number:03d}.jpg") for number in range(1, len(pages) + 1)]
    for number, (page, path) in enumerate(zip(pages, paths), 1):
        mark = _mark(page, number, len(pages))
        if _mark_of(path) != mark:
            picture, is_whole = _page(page, output, f"page {number} of {len(pages)}")
            with pending_file(path, overwrite=True, temporary=work / ".sheet.part") as pending:
                pending.mode = 0o600
                file = io.BytesIO()
                # Without the mark it is drawn again by the next run, which may find what this one did not
                picture.save(file, "JPEG", quality=_QUALITY, comment=mark if is_whole else b"")
                write_all(pending.temporary, file.getvalue(), named=path)
                pending.commit()
        if on_progress is not None:
            on_progress(number, len(pages))
    remove_pages(work, but=paths)
    return paths


def remove_pages(work: Path, *, but: Sequence[Path] = ()) -> None:
    """Deletes pages of an earlier run that do not hold any more."""
    kept = {path.name for path in but}
    for path in work.iterdir():
        if _PAGE.fullmatch(path.name) and path.name not in kept:
            path.unlink()


def thumbnail(row: Row, output: Path, side_px: int) -> Image.Image | str:
    """The output of a row, RGB, at most `side_px` on its longer side; in words why not, where it cannot be shown."""
    entry = row.entry
    path = place(row, output)
    if path is None or entry.output_sha256 is None:
        return "not shown: its name or hash is not known"
    try:
        if path.is_symlink() or not path.is_file():
            return "not shown: it is not there"
        if entry.media == "clip":
            return _small_clip(path, entry.output_sha256, side_px)
        return _small_photo(path, entry.output_sha256, side_px)
    except _UNDRAWN:
        return "not shown: it cannot be read"


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def place(row: Row, output: Path) -> Path | None:
    """Where the output of a row lies; None where it has none."""
    if row.entry.output_path is not None:
        return row.entry.output_path
    return None if row.entry.output is None else output / row.entry.output


# --- pictures ----------------------------------------------------------------------------------------------------


def _small_photo(path: Path, sha256: str, side_px: int) -> Image.Image | str:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        return "not shown: it is not the file that was written"
    if sniff(data[:HEAD_BYTES]) == "JPEG":
        image: Image.Image = JpegImageFile(io.BytesIO(data))
        image.draft("RGB", (2 * side_px, 2 * side_px))  # decodes it small, which is ten times as fast
        image = image.convert("RGB")
    else:
        image = Image.fromarray(decode_pixels(data))
    return _fitted(image, side_px)


def _small_clip(path: Path, sha256: str, side_px: int) -> Image.Image | str:
    if clips.sha256_of(path) != sha256:
        return "not shown: it is not the file that was written"
    clip = clips.probe(path)
    # Not the first frame, which is often black or still empty
    return _fitted(Image.fromarray(clips.still(clip, seconds=(clip.duration_s or 0.0) / 3)), side_px)


def _fitted(image: Image.Image, side_px: int) -> Image.Image:
    scale = min(side_px / max(image.size), 1.0)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0) if size != image.size else image


# --- pages -------------------------------------------------------------------------------------------------------


def _page(rows: Sequence[Row], output: Path, heading: str) -> tuple[Image.Image, bool]:
    """The page, and whether every file of it is shown."""
    tile_w, tile_h = SIDE_PX + 2 * _GAP_PX, SIDE_PX + 2 * _GAP_PX + _LINES * _LINE_PX
    columns = min(COLUMNS, max(len(rows), 3))
    image = Image.new("RGB", (columns * (tile_w + _GAP_PX) + _GAP_PX,
                              _HEAD_PX + math.ceil(len(rows) / columns) * (tile_h + _GAP_PX)), _GROUND)
    canvas = ImageDraw.Draw(image)
    canvas.text((_GAP_PX, 10), f"Written files, {heading}", font=_font(20), fill=_INK)
    canvas.text((_GAP_PX, 37), "A face that was not found stands as it was: look for it.", font=_font(_TEXT_PX),
                fill=_SOFT)
    is_whole = True
    for index, row in enumerate(rows):
        x = _GAP_PX + index % columns * (tile_w + _GAP_PX)
        y = _HEAD_PX + index // columns * (tile_h + _GAP_PX)
        ink = _ALARM_INK if row.needs_eyes else _SOFT
        canvas.rectangle((x, y, x + tile_w - 1, y + tile_h - 1), fill=_ALARM_TILE if row.needs_eyes else _TILE)
        small = thumbnail(row, output, SIDE_PX)
        if isinstance(small, str):
            is_whole = False
            canvas.multiline_text((x + tile_w / 2, y + tile_w / 2), _wrapped(small, SIDE_PX), font=_font(_TEXT_PX),
                                  fill=ink, anchor="mm", align="center")
        else:
            image.paste(small, (x + (tile_w - small.width) // 2, y + (tile_w - small.height) // 2))
        for line, (words, fill) in enumerate(((_caption(row), _INK), (_state(row), ink), (_details(row), _SOFT))):
            canvas.text((x + _GAP_PX, y + tile_w + line * _LINE_PX - 4), _fitting(words, tile_w - 2 * _GAP_PX),
                        font=_font(_TEXT_PX), fill=fill)
    return image, is_whole


def _caption(row: Row) -> str:
    return f"{row.number}  {shown(row.entry.output or '')}"


def _state(row: Row) -> str:
    """On a line of its own: without its middle it could say the opposite."""
    words = STANDING_IN_WORDS[row.standing]
    return words.upper() if row.needs_eyes else words


def _details(row: Row) -> str:
    said = shown(row.entry.treatment), faces_in_words(row.entry)
    return ("clip, " if row.entry.media == "clip" else "") + "; ".join(words for words in said if words)


def _fitting(text: str, width_px: int) -> str:
    """The text with its middle left out where it is too long: the end of a name tells more than its middle."""
    text, font = _drawable(text), _font(_TEXT_PX)
    if font.getlength(text) <= width_px:
        return text
    kept = len(text)
    while kept > 2 and font.getlength(cut := f"{text[: kept - kept // 2]}...{text[-(kept // 2):]}") > width_px:
        kept -= 1 + (kept > 80) * (kept // 8)
    return cut


def _wrapped(text: str, width_px: int) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _font(_TEXT_PX).getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


@functools.cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for name in _FONTS:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size_px)
    return ImageFont.load_default(size_px)


def _drawable(text: str) -> str:
    """With `?` for letters that the font has not; the number before a name tells which file it is."""
    return "".join(letter if _has(letter) else "?" for letter in text)


@functools.lru_cache(4096)
def _has(letter: str) -> bool:
    font = _font(_TEXT_PX)
    return letter == " " or bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


# --- pages that stay ---------------------------------------------------------------------------------------------


def _mark(rows: Sequence[Row], number: int, pages: int) -> bytes:
    """Tells a page from one that shows anything else."""
    shows = [[row.number, row.entry.output, row.entry.output_sha256, _state(row), _details(row)] for row in rows]
    text = json.dumps([_VERSION, number, pages, shows])
    return b"facecloak sheet " + hashlib.sha256(text.encode()).hexdigest().encode()


def _mark_of(path: Path) -> bytes | None:
    """None where there is no page that can be read."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with open(handle, "rb") as file:
            return JpegImageFile(file).info.get("comment")
    except _UNDRAWN:
        return None
