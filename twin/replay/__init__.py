"""Recorded trials put through the rig's own functions."""

from twin.replay.compare import Replay, agreement, replay, stages_found

__all__ = ["Replay", "agreement", "replay", "stages_found"]
