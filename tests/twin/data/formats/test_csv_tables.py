"""Tables as people have them: read to the same trials however they are written and ordered, or refused by row and column."""

from __future__ import annotations

import gzip
import random
import tracemalloc

import numpy as np
import pyarrow
import pytest
from tables import CASES, HEADER, expected, found, rows_of, same, table, trial_lines

from twin.data.formats import read
from twin.data.formats.csv.source import open_source
from twin.data.trials import Trials


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


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        (HEADER.replace("date", "choice"), "m,1,1,1,0.5,0,-1,1,0.5", r"column 'choice': there 2 times \(columns 3, 7\)"),
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
