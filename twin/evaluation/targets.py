"""Which training statuses the sessions of a protocol can lead to."""

from __future__ import annotations

from envs.names import suggest
from envs.protocols import Protocol
from twin.evaluation.status import Status

# The furthest that sessions of a task lead. READY4RECORDING needs a session that starts 15 min late, which none does here.
FURTHEST = {
    "habituation": Status.HABITUATION,
    "training": Status.TRAINED_1B,
    "biased": Status.READY4EPHYSRIG,
    "ephys": Status.READY4DELAY,
}
TARGETS = tuple(s for s in Status if Status.IN_TRAINING < s <= Status.READY4DELAY)


def find_target(label: str, protocol: Protocol) -> Status:
    """The status with this label. Raises ValueError naming the nearest one, or saying why the protocol cannot lead there."""
    labels = [s.label for s in TARGETS]
    if label == Status.READY4RECORDING.label:
        raise ValueError(
            f"status {label!r} needs a session that starts 15 min late, which virtual ones do not; try {labels[-1]!r}"
        )
    if label.strip().replace(" ", "_").lower() not in labels:
        raise ValueError(suggest("status", label, labels))
    target, furthest = Status.parse(label), max(FURTHEST[task] for task in protocol.tasks)
    if target > furthest:
        tasks = " and ".join(dict.fromkeys(protocol.tasks))
        leads = f"lead to {furthest.label} at most" if furthest > Status.IN_TRAINING else "lead to no status"
        raise ValueError(
            f"status {target.label!r} cannot be reached: the {tasks} sessions of protocol {protocol.name!r} {leads}"
        )
    return target
