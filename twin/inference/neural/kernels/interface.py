"""Differentiable unrolling of a neural learning rule over recorded trials, by compiled kernels.

Per mouse and trial, with what the network sees z_t = [w_t, inputs_t, 2 p_t - 1], or some of it, and one output per weight:

    DNN  o_t = net(z_t)
    GRU  h_t = GRUCell(z_t, h_{t-1}), or h_{t-1} where mask_t is zero;  o_t = net(h_t)

    change   w_{t+1} = w_t + mask_t * (scale * o_t * gate_t + base rule)
    readout  w_{t+1} = scale * o_t, or w_t where mask_t is zero

p_t = sigmoid(w_t . x_t) is the policy's probability of a right choice with `features` x, and the base rule
c_0 + c_1 p_t + c_2 p_t^2 + c_3 w_t. The gate is absent in the plain form of a rule and the features in the form of a GLM
gradient. With mirror symmetry o_t = 1/2 (net(z) + s_o net(s_z z)): swapping left and right then mirrors every path exactly, and
a GRU carries one hidden state for each of the two views.

With a `Correction` the weights that the network reads, and to which its output is added, are those that a filter infers from
the choice as well: w_t + gain_t (choice_t - sigmoid(w_t . moderated_x_t)). The path still holds w_t, what is known before the
choice.

Gradients reach the initial state, the base rule and every parameter but not the data, and have no second derivatives. Mice are
shared between `torch.get_num_threads()` threads; how many there are changes results by rounding only, and the same number gives
the same bits.
"""

from torch import Tensor

from agents.neural.rule import Network
from twin.inference.neural.kernels.checks import check
from twin.inference.neural.kernels.function import Unroll
from twin.inference.neural.kernels.layout import arrange, fill, pad
from twin.inference.neural.kernels.options import Options, Recorded
from twin.inference.neural.kernels.plan import Plan

PLAIN = Options()


def kernel_unroll(
    network: Network, recorded: Recorded, w0: Tensor, h0: Tensor | None = None, options: Options = PLAIN
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of every trial, path (M, T, K) with path[:, 0] = w0; weights (M, K) and hidden state after the last trial.

    The network's layers are (weight, bias) as in torch.nn.Linear: Z -> H without a GRU, any number of H -> H, then H -> K;
    w0 (M, K). Mice may have a scale (M, K) of their own, and what each adds to the bias of the
    first stage. Of a GRU the hidden state (V, M, H) has one view, or two with mirror symmetry; h0 of zeros by default.
    `segment = N` detaches weights and hidden state before trials N, 2N, ..., so that path[:, N] has no history. Raises
    ValueError for a wrong shape, dtype or option.
    """
    units = 0 if network.gru is None else network.gru[1].shape[1]
    h0 = w0.new_zeros(options.views, len(w0), units) if h0 is None else h0
    check(network, recorded, w0, h0, options)
    parameters = arrange(network, len(w0))
    plan = Plan.of(recorded, parameters, options)
    path, w, h = Unroll.apply(plan, w0, pad(h0, fill(units)), recorded.base_rule_or_none(w0[0]), *parameters)
    return path, w, h[..., :units]
