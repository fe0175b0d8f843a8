"""Noisy weights: the smoother against a dense Hessian, filters against numerical integration, and noise against the truth."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from networks import FUSED_KINDS, neural_rule

from agents import RULES, Layout
from agents.neural.registry import NEURAL_RULES
from envs.protocols import load_protocol
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.inference.card import load_fit
from twin.inference.closed_form.likelihood import MouseLikelihood
from twin.inference.fit import fit
from twin.inference.neural.unroll import Batch, unroll
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.noise.extended_kalman import chains, track
from twin.inference.noise.laplace_smoother import ObservedChoices, smooth
from twin.inference.noise.levels import ChainState, Noise, chain_log_likelihood
from twin.inference.noise.linearised import smooth_rule
from twin.simulation import simulate

FEATURES = ("stimulus", "bias")
A = 2.0**-4  # learning rate of the paper's figure 2


def choices_of(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-(w * x).sum(-1)))


def paper_trials(mice: int, n: int, sd: float, seed: int = 3) -> tuple[Trials, np.ndarray]:
    """REINFORCE of the stimulus weight in the setting of Liu, Geadah & Pillow 2025, with noise; and the true weights."""
    draw = np.random.default_rng(seed)
    x = np.stack([draw.choice(np.linspace(-2, 2, 17), (mice, n)), np.ones((mice, n))], axis=-1)
    w, path = np.stack([np.full(mice, -2.0), draw.choice([-1.0, 0.0, 1.0], mice)], axis=-1), np.empty_like(x)
    choice, reward = np.empty((mice, n), np.int8), np.empty((mice, n), np.int8)
    for t in range(n):
        p, path[:, t] = choices_of(w, x[:, t]), w
        choice[:, t] = draw.random(mice) < p
        reward[:, t] = choice[:, t] == (x[:, t, 0] >= 0)
        w[:, 0] += A * reward[:, t] * (choice[:, t] - p) * x[:, t, 0] + sd * draw.standard_normal(mice)
    first, every = np.zeros((mice, n), bool), np.ones((mice, n), bool)
    first[:, 0] = True
    ids = tuple(str(m) for m in range(mice))
    return Trials(x, choice, reward, first, every, np.full(mice, n), FEATURES, ids), path


def chain(seed: int = 0, n: int = 30, k: int = 2) -> tuple:
    """Choices and random dynamics of one mouse, and initial weights."""
    draw = np.random.default_rng(seed)
    choice = draw.integers(0, 2, n).astype(np.int8)
    choice[5] = -1
    data = ObservedChoices(draw.standard_normal((n, k)), choice, draw.uniform(0.01, 0.2, (n, k)), np.zeros(2))
    return data, np.eye(k) + 0.1 * draw.standard_normal((n, k, k)), 0.1 * draw.standard_normal((n, k)), draw.standard_normal(k)


def dense(data: ObservedChoices, slope: np.ndarray, shift: np.ndarray, w0: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Path, covariance of all weights but the first, and Laplace evidence by Newton's method on the whole Hessian."""
    (n, k), seen = data.x.shape, data.choice >= 0
    size = (n - 1) * k
    differ, constant, w = np.eye(size), shift[:-1].ravel().copy(), np.zeros(size)
    constant[:k] += slope[0] @ w0
    for t in range(1, n - 1):
        differ[t * k : (t + 1) * k, (t - 1) * k : t * k] = -slope[t]
    precision = np.diag(1.0 / data.variance[:-1].ravel())
    for _ in range(60):
        p = choices_of(np.vstack([w0, w.reshape(-1, k)]), data.x)
        surprise = precision @ (differ @ w - constant)
        hessian = differ.T @ precision @ differ
        for t in range(1, n):
            block = slice((t - 1) * k, t * k)
            hessian[block, block] += seen[t] * p[t] * (1 - p[t]) * np.outer(data.x[t], data.x[t])
        w = w + np.linalg.solve(hessian, ((seen * (data.choice - p))[:, None] * data.x)[1:].ravel() - differ.T @ surprise)
    log_p = np.log(np.where(data.choice == 1, p, 1 - p))[seen].sum()
    log_prior = -0.5 * surprise @ (differ @ w - constant)
    determinants = np.linalg.slogdet(precision)[1] - np.linalg.slogdet(hessian)[1]
    return np.vstack([w0, w.reshape(-1, k)]), np.linalg.inv(hessian), log_p + log_prior + 0.5 * determinants


@pytest.mark.parametrize(("seed", "k"), [(0, 2), (1, 3), (2, 1)])
def test_smoother_is_newtons_method_on_the_whole_hessian(seed, k):
    data, slope, shift, w0 = chain(seed, k=k)
    found = smooth(data, np.tile(w0, (30, 1)), lambda path: (slope, shift))
    path, covariance, evidence = dense(data, slope, shift, w0)
    assert found.converged
    assert found.path == pytest.approx(path, abs=1e-8)
    assert found.evidence == pytest.approx(evidence, abs=1e-8)
    for t in range(1, 30):
        here, after = slice((t - 1) * k, t * k), slice(t * k, (t + 1) * k)
        assert found.covariance[t] == pytest.approx(covariance[here, here], abs=1e-8)
        assert t == 29 or found.across[t] == pytest.approx(covariance[here, after], abs=1e-8)


def test_a_weight_without_noise_follows_its_dynamics():
    data, slope, shift, w0 = chain()
    slope[:], shift[:], data.variance[:, 1] = np.eye(2), [0.0, 0.01], 0.0
    found = smooth(data, np.tile(w0, (30, 1)), lambda path: (slope, shift))
    assert found.path[:, 1] == pytest.approx(w0[1] + 0.01 * np.arange(30), abs=1e-12)
    assert np.ptp(found.path[:, 0]) > 0.1
    assert np.abs(found.covariance[:, 1]).max() < 1e-12


def one_weight(n: int = 12, seed: int = 1) -> Trials:
    trials, _ = paper_trials(1, n, A, seed)
    return Trials(trials.x[:, :, :1], *[getattr(trials, f) for f in ("choice", "reward", "new_session", "mask", "lengths")],
                  ("contrast",), trials.ids)  # fmt: skip


@pytest.mark.parametrize(("trial_noise", "tolerance"), [(0.02, 1e-5), (0.0625, 1e-4), (0.3, 3e-3)])
def test_filter_is_numerical_integration_over_the_weight(trial_noise, tolerance):
    """Log-likelihood of 12 trials against the integral on a grid of 1,501 weights."""
    trials, layout = one_weight(), Layout(RULES["reinforce"], ("contrast",))
    theta = layout.defaults()
    theta[layout.index("rate") + layout.index("initial_weight") + layout.index("trial_noise")] = A, -0.5, trial_noise
    found = FilteredLikelihood(trials, 0, layout).log_likelihood(theta)
    grid = np.linspace(-3.5, 2.5, 1501)
    density, exact = None, []
    for x, choice, reward in zip(trials.x[0, :, 0], trials.choice[0], trials.reward[0], strict=True):
        w, mass = (np.array([-0.5]), np.ones(1)) if density is None else (grid, density)
        p = 1.0 / (1.0 + np.exp(-w * x))
        mass = mass * (p if choice else 1 - p)
        exact.append(np.log(mass.sum()))
        after = w + A * reward * (choice - p) * x
        kernel = np.exp(-0.5 * ((grid[:, None] - after) / trial_noise) ** 2)
        density = (kernel / kernel.sum(axis=0)) @ (mass / mass.sum())
    assert found == pytest.approx(exact, abs=tolerance)


@pytest.fixture(scope="module")
def noisy_mouse():
    """One mouse with noise in each trial and at night, its parameters, and some trials without a choice."""
    cohort = Cohort(mice=1, rule="full-mouse", features=FEATURES, parameters={"trial_noise": 0.03, "day_noise": 0.3})
    rollout = simulate(cohort, trials=900, seed=2)
    rollout.columns["choice"][::17] = -1
    return Trials.from_rollout(rollout), rollout.theta[0]


@pytest.mark.parametrize("rule", RULES)
def test_without_noise_the_filter_is_the_rule(rule, noisy_mouse):
    layout = Layout(RULES[rule], FEATURES)
    plain, filtered = (kind(noisy_mouse[0], 0, layout) for kind in (MouseLikelihood, FilteredLikelihood))
    theta = layout.defaults()
    assert filtered.log_likelihood(theta) == pytest.approx(plain.log_likelihood(theta), abs=1e-12)
    assert filtered.run(theta)[0].real == pytest.approx(plain.run(theta)[0].real, abs=1e-12)


def test_smoothed_weights_and_evidence_of_a_rule(noisy_mouse):
    """The smoother has found a stationary path, its evidence near the filter's likelihood: two routes to one integral."""
    trials, theta = noisy_mouse
    layout = Layout(RULES["full-mouse"], FEATURES)
    found = smooth_rule(trials, 0, layout, theta)
    assert found.converged
    filtered = FilteredLikelihood(trials, 0, layout).log_likelihood(theta).sum()
    assert found.evidence == pytest.approx(filtered, abs=1.0)
    assert found.covariance[400] == pytest.approx(found.covariance[400].T, abs=1e-12)


@pytest.mark.parametrize(("kind", "gradient_form", "mirror"), list(product(FUSED_KINDS, [False, True], [False, True])))
def test_fused_correction_is_the_loop(kind, gradient_form, mirror):
    draw = torch.Generator().manual_seed(0)
    form = {"hidden": 8, "gradient_form": gradient_form, "mirror": mirror, "initial_scale": 0.3}
    rule = neural_rule(kind, FEATURES, **form).double()
    x, gain = torch.randn(2, 5, 40, 2, dtype=torch.float64, generator=draw)
    choice, reward = (torch.randint(low, 2, (5, 40, 1), generator=draw).double() for low in (-1, 0))
    batch, w0 = Batch(x, choice, reward, 0.3 * gain, 0.8 * x), torch.zeros(5, 2, dtype=torch.float64, requires_grad=True)
    results = []
    for strategy in ("loop", "fused"):
        logits, path = unroll(rule, batch, w0, strategy=strategy, segment=7 if mirror else None)
        slopes = torch.autograd.grad((logits * x[..., 0]).sum(), [w0, *(p for p in rule.parameters() if p.numel())])
        results.append([logits, path, *slopes])
    for loop, fused in zip(*results, strict=True):
        torch.testing.assert_close(fused, loop, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", NEURAL_RULES)
def test_gains_chain_and_training_agree_on_the_likelihood(kind, noisy_mouse):
    trials, noise = noisy_mouse[0], Noise(np.array([0.05, 0.02]), np.array([0.3, 0.1]))
    rule, w0 = neural_rule(kind, FEATURES, hidden=8), np.array([[0.5, -0.2]])
    tracked = track(rule, trials, w0, noise)
    batch = Batch.of(trials, torch.float64)._replace(gain=tracked.gain, moderated_x=tracked.moderated_x)
    with torch.no_grad():
        logits, path = unroll(rule.double(), batch, torch.as_tensor(w0))
    assert path.numpy() == pytest.approx(tracked.mean.numpy(), abs=1e-9)
    log_p = -torch.nn.functional.softplus(torch.where(batch.choice[..., 0] == 1, -logits, logits)).numpy()
    likelihood = chain_log_likelihood(chains(trials, w0, tracked), 0, np.square(noise), np.zeros((2, 2)), ChainState.empty(2))
    assert likelihood == pytest.approx(log_p[trials.mask].sum(), rel=1e-6)


@pytest.fixture(scope="module")
def paper():
    return paper_trials(100, 400, A)


def test_noise_of_a_neural_rule(paper, tmp_path):
    """40,000 trials with noise a: the level within 10 %, a better likelihood, and a path nearer to the truth."""
    trials, path = paper
    known = path[:, 0]
    options = {"initial": "known", "initial_weights": known, "hidden": 8, "epochs": 8}
    noisy, plain = (fit(trials, "dnnglm", noise=noise, **options) for noise in (True, False))
    assert noisy.noise.trial[0] == pytest.approx(A, rel=0.1)
    assert noisy.noise.trial[1] < 0.1 * A
    assert noisy.log_likelihood(trials).sum() > plain.log_likelihood(trials).sum() + 10
    far = [np.sqrt(np.mean((f.weights(trials) - path) ** 2)) for f in (noisy, plain)]
    assert far[0] < 0.8 * far[1]
    noisy.save(tmp_path)
    again = load_fit(tmp_path)
    assert np.array_equal(again.log_likelihood(trials), noisy.log_likelihood(trials))
    assert np.array_equal(again.weights(trials), noisy.weights(trials), equal_nan=True)


def test_noise_of_days():
    """40 mice, ten sessions of 80 trials: the noise between sessions is told from that between trials."""
    parameters = {"rate": 0.05, "day_noise": {"stimulus": 0.5, "bias": 0.3}, "trial_noise": 0.01}
    protocol = load_protocol("constant").model_copy(update={"session_trials": 80})
    rollout = simulate(Cohort(mice=40, rule="reinforce", parameters=parameters), protocol, sessions=10, seed=3)
    options = {"epochs": 3, "hidden": 4, "layers": 1, "initial": "zero"}
    noise = fit(Trials.from_rollout(rollout), "dnnglm", noise=True, **options).noise
    assert noise.day == pytest.approx([0.5, 0.3], rel=0.25)
    assert (noise.trial < 0.04).all()


def test_noise_of_a_closed_form_rule(tmp_path):
    """40,000 trials of one mouse: intervals of rates and noise cover the truth, and the likelihood is better."""
    trials, path = paper_trials(1, 40_000, A / 2, seed=8)
    fixed = {"initial_weight.stimulus": -2.0, "initial_weight.bias": float(path[0, 0, 1]), "trial_noise.bias": 0.0}
    fixed |= {f"rate_{side}.bias": 0.0 for side in ("left", "right")} | {"baseline": 0.0, "forgetting": 0.0}
    noisy, plain = (fit(trials, "full-mouse", noise=noise, fixed=fixed) for noise in (True, False))
    layout = noisy.layout
    for name, true in (("rate_left.stimulus", A), ("rate_right.stimulus", A), ("trial_noise.stimulus", A / 2)):
        column = layout.index(name)[0]
        low, high = noisy.ci95[0, column]
        assert low < true < high
        assert noisy.theta[0, column] == pytest.approx(true, rel=0.35)
    assert noisy.nll[0] < plain.nll[0] - 10
    noisy.save(tmp_path)
    assert np.array_equal(load_fit(tmp_path).weights(trials), noisy.weights(trials))


def test_random_walk():
    cohort = Cohort(mice=1, rule="static", features=FEATURES, parameters={"initial_weight.stimulus": 1.0, "trial_noise": 0.05})
    rollout = simulate(cohort, trials=2000, seed=4)
    trials = Trials.from_rollout(rollout)
    walk, static = fit(trials, "random-walk"), fit(trials, "static-glm")
    noise = walk.theta[0, walk.layout.index("trial_noise")]
    assert noise == pytest.approx([0.05, 0.05], rel=0.5)
    assert walk.log_likelihood(trials).sum() > static.log_likelihood(trials).sum() + 30
    filtered = FilteredLikelihood(trials, 0, walk.layout).run(walk.theta[0])[0].real
    true = rollout.weights.reshape(1, -1, 2)
    assert np.mean((walk.weights(trials) - true) ** 2) < 0.8 * np.mean((filtered - true) ** 2)
    assert not walk.update(0, np.ones((3, 2)), np.ones((3, 2)), np.array([0, 1, 1]), np.array([0, 1, 0])).any()
