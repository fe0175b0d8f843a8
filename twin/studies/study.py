"""What every kind of study is: a scenario table that can be carried out in a run folder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from envs.names import LONGEST_NAME, NAME
from twin.data.store import versions
from twin.engine import Engine, check_engine
from twin.studies.folder import RunFolder
from twin.studies.results import Results
from twin.studies.table import Inference, Table


@dataclass(frozen=True)
class Options:
    """How a study is carried out on this machine; results do not depend on it. Raises ValueError for an unknown engine."""

    progress: bool = False  # show bars on the terminal
    workers: int = 2  # that work side by side
    engine: Engine = "threads"  # what the workers are

    def __post_init__(self) -> None:
        check_engine(self.engine, self.workers)


class Done(NamedTuple):
    """A study carried out: its numbers, and what draws them once they are stored."""

    results: Results
    page: Callable[[], None]


class Study(Table):
    """A parsed scenario; its kind is the `kind` of the class."""

    kind: ClassVar[str]

    name: str = Field(pattern=NAME, max_length=LONGEST_NAME, description="names the run folder")
    seed: int = Field(1, ge=0)
    imports: tuple[str, ...] | None = Field(None, description="modules that register what is named: `twin.studies.imports`")

    def __repr__(self) -> str:
        """Its kind and name; `to_toml` writes all of it."""
        return f"<{type(self).__name__} {self.name!r}, seed {self.seed}>"

    __str__ = __repr__

    @abstractmethod
    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Do what the folder does not hold yet. Raises ValueError if data are not what the study needs."""

    def differs_in_models_alone(self, other: Study) -> bool:
        """Is another study this one but for the models that are fitted? A model of both has the same settings in both."""
        mine, others = (study.model_dump(mode="json") for study in (self, other))
        inference = mine.pop("inference", None), others.pop("inference", None)
        if self.kind != other.kind or mine != others or None in inference:
            return False
        ours, theirs = inference
        fixed = set(Inference.model_fields) - {"models"}
        both = {*ours["models"]} & {*theirs["models"]} | fixed
        return all(ours.get(key) == theirs.get(key) for key in both)

    def head(self, folder: RunFolder) -> dict[str, Any]:
        """Where results come from: the keys that those of every kind begin with."""
        return {
            "kind": self.kind,
            "scenario": self.name,
            "seed": self.seed,
            "versions": versions(),
            "seconds": folder.seconds,
        }
