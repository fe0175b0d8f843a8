"""Training protocols: the registry, and how a user's own protocol is made from one of them."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from envs.names import suggest
from envs.protocol import Blocks, Contingency, Protocol, Stage, Transition
from envs.protocols.advanced import ADVANCED
from envs.protocols.biased import BIASED, BIASED_HALF_ZERO, EPHYS
from envs.protocols.constant import CONSTANT
from envs.protocols.habituation import HABITUATION
from envs.protocols.ibl_2019 import IBL_2019
from envs.protocols.ibl_documented import IBL_DOCUMENTED
from envs.protocols.ibl_v8 import IBL_V8
from envs.protocols.paper import LIU_2025
from envs.protocols.toml import toml_text

PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        IBL_2019, IBL_V8, IBL_DOCUMENTED, CONSTANT, BIASED, BIASED_HALF_ZERO, EPHYS, ADVANCED, HABITUATION, LIU_2025
    )
}  # fmt: skip


def protocol_table(table: Any) -> Any:
    """The fields of a Protocol from a user's table: those of its `base`, if it names one, with the table's changes.

    A name alone stands for the protocol of that name. `every_stage` holds changes to each stage; a table in it, such as
    `advance`, changes the stages that have one: `every_stage = { debias = false, advance = { correct = 45 } }`. Raises
    ValueError naming the nearest known base or field.
    """
    if isinstance(table, str):
        table = {"base": table}
    if not isinstance(table, dict):
        return table
    fields = {key: value for key, value in table.items() if key not in ("base", "every_stage")}
    if "base" not in table:
        fields = {"name": "custom"} | fields
    elif table["base"] not in PROTOCOLS:
        raise ValueError(suggest("protocol", table["base"], PROTOCOLS))
    else:
        fields = PROTOCOLS[table["base"]].table() | fields
    if "every_stage" in table:
        _check_changes(table["every_stage"])
        fields["stages"] = [_changed(stage, table["every_stage"]) for stage in fields.get("stages", ())]
    return fields


def _check_changes(changes: Any, table: Any = Stage, where: str = "every_stage") -> None:
    """Raise ValueError unless `changes` is a table of fields that a stage has."""
    if not isinstance(changes, dict):
        raise ValueError(f"{where} = {changes!r}: expected a table of changes, for instance every_stage.debias = false")
    for key, value in changes.items():
        if key not in table.model_fields:
            raise ValueError(suggest(f"key in {where}:", key, table.model_fields))
        if key in _TABLES:
            _check_changes(value, _TABLES[key], f"{where}.{key}")


_TABLES: dict[str, Any] = {"advance": Transition, "blocks": Blocks}  # inside a stage


def _changed(stage: Any, changes: dict[str, Any]) -> Any:
    """A stage's table with changes, made inside those of its tables that it has."""
    if not isinstance(stage, dict):
        return stage
    inside = {key: stage[key] | value for key, value in changes.items() if key in _TABLES and stage.get(key)}
    return stage | {key: value for key, value in changes.items() if key not in _TABLES} | inside


def load_protocol(base: str | None = None, **changes: Any) -> Protocol:
    """A registered protocol with some fields changed, or (base None) one described from nothing.

    Raises ValueError naming an unknown base, or the stage and the field that are wrong.
    """
    table = protocol_table(changes if base is None else {"base": base, **changes})
    try:
        return Protocol(**table)
    except ValidationError as error:
        # A stage with a fault makes pydantic count one stage too few as well: say that only if it is the only fault.
        faults = "; ".join(_fault(f) for f in error.errors() if f["type"] != "too_short" or error.error_count() == 1)
        raise ValueError(f"protocol {table['name']!r}: {faults}") from None


def read_protocol(path: str | Path) -> Protocol:
    """The protocol of a TOML file: `base` and changes to it, or stages from nothing. Raises ValueError naming the file."""
    try:
        return load_protocol(**tomllib.loads(Path(path).read_text()))
    except ValueError as error:  # TOMLDecodeError is one
        raise ValueError(f"{path}: {error}") from None


def write_protocol(protocol: Protocol, path: str | Path) -> None:
    """Write a protocol as TOML that `read_protocol` turns into an equal one."""
    Path(path).write_text(toml_text(protocol.table()))


def _fault(fault: Any) -> str:
    """One fault of a table: stage, field, what is wrong and the nearest field if there is no such one."""
    place = list(fault["loc"])
    where = f"stage {place[1]}" if place[:1] == ["stages"] and len(place) > 1 else ""
    field = ".".join(str(p) for p in (place[2:] if where else place))
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        table: Any = Stage if where else Protocol
        near = difflib.get_close_matches(field, table.model_fields, n=1, cutoff=0)
        message = f"unknown field; did you mean {near[0]!r}?"
    return ", ".join(part for part in (where, field) if part) + (": " if where or field else "") + message


__all__ = [
    "PROTOCOLS",
    "Blocks",
    "Contingency",
    "Protocol",
    "Stage",
    "Transition",
    "load_protocol",
    "protocol_table",
    "read_protocol",
    "write_protocol",
]
