"""The results of a run as a few lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def summary(results: dict[str, Any]) -> str:
    """What a user wants to see first: how the mice did, and a table of the models or of the designs."""
    if results["kind"] == "protocols":
        return _protocols_summary(results)
    first, last = results["easy_performance_first3"], results["easy_performance_last3"]
    curve = ", ".join(curve_phrases(results["psychometric_curves"]["last"]))
    lines = [
        f"{results['scenario']}: {results['mice']} mice, {results['trials']} trials, {results['seconds']:.1f} s",
        f"easy trials correct: {_number(first)} in the first three sessions, {_number(last)} in the last three; {curve}",
    ]
    lines += [
        f"{status}: {100 * row['fraction_reached']:.0f} % of mice, after {row['mean']:.1f} sessions (sd {_number(row['sd'])})"
        for status, row in results.get("sessions_to_status", {}).items()
    ]
    models = results.get("models")
    if models:
        lines += ["", *text_table(*model_table(results))]
    return "\n".join(lines)


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


def _protocols_summary(results: dict[str, Any]) -> str:
    """The designs in order, and how each compares with the best."""
    best = results["ranking"][0]
    lines = [
        f"{results['scenario']}: {results['mice']} mice under {len(results['designs'])} designs until {results['until']} or "
        f"{results['horizon']} sessions, {results['trials']} trials, {results['seconds']:.1f} s",
        f"fewest sessions: {best['design']}, first in {100 * best['probability_best']:.0f} % of resamples of the mice",
        "",
        *text_table(*design_table(results)),
    ]
    return "\n".join(lines)


def design_table(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the designs, best first; the last column is the difference from the best, with its 95 % interval."""
    header = ["design", "trained", "median sessions", "mean sessions", "mean trials", "water (mL)", "hours", "sessions more"]
    rows = []
    for place in results["ranking"]:
        design = results["designs"][place["design"]]
        cells = [
            f"{100 * design['fraction_trained']:.0f} %",
            _short(design["median_sessions"]),
            _short(design["mean_sessions"]),
        ]
        cells += [f"{design['mean_trials']:.0f}", _short(design["water_ul"] / 1000), _short(design["hours"])]
        rows.append([place["design"], *cells, _difference(results, place["design"])])
    return header, rows


def _difference(results: dict[str, Any], name: str) -> str:
    """Mean sessions of a design minus those of the best one."""
    best = results["ranking"][0]["design"]
    for pair in results["comparisons"]:
        if {pair["a"], pair["b"]} == {name, best}:
            sign = 1 if pair["a"] == name else -1
            low, high = sorted(sign * limit for limit in pair["ci95"])
            return f"{sign * pair['difference']:+.2f} [{low:+.2f}, {high:+.2f}]"
    return "best"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


RECOVERY_COLUMNS = {
    "log-lik/trial": ("nll_per_trial", -1.0),
    "truth": ("true_nll_per_trial", -1.0),
    "rel. RMSE grid": ("relative_rmse", 1.0),
    "R2 grid": ("r2", 1.0),
    "rel. RMSE visited": ("relative_rmse_visited", 1.0),
    "R2 visited": ("r2_visited", 1.0),
    "spread": ("relative_spread", 1.0),
    "weights RMSE": ("weights_rmse", 1.0),
    "seconds": ("seconds", 1.0),
}
FIT_COLUMNS = {
    "log-lik/trial fitted": ("train_ll_per_trial", 1.0),
    "log-lik/trial later": ("future_ll_per_trial", 1.0),
    "log-lik/trial new mice": ("heldout_ll_per_trial", 1.0),
    "se": ("heldout_se", 1.0),
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
