"""Protocols: every registered one is sound and survives TOML; every wrong one is refused, naming the stage."""

from __future__ import annotations

import hashlib
from types import ModuleType

import pytest

from envs import PROTOCOLS, load_protocol, read_protocol, write_protocol
from envs.protocols import find_protocol
from envs.protocols._registry import collect


@pytest.mark.parametrize("name", PROTOCOLS)
def test_round_trip_through_toml(name, tmp_path):
    protocol = PROTOCOLS[name]
    write_protocol(protocol, tmp_path / "protocol.toml")
    again = read_protocol(tmp_path / "protocol.toml")
    assert again == protocol
    assert again.record.tobytes() == protocol.record.tobytes()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_stages_end_or_are_last(name):
    protocol = PROTOCOLS[name]
    assert protocol.name == name
    assert [stage.advance is None for stage in protocol.stages] == [False] * (len(protocol.stages) - 1) + [True]


def test_changes_to_a_registered_protocol(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "ibl-2019"\nname = "mine"\ndebias_responses = 20\nsession_trials = 500\n')
    mine = read_protocol(file)
    assert (mine.name, mine.debias_responses, mine.session_trials) == ("mine", 20, 500)
    assert mine.stages == PROTOCOLS["ibl-2019"].stages


def test_stages_from_nothing(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        """
        [[stages]]
        contrasts = [1, 0.3]
        advance = { contrasts = [0.3], correct = 45 }
        [[stages]]
        contrasts = [1, 0.3, 0]
        weights = [1, 1, 2]
        blocks = { first = 60, probability = 0.7 }
        """
    )
    mine = read_protocol(file)
    assert mine.name == "custom"
    assert mine.contrasts == (1, 0.3, 0)
    assert mine.record[0].block_probability[1] == 0.7
    write_protocol(mine, file)
    assert read_protocol(file) == mine


BAD = {
    "no contrasts": ({"stages": [{}]}, "stages.0: a stage needs `contrasts`"),
    "contrast above 1": ({"stages": [{"contrasts": [1, 1.5]}]}, r"stages.0: contrasts .* between 0 and 1"),
    "negative contrast": ({"stages": [{"contrasts": [-0.5]}]}, r"stages.0: contrasts .* between 0 and 1"),
    "contrast twice": ({"stages": [{"contrasts": [0.5, 0.5]}]}, "stages.0: .* twice"),
    "weights": ({"stages": [{"contrasts": [1, 0.5], "weights": [1]}]}, "stages.0: 1 weights for 2 contrasts"),
    "negative weight": ({"stages": [{"contrasts": [1, 0.5], "weights": [1, -1]}]}, "stages.0: weights"),
    "second stage": (
        {"stages": [{"contrasts": [1], "advance": {"trials": 9}}, {"contrasts": [2]}]},
        "stages.1: contrasts",
    ),
    "advance on what is not shown": (
        {"stages": [{"contrasts": [1], "advance": {"contrasts": [0.25]}}, {"contrasts": [1]}]},
        "stages.0: its advance rule can never fire: contrast 0.25 is never shown",
    ),
    "advance on one side only": (
        {"stages": [{"contrasts": [1], "probability_left": 1, "advance": {"contrasts": [1]}}, {"contrasts": [1]}]},
        "stages.0: its advance rule can never fire: contrast 1 is never shown on the right",
    ),
    "advance on weight 0": (
        {"stages": [{"contrasts": [1, 0.5], "weights": [1, 0], "advance": {"contrasts": [0.5]}}, {"contrasts": [1]}]},
        "stages.0: its advance rule can never fire: contrast 0.5 is never shown on the left",
    ),
    "sessions too short for the counter": (
        {"base": "ibl-v8", "session_trials": 180},
        "stages.2: its advance rule can never fire: it needs 200 trials in one session",
    ),
    "sessions too short for mastery": (
        {"base": "ibl-v8", "session_trials": 100},
        "stages.0: its advance rule can never fire: it needs 164 correct trials in one session",
    ),
    "last stage with advance": ({"stages": [{"contrasts": [1], "advance": {"trials": 5}}]}, "stages.0 of 1"),
    "two ways to advance": (
        {"stages": [{"contrasts": [1], "advance": {"trials": 5, "contrasts": [1]}}, {"contrasts": [1]}]},
        "stages.0.advance: a transition needs either",
    ),
    "unbalanced": (
        {"stages": [{"contrasts": [1, 0.5, 0.25], "blocks": {"balanced": True, "first": 100}}]},
        "stages.0: a balanced first block of 100",
    ),
    "table and contrasts": (
        {"stages": [{"contrasts": [1], "contingencies": [{"contrast": 1, "side": "left"}]}]},
        "stages.0: `contingencies` replace",
    ),
    "unknown field": ({"base": "ibl-v8", "sesion_trials": 9}, "unknown key 'sesion_trials'; did you mean 'session_trials'"),
    "unknown field of a stage": (
        {"stages": [{"contrast": [1]}]},
        r"unknown key in \[stages.0\]: 'contrast'; did you mean 'contrasts'",
    ),
    "unknown base": ({"base": "ibl-2020"}, "did you mean 'ibl-2019'"),
    "no stages": ({"stages": []}, "stages: tuple should have at least 1 item"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_protocols(case):
    table, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        load_protocol(**table)


def test_error_names_the_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("stages = [{}]")
    with pytest.raises(ValueError, match=r"mine\.toml: protocol 'custom': stages\.0: a stage needs"):
        read_protocol(file)


def test_short_sessions_are_no_fault_where_performance_persists():
    assert load_protocol("ibl-2019", session_trials=100).session_trials == 100


def test_what_toml_must_quote_survives_it(tmp_path):
    name = 'a "quoted" \\ name\nof two lines'
    protocol = load_protocol("constant", name=name)
    write_protocol(protocol, tmp_path / "mine.toml")
    assert read_protocol(tmp_path / "mine.toml").name == name


def test_the_registry_holds_what_modules_define():
    base, derived = (load_protocol("constant", name=name) for name in ("b", "a"))
    first, second = ModuleType("first"), ModuleType("second")
    first.BASE = base
    second.BASE = base
    second.DERIVED = derived
    second.OTHER = 3
    assert list(collect([first, second]).items()) == [("a", derived), ("b", base)]
    second.BASE = base.model_copy(update={"gain": 1.0})
    with pytest.raises(ValueError, match="two protocols are named 'b', one of them in second"):
        collect([first, second])


# SHA-256 of the records of the shipped protocols: defaults may change, what the rigs of these protocols do may not.
RECORDS = {
    "advanced": "3bc170c2ce8ff016",
    "biased": "9cf92ac4005987bc",
    "biased-half-zero": "95899d53760c9042",
    "constant": "a1d273bce90d0cb3",
    "ephys": "2a8a1a2be7138b3e",
    "habituation": "3abf640ba12794f3",
    "ibl-2019": "ed5b04620c0fe40a",
    "ibl-documented": "1c763fdf01bdeb77",
    "ibl-v8": "df5e5190cd817a23",
    "liu-2025": "d9ab17e751c5ad6b",
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_defaults_are_no_part_of_the_shipped_protocols(name):
    assert hashlib.sha256(PROTOCOLS[name].record.tobytes()).hexdigest().startswith(RECORDS[name])


def test_a_protocol_from_nothing_has_the_sessions_of_the_base_it_is_compared_with():
    rules = ("session_trials", "session_minutes", "few_minutes", "few_trials", "slow_factor", "slow_minutes")
    mine = load_protocol(stages=[{"contrasts": [1, 0.5]}])
    assert [getattr(mine, rule) for rule in rules] == [2000, 90, 45, 400, 5, 0]
    assert all(getattr(mine, rule) == getattr(PROTOCOLS["ibl-2019"], rule) for rule in rules)


def test_a_table_is_a_protocol():
    table = {"base": "ibl-2019", "session_trials": 500}
    assert find_protocol(table) == load_protocol("ibl-2019", session_trials=500)
    assert find_protocol("biased") is not None and find_protocol(PROTOCOLS["biased"]) is PROTOCOLS["biased"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "protocol = 3: expected a Protocol, the name of one, or a table"),
        (None, "protocol = None: expected a Protocol"),
        ({1: 2}, "protocol = {1: 2}: expected a Protocol"),
        ({"base": "ibl-2019", "sesion_trials": 5}, "did you mean 'session_trials'"),
        ({"base": {}}, "unknown protocol {}; did you mean"),
        ({"base": "biased", "session_minutes": float("nan")}, "session_minutes: input should be a finite number"),
        ({"base": "biased", "session_trials": 10**30}, "session_trials: a whole number beyond 64 bits"),
        ({"stages": 3, "every_stage": {"debias": False}}, "stages: input should be a valid tuple"),
        ({"base": "biased", "every_stage": {"blocks": 3}}, "every_stage.blocks = 3: expected a table of changes"),
        ({"stages": [{"contrasts": [1], "blocks": 3}], "every_stage": {"blocks": {"low": 3}}}, "stages.0.blocks: .*given: 3"),
    ],
)
def test_what_is_no_protocol_is_refused_with_a_sentence(given, message):
    with pytest.raises(ValueError, match=message):
        find_protocol(given)


def test_repr_is_a_line():
    assert repr(PROTOCOLS["ibl-2019"]) == "<Protocol 'ibl-2019': 6 stages, sessions of at most 2000 trials>"
