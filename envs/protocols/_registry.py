"""The registry: every Protocol that a module of this package defines, by name. A new file is a new protocol."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

from envs.names import check_name, shown
from envs.protocol import Protocol


def collect(modules: Iterable[ModuleType]) -> dict[str, Protocol]:
    """The protocols of modules, in the order of their names. Raises ValueError if two have the same name."""
    found: dict[str, Protocol] = {}
    for module in modules:
        for protocol in vars(module).values():
            if not isinstance(protocol, Protocol):
                continue
            if found.setdefault(protocol.name, protocol) is not protocol:  # one imported from a module beside it is the same
                raise ValueError(f"two protocols are named {protocol.name!r}, one of them in {module.__name__}; rename one")
    return dict(sorted(found.items()))


def _modules() -> Iterable[ModuleType]:
    """The modules of this package, but for those with an underscore."""
    package = import_module(__package__)
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return (import_module(f"{__package__}.{name}") for name in names if not name.startswith("_"))


PROTOCOLS = collect(_modules())
_SHIPPED = frozenset(PROTOCOLS)


def register_protocol(protocol: Protocol) -> Protocol:
    """Register a protocol under its name, by which simulations and scenarios find it, in the place of one registered before.

    Raises ValueError for what is no Protocol, or has the name of one that comes with the package.
    """
    if not isinstance(protocol, Protocol):
        raise ValueError(f"{shown(protocol)} is no protocol; expected a Protocol, such as load_protocol makes")
    check_name("protocol", protocol.name, _SHIPPED)
    PROTOCOLS[protocol.name] = protocol
    return protocol
