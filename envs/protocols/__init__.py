"""Training protocols: the registry, and how a user's own protocol is made from one of them."""

from __future__ import annotations

from typing import Any

from envs.names import suggest
from envs.protocols.constant import CONSTANT
from envs.protocols.ibl_documented import IBL_DOCUMENTED
from envs.protocols.tables import Protocol, Stage, Transition

PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (IBL_DOCUMENTED, CONSTANT)}


def protocol_table(table: Any) -> Any:
    """The fields of a Protocol from a user's table: those of its `base`, if it names one, with the table's changes.

    Raises ValueError naming the nearest known base.
    """
    if not isinstance(table, dict) or "base" not in table:
        return table
    base, changes = table["base"], {key: value for key, value in table.items() if key != "base"}
    if base not in PROTOCOLS:
        raise ValueError(suggest("protocol", base, PROTOCOLS))
    return PROTOCOLS[base].model_dump() | changes


def load_protocol(base: str, **changes: Any) -> Protocol:
    """A registered protocol with some fields changed. Raises ValueError naming an unknown base or a field that is wrong."""
    return Protocol(**protocol_table({"base": base, **changes}))


__all__ = ["PROTOCOLS", "Protocol", "Stage", "Transition", "load_protocol", "protocol_table"]
