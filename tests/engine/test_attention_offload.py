"""Decode attention on a pool of other devices: bytes and times by hand, monotone in what the pool is given."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.assembly.pools import deployment_of
from simulator.engine.attention_offload import AttentionOffload, AttentionPool
from simulator.engine.chunks import NO_CHUNKS
from simulator.engine.step_timer import StepTimer
from simulator.errors import InputError
from simulator.experiment import run
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import link
from simulator.hardware.overheads import StepOverheads
from simulator.hardware.relatives import calibrations_for
from simulator.scenario import scenario_from
from simulator.workloads.parallelism import Parallelism, Precision
from tests.builders import Rows, serve, timer_of, tiny_model
from tests.engine.test_fast_forward import outcome, workloads

L4 = device("nvidia-l4-24gb")
LAW = TimingLaw(L4, calibrations_for(L4), fabric_of(L4, None))
PCIE = link("pcie-gen4-x16")
# The tiny model: 2 layers, 4 query heads and 2 key heads of 32 numbers, 2 bytes each.
TOKEN_BYTES = 2 * 32 * 2 * 2
MOVED = 4 * 32 * 2 + TOKEN_BYTES + 4 * 32 * 2
DRIVES = AttentionPool(2, 1e9, PCIE, None, 3e9)


def timer(pool: AttentionPool, *, window: int | None = None) -> StepTimer:
    model, layout, formats = tiny_model(window=window), Parallelism(), Precision()
    offload = AttentionOffload(pool, model, layout, formats, LAW)
    return StepTimer(model, layout, formats, LAW, StepOverheads(), offload=offload)


def dense(found: StepTimer, sequences: int) -> float:
    stage = found.stages[0]
    return stage.token_seconds[sequences] + stage.head_seconds[sequences]


@given(sequences=st.integers(1, 500), context=st.integers(1, 3000))
@settings(max_examples=40, deadline=None)
def test_a_step_on_drives_is_what_its_bytes_take(sequences: int, context: int) -> None:
    """Two layers: all cached tokens at the drives' bandwidth, and two transfers over the one link of the device."""
    found = timer(DRIVES)
    attended = sequences * context
    seconds = found.step_seconds(sequences, [(attended, sequences)], NO_CHUNKS)
    moved = sequences * MOVED / (PCIE.bandwidth * PCIE.efficiency) + 2 * PCIE.latency
    by_hand = dense(found, sequences) + 2 * (attended * TOKEN_BYTES / 6e9 + moved)
    assert seconds == pytest.approx(by_hand, rel=1e-9)
    assert found.attention_work([(attended, sequences)], 3, NO_CHUNKS) == (0.0, 0.0)


def test_accelerators_share_the_heads() -> None:
    """With one head of keys each, a step takes what the kernel of half the heads takes, and the link."""
    pool = AttentionPool(2, 1e9, PCIE, LAW)
    found, alone = timer(pool), timer_of(tiny_model(), parallel=Parallelism(tensor=2))
    sequences, attended = 8, 8 * 1024
    seconds = found.step_seconds(sequences, [(attended, sequences)], NO_CHUNKS)
    kernel = sum(piece.decoding(sequences, attended) for _, piece in alone.stages[0].pieces)
    moved = sequences * MOVED / (PCIE.bandwidth * PCIE.efficiency) + 2 * PCIE.latency
    assert seconds == pytest.approx(dense(found, sequences) + kernel + 2 * moved, rel=0.02)
    assert pool.block_bytes(tiny_model(), Precision(), 16) == 2 * TOKEN_BYTES // 2 * 16


@given(sequences=st.integers(2, 500), context=st.integers(1, 3000))
@settings(max_examples=40, deadline=None)
def test_halves_are_a_flow_shop(sequences: int, context: int) -> None:
    """Four jobs (two layers, two halves) pass two machines: simulated job by job, they take as long."""
    found = timer(AttentionPool(2, 1e9, PCIE, None, 3e9, overlap=True))
    attended = sequences * context
    stage = found.stages[0]
    work = (stage.dense_seconds[sequences] + stage.network_seconds[sequences]) / 4
    reading = sum(piece.decoding(sequences, attended) for _, piece in stage.pieces) / 4
    here = there = 0.0
    for _ in range(4):
        here += work
        there = max(here, there) + reading
    seconds = found.step_seconds(sequences, [(attended, sequences)], NO_CHUNKS)
    assert seconds == pytest.approx(there + stage.head_seconds[sequences], rel=1e-9)


def test_streaming_is_bounded_by_the_slower_of_drives_link_and_kernel() -> None:
    slow = timer(AttentionPool(2, 1e9, PCIE, None, 3e9, streamed=True))
    wide = timer(AttentionPool(9, 1e9, PCIE, None, 30e9, streamed=True))
    sequences, attended = 4, 400_000
    steps = [t.step_seconds(sequences, [(attended, sequences)], NO_CHUNKS) - dense(t, sequences) for t in (slow, wide)]
    back = sequences * TOKEN_BYTES / (PCIE.bandwidth * PCIE.efficiency) + 2 * PCIE.latency
    rates = (6e9, PCIE.bandwidth * PCIE.efficiency)
    for seconds, rate in zip(steps, rates, strict=True):
        assert seconds == pytest.approx(2 * (attended * TOKEN_BYTES / rate + back), rel=1e-9)
    assert slow.attention_work([(attended, sequences)], 1, NO_CHUNKS)[1] == 2 * attended * TOKEN_BYTES


def test_prompts_take_at_least_what_their_cache_takes_to_leave() -> None:
    slow = timer(AttentionPool(1, 1e9, link("ethernet-1"), None, 3e9))
    chunks = slow.chunks([(0, 10_000)])
    rate = link("ethernet-1").bandwidth * link("ethernet-1").efficiency
    assert slow.step_seconds(0, [], chunks) >= 2 * 10_000 * TOKEN_BYTES / rate


POOLS = {
    "drives": timer(DRIVES),
    "halves": timer(AttentionPool(2, 1e9, PCIE, LAW, overlap=True)),
    "window": timer(AttentionPool(2, 1e9, PCIE, LAW, overlap=True), window=7),
    "streamed": timer(AttentionPool(1, 1e9, PCIE, None, 3e9, streamed=True, overlap=True)),
}


@settings(max_examples=60, deadline=None)
@given(source=workloads(), pool=st.sampled_from(sorted(POOLS)), blocks=st.integers(25, 60))
def test_fast_forward_changes_no_time(source: Rows, pool: str, blocks: int) -> None:
    found = []
    for fast_forward in (True, False):
        _, recorder = serve(source, timer=POOLS[pool], blocks=blocks, fast_forward=fast_forward)
        assert recorder.finished == len(source.requests)
        found.append(outcome(recorder))
    assert found[0] == found[1]


def scenario(offload: dict[str, Any] | None, **changes: Any) -> Any:
    load = {
        "arrivals": {"process": "poisson", "rate": 50.0},
        "prompt_tokens": {"law": "fixed", "tokens": 512},
        "output_tokens": {"law": "fixed", "tokens": 64},
        "requests": 60,
    }
    values = {"model": "facebook/opt-13b", "device": "nvidia-rtx-a6000-48gb", "load": {"generator": load}}
    return scenario_from(values | {"attention_offload": offload} | changes)


STORE = {"capacity_gb": 400, "bandwidth_gb_s": 10, "link": "pcie-gen4-x16", "price_per_device_hour": 0.1}


def test_more_bandwidth_and_more_drives_never_slow_a_run_down() -> None:
    def tokens(**changes: Any) -> float:
        return float(run(scenario(STORE | changes)).summary["throughput"]["output_tokens_per_s"])

    assert tokens() < tokens(bandwidth_gb_s=40) < tokens(bandwidth_gb_s=160)
    assert tokens() < tokens(devices=4) < tokens(devices=16)
    assert tokens(streamed=True, bandwidth_gb_s=40) <= tokens(bandwidth_gb_s=40) * 1.001


def test_the_pool_is_counted_in_memory_cost_and_energy() -> None:
    summary = run(scenario(STORE | {"devices": 2, "watts": 25})).summary
    assert summary["kv_cache"]["blocks"] + 1 == int(2 * 400e9 // (2 * 40 * 5120 * 2 * 16))
    hours = summary["makespan_s"] / 3600
    assert summary["cost"]["total_usd"] == pytest.approx(hours * (0.80 + 2 * 0.1))
    assert summary["deployment"]["attention_pool"]["devices"] == 2
    idle = device("nvidia-rtx-a6000-48gb").idle_power
    assert summary["energy"]["mean_power_w"] > idle + 50
    unknown = STORE | {"price_per_device_hour": None}
    assert run(scenario(unknown)).summary["cost"]["total_usd"] is None


def test_a_prefill_pool_sends_the_cache_to_the_pool() -> None:
    """Every prompt's cache goes to the four drives' links, of which the prefill device's own is the bottleneck."""
    apart = {"transfer": {"link": "pcie-gen4-x16"}}
    result = run(scenario(STORE | {"devices": 4}, disaggregation=apart))
    moved = result.summary["kv_transfer"]
    assert moved["total_gb"] == pytest.approx(60 * 512 * 2 * 40 * 5120 * 2 / 1e9)
    assert moved["mean_ms"] == pytest.approx(moved["total_gb"] / 60 / (31.5 * 0.82) * 1e3)
    narrow = run(scenario(STORE | {"link": "ethernet-10"}, disaggregation=apart)).summary["kv_transfer"]
    assert narrow["mean_ms"] == pytest.approx(moved["total_gb"] / 60 / (1.25 * 0.94) * 1e3)


def test_the_pool_fills_its_memory() -> None:
    found = deployment_of(scenario({"device": "nvidia-h20-96gb", "devices": 2, "link": "roce-400"}))
    block = 2 * 40 * 5120 * 2 * 16 / 2
    assert found.memory.blocks == int((102e9 * 0.9 - 0.6e9) // block)


@pytest.mark.parametrize(
    ("offload", "changes", "message"),
    [
        ({"link": "pcie-gen4-x16"}, {}, "capacity_gb and bandwidth_gb_s"),
        (STORE | {"device": "nvidia-h20-96gb"}, {}, "leave them out beside device"),
        (STORE | {"link": "pcie-gen9"}, {}, "pcie-gen9"),
        ({"device": "nvidia-h20-96gb", "devices": 7, "link": "roce-400"}, {}, "does not divide the 40 heads"),
        (STORE | {"capacity_gb": 0.01}, {}, "less than two KV blocks"),
        (STORE, {"parallel": {"pipeline": 2}}, "pipeline or data"),
        (STORE, {"kv_cache": {"blocks": 100}}, "beside kv_cache.blocks"),
    ],
)
def test_what_cannot_be_is_named(offload: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(scenario(offload, **changes))
