"""The steps of one trial of a block of mice, forward and backward, compiled into the kernels that call them.

Letters as in `records`. The steps read many arrays: in a call every shape and stride would be copied, which takes longer than
the step, so all of them are inlined.
"""

from numba import njit

from twin.inference.neural.kernels.lanes import OPTIONS, add_product
from twin.inference.neural.kernels.layers import (
    HALF,
    ONE,
    ZERO,
    activate,
    add,
    clear,
    copy,
    copy_row,
    gru_cell,
    gru_cell_back,
    multiply,
    sigmoid,
)
from twin.inference.neural.kernels.structs import Array, Buffers, Network, Trials

inlined = njit(**OPTIONS, inline="always")


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
