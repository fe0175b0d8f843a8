"""Psychometric functions of the IBL task: the curve, the data it is fitted to, and maximum-likelihood fits.

The curve is psychofit's `erf_psycho_2gammas`, with signed contrast c in percent (positive = right):

    P(right) = lapse_low + (1 - lapse_low - lapse_high) (erf((c - bias) / threshold) + 1) / 2

`lapse_low` is the floor at strong left stimuli, `1 - lapse_high` the ceiling at strong right ones; there is no square
root of two in the erf. How the binomial likelihood is maximised is in `psychometric_kernels`; fits are deterministic.

Limits: data that a step explains (few levels, no errors) do not identify bias and threshold; the likelihood is then
flat and the point returned is one of many. Below a twelfth of the smallest gap between levels a smaller threshold gives
the same likelihoods, so none is returned.

Sources: ibllib `brainbox/behavior/training.py` and psychofit (curve, likelihood, bounds); paper-behavior (bounds).
"""

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from twin.evaluation.psychometric.kernels import curve, fit_rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Four = tuple[float, float, float, float]

FROM_LEVELS = math.nan  # in a Bounds row: start the bias at the mean level, keep it between the extreme levels


class Psychometric(NamedTuple):
    """A curve: bias and threshold in percent contrast, lapses in [0, 1], and its negative log-likelihood in nats."""

    bias: float
    threshold: float
    lapse_low: float
    lapse_high: float
    nll: float


class Bounds(NamedTuple):
    """First start of a fit and the box it stays in, each (bias, threshold, lapse_low, lapse_high), and their source."""

    start: Four
    low: Four
    high: Four
    source: str

    @property
    def table(self) -> Floats:
        """Rows start, low, high: (3, 4)."""
        return np.array([self.start, self.low, self.high])


STATUS = Bounds(
    start=(FROM_LEVELS, 20.0, 0.05, 0.05),
    low=(FROM_LEVELS, 0.0, 0.0, 0.0),
    high=(FROM_LEVELS, 100.0, 1.0, 1.0),
    source="ibllib brainbox/behavior/training.py, compute_psychometric(plotting=False): training status",
)
PLOTS = Bounds(
    start=(0.0, 40.0, 0.1, 0.1),
    low=(-50.0, 10.0, 0.0, 0.0),
    high=(50.0, 50.0, 0.2, 0.2),
    source="ibllib brainbox/behavior/training.py, compute_psychometric(plotting=True): figures",
)
ELIFE = Bounds(
    start=(0.0, 20.0, 0.05, 0.05),
    low=(FROM_LEVELS, 5.0, 0.0, 0.0),
    high=(FROM_LEVELS, 40.0, 1.0, 1.0),
    source="paper-behavior, figures of eLife 2021;10:e63711 (there only with at least four levels)",
)


def psychometric(contrast_percent: npt.ArrayLike, bias: float, threshold: float, lapse_low: float, lapse_high: float) -> Floats:
    """P(right) at signed contrasts in percent, in the shape of `contrast_percent` (psychofit `erf_psycho_2gammas`)."""
    contrast = np.asarray(contrast_percent, dtype=np.float64)
    p: Floats = curve(contrast.ravel(), bias, threshold, lapse_low, lapse_high)
    return p.reshape(contrast.shape)


def summarise(
    contrast: npt.ArrayLike, choice: npt.ArrayLike, *, no_go: Literal["counted", "excluded"] = "counted"
) -> tuple[Floats, Ints, Floats]:
    """Signed levels in percent (ascending), trials and fraction of right choices at each: three (L,) arrays.

    contrast: (T,) signed, in [-1, 1]. choice: (T,) 0 left, 1 right, -1 no-go. `no_go="counted"` keeps no-gos in n
    (ibllib `compute_performance`), `"excluded"` drops them (paper-behavior); a level left empty has n 0, p_right NaN.
    """
    if no_go not in ("counted", "excluded"):
        raise ValueError(f"no_go is {no_go!r}; expected 'counted' or 'excluded'")
    levels, where = np.unique(100.0 * np.asarray(contrast, dtype=np.float64), return_inverse=True)
    made = np.asarray(choice)
    if made.ndim != 1 or made.shape != where.shape:
        raise ValueError(f"contrast has shape {np.shape(contrast)} and choice {made.shape}; expected (T,) for both")
    kept = np.ones(made.size, dtype=bool) if no_go == "counted" else made != -1
    n = np.bincount(where[kept], minlength=levels.size)
    right = np.bincount(where[made == 1], minlength=levels.size)
    p_right = np.divide(right, n, out=np.full(levels.size, np.nan), where=n > 0)
    return levels, n, p_right


def fit_psychometric(
    levels: npt.ArrayLike, n: npt.ArrayLike, p_right: npt.ArrayLike, bounds: Bounds = STATUS, starts: int = 5
) -> Psychometric:
    """Maximum-likelihood curve of one set of levels (percent), trials and p_right, each (L,); all NaN without trials.

    A level with n 0 or p_right NaN is left out. `starts`: how many starting points the search takes, at least 1.
    """
    fit = fit_psychometrics(levels, np.atleast_2d(n), np.atleast_2d(p_right), bounds, starts)[0]
    return Psychometric(*fit.tolist())


def fit_psychometrics(
    levels: npt.ArrayLike, n: npt.ArrayLike, p_right: npt.ArrayLike, bounds: Bounds = STATUS, starts: int = 5
) -> Floats:
    """Maximum-likelihood curves of N sets at once: (N, 5), columns in the order of `Psychometric`.

    levels in percent: (L,), or (N, L) if they differ. n, p_right: (N, L); pad ragged sets with n = 0.
    """
    trials, p = np.asarray(n, dtype=np.float64), np.asarray(p_right, dtype=np.float64)
    x = np.asarray(levels, dtype=np.float64)
    if trials.ndim != 2 or p.shape != trials.shape or x.shape not in (trials.shape, trials.shape[1:]):
        raise ValueError(
            f"levels, n, p_right have shapes {x.shape}, {trials.shape}, {p.shape}; give (L,) or (N, L), (N, L), (N, L)"
        )
    if starts < 1:
        raise ValueError(f"starts is {starts}; expected at least 1")
    order = np.argsort(np.broadcast_to(x, trials.shape), axis=1)
    x, trials, p = (np.take_along_axis(np.broadcast_to(a, trials.shape), order, axis=1) for a in (x, trials, p))
    trials = np.where(np.isfinite(p), trials, 0.0)
    right = np.where(trials > 0.0, trials * p, 0.0)
    fits: Floats = fit_rows(x, trials, right, bounds.table, starts)
    return fits
