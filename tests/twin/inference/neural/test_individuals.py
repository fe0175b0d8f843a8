"""What is a mouse's own under one network: by hand, by both strategies, and found again in mice that differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import neural_rule

from agents.neural.registry import NEURAL_RULES
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.evaluation.recovery import recovery
from twin.inference.card import load_fit
from twin.inference.fit import fit
from twin.inference.neural.individuals import Individuals, log_chosen, population, settle
from twin.inference.neural.unroll import Batch, unroll
from twin.simulation import simulate

FEATURES = ("stimulus", "bias")
KINDS = [name for name, kind in NEURAL_RULES.items() if kind.individual and kind.fused]
SPREAD = {"rate": {"distribution": "lognormal", "median": 0.05, "sigma": 0.6}}


def rule(kind: str, **settings):
    """A rule whose network adds something."""
    model = neural_rule(kind, FEATURES, 1, **({"hidden": 8, "initial_scale": 0.5} | settings)).double()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        torch.nn.init.normal_(model.readout.weight, std=0.3)
    return model


def simulated(mice: int = 12, trials: int = 800, seed: int = 1, **parameters):
    cohort = Cohort(mice=mice, rule="reinforce", parameters=SPREAD | parameters)
    rollout = simulate(cohort, "constant", trials=trials, seed=seed)
    return cohort, rollout, Trials.from_rollout(rollout, FEATURES)


@pytest.fixture(scope="module")
def differing():
    return simulated()


@pytest.fixture(scope="module")
def fitted(differing):
    return fit(differing[2], "dnnglm", epochs=20, hidden=8, base_rule="reinforce", individual=True)


def some_own(model, mice: int) -> torch.Tensor:
    return 0.5 * torch.randn(mice, len(model.own_coordinates), generator=torch.Generator().manual_seed(2)).double()


@pytest.mark.parametrize("segment", [None, 17])
@pytest.mark.parametrize("form", [{}, {"embedding": 2}, {"mirror": False, "base_rule": "full-mouse", "embedding": 1}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_kernels_are_the_loop(kind, form, segment, differing):
    batch, model = Batch.of(differing[2], torch.float64).of_trials(slice(60)), rule(kind, **form)
    found = []
    for strategy in ("loop", "fused"):
        u = some_own(model, 12).requires_grad_()
        model.zero_grad()
        _, path = unroll(model, batch._replace(own=model.own(u)), strategy=strategy, segment=segment)
        (path.tanh() * torch.linspace(0, 1, 60)[:, None]).sum().backward()
        found.append((path.detach(), u.grad, [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    (loop, du, each), (fused, fused_du, fused_each) = found
    assert torch.allclose(loop, fused, atol=1e-11)
    assert float(du.abs().min(dim=0).values.max()) > 0
    assert torch.allclose(du, fused_du, rtol=1e-8, atol=1e-9)
    for a, b in zip(each, fused_each, strict=True):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_mice_like_the_rule_itself(kind, differing):
    batch, model = Batch.of(differing[2], torch.float64).of_trials(slice(50)), rule(kind, embedding=2)
    nothing = torch.zeros(12, len(model.own_coordinates)).double()
    for strategy in ("loop", "fused"):
        plain = unroll(model, batch, strategy=strategy)[1]
        assert torch.allclose(unroll(model, batch._replace(own=model.own(nothing)), strategy=strategy)[1], plain, atol=1e-12)


def test_a_scale_is_a_factor_of_the_whole_change():
    model = rule("dnnglm")
    x, choice, reward, p = torch.tensor([[0.5, 1.0]]).double(), *(torch.tensor([[v]]).double() for v in (1.0, 1.0, 0.4))
    state = model.init(1)
    plain = model.learn(state, x, choice, reward, p).weights
    u = torch.zeros(1, len(model.own_coordinates)).double()
    u[0, 0], u[0, 2] = np.log(2.0), np.log(3.0)  # twice all changes, those of the bias three times that
    own = model.learn(state._replace(own=model.own(u)), x, choice, reward, p).weights
    assert own.detach().numpy() == pytest.approx(plain.detach().numpy() * [[2.0, 6.0]], rel=1e-12)


def test_log_chosen_by_hand():
    logits, choice, lapses = torch.tensor([[0.0, 2.0]]), torch.tensor([[1, 0]]), torch.tensor([[0.1, 0.2]])
    right = 1 / (1 + np.exp(-2.0))
    expected = np.log([0.1 + 0.7 * 0.5, 0.2 + 0.7 * (1 - right)])
    assert log_chosen(logits, choice, lapses).numpy()[0] == pytest.approx(expected, rel=1e-5)
    assert log_chosen(logits, choice, None).numpy()[0] == pytest.approx(np.log([0.5, 1 - right]), rel=1e-5)


def test_population_by_hand():
    mice = Individuals(
        ("scale", "lapse_low", "lapse_high"),
        u=torch.zeros(2, 3),
        mean=torch.tensor([0.0, -2.75, -2.75]),
        sd=torch.ones(3),
    )
    u = torch.tensor([[0.3, -2.0, -3.0], [-0.5, -4.0, -3.0]])
    found = population(mice, u, torch.tensor([[0.1, 1.0, 0.0], [0.2, 1.0, 0.0]]) ** 2)
    assert found.mean.numpy() == pytest.approx([0.0, -3.0, -3.0])
    expected = [np.sqrt((0.3**2 + 0.1**2 + 0.5**2 + 0.2**2) / 2), np.sqrt(2.0), 0.02]
    assert found.sd.numpy() == pytest.approx(expected, rel=1e-5)


def test_mice_are_drawn_by_hand():
    mice = Individuals(
        ("scale",), torch.tensor([[0.5]]), torch.zeros(1), torch.ones(1), torch.tensor([[[0.2, 0.0], [0.3, 0.4]]])
    )
    one, weights = mice.drawn(torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0]]))  # a coordinate, and an initial weight
    assert one.u.numpy() == pytest.approx(np.array([[0.5 + 0.2 * 2]]))
    assert weights.numpy() == pytest.approx(np.array([[1 + 0.3 * 2 - 0.4]]))
    known, same = replace(mice, root=mice.root[:, :1, :1]).drawn(torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0]]))
    assert known.u.numpy() == pytest.approx(one.u.numpy())
    assert same.numpy() == pytest.approx(np.ones((1, 1)))
    assert replace(mice, root=None).drawn(torch.zeros(1, 2), same)[0].u.numpy() == pytest.approx(0.5)


def test_a_rule_stays_true_only_if_individuals_are_integrated_out(monkeypatch):
    cohort, rollout, trials = simulated(24, 800, rate={"distribution": "lognormal", "median": 0.05, "sigma": 0.8})

    def error():
        found = fit(trials, "dnnglm", epochs=30, hidden=8, base_rule="reinforce", individual=True)
        return recovery(found, cohort, rollout, trials)["relative_rmse_visited"]

    assert error() < 0.35
    monkeypatch.setattr(Individuals, "drawn", lambda self, z, weights: (self, weights))  # at the best coordinates alone
    assert error() > 1.0


def test_coordinates_of_a_gaussian_are_found(differing):
    """Against a fine grid: mode and width of the posterior of one mouse's scale, all else given."""
    _, _, trials = differing
    model = rule("dnnglm", base_rule="reinforce").float()
    torch.nn.init.zeros_(model.readout.weight)
    batch = Batch.of(trials)
    choice, counts = batch.choice[..., 0], torch.as_tensor(trials.mask)

    def predict(mice, weights):
        return unroll(model, batch._replace(own=model.own(mice.own)), weights, strategy="auto")[0]

    start = Individuals.unknown(model.own_coordinates, False, 12)
    weights = torch.zeros(12, 2)
    with torch.no_grad():
        found, _ = settle(predict, choice, counts, start, weights, None, 15)
        flat = found.root[:, 0, 0].min()
        height = []
        grid = torch.linspace(-0.2, 0.2, 9)
        for d in grid:
            u = found.u.clone()
            u[:, 0] += d
            moved = replace(found, u=u)
            prior = -0.5 * (((u - found.mean) / found.sd) ** 2).sum(1)
            height.append((log_chosen(predict(moved, weights), choice, None) * counts).sum(1) + prior)
    height = torch.stack(height)
    assert (height.argmax(dim=0) - 4).abs().float().mean() < 0.5  # none is far from its mode
    assert 0.01 < float(flat) < 1.0


def test_differing_mice_are_found(differing, fitted):
    cohort, rollout, _ = differing
    rate = rollout.theta[:, cohort.layout.index("rate")[0]]
    found = fitted.parameters()["scale.stimulus"]
    assert np.corrcoef(np.log(found.values), np.log(rate))[0, 1] > 0.9
    assert (found.intervals[:, 0] < found.values).all()
    assert (found.values < found.intervals[:, 1]).all()
    assert 0.3 < float(fitted.individuals.sd[:3].square().sum().sqrt()) < 1.5


def test_they_predict_better_than_one_rule(differing, fitted):
    trials = differing[2]
    pooled = fit(trials, "dnnglm", epochs=20, hidden=8, base_rule="reinforce")
    assert pooled.individuals is None
    assert pooled.parameters() == {}
    assert fitted.log_likelihood(trials).sum() > pooled.log_likelihood(trials).sum() + 10


def test_mice_that_are_alike_have_little_of_their_own():
    _, _, trials = simulated(mice=10, rate=0.05)
    alike = fit(trials, "dnnglm", epochs=5, hidden=8, base_rule="reinforce", individual=True)
    assert float(alike.individuals.sd[0]) < 0.25


def test_lapses_are_found():
    low = {"distribution": "uniform", "low": 0.0, "high": 0.2}
    cohort, rollout, trials = simulated(mice=8, trials=1500, lapse_low=low, lapse_high=0.05)
    found = fit(trials, "dnnglm", epochs=5, hidden=8, base_rule="reinforce", individual=True, lapses=True)
    true = rollout.theta[:, cohort.layout.index("lapse_low")[0]]
    assert np.abs(found.parameters()["lapse_low"].values - true).mean() < 0.03
    assert found.parameters()["lapse_high"].values.mean() == pytest.approx(0.05, abs=0.02)
    without = fit(trials, "dnnglm", epochs=5, hidden=8, base_rule="reinforce", individual=True)
    assert found.log_likelihood(trials).sum() > without.log_likelihood(trials).sum() + 20


def test_it_is_kept_and_put_back(fitted, differing, tmp_path):
    trials = differing[2]
    fitted.save(tmp_path)
    again = load_fit(tmp_path)
    assert (again.log_likelihood(trials) == fitted.log_likelihood(trials)).all()
    cohort = Cohort(mice=12, rule=str(tmp_path))
    theta = cohort.theta(1)
    column = cohort.layout.index("scale.stimulus")[0]
    assert theta[:, column] == pytest.approx(fitted.parameters()["scale.stimulus"].values)
    faster = Cohort(mice=12, rule=str(tmp_path), parameters={"scale": 2.0})
    assert (faster.theta(1)[:, column] == 2.0).all()
    mine, theirs = (simulate(c, "constant", trials=50, seed=4).weights for c in (cohort, faster))
    assert np.isfinite(mine).all()
    assert (mine != theirs).any()


def test_a_mouse_learns_as_its_own(fitted):
    w, x = np.zeros((1, 2)), np.array([[0.5, 1.0]])
    trial = w, x, np.array([1]), np.array([1])
    scales = fitted.parameters()["scale.stimulus"].values
    fast, slow = scales.argmax(), scales.argmin()
    ratio = fitted.update(fast, *trial)[0, 0] / fitted.update(slow, *trial)[0, 0]
    assert ratio == pytest.approx(scales[fast] / scales[slow], rel=1e-4)


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("tinyrnn", {"individual": True}, "have nothing of their own"),
        ("dnnglm", {"members": 2, "individual": True}, "members would not agree"),
        ("dnnglm", {"embedding": 2}, "leave them out"),
        ("dnnglm", {"lapses": True}, "leave them out"),
        ("dnnglm", {"individual": True, "device": "cuda"}, "found on the CPU"),
    ],
)
def test_what_cannot_be(model, settings, words, differing):
    with pytest.raises(ValueError, match=words):
        fit(differing[2], model, epochs=1, **settings)


def test_embedding_of_one_mouse(differing):
    with pytest.raises(ValueError, match="there is one mouse"):
        fit(differing[2].of_mice([0]), "dnnglm", epochs=1, embedding=2, individual=True)
