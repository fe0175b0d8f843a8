"""The strict base table: what it refuses, and that it says so in the words of the table's author."""

from __future__ import annotations

import copy
import re
from typing import Annotated, Literal

import pytest
from pydantic import Discriminator, Field, Tag, ValidationError

from envs.table import Table


class Small(Table):
    kind: Literal["small"]
    depth: int = Field(ge=0)


class Large(Table):
    kind: Literal["large", "huge"]
    height: float = 1.0


def form(value: object) -> str:
    return "table" if isinstance(value, dict) else "number"


Either = Annotated[Annotated[int, Tag("number")] | Annotated[Large, Tag("table")], Discriminator(form)]


class Outer(Table):
    name: str
    one: Annotated[Small | Large, Field(discriminator="kind")] | None = None
    several: tuple[Small, ...] = ()
    named: dict[str, Either] = Field({})


GOOD = {
    "name": "x",
    "one": {"kind": "small", "depth": 1},
    "several": [{"kind": "small", "depth": 0}],
    "named": {"one": 3, "two": {"kind": "huge"}},
}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("nam",), 1, "unknown key in [here]: 'nam'; did you mean 'name'? Known: name, one, several, named"),
        (("one", "depht"), 1, "unknown key in [here.one]: 'depht'; did you mean 'depth'? Known: kind, depth"),
        (("one", "depth"), -1, "here.one.depth: input should be greater than or equal to 0 (given: -1)"),
        (("one", "kind"), "smal", "here.one: unknown kind 'smal'; did you mean 'small'? Known: small, large, huge"),
        (("several", 0, "dept"), 1, "unknown key in [here.several.0]: 'dept'; did you mean 'depth'? Known: kind, depth"),
        (("named", "two", "high"), 1, "unknown key in [here.named.two]: 'high'; did you mean 'height'? Known: kind, height"),
        (("named", "two", "height"), [], "here.named.two.height: input should be a valid number (given: [])"),
        (("several", 0), {"kind": "small"}, "key 'here.several.0.depth' is missing; [here.several.0] needs kind, depth"),
    ],
)
def test_what_is_wrong_is_said_in_the_keys_of_the_author(path, value, message):
    table = copy.deepcopy(GOOD)
    inside = table
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        Outer.checked(table, "here")


def test_every_fault_is_named_and_none_twice():
    with pytest.raises(ValueError, match=r"^key 'name' is missing; the table needs name; several\.0\.depth: .*\(given: -1\)$"):
        Outer.checked({"several": [{"kind": "small", "depth": -1}]})


def test_a_list_of_known_names_is_given_once():
    with pytest.raises(ValueError, match=r"unknown key 'nam'.* Known: name, .*; unknown key 'on'; did you mean 'one'\?$"):
        Outer.checked({"name": "x", "nam": 1, "on": 2})


@pytest.mark.parametrize("faults", [10, 11, 5000])
def test_faults_without_end_are_counted(faults):
    with pytest.raises(ValueError, match=r"^several\.0\.depth: ") as error:
        Outer.checked({"name": "x", "several": [{"kind": "small", "depth": -1}] * faults})
    *told, last = str(error.value).split("; ")
    assert (len(told), last) == ((10, f"and {faults - 10} more") if faults > 10 else (9, told[0].replace("0.depth", "9.depth")))


def test_a_table_is_never_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Outer(name="x").name = "y"
