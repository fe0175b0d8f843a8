"""Figures show what was computed independently here; the page holds every figure and lets no markup through."""

import base64
import math
import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from scipy.stats import binomtest

from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.psychometric.curve import psychometric
from twin.report import plots
from twin.report.html import table, write_page
from twin.report.plots_behavior import ends, wilson
from twin.report.plots_history import history_updates
from twin.report.plots_rules import recovery_limits

FULL = (-1, -0.25, -0.125, -0.0625, 0, 0.0625, 0.125, 0.25, 1)
PNG = b"\x89PNG"


def rollout(mice=3, sessions=8, trials=60, contrasts=FULL, staged=True, seed=0, truth=(5, 20, 0.05, 0.1)):
    """Choices drawn from one psychometric curve; mouse m has m sessions fewer, each of them at stage min(session, 5)."""
    rng = np.random.default_rng(seed)
    lengths = np.array([max(sessions - m, 1) * trials for m in range(mice)])
    n = lengths.sum()
    session = np.concatenate([np.arange(length) // trials for length in lengths]).astype(np.int32)
    contrast = rng.choice(np.array(contrasts, np.float32), n)
    choice = (rng.random(n) < psychometric(100.0 * contrast, *truth)).astype(np.int8)
    choice[rng.random(n) < 0.02] = -1
    side = np.where(contrast == 0, 1, np.sign(contrast)).astype(np.int8)
    columns = {
        "session": session,
        "contrast": contrast,
        "side": side,
        "choice": choice,
        "reward": (2 * choice - 1 == side).astype(np.int8),
        "probability_left": np.full(n, 0.5, np.float32),
    }
    if staged:
        columns["stage"] = np.minimum(session, 5).astype(np.int8)
    return Rollout(columns, np.concatenate([[0], np.cumsum(lengths)]), tuple(f"m{m}" for m in range(mice)))


def drawn(ax, label):
    """The (x, y) of the line whose label starts so."""
    (line,) = [line for line in ax.lines if str(line.get_label()).startswith(label)]
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def rule(rate, sign=1.0):
    """An update that depends on weight, stimulus, choice and reward."""
    return lambda w, x, choice, reward: sign * rate * (reward[:, None] + 0.1 * w) * (2 * choice[:, None] - 1) * x


def recovered(true, estimate, half):
    true, estimate = np.asarray(true, float), np.asarray(estimate, float)
    ci95 = np.stack([estimate - half, estimate + half], axis=1)
    covered = np.mean((ci95[:, 0] <= true) & (true <= ci95[:, 1]))
    return {"true": true.tolist(), "estimate": estimate.tolist(), "ci95": ci95.tolist(), "covered": float(covered)}


def gap(recovered):
    true = {"rewarded": [0.1, 0.2, 0.3], "unrewarded": [0.0, 0.0, 0.0]}
    estimate = {kind: [recovered * y for y in updates] for kind, updates in true.items()}
    return {"stimulus": [-2, 0, 2], "updates": {"true": true, "estimate": estimate}, "recovered": recovered}


SCORES = {"a": {"train_ll_per_trial": -0.5, "future_ll_per_trial": -0.6}, "b": {"train_ll_per_trial": -0.4}}


@pytest.fixture(scope="module")
def figures():
    """One figure of each kind."""
    data = rollout()
    trials = Trials.from_rollout(data)
    return {
        "psychometric": plots.psychometric_curve(data),
        "learning": plots.learning_curve(data),
        "weights": plots.weight_trajectories(trials, {"m": np.ones(trials.x.shape)}),
        "heat": plots.update_heatmap({"m": rule(0.1)}, trials.features, (-1, 2)),
        "recovery": plots.parameter_recovery({"rate": recovered([0.1, 0.2], [0.1, 0.3], 0.05)}),
        "comparison": plots.model_comparison(SCORES),
        "history": history_updates({"a": gap(0.5), "b": gap(0.0)}),
    }


def test_every_figure_is_labelled_and_described(figures):
    for name, figure in figures.items():
        assert figure.get_label(), name
        for ax in figure.axes:
            outer = ax.get_subplotspec() is None or ax.get_subplotspec().is_last_row()
            assert ax.get_xlabel() or not outer, name
            assert ax.get_ylabel() or ax.images or ax.get_label() == "<colorbar>", name


def test_figures_do_not_need_pyplot_nor_touch_global_settings(tmp_path):
    before = dict(mpl.rcParams)
    plots.save_png(plots.learning_curve(rollout()), tmp_path / "a.png")
    assert dict(mpl.rcParams) == before
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    code = "import sys, twin.report.html; sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_figure_is_the_same_file_every_time():
    figure, again = (plots.model_comparison(SCORES) for _ in range(2))
    assert plots.png_bytes(figure) == plots.png_bytes(figure) == plots.png_bytes(again)


def test_wilson_is_scipys():
    for right, n in ((0, 5), (3, 10), (50, 50)):
        expected = binomtest(right, n).proportion_ci(method="wilson")
        assert wilson(np.array([right / n]), np.array([n])) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_psychometric_points_are_counted_over_first_and_last_sessions():
    data = rollout()
    ax = plots.psychometric_curve(data).axes[0]
    assert "%" in ax.get_xlabel()
    assert ax.get_ylabel() == "P(right choice)"
    last = np.array([8, 7, 6])[data.mouse]
    for container, pick in zip(ax.containers, (data.session < 3, data.session >= last - 3), strict=True):
        x, y = container.lines[0].get_data()
        assert x == pytest.approx(100 * np.array(FULL))
        for level, p in zip(FULL, y, strict=True):
            here = pick & (data.contrast == np.float32(level)) & (data.choice >= 0)
            assert p == pytest.approx(np.mean(data.choice[here] == 1))
    assert all("threshold" in text and "bias" in text and "lapses" in text for text in legend(ax))


def test_psychometric_fit_recovers_the_curve():
    (text,) = legend(plots.psychometric_curve(rollout(mice=40, sessions=3, trials=800)).axes[0])[:1]
    threshold, bias = float(re.search(r"threshold ([\d.]+)", text)[1]), float(re.search(r"bias \+([\d.]+)", text)[1])
    assert threshold == pytest.approx(20, abs=2)
    assert bias == pytest.approx(5, abs=1)


@pytest.mark.parametrize(
    ("contrasts", "truth", "expected", "curves"),
    [
        ((-1, 0, 1), (0, 20, 0.1, 0.1), "no rising curve", 0),  # too few levels
        ((-1, -0.5, 0.5, 1), (0, 20, 0.6, 0.7), "no rising curve", 0),  # prefers the wrong side
        ((-1, -0.5, 0.5, 1), (0, 1, 0.2, 0.2), "no contrast on the slope", 1),
    ],
)
def test_no_threshold_where_the_data_have_none(contrasts, truth, expected, curves):
    figure = plots.psychometric_curve(rollout(sessions=2, trials=500, contrasts=contrasts, truth=truth))
    ax = figure.axes[0]
    assert len(ax.containers) == 1  # two sessions are first and last ones alike
    assert expected in legend(ax)[0]
    assert sum(len(line.get_xdata()) > len(contrasts) for line in ax.lines) == curves


def test_ends_overlap_in_short_records():
    early, late = ends(rollout(mice=1, sessions=4, trials=1))
    assert early.tolist() == [True, True, True, False]
    assert late.tolist() == [False, True, True, True]


def test_learning_curve_shows_mice_median_and_stages():
    data = rollout()
    top, stages = plots.learning_curve(data).axes
    correct = np.full((3, 8), np.nan)
    for m in range(3):
        for s in range(8 - m):
            easy = (data.mouse == m) & (data.session == s) & (np.abs(data.contrast) >= 0.5)
            correct[m, s] = data.reward[easy].mean()
    x, median = drawn(top, "median")
    assert x.tolist() == list(range(1, 9))
    assert median == pytest.approx(np.nanmedian(correct, axis=0))
    assert drawn(top, "single mice (3 of 3)")[1] == pytest.approx(correct[0])
    assert "50 %" in top.get_ylabel()
    assert stages.get_xlabel() == "session"
    assert stages.get_legend().get_title().get_text() == "protocol stage"
    assert legend(stages) == list("543210")
    filled = [c.get_paths()[0].contains_point((6.1, 0.5)) for c in stages.collections]  # all mice with a sixth session: stage 5
    assert filled == [False, False, False, False, False, True]


def test_learning_curve_of_many_mice_draws_some():
    top, _ = plots.learning_curve(rollout(mice=50, sessions=2, trials=10, contrasts=(-1, 1))).axes
    assert len([line for line in top.lines if line.get_color() == plots.GREY]) == plots.MICE_DRAWN


@pytest.mark.parametrize("staged", [True, False])
@pytest.mark.parametrize("sessions", [1, 4])
def test_behavior_of_one_mouse(sessions, staged):
    data = rollout(mice=1, sessions=sessions, staged=staged, contrasts=(-0.25, 0.125, 0.25))
    figure = plots.learning_curve(data)
    assert len(figure.axes) == 1 + staged
    assert len(drawn(figure.axes[0], "m0")[0]) == sessions
    assert "|contrast| = 25 %" in figure.axes[0].get_ylabel()
    assert plots.png_bytes(figure).startswith(PNG)
    assert plots.png_bytes(plots.psychometric_curve(data)).startswith(PNG)


def test_weight_trajectories_stop_at_the_last_trial():
    data = rollout(mice=2, sessions=3)
    trials = Trials.from_rollout(data, ("stimulus", "bias", "previous_choice"))
    true = np.random.default_rng(0).normal(size=trials.x.shape)
    true[1, 120:] = np.nan
    figure = plots.weight_trajectories(trials, {"a": true + 1, "b": true + 2}, true, mouse=1)
    assert len(figure.axes) == 3
    for k, (ax, feature) in enumerate(zip(figure.axes, ("stimulus", "bias", "previous choice"), strict=True)):
        assert feature in ax.get_ylabel()
        assert "logit per unit" in ax.get_ylabel()
        for name, offset in (("true", 0), ("a", 1), ("b", 2)):
            x, y = drawn(ax, name)
            assert x.tolist() == list(range(1, 121))
            assert y == pytest.approx(true[1, :120, k] + offset)
        boundaries = [line.get_xdata()[0] for line in ax.lines if list(line.get_ydata()) == [0, 1]]
        assert boundaries == [60.5]
    assert figure.axes[-1].get_xlabel() == "trial"


@pytest.mark.parametrize("models", [1, 2, 3])
def test_heat_maps_hold_the_updates_on_one_scale(models):
    updates = {f"m{i}": rule(0.1 * i) for i in range(1, models)} | {"true": rule(0.4, -1.0)}  # 'true' last, shown first
    features = ("bias", "previous_choice", "stimulus")
    figure = plots.update_heatmap(updates, features, (-1.0, 2.0))
    *panels, bar = figure.axes
    assert len(panels) == 3 * models
    assert "logit per unit, per trial" in bar.get_xlabel()
    image = panels[1].images[0]  # the true rule after left choices
    assert panels[1].get_title() == "true: left choices"
    (rows, columns), (left, right, low, high) = image.get_array().shape, image.get_extent()
    weight = low + (high - low) * (10 + 0.5) / rows
    stimulus = left + (right - left) * (5 + 0.5) / columns  # a left stimulus: a left choice is rewarded
    assert image.get_array()[10, 5] == pytest.approx(-0.4 * (1 + 0.1 * weight) * -1 * stimulus)
    limits = {ax.images[0].get_clim() for ax in panels if ax.images}
    ((low, high),) = limits
    assert low == -high
    assert {line.get_linestyle() for line in panels[2].lines} == {"-"}
    if models > 1:
        assert {"-", "--"} <= {line.get_linestyle() for line in panels[5].lines}


def test_slices_follow_the_outcome_not_the_side():
    ax = plots.update_heatmap({"m": rule(0.1)}, ("stimulus", "bias"), (0.0, 2.0)).axes[2]
    correct, incorrect = (line for line in ax.lines if line.get_linestyle() == "--")
    x, right = np.asarray(correct.get_data()), np.asarray(correct.get_xdata()) > 0
    assert x[1][right] == pytest.approx(0.1 * (1 + 0.1) * x[0][right])
    wrong = np.asarray(incorrect.get_data())
    assert wrong[1][right] == pytest.approx(0.1 * 0.1 * -wrong[0][right])


def test_heat_map_needs_a_stimulus():
    with pytest.raises(ValueError, match="stimulus"):
        plots.update_heatmap({"m": rule(0.1)}, ("bias",), (0.0, 2.0))


def test_recovery_draws_every_interval_and_marks_misses():
    figure = plots.parameter_recovery(
        {
            "rate": recovered([0.1, 0.2, 0.3], [0.1, 0.2, 0.5], 0.05),
            "initial_weight.bias": recovered([0.0, 0.0, 0.0], [0.3, -0.1, 0.1], 0.15),
        }
    )
    varied, alike = figure.axes
    assert varied.get_title() == "rate\ntruth in 67 % of intervals"
    assert varied.get_ylabel() == "estimate (weight per trial)"
    assert varied.get_xlabel() == "true"
    hit, missed = varied.collections
    assert [segment.ravel().tolist() for segment in hit.get_segments()] == [
        pytest.approx([0.1, 0.05, 0.1, 0.15]),
        pytest.approx([0.2, 0.15, 0.2, 0.25]),
    ]
    assert missed.get_segments()[0].ravel() == pytest.approx([0.3, 0.45, 0.3, 0.55])
    assert "mouse" in alike.get_xlabel()
    assert alike.get_ylabel() == "estimate (logit per feature)"
    points = {x: y for line in alike.lines if line.get_marker() == "o" for x, y in zip(*line.get_data(), strict=True)}
    assert [points[x] for x in (1, 2, 3)] == pytest.approx([-0.1, 0.1, 0.3])


def test_unbounded_intervals_and_strays_do_not_stretch_the_axis():
    true, estimate = np.linspace(0.1, 0.2, 10), np.linspace(0.1, 0.2, 10) + 0.01
    ci95 = np.stack([estimate - 0.02, estimate + 0.02], axis=1)
    ci95[3], ci95[4], ci95[5], estimate[6] = (-np.inf, np.inf), (np.nan, np.nan), (-10, 1e9), 1e6
    floor, ceiling = recovery_limits(true, estimate, ci95)
    assert -0.05 < floor < 0.1
    assert 0.2 < ceiling < 0.35
    entry = {"true": true, "estimate": estimate, "ci95": ci95, "covered": 0.8}
    figure = plots.parameter_recovery({"rate": entry, "one": {k: v[:1] for k, v in entry.items() if k != "covered"} | entry})
    assert plots.png_bytes(figure).startswith(PNG)
    beyond = [line for line in figure.axes[0].lines if line.get_marker() == "^" and len(line.get_xdata())]
    assert [line.get_xdata()[0] for line in beyond] == [true[6]]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_perfect_recovery_of_one_mouse_has_an_axis(value):
    figure = plots.parameter_recovery({"rate": recovered([value], [value], 0.0)})
    low, high = figure.axes[0].get_ylim()
    assert low < value < high


def test_history_updates_show_truth_and_estimate_of_every_model():
    axes = history_updates({"a": gap(0.5), "b": gap(0.0)}).axes
    assert [ax.get_title() for ax in axes] == ["a: 50 % of the true gap", "b: 0 % of the true gap"]
    assert "logit per unit, per trial" in axes[0].get_ylabel()
    for ax, recovered in zip(axes, (0.5, 0.0), strict=True):
        assert drawn(ax, "true, rewarded")[1].tolist() == [0.1, 0.2, 0.3]
        x, y = drawn(ax, "inferred, rewarded")
        assert x.tolist() == [-2, 0, 2]
        assert y == pytest.approx(recovered * np.array([0.1, 0.2, 0.3]))
        assert not drawn(ax, "inferred, unrewarded")[1].any()


def test_model_comparison_places_scores_and_chance():
    ax = plots.model_comparison(SCORES | {"c": {"heldout_ll_per_trial": -0.55, "heldout_se": 0.01}}).axes[0]
    assert "nats" in ax.get_xlabel()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]
    points = {(line.get_xdata()[0], round(line.get_ydata()[0])) for line in ax.lines if line.get_marker() != "None"}
    assert points == {(-0.5, 0), (-0.6, 0), (-0.4, 1), (-0.55, 2)}
    assert drawn(ax, "chance")[0][0] == pytest.approx(-math.log(2))


def test_nothing_to_plot_is_said():
    with pytest.raises(ValueError, match="train_ll_per_trial"):
        plots.model_comparison({"a": {}})
    with pytest.raises(ValueError, match="neural"):
        plots.parameter_recovery({})


def test_page_holds_every_figure_and_is_self_contained(tmp_path, figures):
    shown = list(figures.values())
    write_page(tmp_path / "r.html", "t", [("one", "x", shown[:2]), ("two", "y", shown[2:])], {"seed": "1"})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    images = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)">', page)
    files = [base64.b64decode(data) for data, _ in images]
    assert len(set(files)) == len(shown)
    assert all(file.startswith(PNG) for file in files)
    assert files[-1] == plots.png_bytes(shown[-1])
    assert [words for _, words in images] == [figure.get_label() for figure in shown]
    assert not re.search(r"<script|<link|https?://|src=\"(?!data:)", page)


def test_page_escapes_all_but_tables(tmp_path):
    evil = '<script>alert("&")</script>'
    figure = plots.model_comparison(SCORES)
    figure.set_label(evil)
    write_page(tmp_path / "r.html", evil, [(evil, [evil, table([[evil, 1.5]], [evil, "n"])], [figure])], {evil: evil})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;") == 10
    assert page.count("<td") == 3


def test_paragraphs_and_an_unlabelled_figure(tmp_path):
    figure = plots.model_comparison(SCORES)
    figure.set_label("")
    write_page(tmp_path / "r.html", "t", [("head", "one\n\ntwo", [figure])], {})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<p>one</p>\n<p>two</p>" in page
    assert 'alt="head"' in page
    assert "<figcaption" not in page.split("</style>")[1]


def test_table_formats_numbers():
    html = table([["a", np.float32(0.123456), 12000, None], ["b", float("nan"), 3, 2.0]], ["name", "x", "n", "y"])
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    assert cells == ["a", "0.1235", "12000", "–", "b", "–", "3", "2"]
    assert html.count('class="number"') == 9
    with pytest.raises(ValueError, match="row 1 has 1 cells; the header has 2"):
        table([["a"]], ["x", "y"])
