"""Forward and backward passes of a neural learning rule through the trials of a block of mice, compiled.

Idea. The trials of a mouse are a chain: the weights after a trial feed the network on the next. Only that chain has to run in
order, and the state it carries is small (K weights, and H hidden units of a GRU), so

- the mice of a block run together: one product of (rows of mice) x (matrix of the layer) per layer and trial;
- the forward pass keeps the weights of every trial, which are its result, and for a GRU the hidden state at the start of every
  chunk of trials. The backward pass takes the chunks last to first, runs each again with its activations kept in a buffer that
  stays in cache, walks it backwards, and adds the parameter gradients as products over all its trials. Running a chunk again is
  two to four times faster than a round trip of all activations to main memory, and memory does not grow with the network
  (checkpointing: Griewank & Walther 2000, doi 10.1145/347837.347846; Chen et al. 2016, arXiv 1604.06174);
- gradients are summed in the working precision over a chunk and in float64 over chunks.

A network is a first stage that reads z = [weights, inputs] (a dense layer, or a GRU cell), D dense layers of the same width H,
and a linear readout with one output per weight. z may end with the policy's own p, as 2p - 1, and a closed-form core (see
`unroll`) may add to the change of the weights; both depend on the weights. H and the number of outputs are filled up to
multiples of 16 by zero units, which stay zero. Where weights are noisy, each choice corrects them before they are read, by the
known gains of a filter (see `unroll`). With mirror symmetry the block holds each mouse twice, as it is and mirrored: the layers see twice as many rows, and
the outputs of the two views are averaged.

Letters: M mice, T trials, K weights, K' outputs, K" = K + 1 filled up, U inputs, Z = K + U or K + U + 1, H units, D dense
layers after the first stage, G = H with a GRU and 0 without; in a block B mice, R rows (B, or 2B with mirror symmetry: plain
views first), C trials of a chunk, CR = C * R.

Limits. Results equal a torch loop to rounding, not bit for bit. Nothing is checked here: a wrong shape reads foreign memory.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from agents.fused.lanes import OPTIONS, add_product
from agents.fused.layers import (
    HALF,
    ONE,
    ZERO,
    activate,
    add,
    add_rows,
    clear,
    copy,
    copy_row,
    gru_cell,
    gru_cell_back,
    multiply,
    sigmoid,
)

Array = np.ndarray

compiled = njit(**OPTIONS)
# The steps of a trial read many arrays: in a call every shape and stride would be copied, which takes longer than the step.
inlined = njit(**OPTIONS, inline="always")


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


@inlined
def surprise(trials: Trials, w: Array, mouse: int, trial: int) -> tuple:
    """The choice less its probability, for weights w (K,) before their correction, and the slope of that probability."""
    logit = w[0] * trials.seen[mouse, trial, 0]
    for k in range(1, w.size):
        logit += w[k] * trials.seen[mouse, trial, k]
    p = sigmoid(logit)
    return trials.choice[mouse, trial] - p, p * (ONE - p)


@inlined
def correct(trials: Trials, w: Array, mouse: int, trial: int, before: Array) -> None:
    """w (B, K) += gain * surprise; before (B, K) keeps what it was."""
    copy(before, w)
    for b in range(w.shape[0]):
        if trials.gain.shape[1] > 0 and trials.mask[mouse + b, trial] != ZERO:
            error, _ = surprise(trials, before[b], mouse + b, trial)
            for k in range(w.shape[1]):
                w[b, k] += trials.gain[mouse + b, trial, k] * error


@inlined
def correct_back(trials: Trials, dw: Array, mouse: int, trial: int, before: Array) -> None:
    """dw (B, K) of the corrected weights becomes that of the weights before the choice."""
    for b in range(dw.shape[0]):
        if trials.gain.shape[1] > 0 and trials.mask[mouse + b, trial] != ZERO:
            _, slope = surprise(trials, before[b], mouse + b, trial)
            pull = slope * trials.gain[mouse + b, trial, 0] * dw[b, 0]
            for k in range(1, dw.shape[1]):
                pull += slope * trials.gain[mouse + b, trial, k] * dw[b, k]
            for k in range(dw.shape[1]):
                dw[b, k] -= pull * trials.seen[mouse + b, trial, k]


@inlined
def decide(trials: Trials, w: Array, mouse: int, trial: int, p: Array) -> None:
    """p (B, 1) of the policy with weights w (B, K); 1/2 without features or trial."""
    for b in range(w.shape[0]):
        p[b, 0] = HALF
        if trials.x.shape[1] > 0 and trials.mask[mouse + b, trial] != ZERO:
            logit = w[b, 0] * trials.x[mouse + b, trial, 0]
            for k in range(1, w.shape[1]):
                logit += w[b, k] * trials.x[mouse + b, trial, k]
            p[b, 0] = sigmoid(logit)


@inlined
def read_inputs(net: Network, trials: Trials, w: Array, p: Array, mouse: int, trial: int, z: Array) -> None:
    """Rows of z (R, Z): weights, inputs and perhaps 2p - 1 of each mouse, then the same mirrored."""
    mice, n_weights = w.shape
    for b in range(mice):
        for k in range(n_weights):
            z[b, k] = w[b, k]
        seen = trials.mask[mouse + b, trial] != ZERO
        for u in range(trials.inputs.shape[2]):
            z[b, n_weights + u] = trials.inputs[mouse + b, trial, u] if seen else ZERO
        if z.shape[1] > n_weights + trials.inputs.shape[2]:
            z[b, z.shape[1] - 1] = p[b, 0] - HALF + p[b, 0] - HALF
        for k in range(net.mirror_in.size):
            z[mice + b, k] = net.mirror_in[k] * z[b, k]


@inlined
def first_stage(net: Network, buffers: Buffers, rows: slice, seen: Array) -> None:
    """From z to layers[0]: a dense layer, or a GRU cell that advances buffers.h."""
    z, values, h = buffers.z[rows], buffers.layers[0, rows], buffers.h
    if h.shape[1] == 0:
        copy_row(values, net.first_bias)
        add_product(values, z, net.first)
        activate(net.activation, values, buffers.slopes[0, rows])
    else:
        before, x_gates, h_gates = buffers.before[rows], buffers.x_gates[rows], buffers.h_gates[rows]
        copy(before, h)
        copy_row(x_gates, net.first_bias)
        add_product(x_gates, z, net.first)
        copy_row(h_gates, net.recurrent_bias)
        add_product(h_gates, before, net.recurrent)
        gru_cell(x_gates, h_gates, before, seen, h)
        copy(values, h)


@inlined
def first_stage_back(net: Network, buffers: Buffers, rows: slice, seen: Array, dh: Array) -> None:
    """From buffers.delta, the gradient of layers[0], to buffers.dz; dh (R, G) moves from after the trial to before it."""
    clear(buffers.dz)
    if dh.shape[1] == 0:
        multiply(buffers.slopes[0, rows], buffers.delta)
        add_product(buffers.dz, buffers.slopes[0, rows], net.first_back)
    else:
        x_gates, h_gates = buffers.x_gates[rows], buffers.h_gates[rows]
        add(dh, buffers.delta)
        gru_cell_back(x_gates, h_gates, buffers.before[rows], seen, dh)
        add_product(dh, h_gates, net.recurrent_back)
        add_product(buffers.dz, x_gates, net.first_back)


@inlined
def dense_layers(net: Network, buffers: Buffers, rows: slice) -> None:
    """From layers[0] to outputs."""
    for d in range(len(net.hidden)):
        values = buffers.layers[d + 1, rows]
        copy_row(values, net.hidden_bias[d])
        add_product(values, buffers.layers[d, rows], net.hidden[d])
        activate(net.activation, values, buffers.slopes[d + 1, rows])
    copy_row(buffers.outputs[rows], net.readout_bias)
    add_product(buffers.outputs[rows], buffers.layers[-1, rows], net.readout)


@inlined
def dense_layers_back(net: Network, buffers: Buffers, rows: slice) -> None:
    """From the gradient of outputs to that of layers[0], left in buffers.delta."""
    delta = buffers.delta
    clear(delta)
    add_product(delta, buffers.outputs[rows, : net.scale.size], net.readout_back)
    for d in range(len(net.hidden) - 1, -1, -1):
        multiply(buffers.slopes[d + 1, rows], delta)
        clear(delta)
        add_product(delta, buffers.slopes[d + 1, rows], net.hidden_back[d])


@inlined
def change_weights(net: Network, trials: Trials, w: Array, mouse: int, trial: int, outputs: Array, change: Array) -> None:
    """w (B, K) += mask * scale * change * gate, where change is the output averaged over views."""
    mice, gated = w.shape[0], trials.gate.shape[1] > 0
    for b in range(mice):
        seen = trials.mask[mouse + b, trial]
        for k in range(w.shape[1]):
            change[b, k] = outputs[b, k]
            if net.mirror_out.size > 0:
                change[b, k] = HALF * (outputs[b, k] + net.mirror_out[k] * outputs[mice + b, k])
            if seen != ZERO:
                step = seen * net.scale[k] * change[b, k]
                w[b, k] += step * trials.gate[mouse + b, trial, k] if gated else step


@inlined
def change_weights_back(
    net: Network, trials: Trials, dw: Array, mouse: int, trial: int, outputs: Array, change: Array, dscale: Array
) -> None:
    """Replace outputs (R, K') by their gradient, given dw (B, K) of the weights after the trial."""
    mice, gated = dw.shape[0], trials.gate.shape[1] > 0
    clear(outputs)
    for b in range(mice):
        seen = trials.mask[mouse + b, trial]
        if seen == ZERO:
            continue
        for k in range(dw.shape[1]):
            d = seen * dw[b, k]
            if gated:
                d *= trials.gate[mouse + b, trial, k]
            dscale[k] += d * change[b, k]
            outputs[b, k] = d * net.scale[k]
            if net.mirror_out.size > 0:
                outputs[b, k] *= HALF
                outputs[mice + b, k] = net.mirror_out[k] * outputs[b, k]


@inlined
def add_core(trials: Trials, w: Array, z: Array, p: Array, mouse: int, trial: int) -> None:
    """w (B, K) += constant + linear p + square p^2 + own w; the weights before the trial are in z."""
    for b in range(w.shape[0]):
        if trials.core.shape[1] > 0 and trials.mask[mouse + b, trial] != ZERO:
            core, q = trials.core[mouse + b, trial], p[b, 0]
            for k in range(w.shape[1]):
                w[b, k] += core[0, k] + q * (core[1, k] + q * core[2, k]) + core[3, k] * z[b, k]


@inlined
def add_core_back(trials: Trials, dw: Array, z: Array, p: Array, mouse: int, trial: int, dcore: Array, dp: Array) -> None:
    """Given dw (B, K) of the weights after the trial: fill dcore, start dp (B, 1), add to dw what came through `own`."""
    for b in range(dw.shape[0]):
        dp[b, 0] = ZERO
        if trials.core.shape[1] > 0 and trials.mask[mouse + b, trial] != ZERO:
            core, d, q = trials.core[mouse + b, trial], dcore[mouse + b, trial], p[b, 0]
            for k in range(dw.shape[1]):
                d[0, k], d[1, k], d[2, k], d[3, k] = dw[b, k], q * dw[b, k], q * q * dw[b, k], z[b, k] * dw[b, k]
                dp[b, 0] += dw[b, k] * (core[1, k] + q * core[2, k] + q * core[2, k])
                dw[b, k] += core[3, k] * dw[b, k]


@inlined
def add_weight_gradients(
    net: Network, trials: Trials, dz: Array, p: Array, dp: Array, dw: Array, mouse: int, trial: int
) -> None:
    """Add to dw (B, K) what came through the network's input and, from dp (B, 1) on, through the probability."""
    mice, n_weights, n_z = dw.shape[0], dw.shape[1], net.first.shape[0]
    for b in range(mice):
        for k in range(n_weights):
            dw[b, k] += dz[b, k]
            if net.mirror_in.size > 0:
                dw[b, k] += net.mirror_in[k] * dz[mice + b, k]
        if trials.x.shape[1] > 0 and trials.mask[mouse + b, trial] != ZERO:
            if n_z > n_weights + trials.inputs.shape[2]:
                through = dz[b, n_weights]
                if net.mirror_in.size > 0:
                    through += net.mirror_in[n_z - 1] * dz[mice + b, n_weights]
                dp[b, 0] += through + through
            slope = dp[b, 0] * p[b, 0] * (ONE - p[b, 0])
            for k in range(n_weights):
                dw[b, k] += slope * trials.x[mouse + b, trial, k]


@compiled
def run_chunk(net: Network, trials: Trials, buffers: Buffers, mouse: int, start: int, stop: int) -> None:
    """Advance the block that begins with `mouse` through trials start..stop; every activation stays in buffers."""
    w = buffers.w
    mice, n_rows = w.shape[0], buffers.delta.shape[0]
    for c in range(stop - start):
        trial, rows, block = start + c, slice(c * n_rows, c * n_rows + n_rows), slice(c * mice, c * mice + mice)
        correct(trials, w, mouse, trial, buffers.before_choice[block])
        decide(trials, w, mouse, trial, buffers.p[block])
        read_inputs(net, trials, w, buffers.p[block], mouse, trial, buffers.z[rows])
        first_stage(net, buffers, rows, trials.mask[mouse : mouse + mice, trial])
        dense_layers(net, buffers, rows)
        change_weights(net, trials, w, mouse, trial, buffers.outputs[rows], buffers.change[block])
        add_core(trials, w, buffers.z[rows], buffers.p[block], mouse, trial)


@compiled
def walk_back(
    net: Network,
    trials: Trials,
    buffers: Buffers,
    mouse: int,
    start: int,
    stop: int,
    segment: int,
    grad_path: Array,
    dw: Array,
    dh: Array,
    dcore: Array,
    dscale: Array,
) -> None:
    """Move dw (B, K) and dh (R, G) from after the chunk to before it; fills the chunk's part of dcore."""
    mice, n_rows = dw.shape[0], buffers.delta.shape[0]
    for c in range(stop - start - 1, -1, -1):
        trial, rows, block = start + c, slice(c * n_rows, c * n_rows + n_rows), slice(c * mice, c * mice + mice)
        p = buffers.p[block]
        change_weights_back(net, trials, dw, mouse, trial, buffers.outputs[rows], buffers.change[block], dscale)
        add_core_back(trials, dw, buffers.z[rows], p, mouse, trial, dcore, buffers.dp)
        dense_layers_back(net, buffers, rows)
        first_stage_back(net, buffers, rows, trials.mask[mouse : mouse + mice, trial], dh)
        add_weight_gradients(net, trials, buffers.dz, p, buffers.dp, dw, mouse, trial)
        correct_back(trials, dw, mouse, trial, buffers.before_choice[block])
        add(dw, grad_path[mouse : mouse + mice, trial])
        if segment > 0 and trial > 0 and trial % segment == 0:
            clear(dw)
            clear(dh)


@compiled
def add_parameter_gradients(buffers: Buffers, n_rows: int, grad: Gradient) -> None:
    """Products of activations and their gradients over all rows of the chunk."""
    deltas = buffers.slopes[0, :n_rows]
    if buffers.h.shape[1] > 0:
        deltas, h_gates = buffers.x_gates[:n_rows], buffers.h_gates[:n_rows]
        add_product(grad.recurrent, buffers.before[:n_rows].T, h_gates)
        add_rows(grad.recurrent_bias, h_gates)
    add_product(grad.first, buffers.z[:n_rows].T, deltas)
    add_rows(grad.first_bias, deltas)
    for d in range(len(grad.hidden)):
        deltas = buffers.slopes[d + 1, :n_rows]
        add_product(grad.hidden[d], buffers.layers[d, :n_rows].T, deltas)
        add_rows(grad.hidden_bias[d], deltas)
    add_product(grad.readout, buffers.layers[-1, :n_rows].T, buffers.outputs[:n_rows])
    add_rows(grad.readout_bias, buffers.outputs[:n_rows])


@compiled
def forward_block(net: Network, trials: Trials, buffers: Buffers, mouse: int, chunk: int, path: Array, starts: Array) -> None:
    """All trials of a block from the state in buffers on; fills its part of path (M, T, K), and starts (chunks, R, G)."""
    mice = buffers.w.shape[0]
    for i in range(len(starts)):
        start, stop = i * chunk, min(i * chunk + chunk, path.shape[1])
        copy(starts[i], buffers.h)
        run_chunk(net, trials, buffers, mouse, start, stop)
        for b in range(mice):
            copy(path[mouse + b, start:stop], buffers.before_choice[b::mice])


@compiled
def backward_block(
    net: Network,
    trials: Trials,
    buffers: Buffers,
    mouse: int,
    chunk: int,
    segment: int,
    path: Array,
    starts: Array,
    grad_path: Array,
    dw: Array,
    dh: Array,
    dcore: Array,
    grad: Gradient,
    total: Array,
) -> None:
    """Move dw (B, K) and dh (R, G) from the end to the beginning, fill dcore, add the parameter gradients to total (float64).

    Gradients stop where a trial is a multiple of `segment`, unless that is 0.
    """
    for i in range(len(starts) - 1, -1, -1):
        start, stop = i * chunk, min(i * chunk + chunk, path.shape[1])
        copy(buffers.w, path[mouse : mouse + len(dw), start])
        copy(buffers.h, starts[i])
        run_chunk(net, trials, buffers, mouse, start, stop)
        for p in range(total.size):
            grad.flat[p] = ZERO
        walk_back(net, trials, buffers, mouse, start, stop, segment, grad_path, dw, dh, dcore, grad.scale)
        add_parameter_gradients(buffers, (stop - start) * len(buffers.delta), grad)
        for p in range(total.size):
            total[p] += grad.flat[p]
