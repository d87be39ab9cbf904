"""Fine-tuning policies on iterations made by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.policies.finetuning import CoServing, Idle, NoFinetuning, Temporal
from simulator.policies.registry import build_policy


@dataclass(frozen=True)
class Made:
    """An iteration of `base` seconds, and `each` more for a token."""

    base: float = 0.01
    each: float = 1e-4
    pass_tokens: int = 1000
    window_tokens: int = 512
    remaining_tokens: int = 1500
    sequence_tokens: int = 1000

    def seconds(self, tokens: int) -> float:
        return self.base + self.each * tokens


outlooks = st.builds(
    Made,
    base=st.floats(0.0, 0.1),
    each=st.floats(1e-6, 1e-3),
    pass_tokens=st.integers(1, 3000),
    window_tokens=st.integers(1, 3000),
)


@given(outlooks, st.floats(1.0, 100.0), st.integers(1, 64))
def test_co_serving_takes_the_most_within_its_limit(outlook: Made, latency_ms: float, step: int) -> None:
    found = CoServing(latency_ms=latency_ms, step_tokens=step).beside(outlook)
    most = min(outlook.pass_tokens, outlook.window_tokens)
    assert 0 <= found <= most
    assert found == 0 or outlook.seconds(found) <= latency_ms / 1e3
    assert found == most or found % step == 0
    assert found == most or outlook.seconds(min(found + step, most)) > latency_ms / 1e3


def test_co_serving_lets_requests_go_first_and_goes_on_without() -> None:
    policy = CoServing(latency_ms=20.0, step_tokens=16)
    assert policy.alone(Made(), serving=True) == 0
    assert policy.alone(Made(), serving=False) == 96
    assert policy.alone(Made(base=1.0), serving=False) == 16
    assert policy.alone(Made(base=1.0, pass_tokens=3), serving=False) == 3
    assert policy.holds_for() == 1


def test_co_serving_takes_its_limit_from_the_objective() -> None:
    assert build_policy("finetuning", "co-serving", {}, objective_tpot_ms=30.0).limit_s == 0.03
    assert build_policy("finetuning", "co-serving", {"latency_ms": 9}, objective_tpot_ms=30.0).limit_s == 0.009
    for options, message in (
        ({}, "latency_ms is missing"),
        ({"latency_ms": 0}, "above 0"),
        ({"step_tokens": 0}, "1 or"),
    ):
        with pytest.raises(InputError, match=message):
            build_policy("finetuning", "co-serving", {"latency_ms": 5} | options if options else {})


def test_temporal_takes_a_whole_sequence_after_so_many_iterations() -> None:
    policy = Temporal(iterations=3)
    assert policy.alone(Made(), serving=True) == 0
    assert policy.holds_for() == 3
    policy.served(2)
    assert (policy.alone(Made(), serving=True), policy.beside(Made()), policy.holds_for()) == (0, 0, 1)
    policy.served(1)
    assert policy.alone(Made(), serving=True) == 1500
    assert policy.alone(Made(), serving=True) == 0
    assert policy.alone(Made(), serving=False) == 1500
    with pytest.raises(ValueError, match="iterations is 0"):
        Temporal(iterations=0)


def test_idle_takes_windows_only_without_requests() -> None:
    assert Idle().alone(Made(), serving=True) == Idle().beside(Made()) == 0
    assert Idle().alone(Made(), serving=False) == 512
    assert Idle().alone(Made(pass_tokens=9), serving=False) == 9
    assert NoFinetuning().alone(Made(), serving=False) == 0
