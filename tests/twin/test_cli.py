"""The command line from outside: what it prints, writes, returns, and leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from twin.cli import main
from twin.data.store import read_rollout

SMALL = [
    "--set",
    "cohort.mice=3",
    "--set",
    "run.trials=700",
    "--set",
    "inference.dnnglm.epochs=2",
    "--set",
    "inference.dnnglm.hidden=8",
]
QUICKSTART = "scenarios/quickstart.toml"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small quickstart run."""
    out = tmp_path_factory.mktemp("runs") / "q"
    assert main(["run", str(Path(__file__).parents[2] / QUICKSTART), "--out", str(out), *SMALL]) == 0
    return out


def test_run_leaves_everything(finished):
    names = {str(p.relative_to(finished)) for p in finished.rglob("*") if p.is_file()}
    assert {"scenario.toml", "results.json", "rollouts.h5", "report.html", "log.txt"} <= names
    assert {f"figures/{n}.png" for n in ("psychometric", "learning_curve", "weights", "update")} <= names
    assert {"fits/dnnglm/model.safetensors", "fits/dnnglm/card.json", "fits/reinforce-baseline/card.json"} <= names
    assert not [n for n in names if n.endswith(".tmp")]


def test_results_hold_the_recovery(finished):
    results = json.loads((finished / "results.json").read_text())
    assert (results["kind"], results["scenario"], results["seed"]) == ("recovery", "quickstart", 1)
    keys = {
        "nll_per_trial",
        "true_nll_per_trial",
        "rmse",
        "relative_rmse",
        "r2",
        "relative_rmse_visited",
        "weights_rmse",
        "parameters",
        "seconds",
    }
    for model in ("reinforce-baseline", "dnnglm"):
        assert keys <= results["models"][model].keys()
    rate = results["models"]["reinforce-baseline"]["parameters"]["rate"]
    assert np.log(np.array(rate["estimate"]) / rate["true"]) == pytest.approx([0] * 3, abs=0.9)
    assert results["models"]["reinforce-baseline"]["r2"] > 0.2


def test_running_again_does_only_what_is_missing(finished, capsys):
    before = (finished / "rollouts.h5").stat().st_mtime_ns, (finished / "fits/dnnglm/card.json").stat().st_mtime_ns
    results = json.loads((finished / "results.json").read_text())
    (finished / "results.json").unlink()
    (finished / "fits/reinforce-baseline/card.json").unlink()
    assert main(["run", QUICKSTART, "--out", str(finished), *SMALL]) == 0
    again = json.loads((finished / "results.json").read_text())
    assert again["models"]["dnnglm"] == results["models"]["dnnglm"]
    assert again["models"]["reinforce-baseline"]["parameters"] == results["models"]["reinforce-baseline"]["parameters"]
    assert ((finished / "rollouts.h5").stat().st_mtime_ns, (finished / "fits/dnnglm/card.json").stat().st_mtime_ns) == before
    assert main(["report", str(finished)]) == 0
    assert "rel. RMSE grid" in capsys.readouterr().out


def test_another_scenario_does_not_run_over_it(finished, capsys):
    before = (finished / "scenario.toml").read_text()
    assert main(["run", "scenarios/cohort.toml", "--out", str(finished)]) == 2
    assert "holds the run of another scenario" in capsys.readouterr().err
    assert (finished / "scenario.toml").read_text() == before


def test_dry_run_writes_nothing(tmp_path, capsys):
    assert main(["run", QUICKSTART, "--out", str(tmp_path / "no"), "--dry-run"]) == 0
    assert "session_trials" in capsys.readouterr().out
    assert not (tmp_path / "no").exists()


def test_cohort_scenario(tmp_path):
    changes = ["--set", "cohort.mice=5", "--set", "run.sessions=4"]
    assert main(["run", "scenarios/cohort.toml", "--out", str(tmp_path / "c"), *changes]) == 0
    results = json.loads((tmp_path / "c" / "results.json").read_text())
    assert results["mice"] == 5
    assert {"threshold", "bias", "lapse_low", "lapse_high"} == results["psychometric"].keys()
    assert results["easy_performance_last3"] > results["easy_performance_first3"] - 0.2
    assert read_rollout(tmp_path / "c" / "rollouts.h5").n_mice == 5


def test_import_info_verify_and_fit_of_a_real_mouse(real_mouse, tmp_path, capsys):
    file = tmp_path / "ks014.h5"
    assert main(["import", str(real_mouse), str(file)]) == 0
    assert "1 mice, 15 sessions, 10310 trials" in capsys.readouterr().out
    assert main(["verify", str(file)]) == 0
    assert main(["info", str(file)]) == 0
    capsys.readouterr()
    models = ["--model", "reinforce-baseline", "--model", "dnnglm", "--set", "dnnglm.epochs=3"]
    assert main(["fit", str(file), *models, "--future", "500", "--out", str(tmp_path / "fit")]) == 0
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "fit" / "results.json").read_text())
    for model in ("chance", "static-glm", "reinforce-baseline", "dnnglm"):
        assert model in printed
        assert {"train_ll_per_trial", "future_ll_per_trial"} <= results["models"][model].keys()
    scores = {name: m["future_ll_per_trial"] for name, m in results["models"].items()}
    assert scores["chance"] == pytest.approx(-0.6931, abs=1e-4)
    assert scores["reinforce-baseline"] > scores["static-glm"] > scores["chance"]


def test_export_and_import_of_a_real_mouse(real_mouse, tmp_path, capsys):
    """Into the project's own file, out as csv, and in again: the same trials."""
    first, table, second = (str(tmp_path / name) for name in ("first.h5", "mouse.csv", "second.h5"))
    for command in (["import", str(real_mouse), first], ["export", first, table], ["import", table, second]):
        assert main(command) == 0
        assert "1 mice, 15 sessions, 10310 trials" in capsys.readouterr().out
    one, other = read_rollout(first), read_rollout(second)
    assert one.columns.keys() == other.columns.keys()
    assert all((one.columns[name] == other.columns[name]).all() for name in one.columns)
    assert main(["export", first, str(tmp_path / "mouse.txt")]) == 2
    assert "its name tells no format" in capsys.readouterr().err
    assert main(["export", first, str(tmp_path / "mouse.txt"), "--format", "csv"]) == 0
    assert (tmp_path / "mouse.txt").read_text() == Path(table).read_text()
    capsys.readouterr()
    assert main(["verify", table]) == 2
    assert "holds no content hash; expected --against PROTOCOL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["run", "scenarios/none.toml"], "no such scenario"),
        (["run", QUICKSTART, "--set", "cohort.mouse=3"], "unknown key in [cohort]: 'mouse'"),
        (["run", QUICKSTART, "--set", "cohort.rule=reinforc"], "did you mean 'reinforce'"),
        (["fit", "none.h5", "--model", "reinforce"], "no such file"),
        (["fit", "README.md", "--model", "reinforce"], "its content is of no known format; expected a csv file of trials"),
        (["import", "none.csv", "x.h5"], "no such file"),
        (["info", "none.h5"], "no such file"),
        (["report", "none"], "no such scenario"),
    ],
)
def test_wrong_input_is_one_paragraph_and_status_2(command, message, capsys, tmp_path):
    out = ["--out", str(tmp_path / "out")] if command[0] in ("run", "fit") else []
    assert main([*command, *out]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_failed_import_leaves_what_was_there(tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("subject,session\n1,2\n")
    (tmp_path / "x.h5").write_text("precious")
    assert main(["import", str(tmp_path / "bad.csv"), str(tmp_path / "x.h5")]) == 2
    assert "column 'date' is missing" in capsys.readouterr().err
    assert (tmp_path / "x.h5").read_text() == "precious"


def test_wrong_model_in_fit_is_named(small, tmp_path, capsys):
    from twin.data.store import write_rollout

    write_rollout(small[1], tmp_path / "r.h5")
    assert main(["fit", str(tmp_path / "r.h5"), "--model", "dnglm", "--out", str(tmp_path / "out")]) == 2
    assert "unknown model 'dnglm'; did you mean 'dnnglm'" in capsys.readouterr().err


def test_debug_shows_the_traceback():
    with pytest.raises(FileNotFoundError):
        main(["info", "none.h5", "--debug"])


def test_command_line_starts_without_the_heavy_libraries():
    code = (
        "import sys, twin.cli; twin.cli._parser(); print(*(m for m in ('numpy', 'numba', 'torch', 'h5py') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
