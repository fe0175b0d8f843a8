"""Modules of a user's own that a scenario names, imported because that user runs the scenario and for no other reason.

`rule = "my_rules:decaying"` is the rule that the function `decaying` of the module `my_rules` registers; features, protocols,
networks and models are named alike. The module is noted in `imports`, and the name becomes the registered one. Modules are
looked for on Python's path, then where the user stands, then beside the scenario. Nothing else that is read (rollouts, fits,
populations, the scenario of a run folder that is only shown) imports anything: names in it must be registered already.
"""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.features import FEATURES
from agents.neural.registry import NEURAL_RULES
from agents.rules import RULES
from envs.names import suggest
from envs.protocols import Protocol, register_protocol
from twin.studies.changes import ScenarioError

REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
KEYS = ("base", "base_rule", "features", "model", "models", "protocol", "rule", "then")  # whose values name such things


def with_imports(table: dict[str, Any], source: str, folder: Path, allowed: bool) -> dict[str, Any]:
    """A scenario's table with the modules that it names imported, and `module:name` as registered names.

    Unless imports are `allowed`, only modules that this process has imported before. Raises ScenarioError naming the module and
    what is wrong with it.
    """
    given = table.get("imports", [])
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        return table  # what is wrong with it is said when the study is made
    modules = dict.fromkeys(given)

    def name_of(reference: str) -> str:
        module, _, name = reference.partition(":")
        modules[module] = None
        return _registered_name(_import(module, source, folder, allowed), name, source)

    for module in given:
        _import(module, source, folder, allowed)
    named = _renamed(table, "", name_of)
    return {**named, "imports": list(modules)} if modules else named


def _renamed(value: Any, key: str, name_of: Callable[[str], str]) -> Any:
    """A value with every reference in it as a registered name; `key` is the key that it stands under."""
    if isinstance(value, dict):
        inner = {k: "protocol" if key == "designs" and isinstance(v, str) else k for k, v in value.items()}
        return {k: _renamed(v, inner[k], name_of) for k, v in value.items()}
    if isinstance(value, list):
        return [_renamed(item, key, name_of) for item in value]
    if isinstance(value, str) and key in KEYS and REFERENCE.fullmatch(value):
        return name_of(value)
    return value


def _import(name: str, source: str, folder: Path, allowed: bool) -> Any:
    """A module by its name. Raises ScenarioError for one that is not there, fails, or may not be imported."""
    if name in sys.modules:
        return sys.modules[name]
    if not allowed:
        raise ScenarioError(
            f"{source}: imports {name!r}, which is done only where a scenario is run: expected `twin run {source}` with --out, "
            f"or `import {name}` before"
        )
    places = [str(place.resolve()) for place in (Path(), folder)]
    sys.path += [place for place in dict.fromkeys(places) if place not in sys.path]  # last: nothing is hidden by them
    try:
        return importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]:
            looked = " nor in ".join(dict.fromkeys(places))
            raise ScenarioError(f"{source}: no module {name!r} on Python's path, nor in {looked}") from None
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).stem == name.split(".")[-1]]
        where = f" in line {own[-1].lineno} of {Path(own[-1].filename).name}" if own else ""
        raise ScenarioError(f"{source}: importing {name!r} fails{where}: {error}") from error


def _registered_name(module: Any, name: str, source: str) -> str:
    """The name under which something of a module is registered; a protocol is registered here. Raises ScenarioError."""
    if name not in vars(module):
        known = [key for key in vars(module) if not key.startswith("_")]
        raise ScenarioError(f"{source}: {suggest(f'name in {module.__name__}:', name, known)}")
    found = vars(module)[name]
    if isinstance(found, Protocol):
        try:
            return register_protocol(found).name
        except ValueError as error:
            raise ScenarioError(f"{source}: {module.__name__}:{name}: {error}") from None
    names = [
        *(key for key, rule in RULES.items() if found is rule or found is rule.update),
        *(key for key, feature in FEATURES.items() if found is feature.function),
        *(key for key in [getattr(found, "name", None)] if isinstance(key, str) and key in NEURAL_RULES),
    ]
    if not names:
        raise ScenarioError(
            f"{source}: {module.__name__}:{name} is neither a Protocol nor registered; expected a function under "
            f"@twin.register_rule(...) or @twin.register_feature(...), or a class under @twin.register_network"
        )
    return names[0]
