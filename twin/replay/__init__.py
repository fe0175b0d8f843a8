"""Recorded trials put through the rig's own functions."""

from twin.replay.compare import Replay, agreement, replay

__all__ = ["Replay", "agreement", "replay"]
