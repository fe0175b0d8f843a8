"""The IBL's ALF files: a session folder, the tree of a mouse or of labs, or the release of behaviour of December 2019.

    {lab}/Subjects/{subject}/{date}/{number}/alf/_ibl_trials.ATTRIBUTE.npy, and _ibl_trials.table.pqt

`places` finds sessions and what their paths say, `trials` loads them. A mouse's name, date and number are those of the path;
task, weight and start are of `raw_behavior_data/_iblrig_taskSettings.raw.json` if it is there. A choice of 1 (wheel clockwise)
is left. Nothing outside the tree is read: links out of it are refused. Source of names: int-brain-lab/ONE, `one/alf`.
"""

from __future__ import annotations

from pathlib import Path

from twin.data.formats import Format
from twin.data.formats.alf.places import find_sessions, has_sessions
from twin.data.formats.alf.trials import load_sessions
from twin.data.formats.alf.writing import write
from twin.data.rollout import Rollout
from twin.data.tables.codes import IBL_CODES
from twin.data.tables.names import Asked
from twin.data.tables.reading import read_table
from twin.data.tables.source import Columns


def read(path: Path, asked: Asked) -> Rollout:
    """Every mouse of a folder."""
    loaded = load_sessions(path, find_sessions(path))
    source = Columns(str(path), path.resolve().name, loaded.table, loaded.row_name)
    return read_table(source, asked._replace(codes=IBL_CODES), loaded.notes, source=path.name, format="alf")


FORMAT = Format(
    "alf",
    "an ALF folder of the IBL",
    (".alf",),
    has_sessions,
    read,
    write,
)
