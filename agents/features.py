"""Features: what of the stimulus and of the previous trial drives the choice, each a named column of x.

The history features (`previous_...`) are 0 at the first trial of a session and after a trial without a choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from envs.compiled import kernel, njit
from envs.names import suggest

_STIMULUS, _BIAS, _CONTRAST, _PREVIOUS_CHOICE, _PREVIOUS_REWARD, _PREVIOUS_STIMULUS, _SCALED_CONTRAST, _LEFT, _RIGHT = range(9)
OF_ONE_SIDE = ("stimulus_left", "stimulus_right")  # swapping left and right swaps these; the others but bias change sign
CONTRAST_GAIN = 5.0  # psytrack's p of tanh(p c) / tanh(p); Roy et al 2021, Neuron
_FULL = math.tanh(CONTRAST_GAIN)

FEATURES = {
    "stimulus": (_STIMULUS, "signed contrast c as tanh(5 c) / tanh(5), positive = right"),
    "bias": (_BIAS, "1"),
    "stimulus_left": (_LEFT, "the stimulus feature of the left side, 0 to 1; PsyTrack's model of IBL mice, Roy et al 2021"),
    "stimulus_right": (_RIGHT, "the stimulus feature of the right side, 0 to 1"),
    "contrast": (_CONTRAST, "signed contrast itself, positive = right"),
    "scaled_contrast": (_SCALED_CONTRAST, "twice the signed contrast: -2 to 2, as in Liu, Geadah & Pillow 2025"),
    "previous_choice": (_PREVIOUS_CHOICE, "+1 after a right, -1 after a left choice"),
    "previous_reward": (
        _PREVIOUS_REWARD,
        "+1 after a rewarded right, -1 after a rewarded left choice, 0 after an error",
    ),
    "previous_stimulus": (_PREVIOUS_STIMULUS, "the previous trial's stimulus feature"),
}


def feature_codes(features: Sequence[str]) -> np.ndarray:
    """Codes of named features, (K,). Raises ValueError for an unknown or repeated name."""
    for name in features:
        if name not in FEATURES:
            raise ValueError(suggest("feature", name, FEATURES))
    if not features or len(set(features)) < len(features):
        raise ValueError(f"features {list(features)}: at least one, each once")
    return np.array([FEATURES[name][0] for name in features], np.int64)


@kernel
def _stimulus(contrast: float) -> float:
    """The stimulus feature of a signed contrast, -1 to 1: differences count more at low contrasts than at high ones."""
    return math.tanh(CONTRAST_GAIN * contrast) / _FULL


@kernel
def fill_features(x: np.ndarray, codes: np.ndarray, contrast: float, previous: np.ndarray) -> None:
    """Write the features of one trial into x (K,); `previous` (3,) is what `remember` kept of the trial before."""
    for k in range(codes.shape[0]):
        code = codes[k]
        if code == _STIMULUS:
            x[k] = _stimulus(contrast)
        elif code == _BIAS:
            x[k] = 1.0
        elif code == _CONTRAST:
            x[k] = contrast
        elif code == _SCALED_CONTRAST:
            x[k] = 2.0 * contrast
        elif code == _PREVIOUS_STIMULUS:
            x[k] = _stimulus(previous[2])
        elif code == _LEFT:
            x[k] = _stimulus(max(-contrast, 0.0))
        elif code == _RIGHT:
            x[k] = _stimulus(max(contrast, 0.0))
        else:
            x[k] = previous[code - _PREVIOUS_CHOICE]


@kernel
def remember(previous: np.ndarray, contrast: float, choice: int, reward: float) -> None:
    """Keep in `previous` (3,) what the history features of the next trial need."""
    direction = 0.0 if choice < 0 else 2.0 * choice - 1.0
    previous[0] = direction
    previous[1] = direction * reward
    previous[2] = 0.0 if choice < 0 else contrast


@njit(cache=True)
def design_matrix(
    codes: np.ndarray, contrast: np.ndarray, choice: np.ndarray, reward: np.ndarray, new_session: np.ndarray
) -> np.ndarray:
    """Features (N, K) of recorded trials (N,), in order; `new_session` (N,) marks the first trial of each session."""
    x = np.empty((contrast.shape[0], codes.shape[0]))
    previous = np.zeros(3)
    for t in range(contrast.shape[0]):
        if new_session[t]:
            previous[:] = 0.0
        fill_features(x[t], codes, contrast[t], previous)
        remember(previous, contrast[t], choice[t], reward[t])
    return x
