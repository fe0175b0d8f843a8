"""Features: what of the stimulus and of the previous trial drives the choice, each a named column of x.

The history features (`previous_...`) are 0 at the first trial of a session and after a trial without a choice.

A feature of a user's own is compiled for itself, and its code is the address of what was compiled: the loops, which are
compiled once for all and kept on disk, call it there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from agents.own_features import call_feature, compile_feature, mirroring
from envs.compiled import kernel, njit
from envs.names import suggest

_STIMULUS, _BIAS, _CONTRAST, _PREVIOUS_CHOICE, _PREVIOUS_REWARD, _PREVIOUS_STIMULUS, _SCALED_CONTRAST, _LEFT, _RIGHT = range(9)
_OWN = 4096  # no compiled function lies at an address so low
CONTRAST_GAIN = 5.0  # psytrack's p of tanh(p c) / tanh(p); Roy et al 2021, Neuron
_FULL = math.tanh(CONTRAST_GAIN)


class Feature(NamedTuple):
    """A feature: its code in compiled loops, what it is, and what becomes of it when left and right are swapped."""

    code: int
    doc: str
    mirrored: int = -1  # -1: its sign changes, 1: it stays, 0: another feature takes its place
    function: Callable[..., float] | None = None  # of a user's own


FEATURES = {
    "stimulus": Feature(_STIMULUS, "signed contrast c as tanh(5 c) / tanh(5), positive = right"),
    "bias": Feature(_BIAS, "1", mirrored=1),
    "stimulus_left": Feature(
        _LEFT, "the stimulus feature of the left side, 0 to 1; PsyTrack's model of IBL mice, Roy et al 2021", mirrored=0
    ),
    "stimulus_right": Feature(_RIGHT, "the stimulus feature of the right side, 0 to 1", mirrored=0),
    "contrast": Feature(_CONTRAST, "signed contrast itself, positive = right"),
    "scaled_contrast": Feature(_SCALED_CONTRAST, "twice the signed contrast: -2 to 2, as in Liu, Geadah & Pillow 2025"),
    "previous_choice": Feature(_PREVIOUS_CHOICE, "+1 after a right, -1 after a left choice"),
    "previous_reward": Feature(
        _PREVIOUS_REWARD, "+1 after a rewarded right, -1 after a rewarded left choice, 0 after an error"
    ),
    "previous_stimulus": Feature(_PREVIOUS_STIMULUS, "the previous trial's stimulus feature"),
}


def register_feature(name: str, doc: str = "") -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Register a function of (contrast, previous_choice, previous_reward, previous_contrast) as a feature.

    Contrasts are signed, positive = right; `previous_choice` and `previous_reward` are the features of these names. All of the
    previous trial is 0 at the first trial of a session and after a trial without a choice. The function is compiled: it may use
    `if` and `math`, and must return a finite number.

        @register_feature("strong_stimulus", "side of a contrast of at least .5")
        def strong_stimulus(contrast, previous_choice, previous_reward, previous_contrast):
            return math.copysign(1.0, contrast) if abs(contrast) >= 0.5 else 0.0

    A function of the same name and module takes the place of the one before. Raises ValueError for a name that is taken or is
    none, and for a function that cannot be compiled or fails, with the line.
    """

    def register(function: Callable[..., float]) -> Callable[..., float]:
        before = FEATURES.get(name)
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"feature {name!r}: expected a name of letters, digits and _")
        if before is not None and getattr(before.function, "__module__", None) != function.__module__:
            raise ValueError(f"feature {name!r} is there already; give yours another name")
        address = compile_feature(name, function)
        FEATURES[name] = Feature(address, doc or function.__doc__ or "", mirroring(function), function)
        return function

    return register


def own_modules() -> tuple[str, ...]:
    """The modules that registered features of a user's own, but for the one that Python began with."""
    found = dict.fromkeys(feature.function.__module__ for feature in FEATURES.values() if feature.function)
    return tuple(name for name in found if name not in ("__main__", "__mp_main__"))


def feature_codes(features: Sequence[str]) -> np.ndarray:
    """Codes of named features, (K,). Raises ValueError for an unknown or repeated name."""
    for name in features:
        if name not in FEATURES:
            raise ValueError(f"{suggest('feature', name, FEATURES)}; one of your own must be registered before")
    if not features or len(set(features)) < len(features):
        raise ValueError(f"features {list(features)}: at least one, each once")
    return np.array([FEATURES[name].code for name in features], np.int64)


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
        elif code < _OWN:
            x[k] = previous[code - _PREVIOUS_CHOICE]
        else:
            x[k] = call_feature(code, contrast, previous[0], previous[1], previous[2])


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
