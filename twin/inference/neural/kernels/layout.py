"""Parameters of a network brought into the layout of the kernels, by operations that torch differentiates.

Units are filled up with zeros to a multiple of the vector width, and every weight has its input units first.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from agents.neural.rule import Network
from twin.inference.lanes import WIDTH

Layer = tuple[Tensor, Tensor]


OF_MICE = 1, 8  # which of the arranged parameters every mouse has its own row of: bias of the first stage, scale


def arrange(network: Network, mice: int) -> list[Tensor]:
    """The parameters that are differentiated, in the order of `structs.Parameters`."""
    if network.gru is None:
        (weight, bias), *hidden = network.layers[:-1]
        units = fill(len(bias))
        none = weight.new_zeros(0, 0), weight.new_zeros(0)
        first = [pad(weight, units, weight.shape[1]).T, pad(bias, units), *none]
    else:
        weight_ih, weight_hh, bias_ih, bias_hh = network.gru
        hidden = list(network.layers[:-1])
        units = fill(weight_hh.shape[1])
        first = [*stack_gates(weight_ih, bias_ih, weight_ih.shape[1]), *stack_gates(weight_hh, bias_hh, units)]
    first[1] = first[1].expand(mice, -1) if network.own_bias is None else first[1] + _padded_gates(network)
    return [*first, *dense(hidden, network.layers[-1]), network.scale.expand(mice, -1)]


def stack_gates(weight: Tensor, bias: Tensor, n_in: int) -> tuple[Tensor, Tensor]:
    """Weight (n_in, 3G) and bias (3G,) of the three gates of a GRU, each filled up by itself."""
    units = fill(len(bias) // 3)
    return pad(weight.unflatten(0, (3, -1)), units, n_in).flatten(0, 1).T, pad(bias.unflatten(0, (3, -1)), units).flatten()


def _padded_gates(network: Network) -> Tensor:
    """What each mouse adds to the bias of the first stage, filled up as that is."""
    assert network.own_bias is not None
    if network.gru is None:
        return pad(network.own_bias, fill(network.own_bias.shape[1]))
    gates = network.own_bias.unflatten(1, (3, -1))
    return pad(gates, fill(gates.shape[-1])).flatten(1)


def dense(hidden: Sequence[Layer], readout: Layer) -> list[Tensor]:
    """Weights (D, H, H), input unit first, and biases (D, H) of the hidden layers; weight (H, K') and bias of the readout."""
    weight, bias = readout
    units = fill(weight.shape[1])
    outputs = fill(len(bias))
    weights = [weight.new_zeros(0, units, units), *(pad(w, units, units).T[None] for w, _ in hidden)]
    biases = [weight.new_zeros(0, units), *(pad(b, units)[None] for _, b in hidden)]
    return [torch.cat(weights), torch.cat(biases), pad(weight, outputs, units).T, pad(bias, outputs)]


def fill(size: int) -> int:
    """The next multiple of the vector width."""
    return -(-size // WIDTH) * WIDTH


def pad(tensor: Tensor, *sizes: int) -> Tensor:
    """Zeros after the end of the last dimensions, up to `sizes`."""
    missing = [n - have for n, have in zip(sizes, tensor.shape[-len(sizes) :], strict=True)]
    return torch.nn.functional.pad(tensor, [side for n in reversed(missing) for side in (0, n)])


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Memory that begins with a cache line, as torch gives and numpy does not: a vector across two lines is half as fast."""
    return torch.empty(shape, dtype=torch.float32 if dtype == np.float32 else torch.float64).numpy()


def split(flat: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Views of a flat vector, one for each shape."""
    ends = np.cumsum([np.prod(s, dtype=int) for s in shapes])
    return [part.reshape(s) for part, s in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
