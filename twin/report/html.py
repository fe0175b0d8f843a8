"""One self-contained page: headings, paragraphs, tables and figures in a single HTML file without scripts or links."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from numbers import Integral, Real
from pathlib import Path
from typing import NamedTuple

STYLE = """
body { max-width: 900px; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff;
       font: 16px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
figure { margin: 1.2rem 0; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { color: #444; font-size: .875rem; margin-top: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #444; }
tbody tr { border-bottom: 1px solid #ddd; }
.number { text-align: right; }
.facts th { font-weight: 600; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
@media print {
  body { max-width: none; margin: 0; font-size: 10.5pt; }
  h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  .scroll { overflow: visible; }
}
"""


class Image(NamedTuple):
    """A figure as the bytes of a PNG file, and its caption, which is its alternative text too."""

    png: bytes
    caption: str


Section = tuple[str, str | Sequence[str], Sequence[Image]]  # heading, text, figures


class Markup(str):
    """Text that is HTML already: put into a page as it is, where any other text is escaped."""

    __slots__ = ()


def write_page(path: str | Path, title: str, sections: Sequence[Section], facts: Mapping[str, str]) -> None:
    """Write a page: title, a table of facts, then sections of (heading, text, figures).

    A text is one string or several; blank lines separate paragraphs, everything but what `table` returns is escaped.
    """
    body = "\n".join(_section(*section) for section in sections)
    Path(path).write_text(
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{_facts(facts)}\n{body}\n</main>\n</body>\n</html>\n",
        encoding="utf-8",
    )


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> Markup:
    """A small table; numbers with four significant digits, right-aligned, None and NaN as a dash.

    Raises ValueError naming a row whose length differs from the header's.
    """
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells; the header has {len(header)}")
    numeric = [all(_is_number(row[c]) for row in rows) for c in range(len(header))]
    head = _row("th", header, numeric, ' scope="col"')
    body = "\n".join(_row("td", [_cell(value) for value in row], numeric) for row in rows)
    return Markup(f'<div class="scroll"><table>\n<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>')


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


def _cell(value: object) -> str:
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return "–"
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{float(value):.4g}"
    return str(value)


def _row(tag: str, cells: Sequence[str], numeric: Sequence[bool], scope: str = "") -> str:
    classes = [' class="number"' if right else "" for right in numeric]
    return "<tr>" + "".join(f"<{tag}{c}{scope}>{escape(v)}</{tag}>" for v, c in zip(cells, classes, strict=True)) + "</tr>"


def _facts(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    rows = "\n".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(str(v))}</td></tr>' for k, v in facts.items())
    return f'<table class="facts">\n<tbody>\n{rows}\n</tbody>\n</table>'


def _section(heading: str, text: str | Sequence[str], images: Sequence[Image]) -> str:
    parts = [text] if isinstance(text, str) else text
    shown = [_text(part) for part in parts] + [_image(image, heading) for image in images]
    return "\n".join([f"<section>\n<h2>{escape(heading)}</h2>", *shown, "</section>"])


def _text(part: str) -> str:
    if isinstance(part, Markup):
        return part
    return "\n".join(f"<p>{escape(paragraph.strip())}</p>" for paragraph in part.split("\n\n") if paragraph.strip())


def _image(image: Image, heading: str) -> str:
    words = escape(image.caption)
    data = base64.b64encode(image.png).decode("ascii")
    caption = f'<figcaption aria-hidden="true">{words}</figcaption>' if words else ""  # read aloud once, as the alt text
    return f'<figure><img src="data:image/png;base64,{data}" alt="{words or escape(heading)}">{caption}</figure>'
