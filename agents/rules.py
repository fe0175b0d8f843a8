"""Every closed-form learning rule: what one trial does to the weight of one synapse.

`update(w, eligibility, critic, x, choice, reward, p_right, ...)` returns the new (w, eligibility, critic). It is arithmetic
only, so the same object is compiled on scalars by numba, takes complex numbers (exact derivatives), and broadcasts over
(mice, weights) in numpy and torch, where choice, reward, p_right and critic have shape (mice, 1).

`choice` is 1 for right and 0 for left, so `choice - p_right` is e_y (1 - p_y), the gradient of the log-probability of the
choice with respect to the logit; `p_right` is the probability before lapses. A rule with a `window` of S trials receives
the sum of that gradient over the last S trials as `eligibility`, and as `reward` 1 if at least half of those trials were
rewarded, else 0; `agents.closed_form` keeps the window. Trials without a choice change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from agents.parameters import Parameter
from agents.update_check import check_update
from envs.checks import whole
from envs.names import check_name

Update = Callable[..., tuple[Any, Any, Any]]


@dataclass(frozen=True)
class Rule:
    """How weights change: the update of one synapse, its parameters (in the order of its arguments) and its source.

    `window` is the number of past trials the rule looks at, 0 if none. `base_rule_form` says that a network can be fitted on
    top of the rule as its base rule: the update is quadratic in p_right plus linear in w, and keeps no memory (it neither uses
    nor changes eligibility and critic, and has no window). The whole REINFORCE family is of that form.

    Raises ValueError for an update that does not take these arguments, does not return three results, or is no arithmetic.
    """

    name: str
    update: Update
    parameters: tuple[Parameter, ...]
    reference: str
    window: int = 0
    base_rule_form: bool = False

    def __post_init__(self) -> None:
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) < len(names):
            raise ValueError(f"rule {self.name!r}: two of its parameters have one name: {', '.join(names)}")
        whole(f"rule {self.name!r}: window", self.window, 0)
        check_update(self.name, self.update, tuple((parameter.name, parameter.default) for parameter in self.parameters))


RULES: dict[str, Rule] = {}
# What stands for something else wherever a rule is named: fits, a network at random, and what results show beside the models.
NO_RULES = ("static-glm", "random-walk", "rnn", "chance", "true")


def register_rule(
    name: str, *parameters: Parameter, reference: str = "", window: int = 0, base_rule_form: bool = False
) -> Callable[[Update], Update]:
    """Register an update under a name, by which cohorts, fits and scenarios find it; arguments as the fields of `Rule`.

        @register_rule("decaying", Parameter("rate", 0.05, 0.0, 1.0, "weight per trial", "learning rate"))
        def decaying(w, eligibility, critic, x, choice, reward, p_right, rate):
            return w + rate * (reward * (choice - p_right) * x - 0.01 * w), eligibility, critic

    A function of the same name and module takes the place of the one before (a cell of a notebook, run again). Raises
    ValueError for a name that is taken, or that no folder can have, and for an update as `Rule` does, with the line.
    """

    def register(update: Update) -> Update:
        rule = Rule(name, update, parameters, reference, window, base_rule_form)
        _check_name(rule)
        RULES[name] = rule
        return update

    return register


def _check_name(rule: Rule) -> None:
    """Raise ValueError for a name of a new rule that stands for something else, or that no folder can have."""
    from agents.neural.registry import NEURAL_RULES  # which knows the names of its modules, and loads none

    check_name("rule", rule.name, (*NO_RULES, *NEURAL_RULES))
    before = RULES.get(rule.name)
    if before is not None and _place(before.update) != _place(rule.update):
        raise ValueError(f"rule {rule.name!r} is that of {'.'.join(_place(before.update))} already; give yours another name")


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    return function.__module__, getattr(function, "__qualname__", "")


def _rate(name: str = "rate", doc: str = "learning rate", per_weight: bool = False) -> Parameter:
    """A learning rate."""
    # Typical of the IBL's mice: one REINFORCE rate fitted to CSHL_003 is .0015 (Geadah & Pillow 2025).
    return Parameter(name, 0.03, 0.0, 1.0, "weight per trial", doc, per_weight, typical=0.003, by_factors=True)


def _baseline(per_weight: bool = False) -> Parameter:
    """A reward that is expected of every trial."""
    # Above one half, the reward of a mouse that guesses, learning no longer contracts: the weights' Jacobian is
    # 1 - rate (reward - baseline) p (1 - p) x^2, and a fit without noise then bends the chaotic path to the choices at hand.
    doc = "reward expected, subtracted from the reward; if negative, weights shrink after errors"
    return Parameter("baseline", 0.0, -inf, inf, "reward", doc, per_weight, most=10.0, spread=0.5, stable=(-10.0, 0.5))


@register_rule("static", reference="no learning: a Bernoulli GLM", base_rule_form=True)
def static(w, eligibility, critic, x, choice, reward, p_right):  # type: ignore[no-untyped-def]
    return w, eligibility, critic


@register_rule(
    "reinforce", _rate(), reference="Williams 1992, Mach Learn 8:229; Ashwood et al 2020, NeurIPS", base_rule_form=True
)
def reinforce(w, eligibility, critic, x, choice, reward, p_right, rate):  # type: ignore[no-untyped-def]
    return w + rate * reward * (choice - p_right) * x, eligibility, critic


@register_rule(
    "reinforce-baseline",
    _rate(),
    _baseline(),
    reference="Ashwood et al 2020, NeurIPS; Geadah & Pillow 2025",
    base_rule_form=True,
)
def reinforce_baseline(w, eligibility, critic, x, choice, reward, p_right, rate, baseline):  # type: ignore[no-untyped-def]
    return w + rate * (reward - baseline) * (choice - p_right) * x, eligibility, critic


@register_rule(
    "reward-max", _rate(), reference="policy gradient of the expected reward; Ashwood et al 2020, NeurIPS", base_rule_form=True
)
def reward_max(w, eligibility, critic, x, choice, reward, p_right, rate):  # type: ignore[no-untyped-def]
    correct_sign = (2.0 * choice - 1.0) * (2.0 * reward - 1.0)
    return w + rate * correct_sign * p_right * (1.0 - p_right) * x / 0.5, eligibility, critic


@register_rule(
    "predict-max", _rate(), reference="maximum likelihood of the correct side; Ashwood et al 2020, NeurIPS", base_rule_form=True
)
def predict_max(w, eligibility, critic, x, choice, reward, p_right, rate):  # type: ignore[no-untyped-def]
    right_is_correct = choice * reward + (1.0 - choice) * (1.0 - reward)
    return w + rate * (right_is_correct - p_right) * x, eligibility, critic


@register_rule(
    "window",
    _rate(per_weight=True),
    reference="non-Markov rule of Liu, Geadah & Pillow 2025, arXiv 2509.04661, Fig. 3",
    window=10,
)
def window(w, eligibility, critic, x, choice, reward, p_right, rate):  # type: ignore[no-untyped-def]
    return w + rate * reward * eligibility, eligibility, critic


@register_rule(
    "eligibility",
    _rate(),
    Parameter("decay", 0.8, 0.0, 1.0, "per trial", "fraction of the eligibility trace kept from trial to trial"),
    reference="Sutton & Barto 2018, ch. 13",
)
def eligibility_trace(w, eligibility, critic, x, choice, reward, p_right, rate, decay):  # type: ignore[no-untyped-def]
    trace = decay * eligibility + (choice - p_right) * x
    return w + rate * reward * trace, trace, critic


@register_rule(
    "learned-critic",
    _rate(),
    _rate("critic_rate", "learning rate of the expected reward"),
    reference="actor-critic with one global critic; Sutton & Barto 2018, ch. 13",
)
def learned_critic(w, eligibility, critic, x, choice, reward, p_right, rate, critic_rate):  # type: ignore[no-untyped-def]
    surprise = reward - critic
    return w + rate * surprise * (choice - p_right) * x, eligibility, critic + critic_rate * surprise


@register_rule(
    "full-mouse",
    _rate("rate_left", "learning rate after left choices", per_weight=True),
    _rate("rate_right", "learning rate after right choices", per_weight=True),
    _baseline(per_weight=True),
    Parameter(
        "forgetting",
        0.001,
        0.0,
        1.0,
        "per trial",
        "fraction of the weight lost in each trial",
        True,
        typical=0.001,
        by_factors=True,
    ),
    reference="Geadah & Pillow 2025; its trial and day noise are traits of the mouse",
    base_rule_form=True,
)
def full_mouse(w, eligibility, critic, x, choice, reward, p_right, rate_left, rate_right, baseline, forgetting):  # type: ignore[no-untyped-def]
    rate = rate_left + (rate_right - rate_left) * choice
    return w + rate * (reward - baseline) * (choice - p_right) * x - forgetting * w, eligibility, critic
