"""Refusals, before the kernels run: they trust shapes blindly."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from agents.neural.rule import Network
from agents.neural.settings import Mirror
from twin.inference.neural.kernels.options import Options, Recorded
from twin.inference.neural.kernels.plan import ACTIVATIONS, OUTPUTS


def check(network: Network, recorded: Recorded, w0: Tensor, h0: Tensor, options: Options) -> None:
    """Raise ValueError naming what has a wrong shape, type or value, or what is missing."""
    if w0.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"w0 is {w0.dtype}; expected torch.float32 or torch.float64")
    n_weights, n_inputs = w0.shape[1], recorded.inputs.shape[2]
    check_options(options, n_weights, n_inputs)
    check_record(recorded, options, w0)
    require("scale", network.scale, (len(w0), n_weights) if network.scale.ndim == 2 else (n_weights,), w0.dtype)
    if network.own_bias is not None:
        first = network.layers[0][1] if network.gru is None else network.gru[2]
        require("own_bias", network.own_bias, (len(w0), len(first)), w0.dtype)
    n_z = n_weights * options.sees_weights + n_inputs + options.sees_probability
    if network.gru is None:
        units = len(network.layers[0][1])
        check_layers(network.layers, [n_z, *[units] * (len(network.layers) - 1), n_weights], w0.dtype)
        return
    weight_ih, weight_hh, bias_ih, bias_hh = network.gru
    units = weight_hh.shape[1]
    check_layers([(weight_ih, bias_ih)], [n_z, 3 * units], w0.dtype)
    check_layers([(weight_hh, bias_hh)], [units, 3 * units], w0.dtype)
    check_layers(network.layers, [units] * len(network.layers) + [n_weights], w0.dtype)
    require("h0", h0, (options.views, len(w0), units), w0.dtype)


def check_options(options: Options, n_weights: int, n_inputs: int) -> None:
    """Names that exist, and signs for everything that is mirrored."""
    for what, name, known in (("activation", options.activation, ACTIVATIONS), ("output", options.output, OUTPUTS)):
        if name not in known:
            raise ValueError(f"{what} is {name!r}; expected one of {', '.join(known)}")
    if options.mirror:
        for name, signs, size in zip(Mirror._fields, options.mirror, (n_weights, n_inputs, n_weights), strict=True):
            require(f"mirror.{name}", torch.as_tensor(signs), (size,))


def check_record(recorded: Recorded, options: Options, w0: Tensor) -> None:
    """Shapes of what is recorded, and that all is there that is needed and nothing that would not be used."""
    (mice, n_weights), n_trials = w0.shape, recorded.inputs.shape[1]
    each_weight = mice, n_trials, n_weights
    require("inputs", recorded.inputs, (mice, n_trials, recorded.inputs.shape[2]))
    require("mask", recorded.mask, (mice, n_trials))
    if recorded.gate is not None:
        require("gate", recorded.gate, each_weight)
    if recorded.features is not None:
        require("features", recorded.features, each_weight)
    elif options.sees_probability or recorded.base_rule is not None:
        raise ValueError("features are missing; expected them, for the network or its base rule sees the probability")
    if recorded.base_rule is not None:
        require("base_rule", recorded.base_rule, (mice, n_trials, 4, n_weights), w0.dtype)
    if recorded.correction is not None:
        for name, tensor in recorded.correction._asdict().items():
            require(f"correction.{name}", tensor, (mice, n_trials) if name == "choice" else each_weight)
    for name in ("gate", "base_rule", "correction"):
        if options.output == "readout" and getattr(recorded, name) is not None:
            raise ValueError(f"{name} is given with output = 'readout'; expected none, for it acts on changes of the weights")


def check_layers(layers: Sequence[tuple[Tensor, Tensor]], widths: Sequence[int], dtype: torch.dtype) -> None:
    """Layers whose widths follow each other."""
    for (weight, bias), (n_in, n_out) in zip(layers, pairwise(widths), strict=True):
        require("a weight", weight, (n_out, n_in), dtype)
        require("a bias", bias, (n_out,), dtype)


def require(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> None:
    """Raise ValueError if a tensor has not this shape or type."""
    if tensor.shape != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected {shape}")
    if dtype not in (None, tensor.dtype):
        raise ValueError(f"{name} is {tensor.dtype} but w0 is {dtype}; convert one of them")
