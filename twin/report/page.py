"""A study's page: its texts and tables, with every registered figure that has something to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from twin.report.figures import draw, registered
from twin.report.html import Image, write_page
from twin.report.shown import Shown
from twin.report.style import png_bytes

Text = str | Sequence[str]


def write(folder: Path, title: str, sections: Sequence[tuple[str, Text]], facts: Mapping[str, str], shown: Shown) -> None:
    """Write report.html and figures/NAME.png into a folder; the page holds the very bytes of the files.

    Sections (heading, text) come in the order given, each with the figures that belong to it and left out if it has neither
    text nor figures; those of other sections follow under their own headings. Texts and facts as `write_page` takes them.
    """
    (folder / "figures").mkdir(exist_ok=True)
    images: dict[str, list[Image]] = {}
    for entry in registered():
        for name, figure in draw(entry, shown).items():
            image = Image(png_bytes(figure), str(figure.get_label()))
            (folder / "figures" / f"{name}.png").write_bytes(image.png)
            images.setdefault(entry.section, []).append(image)
    given = {heading for heading, _ in sections}
    every = [*sections, *((heading, "") for heading in images if heading not in given)]
    parts = [(heading, text, images.get(heading, [])) for heading, text in every if text or heading in images]
    write_page(folder / "report.html", title, parts, facts)
