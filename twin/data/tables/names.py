"""Which quantity a column is, by its name: the documented names, and what others call the same.

Names are compared without case, blanks, dots and underscores: `contrastLeft` is `contrast_left`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from envs.names import suggest

# quantity: its names, the documented one first; of several that are there the first is taken
NAMES: dict[str, tuple[str, ...]] = {
    "subject": (
        "subject",
        "mouse",
        "animal",
        "subject_id",
        "mouse_id",
        "animal_id",
        "subject_nickname",
        "nickname",
        "mouse_name",
    ),
    "session": ("session", "session_number", "session_id", "eid", "session_num", "session_idx"),
    "date": ("date", "session_date", "session_start_time", "datetime", "day"),
    "trial": ("trial", "trial_number", "trial_index", "trial_num", "trial_no"),
    "left": ("contrast_left", "left_contrast"),
    "right": ("contrast_right", "right_contrast"),
    "stimulus": ("stimulus", "signed_contrast", "stim", "contrast", "stimulus_contrast"),
    "side": ("stimulus_side", "side", "position", "stim_side"),
    "choice": ("choice", "response", "action", "response_side", "decision"),
    "outcome": ("correct", "feedback_type", "feedback", "rewarded", "reward", "outcome", "trial_correct", "is_correct", "hit"),
    "probability_left": ("probability_left", "stim_probability_left", "p_left", "prob_left", "prob_l", "prior_left"),
    "response_time": ("response_time", "reaction_time", "rt"),
    "response_at": ("response_times", "response_at"),
    "stimulus_at": ("stim_on_times", "stim_on", "stim_on_time", "stimulus_at"),
    "start_time": ("start_time", "intervals_0", "trial_start_time", "trial_start"),
    "water_ul": ("water_ul", "reward_volume", "reward_amount"),
    "repeat": ("is_repeat", "rep_num", "debias_trial"),
    "task": ("task", "task_protocol"),
    "weight_g": ("weight_g", "weight"),
    "simulated": ("simulated",),
}
IBL = ("contrastLeft", "contrastRight", "feedbackType", "probabilityLeft")  # names by which the IBL's codes are expected


class Asked(NamedTuple):
    """What a user says of a table: which column is what, and which value of the choice is left."""

    columns: Mapping[str, str] = {}  # quantity -> name of its column
    choice_left: str | None = None
    codes: Mapping[float, int] | None = None  # of a format whose choices have these and no others: 0 left, 1 right, -1 none


def plain(name: str) -> str:
    """A name as it is compared."""
    return re.sub(r"[\s._-]", "", name).lower()


KNOWN = {plain(name): quantity for quantity, names in NAMES.items() for name in names}


def parse_columns(text: str) -> dict[str, str]:
    """What `--columns choice=resp,contrast=stim` says. Raises ValueError for another form."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and column.strip() for name, _, column in pairs):
        raise ValueError(f"--columns {text!r}: expected QUANTITY=COLUMN, such as choice=resp,contrast=stim")
    return {name.strip(): column.strip() for name, _, column in pairs}


def quantities(asked: Mapping[str, str]) -> dict[str, str]:
    """Quantity -> column as a user names them, by any of the names. Raises ValueError for a quantity that is none."""
    found = {}
    for name, column in asked.items():
        if plain(name) not in KNOWN:
            raise ValueError(suggest("quantity of --columns:", name, [names[0] for names in NAMES.values()]))
        found[KNOWN[plain(name)]] = column
    return found


def count_known(header: list[str]) -> int:
    """How many different quantities a header names."""
    return len({KNOWN[plain(name)] for name in header if plain(name) in KNOWN})
