"""Writing NWB files."""

from __future__ import annotations

import re
import warnings
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np

from twin.data.content import content_hash
from twin.data.formats.nwb.library import Notes, pynwb
from twin.data.rollout import TASKS, Rollout
from twin.data.tables.columns import columns_of, new_folder
from twin.data.tables.days import Day, days_of

AGE = "P0D/"  # any: it is not known, and NWB asks for one
TEXTS = {-1: "left", 1: "right", 0: "none"}  # choices of a table
WORDS = {
    "contrast_left": "contrast on the left, 0 to 1; NaN if the rewarded side is right and there is none",
    "contrast_right": "contrast on the right, 0 to 1; NaN if the rewarded side is left and there is none",
    "choice": "side that the mouse chose: left, right or none",
    "correct": "was it rewarded? (if that is not known of all: 1, 0, NaN)",
    "probability_left": "probability of a stimulus on the left, as the rig has it",
    "response_time": "seconds from the stimulus to the choice",
    "water_ul": "water that was given, microlitres",
    "is_repeat": "is the trial a repeat after an error (debiasing)?",
}


def write_files(rollout: Rollout, path: Path) -> None:
    """Write a folder with a file for each session, `sub-MOUSE_ses-NUMBER_behavior.nwb`."""
    library, columns, days = pynwb(), columns_of(rollout), days_of(rollout)
    identifier = content_hash(rollout)
    with new_folder(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names, which are those of tables
        for i, (mouse, session, _, _) in enumerate(zip(*rollout.sessions, strict=True)):
            safe = re.sub(r"[^\w-]+", "-", rollout.ids[mouse])
            file = _file(library, rollout, i, days[i], f"{identifier[:16]}-{i}")
            file.trials = _trials(library, rollout, i, columns)
            name = f"sub-{mouse:04d}-{safe[:60]}_ses-{session + 1:04d}_behavior.nwb"
            with library.NWBHDF5IO(str(partial / name), "w") as io:
                io.write(file)


def _file(library: Any, rollout: Rollout, i: int, day: Day, identifier: str) -> Any:
    known, session = rollout.of_session, rollout.sessions
    name, number = rollout.ids[session.mouse[i]], int(session.session[i]) + 1
    timed = day.known and "clock_s" in known and not np.isnan(known["clock_s"][i])
    notes = Notes(rollout.simulated, day.known, timed, "start_time" in rollout.columns)
    what = "A simulated mouse, no recording" if rollout.simulated else "A mouse"
    task = TASKS[known["task"][i]] if "task" in known and known["task"][i] >= 0 else None
    weight = f"{known['weight_g'][i] / 1000:.6g} kg" if "weight_g" in known and np.isfinite(known["weight_g"][i]) else None
    return library.NWBFile(
        session_description=f"{what}: session {number} of the visual decision task of the International Brain Laboratory"
        + ("" if day.known else "; its date stands for one that is not known"),
        identifier=identifier,
        session_start_time=day.start.replace(tzinfo=UTC),
        session_id=str(number),
        experiment_description=what,
        notes=notes.text(),
        keywords=["simulation", "decision making"] if rollout.simulated else ["decision making"],
        protocol=task,
        subject=library.file.Subject(
            subject_id=name.replace("/", "-"),
            species="Mus musculus",
            sex="U",
            age=AGE,
            description=f"{what} of behavioral-twin" if rollout.simulated else name,
            weight=weight,
        ),
    )


def _trials(library: Any, rollout: Rollout, i: int, columns: dict[str, np.ndarray]) -> Any:
    """The trials of a session; without their times they are a second apart."""
    rows = slice(int(rollout.sessions.start[i]), int(rollout.sessions.stop[i]))
    n = rows.stop - rows.start
    start = columns["start_time"][rows].astype(float) if "start_time" in columns else np.arange(n, dtype=float)
    last = columns["response_time"][rows].astype(float) if "response_time" in columns else np.ones(n)
    stop = start + np.where(np.isnan(last), 0.0, last)
    table = library.epoch.TimeIntervals(name="trials", description="every trial of the session")
    data = {"start_time": start, "stop_time": stop}
    for name, values in data.items():
        table[name].data.extend(values.tolist())
    table.id.data.extend(range(n))
    for name, words in WORDS.items():
        if name in columns:
            table.add_column(name, words, data=_written(name, columns[name][rows]))
    return table


def _written(name: str, values: np.ndarray) -> Any:
    if name == "choice":
        return [TEXTS[value] for value in values.tolist()]
    truths = name == "is_repeat" or (name == "correct" and not np.isnan(values).any())
    return values.astype(bool) if truths else values
