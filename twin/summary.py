"""The results of a run as a few lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def summary(results: dict[str, Any]) -> str:
    """What a user wants to see first: how the mice did, and a table of the models."""
    first, last = results["easy_performance_first3"], results["easy_performance_last3"]
    curve = results["psychometric"]
    lines = [
        f"{results['scenario']}: {results['mice']} mice, {results['trials']} trials, {results['seconds']:.1f} s",
        f"easy trials correct: {_number(first)} in the first three sessions, {_number(last)} in the last three; "
        f"threshold {curve['threshold']:.1f} % contrast, bias {curve['bias']:.1f} %, "
        f"lapses {curve['lapse_low']:.3f} and {curve['lapse_high']:.3f}",
    ]
    models = results.get("models")
    if models:
        lines += ["", *text_table(*model_table(results))]
    return "\n".join(lines)


RECOVERY_COLUMNS = {
    "log-lik/trial": ("nll_per_trial", -1.0),
    "truth": ("true_nll_per_trial", -1.0),
    "rel. RMSE grid": ("relative_rmse", 1.0),
    "R2 grid": ("r2", 1.0),
    "rel. RMSE visited": ("relative_rmse_visited", 1.0),
    "R2 visited": ("r2_visited", 1.0),
    "weights RMSE": ("weights_rmse", 1.0),
    "seconds": ("seconds", 1.0),
}
FIT_COLUMNS = {
    "log-lik/trial fitted": ("train_ll_per_trial", 1.0),
    "log-lik/trial later": ("future_ll_per_trial", 1.0),
    "accuracy": ("accuracy", 1.0),
    "seconds": ("seconds", 1.0),
}


def model_table(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the models' scores."""
    columns = RECOVERY_COLUMNS if results["kind"] == "recovery" else FIT_COLUMNS
    models = results["models"]
    shown = {title: source for title, source in columns.items() if any(source[0] in m for m in models.values())}
    rows = [[name, *(_number(m.get(key), sign) for key, sign in shown.values())] for name, m in models.items()]
    return ["model", *shown], rows


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with aligned columns."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return [
        "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in (header, *rows)
    ]


def _number(value: float | None, sign: float = 1.0) -> str:
    return "-" if value is None else f"{sign * value:.4f}" if abs(value) < 100 else f"{value:.1f}"
