"""`report.html`: one file for people, which asks nobody for anything. What needs eyes comes first.

Names are made printable and escaped; a browser is told to load nothing, scripts included, should that ever fail.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from cloak.batch.sheet import jpeg, place, thumbnail
from cloak.batch.tally import STANDING_IN_WORDS, Row, RunFacts, Standing, count, counted, faces_in_words, reason
from cloak.files import shown

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
# A page of more opens on no phone; the rest is in report.csv and on the sheet
MOST_PICTURES, MOST_LISTED = 120, 1000
_PICTURE_PX = 320
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")

# Each text has at least 4.5 to 1 against its ground, in the light and in the dark
_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1d21; --soft: #565c67; --rule: #d9dce2; --panel: #f4f5f7;
  --alarm: #8a1c13; --alarm-ground: #fdecea; --link: #0059a6; }
@media (prefers-color-scheme: dark) { :root { --ground: #15171b; --ink: #e6e8ec; --soft: #a9b0bb; --rule: #363b44;
  --panel: #1e2127; --alarm: #ffb4a8; --alarm-ground: #3b1a16; --link: #7cc0f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .25rem 0 .75rem; max-width: 46rem; }
h1.alarm { background: var(--alarm-ground); color: var(--alarm); border-left: 5px solid; padding: .6rem .8rem; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .4rem; padding-top: .7rem; border-top: 2px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.1rem 0 .2rem; } p { max-width: 46rem; margin: .4rem 0; } a { color: var(--link); }
.soft, caption { color: var(--soft); } bdi, .name { font-weight: 600; }
.counts { list-style: none; padding: 0; margin: .9rem 0; display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fill, minmax(8.2rem, 1fr)); }
.counts li { background: var(--panel); border-radius: .4rem; border-left: 4px solid var(--rule); }
.counts a, .counts span { display: block; padding: .45rem .7rem; min-height: 44px; }
.counts .alarm { background: var(--alarm-ground); border-color: var(--alarm); }
.counts .alarm a, .counts .alarm span { color: var(--alarm); }
.counts b { display: block; font-size: 1.35rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.files { list-style: none; padding: 0; margin: .5rem 0; max-width: 60rem; }
.files li { padding: .45rem 0; border-bottom: 1px solid var(--rule); }
.files .words, .cards .words { display: block; }
.cards { list-style: none; padding: 0; display: grid; gap: .8rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
.cards li { background: var(--panel); border-radius: .4rem; padding: .6rem; }
.cards img { display: block; width: 100%; height: 17rem; object-fit: contain; background: var(--rule);
  margin-bottom: .4rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; overflow-wrap: normal; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .25rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule);
  white-space: nowrap; } tbody th { font-weight: 600; } td.number { text-align: right; }
tbody th { white-space: normal; min-width: 10rem; max-width: 22rem; overflow-wrap: anywhere; }
summary { cursor: pointer; padding: .6rem 0; } dl { margin: .3rem 0; max-width: 60rem; } dt { font-weight: 600; }
dd { margin: 0 0 .3rem 1rem; } .hash { font-family: ui-monospace, monospace; font-size: .8rem; }
"""

_SECTIONS: dict[Standing, tuple[str, str]] = {
    "look": ("Written, and to be looked at",
             "A face of these files is still matched, was lost, is too small or could not be judged; of a clip, a "
             "second look saw what may be an uncovered face. Do not publish them as they are: cover such a face "
             "(<code>--redact solid</code>, <code>--ensure</code>), or correct the plan of the clip."),
    "unseen": ("Written though no face was found",
               "Nothing was covered in these files. Detection misses faces: look at each before you publish it."),
    "failed": ("Failed", "Nothing was written for these files. What to do stands beside each; then run the same "
                         "command again with <code>--retry-failed</code>."),
    "no_face": ("No face found, nothing written",
                "That is no proof that nobody is on them: faces that are small, turned, dark or half hidden are "
                "missed. Look at each. Where somebody is on it, draw what to cover with "
                "<code>cloak photo --regions</code>."),
    "vanished": ("Vanished", "They were there when the folder was read, and not when their turn came. Nothing was "
                             "written. Put the card or the disk back, and run the same command again."),
    "waiting": ("Waiting", "These files were not tried yet, or not finished. Run the same command again: it goes on "
                           "where it stopped."),
}


def lines(rows: Sequence[Row], facts: RunFacts, work: Path, *, is_quiet: bool, sheet: Sequence[Path]) -> Iterator[str]:
    """The page, piece by piece.

    Args:
        rows, facts: of a quiet run already without what it keeps to itself.
        work: the folder in which the page will lie.
        sheet: the pages of the contact sheet; none where no pictures are wanted.
    """
    standing = count(rows)
    eyes = len(rows) - standing["fine"]
    yield (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
           f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
           f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
           f"<title>{_text(_title(len(rows), eyes))}</title><style>{_STYLE}</style></head><body><main>\n")
    alarm = ' class="alarm"' if eyes or facts.troubles or facts.stopped else ""
    yield f"<h1{alarm}>{_text(headline(rows, facts))}</h1>\n"
    yield f"<p>{_text(_what_was_done(rows, facts))}</p>\n"
    if facts.stopped:
        yield f"<p><strong>Stopped:</strong> {_text(facts.stopped)}</p>\n"
    yield from _counts(rows, facts)
    yield ('<p class="soft">This report is for you, not for publishing: it tells which photos exist and what is on '
           "them.</p>\n")
    for one, (title, advice) in _SECTIONS.items():
        chosen = [row for row in rows if row.standing == one]
        if chosen:
            yield f'<section id="{one}"><h2>{title} ({len(chosen):,})</h2><p>{advice}</p>\n'
            has_pictures = bool(sheet) and one in ("look", "unseen")
            yield from _cards(chosen, facts, work) if has_pictures else _by_name(chosen, facts, work)
            yield "</section>\n"
    if facts.troubles:
        yield '<section id="troubles"><h2>Not read</h2><p>Nothing in these was looked at, or written.</p>\n'
        yield from _listed([f"<li>{_text(words)}</li>" for words in facts.troubles], "report.json")
        yield "</section>\n"
    yield from _kept(rows, facts, work)
    yield from _sheet(sheet)
    yield from _meaning()
    yield from _all_files(rows, facts, work, is_quiet=is_quiet)
    yield from _run(facts)
    yield "</main></body></html>\n"


def headline(rows: Sequence[Row], facts: RunFacts) -> str:
    """What needs eyes, in one sentence; the first line of every report for people."""
    standing = count(rows)
    waiting, eyes = standing["waiting"], len(rows) - standing["fine"] - standing["waiting"]
    parts = []
    if eyes:
        parts.append(f"{eyes:,} of {counted(len(rows), 'file')} {'needs' if eyes == 1 else 'need'} your eyes before "
                     "anything is published.")
    if waiting:
        parts.append(f"{counted(waiting, 'file')} {'is' if waiting == 1 else 'are'} still waiting: run the same "
                     "command again.")
    if facts.troubles:
        parts.append("Not everything could be read.")
    if not parts:
        parts.append(f"Nothing was flagged in {counted(len(rows), 'file')}. That is no proof: look at them before you "
                     "publish." if rows else "No photo and no clip was found, and nothing was written.")
    return " ".join(parts)


# --- the head ----------------------------------------------------------------------------------------------------


def _title(files: int, eyes: int) -> str:
    return f"{f'{eyes:,} of {files:,} to look at' if eyes else counted(files, 'file')} - facecloak batch"


def _what_was_done(rows: Sequence[Row], facts: RunFacts) -> str:
    clips_ = sum(row.entry.media == "clip" for row in rows)
    kinds = [counted(number, kind) for number, kind in ((len(rows) - clips_, "photo"), (clips_, "clip")) if number]
    written = sum(row.number is not None for row in rows)
    where = f" of {shown(facts.input)}" if facts.input else ""
    made = "" if facts.made is None or facts.made == written else f" ({facts.made:,} of them by this run)"
    return (f"{' and '.join(kinds) or 'No file'}{where}; {written:,} written{made} to {shown(facts.output.name)}. "
            f"Begun {facts.started:%Y-%m-%d %H:%M %Z}, {_duration(facts.wall_s)}, {shown(facts.workers)}. Exit code "
            f"{facts.exit_code}.")


def _counts(rows: Sequence[Row], facts: RunFacts) -> Iterator[str]:
    standing = count(rows)
    copies = sum(row.entry.same_as is not None for row in rows)
    kept = sum(bool(_faces_kept(row)) for row in rows)
    yield '<nav aria-label="How the files stand"><ul class="counts">\n'
    for one in _SECTIONS:
        if standing[one]:
            yield (f'<li class="alarm"><a href="#{one}"><b>{standing[one]:,}</b> {_text(STANDING_IN_WORDS[one])}</a>'
                   "</li>\n")
    if facts.troubles:
        yield f'<li class="alarm"><a href="#troubles"><b>{len(facts.troubles):,}</b> not read</a></li>\n'
    yield f"<li><span><b>{standing['fine']:,}</b> {STANDING_IN_WORDS['fine']}</span></li>\n"
    if kept:
        yield f'<li><a href="#kept"><b>{kept:,}</b> with faces kept clear</a></li>\n'
    if copies:
        yield f'<li><a href="#all"><b>{copies:,}</b> copies of others</a></li>\n'
    yield "</ul></nav>\n"


# --- lists -------------------------------------------------------------------------------------------------------


def _cards(rows: Sequence[Row], facts: RunFacts, work: Path) -> Iterator[str]:
    yield '<ul class="cards">\n'
    for row in rows[:MOST_PICTURES]:
        small = thumbnail(row, facts.output, _PICTURE_PX)
        picture = f'<p class="soft">({_text(small)})</p>' if isinstance(small, str) else _image(small, row)
        yield f"<li>{picture}{_described(row, facts, work)}</li>\n"
    yield "</ul>\n"
    if len(rows) > MOST_PICTURES:
        yield f"<p>The other {len(rows) - MOST_PICTURES:,}, without pictures here; they are on the sheet:</p>\n"
        yield from _by_name(rows[MOST_PICTURES:], facts, work)


def _by_name(rows: Sequence[Row], facts: RunFacts, work: Path) -> Iterator[str]:
    """One item a file. Those of a quiet run have no names, so they are counted by what they say."""
    if all(not row.entry.source and row.entry.output is None for row in rows):
        said: dict[str, int] = {}
        for row in rows:
            said[row.words] = said.get(row.words, 0) + 1
        items = [f"<li><b>{counted(number, 'file')}</b> {_text(words)}</li>" for words, number in said.items()]
        yield from _listed(items, "report.csv")
        return
    yield from _listed([f"<li>{_described(row, facts, work)}</li>" for row in rows[: MOST_LISTED + 1]], "report.csv",
                       len(rows))


def _listed(items: Sequence[str], rest_in: str, number: int | None = None) -> Iterator[str]:
    number = len(items) if number is None else number
    yield '<ul class="files">\n' + "\n".join(items[:MOST_LISTED]) + "\n</ul>\n"
    if number > MOST_LISTED:
        yield f"<p>{number - MOST_LISTED:,} more are in {rest_in}.</p>\n"


def _described(row: Row, facts: RunFacts, work: Path) -> str:
    """Name, what was done, and what was found."""
    entry = row.entry
    number = "" if row.number is None else f'<span class="soft">no. {row.number}</span> '
    done = "; ".join(filter(None, [shown(entry.treatment) if row.number is not None else "",
                                   faces_in_words(entry)]))
    tried = f"Tried {entry.attempts} times." if entry.state == "failed" and entry.attempts > 1 else ""
    said = " ".join(filter(None, [row.words or (reason(entry.raised) if row.standing == "failed" else ""), tried]))
    made = f'<span class="soft words">{_text(done)}</span>' if done else ""
    return f"{number}{_named(row, facts, work)}{made}" + (f'<span class="words">{_text(said)}</span>' if said else "")


def _kept(rows: Sequence[Row], facts: RunFacts, work: Path) -> Iterator[str]:
    kept = [row for row in rows if _faces_kept(row)]
    if kept:
        yield (f'<section id="kept"><h2>With faces kept clear by your choice ({len(kept):,})</h2>'
               "<p>Whoever stands on these can be recognised, by people and by machines.</p>\n"
               f"<details><summary>{counted(len(kept), 'file')}</summary>\n")
        yield from _listed([f"<li>{_described(row, facts, work)}</li>" for row in kept[: MOST_LISTED + 1]],
                           "report.csv", len(kept))
        yield "</details></section>\n"


def _all_files(rows: Sequence[Row], facts: RunFacts, work: Path, *, is_quiet: bool) -> Iterator[str]:
    """Everything that has a name, folded."""
    named = [row for row in rows if row.entry.source or row.entry.output is not None]
    if not named:
        return
    heads = ["file", "no.", "how it stands", "treatment", "faces", *([] if is_quiet else ["note"])]
    yield (f'<section id="all"><h2>All files ({len(named):,})</h2><details><summary>The list</summary>\n'
           '<div class="wide" tabindex="0" role="region" aria-label="All files"><table><caption>In the order of the '
           'contact sheet. Hashes are in report.csv.</caption><thead><tr>'
           + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr></thead><tbody>\n")
    for row in named[:MOST_LISTED]:
        cells = [STANDING_IN_WORDS[row.standing], row.entry.treatment, faces_in_words(row.entry),
                 *([] if is_quiet else [f"copy of {row.entry.same_as}" if row.entry.same_as else ""])]
        yield (f'<tr><th scope="row">{_named(row, facts, work)}</th><td class="number">{row.number or ""}</td>'
               + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>\n")
    yield "</tbody></table></div>\n"
    if len(named) > MOST_LISTED:
        yield f"<p>{len(named) - MOST_LISTED:,} more are in report.csv.</p>\n"
    yield "</details></section>\n"


# --- the foot ----------------------------------------------------------------------------------------------------


def _sheet(pages: Sequence[Path]) -> Iterator[str]:
    if pages:
        links = ", ".join(f'<a href="{page.name}">{page.name}</a>' for page in pages[:200])
        yield ('<section id="sheet"><h2>Contact sheet</h2><p>Every written file, small, with its number; those to look '
               f"at come first. {counted(len(pages), 'page')}: {links}{' ...' if len(pages) > 200 else ''}</p>"
               "</section>\n")


def _meaning() -> Iterator[str]:
    yield ('<section id="meaning"><h2>What a verdict means, and what it does not</h2>\n<ul>'
           "<li>Each written photo was read again and shown to the recognisers on this machine. <em>Protected</em> "
           "means that none of them matches the face at its threshold; others were not asked. A cloak is a lowered "
           "chance, never a promise: recognisers improve, publishing cannot be undone, and a cloak can be told and "
           "undone by whoever has this tool.</li>"
           "<li><em>Redacted</em> means covered. <em>Solid</em> is the cover to trust with a life; mosaics, blurs and "
           "rings let the colours of a person through.</li>"
           "<li>Each written clip was looked at a second time with other settings. Both looks miss faces: watch the "
           "clip. Voices identify people too.</li>"
           "<li><strong>A face that was not found is not protected, and nothing here can name it.</strong> Look at "
           "every picture before you publish it.</li>"
           "<li>Body, clothes, tattoos, company, place and time still identify people. Whoever holds the unprotected "
           "original usually finds it again: never publish both.</li></ul></section>\n")


def _run(facts: RunFacts) -> Iterator[str]:
    yield '<section id="run"><h2>How it was done</h2>\n'
    yield _facts({**facts.settings, **({"rules": "; ".join(facts.rules)} if facts.rules else {})}.items())
    if facts.left_alone:
        number = counted(len(facts.left_alone), "file")
        yield f"<details><summary>{number} neither photo nor clip, left alone</summary>\n"
        yield from _listed([f"<li>{_text(name)}</li>" for name in facts.left_alone], "report.json")
        yield "</details>\n"
    yield "<details><summary>Versions and weights</summary>\n"
    yield _facts(facts.versions.items())
    yield _facts(facts.weights.items(), "hash") + "</details></section>\n"


def _facts(pairs: Iterable[tuple[str, str]], class_: str = "") -> str:
    cells = "".join(f'<dt>{_text(key)}</dt><dd class="{class_}">{_text(value)}</dd>' for key, value in pairs)
    return f"<dl>{cells}</dl>\n" if cells else ""


# --- small parts -------------------------------------------------------------------------------------------------


def _text(text: object) -> str:
    return html.escape(shown(text))


def _named(row: Row, facts: RunFacts, work: Path) -> str:
    """What people call the file, leading to the output where there is one."""
    name = f"<bdi>{_text(row.entry.output or row.entry.source or 'a file')}</bdi>"
    path = place(row, facts.output)
    if row.number is None or path is None:
        return f"<bdi>{_text(row.entry.source or 'a file')}</bdi>"
    raw = os.fsencode(os.path.relpath(path, work))
    href = "./" + "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in raw)
    return f'<a href="{href}">{name}</a>'


def _image(small: Image.Image, row: Row) -> str:
    data = base64.b64encode(jpeg(small)).decode("ascii")
    what = "A frame of" if row.entry.media == "clip" else "The written file"
    return (f'<img alt="{what} {_text(row.entry.output)}" width="{small.width}" height="{small.height}" '
            f'src="data:image/jpeg;base64,{data}">')


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{rest} s" if not hours else ""]
    return " ".join(filter(None, parts))


def _faces_kept(row: Row) -> int:
    """Faces that were left as they were because somebody said so: `kept` of photos, `keep` of clips."""
    return row.entry.faces.get("kept", 0) + row.entry.faces.get("keep", 0) if row.number is not None else 0
