"""Cards that are wrong are one sentence of file and key, before anything of their size is made."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fits import altered, fit_of_network, fit_of_rule
from fuzz import fuzz_cards

from agents import RULES
from twin.cohort import Cohort
from twin.inference.card import load_fit

WRONG = [
    ({"theta": None}, r"key 'theta' is missing; expected the card of a fit"),
    ({"kind": None}, r"key 'kind' is missing; expected the card of a fit"),
    ({"colour": 1}, r"unknown key 'colour'"),
    ({"rule": "reinforc"}, r"rule: unknown rule 'reinforc'; did you mean 'reinforce'"),
    ({"model": "reinforc"}, r"model: unknown model 'reinforc'; did you mean 'reinforce'"),
    ({"features": ["stimulus", "bias", "smell"]}, r"features: .*'smell'"),
    ({"features": ["stimulus", "bias"]}, r"parameters are .* the rule has"),
    ({"nll": [0.0]}, r"nll has the shape \(1,\); expected \(2,\)"),
    ({"nll": ["a", 0.0]}, r"nll: expected numbers"),
    ({"nll": [[0.0], 0.0]}, r"nll: expected numbers, as many in each row"),
    ({"mice": "ab"}, r"mice: .*array"),
    ({"data_hash": 3}, r"data_hash: .*string"),
    ({"data_hash": "abc"}, r"data_hash: .*match pattern"),
    ({"kind": "neutral"}, r"kind is 'neutral'; expected 'closed-form', 'neural'"),
    ({"kind": "neural"}, r"key 'members' is missing"),
    ({"model": "window"}, r"rule is 'reinforce'; expected 'window', that of the model 'window'"),
    ({"model": "dnnglm"}, r"model 'dnnglm' is a network; expected a closed-form one"),
    ({"model": None}, r"key 'model' is missing"),
    ({"features": []}, r"features: .*at least one"),
    ({"features": ["stimulus", "bias", "bias"]}, r"features: .*each once"),
    ({"features": "stimulus"}, r"features: .*array"),
    ({"mice": []}, r"mice: .*at least 1"),
    ({"mice": ["a"]}, r"theta has the shape \(2, .*\); expected \(1, "),
    ({"mice": ["a", "a"]}, r"mice: 'a' is there 2 times; expected every mouse once"),
    ({"mice": ["a", "b", "c"]}, r"theta has the shape \(2, .*\); expected \(3, "),
    ({"theta": []}, r"theta has the shape \(0,\)"),
    ({"theta": {"a": 1}}, r"theta: expected numbers"),
    ({"theta": [[10**400], [0.0]]}, r"theta: expected numbers"),
    ({"theta": [[True], [False]]}, r"theta: expected numbers"),
    ({"ci95": [[0.0, 1.0], [0.0, 1.0]]}, r"ci95 has the shape \(2, 2\)"),
    ({"nll": "none"}, r"nll has the shape \(\)|nll: expected numbers"),
    ({"converged": [True]}, r"converged has 1 entries; expected 2"),
    ({"converged": [1, 0]}, r"converged.0: .*boolean"),
    ({"parameters": ["rate"]}, r"parameters are \['rate'\]; the rule has"),
    ({"settings": []}, r"settings: .*(object|dictionary)"),
    ({"settings": {"epochs": 3}}, r"unknown key in \[settings\]: 'epochs'"),
    ({"seconds": -1.0}, r"seconds: .*greater than or equal to 0"),
    ({"seconds": float("nan")}, r"seconds: .*finite"),
    ({"trials": 1.5}, r"trials: .*integer"),
    ({"versions": {"numpy": 2}}, r"versions.numpy: .*string"),
]
NOT_CARDS = ["", "{", "[]", "null", "3", '"card"', "\xff", "[" * 3000, "{}"]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[" ".join(changes) for changes, _ in WRONG])
def test_wrong_card_is_refused_by_file_and_key(changes, message, tmp_path):
    altered(fit_of_rule("reinforce", "reinforce"), tmp_path, **changes)
    with pytest.raises(ValueError, match=rf"^{tmp_path / 'card.json'}: {message}") as caught:
        load_fit(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", NOT_CARDS, ids=range(len(NOT_CARDS)))
def test_file_that_is_no_card_is_named(text, tmp_path):
    (tmp_path / "card.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"^{tmp_path / 'card.json'}: ") as caught:
        load_fit(tmp_path)
    assert "\n" not in str(caught.value)


def test_impossible_estimates_are_refused_but_for_fits_that_failed(tmp_path):
    done = fit_of_rule("reinforce", "reinforce")
    for value, message in ((7.0, "is 7; expected 0 to 1"), (np.nan, "is nan; expected a finite number")):
        theta = done.theta.copy()
        theta[1, 0] = value
        dataclasses.replace(done, theta=theta).save(tmp_path)
        with pytest.raises(ValueError, match=rf"card\.json: rate of fitted mouse 1 {message}"):
            load_fit(tmp_path)
        dataclasses.replace(done, theta=theta, converged=np.array([True, False])).save(tmp_path)
        load_fit(tmp_path)


WRONG_NETWORKS = [
    ({"members": 0}, r"card.json: members: .*greater than or equal to 1"),
    ({"members": 10**9}, r"card.json: training has 1 entries; expected 1000000000"),
    ({"members": 2, "training": [{"train": [0.6], "held_out": [0.6], "best": 0}] * 2}, r"model.safetensors: .*of 2 members"),
    ({"training": [{"train": [0.6], "held_out": [], "best": 0}]}, r"card.json: training.0: held_out has the shape \(0,\)"),
    ({"training": [{"train": [0.6], "held_out": [0.6], "best": 1}]}, r"card.json: training.0: best is 1; expected one of 1"),
    ({"model": "rnnglm"}, r"model.safetensors: not the weights of the network"),
    ({"model": "reinforce"}, r"card.json: model 'reinforce' is a closed-form one"),
    ({"network": {}}, r"model.safetensors: not the weights of the network"),
    ({"network": []}, r"card.json: network: "),
    ({"network": {"depth": 3}}, r"card.json: unknown key in \[network\]: 'depth'"),
    ({"network": {"hidden": 10**6}}, r"model.safetensors: not the weights of the network"),
    ({"network": {"hidden": 10**12}}, r"model.safetensors: not the weights of the network"),
    ({"network": {"hidden": "many"}}, r"card.json: network.hidden: "),
    ({"initial_weights": [[None, 0.0, 0.0]] * 2}, r"card.json: initial_weights holds nan; expected finite numbers"),
    ({"noise": {"trial": [-1.0, 0.0, 0.0], "day": [0.0] * 3}}, r"card.json: trial holds -1.0; expected .* at least 0"),
    ({"noise": {"trial": [0.0], "day": [0.0] * 3}}, r"card.json: trial has the shape \(1,\); expected \(3,\)"),
    ({"file_hash": "0" * 64}, r"model.safetensors: .*it is of another fit, or was changed"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG_NETWORKS, ids=[str(changes)[:40] for changes, _ in WRONG_NETWORKS])
def test_wrong_card_of_a_network_is_one_sentence_of_its_file(changes, message, tmp_path):
    """Sizes are compared before a network is built: a million units would need 4 TB."""
    altered(fit_of_network("dnnglm"), tmp_path, **changes)
    with pytest.raises(ValueError, match=rf"^{tmp_path}/{message}") as caught:
        load_fit(tmp_path)
    assert "\n" not in str(caught.value)


def test_network_that_was_changed_is_found_out(tmp_path):
    fit_of_network("dnnglm").save(tmp_path)
    weights = tmp_path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors: .*was changed"):
        load_fit(tmp_path)
    weights.unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors: not the weights of the network"):
        load_fit(tmp_path)


def test_fit_of_a_rule_that_is_not_registered_is_said_so(tmp_path, monkeypatch):
    fit_of_rule("reinforce", "reinforce").save(str(tmp_path))
    monkeypatch.delitem(RULES, "reinforce")
    with pytest.raises(ValueError, match=r"card\.json: rule: unknown rule 'reinforce'.*a rule of your own must be registered"):
        load_fit(str(tmp_path))


def test_rule_may_be_a_path(tmp_path):
    done = fit_of_rule("reinforce", "reinforce")
    done.save(tmp_path)
    assert Cohort(rule=tmp_path, mice=2).theta(1).tolist() == done.theta.tolist()
    assert Cohort(rule=tmp_path) == Cohort(rule=str(tmp_path))


def test_damaged_cards_are_read_or_refused_in_one_sentence(tmp_path):
    """A few of the cases of `tests/fuzz/fuzz_cards.py`."""
    outcomes, wrong = fuzz_cards.run(40, 7, tmp_path)
    assert not wrong
    assert outcomes["refused"] > 20


def test_wrong_card_of_a_network_is_refused_by_file_and_key(tmp_path):
    done = fit_of_network("dnnglm")
    altered(done, tmp_path, network=done.rule.settings.model_dump() | {"hidden": 0})
    with pytest.raises(ValueError, match=r"card.json: network.hidden: .*greater than or equal to 1"):
        load_fit(tmp_path)
    altered(done, tmp_path, network=done.rule.settings.model_dump() | {"hidden": 9})
    with pytest.raises(ValueError, match=r"model.safetensors: not the weights of the network of card.json"):
        load_fit(tmp_path)
    altered(done, tmp_path, initial_weights=[[0.0, 0.0]])
    with pytest.raises(ValueError, match=r"card.json: initial_weights has the shape \(1, 2\); expected \(2, 3\)"):
        load_fit(tmp_path)
    done.save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"model.safetensors: not the weights"):
        load_fit(tmp_path)
