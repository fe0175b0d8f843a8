"""What the kernels read and write: parameters, their gradients, recorded trials, and the buffers of a chunk.

Letters: M mice, T trials, K weights, K' outputs, U inputs, Z all that the network reads (K weights, U inputs and 1 probability,
as far as it sees them), Z' those of it that depend on the weights, filled up, H units, D dense layers after the first stage,
G = H with a GRU and 0 without; in a block B mice, R rows (B, or 2B with mirror symmetry: plain views first), C trials of a
chunk, CR = C * R. What is filled up is so to a multiple of 16 (`lanes`).
"""

from typing import NamedTuple

import numpy as np

Array = np.ndarray

CHANGE, READOUT = 0, 1  # what the output of a network is: a change of the weights, or the weights themselves


class Parameters(NamedTuple):
    """Parameters, input unit before output unit; those that end in _back are transposed for the backward pass."""

    first: Array  # (Z, H), or (Z, 3G)
    first_bias: Array  # (M, H) or (M, 3G)
    recurrent: Array  # (G, 3G)
    recurrent_bias: Array
    hidden: Array  # (D, H, H)
    hidden_bias: Array  # (D, H)
    readout: Array  # (H, K')
    readout_bias: Array
    scale: Array  # (M, K)
    first_back: Array  # (H, Z') or (3G, Z'): the columns of the weights in z, then that of p
    recurrent_back: Array  # (3G, G)
    hidden_back: Array  # (D, H, H)
    readout_back: Array  # (K', H)
    activation: int
    output: int
    sees_weights: bool
    sees_probability: bool
    mirror_in: Array  # (Z,) signs; empty without mirror symmetry
    mirror_out: Array  # (K,) signs


class Gradient(NamedTuple):
    """Sums over one chunk; fields as in Parameters, of the mice of a block where they have some; all are views of `flat`."""

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


class Record(NamedTuple):
    """Recorded data. Inputs and gates of a trial whose mask is zero are never used."""

    inputs: Array  # (M, T, U)
    gate: Array  # (M, T, K), or (M, 0, K) for no gate
    mask: Array  # (M, T)
    moderated_x: Array  # (M, T, K) features of the correction, or (M, 0, K) for no correction
    gain: Array  # (M, T, K), as `moderated_x`
    choice: Array  # (M, T), or (M, 0)
    x: Array  # (M, T, K) features of the policy, or (M, 0, K) if neither network nor base rule sees p
    base_rule: Array  # (M, T, 4, K) constant, linear, square, own; or (M, 0, 4, K)


class Block(NamedTuple):
    """Mice that run together, and how."""

    mouse: int  # the first of them
    chunk: int  # trials
    segment: int  # gradients stop where a trial is a multiple of it; 0: nowhere


class Saved(NamedTuple):
    """What the forward pass leaves for the backward one."""

    path: Array  # (M, T, K) weights before each trial
    starts: Array  # (chunks, R, G) hidden state of a block at the start of each chunk


class Adjoint(NamedTuple):
    """Gradients of the loss, of the state of a block as it is walked back and of what drives it."""

    path: Array  # (M, T, K) given
    w: Array  # (B, K) of the weights
    h: Array  # (R, G) of the hidden state
    base_rule: Array  # (M, T, 4, K) to be filled


class Buffers(NamedTuple):
    """State of a block and what it computes in one chunk; walking back replaces slopes, gates and outputs by gradients."""

    w: Array  # (B, K)
    before_choice: Array  # (CB, K) weights before their correction by the choice
    corrected: Array  # (CB, K) weights after it, by which the trial is learned from
    h: Array  # (R, G)
    z: Array  # (CR, Z)
    before: Array  # (CR, G) hidden state before the trial
    x_gates: Array  # (CR, 3G)
    h_gates: Array  # (CR, 3G)
    layers: Array  # (D + 1, CR, H) activations, those of the first stage first
    slopes: Array  # (D + 1, CR, H) derivatives of the activation function
    outputs: Array  # (CR, K')
    mean_output: Array  # (CB, K) outputs averaged over views
    p: Array  # (CB, 1) probability of a right choice
    delta: Array  # (R, H) gradient of the layer being walked
    dp: Array  # (B, 1) gradient of p
    dz: Array  # (R, Z') gradient of the weights and of p in z
