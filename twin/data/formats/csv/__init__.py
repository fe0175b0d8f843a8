"""Behaviour in csv files, one row per trial, plain or gzipped, with commas, semicolons or tabs."""

from __future__ import annotations

import csv
from pathlib import Path

from twin.data.formats import Format
from twin.data.formats.csv.source import open_source
from twin.data.formats.csv.writing import is_ours, write
from twin.data.rollout import Rollout
from twin.data.tables.layout import is_of_trials
from twin.data.tables.names import Asked
from twin.data.tables.reading import read_table

ENDINGS = (".csv", ".csv.gz", ".tsv")


def detect(path: Path) -> bool:
    """Is it text whose first row names columns of trials, or that a name ending in .csv or .csv.gz calls one?"""
    if not path.is_file():
        return False
    try:
        source = open_source(path)
    except (ValueError, OSError, csv.Error):
        return False
    return is_of_trials(source.header) or ("\0" not in "".join(source.header) and path.name.endswith(ENDINGS))


def read(path: Path, asked: Asked) -> Rollout:
    """Every mouse of a csv file."""
    return read_table(open_source(path), asked, source=path.name, format="csv")


FORMAT = Format("csv", "a csv file of trials, plain or gzipped", ENDINGS, detect, read, write, is_ours=is_ours)
