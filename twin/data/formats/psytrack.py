"""PsyTrack's dictionaries (Roy et al. 2021), one a mouse: `twin.read(D)`, `dictionaries(rollout)`, and .npz files of them.

    name      the mouse
    y         choice, 0 left, 1 right (or 1 and 2); there are no trials without a choice
    dayLength trials in each session
    inputs    name -> (N, 1): cL, cR, cBoth, contrasts as tanh(5c) / tanh(5), signed in cBoth
    answer    the rewarded side, 0 left, 1 right; correct: was it chosen? -1 where that is not known
    contrastLeft, contrastRight, probL, date   as in the Pillow lab's scripts, of every trial; simulated: is it no recording?

A file holds each array under MOUSE/KEY, mice counted from 0, `inputs/cL` for those within. Dictionaries that numpy has pickled
are not loaded, for that can run code; hand them to `twin.read` instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twin.data.formats import Format
from twin.data.rollout import Rollout
from twin.data.tables.arrays import load_npz, names_of_npz
from twin.data.tables.columns import new_file
from twin.data.tables.names import Asked, quantities
from twin.data.tables.reading import read_table
from twin.data.tables.source import Columns

STRENGTH = 5.0  # of the tanh
CARRIED = ("session", "contrast", "side", "choice", "reward", "probability_left")
COPIED = {"correct": "correct", "probL": "probability_left", "date": "date", "simulated": "simulated"}  # their name -> ours


def is_dictionary(source: Any) -> bool:
    """Is an object one of PsyTrack's dictionaries?"""
    return isinstance(source, Mapping) and "y" in source and isinstance(source.get("inputs"), Mapping)


def read_dictionaries(mice: Sequence[Mapping[str, Any]], where: str, asked: Asked) -> Rollout:
    """Trials of dictionaries. Raises ValueError naming the mouse and the key of what is wrong."""
    import pyarrow

    from twin.data.tables import arrow

    tables = []
    for m, mouse in enumerate(mice):
        name = str(mouse.get("name", mouse.get("subject", f"mouse-{m}")))
        told = f"{where}, mouse {name[:60]!r}"
        tables.append(arrow.table_of_arrays(_columns(mouse, name, told, asked), told))
    try:
        table = pyarrow.concat_tables(tables, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise ValueError(f"{where}: its mice do not go together ({str(error).splitlines()[0][:200]})") from None
    rest = Asked({}, asked.choice_left)
    return read_table(Columns(where, "mouse", table), rest, source=where.rpartition("/")[2], format="psytrack")


def _columns(mouse: Mapping[str, Any], name: str, where: str, asked: Asked) -> dict[str, np.ndarray]:
    y = _flat(mouse["y"], f"{where}, 'y'")
    found = {"subject": np.array(name), "choice": _choice(y, where) if asked.choice_left is None else y}
    found |= _stimulus(mouse, where, quantities(asked.columns).get("stimulus"))
    found |= {ours: np.asarray(mouse[theirs]) for theirs, ours in COPIED.items() if theirs in mouse}
    if "correct" in found and found["correct"].dtype.kind in "if":
        found["correct"] = np.where(found["correct"] < 0, np.nan, found["correct"])
    if mouse.get("dayLength") is not None:
        lengths = _flat(mouse["dayLength"], f"{where}, 'dayLength'")
        if (lengths < 0).any() or lengths.sum() != len(y):
            raise ValueError(f"{where}, 'dayLength': {lengths.sum():g} trials in all; expected {len(y)}, the length of 'y'")
        found["session"] = np.repeat(np.arange(len(lengths)), lengths.astype(int))
    return found


def _flat(values: Any, where: str) -> np.ndarray:
    flat = np.asarray(values)
    if flat.dtype.kind not in "biuf" or not np.isfinite(flat).all():
        raise ValueError(f"{where}: {str(flat.dtype)[:60]}; expected whole numbers")
    return flat.reshape(-1)


def _choice(y: np.ndarray, where: str) -> np.ndarray:
    there = set(np.unique(y).tolist())
    if not there <= {0, 1} and not there <= {1, 2}:
        raise ValueError(f"{where}, 'y': values {sorted(there)[:5]}; expected 0 left and 1 right, or 1 left and 2 right")
    return np.where(y == (2 if 2 in there else 1), "R", "L") if there != {1} else np.full(len(y), "R")


def _stimulus(mouse: Mapping[str, Any], where: str, asked: str | None) -> dict[str, np.ndarray]:
    """The contrasts as they are, else undone from the inputs, else the input that is asked for."""
    inputs = mouse["inputs"]
    first = {str(name): np.asarray(values).reshape(len(values), -1)[:, 0] for name, values in inputs.items() if np.ndim(values)}
    if asked is not None:
        if asked not in first:
            raise ValueError(f"{where}, 'inputs': no {asked!r}; there are {', '.join(first) or 'none'}")
        return {"stimulus": first[asked]}
    if "contrastLeft" in mouse and "contrastRight" in mouse:
        return {f"contrast_{side.lower()}": np.asarray(mouse[f"contrast{side}"]) for side in ("Left", "Right")}
    if "cBoth" in first:
        return {"stimulus": _undone(first["cBoth"], where)}
    if "cL" in first and "cR" in first:
        return {"stimulus": _undone(first["cR"] - first["cL"], where)}
    raise ValueError(
        f"{where}, 'inputs': no contrast among {', '.join(first) or 'none'}; expected contrastLeft and contrastRight beside "
        f"'y', or cBoth, or cL and cR, among the inputs; name a signed contrast with --columns stimulus=NAME"
    )


def transformed(contrast: np.ndarray) -> np.ndarray:
    """A contrast as PsyTrack's authors give it to their model."""
    scaled: np.ndarray = np.tanh(STRENGTH * contrast) / np.tanh(STRENGTH)
    return scaled


def _undone(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind not in "biuf" or not (np.abs(values) <= 1).all():
        raise ValueError(f"{where}, 'inputs': contrasts beyond -1 to 1; expected tanh(5c) / tanh(5)")
    undone = np.arctanh(np.clip(values.astype(float), -1, 1) * np.tanh(STRENGTH)) / STRENGTH
    return np.clip(np.round(undone, 6), -1, 1)


def dictionaries(rollout: Rollout) -> list[dict[str, Any]]:
    """A dictionary of each mouse, without trials in which it made no choice, which PsyTrack does not know."""
    from twin.data.tables.columns import columns_of

    dates = columns_of(rollout)["date"].astype(str)
    return [_dictionary(rollout, m, dates) for m in range(rollout.n_mice)]


def _dictionary(rollout: Rollout, m: int, dates: np.ndarray) -> dict[str, Any]:
    rows = np.arange(len(rollout))[rollout.of_mouse(m)]
    rows = rows[rollout.choice[rows] >= 0]
    contrast, side, reward = (rollout.columns[name][rows] for name in ("contrast", "side", "reward"))
    left, right = np.maximum(-contrast, 0).astype(float), np.maximum(contrast, 0).astype(float)
    inputs = {"cL": left, "cR": right, "cBoth": contrast.astype(float)}
    found = {
        "name": rollout.ids[m],
        "y": rollout.choice[rows].astype(int),
        "dayLength": np.unique(rollout.session[rows], return_counts=True)[1],
        "inputs": {name: transformed(values)[:, None] for name, values in inputs.items()},
        "answer": np.where(side == 0, -1, side > 0).astype(int),
        "correct": reward.astype(int),
        "contrastLeft": left,
        "contrastRight": right,
        "probL": rollout.probability_left[rows].astype(float),
        "simulated": int(rollout.simulated),
    }
    return found | ({"date": dates[rows]} if (dates[rows] != "").all() and len(rows) else {})


def detect(path: Path) -> bool:
    """Is it a .npz file of dictionaries?"""
    names = names_of_npz(path) if path.is_file() else None
    return names is not None and {name.rpartition("/")[2] for name in names} >= {"y", "dayLength"}


def read(path: Path, asked: Asked) -> Rollout:
    """Every mouse of a file."""
    mice: dict[str, dict[str, Any]] = {}
    for name, values in load_npz(path, str(path)).items():
        parts = name.split("/")
        mouse = mice.setdefault(parts[0] if parts[0].isdecimal() else "", {"inputs": {}})
        place = mouse["inputs"] if "inputs" in parts[:-1] else mouse
        place[parts[-1]] = values if values.ndim else values.item()
    for number, mouse in mice.items():
        if "y" not in mouse:
            raise ValueError(f"{path}: mouse {number[:20]!r} has no 'y'; expected the choices of every mouse")
    return read_dictionaries(list(mice.values()), str(path), asked)


def write(rollout: Rollout, path: Path) -> None:
    """Write the dictionaries of all mice, nothing pickled."""
    arrays: dict[str, Any] = {}
    for m, mouse in enumerate(dictionaries(rollout)):
        arrays |= {f"{m}/inputs/{name}": values for name, values in mouse.pop("inputs").items()}
        arrays |= {f"{m}/{name}": values for name, values in mouse.items()}
    with new_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


FORMAT = Format(
    "psytrack",
    "a .npz file of PsyTrack dictionaries",
    (".psytrack.npz",),
    detect,
    read,
    write,
    None,
    lambda path: detect(path) and any(name.startswith("0/") for name in names_of_npz(path) or ()),
    CARRIED,
    ("date",),
)
