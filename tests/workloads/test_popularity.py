"""Skewed experts: copies and packing by their own rules, the busiest rank by drawn tokens, and what a step feels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.assembly.pools import deployment_of
from simulator.engine.breakdown import iteration_parts
from simulator.errors import InputError
from simulator.hardware.kernels.experts import relative_loads
from simulator.scenario import scenario_from
from simulator.workloads.expert_serving import ExpertServing
from simulator.workloads.graph import token_calls
from simulator.workloads.operators import Collective, Experts
from simulator.workloads.parallelism import Parallelism, Precision, weight_bytes
from simulator.workloads.popularity import activation, busiest_rank, copied, packed, popularity
from tests.builders import timer_of, tiny_model

MODEL = tiny_model(experts=True)
TWO_BY_TWO = Parallelism(tensor=1, data=4, expert=4)


@given(
    loads=st.lists(st.floats(0.01, 100), min_size=4, max_size=40),
    redundant=st.integers(0, 20),
    ranks=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_copies_and_packing_lose_no_load(loads: list[float], redundant: int, ranks: int) -> None:
    """The busiest rank is never below the mean, nor more than the heaviest copy of each of its places above."""
    redundant += -(len(loads) + redundant) % ranks
    copies = copied(np.array(loads), redundant)
    assert len(copies) == len(loads) + redundant
    total = packed(copies, ranks)
    assert total.sum() == pytest.approx(sum(loads)) == pytest.approx(copies.sum())
    assert total.max() >= total.mean() - 1e-9
    assert total.max() - total.min() <= copies.max() + 1e-9


def test_copies_go_where_a_copy_has_most() -> None:
    """8 is halved, then cut in three, since 4 > 3; then 3 > 8/3 is halved."""
    assert sorted(copied(np.array([8.0, 3.0, 1.0]), 3).tolist()) == [1.0, 1.5, 1.5, 8 / 3, 8 / 3, 8 / 3]


@pytest.mark.parametrize("skew", [0.3, 0.8])
def test_rebalancing_and_copies_even_ranks_out(skew: float) -> None:
    loose = busiest_rank(256, skew, 32, None)
    tight = busiest_rank(256, skew, 32, 0)
    copied_ones = busiest_rank(256, skew, 32, 32)
    assert loose > tight >= copied_ones >= 1.0
    assert copied_ones == pytest.approx(1.0, abs=0.05)
    assert busiest_rank(256, 0.0, 32, None) == busiest_rank(256, skew, 1, None) == 1.0


def test_the_busiest_rank_is_that_of_drawn_tokens() -> None:
    """Tokens drawn one by one over experts on ranks at random: the busiest rank has the expected share."""
    rng = np.random.default_rng(11)
    chances = popularity(64, 0.8)
    found = []
    for _ in range(300):
        counts = rng.multinomial(200_000, chances)
        found.append(rng.permutation(counts).reshape(8, 8).sum(axis=1).max() / 25_000)
    assert busiest_rank(64, 0.8, 8, None) == pytest.approx(np.mean(found), rel=0.03)


def test_distinct_experts_are_those_of_drawn_tokens() -> None:
    rng = np.random.default_rng(5)
    chances = 2 * popularity(32, 0.5)
    drawn = (rng.random((2000, 12, 32)) < chances).any(axis=1).sum(axis=1).mean()
    op = Experts(12.0, 128, 128, 2, 32, distribution="zipf_0.5")
    assert float(np.asarray(op.active())) == pytest.approx(drawn, rel=0.02)
    assert float(np.asarray(op.active())) < float(np.asarray(replace(op, distribution="random").active()))
    assert op.rarest == pytest.approx(chances.min())


def test_no_skew_is_the_balanced_law() -> None:
    even = activation(np.array([1.0, 9.0]), 2, popularity(8, 0.0))
    assert even == pytest.approx(np.tile(1 - 0.75 ** np.array([[1.0], [9.0]]), 8))
    assert relative_loads("zipf_0.0", np.array([4.0])) == pytest.approx(1.0)
    one, other = (timer_of(MODEL, parallel=replace(TWO_BY_TWO, experts=e)) for e in (ExpertServing(), SAME))
    assert [one.stages[0].token_seconds[t] for t in range(64)] == [other.stages[0].token_seconds[t] for t in range(64)]


SAME = ExpertServing(skew=0.0, redundant=0)


def test_a_skew_lengthens_the_step_and_copies_shorten_it() -> None:
    """At many tokens, where arithmetic bounds the experts and so the busiest rank's visits do."""

    def seconds(serving: ExpertServing) -> float:
        return timer_of(MODEL, parallel=replace(TWO_BY_TWO, experts=serving)).stages[0].token_seconds[60_000]

    even, skewed, rebalanced = map(seconds, (ExpertServing(), ExpertServing(1.0), ExpertServing(1.0, redundant=4)))
    assert even < rebalanced < skewed


def test_copies_take_memory() -> None:
    """Four more copies a layer on four devices: one more expert each in two layers."""
    more = replace(TWO_BY_TWO, experts=ExpertServing(0.5, redundant=4))
    expert = 3 * 128 * 128 * 2
    assert weight_bytes(MODEL, more, Precision()) - weight_bytes(MODEL, TWO_BY_TWO, Precision()) == 2 * expert


def test_local_visits_leave_no_bytes_to_exchange() -> None:
    def exchanged(share: float) -> float:
        placed = replace(TWO_BY_TWO, experts=ExpertServing(local_share=share))
        calls = token_calls(MODEL, placed, Precision(), 64.0)
        ops = [c.op for c in calls if isinstance(c.op, Collective) and c.op.pattern == "all_to_all"]
        return sum(float(np.asarray(op.bytes())) for op in ops)

    # 16 tokens a device, each to 2 experts, of 128 numbers in bf16, out and back.
    assert exchanged(0.0) == 2 * 16 * 2 * 128 * 2
    assert exchanged(0.4) == pytest.approx(0.6 * exchanged(0.0))
    assert exchanged(1.0) == 0.0


SCENARIO: dict[str, Any] = {
    "model": "deepseek-ai/DeepSeek-V2-Lite",
    "device": "nvidia-h100-sxm-80gb",
    "parallel": {"data": 4, "expert": 4},
    "experts": {"skew": 0.8, "redundant": 8, "local_share": 0.3},
    "load": {"generator": "chat-1k-1k"},
}


def test_parts_add_up_to_the_step() -> None:
    d = deployment_of(scenario_from(SCENARIO))
    parts = iteration_parts(d, decode=[500] * 64)
    whole = d.timer.step_seconds(64, [(64 * 501, 64)], d.timer.chunks([]))
    assert sum(p.seconds for p in parts) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experts": {"skew": 0.8, "redundant": 6}}, "experts.redundant 6 is not a multiple of expert_parallel 4"),
        ({"experts": {"local_share": 1.5}}, "experts.local_share"),
        ({"experts": {"redundant": 4, "offload": {"cached_share": 0.5}}}, "redundant beside offload"),
    ],
)
def test_wrong_fields_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        deployment_of(scenario_from(SCENARIO | change))
