"""Every registered figure is drawn once, and the page holds the very files."""

import base64
import re
import subprocess
import sys
from pkgutil import iter_modules

import matplotlib as mpl
import numpy as np
import pytest
from rollouts import rollout

from twin.data.trials import Trials
from twin.evaluation.designs import DesignOutcome, compare_designs
from twin.evaluation.performance import behavior
from twin.report import figures, page
from twin.report.shown import Shown
from twin.report.style import new_figure, png_bytes

NAMES = {"psychometric", "learning_curve", "update", "weights", "models", "parameters-a", "history", "survival", "differences"}


def everything():
    """What a study would have to show that has all there is."""
    data = rollout()
    trials = Trials.from_rollout(data)
    gap = {"rewarded": [0.1, 0.2], "unrewarded": [0.0, 0.0]}
    model = {
        "train_ll_per_trial": -0.5,
        "parameters": {"rate": {"true": [0.1, 0.2], "estimate": [0.1, 0.2], "ci95": [[0.0, 0.2], [0.1, 0.3]], "covered": 1.0}},
        "history_gap": {"true": 0.1, "stimulus": [-1, 1], "updates": {"true": gap, "estimate": gap}, "recovered": 1.0},
    }
    sessions = np.array([2.0, 3, 4])
    outcomes = {
        name: DesignOutcome(sessions < 9, sessions > 9, cost, cost, cost, cost)
        for name, cost in (("on", sessions), ("off", sessions + 1))
    }
    results = behavior(data) | {"models": {"a": model}, "until": "trained_1a", "horizon": 9} | compare_designs(outcomes, 9)
    weights = np.random.default_rng(0).normal(size=trials.x.shape)
    return Shown(results, data, trials, {"a": weights}, weights, {"a": lambda w, x, choice, reward: x})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    page.write(folder, "title", [("Weights", "words"), ("Behaviour", ""), ("Nothing", "")], {"seed": "1"}, everything())
    return folder


def test_page_holds_the_bytes_of_every_file(written):
    files = {path.stem: path.read_bytes() for path in (written / "figures").iterdir()}
    assert files.keys() == NAMES
    assert all(file.startswith(b"\x89PNG") for file in files.values())
    images = re.findall(r"base64,([^\"]+)\"", (written / "report.html").read_text(encoding="utf-8"))
    assert sorted(base64.b64decode(image) for image in images) == sorted(files.values())


def test_sections_come_as_given_then_those_of_other_figures(written):
    headings = re.findall(r"<h2>([^<]*)</h2>", (written / "report.html").read_text(encoding="utf-8"))
    assert headings[:2] == ["Weights", "Behaviour"]
    assert sorted(headings[2:]) == ["Designs", "Memory of past trials", "Parameters", "Scores", "The learning rule"]


def test_every_file_of_figures_registers_one_and_each_is_labelled():
    entries = figures.registered()
    modules = {module.name for module in iter_modules(figures.__path__, f"{figures.__name__}.")}
    assert {entry.draw.__module__ for entry in entries} == modules
    shown = everything()
    for entry in entries:
        for name, figure in figures.draw(entry, shown).items():
            assert figure.get_label(), name
            for ax in figure.axes:
                outer = ax.get_subplotspec() is None or ax.get_subplotspec().is_last_row()
                inner = ax.get_subplotspec() is not None and not ax.get_subplotspec().is_first_col()
                assert ax.get_xlabel() or not outer, name
                assert ax.get_ylabel() or ax.images or inner or ax.get_label() == "<colorbar>" or name == "differences", name


def test_a_study_without_anything_has_no_figures():
    assert not [entry.name for entry in figures.registered() if figures.draw(entry, Shown({}))]


def test_a_new_figure_needs_only_its_function(tmp_path, monkeypatch):
    figures.registered()
    monkeypatch.setattr(figures, "_ENTRIES", dict(figures._ENTRIES))

    @figures.figure(section="New")
    def brand_new(shown):
        return {"one": new_figure(1, 1, "a"), "two": new_figure(2, 1, "b")}

    page.write(tmp_path, "t", [], {}, Shown({}))
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"one.png", "two.png"}
    assert "<h2>New</h2>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    brand_new.__module__ = "elsewhere"
    with pytest.raises(ValueError, match="figure 'brand_new' is drawn by elsewhere and"):
        figures.figure(section="New")(lambda_named("brand_new"))


def lambda_named(name):
    def draw(shown):
        return None

    draw.__name__ = name
    return draw


def test_neither_pyplot_nor_torch_is_needed_and_settings_stay():
    before = dict(mpl.rcParams)
    entry = next(entry for entry in figures.registered() if entry.name == "learning_curve")
    (figure,) = figures.draw(entry, everything()).values()
    assert not figure.axes[0].spines["top"].get_visible()
    assert dict(mpl.rcParams) == before
    code = (
        "import sys; from twin.report import page, figures; figures.registered();"
        "sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_figure_is_the_same_file_every_time():
    (entry,) = (entry for entry in figures.registered() if entry.name == "models")
    shown = Shown({"models": {"a": {"train_ll_per_trial": -0.5}}})
    (figure,), (again,) = (figures.draw(entry, shown).values() for _ in range(2))
    assert png_bytes(figure) == png_bytes(figure) == png_bytes(again)
