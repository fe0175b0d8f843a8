"""The fused unrolling against a plain loop over trials, differentiated by torch."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agents.neural.rule import Network
from agents.neural.settings import Mirror
from twin.inference.neural.kernels import Options, Recorded, kernel_unroll, plan
from twin.inference.neural.kernels.layers import SILU, TANH, activate

MICE, TRIALS, WEIGHTS, INPUTS, HIDDEN = 5, 17, 2, 3, 10
PLAIN_SIGNS = Mirror([-1, 1], [1, -1, -1], [-1, 1])
GATED_SIGNS = Mirror([-1, 1], [1, -1, -1], [1, -1])
GATE_SIGNS = [-1, -1]  # output and gate change sign together to give the sign of the weight
FUNCTIONS = {"relu": torch.relu, "tanh": torch.tanh, "silu": nn.functional.silu}


@dataclass
class Case:
    """A network and its data; `gru` is None for a DNN."""

    w0: Tensor
    h0: Tensor
    inputs: Tensor
    gate: Tensor | None
    mask: Tensor
    gru: nn.GRUCell | None
    layers: nn.ModuleList
    scale: Tensor
    mirror: Mirror | None
    activation: str
    features: Tensor | None = None
    base_rule: Tensor | None = None
    sees_weights: bool = True
    sees_probability: bool = False
    output: str = "change"

    @property
    def options(self) -> Options:
        return Options(self.activation, self.mirror, self.sees_weights, self.sees_probability, self.output)

    def leaves(self) -> list[Tensor]:
        recurrent = [self.h0, *self.gru.parameters()] if self.gru else []
        base_rule = [] if self.base_rule is None else [self.base_rule]
        return [self.w0, self.scale, *self.layers.parameters(), *recurrent, *base_rule]

    def unroll(self, segment: int | None = None) -> tuple[Tensor, ...]:
        gru = self.gru and (self.gru.weight_ih, self.gru.weight_hh, self.gru.bias_ih, self.gru.bias_hh)
        network = Network(gru, [(layer.weight, layer.bias) for layer in self.layers], self.scale)
        recorded = Recorded(self.inputs, self.mask, self.gate, self.features, self.base_rule)
        h0 = self.h0 if self.gru else None
        results = kernel_unroll(network, recorded, self.w0, h0, replace(self.options, segment=segment))
        return results if self.gru else results[:2]


def make_case(
    kind="dnn",
    activation="tanh",
    depth=2,
    gated=False,
    mirrored=False,
    dtype=torch.float64,
    mice=MICE,
    trials=TRIALS,
    hidden=HIDDEN,
    sees_weights=True,
    sees_probability=False,
    base_rule=False,
    output="change",
):
    torch.manual_seed(depth + 10 * gated + 100 * mirrored)
    n_z = WEIGHTS * sees_weights + INPUTS + sees_probability

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype)

    widths = [hidden] * (depth + 1) if kind == "gru" else [n_z] + [hidden] * depth
    layers = nn.ModuleList(nn.Linear(a, b, dtype=dtype) for a, b in zip(widths, [*widths[1:], WEIGHTS], strict=True))
    lengths = torch.randint(trials // 2, trials + 1, (mice, 1))
    mask = (torch.arange(trials) < lengths) & (torch.rand(mice, trials) < 0.9)
    return Case(
        w0=normal(mice, WEIGHTS).requires_grad_(),
        h0=(0.3 * normal(1 + mirrored, mice, hidden)).requires_grad_(),
        inputs=normal(mice, trials, INPUTS),
        gate=normal(mice, trials, WEIGHTS) if gated else None,
        mask=mask.to(dtype),
        gru=nn.GRUCell(n_z, hidden, dtype=dtype) if kind == "gru" else None,
        layers=layers,
        scale=(0.3 + 0.1 * normal(WEIGHTS)).requires_grad_(),
        mirror=(GATED_SIGNS if gated else PLAIN_SIGNS) if mirrored else None,
        activation=activation,
        features=normal(mice, trials, WEIGHTS) if sees_probability or base_rule else None,
        base_rule=(0.2 * normal(mice, trials, 4, WEIGHTS)).requires_grad_() if base_rule else None,
        sees_weights=sees_weights,
        sees_probability=sees_probability,
        output=output,
    )


def reference(case: Case, segment: int | None = None) -> tuple[Tensor, ...]:
    """The definition, trial by trial."""
    views = [(torch.ones(WEIGHTS), torch.ones(INPUTS), torch.ones(WEIGHTS))]
    if case.mirror:
        views.append(tuple(torch.tensor(s, dtype=torch.get_default_dtype()) for s in case.mirror))
    w, states, path = case.w0, list(case.h0), []
    for t in range(case.mask.shape[1]):
        if segment and t and t % segment == 0:
            w, states = w.detach(), [h.detach() for h in states]
        path.append(w)
        seen, outputs = case.mask[:, t, None], []
        for v, (sign_w, sign_u, sign_o) in enumerate(views):
            own = [w * sign_w] if case.sees_weights else []
            x = torch.cat([*own, case.inputs[:, t] * sign_u], 1).to(w.dtype)
            if case.features is not None:
                p = torch.sigmoid((w * case.features[:, t]).sum(1, keepdim=True))
            if case.sees_probability:
                x = torch.cat([x, (2 * p - 1) * (-1 if v else 1)], 1)
            if case.gru:
                states[v] = x = torch.where(seen > 0, case.gru(x, states[v]), states[v])
            for layer in case.layers[:-1]:
                x = FUNCTIONS[case.activation](layer(x))
            outputs.append(case.layers[-1](x) * sign_o.to(w.dtype))
        gate = 1 if case.gate is None else case.gate[:, t]
        change = case.scale * torch.stack(outputs).mean(0) * gate
        if case.base_rule is not None:
            constant, linear, square, own = case.base_rule[:, t].unbind(1)
            change = change + constant + linear * p + square * p**2 + own * w
        w = torch.where(seen > 0, change, w) if case.output == "readout" else w + seen * change
    h = torch.stack(states)
    return (torch.stack(path, 1), w, h) if case.gru else (torch.stack(path, 1), w)


def gradients(case: Case, results: tuple[Tensor, ...]) -> list[Tensor]:
    torch.manual_seed(1)
    loss = sum((r * torch.randn_like(r)).sum() for r in results)
    return torch.autograd.grad(loss, case.leaves(), allow_unused=True, materialize_grads=True)


def assert_same(case: Case, ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...], tolerance: float) -> None:
    pairs = [*zip(ours, theirs, strict=True), *zip(gradients(case, ours), gradients(case, theirs), strict=True)]
    for a, b in pairs:
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        # The floor is for sums that nearly cancel: neither side then knows them to `tolerance` of themselves.
        assert (a - b).norm() <= tolerance * (b.norm() + 0.05)


NETWORKS = [("dnn", 1), ("dnn", 2), ("dnn", 3), ("gru", 0), ("gru", 1), ("gru", 2), ("gru", 3)]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize(("gated", "mirrored", "segment"), list(product([False, True], [False, True], [None, 7])))
@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize(("kind", "depth"), NETWORKS)
def test_equals_plain_loop(kind, depth, activation, gated, mirrored, segment, dtype, tolerance):
    case = make_case(kind, activation, depth, gated, mirrored, dtype)
    assert_same(case, case.unroll(segment), reference(case, segment), tolerance)


POLICIES = [
    {"sees_probability": True},
    {"base_rule": True},
    {"sees_probability": True, "base_rule": True},
    {"sees_weights": False},
    {"sees_weights": False, "sees_probability": True},
]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize(("mirrored", "segment"), list(product([False, True], [None, 7])))
@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize(("kind", "depth"), NETWORKS)
def test_what_is_seen_and_base_rule(kind, depth, policy, mirrored, segment, dtype, tolerance):
    case = make_case(kind, "silu", depth, True, mirrored, dtype, **policy)
    assert_same(case, case.unroll(segment), reference(case, segment), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize(("mirrored", "segment"), list(product([False, True], [None, 7])))
@pytest.mark.parametrize("sees_weights", [False, True])
@pytest.mark.parametrize(("kind", "depth"), [("dnn", 2), ("gru", 0), ("gru", 2)])
def test_readout(kind, depth, sees_weights, mirrored, segment, dtype, tolerance):
    case = make_case(kind, "tanh", depth, False, mirrored, dtype, sees_weights=sees_weights, output="readout")
    assert_same(case, case.unroll(segment), reference(case, segment), tolerance)


@pytest.mark.parametrize("base_rule", [False, True])
def test_a_readout_is_no_change(base_rule):
    case = make_case("gru", base_rule=base_rule, gated=not base_rule, output="readout")
    with pytest.raises(ValueError, match=f"{'base_rule' if base_rule else 'gate'} is given with output = 'readout'"):
        case.unroll()


@pytest.mark.parametrize(("mice", "hidden"), [(1, 16), (2, 33), (30, 5)])
@pytest.mark.parametrize("kind", ["dnn", "gru"])
def test_any_number_of_mice_and_units(kind, mice, hidden):
    case = make_case(kind, mice=mice, hidden=hidden, mirrored=True)
    assert_same(case, case.unroll(), reference(case), 1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("segment", [None, 7])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("kind", ["dnn", "gru"])
def test_checkpoints_change_nothing(kind, mirrored, segment, dtype, monkeypatch):
    case = make_case(kind, mirrored=mirrored, dtype=dtype)
    whole = case.unroll(segment)
    monkeypatch.setattr(plan, "BUFFER_BYTES", 20_000)
    assert_same(case, case.unroll(segment), whole, 1e-6 if dtype == torch.float32 else 1e-13)


@pytest.mark.parametrize(("gated", "mirrored"), list(product([False, True], [False, True])))
@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("kind", ["dnn", "gru"])
def test_gradcheck(kind, activation, gated, mirrored):
    case = make_case(kind, activation, 2, gated, mirrored, mice=2, trials=5, hidden=3, sees_probability=True, base_rule=True)
    assert torch.autograd.gradcheck(lambda *_: case.unroll(), case.leaves())


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("kind", ["dnn", "gru"])
def test_mirrored_data_give_the_mirrored_path(kind, gated):
    case = make_case(kind, gated=gated, mirrored=True)
    path = case.unroll()[0]
    signs = [torch.tensor(s, dtype=torch.float64) for s in (*case.mirror[:2], GATE_SIGNS)]
    case.w0, case.inputs, case.h0 = case.w0 * signs[0], case.inputs * signs[1], case.h0.flip(0)
    case.gate = case.gate * signs[2] if gated else None
    assert torch.allclose(case.unroll()[0], path * signs[0], atol=1e-12)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("kind", ["dnn", "gru"])
def test_continues_where_it_stopped(kind, mirrored):
    case = make_case(kind, mirrored=mirrored)
    whole = case.unroll()
    inputs, mask = case.inputs, case.mask
    case.inputs, case.mask = inputs[:, :8], mask[:, :8]
    first = case.unroll()
    case.inputs, case.mask, case.w0, case.h0 = inputs[:, 8:], mask[:, 8:], first[1], first[-1]
    rest = case.unroll()
    assert torch.allclose(torch.cat([first[0], rest[0]], 1), whole[0], atol=1e-13)
    assert all(torch.allclose(a, b, atol=1e-13) for a, b in zip(rest[1:], whole[1:], strict=True))


def test_the_comparison_notices_a_wrong_gradient():
    case = make_case("gru")
    path, *rest = case.unroll()
    steeper = path + 0.01 * (path - path.detach())
    with pytest.raises(AssertionError):
        assert_same(case, (steeper, *rest), case.unroll(), 1e-5)


def test_wrong_shapes_and_types_are_refused():
    case = make_case("gru")
    for field, value in [
        ("h0", torch.zeros(1, MICE, HIDDEN + 1, dtype=torch.float64)),
        ("inputs", case.inputs[:, 1:]),
        ("gate", case.inputs),
        ("mask", case.mask[1:]),
        ("scale", case.scale.float()),
        ("layers", case.layers[:-1]),
        ("mirror", Mirror([1], [1, 1, 1], [1, 1])),
        ("activation", "gelu"),
        ("features", case.mask),
        ("base_rule", torch.zeros(MICE, TRIALS, 4, WEIGHTS, dtype=torch.float64)),
    ]:
        with pytest.raises(ValueError, match=r"expected|convert"):
            replace(case, **{field: value}).unroll()


@pytest.mark.parametrize("kind", ["dnn", "gru"])
def test_masked_trials_are_never_read(kind):
    case = make_case(kind, gated=True, sees_probability=True, base_rule=True)
    expected = case.unroll()
    hidden = (case.mask == 0).unsqueeze(-1)
    case.features = case.features.masked_fill(hidden, torch.nan)
    with torch.no_grad():
        case.base_rule[case.mask == 0] = torch.nan
    case.inputs, case.gate = case.inputs.masked_fill(hidden, torch.nan), case.gate.masked_fill(hidden, torch.nan)
    assert_same(case, case.unroll(), expected, 0.0)


@pytest.mark.parametrize(("code", "function"), [(TANH, torch.tanh), (SILU, nn.functional.silu)])
def test_float32_activations_are_accurate(code, function):
    x = torch.linspace(-12, 12, 100_001, dtype=torch.float64, requires_grad=True)
    y = function(x)
    values, slopes = x.detach().float()[None].numpy(), np.empty((1, len(x)), np.float32)
    activate(code, values, slopes)
    assert np.abs(values - y.detach().numpy()).max() < 3e-6
    assert np.abs(slopes - torch.autograd.grad(y.sum(), x)[0].numpy()).max() < 3e-6
