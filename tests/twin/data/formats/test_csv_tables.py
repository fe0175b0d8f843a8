"""Tables as people have them: read to the same trials however they are written and ordered, or refused by row and column."""

from __future__ import annotations

import csv
import gzip
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow
import pytest

from twin.data.formats import read
from twin.data.formats.csv.source import open_source
from twin.data.trials import Trials

CASES = Path(__file__).parents[1] / "cases"
HEADER = "subject,session,date,trial,contrast_left,contrast_right,choice,correct,probability_left"


def rows_of(name: str) -> list[dict[str, str]]:
    """The rows of a table, by the csv module."""
    with open(CASES / name, newline="") as file:
        return list(csv.DictReader(file))


def expected(rows: list[dict[str, str]]) -> list[tuple[float, int, int]]:
    """(contrast, choice, reward) of rows in the first dialect, in the order given."""
    choices = {"-1": 0, "1": 1, "0": -1}
    return [
        (float(r["contrast_right"] or 0) - float(r["contrast_left"] or 0), choices[r["choice"]], int(r["correct"]))
        for r in rows
    ]


def found(rollout) -> list[tuple[float, int, int]]:
    return list(zip(rollout.contrast.tolist(), rollout.choice.tolist(), rollout.reward.tolist(), strict=True))


def same(one, other) -> bool:
    equal = [np.array_equal(one.columns[name], other.columns[name], equal_nan=True) for name in one.columns]
    return one.columns.keys() == other.columns.keys() and all(equal) and one.ids == other.ids


def table(tmp_path: Path, lines: list[str], header: str = HEADER, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
    return path


def trial_lines(sessions: int = 2, trials: int = 3, subject: str = "m", numbered: bool = True) -> list[str]:
    """A mouse that is always right, of a different contrast in each trial."""
    return [
        f"{subject},{s},2021-03-{s:02d},{t if numbered else ''},{t / 16},0,-1,1,0.5"
        for s in range(1, sessions + 1)
        for t in range(1, trials + 1)
    ]


def test_two_mice_are_read_with_their_response_times():
    rollout = read(CASES / "two_mice.csv")
    rows = rows_of("two_mice.csv")
    assert rollout.ids == ("m1", "m2")
    assert np.diff(rollout.sessions.stop).tolist() == [40] * 5
    assert found(rollout) == expected(rows)
    assert rollout.response_time.tolist() == pytest.approx([float(r["response_time"]) for r in rows])
    assert rollout.notes == []


@pytest.mark.parametrize("name", ["ibl_names.csv", "semicolon_bom.csv"])
def test_the_same_mice_written_otherwise_are_the_same(name):
    assert same(read(CASES / name), read(CASES / "two_mice.csv"))


@pytest.mark.parametrize("name", ["sessions_descending.csv", "sessions_sorted_as_text.csv", "rows_shuffled.csv"])
def test_rows_out_of_order_are_sorted_and_that_is_said(name):
    rollout = read(CASES / name)
    rows = sorted(rows_of(name), key=lambda r: (r["date"], int(r["trial"])))
    assert found(rollout) == expected(rows)
    assert len(rollout.sessions.start) == len({r["date"] for r in rows})
    assert any("rows were not in order" in note and "sorted by date and session and trial" in note for note in rollout.notes)


def test_shuffled_rows_without_a_trial_column_are_refused(tmp_path):
    lines = (CASES / "rows_shuffled.csv").read_text().splitlines()
    cut = [",".join(cell for i, cell in enumerate(line.split(",")) if i != 3) for line in lines]
    with pytest.raises(ValueError, match=r"row \d+: session '\d' .* of mouse 'm1' begins again .* 'trial'"):
        read(table(tmp_path, cut[1:], cut[0]))


def test_few_columns_are_enough_and_what_their_absence_costs_is_said():
    rollout = read(CASES / "few_columns.csv")
    rows = rows_of("few_columns.csv")
    signed = np.array([float(r["stimulus"]) for r in rows])
    right = np.array([r["response"] == "R" for r in rows])
    assert rollout.contrast.tolist() == signed.tolist()
    assert rollout.choice.tolist() == right.astype(int).tolist()
    assert rollout.reward.tolist() == np.where(signed == 0, -1, right == (signed > 0)).tolist()
    assert (rollout.side == np.sign(signed)).all()
    assert np.isnan(rollout.probability_left).all()
    assert len(rollout.sessions.start) == 2
    told = " ".join(rollout.notes)
    for word in ("'session' or 'date'", "'correct'", "'probability_left'", f"{(signed == 0).sum()} choices at zero contrast"):
        assert word in told


def test_unknown_rewards_at_zero_contrast_are_kept_and_count_in_no_fit():
    rollout, whole = read(CASES / "reward_unknown_at_zero.csv"), read(CASES / "two_mice.csv")
    unknown = (rollout.contrast == 0) & (rollout.choice >= 0)
    assert (rollout.reward[unknown] == -1).all() and (rollout.side[unknown] == 0).all()
    assert (rollout.choice == whole.choice).all()
    assert (rollout.reward[~unknown] == whole.reward[~unknown]).all()
    trials = Trials.from_rollout(rollout, ("stimulus", "previous_choice", "previous_reward"))
    assert trials.mask.sum() == (whole.choice >= 0).sum() - unknown.sum()
    assert trials.reward.min() == 0
    after = np.flatnonzero(unknown[:119] & ~rollout.new_session[1:120]) + 1
    assert (trials.x[0, after, 1] == 2 * rollout.choice[after - 1] - 1).all()  # what it chose is known
    assert (trials.x[0, after, 2] == 0).all()  # what it got is not
    told = " ".join(rollout.notes)
    assert "no column 'date'" in told and "no column 'probability_left'" in told and "unknown reward" in told


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("session_twice.csv", r"rows 42 and 122: .*trial 1 of session '2'.*mouse 'm1'"),
        ("both_contrasts.csv", r"row 7, column 'contrast_right': '0.25'; expected 0 or nothing"),
        ("no_contrast.csv", r"row 7, column 'contrast_left': ''; expected a contrast"),
        ("probability_in_percent.csv", r"row 2, column 'probability_left': '80'; expected a probability .*not in percent"),
    ],
)
def test_what_cannot_be_is_refused_with_row_and_column(name, message):
    with pytest.raises(ValueError, match=message):
        read(CASES / name)


def test_a_mouse_without_choices_is_named():
    rollout = read(CASES / "mouse_without_choices.csv")
    assert rollout.ids == ("m1", "m3")
    assert rollout.choices_by_mouse().tolist() == [sum(r["choice"] != "0" for r in rows_of("mouse_without_choices.csv")), 0]
    assert any("'m3' made no choice in 120 trials" in note for note in rollout.notes)


def test_a_session_without_choices_is_named(tmp_path):
    lines = [line.replace(",-1,1,", ",0,0,") if ",2,2021" in line else line for line in trial_lines()]
    assert read(table(tmp_path, lines)).notes == ["mouse 'm' made no choice in session 2"]


def test_a_table_of_one_trial_is_read_and_says_so(tmp_path):
    assert read(table(tmp_path, trial_lines(1, 1))).notes == ["mouse 'm' has 1 trial: nothing can be inferred from it"]


@pytest.mark.parametrize(
    ("write", "encoding"),
    [
        (lambda text: "\ufeff" + text, "utf-8"),
        (lambda text: text, "utf-16"),
        (lambda text: text.replace(",", ";"), "utf-8"),
        (lambda text: text.replace(",", ";").replace(".", ","), "utf-8"),  # decimal commas
        (lambda text: text.replace(",", "\t"), "utf-8"),
        (lambda text: text + "\n\n", "utf-8"),
        (lambda text: text + ",,,,,,,,\n", "utf-8"),  # what a spreadsheet leaves of empty rows
        (lambda text: "\n" + text, "utf-8"),
        (lambda text: text.replace("\n", "\r\n"), "utf-8"),
        (lambda text: text.replace("session,date", " session , date"), "utf-8"),
        (lambda text: text.replace("m,", '"m",'), "utf-8"),
        (lambda text: text.replace("m,", "m ,"), "utf-8"),
        (lambda text: text.replace(",1,0.5", ",True,0.5"), "utf-8"),
        (lambda text: text.replace(",-1,1,0.5", ",left,1,0.5"), "utf-8"),
        (lambda text: text.replace(",1,0.5", ",NA,0.5"), "utf-8"),  # follows from stimulus and choice
        (lambda text: text.replace("2021-03-0", "2021/03/0"), "utf-8"),
        (lambda text: text.replace("m,1,", "m,001,"), "utf-8"),
        (lambda text: text.replace("m,1,2021-03-01,1", "m,1.0,2021-03-01,1"), "utf-8"),  # one label in two ways
    ],
)
def test_a_table_is_the_same_however_a_program_writes_it(write, encoding, tmp_path):
    lines = trial_lines()
    plain = read(table(tmp_path, lines))
    other = tmp_path / "other.csv"
    other.write_bytes(write("\n".join([HEADER, *lines]) + "\n").encode(encoding))
    assert same(read(other), plain)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_does_not_matter_where_columns_decide(seed, tmp_path):
    lines = trial_lines(12, 4)
    shuffled = random.Random(seed).sample(lines, len(lines))
    assert same(read(table(tmp_path, shuffled)), read(table(tmp_path, lines)))


def test_numbers_order_sessions_without_dates(tmp_path):
    """Sorted as text, 1, 10, 11, 2; and descending."""
    lines = [line.replace(line.split(",")[2], "") for line in trial_lines(11, 3, numbered=False)]
    plain = read(table(tmp_path, lines))
    for order in (sorted(lines, key=lambda line: line.split(",")[1]), sorted(lines, key=lambda line: -int(line.split(",")[1]))):
        rollout = read(table(tmp_path, order))
        assert same(rollout, plain)
        assert any("sorted by session" in note for note in rollout.notes)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (("m,2,", "m,2.0,"), "sessions '2' and '2.0' are the same number: taken for one session"),
        (("m,2,", "m ,2,"), "blanks at the ends of the names of mice are left out"),
    ],
)
def test_names_that_are_the_same_but_for_their_spelling(second, said, tmp_path):
    *lines, last = trial_lines()
    rollout = read(table(tmp_path, [*lines, last.replace(*second)]))
    assert (rollout.ids, len(rollout.sessions.start)) == (("m",), 2)
    assert rollout.notes == [said]


def test_times_of_trials_in_place_of_dates_make_one_session_a_day(tmp_path):
    times = [f"m,,2021-03-0{d} 10:{t:02d}:07,,{t / 16},0,-1,1,0.5" for d in (1, 2) for t in range(1, 7)]
    plain = read(table(tmp_path, times))
    assert plain.session.tolist() == [0] * 6 + [1] * 6
    assert any("those of single trials" in note for note in plain.notes)
    assert same(read(table(tmp_path, times[::-1])), plain)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (trial_lines(numbered=False) * 2, r"row 8: session '1' date '2021-03-01' of mouse 'm' begins again"),  # pasted twice
        (trial_lines() * 2, r"rows 2 and 8: are both trial 1 of session '1'"),
        (trial_lines(1, 12, numbered=False) * 2, r"rows 2 to 25: session 1 of mouse 'm' is the same 12 trials 2 times"),
        ([trial_lines(1, 1, numbered=False)[0]] * 12, r"rows 2 to 13: session 1 of mouse 'm' is one trial again and again"),
        ([*trial_lines(), HEADER], r"row 8, column 'trial': 'trial'; expected a number"),
        ([*trial_lines(), *trial_lines(subject="")], r"row 8, column 'subject': ''; expected the name of a mouse"),
        ([*trial_lines(subject="1"), *trial_lines(subject="1.0")], r"row 8, column 'subject': '1.0'; expected one way"),
        ([*trial_lines(), "m,,2021-03-09,1,0.5,0,-1,1,0.5"], r"row 8, column 'session': ''; expected the session in every row"),
        ([*trial_lines(), "m,3,,1,0.5,0,-1,1,0.5"], r"row 8, column 'date': ''; expected the date in every row"),
        ([*trial_lines(), "m,3,2021-03-09,,0.5,0,-1,1,0.5"], r"row 8, column 'trial': ''; expected the number"),
        ([*trial_lines(), "m,3,2021-03-09,1,inf,0,-1,1,0.5"], r"row 8, column 'contrast_left': 'inf'; expected a number"),
        (["", *trial_lines(), "", "m,3,2021-03-09,1,7,0,-1,1,0.5"], r"row 10, column 'contrast_left': '7'"),  # blanks count
        (
            ["m,b,2021-03-02,,0.5,0,-1,1,0.5", "m,c,2021-03-01,,1,0,-1,1,0.5", "m,d,2021-03-01,,.5,0,-1,1,0.5"],
            r"row 3: .* comes after a later one",  # which of the two of one day came first?
        ),
    ],
)
def test_what_does_not_decide_is_refused_with_row_and_reason(lines, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(table(tmp_path, lines))


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        (HEADER.replace("date", "choice"), "m,1,1,1,0.5,0,-1,1,0.5", r"row 1, column 'choice': there 2 times \(columns 3, 7\)"),
        (HEADER + ",response_time", "m,1,2021-03-01,1,0.5,0,-1,1,0.5,-3", r"column 'response_time': '-3'; expected seconds"),
        ("subject,stimulus,choice", "m,-1.5,L", r"column 'stimulus': '-1.5'; expected a signed contrast"),
        ("subject,stimulus,choice", "m,,L", r"column 'stimulus': ''; expected a signed contrast"),
        ("subject:contrast_left:choice", "m:1:1", r"column 'contrast_left' is missing.*separator found is ','"),
    ],
)
def test_columns_and_values_out_of_range_are_refused(header, line, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(table(tmp_path, [line], header))


def test_codes_that_no_outcome_explains_are_refused(tmp_path):
    """0 and 1 may be left and right, or none and right; contrasts that are never negative may have no sign."""
    lines = [f"m,{(-1) ** t * t / 32},{t % 2}" for t in range(1, 20)]
    with pytest.raises(ValueError, match=r"column 'choice': '0'; expected L or R"):
        read(table(tmp_path, lines, "subject,stimulus,choice"))
    lines = [f"m,{t / 32},{'LR'[t % 2]}" for t in range(1, 20)]
    with pytest.raises(ValueError, match=r"column 'stimulus'.*expected negative contrasts"):
        read(table(tmp_path, lines, "subject,stimulus,choice"))


def test_a_table_without_names_is_one_mouse(tmp_path):
    rollout = read(table(tmp_path, ["-1,L", "0.5,R"], "stimulus,choice", "zoe.csv"))
    assert rollout.ids == ("zoe",)
    assert "'zoe'" in rollout.notes[0]


def test_a_misspelt_column_is_guessed_in_the_note(tmp_path):
    lines = [line.replace(",", "\t") for line in trial_lines()]
    rollout = read(table(tmp_path, lines, HEADER.replace("probability_left", "probabilty_left").replace(",", "\t")))
    assert any("no column 'probability_left' (is 'probabilty_left' meant?)" in note for note in rollout.notes)


@pytest.mark.parametrize(
    ("name", "encoding"), [("t.csv", "utf-8"), ("t.csv", "utf-16"), ("t.csv.gz", "utf-8"), ("t.csv.gz", "utf-16")]
)
def test_no_thread_that_reads_ahead_needs_the_interpreter(name, encoding, tmp_path):
    """One that does aborts the program, now and then, which ends because a row is refused."""
    text = "\n".join([HEADER, *trial_lines()])
    with (gzip.open if name.endswith("gz") else open)(tmp_path / name, "wt", encoding=encoding, newline="") as file:
        file.write(text)
    with open_source(tmp_path / name)._utf8(pyarrow) as stream:
        assert isinstance(stream, pyarrow.NativeFile) and not isinstance(stream, pyarrow.PythonFile)
        assert stream.read() == text.encode()


def test_a_long_table_takes_little_more_memory_than_its_columns(tmp_path):
    """15 bytes of a trial are kept; its text is never there for all rows at once, nor every key that orders them."""
    draw = random.Random(1)
    trials = [f"{t},{draw.choice(('1.0', '0.5'))},0,{draw.choice(('-1,1', '1,0'))},0.5" for t in range(1, 1001)]
    path = table(tmp_path, [f"m{m},{s},2021-03-{s:02d},{trial}" for m in range(15) for s in range(1, 21) for trial in trials])
    tracemalloc.start()
    rollout = read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rollout) == 300_000
    assert peak < 70 * len(rollout)
