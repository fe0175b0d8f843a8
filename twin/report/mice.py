"""The table of mice: as csv, as tables of a page, and how many estimates are none, in words."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from twin.evaluation.flags import MEANINGS
from twin.report.html import Markup, table

Row = Mapping[str, Any]  # of `mice_table` of results.json

SHOWN = 100  # mice on a page, at most; the file has them all
BEHAVIOUR = ("id", "sessions", "trials", "easy_performance_first3", "easy_performance_last3", "status", "stage")
ENDS = ("estimate", "low", "high", "flag")
HEADER = ["mouse", "sessions", "trials", "easy, first 3 sessions", "easy, last 3", "status at the end", "stage"]


def mice_csv(rows: Sequence[Row]) -> str:
    """All of the table, a line for each mouse: MODEL.ll_per_trial, MODEL.PARAMETER.estimate and so on after what it did."""
    flat = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(key for row in flat for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    out = {key: row[key] for key in BEHAVIOUR}
    for model, fit in row.get("fits", {}).items():
        out |= {f"{model}.{key}": fit[key] for key in ("ll_per_trial", "minus_static", "converged") if key in fit}
        for name, found in fit["parameters"].items():
            out |= {f"{model}.{name}.{end}": found[end] for end in ENDS}
    return out


def flag_lines(rows: Sequence[Row]) -> list[str]:
    """One line for each flag of each parameter and model that some mouse has: "baseline at its bound in 3 of 3 mice"."""
    flags: Counter[tuple[str, str, str]] = Counter()
    fitted: Counter[str] = Counter()
    unfinished: Counter[str] = Counter()
    for row in rows:
        for model, fit in row.get("fits", {}).items():
            fitted[model] += 1
            unfinished[model] += fit.get("converged") is False
            flags.update((model, name, p["flag"]) for name, p in fit["parameters"].items() if p["flag"])
    lines = [f"{m}: {name} {MEANINGS[kind]} in {n} of {fitted[m]} mice" for (m, name, kind), n in sorted(flags.items())]
    return [*lines, *(f"{m}: not converged in {n} of {fitted[m]} mice" for m, n in unfinished.items() if n)]


def mice_text(rows: Sequence[Row]) -> list[str]:
    """What a page says of every mouse: what it did and where it ended, and each model's parameters with their intervals."""
    shown = rows[:SHOWN]
    words = "Every mouse; numbers of all of them are in mice.csv."
    if len(rows) > SHOWN:
        words = f"The first {SHOWN} of {len(rows)} mice; mice.csv has all of them."
    parts = [words, table([[row[key] for key in BEHAVIOUR] for row in shown], HEADER)]
    models = list(dict.fromkeys(model for row in shown for model in row.get("fits", {})))
    for model in models:
        parts += [
            f"{model}: estimates with 95 % intervals; log-likelihoods are natural, per choice.",
            _model_table(model, shown),
        ]
    return [*parts, *flag_lines(rows)]


def _model_table(model: str, rows: Sequence[Row]) -> Markup:
    fits = {row["id"]: row["fits"][model] for row in rows if model in row.get("fits", {})}
    names = list(dict.fromkeys(name for fit in fits.values() for name in fit["parameters"]))
    cells = [
        [
            mouse,
            fit["ll_per_trial"],
            fit.get("minus_static"),
            _converged(fit),
            *(_estimate(fit["parameters"][n]) for n in names),
        ]
        for mouse, fit in fits.items()
    ]
    return table(cells, ["mouse", "log-lik/trial", "minus static GLM's", "converged", *names])


def _converged(fit: Mapping[str, Any]) -> str:
    return {True: "yes", False: "no", None: "–"}[fit.get("converged")]


def _estimate(found: Mapping[str, Any]) -> str:
    """An estimate with its interval; what is none is marked by its flag."""
    low, high = (f"{found[end]:.3g}" if found[end] is not None else "–" for end in ("low", "high"))
    value = "–" if found["estimate"] is None else f"{found['estimate']:.3g}"
    return f"{value} [{low}, {high}]".replace("-", "−") + (f" {found['flag']}" if found["flag"] else "")
