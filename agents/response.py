"""How long a mouse takes to answer, whether it answers at all, and how long it stays engaged in a session.

Response time, from stimulus onset, is a shifted lognormal. With d = |decision variable| and e = exp(-d / 1.3), its median is
`response_median` + `response_slowing` e, and the standard deviation of its logarithm `response_sigma` (1 + e): weak evidence
makes answers slower and more scattered. The defaults follow trained mice (medians .54, .42, .37, .35, .31 s at 0, 6.25,
12.5, 25 and 100 % contrast, quartiles .28 to 2.7 s at 0 and .23 to .45 s at 100 %; 7,577 trials of 9 biased sessions of
the public IBL data, derived in github.com/ermanakar/animaltasksim), at the decision variables their accuracies imply.

Engagement: for a number of trials, different from day to day, a mouse works; after that its response times stretch by a
factor e every 25 trials, until the session's end or until it no longer answers within the response window. The default of
500 trials, half more or less, is chosen so that sessions last about as long as public training sessions do (557 trials on
average). No-gos: .45 % of trials (1,182 of 260,833 trials of 78 mice, github.com/aeronjl/unspool), beside those of
response times that exceed the window.
"""

from __future__ import annotations

import math
from math import inf

import numpy as np

from agents.parameters import Parameter
from envs.compiled import kernel
from envs.draws import ENGAGEMENT, NO_GO, RESPONSE_TIME, normal, uniform

# A mouse of longer medians answers in no more than half of its trials, within the 60 s it has; in natural logarithms a
# standard deviation of 5 already puts a third of the answers outside of a factor of 150.
MOST_SECONDS, MOST_SIGMA = 60.0, 5.0

RESPONSE_TRAITS = (
    Parameter("no_go", 0.0045, 0.0, 1.0, "probability", "trials without a choice while engaged"),
    Parameter("response_median", 0.31, 0.15, inf, "s", "median response time at strong evidence", most=MOST_SECONDS),
    Parameter("response_slowing", 0.24, 0.0, inf, "s", "how much longer it is without evidence", most=MOST_SECONDS),
    Parameter(
        "response_sigma", 0.95, 0.0, inf, "log s", "sd of the logarithm at strong evidence; twice that without", most=MOST_SIGMA
    ),
    Parameter("engaged_trials", 500.0, 0.0, inf, "trials", "mean over sessions of the trials before engagement fades"),
    Parameter("engaged_spread", 0.5, 0.0, 1.0, "fraction", "half the range of engaged_trials over sessions, uniform"),
)

SHORTEST_RESPONSE = 0.15  # seconds; the shift of the lognormal
EVIDENCE_SCALE = 1.3  # logits over which the slowing of weak evidence falls to 1/e
FADE_TRIALS = 25.0  # in which response times grow by a factor e once engagement fades
_MOST_FADED = 20.0  # no larger exponent: response times are beyond any window


@kernel
def _stretch(traits: np.ndarray, key: np.uint64, session: int, session_trial: int) -> float:
    """Factor by which faded engagement stretches a response time; 1 while engaged."""
    spread = traits[5] * (2.0 * uniform(key, session, ENGAGEMENT) - 1.0)
    beyond = session_trial - traits[4] * (1.0 + spread)
    return 1.0 if beyond <= 0.0 else math.exp(min(beyond / FADE_TRIALS, _MOST_FADED))


@kernel
def response_time(traits: np.ndarray, evidence: float, when: tuple) -> float:
    """Response time in seconds, negative for a no-go.

    `traits` (B,) are the mouse's RESPONSE_TRAITS, in order; `when` is (key, trial, session, session_trial).
    """
    key, trial, session, session_trial = when
    if uniform(key, trial, NO_GO) < traits[0]:
        return -1.0
    weakness = math.exp(-abs(evidence) / EVIDENCE_SCALE)
    scale = traits[1] - SHORTEST_RESPONSE + traits[2] * weakness
    spread = math.exp(traits[3] * (1.0 + weakness) * normal(key, trial, RESPONSE_TIME))
    return SHORTEST_RESPONSE + scale * spread * _stretch(traits, key, session, session_trial)
