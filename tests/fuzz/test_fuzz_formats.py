"""A few damaged files of every format; `fuzz_formats.py` tries many."""

from __future__ import annotations

import pytest
from fuzz.fuzz_formats import WRITTEN, damaged
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

SLOW = {"mat": 4, "nwb": 6}  # a program of its own; a library that takes its time
FEW = settings(deadline=None, phases=(Phase.generate,), suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.filterwarnings("ignore")  # of the libraries that write and read
@pytest.mark.parametrize("form", WRITTEN)
def test_damaged_files_are_read_or_refused_in_one_sentence(form, tmp_path):
    @settings(FEW, max_examples=SLOW.get(form, 40))
    @given(seed=st.integers(0, 2**62))
    def case(seed):
        what, tell = damaged(form, seed, tmp_path)
        assert tell() in ("read", "refused", "not made"), what

    case()
