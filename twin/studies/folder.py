"""The run folder of a study, in which each finished part is kept, so that running again does only what is missing.

scenario.toml   the study, every default written out
rollouts.h5     the simulated trials (cohort, recovery), bound to the content of the fit that their mice come from
rollouts/       the same of a large cohort, in shards
designs/*.npz   what is kept of the sessions of each design (designs), bound likewise: evaluation.designs.DesignSessions
variants/NAME/  the run folder of one variant of the mice, with the fits to them (baselines)
fits/<model>/   one fitted model each: card.json, model.safetensors of a network, held_out.json of a cross-validation
.lock           who works in the folder
results.json    the numbers; figures/*.png and report.html show them; log.txt tells what was done when
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from twin.data.files import replace_file, said_of

Part = TypeVar("Part")


class RunFolder:
    """The run folder of one study.

    `continues` tells whether the study goes on with that of another scenario, by the file of it; its finished parts are then
    used where they are asked for. Raises ValueError if the folder holds any other.
    """

    def __init__(self, path: str | Path, scenario: str, continues: Callable[[Path], bool] = lambda before: False) -> None:
        path = Path(path)
        before = path / "scenario.toml"
        if before.is_file() and before.read_bytes() != scenario.encode() and not continues(before):
            raise ValueError(f"{path}: holds the run of another scenario ({before} differs); give another --out, or remove it")
        self.path = path
        self.scenario = scenario
        self._opened = time.perf_counter()
        self.write("scenario.toml", scenario)

    @property
    def seconds(self) -> float:
        """Time since the folder was opened."""
        return time.perf_counter() - self._opened

    def keep(
        self, name: str, make: Callable[[], Part], read: Callable[[Path], Part], write: Callable[[Part, Path], None]
    ) -> Part:
        """What the file `name` of the folder holds; made and written if it is not there, or if reading it raises ValueError.

        A file that is locked, or may not be read, is kept: its OSError is passed on. `write` must replace the file in one step,
        so that an interrupted run leaves none that is half written.
        """
        path = self.path / name
        if path.is_file():
            try:
                return read(path)
            except ValueError as error:
                self.log(f"{name}: made again: {error}")
        started = time.perf_counter()
        part = make()
        with said_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(part, path)
        self.log(f"{name}: made in {time.perf_counter() - started:.2f} s")
        return part

    def write(self, name: str, text: str) -> None:
        """Write a file so that nobody sees half of it."""
        replace_file(self.path / name, text.encode())

    def log(self, line: str) -> None:
        """Add a line to log.txt."""
        with said_of(self.path / "log.txt"), open(self.path / "log.txt", "a") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {line}\n")
