"""The registry: every Protocol that a module of this package defines, by name. A new file is a new protocol."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

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
