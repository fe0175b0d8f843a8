"""Commands on tables of other names and codes, and on folders."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from tables import CASES

from twin.cli import main
from twin.data.formats import read
from twin.data.store import read_rollout

ASKED = ["--columns", "choice=resp,stimulus=stim", "--choice-left", "1"]


@pytest.fixture
def odd(tmp_path):
    """A table whose columns and codes nobody can guess: 1 left, 2 right, no reward."""
    whole = read(CASES / "two_mice.csv")
    frame = pandas.DataFrame({"subject": np.array(whole.ids)[whole.mouse], "session": whole.session, "stim": whole.contrast})
    frame["resp"] = np.array([1, 2, 0])[whole.choice]
    frame.to_parquet(tmp_path / "odd.parquet")
    return tmp_path / "odd.parquet"


def test_import_and_export_with_columns_and_codes_that_are_asked_for(odd, tmp_path, capsys):
    assert main(["import", str(odd), str(tmp_path / "a.h5")]) == 2
    assert "column 'choice' is missing" in capsys.readouterr().err
    assert main(["import", str(odd), str(tmp_path / "a.h5"), *ASKED[:2]]) == 2
    error = capsys.readouterr().err
    assert "odd.parquet, row" in error and "--choice-left VALUE" in error and error.count("\n") == 1
    assert main(["import", str(odd), str(tmp_path / "a.h5"), *ASKED]) == 0
    assert "no column 'correct': rewards follow" in capsys.readouterr().err
    assert (read_rollout(tmp_path / "a.h5").choice == read(CASES / "two_mice.csv").choice).all()
    assert main(["export", str(odd), str(tmp_path / "mice.alf"), *ASKED]) == 0
    assert main(["verify", str(odd), "--against", "ibl-2019", *ASKED]) == 2
    assert "the record does not tell P(left)" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "a.h5"), str(tmp_path / "b.h5"), *ASKED]) == 2
    assert "says itself what its columns are" in capsys.readouterr().err


def test_a_fit_keeps_what_was_asked_for(odd, tmp_path):
    run = tmp_path / "run"
    assert main(["fit", str(odd), "--model", "static-glm", "--out", str(run), *ASKED]) == 0
    text = (run / "scenario.toml").read_text()
    assert 'choice_left = "1"' in text and 'choice = "resp"' in text
    assert main(["report", str(run)]) == 0


def test_what_is_not_kept_is_said(tmp_path, small, capsys):
    from twin.data.store import write_rollout

    write_rollout(small[1], tmp_path / "a.h5")
    capsys.readouterr()
    assert main(["export", str(tmp_path / "a.h5"), str(tmp_path / "a.parquet")]) == 0
    error = capsys.readouterr().err
    assert "the format parquet does not keep" in error and "weights" in error and "HDF5 (.h5) keeps all" in error


@pytest.mark.parametrize("wrong", ["choice", "choice=", "=resp", "choise=resp"])
def test_wrong_columns_are_one_sentence(wrong, odd, tmp_path, capsys):
    assert main(["import", str(odd), str(tmp_path / "a.h5"), "--columns", wrong]) == 2
    error = capsys.readouterr().err
    assert "--columns" in error and error.count("\n") == 1
    assert not (tmp_path / "a.h5").exists()


def test_folders_are_not_written_over(tmp_path, capsys):
    (tmp_path / "mice.alf").mkdir()
    (tmp_path / "mice.alf" / "mine").write_text("precious")
    assert main(["export", str(CASES / "two_mice.csv"), str(tmp_path / "mice.alf"), "--overwrite"]) == 2
    assert "a folder; expected the name of a file to write" in capsys.readouterr().err
    assert (tmp_path / "mice.alf" / "mine").read_text() == "precious"
