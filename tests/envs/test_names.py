"""Unknown names: which known one is nearest, and how it is said."""

from __future__ import annotations

from envs.names import LONGEST, nearest, shown, suggest


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


def test_a_value_is_shown_on_one_short_line():
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]
    for value in ("x" * 10_000, "a\nb", deep, 16**9_000, dict.fromkeys(range(99), "y" * 500)):
        assert "\n" not in shown(value) and len(shown(value)) < 12 * LONGEST
    assert shown("ibl") == "'ibl'" and shown([1, 2.5]) == "[1, 2.5]" and shown({"a": True}) == "{'a': True}"
    assert len(suggest("key", "z" * 10_000, ["a"])) < 200
