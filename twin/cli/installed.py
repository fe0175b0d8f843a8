"""Packages of users that are installed and register rules, features, protocols or networks: they say so by an entry point."""

from __future__ import annotations

from importlib.metadata import entry_points

GROUP = "behavioral_twin"


def import_installed() -> None:
    """Import what installed packages name under `GROUP`. Raises ValueError naming the package that fails."""
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            package = entry.dist.name if entry.dist else "a package"
            raise ValueError(
                f"{package}: its entry point {entry.name!r} ({entry.value}) fails: {error}; mend it, or uninstall it"
            ) from error
