"""The tables of a scenario that kinds share: how long mice are trained, under which protocols, and which models are fitted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from envs.names import LONGEST_NAME, NAME, shown, suggest
from envs.protocols import Protocol, protocol_table
from envs.table import Table
from twin.evaluation.status import PATIENCE
from twin.evaluation.targets import FURTHEST, find_target
from twin.inference.registry import find_settings, models

TAKEN = ("chance", "true")  # what results and figures show beside the models

NamedProtocol = Annotated[Protocol, BeforeValidator(protocol_table)]


def beside_scenario(path: Any, info: ValidationInfo) -> Any:
    """A relative path is looked for where the user stands, then beside the scenario."""
    if not isinstance(path, str):
        return path
    here = Path(path)
    folder = (info.context or {}).get("folder", Path())
    try:
        return (here if here.exists() else folder / here).resolve()
    except OSError as error:
        raise ValueError(f"no file can have the name {shown(path)} ({error.strerror})") from None


def _next_protocol(value: Any) -> Any:
    """A name alone stands for the protocol of that name."""
    return {"protocol": value} if isinstance(value, str) else value


class NextProtocol(Table):
    """What follows for the mice that reached their status: another protocol, until the furthest status it leads to."""

    protocol: NamedProtocol
    until: str = ""
    horizon: int = Field(PATIENCE, ge=1, description="sessions, at most")

    @model_validator(mode="before")
    @classmethod
    def _furthest(cls, table: Any) -> Any:
        if not isinstance(table, dict) or "until" in table:
            return table
        try:
            tasks = Protocol(**protocol_table(table["protocol"])).tasks
        except (KeyError, TypeError, ValidationError):
            return table  # what is wrong with the protocol is said when it is read
        return table | {"until": max(FURTHEST[task] for task in tasks).label}

    @model_validator(mode="after")
    def _known(self) -> Self:
        find_target(self.until, self.protocol)
        return self


class RunLength(Table):
    """How long each mouse is trained: a number of trials or sessions, or until a training status."""

    trials: int | None = Field(None, ge=1)
    sessions: int | None = Field(None, ge=1)
    until: str | None = Field(None, description="training status at which a mouse stops, or goes on with `then`")
    horizon: int | None = Field(None, ge=1, description="with until: sessions, at most")
    then: tuple[Annotated[NextProtocol, BeforeValidator(_next_protocol)], ...] = Field((), description="protocols that follow")
    weights: bool = Field(True, description="keep the weights of every trial; a third of a file, needed to compare fits with")
    mice_per_shard: int | None = Field(
        None, ge=1, description="mice simulated and kept together; default: about a million trials"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(length is not None for length in (self.trials, self.sessions, self.until)) != 1:
            raise ValueError("give exactly one of `trials`, `sessions` and `until`")
        if (self.until is None) != (self.horizon is None):
            raise ValueError(f"`until` and `horizon` go together: until = {self.until!r}, horizon = {self.horizon}")
        if self.then and self.until is None:
            raise ValueError("`then` needs `until`, the status from which on it begins")
        return self


class ToStatus(Table):
    """Training to a status."""

    until: str
    horizon: int = Field(ge=1, description="sessions, at most")


def check_target(until: str, protocol: Protocol, where: str = "") -> None:
    """Raise ValueError, naming the key, unless the protocol can lead to the status."""
    try:
        find_target(until, protocol)
    except ValueError as error:
        raise ValueError(f"{where}run.until: {error}") from None


class Inference(BaseModel):
    """Which models are fitted; a table named like a model holds its settings.

    A model may be fitted in several ways, each under a name of its own: `big.model = "dnnglm"`, `big.hidden = 64`.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    models: tuple[str, ...] = Field(min_length=1)
    features: tuple[str, ...] | None = Field(None, description="features of the fitted models; default: the cohort's")

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name, table in (self.model_extra or {}).items():
            if not isinstance(table, dict):
                raise ValueError(f"{name} = {shown(table)}; expected a table of its settings, for instance {name}.seed = 1")
            if name not in models() and "model" not in table:
                raise ValueError(suggest("key", name, [*type(self).model_fields, *models()]))
            find_settings(self.model(name)).checked(self.settings(name), name)
        for name in self.models:
            find_settings(self.model(name))
        self._check_names()
        for name, table in (self.model_extra or {}).items():
            if name not in self.models:
                key = ".".join([name, *list(table)[:1]])
                raise ValueError(
                    f"{key} is set, but {name!r} is not among the models that are fitted: {', '.join(self.models)}; "
                    f"add it to `models`, or take its settings out"
                )
        return self

    def _check_names(self) -> None:
        """Raise ValueError for a name that is there twice, that no folder can have, or that stands for something else."""
        for name in self.models:
            if self.models.count(name) > 1:
                raise ValueError(f"models: {name!r} is there {self.models.count(name)} times; expected every name once")
            if not re.fullmatch(NAME, name) or len(name) > LONGEST_NAME:
                raise ValueError(f"models: {shown(name)} names a folder; expected letters, digits and _ . - of at most 100")
            if name in TAKEN or (name in models() and self.model(name) != name):
                raise ValueError(f"models: {name!r} stands for something else in the results; give the model another name")

    def model(self, name: str) -> str:
        """The registered model that is fitted under a name."""
        return str((self.model_extra or {}).get(name, {}).get("model", name))

    def settings(self, name: str) -> dict[str, Any]:
        """The settings given for what is fitted under a name."""
        table = (self.model_extra or {}).get(name, {})
        return {key: value for key, value in table.items() if key != "model"}

    def asked(self, name: str) -> dict[str, Any]:
        """The model and all settings of what is fitted under a name, as JSON keeps them."""
        model = self.model(name)
        return {"model": model, **find_settings(model)(**self.settings(name)).model_dump(mode="json")}
