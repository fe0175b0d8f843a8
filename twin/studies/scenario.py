"""A scenario: strict TOML that says what to study, as a validated Study.

Errors name the file, the key and the nearest key there is.
"""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from envs.names import suggest
from twin.cohort import Cohort
from twin.inference.registry import MODELS, find_settings
from twin.studies.table import NamedProtocol, RunLength, Table, ToStatus, check_target


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
                raise ValueError(f"{name} = {table!r}; expected a table of its settings, for instance {name}.seed = 1")
            if name not in MODELS and "model" not in table:
                raise ValueError(suggest("key", name, [*type(self).model_fields, *MODELS]))
            settings = find_settings(self.model(name))
            try:
                settings(**self.settings(name))
            except ValidationError as error:
                raise ValueError(explain(settings, error, f"{name}.")) from None
        for name in self.models:
            find_settings(self.model(name))
        return self

    def model(self, name: str) -> str:
        """The registered model that is fitted under a name."""
        return str((self.model_extra or {}).get(name, {}).get("model", name))

    def settings(self, name: str) -> dict[str, Any]:
        """The settings given for what is fitted under a name."""
        table = (self.model_extra or {}).get(name, {})
        return {key: value for key, value in table.items() if key != "model"}


class Study(Table):
    """A parsed scenario."""

    kind: str
    name: str = Field(pattern=r"^[\w.-]+$", description="names the run folder")
    seed: int = Field(1, ge=0)


class CohortStudy(Study):
    """Simulate a cohort and describe how it learns."""

    cohort: Cohort
    protocol: NamedProtocol
    run: RunLength

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        if self.run.until is not None:
            check_target(self.run.until, self.protocol)
        return self


class RecoveryStudy(CohortStudy):
    """Simulate a cohort, fit models to it, and compare them with the truth."""

    inference: Inference


class FitStudy(Study):
    """Fit models to recorded behaviour."""

    data: Path
    future: int = Field(0, ge=0, description="last trials of each mouse that are set aside and predicted")
    folds: int = Field(0, ge=0, description="of mice, each predicted by models fitted to the others; 0: none")
    inference: Inference


def _named(designs: Any) -> Any:
    """Tables of designs, each protocol named like its design unless it has a name of its own."""
    if not isinstance(designs, dict):
        return designs
    if len(designs) < 2:
        raise ValueError(f"{len(designs)} design; give two or more to compare, each a protocol in a table [designs.NAME]")
    return {name: {"name": name} | table if isinstance(table, dict) else table for name, table in designs.items()}


class ProtocolsStudy(Study):
    """Train the same mice under several protocols and compare how fast they reach a status."""

    cohort: Cohort
    designs: Annotated[dict[Annotated[str, Field(pattern=r"^[\w.-]+$")], NamedProtocol], BeforeValidator(_named)]
    run: ToStatus

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        for name, protocol in self.designs.items():
            check_target(self.run.until, protocol, f"designs.{name}: ")
        return self


KINDS: dict[str, type[Study]] = {
    "cohort": CohortStudy,
    "recovery": RecoveryStudy,
    "fit": FitStudy,
    "protocols": ProtocolsStudy,
}


class ScenarioError(ValueError):
    """A scenario is wrong; the message names file and key and says what was expected."""


def load(path: str | Path, changes: Sequence[str] = ()) -> Study:
    """The study a scenario file describes, with `key.path=value` changes. Raises ScenarioError or FileNotFoundError."""
    path = Path(path)
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.toml")], n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise FileNotFoundError(f"{path}: no such scenario{hint}")
    try:
        table = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: not valid TOML: {error}") from None
    apply_changes(table, changes)
    if isinstance(table.get("data"), str):  # as the user stands, or beside the scenario
        here = Path(table["data"])
        table["data"] = str((here if here.exists() else path.parent / here).resolve())
    return parse(table, str(path))


def parse(table: dict[str, Any], source: str) -> Study:
    """A study from its table; `source` is named in errors. Raises ScenarioError."""
    kind = table.get("kind")
    if kind not in KINDS:
        raise ScenarioError(f"{source}: {suggest('kind', kind, KINDS)}")
    try:
        return KINDS[kind](**table)
    except ValidationError as error:
        raise ScenarioError(f"{source}: {explain(KINDS[kind], error)}") from None


def to_toml(study: Study) -> str:
    """The study as a scenario file, every default written out."""
    return tomli_w.dumps(study.model_dump(mode="json", exclude_none=True))


def apply_changes(table: dict[str, Any], changes: Sequence[str]) -> None:
    """Make `key.path=value` changes in a table; a value that is not TOML is taken as text. Raises ScenarioError."""
    for change in changes:
        key, found, text = change.partition("=")
        if not found:
            raise ScenarioError(f"--set {change!r}: expected key.path=value, for instance cohort.mice=100")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        *path, last = key.strip().split(".")
        inside = table
        for part in path:
            inside = inside.setdefault(part, {})
            if not isinstance(inside, dict):
                raise ScenarioError(f"--set {change!r}: {part!r} is a value, not a table")
        inside[last] = value


def explain(model: type[BaseModel], error: ValidationError, prefix: str = "") -> str:
    """All that is wrong, in one paragraph; what only follows from an error further inside is left out."""
    every = error.errors()
    inner = [one for one in every if not any(o["loc"][: len(one["loc"])] == one["loc"] and o is not one for o in every)]
    return "; ".join(_explain_one(model, one, prefix) for one in inner)


def _explain_one(model: type[BaseModel], error: Any, prefix: str) -> str:
    where = prefix + ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        table = prefix + "".join(f"{part}." for part in error["loc"][:-1])
        return suggest(
            f"key in [{table.rstrip('.')}]:" if table else "key", error["loc"][-1], _fields_at(model, error["loc"][:-1])
        )
    if error["type"] == "missing":
        return f"key {where!r} is missing"
    text = str(error["msg"]).removeprefix("Value error, ")
    given = f" (given: {error['input']!r})" if error["type"] not in ("value_error", "assertion_error") else ""
    return f"{where}: {text[0].lower() + text[1:]}{given}" if where else text


def _fields_at(model: Any, path: Sequence[Any]) -> list[str]:
    """Keys a table may have, found by following the path through the models."""
    name = False  # is the next part of the path a name of the user's own?
    for part in path:
        if name or isinstance(part, int) or not (isinstance(model, type) and issubclass(model, BaseModel)):
            name = False
            continue
        field = model.model_fields.get(part)
        name = field is not None and typing.get_origin(field.annotation) is dict
        model = _table_in(field.annotation) if field else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _table_in(annotation: Any) -> Any:
    """The first table type inside an annotation such as tuple[Stage, ...] or Transition | None."""
    if typing.get_origin(annotation) in (tuple, dict, typing.Union, types.UnionType, Annotated):
        found = [_table_in(a) for a in typing.get_args(annotation)]
        return next((f for f in found if f is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
