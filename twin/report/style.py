"""The look of every figure: colours, matplotlib settings, how one is made and rendered.

Pyplot and its global state are not used. Colours are those of Okabe & Ito (2008), which colour-blind readers tell apart.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

BLACK, GREY, BLUE, VERMILLION, GREEN = "#000000", "#8c8c8c", "#0072b2", "#d55e00", "#009e73"
SERIES_COLOURS = (BLUE, VERMILLION, GREEN, "#cc79a7", "#e69f00", "#56b4e9")  # of models, or of designs, in their order
SETTINGS: Any = {  # of matplotlib
    **{f"axes.spines.{side}": False for side in ("right", "top")},
    **{f"{part}.facecolor": "white" for part in ("figure", "axes", "savefig")},
    **{f"{text}.labelsize": 9 for text in ("xtick", "ytick")},
    "axes.titlesize": 10,
    "figure.constrained_layout.w_pad": 0.08,  # inches
    "font.size": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.markersize": 5,
}
styled = rc_context(SETTINGS)  # decorates what draws


def new_figure(width: float, height: float, description: str) -> Figure:
    """An empty figure, sizes in inches; the description of what it shows becomes its caption."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_label(description)
    return figure


@styled
def png_bytes(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file, 150 dots per inch, margins trimmed."""
    file = BytesIO()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # or every drawing would move things a little
    figure.savefig(file, format="png", dpi=150, bbox_inches="tight")
    return file.getvalue()
