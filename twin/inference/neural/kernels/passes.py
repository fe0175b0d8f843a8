"""Forward and backward passes of a neural learning rule through the trials of a block of mice, compiled.

Idea. The trials of a mouse are a chain: the weights after a trial feed the network on the next. Only that chain has to run in
order, and the state it carries is small (K weights, and H hidden units of a GRU), so

- the mice of a block run together: one product of (rows of mice) x (matrix of the layer) per layer and trial;
- the forward pass keeps the weights of every trial, which are its result, and for a GRU the hidden state at the start of every
  chunk of trials. The backward pass takes the chunks last to first, runs each again with its activations kept in a buffer that
  stays in cache, walks it backwards, and adds the parameter gradients as products over all its trials. Running a chunk again is
  faster than a round trip of all activations to main memory, and memory does not grow with the network
  (checkpointing: Griewank & Walther 2000, doi 10.1145/347837.347846; Chen et al. 2016, arXiv 1604.06174);
- gradients are summed in the working precision over a chunk and in float64 over chunks.

A network is a first stage that reads z = [weights, inputs, 2p - 1] or some of them (a dense layer, or a GRU cell), D dense
layers of the same width H, and a linear readout with one output per weight, which is a change of the weights or the weights
themselves. A closed-form base rule may add to the change (see `interface`); both depend on the weights. H and the number of
outputs are filled up to multiples of 16 by zero units, which stay zero. Where weights are noisy, each choice corrects them
before they are read, by the known gains of a filter. With mirror symmetry the block holds each mouse twice, as it is and
mirrored: the layers see twice as many rows, and the outputs of the two views are averaged.

Letters are explained in `structs`; the steps of one trial are in `steps`.

Limits. Results equal a torch loop to rounding, not bit for bit. Nothing is checked here: a wrong shape reads foreign memory.
"""

from envs.compiled import njit
from twin.inference.lanes import OPTIONS
from twin.inference.neural.kernels.layers import ZERO, add, add_rows, add_rows_of_each, clear, copy
from twin.inference.neural.kernels.product import add_product
from twin.inference.neural.kernels.steps import (
    add_base_rule,
    add_base_rule_back,
    add_weight_gradients,
    choice_probability,
    correct,
    correct_back,
    dense_layers,
    dense_layers_back,
    first_stage,
    first_stage_back,
    read_inputs,
    use_output,
    use_output_back,
)
from twin.inference.neural.kernels.structs import (
    Adjoint,
    Array,
    Block,
    Buffers,
    Gradient,
    Parameters,
    Record,
    Saved,
)

compiled = njit(**OPTIONS)


@compiled
def run_chunk(net: Parameters, record: Record, buffers: Buffers, mouse: int, start: int, stop: int) -> None:
    """Advance the block that begins with `mouse` through trials start..stop; every activation stays in buffers."""
    w = buffers.w
    mice, n_rows = w.shape[0], buffers.delta.shape[0]
    for c in range(stop - start):
        trial, rows, block = start + c, slice(c * n_rows, c * n_rows + n_rows), slice(c * mice, c * mice + mice)
        correct(record, w, mouse, trial, buffers.before_choice[block], buffers.corrected[block])
        choice_probability(record, w, mouse, trial, buffers.p[block])
        read_inputs(net, record, w, buffers.p[block], mouse, trial, buffers.z[rows])
        first_stage(net, buffers, rows, record.mask[mouse : mouse + mice, trial], mouse)
        dense_layers(net, buffers, rows)
        use_output(net, record, w, mouse, trial, buffers.outputs[rows], buffers.mean_output[block])
        add_base_rule(record, w, buffers.corrected[block], buffers.p[block], mouse, trial)


@compiled
def walk_back(
    net: Parameters,
    record: Record,
    buffers: Buffers,
    block: Block,
    start: int,
    stop: int,
    adjoint: Adjoint,
    dscale: Array,
) -> None:
    """Move the adjoint of the state from after the chunk to before it; fills the chunk's part of adjoint.base_rule."""
    dw, dh, mouse, segment = adjoint.w, adjoint.h, block.mouse, block.segment
    mice, n_rows = dw.shape[0], buffers.delta.shape[0]
    for c in range(stop - start - 1, -1, -1):
        trial, rows, own = start + c, slice(c * n_rows, c * n_rows + n_rows), slice(c * mice, c * mice + mice)
        p = buffers.p[own]
        use_output_back(net, record, dw, mouse, trial, buffers.outputs[rows], buffers.mean_output[own], dscale)
        add_base_rule_back(record, adjoint, buffers.corrected[own], p, mouse, trial, buffers.dp)
        dense_layers_back(net, buffers, rows)
        first_stage_back(net, buffers, rows, record.mask[mouse : mouse + mice, trial], dh)
        add_weight_gradients(net, record, buffers.dz, p, buffers.dp, dw, mouse, trial)
        correct_back(record, dw, mouse, trial, buffers.before_choice[own])
        add(dw, adjoint.path[mouse : mouse + mice, trial])
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
    add_rows_of_each(grad.first_bias, deltas)
    for d in range(len(grad.hidden)):
        deltas = buffers.slopes[d + 1, :n_rows]
        add_product(grad.hidden[d], buffers.layers[d, :n_rows].T, deltas)
        add_rows(grad.hidden_bias[d], deltas)
    add_product(grad.readout, buffers.layers[-1, :n_rows].T, buffers.outputs[:n_rows])
    add_rows(grad.readout_bias, buffers.outputs[:n_rows])


@compiled
def forward_block(net: Parameters, record: Record, buffers: Buffers, block: Block, saved: Saved) -> None:
    """All trials of a block from the state in buffers on; fills `saved`, of the path its own mice."""
    mice = buffers.w.shape[0]
    for i in range(len(saved.starts)):
        start = i * block.chunk
        stop = min(start + block.chunk, saved.path.shape[1])
        copy(saved.starts[i], buffers.h)
        run_chunk(net, record, buffers, block.mouse, start, stop)
        for b in range(mice):
            copy(saved.path[block.mouse + b, start:stop], buffers.before_choice[b::mice])


@compiled
def backward_block(
    net: Parameters,
    record: Record,
    buffers: Buffers,
    block: Block,
    saved: Saved,
    adjoint: Adjoint,
    grad: Gradient,
    total: Array,
) -> None:
    """Move the adjoint of the state from the end to the beginning, and add the parameter gradients to total (float64)."""
    for i in range(len(saved.starts) - 1, -1, -1):
        start = i * block.chunk
        stop = min(start + block.chunk, saved.path.shape[1])
        copy(buffers.w, saved.path[block.mouse : block.mouse + len(adjoint.w), start])
        copy(buffers.h, saved.starts[i])
        run_chunk(net, record, buffers, block.mouse, start, stop)
        for p in range(total.size):
            grad.flat[p] = ZERO
        walk_back(net, record, buffers, block, start, stop, adjoint, grad.scale)
        add_parameter_gradients(buffers, (stop - start) * len(buffers.delta), grad)
        for p in range(total.size):
            total[p] += grad.flat[p]
