"""The kinds of study, one file each: its scenario table, how it is carried out, its results and its page.

A kind is added by adding a file with a subclass of `Study` that has a `kind` of its own; nothing else lists it.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twin.studies.study import Study


@cache
def kinds() -> dict[str, type[Study]]:
    """Every kind of study by its name. Imports the files of this package, which import torch and matplotlib only when used."""
    found: dict[str, type[Study]] = {}
    for file in pkgutil.iter_modules(__path__, f"{__name__}."):
        for study in _studies_of(importlib.import_module(file.name)):
            if study.kind in found:
                raise ValueError(f"kind {study.kind!r} is defined twice, in {found[study.kind].__module__} and in {file.name}")
            found[study.kind] = study
    return found


def _studies_of(module: ModuleType) -> list[type[Study]]:
    """The kinds that a file defines, without those it imports."""
    from twin.studies.study import Study

    classes = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Study)]
    return [one for one in classes if one.__module__ == module.__name__ and hasattr(one, "kind")]
