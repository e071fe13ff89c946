"""The frame of the page: one file that asks nobody for anything, in the colours of the reader's screen."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.html_report.markup import Markup, joined, tag

# A browser that reads this refuses to load anything, scripts included, even if something slipped through the escaping.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

# Okabe and Ito's order of hues (2008, jfly.uni-koeln.de/color), darkened on white and lightened on black so that each
# has at least 3 to 1 against its ground.
STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1d21; --soft: #5a606b; --rule: #d9dce2; --panel: #f5f6f8;
  --alarm: #8a1c13; --alarm-ground: #fdecea; --c0: #0062a3; --c1: #b85000; --c2: #00795a; --c3: #a3407c; --c4: #806000;
  --c5: #2f7fb3; --c6: #5f5f5f; --c7: #7a4fc4; }
@media (prefers-color-scheme: dark) { :root { --ground: #15171b; --ink: #e6e8ec; --soft: #a2a9b5; --rule: #363b44;
  --panel: #1e2127; --alarm: #ffb4a8; --alarm-ground: #3b1a16; --c0: #5cb4f0; --c1: #f0943c; --c2: #35c79b;
  --c3: #e58fc0; --c4: #e3c04a; --c5: #9bd0f5; --c6: #b8b8b8; --c7: #b79bf0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 78rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem;
  padding-top: .75rem; border-top: 2px solid var(--rule); } h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { max-width: 46rem; margin: .5rem 0; } a { color: var(--c0); } .soft, figcaption, caption { color: var(--soft); }
nav ul { padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
.alarm { background: var(--alarm-ground); color: var(--alarm); border-left: 4px solid; padding: .5rem .75rem;
  margin: .75rem 0; max-width: 50rem; } .alarm ul { margin: .25rem 0; padding-left: 1.2rem; }
.wide { overflow-x: auto; margin: .75rem 0; } table { border-collapse: collapse; font-size: .85rem;
  font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption { text-align: left; padding-bottom: .35rem; font-size: .85rem; max-width: 46rem; }
@media (max-width: 40rem) { caption { width: calc(100vw - 2rem); position: sticky; left: 0; } }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; min-width: 5rem; color: var(--soft); font-weight: 600; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--ground); font-weight: 600;
  white-space: normal; min-width: 6rem; max-width: 14rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr)); gap: 1rem;
  align-items: start; grid-auto-flow: dense; } .tall { grid-row: span 2; }
  figure { margin: 0; padding: .75rem; background: var(--panel); border-radius: .4rem;
  min-width: 0; }
figcaption { font-size: .85rem; margin-top: .5rem; } .plot { display: block; width: 100%; height: auto;
  max-width: 36rem; }
.plot text { font: 11px system-ui, sans-serif; fill: var(--ink); } .plot .label { fill: var(--soft); }
@media (max-width: 40rem) { .plot text { font-size: 12.5px; } }
.grid { stroke: var(--rule); stroke-width: 1; } .stripe { fill: var(--rule); opacity: .3; }
.leader { stroke: var(--soft); stroke-width: .6; }
.line { stroke-width: 1.8; } .bar { stroke-width: 1.6; opacity: .75; } .mark { stroke: var(--panel); stroke-width: 1; }
.hill { stroke-width: 1; } .hill.strangers { fill: var(--c6); stroke: var(--c6); fill-opacity: .25; }
.hill.mates { fill: var(--c0); stroke: var(--c0); fill-opacity: .35; }
.threshold { stroke: var(--alarm); stroke-width: 1.2; stroke-dasharray: 4 3; }
.legend { list-style: none; margin: .4rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: .1rem .9rem;
  font-size: .8rem; } .legend svg { width: 30px; height: 12px; margin-right: .3rem; vertical-align: middle; }
details { margin: .5rem 0; } summary { cursor: pointer; } dl { margin: .25rem 0; font-size: .85rem; }
dt { font-weight: 600; } dd { margin: 0 0 .15rem 1rem; }
.faces img { display: block; width: 8rem; height: 8rem; object-fit: cover; }
.faces td, .faces th { border: 0; padding: .2rem; text-align: left; }
""" + "".join(
    f".line.c{i}, .bar.c{i} {{ stroke: var(--c{i}); }} .mark.c{i} {{ fill: var(--c{i}); }}\n" for i in range(8)
)


def document(title: str, body: Sequence[str]) -> str:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, "\n", tag("body", *joined_by_lines(body)), lang="en") + "\n"


def joined_by_lines(parts: Sequence[str]) -> list[Markup]:
    return [joined([part, "\n"]) for part in parts]


def alarm(words: str, items: Sequence[str] = ()) -> Markup:
    """What nobody may overlook."""
    listed = [tag("ul", *(tag("li", item) for item in items))] if items else []
    return tag("div", tag("strong", words), *listed, class_="alarm", role="note")
