"""How the mice of a population differ together: populations that are kept in files, and correlations between parameters.

A population file is a TOML table: `rule`, `features`, `parameters` and `correlation` as a cohort has them, and `provenance`,
which says what the numbers were matched to and what they cannot do. Those that come with the package are known by their names.

Correlated parameters are drawn through a Gaussian copula: parameter j of a mouse is the quantile of its distribution at
Phi(z_j), where z is normal with the given correlations. Whatever the distributions, the rank correlation follows (Spearman's
rho is 6 / pi asin(r / 2)); mouse m's draws depend on seed and m alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from pydantic import Field
from scipy.special import ndtr, ndtri

from agents.parameters import Choice, Distribution, LogNormal, Normal, Number, ParameterValue, Uniform
from envs.names import shown, suggest
from envs.table import Table

SHIPPED = Path(__file__).resolve().parent / "populations"
LEAST_EIGENVALUE = 1e-9  # of a correlation matrix that is still positive definite

# Parameter -> other parameter -> correlation; each pair is written once.
Correlation = Mapping[str, Mapping[str, Number]]


class Provenance(Table):
    """Where the numbers of a population come from."""

    matched: str = Field(description="which statistics it was matched to")
    sources: str = Field(description="where those are from")
    search: str = Field(description="how, with which seeds")
    limits: str = Field(description="what it cannot do")


class Population(Table):
    """A population file: what a cohort takes from it, and its provenance."""

    rule: str
    features: tuple[str, ...]
    parameters: dict[str, ParameterValue]
    correlation: dict[str, dict[str, Number]] = Field(default_factory=dict)
    provenance: Provenance


def populations() -> dict[str, Path]:
    """The populations that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def find_population(name: str | Path, folder: Path | None = None) -> Path:
    """The file of a population: of the package by its name, else a path from here or from `folder`. Raises ValueError."""
    if str(name) in populations():
        return populations()[str(name)]
    places = [Path(name), *([] if folder is None else [folder / name])]
    for place in places:
        if _is_file(place):
            return place.resolve()
    raise ValueError(
        f"{suggest('population', str(name), populations())} (or a file of one: there is none at {shown(str(places[-1]))})"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no file can have such a name
        return False


def read_population(path: Path) -> Population:
    """The population that a file describes. Raises ValueError naming file and key."""
    try:
        return Population.checked(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"population {path}: {error}") from None


def with_population(population: Population, own: Mapping[str, Any]) -> dict[str, Any]:
    """A cohort's table with what it leaves out taken from a population; what it says itself goes before.

    A parameter given as one value replaces the population's for every feature, one given by feature for those features. What a
    population says of the correlation of a parameter that is one number in the cohort is left out.
    Raises ValueError for another rule than the population's.
    """
    if own.get("rule", population.rule) != population.rule:
        raise ValueError(
            f"rule = {own['rule']!r}: the population is of mice of rule {population.rule!r}, whose parameters mean something "
            "else under another rule; leave `rule` out, or leave `population` out and give `parameters`"
        )
    table = population.model_dump(mode="json", exclude={"provenance"})
    parameters = table["parameters"]
    given = own.get("parameters", {})
    for name, value in (given if isinstance(given, Mapping) else {}).items():
        before = parameters.get(name)
        parameters[name] = before | value if _by_feature(before) and _by_feature(value) else value
    own_pairs = own.get("correlation", {})
    correlation = {a: {b: r for b, r in row.items() if _vary(parameters, a, b)} for a, row in table["correlation"].items()}
    for a, row in (own_pairs if isinstance(own_pairs, Mapping) else {}).items():
        for b, r in (row if isinstance(row, Mapping) else {}).items():
            correlation.get(b, {}).pop(a, None)
            correlation.setdefault(a, {})[b] = r
    merged = {"parameters": parameters, "correlation": {a: row for a, row in correlation.items() if row}}
    if own_pairs and not (isinstance(own_pairs, Mapping) and all(isinstance(row, Mapping) for row in own_pairs.values())):
        merged["correlation"] = own_pairs  # its form is refused where the table is read
    if not isinstance(given, Mapping):
        merged["parameters"] = given
    return table | dict(own) | merged


def _by_feature(value: Any) -> bool:
    return isinstance(value, Mapping) and "distribution" not in value


def _vary(parameters: Mapping[str, Any], *columns: str) -> bool:
    """Does every one of these columns of theta have a distribution?"""

    def value(column: str) -> Any:
        name, _, feature = column.partition(".")
        found = parameters.get(column, parameters.get(name))
        return found.get(feature) if _by_feature(found) else found

    return all(isinstance(value(column), Mapping) for column in columns)


class Copula:
    """Draws that go together: which columns are correlated, and the Cholesky factor of their correlation matrix.

    Raises ValueError for a correlation beyond -1 to 1, a pair that is given twice, a parameter paired with itself, or a matrix
    that is not positive definite.
    """

    def __init__(self, correlation: Correlation) -> None:
        pairs = [(a, b, float(r)) for a, row in correlation.items() for b, r in row.items()]
        self.columns = list(dict.fromkeys(column for a, b, _ in pairs for column in (a, b)))
        matrix, seen = np.eye(len(self.columns)), set[frozenset[str]]()
        for a, b, r in pairs:
            _check_pair(a, b, r, seen)
            i, j = self.columns.index(a), self.columns.index(b)
            matrix[i, j] = matrix[j, i] = r
        if pairs and np.linalg.eigvalsh(matrix)[0] < LEAST_EIGENVALUE:
            raise ValueError(_impossible(self.columns, matrix))
        self.factor = np.linalg.cholesky(matrix)

    def uniforms(self, u: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Correlated uniform draws (mice,) by column, from independent ones of each column, in their order."""
        if not self.columns:
            return {}
        z = self.factor @ ndtri(np.array(u))
        return dict(zip(self.columns, ndtr(z), strict=True))


def _check_pair(a: str, b: str, r: float, seen: set[frozenset[str]]) -> None:
    pair = f"correlation of {a} and {b}"
    if a == b:
        raise ValueError(f"correlation: {a} is paired with itself; expected two different parameters")
    if frozenset((a, b)) in seen:
        raise ValueError(f"{pair} is given twice; give it once, in either order")
    if not -1 < r < 1:
        raise ValueError(f"{pair} is {r:g}; expected a number between -1 and 1, both excluded")
    seen.add(frozenset((a, b)))


def _impossible(columns: Sequence[str], matrix: np.ndarray) -> str:
    """What is wrong with a matrix that is not positive definite: the pair that takes the largest part in it."""
    values, vectors = np.linalg.eigh(matrix)
    first, second = np.sort(np.argsort(-np.abs(vectors[:, 0]))[:2])
    return (
        f"correlation: no mice can have these correlations of {', '.join(columns)} together (their matrix is not positive "
        f"definite, its smallest eigenvalue is {values[0]:.3g}; pairs that are not given count as 0); expected weaker ones, or "
        f"all pairs given; {columns[first]} and {columns[second]} ({matrix[first, second]:g}) have the largest part in it"
    )


def is_distribution(value: Any) -> TypeGuard[Distribution]:
    """Is a parameter's value over mice a distribution?"""
    return isinstance(value, Normal | LogNormal | Uniform | Choice)
