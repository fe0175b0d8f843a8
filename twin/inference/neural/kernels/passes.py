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
known gains of a filter (see `unroll`). With mirror symmetry the block holds each mouse twice, as it is and mirrored: the
layers see twice as many rows, and the outputs of the two views are averaged.

Letters are explained in `records`; the steps of one trial are in `steps`.

Limits. Results equal a torch loop to rounding, not bit for bit. Nothing is checked here: a wrong shape reads foreign memory.
"""

from numba import njit

from twin.inference.neural.kernels.lanes import OPTIONS, add_product
from twin.inference.neural.kernels.layers import ZERO, add, add_rows, clear, copy
from twin.inference.neural.kernels.steps import (
    add_core,
    add_core_back,
    add_weight_gradients,
    change_weights,
    change_weights_back,
    correct,
    correct_back,
    decide,
    dense_layers,
    dense_layers_back,
    first_stage,
    first_stage_back,
    read_inputs,
)
from twin.inference.neural.kernels.structs import Array, Buffers, Gradient, Network, Trials

compiled = njit(**OPTIONS)


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
