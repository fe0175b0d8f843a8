"""Training protocols: one file each, found by the registry, and how a user's own is made from one of them.

To add a protocol, add a module here that holds a `Protocol`, or several.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from envs.names import shown
from envs.protocol import Blocks, Contingency, Protocol, Stage, Transition
from envs.protocols._registry import PROTOCOLS, register_protocol
from envs.protocols._table import protocol_table

ProtocolLike = Protocol | str | Mapping[str, Any]  # itself, its name, or its table as a scenario has it


def load_protocol(base: str | None = None, **changes: Any) -> Protocol:
    """A registered protocol with some fields changed, or (base None) one described from nothing, by its stages.

    What is not said of a protocol from nothing is as `Protocol` has it: sessions end as on the rigs of IBL, reward and gain
    are the same every day. Raises ValueError naming an unknown base, or the stage and the field that are wrong.
    """
    table = protocol_table(changes if base is None else {"base": base, **changes})
    try:
        return Protocol.checked(table)
    except ValueError as error:
        raise ValueError(f"protocol {shown(table['name'])}: {error}") from None


def find_protocol(protocol: ProtocolLike) -> Protocol:
    """A protocol, given itself, its name, or a table as a scenario has it (`base` and changes, or `stages` from nothing).

    Raises ValueError naming the nearest known name, or what in the table is wrong.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, str):
        return load_protocol(protocol)
    if isinstance(protocol, Mapping) and all(isinstance(key, str) for key in protocol):
        return load_protocol(**protocol)
    raise ValueError(
        f"protocol = {shown(protocol)}: expected a Protocol, the name of one, or a table such as "
        f"{{'base': 'ibl-2019', 'session_trials': 500}}; read_protocol(path) reads one from a file"
    )


def read_protocol(path: str | Path) -> Protocol:
    """The protocol of a TOML file: `base` and changes to it, or stages from nothing. Raises ValueError naming the file."""
    try:
        return load_protocol(**tomllib.loads(Path(path).read_text()))
    except ValueError as error:  # TOMLDecodeError is one
        raise ValueError(f"{path}: {error}") from None


def write_protocol(protocol: Protocol, path: str | Path) -> None:
    """Write a protocol as TOML that `read_protocol` turns into an equal one."""
    Path(path).write_text(tomli_w.dumps(protocol.table()))


__all__ = [
    "PROTOCOLS",
    "Blocks",
    "Contingency",
    "Protocol",
    "ProtocolLike",
    "Stage",
    "Transition",
    "find_protocol",
    "load_protocol",
    "protocol_table",
    "read_protocol",
    "register_protocol",
    "write_protocol",
]
