"""pynwb, which is an extra, and the notes by which a file says what of it is not known."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Notes(NamedTuple):
    """What `NWBFile.notes` says, as JSON, of a file that was written here."""

    simulated: bool = False
    date_known: bool = True
    time_of_day_known: bool = True
    times_of_trials_known: bool = True

    def text(self) -> str:
        """As it is written."""
        return json.dumps({"written_by": "behavioral-twin", **self._asdict()})


def parse_notes(text: Any) -> Notes:
    """Notes of a file; of one that was written elsewhere all is known."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return Notes()
    if not isinstance(found, dict) or found.get("written_by") != "behavioral-twin":
        return Notes()
    return Notes(**{name: found[name] is True for name in Notes._fields if name in found})


def pynwb() -> Any:
    """The library. Raises ValueError if it is not there."""
    try:
        import pynwb as library
        import pynwb.epoch
        import pynwb.file
    except ImportError:
        raise ValueError("NWB needs pynwb, which is not installed; run: python -m pip install 'behavioral-twin[nwb]'") from None
    return library
