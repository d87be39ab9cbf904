"""Classes of the user's own in the place of names."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import yaml

import simulator
from simulator.policies.batching import VllmV1
from tests.api.scenarios import SERVING


class Patient(VllmV1):
    """Admits nothing in the first seconds, and then by the usual rules."""

    def __init__(self, *, start_s: float = 0.0) -> None:
        super().__init__()
        self.start_s = start_s

    def next_batch(self, state):  # type: ignore[no-untyped-def]
        for sequence in state.waiting:
            assert state.now >= sequence.arrival
        return super().next_batch(state)


def finishes(batching: object, **settings: object) -> list[float]:
    run = simulator.run({**SERVING, "batching": batching}, settings=settings)
    return list(run.requests.finish_s)


def test_a_class_is_its_name_and_changes_nothing_of_its_own() -> None:
    plain = finishes({"policy": "vllm-v1"})
    assert finishes({"policy": Patient}) == finishes({"policy": f"{__name__}:Patient"}) == plain
    assert list(simulator.run(SERVING, settings={"batching.policy": Patient}).requests.finish_s) == plain


def test_a_class_takes_options_and_its_scenario_says_which_it_was() -> None:
    run = simulator.run({**SERVING, "batching": {"policy": Patient, "options": {"start_s": 1.0}}})
    assert yaml.safe_load(run.scenario_yaml)["batching"]["policy"] == f"{__name__}:Patient"
    with pytest.raises(simulator.InputError, match="did you mean start_s"):
        simulator.run({**SERVING, "batching": {"policy": Patient, "options": {"start": 1.0}}})


def test_a_class_of_a_notebook_is_found_in_its_main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    exec("from simulator.policies.batching import VllmV1\nclass Mine(VllmV1): pass", main.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert finishes({"policy": main.__dict__["Mine"]}) == finishes({"policy": "vllm-v1"})


def test_a_scenario_with_a_class_is_left_as_it_was() -> None:
    given = {**SERVING, "batching": {"policy": Patient}}
    simulator.run(given)
    assert given["batching"] == {"policy": Patient}


def test_a_class_that_cannot_be_named_is_refused() -> None:
    class Inner(VllmV1):
        pass

    with pytest.raises(simulator.InputError, match="outside functions and classes"):
        simulator.run({**SERVING, "batching": {"policy": Inner}})


def test_a_class_that_is_no_policy_is_refused() -> None:
    with pytest.raises(simulator.InputError, match="not a class of a policy"):
        simulator.run({**SERVING, "batching": {"policy": int, "options": {"start_s": 1}}})
