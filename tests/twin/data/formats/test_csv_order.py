"""Rows and sessions out of order: put in order where the columns decide, refused with row and reason where they do not."""

from __future__ import annotations

import random

import pytest
from tables import CASES, HEADER, expected, found, rows_of, same, table, trial_lines

from twin.data.formats import read


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
