"""The unrolled learning rule as a torch.autograd.Function: blocks of mice on threads, each run by the kernels.

The forward pass saves the path, and for a GRU the hidden state at the start of every chunk of trials; the backward pass runs
each chunk again (see `passes`). Parameters come in the layout of the kernels (`layout`).

Where torch runs on GNU OpenMP, its own second thread goes on spinning for some milliseconds after each parallel operation and
takes a core from these threads. OMP_WAIT_POLICY=passive, set before torch is imported, prevents that.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from twin.inference.neural.kernels.layout import OF_MICE, aligned, split
from twin.inference.neural.kernels.passes import backward_block, forward_block
from twin.inference.neural.kernels.plan import Plan
from twin.inference.neural.kernels.structs import Adjoint, Gradient, Saved


class Unroll(torch.autograd.Function):
    """(plan, w0 (M, K), h0 (V, M, G), base rule (M, T, 4, K), arranged parameters) -> path (M, T, K), w_T, h_T.

    The values of the base rule are those in the plan's record; here it only receives its gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, w0: Tensor, h0: Tensor, base_rule: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        net = plan.parameters(parameters)
        w = w0.detach().numpy().copy()
        h = h0.detach().numpy().copy()
        path = np.empty((len(w), plan.record.mask.shape[1], w.shape[1]), w.dtype)

        def run(mice: slice) -> Saved:
            buffers = plan.buffers(net, mice.stop - mice.start)
            saved = Saved(path, np.empty((-(-path.shape[1] // plan.chunk), *buffers.h.shape), w.dtype))
            buffers.w[:] = w[mice]
            buffers.h[:] = h[:, mice].reshape(buffers.h.shape)
            forward_block(net, plan.record, buffers, plan.block(mice), saved)
            w[mice] = buffers.w
            h[:, mice] = buffers.h.reshape(h[:, mice].shape)
            return saved

        ctx.plan = plan
        ctx.starts = {mice.start: saved.starts for mice, saved in zip(plan.blocks, plan.each_block(run), strict=True)}
        results = torch.from_numpy(path), torch.from_numpy(w), torch.from_numpy(h)
        ctx.save_for_backward(results[0], *parameters)
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_path: Tensor, grad_w: Tensor, grad_h: Tensor) -> tuple[Tensor | None, ...]:
        plan: Plan = ctx.plan
        path, *parameters = ctx.saved_tensors
        net = plan.parameters(parameters)
        shapes = [tuple(p.shape) for p in parameters]
        dw = grad_w.numpy().copy()
        dh = grad_h.numpy().copy()
        dbase = np.zeros_like(plan.record.base_rule)
        dpath = grad_path.contiguous().numpy()

        def run(mice: slice) -> list[np.ndarray]:
            of_block = [(mice.stop - mice.start, s[1]) if i in OF_MICE else s for i, s in enumerate(shapes)]
            total = np.zeros(sum(int(np.prod(s)) for s in of_block))
            flat = aligned((total.size,), dw.dtype)
            buffers = plan.buffers(net, mice.stop - mice.start)
            saved = Saved(path.detach().numpy(), ctx.starts[mice.start])
            block_h = dh[:, mice].reshape(buffers.h.shape).copy()
            adjoint = Adjoint(dpath, dw[mice].copy(), block_h, dbase)
            grad = Gradient(flat, *split(flat, of_block))
            backward_block(net, plan.record, buffers, plan.block(mice), saved, adjoint, grad, total)
            dw[mice] = adjoint.w
            dh[:, mice] = block_h.reshape(dh[:, mice].shape)
            return split(total, of_block)

        parts = zip(*plan.each_block(run), strict=True)
        sums = [np.concatenate(part) if i in OF_MICE else np.sum(part, axis=0) for i, part in enumerate(parts)]
        gradients = [torch.from_numpy(g).to(path.dtype) for g in sums]
        return None, torch.from_numpy(dw), torch.from_numpy(dh), torch.from_numpy(dbase), *gradients
