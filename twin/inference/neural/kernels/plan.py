"""Everything about an unrolling that is not differentiated: recorded data, options, and how mice and trials are divided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from twin.inference.neural.kernels.layers import RELU, SILU, TANH
from twin.inference.neural.kernels.layout import aligned, fill
from twin.inference.neural.kernels.options import Options, Recorded
from twin.inference.neural.kernels.structs import CHANGE, READOUT, Block, Buffers, Parameters, Record

ACTIVATIONS = {"relu": RELU, "tanh": TANH, "silu": SILU}
OUTPUTS = {"change": CHANGE, "readout": READOUT}
LARGEST_BLOCK = 12  # mice that run together: two tiles of `lanes.add_product`
BUFFER_BYTES = 2**18  # activations of one chunk of trials; small enough to share the second-level cache with the parameters

Result = TypeVar("Result")


@dataclass(frozen=True)
class Plan:
    """What the kernels are to do with given parameters."""

    record: Record
    options: Options
    chunk: int  # trials
    blocks: list[slice]  # of mice
    threads: int

    @classmethod
    def of(cls, recorded: Recorded, parameters: Sequence[Tensor], options: Options) -> Plan:
        """How to run over recorded trials with parameters that have been arranged."""
        first, _, recurrent, _, hidden, _, readout, _, scale = parameters
        mice, n_trials = recorded.mask.shape
        threads = torch.get_num_threads()
        block = max(1, min(-(-mice // threads), LARGEST_BLOCK))
        row = len(first) + 2 * (len(hidden) + 1) * len(readout) + 2 * readout.shape[1] + 7 * len(recurrent)
        chunk = BUFFER_BYTES // (row * scale.element_size() * block * options.views)
        return cls(
            record=make_record(recorded, scale[0]),
            options=options,
            chunk=max(1, min(n_trials, chunk)),
            blocks=[slice(m, min(m + block, mice)) for m in range(0, mice, block)],
            threads=threads,
        )

    def parameters(self, tensors: Sequence[Tensor]) -> Parameters:
        """Arranged parameters as the kernels take them."""
        first, first_bias, recurrent, recurrent_bias, hidden, hidden_bias, readout, readout_bias, scale = (
            p.detach().contiguous() for p in tensors
        )
        options, kind = self.options, self.record.mask.dtype
        mirror_in, mirror_out = options.signs()
        return Parameters(
            first=first.numpy(),
            first_bias=first_bias.numpy(),
            recurrent=recurrent.numpy(),
            recurrent_bias=recurrent_bias.numpy(),
            hidden=hidden.numpy(),
            hidden_bias=hidden_bias.numpy(),
            readout=readout.numpy(),
            readout_bias=readout_bias.numpy(),
            scale=scale.numpy(),
            first_back=self._to_weights(first, scale.shape[1]).numpy(),
            recurrent_back=recurrent.mT.contiguous().numpy(),
            hidden_back=hidden.mT.contiguous().numpy(),
            readout_back=readout.mT.contiguous().numpy(),
            activation=ACTIVATIONS[options.activation],
            output=OUTPUTS[options.output],
            sees_weights=options.sees_weights,
            sees_probability=options.sees_probability,
            mirror_in=np.array(mirror_in, kind),
            mirror_out=np.array(mirror_out, kind),
        )

    def _to_weights(self, first: Tensor, n_weights: int) -> Tensor:
        """From the first stage (Z, H) back to those of its inputs that depend on the weights, (H, Z')."""
        weights = first[: n_weights * self.options.sees_weights]
        probability = first[len(first) - self.options.sees_probability :]
        back = torch.cat([weights, probability]).T
        filled = first.new_zeros(first.shape[1], fill(back.shape[1]))
        filled[:, : back.shape[1]] = back
        return filled

    def block(self, mice: slice) -> Block:
        """A block of mice, for the kernels."""
        return Block(mouse=mice.start, chunk=self.chunk, segment=self.options.segment or 0)

    def buffers(self, net: Parameters, mice: int) -> Buffers:
        """Memory for a block of so many mice."""
        rows, n_state, n_weights = mice * self.options.views, len(net.recurrent), net.scale.shape[1]
        (depth, units, _), outputs = net.hidden.shape, net.readout.shape[1]
        every, every_mouse = rows * self.chunk, mice * self.chunk
        shapes = {
            "w": (mice, n_weights),
            "before_choice": (every_mouse, n_weights),
            "corrected": (every_mouse, n_weights),
            "h": (rows, n_state),
            "z": (every, len(net.first)),
            "before": (every, n_state),
            "x_gates": (every, 3 * n_state),
            "h_gates": (every, 3 * n_state),
            "layers": (depth + 1, every, units),
            "slopes": (depth + 1, every, units),
            "outputs": (every, outputs),
            "mean_output": (every_mouse, n_weights),
            "p": (every_mouse, 1),
            "delta": (rows, units),
            "dp": (mice, 1),
            "dz": (rows, net.first_back.shape[1]),
        }
        return Buffers(**{name: aligned(shape, net.first.dtype) for name, shape in shapes.items()})

    def each_block(self, task: Callable[[slice], Result]) -> list[Result]:
        """Results of `task` for every block of mice, in order. The kernels release the interpreter lock.

        Not by `twin.engine`: this runs at every step of a training, and what a pool costs counts.
        """
        if len(self.blocks) == 1 or self.threads == 1:
            return [task(mice) for mice in self.blocks]
        with ThreadPoolExecutor(self.threads) as pool:  # made anew each time, because a pool does not survive a fork
            return list(pool.map(task, self.blocks))


def make_record(recorded: Recorded, like: Tensor) -> Record:
    """Recorded trials as arrays of one type, empty ones for what there is not."""
    no_trial = like.new_zeros(len(recorded.mask), 0, len(like))
    moderated_x, gain, choice = recorded.correction or (no_trial, no_trial, no_trial[..., 0])
    tensors = {
        "inputs": recorded.inputs,
        "gate": no_trial if recorded.gate is None else recorded.gate,
        "mask": recorded.mask,
        "moderated_x": moderated_x,
        "gain": gain,
        "choice": choice,
        "x": no_trial if recorded.features is None else recorded.features,
        "base_rule": recorded.base_rule_or_none(like),
    }
    return Record(**{name: a.detach().to(like.dtype).contiguous().numpy() for name, a in tensors.items()})
