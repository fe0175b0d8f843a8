"""Mice of several rollouts as those of one: shards of a cohort, in memory or on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from envs.names import shown
from twin.data.rollout import Rollout, Sessions

OWN = ("then", "begun")  # keys of an origin that tell of single mice


def concatenate(parts: Sequence[Rollout]) -> Rollout:
    """`Rollout.concatenate`."""
    if not parts:
        raise ValueError("there are no rollouts to concatenate; expected one or more")
    first = parts[0]
    for part in parts[1:]:
        check_alike(first, part)
    return replace(
        first,
        columns={name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns},
        starts=joined_starts([part.starts for part in parts]),
        ids=joined_ids(part.ids for part in parts),
        weights=joined([part.weights for part in parts]),
        keys=joined([part.keys for part in parts]),
        theta=joined([part.theta for part in parts]),
        origin=joined_origin([part.origin for part in parts]),
        of_session={name: np.concatenate([part.of_session[name] for part in parts]) for name in first.of_session},
    )


def check_alike(one: Any, other: Any) -> None:
    """Raise ValueError, naming what differs, unless two rollouts (or outlines of files) are of one kind."""
    for what in ("columns", "features", "theta_names", "of_session"):
        mine, others = list(getattr(one, what)), list(getattr(other, what))
        if mine != others:
            raise ValueError(
                f"{what} of mouse {shown(other.ids[0])} are {others}, those of mouse {shown(one.ids[0])} {mine}; "
                f"expected mice of one kind"
            )
    for key in {**one.origin, **other.origin}:
        ours, theirs = one.origin.get(key), other.origin.get(key)
        if key not in OWN and ours != theirs:
            raise ValueError(
                f"{key} of the mice from {shown(other.ids[0])} on is {shown(str(theirs))}, from {shown(one.ids[0])} on "
                f"{shown(str(ours))}; expected parts of one cohort"
            )


def joined_ids(parts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The ids of all mice. Raises ValueError naming one that is there twice."""
    ids = tuple(name for part in parts for name in part)
    for name, count in Counter(ids).most_common(1):
        if count > 1:
            raise ValueError(f"mouse {shown(name)} is there {count} times; expected every mouse once")
    return ids


def joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The rows of all parts; None if any has none."""
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if len(there) == len(parts) else None


def joined_starts(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Where each mouse starts, and the end, from the same of each part."""
    counts = np.concatenate([np.diff(part) for part in parts])
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def joined_sessions(parts: Sequence[Sessions], mice: Sequence[int], trials: Sequence[int]) -> Sessions:
    """The sessions of all parts, which have so many mice and trials each."""
    first = np.concatenate([[0], np.cumsum(mice)]), np.concatenate([[0], np.cumsum(trials)])
    shifts = [(m, 0, t, t) for m, t in zip(*(ends[:-1] for ends in first), strict=True)]
    moved = [[field + shift for field, shift in zip(part, by, strict=True)] for part, by in zip(parts, shifts, strict=True)]
    return Sessions(*(np.concatenate(field) for field in zip(*moved, strict=True)))


def joined_origin(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The origin of all mice: protocols that followed are those of the part that had most of them."""
    origin = dict(parts[0])
    if any("then" in part for part in parts):
        origin["then"] = max((part.get("then", []) for part in parts), key=len)
    if "begun" in origin:
        origin["begun"] = {key: [n for part in parts for n in part["begun"][key]] for key in origin["begun"]}
    return origin
