"""Names of the training statuses, and the sessions and trials it takes to reach one."""

import numpy as np
import pytest

from twin.evaluation.status import Status, sessions_to_status, trials_to_status

T, A, B = Status.IN_TRAINING, Status.TRAINED_1A, Status.TRAINED_1B


def test_labels_and_order():
    assert [status.label for status in Status] == [
        "untrainable", "unbiasable", "not_computed", "habituation", "in training", "trained_1a", "trained_1b",
        "ready4ephysrig", "ready4delay", "ready4recording"]  # fmt: skip
    assert [int(status) for status in Status] == list(range(-4, 6))
    assert all(Status.parse(status.label) is status for status in Status)
    assert Status.parse("trained 1b") is B
    with pytest.raises(ValueError, match=r"no training status 'trained'.*trained_1a"):
        Status.parse("trained")


def test_counts_to_status_are_of_mice_and_leave_out_habituation():
    status = [A, A, A, B, B, T, T, Status.HABITUATION, B]
    mice = [0, 5, 7, 9]
    trials = [330, 660, 660, 660, 660, 100, 100, 50, 660]
    assert sessions_to_status(status, mice, B) == pytest.approx([4, np.nan, 1], nan_ok=True)
    assert sessions_to_status(status, mice, "trained 1a") == pytest.approx([1, np.nan, 1], nan_ok=True)
    assert trials_to_status(status, mice, trials, "trained_1b") == pytest.approx([330 + 3 * 660, np.nan, 660], nan_ok=True)
    assert np.isnan(sessions_to_status(status, mice, Status.UNTRAINABLE)).all()
