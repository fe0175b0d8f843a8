"""Randomness as a pure function of (mouse key, trial, stream).

A counter-based generator: the three integers are hashed with the finaliser of splitmix64 (Steele, Lea & Flood 2014,
OOPSLA), so a draw depends on nothing that was drawn before it. The scalar environment, the vector environment, the fused
simulator and any number of threads therefore see the same trials bit for bit, a longer run starts with the shorter one,
and two protocols can be compared on the same mice with common random numbers.

Every function here is compiled by numba and gives the same bits with NUMBA_DISABLE_JIT=1: transcendental functions come
from `math` (the C library), never from numpy, whose vector versions differ in the last bit.
"""

from __future__ import annotations

import math

import numpy as np
from numba import config

from envs.checks import check_seed, whole
from envs.compiled import kernel, njit

# One stream for each thing that is drawn on a trial. Weight k takes the noise streams' number plus k.
CONTRAST, SIDE, DEBIAS, CHOICE = 1, 2, 3, 4
QUIESCENCE, BLOCK_LENGTH, BLOCK_SIDE, HABITUATION, PHASE = 5, 6, 7, 8, 9
RESPONSE_TIME, NO_GO, ENGAGEMENT = 10, 11, 12  # ENGAGEMENT is drawn once a session: its "trial" is the session
TRIAL_NOISE, DAY_NOISE = 1_000, 2_000
# Draws that belong to a mouse and not to one of its trials: its parameters (see `twin.cohort`).
PARAMETER = 1_000_000
_ANGLE = 1 << 40  # added to a stream's number for the second uniform of a normal draw

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_STREAM = np.uint64(0xD1B54A32D192ED03)
_S27, _S30, _S31, _S12 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(12)

if config.DISABLE_JIT:  # unsigned overflow is the point of the hash; numpy warns of it, compiled code does not
    np.seterr(over="ignore")


@kernel
def _finalise(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


@kernel
def mouse_key(seed: int, mouse: int) -> np.uint64:
    """Key of one mouse of one experiment; neighbouring seeds and mice share no stream."""
    return _finalise(_finalise(np.uint64(seed) + _GOLDEN) + (np.uint64(mouse) + np.uint64(1)) * _GOLDEN)


@kernel
def uniform(key: np.uint64, trial: int, stream: int) -> float:
    """Uniform draw in the open interval (0, 1), 52 bits."""
    z = _finalise(key ^ _finalise((np.uint64(trial) + np.uint64(1)) * _GOLDEN + np.uint64(stream) * _STREAM))
    return (np.float64(z >> _S12) + 0.5) * 2.0**-52


@kernel
def normal(key: np.uint64, trial: int, stream: int) -> float:
    """Standard normal draw (Box & Muller 1958); its second uniform comes from a stream of its own."""
    radius = math.sqrt(-2.0 * math.log(uniform(key, trial, stream)))
    return radius * math.cos(2.0 * math.pi * uniform(key, trial, stream + _ANGLE))


@kernel
def truncated_exponential(u: float, mean: float, at_low: float, at_high: float) -> float:
    """Quantile at `u` of an exponential cut to [low, high], given exp(-low / mean) and exp(-high / mean)."""
    return -mean * math.log(at_low - u * (at_low - at_high))


def mouse_keys(seed: int, mice: int) -> np.ndarray:
    """Keys of mice 0, 1, ... of one experiment, (mice,) uint64.

    Raises ValueError for a seed that is no whole number of 64 bits, or a number of mice that is none.
    """
    return _mouse_keys(np.uint64(check_seed(seed)), whole("mice", mice, 0))


@njit(cache=True)
def _mouse_keys(seed: np.uint64, mice: int) -> np.ndarray:
    keys = np.empty(mice, np.uint64)
    for m in range(mice):
        keys[m] = mouse_key(seed, m)
    return keys


@njit(cache=True)
def uniform_per_mouse(keys: np.ndarray, stream: int) -> np.ndarray:
    """One uniform draw for each key, (mice,), for what belongs to the mouse and not to a trial."""
    u = np.empty(keys.shape[0])
    for m in range(keys.shape[0]):
        u[m] = uniform(keys[m], 0, stream)
    return u
