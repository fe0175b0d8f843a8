"""The run folder of a study, in which each finished part is kept, so that running again does only what is missing.

scenario.toml   the study, every default written out
rollouts.h5     the simulated trials (cohort, recovery)
designs/*.npz   what is kept of the sessions of each design (designs): evaluation.designs.DesignSessions
fits/<model>/   one fitted model each: card.json, model.safetensors of a network, held_out.json of a cross-validation
results.json    the numbers; figures/*.png and report.html show them; log.txt tells what was done when
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

Part = TypeVar("Part")


class RunFolder:
    """The run folder of one study. Raises ValueError if it holds another."""

    def __init__(self, path: Path, scenario: str) -> None:
        before = path / "scenario.toml"
        if before.is_file() and before.read_text() != scenario:
            raise ValueError(f"{path}: holds the run of another scenario ({before} differs); give another --out, or remove it")
        self.path = path
        self.scenario = scenario
        self._opened = time.perf_counter()
        path.mkdir(parents=True, exist_ok=True)
        self.write("scenario.toml", scenario)

    @property
    def seconds(self) -> float:
        """Time since the folder was opened."""
        return time.perf_counter() - self._opened

    def keep(
        self, name: str, make: Callable[[], Part], read: Callable[[Path], Part], write: Callable[[Part, Path], None]
    ) -> Part:
        """What the file `name` of the folder holds; made and written if it is not there, or if reading it raises ValueError.

        `write` must replace the file in one step, so that an interrupted run leaves none that is half written.
        """
        path = self.path / name
        if path.is_file():
            try:
                return read(path)
            except ValueError as error:
                self.log(f"{name}: made again: {error}")
        started = time.perf_counter()
        part = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part, path)
        self.log(f"{name}: made in {time.perf_counter() - started:.2f} s")
        return part

    def write(self, name: str, text: str) -> None:
        """Write a file so that nobody sees half of it."""
        replace_file(self.path / name, text.encode())

    def log(self, line: str) -> None:
        """Add a line to log.txt."""
        with open(self.path / "log.txt", "a") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {line}\n")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file under another name and give it its own when it is whole."""
    partial = path.with_name(f"{path.name}.tmp")
    partial.write_bytes(content)
    os.replace(partial, path)
