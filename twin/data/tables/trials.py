"""The rows of a table as trials: contrast, rewarded side, choice and reward, each row checked against itself."""

from __future__ import annotations

import numpy as np

from twin.data.tables import cells
from twin.data.tables.codes import NOT_TOLD, UNKNOWN, choices, rewards
from twin.data.tables.names import Asked
from twin.data.tables.parsing import Table

Trials = dict[str, np.ndarray]


def trials_of(table: Table, asked: Asked) -> Trials:
    """contrast, side, choice, reward and what else a trial may have, (N,) each. Raises ValueError naming row and column."""
    contrast, marked = _signed(table) if table.layout.signed else _two_sided(table)
    reward = rewards(table)
    choice = choices(table, np.sign(contrast), reward, asked)
    told = choice != NOT_TOLD
    choice = np.where(told, choice, -1).astype(np.int8)
    likelier_left = table.columns.get("probability_left", np.full(len(table), np.nan, np.float32)) > 0.5
    table.refuse((choice < 0) & (reward == 1), "choice", "a choice, since the trial was rewarded")
    side = _sides(contrast, marked, choice, reward, likelier_left)
    right_choice = 2 * choice - 1 == side
    disagrees = (choice >= 0) & (reward >= 0) & (side != 0) & (right_choice != (reward == 1))
    table.refuse(disagrees, "choice", "a choice that agrees with the stimulus and the outcome of its row")
    silent = reward == UNKNOWN
    derived = np.where(choice < 0, 0, np.where(side == 0, UNKNOWN, right_choice)).astype(np.int8)
    table.notes += _sentences(table, told, silent, derived)
    trials = {"contrast": contrast, "side": side, "choice": choice, "reward": np.where(silent, derived, reward)}
    return trials | _others(table, trials)


def _two_sided(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Signed contrast, and the side marked by a 0 where the other is empty (0: none is), (N,) each."""
    left, right = table.columns.pop("left"), table.columns.pop("right")
    neither = np.isnan(left) & np.isnan(right)
    table.refuse(neither, "left", "a contrast on one side, 0 for none; both are empty")
    table.refuse(left < 0, "left", f"a contrast between 0 and 1 {cells.FRACTION}")
    table.refuse((left > 0) & (right != 0) & ~np.isnan(right), "right", "0 or nothing, since there is a contrast on the left")
    if n := int(np.count_nonzero(right < 0)):
        table.notes.append(f"{n} trials have a negative contrast on the right: taken for one on the left")
    contrast = np.nan_to_num(right) - np.nan_to_num(left)
    marked = np.where(np.isnan(left), 1, np.where(np.isnan(right), -1, 0)).astype(np.int8)
    return contrast, marked


def _signed(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """The same of one contrast, with a sign of its own or that of a side."""
    contrast = table.columns.pop("stimulus") + np.float32(0)  # no negative zero
    if "side" not in table.layout.at:
        if np.count_nonzero(contrast) >= 10:
            none = (contrast > 0) & (not (contrast < 0).any())
            table.refuse(
                none, "stimulus", "negative contrasts for stimuli on the left, or a column 'side'; there are none at all"
            )
        return contrast, np.zeros(len(table), np.int8)
    marked = _meaning(table, "side", cells.side, "left or right, or a number whose sign is the side").astype(np.int8)
    disagrees = (contrast < 0) & (marked > 0)
    table.refuse(disagrees, "side", "the side of the contrast, which is negative")
    table.refuse((contrast != 0) & (marked == 0), "side", "left or right, since there is a contrast")
    return np.abs(contrast) * marked, marked


def _meaning(table: Table, quantity: str, parse: object, expected: str) -> np.ndarray:
    assert callable(parse)
    meaning = np.zeros(len(table.labels[quantity]))
    for i, text in enumerate(table.labels[quantity]):
        try:
            meaning[i] = parse(text)
        except ValueError:
            table.wrong(int(np.argmax(table.columns[quantity] == i)), quantity, expected)
    return meaning[table.columns[quantity]]


def _sides(
    contrast: np.ndarray, marked: np.ndarray, choice: np.ndarray, reward: np.ndarray, likelier_left: np.ndarray
) -> np.ndarray:
    """Rewarded side of each trial, +1 right, -1 left; 0 where it is not known.

    At zero contrast it is the one that is marked, or follows from choice and reward. Without a choice, the likelier side stands
    for an unknowable one.
    """
    side = np.sign(contrast).astype(np.int8)
    side = np.where(side == 0, marked, side).astype(np.int8)
    unmarked = side == 0
    chosen = (2 * choice - 1).astype(np.int8)
    told = unmarked & (choice >= 0) & (reward >= 0)
    side[told] = np.where(reward[told] == 1, chosen[told], -chosen[told])
    none = unmarked & (choice < 0)
    side[none] = np.where(likelier_left[none], -1, 1)
    return side


def _others(table: Table, trials: Trials) -> Trials:
    """What a trial may have beside: times, water, repeats."""
    columns, found = table.columns, Trials()
    if "response_time" in columns:
        found["response_time"] = columns.pop("response_time")
    elif "response_at" in columns and "stimulus_at" in columns:
        found["response_time"] = _elapsed(table)
    if "start_time" in columns:
        start = columns.pop("start_time")
        found["start_time"] = np.where(start < 0, np.nan, start).astype(np.float32)
    if "water_ul" in columns:
        water = np.where(trials["reward"] == 0, np.nan_to_num(columns["water_ul"]), columns["water_ul"])
        if np.isnan(water).any():
            table.notes.append("the water of some rewarded trials is not told: it is left out of all")
        else:
            found["water_ul"] = water
    if "repeat" in columns:
        found["is_repeat"] = _meaning(table, "repeat", cells.truth, "True or False, or how often it was repeated").astype(bool)
    return found


def _elapsed(table: Table) -> np.ndarray:
    """Seconds from the stimulus to the response; those of an event that was missed are unknown."""
    elapsed = (table.columns.pop("response_at") - table.columns.pop("stimulus_at")).astype(np.float32)
    if n := int(np.count_nonzero(elapsed < 0)):
        table.notes.append(f"{n} responses are before their stimulus: their response times are unknown")
    return np.where(elapsed < 0, np.nan, elapsed).astype(np.float32)


def _sentences(table: Table, told: np.ndarray, silent: np.ndarray, derived: np.ndarray) -> list[str]:
    notes = []
    if n := int((~told).sum()):
        notes.append(f"{n} trials have no choice (empty or NA): taken for trials without a response")
    if "outcome" in table.layout.at and (n := int((silent & (derived >= 0)).sum())):
        notes.append(f"{n} trials have no outcome: it follows from stimulus and choice")
    if n := int((derived[silent] < 0).sum()):
        notes.append(
            f"{n} choices at zero contrast have an unknown reward: they are kept, but count in no fit, and nothing is learned "
            f"from them"
        )
    return notes
