"""Unknown names: which known one is nearest, and how it is said."""

from __future__ import annotations

from envs.names import nearest, suggest


def test_the_nearest_name():
    assert nearest("sessiontrials", ["session_minutes", "session_trials", "stages"]) == "session_trials"
    assert nearest("rat", ["arat", "rate"]) == "rate"  # as alike letter by letter, but mistakes are seldom the first letter
    assert nearest(3, ["three", "3.0"]) == "3.0"
    assert nearest("a", []) is None


def test_none_is_near_enough():
    names = ["quickstart.toml", "cohort.toml"]
    assert nearest("quikstart.toml", names, least=0.6) == "quickstart.toml"
    assert nearest("xyz", names, least=0.6) is None
    assert nearest("xyz", names) in names


def test_an_error_names_all_there_are():
    assert suggest("rule", "reinforc", ["static", "reinforce"]) == (
        "unknown rule 'reinforc'; did you mean 'reinforce'? Known: static, reinforce"
    )
