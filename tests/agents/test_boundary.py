"""What a user gives to mice and rules: taken or refused in a sentence, before compiled code sees it."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents import RULES, Layout, Mouse, Parameter, Rule
from agents.closed_form import compile_learn
from agents.theta import TRAITS
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.inference.closed_form.fit import fit_rule
from twin.simulation import simulate

OBSERVATION = np.array([0.5], np.float32)


def new(update, *parameters, **fields):
    return Rule("own", update, tuple(Parameter(name, 0.1, 0.0, 1.0, "unit", "what it is") for name in parameters), "", **fields)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (lambda w, e, c: (w, e, c), r"its update must take \(w, eligibility, critic, x, choice, reward, p_right\)"),
        (lambda w, e, c, x, choice, reward, p, rate: (w, e, c), "missing a required argument: 'rate'"),
        (
            lambda w, e, c, x, choice, reward, p: w,
            r"must return the new \(w, .*, critic\), three values; it .* a float",
        ),
        (lambda w, e, c, x, choice, reward, p: (w, e), "it returns 2 values"),
        (lambda w, e, c, x, choice, reward, p: (w, e, c, w), "it returns 4 values"),
        (lambda w, e, c, x, choice, reward, p: [w, e, c], "it returns a list"),
        (lambda w, e, c, x, choice, reward, p: ("w", e, c), "each a real number"),
        (lambda w, e, c, x, choice, reward, p: (w + 1j, e, c), "each a real number"),
        (lambda w, e, c, x, choice, reward, p: (w if reward > 0 else 0.0, e, c), "without `if` or `math`; on arrays it fails"),
        (lambda w, e, c, x, choice, reward, p: (math.exp(w), e, c), "on complex numbers it fails"),
        (lambda w, e, c, x, choice, reward, p: (max(w, 0.0), e, c), "on complex numbers it fails"),
        (lambda w, e, c, x, choice, reward, p: (w + unknown, e, c), "'unknown' is not defined"),  # noqa: F821
        (lambda w, e, c, x, choice, reward, p: (np.append(w, w), e, c), "each a real number"),
        ("reinforce", "not a function"),
    ],
)
def test_an_update_that_is_none(update, message):
    with pytest.raises(ValueError, match=f"^rule 'own': .*{message}"):
        new(update)


def test_an_update_that_cannot_be_compiled():
    names = {"a": 1.0}
    rule = new(lambda w, e, c, x, choice, reward, p: (w + names["a"] * len({"b": "c"}), e, c))
    with pytest.raises(ValueError, match=r"^rule 'own': its update must be arithmetic that numba can compile: .+") as error:
        compile_learn(rule)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "update",
    [
        lambda w, e, c, x, choice, reward, p, rate: (w + rate * (p > 0.5) * x, e, c),
        lambda w, e, c, x, choice, reward, p, rate: (w + (rate > 0.05) * x, e, c),
    ],
)
def test_an_update_of_which_only_real_numbers_can_be_compiled(update):
    """Mice can have it; a fit, which differentiates by complex numbers, says in a sentence that it cannot be fitted."""
    rule = new(update, "rate")
    compile_learn(rule)
    rollout = simulate(Cohort(mice=1), trials=5)
    with pytest.raises(ValueError, match=r"^rule 'own': .* for complex numbers too, .*: numba knows no gt") as error:
        fit_rule(Trials.from_rollout(rollout), rule)
    assert "\n" not in str(error.value)


def test_parameters_of_a_rule_that_cannot_be():
    def update(w, e, c, x, choice, reward, p, *own):
        return w, e, c

    with pytest.raises(ValueError, match="two of its parameters have one name: a, a"):
        new(update, "a", "a")
    with pytest.raises(ValueError, match="window = -1: expected at least 0"):
        new(update, window=-1)
    with pytest.raises(ValueError, match="every mouse has a parameter 'no_go' already"):
        Layout(new(update, "no_go"), ("bias",))


def test_a_users_own_rule_is_taken():
    rule = new(lambda w, e, c, x, choice, reward, p, rate: (w + rate * reward * (choice - p) * x, e, c), "rate")
    own, known = Mouse(rule, key=3, rate=0.1), Mouse("reinforce", key=3, rate=0.1)
    for mouse in (own, known):
        for _ in range(20):
            mouse.act(OBSERVATION)
            mouse.learn(1)
    assert (own.weights == known.weights).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rule": "reinforc"}, "unknown rule 'reinforc'; did you mean 'reinforce'"),
        ({"key": -1}, "key = -1: expected"),
        ({"key": 2**64}, "key = 18446744073709551616: expected"),
        ({"key": 1.5}, "key = 1.5: expected a whole number"),
        ({"theta": np.zeros(3)}, r"theta of shape \(3,\): expected a row of 16"),
        ({"rate": "fast"}, "rate = 'fast': expected a number"),
        ({"rate": True}, "rate = True: expected a number"),
        ({"rate": float("nan")}, "rate = nan is outside"),
        ({"trial_noise": 1e6}, r"trial_noise = 1e\+06 is beyond 10 \(weight\), where no mouse behaves any more"),
    ],
)
def test_what_is_no_mouse(given, message):
    with pytest.raises(ValueError, match=message):
        Mouse(**given)


@pytest.mark.parametrize("observation", [0.5, [], [2.0], [float("nan")], ["left"], None])
def test_what_is_no_observation(observation):
    with pytest.raises(ValueError, match="expected an array of one signed contrast"):
        Mouse().act(observation)


def test_the_order_of_calls_and_what_is_learned():
    mouse = Mouse()
    for early in (lambda: mouse.learn(1), lambda: mouse.response_time):
        with pytest.raises(RuntimeError, match="call act"):
            early()
    mouse.act(OBSERVATION)
    for reward, choice in ((0.7, None), (2, None), (float("nan"), None), (1, 2), (1, 0.5)):
        with pytest.raises(ValueError, match=r"expected a reward of 0 or 1, and a choice of 0 \(left\), 1 \(right\) or -1"):
            mouse.learn(reward, choice)
    mouse.learn(np.float64(1.0), np.int8(1))
    assert mouse.response_time > 0
    with pytest.raises(RuntimeError, match="call act"):
        mouse.learn(1)


@pytest.mark.parametrize("column", [c for c in TRAITS if math.isfinite(c.most)], ids=lambda column: column.name)
def test_a_magnitude_no_mouse_behaves_with(column: Parameter):
    assert column.transform == replace(column, most=math.inf).transform != "logit"
    assert column.free(column.default + 1.0) == replace(column, most=math.inf).free(column.default + 1.0)
    column.check([column.default, column.most])
    with pytest.raises(ValueError, match=rf"{column.name} = 1e\+06 is beyond {column.most:g} "):
        column.check([column.default, 1e6])
    with pytest.raises(ValueError, match=f"parameters.{column.name}: .* is beyond"):
        Cohort(mice=2, parameters={column.name: 1e6})


EDGES = [
    {"trial_noise": 10.0, "day_noise": 100.0},
    {"initial_weight": 1000.0},
    {"response_sigma": 5.0, "response_median": 60.0, "response_slowing": 60.0},
    {"response_sigma": 0.0, "response_median": 0.15, "response_slowing": 0.0, "engaged_trials": 0.0},
]


@pytest.mark.parametrize("driver", ["fused", "stepped"])
@pytest.mark.parametrize("rule", RULES)
def test_numbers_at_the_edge(rule, driver):
    own = {p.name: -p.most if p.name == "baseline" else 1.0 for p in RULES[rule].parameters}
    for edge in EDGES:
        rollout = simulate(Cohort(mice=2, rule=rule, parameters=own | edge), trials=300, driver=driver)
        for column in (rollout.weights, rollout.p_right, rollout.response_time, rollout.start_time):
            assert np.isfinite(column).all()


def test_a_foreign_envs_is_noticed(tmp_path):
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").write_text("")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(Path(__file__).parent.parent.parent)!r}]; import agents"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "another project's 'envs' hides it. Use a fresh virtual environment" in done.stderr
