"""Tables of results as lines of text, and the numbers in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Columns = Mapping[str, tuple[str, float]]  # by title: the key of a result, and the sign with which it is shown


def model_table(models: Mapping[str, Mapping[str, Any]], columns: Columns) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the models' scores; columns that no model has are left out."""
    shown = {title: (key, sign) for title, (key, sign) in columns.items() if any(key in m for m in models.values())}
    rows = [[name, *(number(m.get(key), sign) for key, sign in shown.values())] for name, m in models.items()]
    return ["model", *shown], rows


def curve_phrases(curve: Mapping[str, Any]) -> list[str]:
    """A psychometric curve of results.json in words: threshold, bias and lapses, or why they are not known."""
    fit = curve["fit"]
    if fit is None:
        return [curve["reason"]]
    lapses = f"lapses {fit['lapse_low']:.3f} left, {fit['lapse_high']:.3f} right"
    if curve["reason"] is not None:
        return [f"threshold and bias not determined: {curve['reason']}", lapses]
    bias = round(fit["bias"], 1) + 0.0  # no -0.0
    return [f"threshold {fit['threshold']:.1f} % contrast", f"bias {bias:+.1f} %", lapses]


def mean_phrases(curve: Mapping[str, Any]) -> list[str]:
    """A curve over mice of results.json in words: how many mice, at which stages, and their thresholds and biases."""
    least, most = min(curve["mice"], default=0), max(curve["mice"], default=0)
    phrases = [f"{most} mice" if least == most else f"{least} to {most} mice at a contrast"]
    if curve["stages"]:
        phrases.append("stage at the end: " + ", ".join(f"{mice} in {stage}" for stage, mice in curve["stages"].items()))
    if curve["threshold"] is None or curve["bias"] is None:
        return [*phrases, "no mouse's curve determines its threshold"]
    threshold, bias = curve["threshold"], curve["bias"]
    return [
        *phrases,
        f"threshold {threshold['median']:.1f} [{threshold['lower']:.1f}, {threshold['upper']:.1f}] %",
        f"bias {bias['median'] + 0.0:+.1f} [{bias['lower']:+.1f}, {bias['upper']:+.1f}] %",
        f"(median, quartiles of {curve['mice_determined']} mice)",
    ]


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with aligned columns."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return [
        "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in (header, *rows)
    ]


def number(value: float | None, sign: float = 1.0) -> str:
    """A number with four decimals, one from 100 on; a dash where there is none."""
    return fixed(value, 4 if value is None or abs(value) < 100 else 1, sign)


def fixed(value: float | None, digits: int, sign: float = 1.0) -> str:
    """A number with so many decimals, a dash where there is none."""
    return "-" if value is None else f"{sign * value:.{digits}f}"
