"""What the kernels read and write: parameters, their gradients, recorded trials, and the buffers of a chunk.

Letters: M mice, T trials, K weights, K' outputs, K" = K + 1 filled up, U inputs, Z = K + U or K + U + 1, H units, D dense
layers after the first stage, G = H with a GRU and 0 without; in a block B mice, R rows (B, or 2B with mirror symmetry: plain
views first), C trials of a chunk, CR = C * R.
"""

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Network(NamedTuple):
    """Parameters, input unit before output unit; those that end in _back are transposed for the backward pass."""

    first: Array  # (Z, H), or (Z, 3G)
    first_bias: Array
    recurrent: Array  # (G, 3G)
    recurrent_bias: Array
    hidden: Array  # (D, H, H)
    hidden_bias: Array  # (D, H)
    readout: Array  # (H, K')
    readout_bias: Array
    scale: Array  # (K,)
    first_back: Array  # (H, K") or (3G, K"): the columns of the weights in z, then that of p
    recurrent_back: Array  # (3G, G)
    hidden_back: Array  # (D, H, H)
    readout_back: Array  # (K', H)
    activation: int
    mirror_in: Array  # (Z,) signs; empty without mirror symmetry
    mirror_out: Array  # (K,) signs


class Gradient(NamedTuple):
    """Sums over one chunk; fields as in Network, all of them views of `flat`."""

    flat: Array
    first: Array
    first_bias: Array
    recurrent: Array
    recurrent_bias: Array
    hidden: Array
    hidden_bias: Array
    readout: Array
    readout_bias: Array
    scale: Array


class Trials(NamedTuple):
    """Recorded data. Inputs and gates of a trial whose mask is zero are never used."""

    inputs: Array  # (M, T, U)
    gate: Array  # (M, T, K), or (M, 0, K) for no gate
    mask: Array  # (M, T)
    seen: Array  # (M, T, K) features of the correction, or (M, 0, K) for no correction
    gain: Array  # (M, T, K), as `seen`
    choice: Array  # (M, T), or (M, 0)
    x: Array  # (M, T, K) features of the policy, or (M, 0, K) if neither network nor core knows p
    core: Array  # (M, T, 4, K) constant, linear, square, own; or (M, 0, 4, K)


class Buffers(NamedTuple):
    """State of a block and what it computes in one chunk; walking back replaces slopes, gates and outputs by gradients."""

    w: Array  # (B, K)
    before_choice: Array  # (CB, K) weights before their correction by the choice
    h: Array  # (R, G)
    z: Array  # (CR, Z)
    before: Array  # (CR, G) hidden state before the trial
    x_gates: Array  # (CR, 3G)
    h_gates: Array  # (CR, 3G)
    layers: Array  # (D + 1, CR, H) activations, those of the first stage first
    slopes: Array  # (D + 1, CR, H) derivatives of the activation function
    outputs: Array  # (CR, K')
    change: Array  # (CB, K) outputs averaged over views
    p: Array  # (CB, 1) probability of a right choice
    delta: Array  # (R, H) gradient of the layer being walked
    dp: Array  # (B, 1) gradient of p
    dz: Array  # (R, K") gradient of the weights and of p in z
