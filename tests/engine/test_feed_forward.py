"""Layers fed forward on other devices: the ping-pong pipeline by hand, bytes and weights, both sides accounted for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.assembly.control import cold_start_seconds
from simulator.assembly.pools import deployment_of
from simulator.engine.breakdown import iteration_parts
from simulator.engine.chunks import NO_CHUNKS
from simulator.engine.feed_forward import FeedForwardPool
from simulator.engine.ping_pong import LayerSeconds, pipeline_seconds
from simulator.engine.step_timer import StepTimer
from simulator.errors import InputError
from simulator.experiment import run
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import Link, link
from simulator.hardware.overheads import StepOverheads
from simulator.hardware.relatives import calibrations_for
from simulator.planning.space import Configuration
from simulator.report.serving import series
from simulator.scenario import Scenario, scenario_from
from simulator.specs.control import ColdStartSpec
from simulator.workloads.graph import token_calls
from simulator.workloads.operators import Collective
from simulator.workloads.parallelism import Parallelism, Precision, weight_bytes
from simulator.workloads.sides import (
    attention_side_calls,
    feed_forward_bytes,
    feed_forward_side_calls,
    without_feed_forward,
)
from simulator.workloads.transformer import Transformer
from tests.builders import Rows, serve, timer_of, tiny_model
from tests.engine.test_fast_forward import outcome, workloads

L4 = device("nvidia-l4-24gb")
LAW = TimingLaw(L4, calibrations_for(L4), fabric_of(L4, None))
NO_LINK = Link("none", 1e30, 0.0, 1.0, "test")
PCIE = link("pcie-gen4-x16")
SECONDS = st.floats(0.0, 10.0)


def pool(over: Link = NO_LINK, micro_batches: int = 1, devices: int = 1, expert: int = 1) -> FeedForwardPool:
    return FeedForwardPool(LAW, devices, expert, over, micro_batches)


def timer(found: FeedForwardPool, model: Transformer, parallel: Parallelism | None = None) -> StepTimer:
    return StepTimer(model, parallel or Parallelism(), Precision(), LAW, StepOverheads(), pool=found)


def scheduled(layers: list[LayerSeconds], micro_batches: int) -> float:
    """Micro-batches in turn through attention, link, feed-forward and link of every layer, each as soon as it can."""
    free = [0.0] * 4
    ready = [0.0] * micro_batches
    for layer in layers:
        for i in range(micro_batches):
            for place, seconds, beyond in (
                (0, layer.attention, 0.0),
                (1, layer.transfer, layer.latency),
                (2, layer.feed_forward, 0.0),
                (3, layer.transfer, layer.latency),
            ):
                free[place] = max(ready[i], free[place]) + seconds
                ready[i] = free[place] + beyond
    return max(ready)


@given(SECONDS, SECONDS, SECONDS, SECONDS, st.integers(1, 12), st.integers(1, 6))
def test_equal_layers_take_what_a_greedy_schedule_takes(
    attention: float, feed: float, transfer: float, latency: float, layers: int, cut: int
) -> None:
    layer = LayerSeconds(attention, feed, transfer, latency)
    found = pipeline_seconds([(layer, layers)], layer, cut)
    assert found == pytest.approx(scheduled([layer] * layers, cut), rel=1e-9, abs=1e-12)


@given(st.floats(0.001, 10.0), st.floats(0.001, 10.0), st.floats(0.0, 0.999), st.integers(1, 12))
def test_hidden_transfers_leave_the_paper_s_total(attention: float, feed: float, part: float, layers: int) -> None:
    """MegaScale-Infer, eq. 3 and 5: m >= 2 (1 + T_c / T_f) micro-batches with T_c < T_f hide the transfers."""
    longest = max(attention, feed)
    cut, transfer = math.ceil(2 * (1 + part)), part * longest
    layer = LayerSeconds(attention, feed, transfer, 0.0)
    total = (attention + feed + 2 * transfer) + longest * (cut * layers - 1)
    assert pipeline_seconds([(layer, layers)], layer, cut) == pytest.approx(total, rel=1e-9)


@given(st.lists(st.tuples(SECONDS, SECONDS, SECONDS), min_size=1, max_size=6), SECONDS, st.integers(1, 6))
def test_unlike_layers_lie_between_the_busiest_side_and_one_layer_after_the_other(
    rows: list[tuple[float, float, float]], latency: float, cut: int
) -> None:
    layers = [LayerSeconds(*row, latency) for row in rows]
    found = pipeline_seconds([(layer, 1) for layer in layers], layers[-1], cut)
    busiest = cut * max(sum(row[i] for row in rows) for i in range(3))
    apart = sum(layer.through + (cut - 1) * float(layer.busiest) for layer in layers)
    assert max(busiest, sum(layer.through for layer in layers)) <= found * (1 + 1e-9) + 1e-12
    assert found <= apart * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("experts", [False, True])
@given(sequences=st.integers(1, 300), context=st.integers(1, 3000), prompt=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_without_a_link_and_without_turns_two_equal_devices_are_as_fast_as_one(
    experts: bool, sequences: int, context: int, prompt: int
) -> None:
    model = tiny_model(experts=experts, window=64)
    whole, apart = timer_of(model), timer(pool(), model)
    contexts = [(span.attended(context) * sequences, sequences) for span in whole.spans]
    chunks = [(0, prompt)] if prompt else []
    alone = StepTimer(model, Parallelism(), Precision(), LAW, StepOverheads())
    found = apart.step_seconds(sequences, contexts, apart.chunks(chunks))
    assert found == pytest.approx(alone.step_seconds(sequences, contexts, alone.chunks(chunks)), rel=1e-9)


@pytest.mark.parametrize("experts", [False, True])
def test_the_two_sides_do_the_work_of_the_whole(experts: bool) -> None:
    """FLOPs, memory traffic and weights of attention and of its pool add up to those of the undivided model."""
    model, layout, formats = tiny_model(experts=experts), Parallelism(), Precision()
    sides = [
        *attention_side_calls(model, layout, formats, 96.0),
        *feed_forward_side_calls(model, layout, formats, 96.0),
    ]
    for of in ("flops", "bytes"):
        whole = sum(float(getattr(c.op, of)()) * c.count for c in token_calls(model, layout, formats, 96.0))
        assert sum(float(getattr(c.op, of)()) * c.count for c in sides) == pytest.approx(whole)
    held = weight_bytes(without_feed_forward(model), layout, formats) + feed_forward_bytes(model, layout, formats)
    assert held == pytest.approx(weight_bytes(model, layout, formats))


def test_transfers_take_what_their_bytes_take() -> None:
    """A token of 128 numbers of two bytes goes to the two experts that it visits, over four links or over two."""
    model, rate = tiny_model(experts=True), PCIE.bandwidth * PCIE.efficiency
    layer, wide = model.layers[0], Parallelism(tensor=2, data=2)
    found = pool(PCIE, devices=8, expert=8).transfer_seconds(model, wide, Precision(), layer, np.asarray(64.0))
    assert found == pytest.approx(64 * 2 * 128 * 2 / (4 * rate))
    narrow = pool(PCIE, devices=2, expert=2).transfer_seconds(model, wide, Precision(), layer, np.asarray(64.0))
    assert narrow == pytest.approx(64 * 2 * 128 * 2 / (2 * rate))
    dense = tiny_model()
    once = pool(PCIE).transfer_seconds(dense, Parallelism(), Precision(), dense.layers[0], np.asarray(64.0))
    assert once == pytest.approx(64 * 128 * 2 / rate)


def test_one_micro_batch_is_the_sum_of_both_sides_and_four_transfers() -> None:
    model = tiny_model()
    bare, wired = timer(pool(), model), timer(pool(PCIE), model)
    contexts = [(8 * 512, 8)]
    moved = 8 * 128 * 2 / (PCIE.bandwidth * PCIE.efficiency)
    seconds = [t.step_seconds(8, contexts, NO_CHUNKS) for t in (bare, wired)]
    assert seconds[1] - seconds[0] == pytest.approx(2 * 2 * (moved + PCIE.latency), rel=1e-6)


@given(sequences=st.integers(1, 400), groups=st.integers(1, 4), most=st.integers(1, 6))
def test_every_group_has_a_token_in_every_micro_batch(sequences: int, groups: int, most: int) -> None:
    found = timer(pool(micro_batches=most), tiny_model(), Parallelism(data=groups))
    assert found.ping_pong is not None
    cut = found.ping_pong.micro_batches(sequences)
    assert cut == pool(micro_batches=most).cut(np.asarray(float(sequences)), groups)
    assert 1 <= cut <= most
    assert cut == 1 or sequences >= cut * groups


def test_groups_that_share_a_pool_serve_more_for_each_device() -> None:
    """The pool reads its weights once for the tokens of all groups: twice the groups cost less than twice the step."""
    model = tiny_model(experts=True)
    one, two = (timer(pool(), model, Parallelism(data=n)) for n in (1, 2))
    alone = one.step_seconds(64, [(64 * 512, 64)], NO_CHUNKS)
    shared = two.step_seconds(128, [(128 * 512, 128)], NO_CHUNKS)
    assert alone < shared < 2 * alone


TIMERS = {
    "serial": timer(pool(PCIE), tiny_model()),
    "window": timer(pool(PCIE, micro_batches=3), tiny_model(window=7)),
    "experts": timer(pool(PCIE, 3, 4, 2), tiny_model(experts=True), Parallelism(data=2)),
}


@settings(max_examples=60, deadline=None)
@given(source=workloads(), name=st.sampled_from(sorted(TIMERS)), blocks=st.integers(25, 60))
def test_fast_forward_changes_no_time(source: Rows, name: str, blocks: int) -> None:
    found = []
    for fast_forward in (True, False):
        _, recorder = serve(source, timer=TIMERS[name], blocks=blocks, fast_forward=fast_forward)
        assert recorder.finished == len(source.requests)
        found.append(outcome(recorder))
    assert found[0] == found[1]


LOAD: dict[str, Any] = {
    "generator": {
        "arrivals": {"process": "poisson", "rate": 100.0},
        "prompt_tokens": {"law": "fixed", "tokens": 300},
        "output_tokens": {"law": "fixed", "tokens": 40},
        "requests": 60,
    }
}
MIXTRAL: dict[str, Any] = {
    "model": "mistralai/Mixtral-8x7B-v0.1",
    "device": "nvidia-h20-96gb",
    "parallel": {"data": 2},
    "feed_forward": {
        "device": "nvidia-l40s-48gb",
        "devices": 8,
        "expert": 8,
        "link": "roce-200",
        "price_per_device_hour": 1.5,
    },
    "price_per_device_hour": 2.0,
    "load": LOAD,
}


def scenario(pool_changes: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    values = MIXTRAL | changes
    return scenario_from(values | {"feed_forward": values["feed_forward"] | (pool_changes or {})})


def test_both_sides_are_counted() -> None:
    result = run(scenario())
    summary, edges = result.summary, series.bin_edges(result)
    deployment, pool_figures = summary["deployment"], summary["deployment"]["feed_forward_pool"]
    assert deployment["devices"] == 10
    assert pool_figures["devices"] == 8
    hours = summary["makespan_s"] / 3600
    assert summary["cost"]["total_usd"] == pytest.approx(hours * (2 * 2.0 + 8 * 1.5))
    assert summary["cost"]["usd_per_device_hour"] == pytest.approx(1.6)
    idle = 2 * device("nvidia-h20-96gb").idle_power + 8 * device("nvidia-l40s-48gb").idle_power
    most = 2 * device("nvidia-h20-96gb").tdp + 8 * device("nvidia-l40s-48gb").tdp
    assert idle < summary["energy"]["mean_power_w"] < most
    binned = (series.total_power(result, edges) * np.diff(edges)).sum()
    assert binned == pytest.approx(summary["energy"]["total_j"])
    found = summary["feed_forward"]
    assert 0 < found["mfu_while_busy"] < 1
    assert 0 < found["busy"] <= 1
    assert 0 < found["link_busy"] < 1


def test_weights_and_cache_are_where_they_should_be() -> None:
    """An eighth of the experts on each device of the pool; attention, router, embedding and head on the others."""
    found = deployment_of(scenario())
    model, hidden = found.model, found.model.hidden
    assert found.pool_memory is not None
    assert found.pool_memory.weights == 32 * 3 * hidden * 14336 * 2
    router = 32 * hidden * 8
    attention = 32 * (model.layers[0].attention.parameters(hidden) + 2 * hidden)
    assert found.memory.weights == 2 * (router + attention + 2 * model.vocab * hidden)
    halved = deployment_of(scenario({"weights": "fp8"})).pool_memory
    assert halved is not None
    assert halved.weights == pytest.approx(found.pool_memory.weights / 2)
    alone = deployment_of(scenario(parallel={"data": 1}))
    assert abs(found.memory.blocks - 2 * alone.memory.blocks) / found.memory.blocks < 0.01


def test_a_cold_start_loads_the_weights_of_both_sides() -> None:
    found = deployment_of(scenario())
    assert found.pool_memory is not None
    whole = 2 * found.memory.weights + 8 * found.pool_memory.weights
    assert cold_start_seconds(ColdStartSpec(fixed_s=1.0, gb_per_s=2.0), found) == pytest.approx(1.0 + whole / 2e9)


def test_flops_of_both_sides_are_those_of_the_model() -> None:
    """All tokens pass all layers once, whichever devices and micro-batches they do it in."""
    apart, whole = run(scenario()), run(scenario_from({**MIXTRAL, "parallel": {"tensor": 8}, "feed_forward": None}))
    sums = []
    for result in (apart, whole):
        rows, d = result.iteration_columns, result.deployment
        tokens = (rows["decode_sequences"] + rows["prefill_tokens"]).astype(int)
        flops = float((rows["steps"] * d.timer.stages[0].token_flops.many(tokens)).sum()) * d.parallel.devices
        if d.timer.ping_pong is not None:
            flops += float((rows["steps"] * d.timer.ping_pong.flops.many(tokens)).sum()) * 8
        sums.append(flops)
    assert sums[0] == pytest.approx(sums[1], rel=0.05)  # groups round their tokens up, routers are copied or not


def test_parts_of_an_iteration_add_up_to_it() -> None:
    found = deployment_of(scenario())
    parts = iteration_parts(found, prefill=[(0, 200)], decode=[500] * 30)
    timer = found.timer
    contexts = [(30 * 501, 30)]
    assert sum(p.seconds for p in parts) == pytest.approx(
        timer.step_seconds(30, contexts, timer.chunks([(0, 200)])), rel=1e-9
    )
    assert sum(p.share for p in parts) == pytest.approx(1.0)
    assert "waiting for the feed-forward pool" in {p.name for p in parts}
    assert not {"experts"} & {p.name for p in parts}


def test_uncertain_kernels_are_uncertain_on_both_sides() -> None:
    """Experts that take twice as long keep the pool busy for twice as long."""
    usual, slow = (deployment_of(scenario(), factors=f).timer.ping_pong for f in ({}, {"experts": 2.0}))
    assert usual is not None
    assert slow is not None
    assert slow.seconds[96] == pytest.approx(2 * usual.seconds[96])


def test_a_faster_link_never_slows_a_step() -> None:
    model = tiny_model(experts=True)
    for cut in (1, 2, 4):
        slow, fast = (timer(pool(link(name), cut), model) for name in ("ethernet-10", "roce-400"))
        for sequences in (1, 8, 64, 256):
            contexts = [(sequences * 512, sequences)]
            steps = [t.step_seconds(sequences, contexts, NO_CHUNKS) for t in (fast, slow)]
            assert steps[0] <= steps[1]


def test_prompts_may_come_from_a_prefill_pool() -> None:
    apart = {"device": "nvidia-h100-sxm-80gb", "parallel": {"tensor": 4}, "transfer": {"link": "roce-200"}}
    result = run(scenario(disaggregation=apart))
    assert len(result.request_columns["index"]) == 60
    assert result.summary["kv_transfer"]["transfers"] == 60
    assert result.pools[1].deployment.timer.ping_pong is None
    assert result.summary["deployment"]["devices"] == 14


def test_shards_of_a_group_join_their_sums() -> None:
    model, layout = tiny_model(experts=True), Parallelism(tensor=2, data=4, expert=4)
    calls = feed_forward_side_calls(model, layout, Precision(), 96.0)
    sums = [c.op for c in calls if isinstance(c.op, Collective)]
    assert [c.world for c in sums] == [2]
    assert float(sums[0].message) == 96 * 2 / 4 * 128 * 2
    assert feed_forward_bytes(model, layout, Precision()) == feed_forward_bytes(model, Parallelism(), Precision()) / 8


def test_a_plan_counts_and_rents_both_sides() -> None:
    one = Configuration(scenario(), {}, 2.0, 4)
    assert one.devices == 10
    assert one.usd_per_hour == pytest.approx(2 * 2.0 + 8 * 1.5)
    alike = Configuration(scenario({"device": None, "price_per_device_hour": None}), {}, 3.0, 4)
    assert alike.usd_per_hour == pytest.approx(10 * 3.0)


@pytest.mark.parametrize(
    ("pool_changes", "changes", "message"),
    [
        ({"expert": 3}, {}, "must divide feed_forward.devices"),
        ({"link": "roce-9"}, {}, "roce-9"),
        ({"weights": "fp9"}, {}, "fp9"),
        ({"micro_batches": 0}, {}, "micro_batches"),
        ({"devices": 6, "expert": 6}, {}, "does not divide the 8 experts"),
        ({"devices": 1, "expert": 1}, {}, "raise feed_forward.devices"),
        ({}, {"kv_cache": {"memory_utilization": 0.02}}, "attention of .* on 2 .*: use tensor_parallel 4$"),
        ({}, {"parallel": {"pipeline": 2}}, "parallel.pipeline"),
        ({}, {"parallel": {"data": 2, "expert": 2}}, "parallel.expert"),
        ({"expert": 8}, {"model": "meta-llama/Llama-3.1-8B"}, "needs experts"),
        ({"expert": 1}, {"model": "EleutherAI/gpt-j-6b"}, "side by side"),
        ({}, {"speculation": {"policy": "fixed"}}, "beside speculation"),
        ({}, {"execution": {"policy": "nano-batches"}}, "beside execution"),
        ({}, {"shared_prefix_tokens": 16}, "beside shared_prefix_tokens"),
        ({}, {"experts": {"offload": {"cached_share": 0.5}}}, "beside experts.offload"),
        ({}, {"attention_offload": {"device": "nvidia-h20-96gb", "link": "roce-400"}}, "beside attention_offload"),
    ],
)
def test_what_cannot_be_is_named(pool_changes: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(scenario(pool_changes, **changes))
