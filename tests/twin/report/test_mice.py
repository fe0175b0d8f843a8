"""The table of mice in words, csv and page; what is no estimate is counted."""

import csv
import io

from twin.report.mice import SHOWN, flag_lines, mice_csv, mice_text


def row(name, flag=None, fits=True):
    behaved = {"id": name, "sessions": 3, "trials": 90, "easy_performance_first3": 0.5, "easy_performance_last3": None}
    parameters = {"baseline": {"estimate": 0.5, "low": -0.25, "high": None, "flag": flag}}
    fitted = {"a": {"parameters": parameters, "ll_per_trial": -0.5, "minus_static": 0.1, "converged": flag is None}}
    return behaved | {"status": None, "stage": 2} | ({"fits": fitted} if fits else {})


def test_flags_are_counted_over_the_mice_that_were_fitted():
    rows = [row("m1", "bound"), row("m2", "bound"), row("m3"), row("m4", "one-sided"), row("m5", fits=False)]
    assert flag_lines(rows) == [
        "a: baseline at its bound in 2 of 4 mice",
        "a: baseline known on one side only (its interval reaches a bound) in 1 of 4 mice",
        "a: not converged in 3 of 4 mice",
    ]
    assert flag_lines([row("m3")]) == []


def test_csv_has_every_mouse_and_number():
    one, left_out = csv.DictReader(io.StringIO(mice_csv([row("m,1", "bound"), row("m2", fits=False)])))
    assert (one["id"], one["trials"], one["stage"], one["status"]) == ("m,1", "90", "2", "")
    assert (one["a.baseline.estimate"], one["a.baseline.high"], one["a.baseline.flag"]) == ("0.5", "", "bound")
    assert (one["a.minus_static"], one["a.converged"]) == ("0.1", "False")
    assert left_out["a.ll_per_trial"] == ""


def test_page_marks_what_is_no_estimate_and_says_how_many_it_shows():
    text = mice_text([row("m1", "bound"), row("m2")])
    assert "0.5 [−0.25, –] bound" in text[3]
    assert "0.5 [−0.25, –]</td>" in text[3]
    assert text[-1].startswith("a: not converged") and "baseline at its bound in 1 of 2 mice" in text[-2]
    many = mice_text([row(f"m{i}") for i in range(SHOWN + 1)])
    assert many[0].startswith(f"The first {SHOWN} of {SHOWN + 1} mice")
    assert f"m{SHOWN}" not in many[1]
