"""The steps of one trial of a block of mice, forward and backward, compiled into the kernels that call them.

Letters as in `structs`. The steps read many arrays: in a call every shape and stride would be copied, which takes longer than
the step, so all of them are inlined.
"""

from envs.compiled import njit
from twin.inference.lanes import OPTIONS
from twin.inference.neural.kernels.layers import (
    HALF,
    ONE,
    ZERO,
    activate,
    add,
    clear,
    copy,
    copy_row,
    copy_rows,
    gru_cell,
    gru_cell_back,
    multiply,
    sigmoid,
)
from twin.inference.neural.kernels.product import add_product
from twin.inference.neural.kernels.structs import READOUT, Adjoint, Array, Buffers, Parameters, Record

inlined = njit(**OPTIONS, inline="always")


@inlined
def innovation(record: Record, w: Array, mouse: int, trial: int) -> tuple:
    """The choice minus its probability, for weights w (K,) before their correction, and the slope of that probability."""
    logit = w[0] * record.moderated_x[mouse, trial, 0]
    for k in range(1, w.size):
        logit += w[k] * record.moderated_x[mouse, trial, k]
    p = sigmoid(logit)
    return record.choice[mouse, trial] - p, p * (ONE - p)


@inlined
def correct(record: Record, w: Array, mouse: int, trial: int, before: Array, corrected: Array) -> None:
    """w (B, K) += gain * innovation; before and corrected (B, K) keep what it was and what it became."""
    copy(before, w)
    for b in range(w.shape[0]):
        if record.gain.shape[1] > 0 and record.mask[mouse + b, trial] != ZERO:
            error, _ = innovation(record, before[b], mouse + b, trial)
            for k in range(w.shape[1]):
                w[b, k] += record.gain[mouse + b, trial, k] * error
    copy(corrected, w)


@inlined
def correct_back(record: Record, dw: Array, mouse: int, trial: int, before: Array) -> None:
    """dw (B, K) of the corrected weights becomes that of the weights before the choice."""
    for b in range(dw.shape[0]):
        if record.gain.shape[1] > 0 and record.mask[mouse + b, trial] != ZERO:
            _, slope = innovation(record, before[b], mouse + b, trial)
            adjoint = slope * record.gain[mouse + b, trial, 0] * dw[b, 0]
            for k in range(1, dw.shape[1]):
                adjoint += slope * record.gain[mouse + b, trial, k] * dw[b, k]
            for k in range(dw.shape[1]):
                dw[b, k] -= adjoint * record.moderated_x[mouse + b, trial, k]


@inlined
def choice_probability(record: Record, w: Array, mouse: int, trial: int, p: Array) -> None:
    """p (B, 1) of a right choice with weights w (B, K); 1/2 without features or trial."""
    for b in range(w.shape[0]):
        p[b, 0] = HALF
        if record.x.shape[1] > 0 and record.mask[mouse + b, trial] != ZERO:
            logit = w[b, 0] * record.x[mouse + b, trial, 0]
            for k in range(1, w.shape[1]):
                logit += w[b, k] * record.x[mouse + b, trial, k]
            p[b, 0] = sigmoid(logit)


@inlined
def read_inputs(net: Parameters, record: Record, w: Array, p: Array, mouse: int, trial: int, z: Array) -> None:
    """Rows of z (R, Z): weights, inputs and 2p - 1 of each mouse, as far as they are seen, then the same mirrored."""
    mice, n_inputs = w.shape[0], record.inputs.shape[2]
    n_weights = w.shape[1] if net.sees_weights else 0
    for b in range(mice):
        for k in range(n_weights):
            z[b, k] = w[b, k]
        counts = record.mask[mouse + b, trial] != ZERO
        for u in range(n_inputs):
            z[b, n_weights + u] = record.inputs[mouse + b, trial, u] if counts else ZERO
        if net.sees_probability:
            z[b, n_weights + n_inputs] = p[b, 0] - HALF + p[b, 0] - HALF
        for k in range(net.mirror_in.size):
            z[mice + b, k] = net.mirror_in[k] * z[b, k]


@inlined
def first_stage(net: Parameters, buffers: Buffers, rows: slice, mask: Array, mouse: int) -> None:
    """From z to layers[0]: a dense layer, or a GRU cell that advances buffers.h."""
    bias = net.first_bias[mouse : mouse + len(mask)]
    z, values, h = buffers.z[rows], buffers.layers[0, rows], buffers.h
    if h.shape[1] == 0:
        copy_rows(values, bias)
        add_product(values, z, net.first)
        activate(net.activation, values, buffers.slopes[0, rows])
    else:
        before, x_gates, h_gates = buffers.before[rows], buffers.x_gates[rows], buffers.h_gates[rows]
        copy(before, h)
        copy_rows(x_gates, bias)
        add_product(x_gates, z, net.first)
        copy_row(h_gates, net.recurrent_bias)
        add_product(h_gates, before, net.recurrent)
        gru_cell(x_gates, h_gates, before, mask, h)
        copy(values, h)


@inlined
def first_stage_back(net: Parameters, buffers: Buffers, rows: slice, mask: Array, dh: Array) -> None:
    """From buffers.delta, the gradient of layers[0], to buffers.dz; dh (R, G) moves from after the trial to before it."""
    clear(buffers.dz)
    if dh.shape[1] == 0:
        multiply(buffers.slopes[0, rows], buffers.delta)
        add_product(buffers.dz, buffers.slopes[0, rows], net.first_back)
    else:
        x_gates, h_gates = buffers.x_gates[rows], buffers.h_gates[rows]
        add(dh, buffers.delta)
        gru_cell_back(x_gates, h_gates, buffers.before[rows], mask, dh)
        add_product(dh, h_gates, net.recurrent_back)
        add_product(buffers.dz, x_gates, net.first_back)


@inlined
def dense_layers(net: Parameters, buffers: Buffers, rows: slice) -> None:
    """From layers[0] to outputs."""
    for d in range(len(net.hidden)):
        values = buffers.layers[d + 1, rows]
        copy_row(values, net.hidden_bias[d])
        add_product(values, buffers.layers[d, rows], net.hidden[d])
        activate(net.activation, values, buffers.slopes[d + 1, rows])
    copy_row(buffers.outputs[rows], net.readout_bias)
    add_product(buffers.outputs[rows], buffers.layers[-1, rows], net.readout)


@inlined
def dense_layers_back(net: Parameters, buffers: Buffers, rows: slice) -> None:
    """From the gradient of outputs to that of layers[0], left in buffers.delta."""
    delta = buffers.delta
    clear(delta)
    add_product(delta, buffers.outputs[rows, : net.scale.shape[1]], net.readout_back)
    for d in range(len(net.hidden) - 1, -1, -1):
        multiply(buffers.slopes[d + 1, rows], delta)
        clear(delta)
        add_product(delta, buffers.slopes[d + 1, rows], net.hidden_back[d])


@inlined
def use_output(net: Parameters, record: Record, w: Array, mouse: int, trial: int, outputs: Array, mean_output: Array) -> None:
    """w (B, K) += mask * scale * output * gate, or as a readout w = scale * output; the output is averaged over views."""
    mice, gated = w.shape[0], record.gate.shape[1] > 0
    for b in range(mice):
        counts = record.mask[mouse + b, trial]
        for k in range(w.shape[1]):
            mean_output[b, k] = outputs[b, k]
            if net.mirror_out.size > 0:
                mean_output[b, k] = HALF * (outputs[b, k] + net.mirror_out[k] * outputs[mice + b, k])
            if counts != ZERO:
                step = counts * net.scale[mouse + b, k] * mean_output[b, k]
                if net.output == READOUT:
                    w[b, k] = step
                else:
                    w[b, k] += step * record.gate[mouse + b, trial, k] if gated else step


@inlined
def use_output_back(
    net: Parameters, record: Record, dw: Array, mouse: int, trial: int, outputs: Array, mean_output: Array, dscale: Array
) -> None:
    """Replace outputs (R, K') by their gradient, given dw (B, K) of the weights after the trial; adds to dscale (B, K)."""
    mice, gated = dw.shape[0], record.gate.shape[1] > 0
    clear(outputs)
    for b in range(mice):
        counts = record.mask[mouse + b, trial]
        if counts == ZERO:
            continue
        for k in range(dw.shape[1]):
            d = counts * dw[b, k]
            if gated:
                d *= record.gate[mouse + b, trial, k]
            dscale[b, k] += d * mean_output[b, k]
            outputs[b, k] = d * net.scale[mouse + b, k]
            if net.mirror_out.size > 0:
                outputs[b, k] *= HALF
                outputs[mice + b, k] = net.mirror_out[k] * outputs[b, k]
            if net.output == READOUT:  # what the weights were before the trial is forgotten
                dw[b, k] = ZERO


@inlined
def add_base_rule(record: Record, w: Array, corrected: Array, p: Array, mouse: int, trial: int) -> None:
    """w (B, K) += constant + linear p + square p^2 + own corrected, the weights before the trial."""
    for b in range(w.shape[0]):
        if record.base_rule.shape[1] > 0 and record.mask[mouse + b, trial] != ZERO:
            base, q = record.base_rule[mouse + b, trial], p[b, 0]
            for k in range(w.shape[1]):
                w[b, k] += base[0, k] + q * (base[1, k] + q * base[2, k]) + base[3, k] * corrected[b, k]


@inlined
def add_base_rule_back(record: Record, adjoint: Adjoint, corrected: Array, p: Array, mouse: int, trial: int, dp: Array) -> None:
    """Given dw (B, K) of the weights after the trial: fill dbase, start dp (B, 1), add to dw what came through `own`."""
    dw = adjoint.w
    for b in range(dw.shape[0]):
        dp[b, 0] = ZERO
        if record.base_rule.shape[1] > 0 and record.mask[mouse + b, trial] != ZERO:
            base, dbase, q = record.base_rule[mouse + b, trial], adjoint.base_rule[mouse + b, trial], p[b, 0]
            for k in range(dw.shape[1]):
                dbase[0, k] = dw[b, k]
                dbase[1, k] = q * dw[b, k]
                dbase[2, k] = q * q * dw[b, k]
                dbase[3, k] = corrected[b, k] * dw[b, k]
                dp[b, 0] += dw[b, k] * (base[1, k] + q * base[2, k] + q * base[2, k])
                dw[b, k] += base[3, k] * dw[b, k]


@inlined
def add_weight_gradients(
    net: Parameters, record: Record, dz: Array, p: Array, dp: Array, dw: Array, mouse: int, trial: int
) -> None:
    """Add to dw (B, K) what came through the network's input and, from dp (B, 1) on, through the probability."""
    mice = dw.shape[0]
    n_weights = dw.shape[1] if net.sees_weights else 0
    for b in range(mice):
        for k in range(n_weights):
            dw[b, k] += dz[b, k]
            if net.mirror_in.size > 0:
                dw[b, k] += net.mirror_in[k] * dz[mice + b, k]
        if record.x.shape[1] > 0 and record.mask[mouse + b, trial] != ZERO:
            if net.sees_probability:
                through = dz[b, n_weights]
                if net.mirror_in.size > 0:
                    through += net.mirror_in[net.mirror_in.size - 1] * dz[mice + b, n_weights]
                dp[b, 0] += through + through
            slope = dp[b, 0] * p[b, 0] * (ONE - p[b, 0])
            for k in range(dw.shape[1]):
                dw[b, k] += slope * record.x[mouse + b, trial, k]
