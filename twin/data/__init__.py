"""What happened (Rollout), what an experimenter sees of it (Trials), and the files both live in."""

from twin.data.rollout import COLUMNS, Rollout
from twin.data.trials import Trials

__all__ = ["COLUMNS", "Rollout", "Trials"]
