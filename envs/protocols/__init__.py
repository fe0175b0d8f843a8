"""Training protocols: the registry, and how a user's own protocol is made from one of them."""

from __future__ import annotations

import difflib
from typing import Any

from envs.protocols.constant import CONSTANT
from envs.protocols.ibl_documented import IBL_DOCUMENTED
from envs.protocols.tables import Protocol, Stage, Transition

PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (IBL_DOCUMENTED, CONSTANT)}


def load_protocol(base: str | None = None, **changes: Any) -> Protocol:
    """A registered protocol with some fields changed, or (base None) one described from nothing.

    Raises ValueError (pydantic's ValidationError is one) naming an unknown base or a field that is wrong.
    """
    if base is None:
        return Protocol(**({"name": "custom"} | changes))
    if base not in PROTOCOLS:
        near = difflib.get_close_matches(base, PROTOCOLS, n=1, cutoff=0)
        raise ValueError(f"unknown protocol {base!r}; did you mean {near[0]!r}? Known: {', '.join(PROTOCOLS)}")
    return Protocol(**(PROTOCOLS[base].model_dump() | changes))


__all__ = ["PROTOCOLS", "Protocol", "Stage", "Transition", "load_protocol"]
