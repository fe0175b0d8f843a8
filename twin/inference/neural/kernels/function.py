"""The unrolled learning rule as a torch.autograd.Function: blocks of mice on threads, each run by the kernels.

The forward pass saves the path, and for a GRU the hidden state at the start of every chunk of trials; the backward pass runs
each chunk again (see `kernels`). Parameters come in the layout of the kernels; `unroll` brings them into it by
operations that torch differentiates.

Where torch runs on GNU OpenMP, its own second thread goes on spinning for some 10 ms after each parallel operation and takes a
core from these threads. OMP_WAIT_POLICY=passive, set before torch is imported, prevents that; on two cores a step is then a
third faster.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from twin.inference.neural.kernels.lanes import WIDTH
from twin.inference.neural.kernels.passes import backward_block, forward_block
from twin.inference.neural.kernels.structs import Buffers, Gradient, Network, Trials

Result = TypeVar("Result")


class Plan(NamedTuple):
    """Everything about an unrolling that is not differentiated."""

    trials: Trials
    activation: int
    mirror_in: np.ndarray
    mirror_out: np.ndarray
    segment: int
    chunk: int
    blocks: list[slice]
    threads: int

    def network(self, parameters: Sequence[Tensor]) -> Network:
        tensors = [p.detach().contiguous() for p in parameters]
        first, first_bias, recurrent, recurrent_bias, hidden, hidden_bias, readout, readout_bias, scale = tensors
        knows_p = len(first) > len(scale) + self.trials.inputs.shape[2]
        from_weights = torch.cat([first[: len(scale)], first[len(first) - knows_p :]]).T
        first_back = first.new_zeros(first.shape[1], fill(len(scale) + 1))
        first_back[:, : from_weights.shape[1]] = from_weights
        return Network(
            first=first.numpy(),
            first_bias=first_bias.numpy(),
            recurrent=recurrent.numpy(),
            recurrent_bias=recurrent_bias.numpy(),
            hidden=hidden.numpy(),
            hidden_bias=hidden_bias.numpy(),
            readout=readout.numpy(),
            readout_bias=readout_bias.numpy(),
            scale=scale.numpy(),
            first_back=first_back.numpy(),
            recurrent_back=recurrent.mT.contiguous().numpy(),
            hidden_back=hidden.mT.contiguous().numpy(),
            readout_back=readout.mT.contiguous().numpy(),
            activation=self.activation,
            mirror_in=self.mirror_in,
            mirror_out=self.mirror_out,
        )

    def buffers(self, net: Network, mice: int) -> Buffers:
        views = 2 if self.mirror_in.size else 1
        rows, (n_z, _), n_state, n_weights = mice * views, net.first.shape, len(net.recurrent), net.scale.size
        (depth, units, _), outputs, every = net.hidden.shape, net.readout.shape[1], rows * self.chunk
        shapes = {
            "w": (mice, n_weights),
            "before_choice": (mice * self.chunk, n_weights),
            "h": (rows, n_state),
            "z": (every, n_z),
            "before": (every, n_state),
            "x_gates": (every, 3 * n_state),
            "h_gates": (every, 3 * n_state),
            "layers": (depth + 1, every, units),
            "slopes": (depth + 1, every, units),
            "outputs": (every, outputs),
            "change": (mice * self.chunk, n_weights),
            "p": (mice * self.chunk, 1),
            "delta": (rows, units),
            "dp": (mice, 1),
            "dz": (rows, net.first_back.shape[1]),
        }
        return Buffers(**{name: aligned(shape, net.first.dtype) for name, shape in shapes.items()})

    def each_block(self, task: Callable[[slice], Result]) -> list[Result]:
        """Results of `task` for every block of mice, in order. The kernels release the interpreter lock."""
        if len(self.blocks) == 1 or self.threads == 1:
            return [task(mice) for mice in self.blocks]
        with ThreadPoolExecutor(self.threads) as pool:  # made anew each time, because a pool does not survive a fork
            return list(pool.map(task, self.blocks))


class Unroll(torch.autograd.Function):
    """(plan, w0 (M, K), h0 (V, M, G), core (M, T, 4, K), nine parameters as in Network) -> path (M, T, K), w_T, h_T.

    The values of `core` are those in the plan's trials; here it only receives its gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, w0: Tensor, h0: Tensor, core: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        net = plan.network(parameters)
        w, h = w0.detach().numpy().copy(), h0.detach().numpy().copy()
        path = np.empty((len(w), plan.trials.mask.shape[1], w.shape[1]), w.dtype)

        def run(mice: slice) -> np.ndarray:
            buffers = plan.buffers(net, mice.stop - mice.start)
            starts = np.empty((-(-path.shape[1] // plan.chunk), *buffers.h.shape), w.dtype)
            buffers.w[:], buffers.h[:] = w[mice], h[:, mice].reshape(buffers.h.shape)
            forward_block(net, plan.trials, buffers, mice.start, plan.chunk, path, starts)
            w[mice], h[:, mice] = buffers.w, buffers.h.reshape(h[:, mice].shape)
            return starts

        ctx.plan, ctx.starts = plan, plan.each_block(run)
        results = torch.from_numpy(path), torch.from_numpy(w), torch.from_numpy(h)
        ctx.save_for_backward(results[0], *parameters)
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_path: Tensor, grad_w: Tensor, grad_h: Tensor) -> tuple[Tensor | None, ...]:
        plan: Plan = ctx.plan
        saved, *parameters = ctx.saved_tensors
        net, path, dpath = plan.network(parameters), saved.detach().numpy(), grad_path.contiguous().numpy()
        dw, dh = grad_w.numpy().copy(), grad_h.numpy().copy()
        shapes, dcore = [tuple(p.shape) for p in parameters], np.zeros_like(plan.trials.core)
        starts = {mice.start: s for mice, s in zip(plan.blocks, ctx.starts, strict=True)}

        def run(mice: slice) -> np.ndarray:
            total = np.zeros(sum(p.numel() for p in parameters))
            flat = aligned((total.size,), path.dtype)
            buffers, grad = plan.buffers(net, mice.stop - mice.start), Gradient(flat, *split(flat, shapes))
            block_w, block_h = dw[mice].copy(), dh[:, mice].reshape(buffers.h.shape).copy()
            span = mice.start, plan.chunk, plan.segment
            backward_block(
                net, plan.trials, buffers, *span, path, starts[mice.start], dpath, block_w, block_h, dcore, grad, total
            )
            dw[mice], dh[:, mice] = block_w, block_h.reshape(dh[:, mice].shape)
            return total

        total = np.sum(plan.each_block(run), axis=0)
        gradients = [torch.from_numpy(g).to(saved.dtype) for g in split(total, shapes)]
        return None, torch.from_numpy(dw), torch.from_numpy(dh), torch.from_numpy(dcore), *gradients


def fill(size: int) -> int:
    """The next multiple of the vector width."""
    return -(-size // WIDTH) * WIDTH


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Memory that begins with a cache line, as torch gives and numpy does not: a vector across two lines is half as fast."""
    return torch.empty(shape, dtype=torch.float32 if dtype == np.float32 else torch.float64).numpy()


def split(flat: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Views of a flat vector, one for each shape."""
    ends = np.cumsum([np.prod(s, dtype=int) for s in shapes])
    return [part.reshape(s) for part, s in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
