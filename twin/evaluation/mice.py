"""One row for each mouse: what it did, where it ended, and what each model makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.evaluation.digest import Digest
from twin.evaluation.flags import parameter_flags
from twin.evaluation.status import Status

Floats = npt.NDArray[np.float64]


def mouse_rows(data: Digest, performance: Floats, ends: Mapping[str, npt.NDArray[np.bool_]]) -> list[dict[str, Any]]:
    """What each mouse did, for `mice_table` of results.json.

    `performance` (S,): easy performance of each session; `ends`: name -> (S,) whether a session is one of the first or last,
    of which a mouse's mean is `easy_performance_NAME`. Status and stage are those at the mouse's end, None if unknown.
    """
    mouse = data.sessions.mouse
    counts = np.bincount(mouse, minlength=data.n_mice)
    means = {f"easy_performance_{end}": _mean_by_mouse(performance, mouse, there, len(counts)) for end, there in ends.items()}
    last = np.cumsum(counts) - 1
    status, stage = data.of_session.get("status"), None if data.stages is None else data.stages.last
    return [
        {
            "id": data.ids[m],
            "sessions": int(counts[m]),
            "trials": int(data.trials[m]),
            **{name: float(mean[m]) if np.isfinite(mean[m]) else None for name, mean in means.items()},
            "status": None if status is None or not counts[m] else Status(int(status[last[m]])).label,
            "stage": None if stage is None or not counts[m] else int(stage[last[m]]),
        }
        for m in range(data.n_mice)
    ]


def _mean_by_mouse(
    values: Floats, mouse: npt.NDArray[np.int64], there: npt.NDArray[np.bool_], mice: int
) -> npt.NDArray[np.float64]:
    """Mean of those values (S,) that count and are known, for each mouse, NaN without any."""
    counted = there & np.isfinite(values)
    total = np.bincount(mouse[counted], values[counted], minlength=mice)
    with np.errstate(invalid="ignore"):
        mean: Floats = total / np.bincount(mouse[counted], minlength=mice)
    return mean


def fitted_rows(
    fits: Mapping[str, Any], log_likelihoods: Mapping[str, Floats], trials_of_mice: npt.NDArray[np.int64]
) -> list[dict[str, Any]]:
    """What the models make of each mouse: model -> parameters, score and flags, one table for each of M mice in a row.

    `log_likelihoods`: model -> (M,) of all choices of a mouse; those of `static-glm`, if they are there, are what learning is
    compared with. `trials_of_mice` (M,): the choices that count.
    """
    static = log_likelihoods.get("static-glm")
    tables = {name: _model_rows(fit, log_likelihoods[name], static, trials_of_mice) for name, fit in fits.items()}
    return [{name: table[m] for name, table in tables.items()} for m in range(len(trials_of_mice))]


def _model_rows(fit: Any, scores: Floats, static: Floats | None, n: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    flags, estimates = parameter_flags(fit), fit.parameters()
    converged = getattr(fit, "converged", None)
    rows = []
    for m, trials in enumerate(np.maximum(n, 1)):
        parameters = {
            name: {"estimate": float(v[m]), "low": float(ci[m, 0]), "high": float(ci[m, 1]), "flag": flags[name][m]}
            for name, (v, ci) in estimates.items()
        }
        more = {} if static is None else {"minus_static": float((scores[m] - static[m]) / trials)}
        known = {} if converged is None else {"converged": bool(converged[m])}
        rows.append({"parameters": parameters, "ll_per_trial": float(scores[m] / trials), **more, **known})
    return rows
