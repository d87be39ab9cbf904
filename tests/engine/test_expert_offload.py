"""Experts in host memory: loads by closed forms and by a cache that is played out, and what of them a step feels."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.breakdown import iteration_parts
from simulator.engine.deployment import Deployment, deploy
from simulator.engine.step_timer import StepTimer
from simulator.errors import InputError
from simulator.experiment import run
from simulator.hardware.links import Link
from simulator.scenario import scenario_from
from simulator.workloads.expert_serving import ExpertServing, Offload
from simulator.workloads.graph import prefetch_calls, token_calls
from simulator.workloads.operators import HostCopy
from simulator.workloads.parallelism import Parallelism, Precision, weight_bytes
from simulator.workloads.popularity import activation, popularity
from tests.builders import rows, serve, tiny_model

MODEL = tiny_model(experts=True)
DEVICE = "nvidia-l4-24gb"
EXPERT_BYTES = 3 * 128 * 128 * 2  # three matrices of 128 x 128 in bf16


def deployed(offload: Offload | None, *, skew: float = 0.0, parallel: Parallelism | None = None) -> Deployment:
    layout = replace(parallel or Parallelism(), experts=ExpertServing(skew, offload=offload))
    return deploy(MODEL, DEVICE, parallel=layout)


def timer_over(wire: Link, offload: Offload | None) -> StepTimer:
    """A timer whose device reaches host memory over this link."""
    d = deployed(offload)
    law = replace(d.law, fabric=replace(d.fabric, host=wire))
    return StepTimer(MODEL, d.parallel, d.precision, law, d.timer.overheads)


def steps(timer: StepTimer, decoding: int = 4) -> float:
    return timer.step_seconds(decoding, [(decoding * 100, decoding)], timer.chunks([]))


@pytest.mark.parametrize("tokens", [1, 7, 300])
def test_bytes_of_a_miss_by_hand(tokens: int) -> None:
    """Two layers, each lacking half of the 8 (1 - (1 - 2/8)^T) experts that T tokens choose."""
    layout = Parallelism(experts=ExpertServing(offload=Offload(0.5)))
    loads = [c for c in token_calls(MODEL, layout, Precision(), float(tokens)) if isinstance(c.op, HostCopy)]
    expected = 0.5 * 8 * (1 - 0.75**tokens)
    assert [c.count for c in loads] == [2]
    assert float(np.asarray(loads[0].op.bytes())) == pytest.approx(expected * EXPERT_BYTES)
    assert not prefetch_calls(MODEL, layout, Precision(), float(tokens))


def test_expert_parallel_devices_load_their_own_experts() -> None:
    """Two ranks halve the loads of each, two devices that share an expert its bytes."""

    def loaded(layout: Parallelism) -> float:
        placed = replace(layout, experts=ExpertServing(offload=Offload(0.25)))
        calls = token_calls(MODEL, placed, Precision(), 9.0)
        return sum(float(np.asarray(c.op.bytes())) for c in calls if isinstance(c.op, HostCopy))

    whole = loaded(Parallelism())
    assert loaded(Parallelism(tensor=2, expert=2)) == pytest.approx(whole / 2)
    assert loaded(Parallelism(tensor=2)) == pytest.approx(whole / 2)


def test_memory_counts_only_cached_experts() -> None:
    every = weight_bytes(MODEL, Parallelism(), Precision())
    quarter = weight_bytes(MODEL, Parallelism(experts=ExpertServing(offload=Offload(0.25))), Precision())
    assert every - quarter == pytest.approx(0.75 * 2 * 8 * EXPERT_BYTES)
    assert deployed(Offload(0.25)).memory.blocks > deployed(None).memory.blocks


def test_on_demand_loads_add_their_time_over_the_link() -> None:
    wire = Link("test", 1e9, 1e-4, 0.5, "test")
    missed = 2 * 0.5 * 8 * (1 - 0.75**4)
    expected = missed * (EXPERT_BYTES / 0.5e9 + 1e-4)
    # The launch floor is out of the way: these loads are far longer.
    slow, free = timer_over(wire, Offload(0.5)), timer_over(Link("none", 1e30, 0.0, 1.0, "test"), Offload(0.5))
    assert slow.stages[0].token_seconds[4] - free.stages[0].token_seconds[4] == pytest.approx(expected)


def test_a_cache_of_all_experts_changes_no_bit() -> None:
    for offload in (Offload(1.0), Offload(1.0, "static", 0.5)):
        assert steps(deployed(offload).timer) == steps(deployed(None).timer)
        assert deployed(offload).memory == deployed(None).memory


def test_right_predictions_over_a_fast_link_hide_all_loads() -> None:
    fast = Link("fast", 1e15, 0.0, 1.0, "test")
    assert steps(timer_over(fast, Offload(0.1, accuracy=1.0))) == steps(timer_over(fast, None))


def test_right_predictions_over_a_slow_link_leave_its_time_alone() -> None:
    """The longer of loads and operators bounds the step, so that prefetching at most halves it."""
    slow = Link("slow", 1e8, 0.0, 1.0, "test")
    link_seconds = 2 * 0.5 * 8 * (1 - 0.75**4) * EXPERT_BYTES / 1e8
    ahead = timer_over(slow, Offload(0.5, accuracy=1.0))
    assert steps(ahead) - ahead.host_seconds(4) == pytest.approx(link_seconds)
    assert steps(ahead) < steps(timer_over(slow, Offload(0.5))) < 2 * steps(ahead)


@given(first=st.floats(0, 1), second=st.floats(0, 1), share=st.floats(0.05, 1))
@settings(max_examples=15, deadline=None)
def test_better_predictions_and_larger_caches_never_cost(first: float, second: float, share: float) -> None:
    wire = Link("test", 5e9, 1e-5, 0.8, "test")
    low, high = sorted((first, second))
    assert steps(timer_over(wire, Offload(share, accuracy=high))) <= steps(
        timer_over(wire, Offload(share, accuracy=low))
    )
    small, large = sorted((share, 0.01 + 0.99 * first))
    assert steps(timer_over(wire, Offload(large))) <= steps(timer_over(wire, Offload(small))) + 1e-12


@pytest.mark.parametrize(("tokens", "skew", "held"), [(1, 0.0, 16), (4, 1.0, 16), (2, 0.7, 32), (16, 1.2, 24)])
def test_misses_are_those_of_an_lru_cache_played_out(tokens: int, skew: float, held: int) -> None:
    """Experts drawn at random step by step, and a list of those used last: its misses are the law's."""
    rng = np.random.default_rng(7)
    experts, top_k, rounds = 64, 2, 6000
    chances = activation(np.array(tokens), top_k, popularity(experts, skew))
    cache: OrderedDict[int, None] = OrderedDict((e, None) for e in range(held))
    missed = 0
    for _ in range(rounds):
        used = rng.permutation(np.flatnonzero(rng.random(experts) < chances)).tolist()
        missed += sum(e not in cache for e in used)
        for expert in used:
            cache[expert] = None
            cache.move_to_end(expert)
        while len(cache) > held:
            cache.popitem(last=False)
    law = ExpertServing(skew, offload=Offload(held / experts)).missed(tokens, top_k, experts)
    assert missed / rounds == pytest.approx(float(law), rel=0.04)


def test_the_static_cache_holds_the_most_popular() -> None:
    chances = activation(np.array(3.0), 2, popularity(8, 1.0))
    serving = ExpertServing(1.0, offload=Offload(0.25, "static"))
    assert float(serving.missed(3.0, 2, 8)) == pytest.approx(chances[2:].sum())
    assert float(serving.missed(3.0, 2, 8)) < float(ExpertServing(1.0, offload=Offload(0.25)).missed(3.0, 2, 8))


@pytest.mark.parametrize("offload", [Offload(0.3), Offload(0.3, accuracy=0.8), Offload(0.3, "static", 1.0)])
def test_parts_add_up_to_the_step(offload: Offload) -> None:
    d = deployed(offload, skew=0.8)
    parts = iteration_parts(d, prefill=[(0, 40)], decode=[50, 60, 70])
    timer = d.timer
    whole = timer.step_seconds(3, [(183, 3)], timer.chunks([(0, 40)]))
    assert sum(p.seconds for p in parts) == pytest.approx(whole)
    assert sum(p.share for p in parts) == pytest.approx(1.0)
    assert any(p.bound == "host link" for p in parts)


@given(
    gaps=st.lists(st.floats(0, 0.02), min_size=1, max_size=8),
    prompts=st.integers(1, 40),
    outputs=st.integers(1, 60),
    which=st.sampled_from([0, 1, 2]),
)
@settings(max_examples=25, deadline=None)
def test_fast_forward_changes_no_time(gaps: list[float], prompts: int, outputs: int, which: int) -> None:
    timer = TIMERS[which]
    source = rows(np.cumsum(gaps).tolist(), [prompts] * len(gaps), [outputs] * len(gaps))

    def outcome(fast: bool) -> list[bytes]:
        _, recorder = serve(source, timer=timer, fast_forward=fast)
        return [column.tobytes() for column in recorder.requests().values()]

    assert outcome(True) == outcome(False)


TIMERS = [
    deployed(Offload(0.4)).timer,
    deployed(Offload(0.4, accuracy=0.7), skew=1.0).timer,
    deployed(Offload(0.2, "static", 1.0), skew=0.5, parallel=Parallelism(pipeline=2)).timer,
]

SCENARIO: dict[str, Any] = {
    "model": "mistralai/Mixtral-8x7B-v0.1",
    "device": "nvidia-a100-sxm-80gb",
    "experts": {"offload": {"cached_share": 0.5}},
    "load": {
        "generator": {
            "arrivals": {"process": "poisson", "rate": 0.2},
            "prompt_tokens": {"law": "fixed", "tokens": 200},
            "output_tokens": {"law": "fixed", "tokens": 20},
            "requests": 5,
        }
    },
}


def test_a_scenario_serves_a_model_that_would_not_fit() -> None:
    """Mixtral's 93 GB of weights on one device of 80 GB; a predictor that is always right makes it quicker."""
    with pytest.raises(InputError, match="does not fit"):
        run(scenario_from(SCENARIO | {"experts": {}}))
    ahead = {"offload": {"cached_share": 0.5, "accuracy": 1.0}}
    slow, quick = (run(scenario_from(SCENARIO | {"experts": e})).summary for e in (SCENARIO["experts"], ahead))
    assert quick["latency_ms"]["e2e"]["mean"] < slow["latency_ms"]["e2e"]["mean"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experts": {"offload": {"cached_share": 0}}}, "experts.offload.cached_share"),
        ({"experts": {"offload": {"cached_share": 0.5, "accuracy": 2}}}, "experts.offload.accuracy"),
        ({"experts": {"offload": {"cached_share": 0.5, "eviction": "lfu"}}}, "experts.offload.eviction"),
        ({"execution": {"policy": "nano-batches"}}, "experts.offload beside execution nano-batches"),
        ({"model": "meta-llama/Llama-3.1-8B"}, "leave the field out"),
    ],
)
def test_wrong_fields_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(scenario_from(SCENARIO | change))
