"""How a user's table becomes the fields of a Protocol: a `base`, changes to it, and changes to each of its stages."""

from __future__ import annotations

from typing import Any

from envs.names import shown, suggest
from envs.protocol import Blocks, Stage, Transition
from envs.protocols._registry import PROTOCOLS
from envs.table import Table

_INSIDE_A_STAGE: dict[str, type[Table]] = {"advance": Transition, "blocks": Blocks}  # tables that a stage may have


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
        fields = {"name": "custom"} | fields  # when its sessions end, see `envs.protocols.ibl_session`
    elif not isinstance(table["base"], str) or table["base"] not in PROTOCOLS:
        raise ValueError(suggest("protocol", table["base"], PROTOCOLS))
    else:
        fields = PROTOCOLS[table["base"]].table() | fields
    if "every_stage" in table:
        _check_changes(table["every_stage"])
        stages = fields.get("stages", ())
        if isinstance(stages, list | tuple):  # what else they are is said when the protocol is made
            fields["stages"] = [_changed(stage, table["every_stage"]) for stage in stages]
    return fields


def _check_changes(changes: Any, table: type[Table] = Stage, where: str = "every_stage") -> None:
    """Raise ValueError unless `changes` is a table of fields that a stage has."""
    if not isinstance(changes, dict):
        raise ValueError(f"{where} = {shown(changes)}: expected a table of changes, for instance every_stage.debias = false")
    for key, value in changes.items():
        if key not in table.model_fields:
            raise ValueError(suggest(f"key in {where}:", key, table.model_fields))
        if key in _INSIDE_A_STAGE:
            _check_changes(value, _INSIDE_A_STAGE[key], f"{where}.{key}")


def _changed(stage: Any, changes: dict[str, Any]) -> Any:
    """A stage's table with changes, made inside those of its tables that it has."""
    if not isinstance(stage, dict):
        return stage
    changed = [key for key in changes if key in _INSIDE_A_STAGE and stage.get(key) and isinstance(stage[key], dict)]
    inside = {key: stage[key] | changes[key] for key in changed}
    return stage | {key: value for key, value in changes.items() if key not in _INSIDE_A_STAGE} | inside
