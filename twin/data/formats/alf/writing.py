"""Writing a rollout as an ALF tree, readable by ONE."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from twin.data.formats.alf.trials import SETTINGS
from twin.data.rollout import TASKS, Rollout
from twin.data.tables.columns import columns_of, new_folder
from twin.data.tables.days import Day, days_of

LAB = {True: "simulated", False: "recorded"}  # the folder of the lab, which a rollout does not know
NAMES = {
    "contrast_left": "contrastLeft",
    "contrast_right": "contrastRight",
    "probability_left": "probabilityLeft",
    "water_ul": "rewardVolume",
    "is_repeat": "repNum",
}


def write(rollout: Rollout, path: Path) -> None:
    """Write {lab}/Subjects/{subject}/{date}/{number}/alf of every session; a day that is not known is one of the year 2000.

    Raises ValueError for a mouse whose name cannot be that of a folder.
    """
    for name in rollout.ids:
        if not re.match(r"[\w.-]+$", name) or set(name) == {"."}:
            raise ValueError(
                f"{path}: mouse {name!r} cannot be the name of a folder of ALF; expected letters, digits, '.', '_', '-'"
            )
    attributes, days = _attributes(rollout), days_of(rollout)
    with new_folder(path) as partial:
        for i, (mouse, _, start, stop) in enumerate(zip(*rollout.sessions, strict=True)):
            folder = partial / LAB[rollout.simulated] / "Subjects" / rollout.ids[mouse] / days[i].date / f"{days[i].number:03d}"
            (folder / "alf").mkdir(parents=True)
            for name, values in attributes.items():
                np.save(folder / "alf" / f"_ibl_trials.{name}.npy", values[start:stop], allow_pickle=False)
            (folder / SETTINGS).parent.mkdir()
            (folder / SETTINGS).write_text(json.dumps(_settings(rollout, i, days[i])))


def _attributes(rollout: Rollout) -> dict[str, np.ndarray]:
    """Arrays of all trials by their ALF names; those of a 0 stimulus on the other side are NaN there."""
    columns = columns_of(rollout)
    found = {theirs: columns[ours].astype(float) for ours, theirs in NAMES.items() if ours in columns}
    for one, other in (("contrastLeft", "contrastRight"), ("contrastRight", "contrastLeft")):
        found[one] = np.where(found[other] > 0, np.nan, found[one])
    reward = rollout.reward
    found["choice"] = -columns["choice"].astype(np.int8)  # 1: wheel clockwise, left
    found["feedbackType"] = np.where(reward < 0, 0, np.where(reward > 0, 1, -1)).astype(np.int8)
    if "start_time" in columns:
        start = columns["start_time"].astype(float)
        found["intervals"] = np.stack([start, np.full(len(start), np.nan)], axis=1)
    if "response_time" in columns:
        found["response_time"] = columns["response_time"]
    return found


def _settings(rollout: Rollout, session: int, day: Day) -> dict[str, object]:
    """What the settings of a rig say, in their names; and whether any of it happened."""
    known = rollout.of_session
    found: dict[str, object] = {"SUBJECT_NAME": rollout.ids[rollout.sessions.mouse[session]], "SIMULATED": rollout.simulated}
    found["DATE_KNOWN"] = day.known
    if day.known:
        timed = "clock_s" in known and not np.isnan(known["clock_s"][session])
        found["SESSION_START_TIME"] = day.start.isoformat() if timed else day.date
    if "task" in known and known["task"][session] >= 0:
        found["PYBPOD_PROTOCOL"] = f"_iblrig_tasks_{TASKS[known['task'][session]]}"
    if "weight_g" in known and np.isfinite(known["weight_g"][session]):
        found["SUBJECT_WEIGHT"] = float(known["weight_g"][session])
    return found
