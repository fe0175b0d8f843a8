"""Running a study of any kind: its folder, its numbers, its page."""

from __future__ import annotations

import json
from pathlib import Path

from twin.studies.folder import RunFolder
from twin.studies.results import Results
from twin.studies.scenario import to_toml
from twin.studies.study import Options, Study

DEFAULTS = Options()


def run(study: Study, out: Path, options: Options = DEFAULTS) -> Results:
    """Do what is missing of a study in its folder and return the results.

    Raises ValueError if the folder holds another study, or data are not what the study needs.
    """
    folder = RunFolder(out, to_toml(study))
    done = study.carry_out(folder, options)
    folder.write("results.json", json.dumps(done.results.table(), indent=1))
    for name, text in done.results.files().items():
        folder.write(name, text)
    done.page()
    folder.log(f"done in {folder.seconds:.1f} s")
    return done.results
