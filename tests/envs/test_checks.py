"""Numbers given by users: what is taken, and that the rest is refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from envs.checks import check_seconds, check_seed, whole
from envs.draws import mouse_keys
from envs.protocols import find_protocol


@pytest.mark.parametrize("seed", [0, 1, np.int32(7), np.uint64(2**64 - 1), 2**64 - 1])
def test_seeds(seed):
    assert check_seed(seed) == int(seed)
    assert type(check_seed(seed)) is int


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, 1.5, None, True, np.bool_(True), "1", np.array([1]), float("nan")])
def test_what_is_no_seed(seed):
    with pytest.raises(ValueError, match=r"^seed = .*: expected "):
        mouse_keys(seed, 2)


def test_numbers_out_of_range():
    with pytest.raises(ValueError, match=r"^workers = 0: expected at least 1$"):
        whole("workers", 0, 1)
    with pytest.raises(ValueError, match=r"^mouse = 9: expected 0 to 8$"):
        whole("mouse", 9, 0, 8)
    with pytest.raises(ValueError, match="mice = -1"):
        mouse_keys(1, -1)


@pytest.mark.parametrize("seconds", [0, 0.0, 3, np.float32(0.5), 1e9])
def test_seconds(seconds):
    assert check_seconds("t", seconds) == seconds


@pytest.mark.parametrize("seconds", [-5.0, float("nan"), float("inf"), "soon", None, [1.0, 2.0], 1j])
def test_what_is_no_time(seconds):
    with pytest.raises(ValueError, match=r"^t = .*: expected a number of seconds"):
        check_seconds("t", seconds)


@pytest.mark.parametrize("protocol", [["biased"], None, 3])
def test_what_is_no_protocol(protocol):
    with pytest.raises(ValueError, match=r"expected a Protocol, the name of one, or a table such as"):
        find_protocol(protocol)
