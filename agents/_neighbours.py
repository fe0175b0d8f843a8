"""`envs` is a common name: make sure that the one found is of this distribution, before anything of it is imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def check_envs() -> None:
    """Raise ImportError, saying which is found, if another project's `envs` hides the one beside this package."""
    here = Path(__file__).resolve().parent.parent
    found = importlib.util.find_spec("envs")
    places = list(found.submodule_search_locations or []) if found else []
    if here / "envs" not in [Path(place).resolve() for place in places]:
        raise ImportError(
            f"the package 'envs' found first is {', '.join(places)}, not the one beside agents in {here}: another project's "
            f"'envs' hides it. Use a fresh virtual environment, or run from another folder."
        )


check_envs()
