"""The one list of what can be fitted: names of models, and the settings of each.

A closed-form rule is registered in `agents.rules`, a neural one by its module in `agents.neural.models`. The settings of a
neural model are those of its network and those of every neural fit together; they are put together, and torch is loaded, when
that model is asked for.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Self

from pydantic import model_validator

from agents.neural.registry import NEURAL_RULES
from agents.rules import RULES
from envs.names import suggest
from envs.table import Table
from twin.inference.settings import NeuralFitSettings, RandomWalkSettings, RuleSettings

CLOSED_FORM: dict[str, type[Table]] = {"static-glm": RuleSettings, "random-walk": RandomWalkSettings}  # and every rule


def models() -> tuple[str, ...]:
    """Every model that can be fitted, the rules that were registered after this module was loaded among them."""
    return (*CLOSED_FORM, *(name for name in RULES if name != "static"), *NEURAL_RULES)


def find_settings(model: str) -> type[Table]:
    """The settings of a model. Raises ValueError naming the nearest known model."""
    if model == "static":
        raise ValueError("model 'static': the fit of the rule without learning is called 'static-glm', a Bernoulli GLM")
    if model not in models():
        raise ValueError(suggest("model", model, models()))
    if model not in NEURAL_RULES:
        return CLOSED_FORM.get(model, RuleSettings)
    rule: Any = NEURAL_RULES[model]
    return _neural_settings(model, rule)


@cache
def _neural_settings(model: str, rule: Any) -> type[NeuralFitSettings]:
    class Settings(rule.settings_type, NeuralFitSettings):
        """How a network of one kind is built and trained."""

        @model_validator(mode="after")
        def _has_strategy(self) -> Self:
            if self.strategy == "fused" and rule.fused is None:
                raise ValueError(f"strategy = 'fused': no compiled kernels run a {model}; use 'auto' or 'loop'")
            return self

        def __reduce__(self) -> tuple[Any, ...]:
            """Pickled by the model's name: a class that is made here cannot be imported."""
            return _settings, (model, self.model_dump(exclude_unset=True))

    return Settings


def _settings(model: str, values: dict[str, Any]) -> Table:
    return find_settings(model)(**values)
