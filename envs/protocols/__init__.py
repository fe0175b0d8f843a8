"""Training protocols: one file each, found by the registry, and how a user's own is made from one of them.

To add a protocol, add a module here that holds a `Protocol`, or several.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from envs.protocol import Blocks, Contingency, Protocol, Stage, Transition
from envs.protocols._registry import PROTOCOLS
from envs.protocols._table import protocol_table


def load_protocol(base: str | None = None, **changes: Any) -> Protocol:
    """A registered protocol with some fields changed, or (base None) one described from nothing.

    Raises ValueError naming an unknown base, or the stage and the field that are wrong.
    """
    table = protocol_table(changes if base is None else {"base": base, **changes})
    try:
        return Protocol.checked(table)
    except ValueError as error:
        raise ValueError(f"protocol {table['name']!r}: {error}") from None


def find_protocol(protocol: Protocol | str) -> Protocol:
    """A protocol, given itself or its name. Raises ValueError naming the nearest known name, or what is neither."""
    if isinstance(protocol, Protocol):
        return protocol
    if not isinstance(protocol, str):
        raise ValueError(
            f"protocol = {protocol!r}: expected the name of a protocol or a Protocol; "
            f"`load_protocol(**table)` makes one from a table, `read_protocol(path)` from a file"
        )
    return load_protocol(protocol)


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
    "Stage",
    "Transition",
    "find_protocol",
    "load_protocol",
    "protocol_table",
    "read_protocol",
    "write_protocol",
]
