"""A few damaged tables; `fuzz_csv.py` tries many."""

from fuzz.fuzz_csv import run


def test_damaged_tables_are_read_or_refused_in_one_sentence(tmp_path):
    counts = run(seed=0, n=60, folder=tmp_path)
    assert counts["read"] > 5 and counts["refused"] > 5
