"""Differentiable unrolling of a neural learning rule over recorded trials, by the kernels of `kernels`.

Per mouse and trial, with z_t = [w_t, inputs_t] and a network that has one output per weight:

    DNN  o_t = net(z_t)
    GRU  h_t = GRUCell(z_t, h_{t-1}), or h_{t-1} where mask_t is zero;  o_t = net(h_t)
    w_{t+1} = w_t + mask_t * scale * o_t * gate_t

The gate is absent in the plain form of a rule and the features in the form of a GLM gradient. With mirror symmetry
o_t = 1/2 (net(w, u) + s_o net(s_w w, s_u u)): swapping left and right then mirrors every path exactly. A GRU carries one hidden
state for each of the two views.

With `features` x the network may read the policy's own p_t = sigmoid(w_t . x_t) too, as a last input 2 p_t - 1, which it has if
its first layer is so wide; and a closed-form `core` c may add c_0 + c_1 p_t + c_2 p_t^2 + c_3 w_t to a change of the weights.

With a `Correction` the weights that the network reads, and to which its output is added, are those that a filter infers from
the choice as well: w_t + gain_t (choice_t - sigmoid(w_t . x_t)). The path still holds w_t, what is known before the choice.

Gradients reach the initial state, the core and every parameter but not the data, and have no second derivatives. Mice are
shared between `torch.get_num_threads()` threads; how many there are changes results by rounding only, and the same number gives
the same bits.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.neural.settings import Mirror
from twin.inference.neural.kernels.function import Plan, Unroll, fill
from twin.inference.neural.kernels.layers import RELU, SILU, TANH
from twin.inference.neural.kernels.structs import Trials

ACTIVATIONS = {"relu": RELU, "tanh": TANH, "silu": SILU}
LARGEST_BLOCK = 12  # mice that run together: two tiles of `lanes.add_product`
BUFFER_BYTES = 2**18  # activations of one chunk of trials; small enough to share the second-level cache with the parameters

Layer = tuple[Tensor, Tensor]


class Correction(NamedTuple):
    """What a filter does to noisy weights at each choice; its gains are taken as known."""

    x: Tensor  # (M, T, K) features, scaled by how far the uncertainty of the weights flattens the choice
    gain: Tensor  # (M, T, K)
    choice: Tensor  # (M, T) 0 or 1


def dnn_unroll(
    w0: Tensor,
    inputs: Tensor,
    gate: Tensor | None,
    mask: Tensor,
    layers: Sequence[Layer],
    scale: Tensor,
    *,
    activation: str = "relu",
    mirror: Mirror | None = None,
    segment: int | None = None,
    correction: Correction | None = None,
    features: Tensor | None = None,
    core: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Weights of every trial, path (M, T, K) with path[:, 0] = w0, and the weights after the last trial (M, K).

    w0 (M, K); inputs (M, T, U); gate (M, T, K) or None; mask (M, T), zero where there is no trial; scale (K,). `layers` are
    (weight, bias) as in torch.nn.Linear: K + U (+ 1 with p) -> H, any number of H -> H, then H -> K. `segment=N` detaches the
    weights before trials N, 2N, ..., so that path[:, N] has no history. features (M, T, K) and core (M, T, 4, K) as above; a
    core needs features. Raises ValueError for a wrong shape, dtype or activation.
    """
    (weight, bias), *hidden = layers[:-1]
    check(w0, inputs, gate, mask, scale, mirror)
    check_correction(correction, mask, w0)
    check_policy(features, core, mask, w0)
    n_z = input_width(weight, w0, inputs, features)
    check_layers(layers, [n_z, *[len(bias)] * (len(hidden) + 1), w0.shape[1]], w0.dtype)
    first = [pad(weight, fill(len(bias)), weight.shape[1]).T, pad(bias, fill(len(bias))), w0.new_zeros(0, 0), w0.new_zeros(0)]
    parameters = [*first, *dense(hidden, layers[-1]), scale]
    core = no_core(w0) if core is None else core
    plan = make_plan(inputs, gate, mask, parameters, activation, mirror, segment, correction, features, core)
    path, w, _ = Unroll.apply(plan, w0, w0.new_zeros(2 if mirror else 1, len(w0), 0), core, *parameters)
    return path, w


def gru_unroll(
    w0: Tensor,
    h0: Tensor | None,
    inputs: Tensor,
    gate: Tensor | None,
    mask: Tensor,
    gru: tuple[Tensor, Tensor, Tensor, Tensor],
    layers: Sequence[Layer],
    scale: Tensor,
    *,
    activation: str = "relu",
    mirror: Mirror | None = None,
    segment: int | None = None,
    correction: Correction | None = None,
    features: Tensor | None = None,
    core: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `dnn_unroll`, with a GRU of H units first; returns path, the final weights and the final hidden state.

    `gru` is weight_ih (3H, K + U), weight_hh (3H, H), bias_ih and bias_hh as in torch.nn.GRUCell; `layers` are any number of
    H -> H, then H -> K. h0 is (M, H), None for zeros. With mirror symmetry each view has a hidden state: the final state is
    (2, M, H), h0 may be, and an h0 of (M, H) starts both views. `segment` detaches the hidden state too.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = gru
    units, n_z, views = weight_hh.shape[1], input_width(weight_ih, w0, inputs, features), 2 if mirror else 1
    h0 = w0.new_zeros(len(w0), units) if h0 is None else h0
    check(w0, inputs, gate, mask, scale, mirror)
    check_correction(correction, mask, w0)
    check_policy(features, core, mask, w0)
    check_layers([(weight_ih, bias_ih)], [n_z, 3 * units], w0.dtype)
    check_layers([(weight_hh, bias_hh)], [units, 3 * units], w0.dtype)
    check_layers(layers, [units] * len(layers) + [w0.shape[1]], w0.dtype)
    require("h0", h0, (views, len(w0), units) if h0.ndim == 3 else (len(w0), units), w0.dtype)
    first = [*stack_gates(weight_ih, bias_ih, n_z), *stack_gates(weight_hh, bias_hh, fill(units))]
    parameters = [*first, *dense(layers[:-1], layers[-1]), scale]
    core = no_core(w0) if core is None else core
    plan = make_plan(inputs, gate, mask, parameters, activation, mirror, segment, correction, features, core)
    path, w, h = Unroll.apply(plan, w0, pad(h0, fill(units)).expand(views, -1, -1), core, *parameters)
    return path, w, h[..., :units] if mirror else h[0, :, :units]


def input_width(weight: Tensor, w0: Tensor, inputs: Tensor, features: Tensor | None) -> int:
    """What the first stage should read: weights, inputs and, if its weight (H, Z) has room for it and p is known, p."""
    width = w0.shape[1] + inputs.shape[2]
    return width + (features is not None and weight.shape[1] == width + 1)


def no_core(w0: Tensor) -> Tensor:
    """What stands for no closed-form core."""
    return w0.new_zeros(len(w0), 0, 4, w0.shape[1])


def pad(tensor: Tensor, *sizes: int) -> Tensor:
    """Zeros after the end of the last dimensions, up to `sizes`."""
    missing = [n - have for n, have in zip(sizes, tensor.shape[-len(sizes) :], strict=True)]
    return torch.nn.functional.pad(tensor, [side for n in reversed(missing) for side in (0, n)])


def stack_gates(weight: Tensor, bias: Tensor, n_in: int) -> tuple[Tensor, Tensor]:
    """Weight (n_in, 3G) and bias (3G,) of the three gates of a GRU, each filled up by itself."""
    units = fill(len(bias) // 3)
    return pad(weight.unflatten(0, (3, -1)), units, n_in).flatten(0, 1).T, pad(bias.unflatten(0, (3, -1)), units).flatten()


def dense(hidden: Sequence[Layer], readout: Layer) -> list[Tensor]:
    """Weights (D, H, H), input unit first, and biases (D, H) of the hidden layers; weight (H, K') and bias of the readout."""
    weight, bias = readout
    units, outputs = fill(weight.shape[1]), fill(len(bias))
    weights, biases = [weight.new_zeros(0, units, units)], [weight.new_zeros(0, units)]
    weights += [pad(w, units, units).T[None] for w, _ in hidden]
    biases += [pad(b, units)[None] for _, b in hidden]
    return [torch.cat(weights), torch.cat(biases), pad(weight, outputs, units).T, pad(bias, outputs)]


def make_plan(
    inputs: Tensor,
    gate: Tensor | None,
    mask: Tensor,
    parameters: Sequence[Tensor],
    activation: str,
    mirror: Mirror | None,
    segment: int | None,
    correction: Correction | None,
    features: Tensor | None,
    core: Tensor,
) -> Plan:
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
    first, _, recurrent, _, hidden, _, readout, _, scale = parameters
    mice, n_trials = mask.shape
    no_trial = scale.new_zeros(mice, 0, len(scale))
    gate = no_trial if gate is None else gate
    seen, gain, choice = correction or (no_trial, no_trial, no_trial[..., 0])
    x = no_trial if features is None else features
    tensors = inputs, gate, mask, seen, gain, choice, x, core
    data = Trials(*(a.detach().to(scale.dtype).contiguous().numpy() for a in tensors))
    of_p = [-1.0] * (len(first) - len(scale) - inputs.shape[2])
    signs = ([*mirror.weights, *mirror.inputs, *of_p], [*mirror.output]) if mirror else ([], [])
    threads = torch.get_num_threads()
    block = max(1, min(-(-mice // threads), LARGEST_BLOCK))
    row = len(first) + 2 * (len(hidden) + 1) * len(readout) + 2 * readout.shape[1] + 7 * len(recurrent)
    chunk = BUFFER_BYTES // (row * scale.element_size() * block * (2 if mirror else 1))
    return Plan(
        trials=data,
        activation=ACTIVATIONS[activation],
        mirror_in=np.array(signs[0], data.mask.dtype),
        mirror_out=np.array(signs[1], data.mask.dtype),
        segment=segment or 0,
        chunk=max(1, min(n_trials, chunk)),
        blocks=[slice(m, min(m + block, mice)) for m in range(0, mice, block)],
        threads=threads,
    )


def require(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> None:
    """A ValueError that names what does not fit. The kernels trust shapes blindly."""
    if tensor.shape != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected {shape}")
    if dtype not in (None, tensor.dtype):
        raise ValueError(f"{name} is {tensor.dtype} but w0 is {dtype}; convert one of them")


def check(w0: Tensor, inputs: Tensor, gate: Tensor | None, mask: Tensor, scale: Tensor, mirror: Mirror | None) -> None:
    if w0.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"w0 is {w0.dtype}; expected torch.float32 or torch.float64")
    (mice, n_weights), (_, n_trials, n_inputs) = w0.shape, inputs.shape
    require("inputs", inputs, (mice, n_trials, n_inputs))
    require("mask", mask, (mice, n_trials))
    require("scale", scale, (n_weights,), w0.dtype)
    if gate is not None:
        require("gate", gate, (mice, n_trials, n_weights))
    if mirror:
        for name, signs, size in zip(mirror._fields, mirror, (n_weights, n_inputs, n_weights), strict=True):
            require(f"mirror.{name}", torch.as_tensor(signs), (size,))


def check_correction(correction: Correction | None, mask: Tensor, w0: Tensor) -> None:
    for name, tensor in zip(Correction._fields, correction or (), strict=bool(correction)):
        require(f"correction.{name}", tensor, tuple(mask.shape) if name == "choice" else (*mask.shape, w0.shape[1]))


def check_policy(features: Tensor | None, core: Tensor | None, mask: Tensor, w0: Tensor) -> None:
    if features is not None:
        require("features", features, (*mask.shape, w0.shape[1]))
    elif core is not None:
        raise ValueError("a core was given without features; expected both, for the core depends on the policy's probability")
    if core is not None:
        require("core", core, (*mask.shape, 4, w0.shape[1]), w0.dtype)


def check_layers(layers: Sequence[Layer], widths: Sequence[int], dtype: torch.dtype) -> None:
    for (weight, bias), (n_in, n_out) in zip(layers, pairwise(widths), strict=True):
        require("a weight", weight, (n_out, n_in), dtype)
        require("a bias", bias, (n_out,), dtype)
