"""Disaggregated pools: times by hand, conservation, and exact fast-forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.assembly.pools import pools_of
from simulator.engine.cluster_spec import Load
from simulator.engine.handoff import KVTransfer, WireEncoding
from simulator.errors import InputError
from simulator.experiment import run
from simulator.policies.batching import BatchingPolicy, Static
from simulator.scenario import scenario_from
from simulator.workloads.parallelism import Parallelism
from tests.builders import FixedTimer, Rows, assert_conserved, rows, serve, timer_of, tiny_model
from tests.engine.test_fast_forward import POLICIES, TIMERS, outcome, workloads

STEP = 0.01
TRANSFER = KVTransfer(token_bytes=1e3, send=2e6, receive=1e6, latency=1e-3, layers=4)


def times(source: Rows, **options: Any) -> list[tuple[float, float]]:
    """First-token and finish times of each request, one prefill and one decode replica of fixed steps."""
    _, recorder = serve(source, timer=FixedTimer(STEP), prefill_replicas=1, **options)
    c = recorder.requests()
    return list(zip(c["first_token_s"].tolist(), c["finish_s"].tolist(), strict=True))


def test_one_request_by_hand() -> None:
    """A step for the prompt, its transfer over the slower side, then a step a token."""
    moved = 8 * 1e3 / 1e6 + 1e-3
    assert times(rows([0.0], [8], [4]), transfer=TRANSFER) == [(STEP, pytest.approx(STEP + moved + 3 * STEP))]
    late = KVTransfer(1e3, 2e6, 1e6, 1e-3, 4, visible="transfer")
    assert times(rows([0.0], [8], [4]), transfer=late)[0][0] == pytest.approx(STEP + moved)


def test_a_request_of_one_token_never_moves() -> None:
    assert times(rows([0.0], [8], [1]), transfer=TRANSFER) == [(STEP, STEP)]


def test_transfers_of_one_sender_follow_each_other() -> None:
    """Two prompts of one batch: the second cache waits for the first."""
    each = 8 * 1e3 / 1e6
    first, second = (finish for _, finish in times(rows([0.0, 0.0], [8, 8], [2, 2]), transfer=TRANSFER))
    assert first == pytest.approx(STEP + each + 1e-3 + STEP)
    assert STEP + 2 * (each + 1e-3) < first
    assert second == pytest.approx(first + STEP)


def test_layers_leave_while_others_are_computed() -> None:
    """Of a transfer no longer than the prompt's iteration, only the last layer's share is seen."""
    layered = KVTransfer(1e3, 2e6, 1e6, 0.0, 4, layerwise=True)
    each = 8 * 1e3 / 1e6
    assert each < STEP
    assert times(rows([0.0], [8], [2]), transfer=layered)[0][1] == pytest.approx(STEP + each / 4 + STEP)


def test_layers_are_encoded_sent_and_decoded_in_a_pipeline() -> None:
    """8 kB in 4 layers: each 1 ms to encode, 0.5 ms to send a quarter of, 0.25 ms to decode; the slowest four times."""
    encoded = KVTransfer(1e3, 2e6, 1e6, 1e-3, 4, encoding=WireEncoding(4.0, 2e6, 8e6))
    moved = 4 * 1e-3 + 0.5e-3 + 0.25e-3 + 1e-3
    source = rows([0.0], [8], [2])
    assert times(source, transfer=encoded)[0][1] == pytest.approx(STEP + moved + STEP)
    cluster, _ = serve(source, timer=FixedTimer(STEP), prefill_replicas=1, transfer=encoded)
    assert cluster.handoff is not None
    assert cluster.handoff.bytes == 2e3
    slow_link = KVTransfer(1e3, 2e5, 1e5, 1e-3, 4, encoding=WireEncoding(4.0, 2e6, 8e6))
    assert slow_link.seconds(8) == pytest.approx(1e-3 + 4 * 5e-3 + 0.25e-3)


def test_of_encoded_layers_that_leave_early_the_last_is_seen() -> None:
    layered = KVTransfer(1e3, 2e6, 1e6, 0.0, 4, layerwise=True, encoding=WireEncoding(4.0, 2e6, 8e6))
    assert times(rows([0.0], [8], [2]), transfer=layered)[0][1] == pytest.approx(STEP + 1.75e-3 + STEP)


@given(
    tokens=st.integers(1, 10_000),
    layers=st.integers(1, 80),
    ratio=st.floats(1.0, 20.0),
    encode=st.floats(1e5, 1e12),
    decode=st.floats(1e5, 1e12),
)
def test_a_pipeline_takes_its_slowest_stage_and_no_more_than_all(
    tokens: int, layers: int, ratio: float, encode: float, decode: float
) -> None:
    """Bounds of any pipeline; without a stage that costs anything only the link is left."""
    transfer = KVTransfer(1e3, 2e6, 1e6, 0.0, layers, encoding=WireEncoding(ratio, encode, decode))
    each = tokens * 1e3 / encode, tokens * 1e3 / ratio / 1e6, tokens * 1e3 / decode
    assert max(each) * (1 - 1e-9) <= transfer.seconds(tokens) <= sum(each) * (1 + 1e-9)
    assert transfer.layer_seconds(tokens) == pytest.approx(sum(each) / layers)
    free = KVTransfer(1e3, 2e6, 1e6, 0.0, layers, encoding=WireEncoding(1.0, 1e30, 1e30))
    assert free.seconds(tokens) == pytest.approx(KVTransfer(1e3, 2e6, 1e6, 0.0, layers).seconds(tokens))


def test_a_full_decode_replica_leaves_prompts_where_they_are() -> None:
    """With room for one sequence, the second transfer starts when the first request is done."""
    (_, first), (_, second) = times(rows([0.0, 0.0], [8, 8], [3, 3]), transfer=TRANSFER, blocks=3, prefill_blocks=9)
    assert second == pytest.approx(first + 8e-3 + 1e-3 + 2 * STEP)


def test_a_prefix_that_is_cached_is_not_moved() -> None:
    source = rows([0.0, 1.0], [9, 9], [2, 2], hashes=[[1, 2], [1, 2]])
    cluster, _ = serve(source, timer=FixedTimer(STEP), prefill_replicas=1, transfer=TRANSFER)
    assert cluster.handoff is not None
    assert cluster.handoff.bytes == (9 + 1) * 1e3


@settings(max_examples=150, deadline=None)
@given(
    source=workloads(),
    timer=st.sampled_from(sorted(TIMERS)),
    policy=st.sampled_from(POLICIES),
    replicas=st.integers(1, 2),
    prefill_replicas=st.integers(1, 2),
    blocks=st.integers(25, 60) | st.just(1000),
    seqs=st.integers(1, 6),
    budget=st.sampled_from([8, 64]),
    layerwise=st.booleans(),
    encoding=st.sampled_from([None, WireEncoding(4.0, 1e6, 1e7)]),
    speed=st.sampled_from([1e5, 1e7, 1e10]),
    load=st.sampled_from([Load(), Load(concurrency=3)]),
)
def test_nothing_is_lost_and_fast_forward_changes_no_time(
    source: Rows,
    timer: str,
    policy: Callable[[], BatchingPolicy],
    replicas: int,
    prefill_replicas: int,
    blocks: int,
    seqs: int,
    budget: int,
    layerwise: bool,
    encoding: WireEncoding | None,
    speed: float,
    load: Load,
) -> None:
    def served(fast_forward: bool) -> tuple[object, ...]:
        cluster, recorder = serve(
            source,
            timer=TIMERS[timer],
            policy=policy,
            replicas=replicas,
            prefill_replicas=prefill_replicas,
            transfer=KVTransfer(1e3, speed, 2 * speed, 1e-5, 2, layerwise, encoding=encoding),
            blocks=blocks,
            max_num_seqs=seqs,
            max_num_batched_tokens=budget,
            load=load,
            fast_forward=fast_forward,
        )
        assert_conserved(cluster, recorder, source)
        assert cluster.handoff is not None
        assert cluster.handoff.count == (recorder.requests()["output_tokens"] > 1).sum()
        return outcome(recorder)

    assert served(True) == served(False)


def test_pipelines_hand_over_too() -> None:
    timer = timer_of(tiny_model(), parallel=Parallelism(pipeline=2))
    source = rows([0.01 * i for i in range(12)], [20] * 12, [9] * 12)
    cluster, recorder = serve(source, timer=timer, prefill_replicas=2)
    assert recorder.finished == 12
    assert all(r.kv.used == 0 for r in cluster.all_replicas)


SCENARIO: dict[str, Any] = {
    "model": "meta-llama/Llama-3.1-8B",
    "device": "nvidia-h100-sxm-80gb",
    "replicas": 2,
    "parallel": {"tensor": 2},
    "disaggregation": {"device": "nvidia-a100-sxm-80gb", "replicas": 1, "transfer": {"link": "ethernet-25"}},
    "load": {
        "generator": {
            "arrivals": {"process": "poisson", "rate": 3.0},
            "prompt_tokens": {"law": "fixed", "tokens": 700},
            "output_tokens": {"law": "fixed", "tokens": 30},
            "requests": 30,
        }
    },
}


def test_a_scenario_of_two_kinds_of_device() -> None:
    """Every device is counted, paid and powered; the bytes moved are those of the cached tokens."""
    result = run(scenario_from(SCENARIO))
    decode, prompts = pools_of(scenario_from(SCENARIO))
    summary = result.summary
    assert (decode.devices, prompts.devices) == (4, 2)
    assert summary["deployment"]["devices"] == 6
    assert summary["deployment"]["prefill_pool"]["device"] == "nvidia-a100-sxm-80gb"
    token = decode.deployment.model.layers[0].attention.kv_elements() * len(decode.deployment.model.layers) * 2
    assert summary["kv_transfer"]["total_gb"] == pytest.approx(30 * 700 * token / 1e9)
    hours = summary["makespan_s"] / 3600
    price = 4 * decode.deployment.device.price + 2 * prompts.deployment.device.price  # type: ignore[operator]
    assert summary["cost"]["total_usd"] == pytest.approx(price * hours)
    idle = 4 * decode.deployment.device.idle_power + 2 * prompts.deployment.device.idle_power
    assert summary["energy"]["mean_power_w"] > idle
    rows = result.iteration_columns
    assert set(rows["replica"][rows["prefill_tokens"] > 0].tolist()) == {2.0}


def test_the_link_decides_how_long_a_transfer_takes() -> None:
    slow = run(scenario_from(SCENARIO)).summary["kv_transfer"]["mean_ms"]
    fast = {**SCENARIO, "disaggregation": {**SCENARIO["disaggregation"], "transfer": {"link": "ethernet-100"}}}
    assert run(scenario_from(fast)).summary["kv_transfer"]["mean_ms"] == pytest.approx(
        slow * 3.125 * 0.92 / 10.0, rel=0.01
    )


def test_an_encoding_saves_bytes_and_helps_where_the_link_is_slow() -> None:
    """Over 25 Gb/s a quarter of the bytes takes a quarter of the time, when its two devices encode fast enough."""
    plain = run(scenario_from(SCENARIO)).summary["kv_transfer"]

    def encoded(**rates: float) -> dict[str, float]:
        transfer = {"link": "ethernet-25", "encoding": {"ratio": 4, "decode_gb_s": 200}, **rates}
        changed = {**SCENARIO, "disaggregation": {**SCENARIO["disaggregation"], "transfer": transfer}}
        found: dict[str, float] = run(scenario_from(changed)).summary["kv_transfer"]
        return found

    fast, slow = encoded(encode_gb_s=500), encoded(encode_gb_s=1)
    assert fast["total_gb"] == pytest.approx(plain["total_gb"] / 4)
    assert fast["mean_ms"] == pytest.approx(plain["mean_ms"] / 4, rel=0.02)
    assert slow["mean_ms"] == pytest.approx(plain["total_gb"] / 30 / 2 * 1e3, rel=0.1)


def test_a_rate_without_an_encoding_is_refused() -> None:
    transfer = {"link": "ethernet-25", "encode_gb_s": 10}
    with pytest.raises(InputError, match="encode_gb_s without encoding"):
        scenario_from({**SCENARIO, "disaggregation": {"transfer": transfer}})


def test_a_place_that_a_preemption_frees_is_taken_after_one_step() -> None:
    """What is ready joins at the next step's end, also where nothing else would end the run of steps."""
    source = rows([0.0] * 8, [1] * 7 + [25], [34, 1, 1, 1, 29, 2, 2, 2])

    def served(fast_forward: bool) -> tuple[object, ...]:
        _, recorder = serve(
            source,
            timer=TIMERS["chunked"],
            policy=Static,
            prefill_replicas=1,
            transfer=KVTransfer(1e3, 1e10, 2e10, 1e-5, 2),
            blocks=25,
            max_num_seqs=2,
            max_num_batched_tokens=8,
            fast_forward=fast_forward,
        )
        return outcome(recorder)

    assert served(True) == served(False)
