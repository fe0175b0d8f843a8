"""Training status: hand-made sessions at each boundary, a plain second implementation, and one real mouse."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from twin.data.formats import read
from twin.evaluation.psychometric.curve import fit_psychometric, psychometric
from twin.evaluation.session_summary import summarise_sessions
from twin.evaluation.status import Status, trials_to_status
from twin.evaluation.training_status import training_status

FULL = (-100, -50, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 50, 100)
BIASED = (-100, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 100)
U, T, A, B = Status.UNTRAINABLE, Status.IN_TRAINING, Status.TRAINED_1A, Status.TRAINED_1B
R, D, E = Status.READY4EPHYSRIG, Status.READY4DELAY, Status.READY4RECORDING


@dataclass(frozen=True)
class Day:
    """A session whose choices follow a curve exactly (rounded to whole trials) and whose easy errors can be set."""

    n: int = 660
    curve: tuple[float, ...] = (0.0, 10.0, 0.02, 0.02)
    levels: tuple[float, ...] = FULL
    easy_wrong: int | None = None
    time: float = 0.5
    shift: float | None = None  # bias of .8 blocks minus bias of .2 blocks; None: no blocks
    no_go: bool = False  # easy errors are no-gos

    def trials(self):
        """Columns contrast, choice, reward, response_time, probability_left."""
        levels = np.array(self.levels)
        level = np.sort(np.arange(self.n) % levels.size)
        contrast, block = levels[level] / 100, np.full(self.n, 0.5)
        choice = np.zeros(self.n, np.int8)
        halves = [np.full(self.n, True)] if self.shift is None else [np.arange(self.n) % 2 == k for k in (0, 1)]
        for half, sign, p_left in zip(halves, (-0.5, 0.5), (0.2, 0.8), strict=False):
            block[half] = 0.5 if self.shift is None else p_left
            p = psychometric(levels, self.curve[0] + sign * (self.shift or 0), *self.curve[1:])
            for index in range(levels.size):
                here = np.flatnonzero(half & (level == index))
                choice[here[: round(here.size * p[index])]] = 1
        if self.easy_wrong is not None:
            easy = np.flatnonzero(np.abs(contrast) >= 0.5)
            choice[easy] = contrast[easy] > 0
            wrong = easy[np.linspace(0, easy.size - 1, self.easy_wrong).astype(int)]
            choice[wrong] = -1 if self.no_go else 1 - choice[wrong]
        return contrast, choice, (choice == (contrast > 0)).astype(np.int8), np.full(self.n, self.time), block


def cohort(*mice):
    """Summary and offsets of mice, each a list of Days."""
    days = [day.trials() for mouse in mice for day in mouse]
    columns = [np.concatenate(column) for column in zip(*days, strict=True)]
    summary = summarise_sessions(*columns, np.cumsum([0] + [day[0].size for day in days]))
    return summary, np.cumsum([0] + [len(mouse) for mouse in mice])


def statuses(days, task="training", **options):
    """Status of every day of one mouse."""
    return training_status(*cohort(days), task, **options).tolist()


def last(*days, task="training", **options):
    return statuses(days, task, **options)[-1]


GOOD_1A = Day(n=330, curve=(0, 10, 0.12, 0.12))
GOOD = Day()
BLOCKS = Day(levels=BIASED, shift=20.0, n=900)


@pytest.mark.parametrize(("n", "status"), [(200, T), (201, A), (400, A), (401, B)])
def test_trials_must_exceed_the_bound_in_every_session(n, status):
    good = GOOD if n >= 400 else GOOD_1A
    assert last(Day(n=n, curve=(0, 10, 0, 0)), good, good) == status


@pytest.mark.parametrize(("wrong", "status"), [(48, T), (47, A), (24, A), (23, B)])
def test_easy_performance_must_exceed_the_bound_in_every_session(wrong, status):
    day = Day(n=660, easy_wrong=wrong)  # 240 easy trials: .8 is 48 wrong, .9 is 24
    assert (summary := cohort([day])[0]).easy_trials[0] == 240 and summary.easy_correct[0] == 240 - wrong
    assert last(day, GOOD, GOOD) == status
    assert last(Day(n=660, easy_wrong=wrong, no_go=True), GOOD, GOOD) == status


@pytest.mark.parametrize(("bias", "status"), [(9.5, B), (-9.5, B), (10.5, A), (-15.5, A), (16.5, T), (-16.5, T)])
def test_bias(bias, status):
    assert last(*[Day(n=6600, curve=(bias, 12, 0.01, 0.01))] * 3) == status


@pytest.mark.parametrize(
    ("threshold", "time", "status"), [(18.5, 3, A), (19.5, 3, T), (18.5, 0.5, B), (19.5, 0.5, B), (20.5, 0.5, T)]
)
def test_threshold_of_1b_is_looser_than_that_of_1a(threshold, time, status):
    assert last(*[Day(n=6600, curve=(0, threshold, 0.02, 0.02), time=time)] * 3) == status


@pytest.mark.parametrize(("lapse", "status"), [(0.09, B), (0.11, A), (0.19, A), (0.21, T)])
@pytest.mark.parametrize("side", [2, 3])
def test_each_lapse(lapse, status, side):
    curve = [0, 12, 0.0, 0.0]
    curve[side] = lapse
    assert last(*[Day(n=6600, curve=tuple(curve))] * 3) == status


@pytest.mark.parametrize(
    ("times", "status"), [((2, 2, 2), A), ((1.99, 1.99, 1.99), B), ((0.5, 0.5, 60), B), ((np.nan,) * 3, A)]
)
def test_pooled_median_response_time_at_zero_contrast(times, status):
    assert last(*[Day(time=time) for time in times]) == status


def test_missing_response_times_are_left_out_of_the_median():
    assert last(Day(time=np.nan), Day(time=np.nan), Day(time=1)) == B
    assert last(Day(time=np.nan), Day(time=np.nan), Day(time=3)) == A


def test_zero_contrast_must_be_in_the_window():
    without = Day(levels=tuple(level for level in FULL if level))
    assert last(without, without, without) == T
    assert last(without, without, GOOD) == B


def test_window_is_the_last_three_sessions_of_the_same_mouse():
    bad = Day(n=150)
    assert statuses([GOOD]) == [B]
    assert statuses([bad, GOOD, GOOD, GOOD]) == [T, T, T, B]
    assert training_status(*cohort([bad], [GOOD, GOOD])).tolist() == [T, B, B]


def test_trials_of_the_window_are_pooled_for_the_fit():
    left, right = (Day(curve=(bias, 6, 0.02, 0.02)) for bias in (-11, 11))
    assert last(left) == A and last(right) == A
    assert last(left, right) == B


def test_status_never_regresses():
    assert statuses([GOOD_1A, Day(n=100), GOOD, Day(n=100)]) == [A, A, A, A]
    assert statuses([GOOD, Day(n=100), GOOD_1A]) == [B, B, B]


def test_habituation_days_take_a_place_in_the_window_but_not_a_part():
    task = ["habituation", "training", "habituation", "training", "training"]
    assert statuses([Day(n=50), Day(n=50), Day(n=50), GOOD, GOOD], task) == [-1, T, -1, T, B]


def test_fortieth_session_in_training_is_untrainable():
    poor = Day(n=44)
    assert statuses([poor] * 39) == [T] * 39
    assert statuses([poor] * 42) == [T] * 39 + [U] + [T] * 2
    assert statuses([poor] * 41 + [GOOD] * 3) == [T] * 39 + [U] + [T] * 3 + [B]


def test_mixing_training_and_biased_sessions_carries_1b():
    poor = Day(n=100)
    assert statuses([poor] * 5, ["training", "training", "biased", "biased", "biased"]) == [T, T, B, B, B]
    assert statuses([BLOCKS] * 5, ["training"] + ["biased"] * 4)[-1] == R


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, R),
        ({"shift": 4.5, "n": 9000}, B),
        ({"shift": 5.5, "n": 9000}, R),
        ({"shift": -20.0}, B),
        ({"shift": None}, B),
        ({"n": 400}, B),
        ({"time": 2.0}, B),
        ({"easy_wrong": 20}, B),
        ({"curve": (0, 10, 0.12, 0.02)}, B),
        ({"curve": (0, 10, 0.02, 0.12)}, B),
        ({"curve": (0, 30, 0.0, 0.0)}, R),
    ],
    ids=str,
)
def test_ready_for_the_ephys_rig(change, status):
    day = Day(**{"levels": BIASED, "shift": 20.0, "n": 900} | change)
    assert last(day, day, day, task="biased") == status


def test_ready_for_delay_needs_any_rig_session_long_and_any_accurate():
    poor, long, accurate = Day(n=100), Day(n=660, easy_wrong=60), Day(n=110, easy_wrong=0)
    rig = [False, True, True]
    assert last(poor, long, accurate, task="biased", ephys_rig=rig) == D
    assert last(poor, long, poor, task="biased", ephys_rig=[False, True, False]) == B
    assert last(long, accurate, poor, task="biased", ephys_rig=[False, True, True]) == B
    assert last(BLOCKS, BLOCKS, BLOCKS, task="ephys") == D  # ephys sessions are on the rig unless told otherwise
    assert last(BLOCKS, BLOCKS, BLOCKS, task="ephys", ephys_rig=False) == R


@pytest.mark.parametrize(
    ("rig", "delay", "status"), [([1, 1, 1], 900, E), ([1, 1, 1], 899, D), ([0, 1, 1], 900, D), ([0, 0, 0], 900, R)]
)
def test_ready_for_recording_needs_three_rig_sessions_and_a_long_delay(rig, delay, status):
    assert last(BLOCKS, BLOCKS, BLOCKS, task="biased", ephys_rig=rig, start_delay=[0, delay, 0]) == status


def test_unbiasable_after_forty_biased_sessions():
    poor = Day(n=90, levels=BIASED)
    expected = [B] * 39 + [Status.UNBIASABLE, B]
    assert statuses([poor] * 41, "biased") == expected
    assert statuses([poor] * 42, ["training"] + ["biased"] * 41) == [T, *expected]
    assert Status.UNBIASABLE not in statuses([BLOCKS] + [poor] * 40, "biased")


def reference(days):
    """Training-only statuses of one mouse, written plainly from the criteria."""
    trials, result, best = [day.trials() for day in days], [], T
    for end in range(1, len(days) + 1):
        window = trials[max(0, end - 3) : end]
        contrast, choice, _, times, _ = (np.concatenate(column) for column in zip(*window, strict=True))
        levels = np.unique(contrast)
        right = [np.mean(choice[contrast == level] == 1) for level in levels]
        counts = [np.sum(contrast == level) for level in levels]
        bias, threshold, low, high, _ = fit_psychometric(100 * levels, counts, right)
        n = min(t[0].size for t in window)
        easy = min(t[2][np.abs(t[0]) >= 0.5].mean() for t in window)
        zero, lapse = (contrast == 0).any(), max(low, high)
        quick = zero and np.nanmedian(times[contrast == 0]) < 2
        if zero and lapse < 0.1 and abs(bias) < 10 and threshold < 20 and n > 400 and easy > 0.9 and quick:
            best = max(best, B)
        elif zero and lapse < 0.2 and abs(bias) < 16 and threshold < 19 and n > 200 and easy > 0.8:
            best = max(best, A)
        result.append(best)
    return result


def random_mouse(rng):
    progress = np.linspace(rng.uniform(0, 0.5), rng.uniform(0.5, 1.3), rng.integers(1, 12))
    return [
        Day(
            n=int(rng.integers(100, 500) + 300 * p),
            curve=(rng.normal(0, 8), rng.uniform(12, 30) / (0.5 + p), *(rng.uniform(0, 0.25, 2) / (0.5 + p))),
            time=rng.choice([0.5, 3.0]),
        )
        for p in progress
    ]


def test_random_cohort_agrees_with_a_plain_implementation_and_with_each_mouse_alone():
    rng = np.random.default_rng(7)
    mice = [random_mouse(rng) for _ in range(120)]
    summary, offsets = cohort(*mice)
    status = training_status(summary, offsets)
    together = [status[first:end].tolist() for first, end in pairwise(offsets)]
    assert together == [reference(days) for days in mice]
    assert {T, A, B} <= set(status)
    assert together[:10] == [statuses(days) for days in mice[:10]]


def test_errors_say_what_was_given_and_expected():
    summary = summarise_sessions(*[np.zeros(3)] * 5, [0, 3])
    with pytest.raises(ValueError, match="mice is"):
        training_status(summary, [0, 2])
    with pytest.raises(ValueError, match=r"unknown task .*expected training, biased, ephys, habituation"):
        training_status(summary, [0, 1], "advanced")
    with pytest.raises(ValueError, match="ephys_rig has shape"):
        training_status(summary, [0, 1], ephys_rig=[True, False])


def test_real_mouse_reaches_1a_on_the_published_day(real_mouse):
    """KS014 is the example of eLife 2021;10:e63711, proficient on day 14; its file has no response times, so no 1b."""
    mouse = read(real_mouse)
    sessions = np.append(mouse.sessions.start, len(mouse))
    times = np.full(len(mouse), np.nan)
    summary = summarise_sessions(mouse.contrast, mouse.choice, mouse.reward, times, mouse.probability_left, sessions)
    status = training_status(summary, [0, 15])
    assert status.tolist() == [T] * 13 + [A] * 2
    assert trials_to_status(status, [0, 15], summary.n_trials, A).tolist() == [sessions[14]]
