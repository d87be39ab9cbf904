"""Adapters in the engine: load times, memory that is left, batches that pay, and equal times with joined steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.assembly.adapters import adapter_setup
from simulator.assembly.pools import deployment_of, replica_spec
from simulator.assembly.pools import pools_of as pools
from simulator.engine.cluster import Cluster
from simulator.engine.memory import RUNTIME_BYTES
from simulator.engine.recorder import Recorder
from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.hardware.links import link
from simulator.policies.routing import LeastOutstanding
from simulator.scenario import Scenario, scenario_from
from simulator.workloads.requests import Requests
from tests.builders import Rows, assert_conserved

BASE: dict[str, Any] = {"model": "huggyllama/llama-7b", "device": "nvidia-a10g"}
GENERATOR: dict[str, Any] = {
    "arrivals": {"process": "gamma", "rate": 3.0, "cv": 2.0},
    "prompt_tokens": {"law": "uniform", "least": 8, "most": 400},
    "output_tokens": {"law": "uniform", "least": 1, "most": 60},
    "requests": 50,
    "adapters": {"count": 6, "zipf": 0.8, "base_share": 0.1},
}
LORA_BYTES = 32 * 4 * 2 * 4096 * 2  # of rank 1 on q, k, v and o


def scenario(adapters: dict[str, Any] | None, **changes: Any) -> Scenario:
    values = BASE | {"load": {"generator": GENERATOR}} | changes
    return scenario_from(values if adapters is None else values | {"adapters": adapters})


def rows(arrivals: list[float], prompts: list[int], outputs: list[int], adapters: list[int]) -> Rows:
    columns = (np.array(c, dtype=np.int64) for c in (prompts, outputs))
    return Rows(Requests(np.array(arrivals, dtype=np.float64), *columns, adapter=np.array(adapters, dtype=np.int64)))


def served(source: Rows, adapters: dict[str, Any] | None, **changes: Any) -> Result:
    requests = source.requests

    class Once:
        name = "once"

        def chunks(self) -> Any:
            yield requests

    return run(scenario(adapters, **changes), source=Once())


def test_an_adapter_comes_over_the_host_link_before_its_request_starts() -> None:
    one = rows([1.0], [100], [5], [3])
    plain, with_adapter = served(one, None), served(one, {"count": 4, "ranks": [64]})
    over = link("pcie-gen4-x16")
    seconds = over.latency + 64 * LORA_BYTES / (over.bandwidth * over.efficiency)
    late = with_adapter.request_columns["scheduled_s"] - plain.request_columns["scheduled_s"]
    assert late[0] == pytest.approx(seconds)
    figures = with_adapter.summary["adapters"]
    assert figures["loaded_gb"] == pytest.approx(64 * LORA_BYTES / 1e9)
    assert (figures["loads"], figures["evictions"], figures["resident_at_end"]) == (1, 0, 1)
    assert figures["request_wait_s"] == pytest.approx(seconds)


def test_requests_of_the_base_model_wait_for_nothing_and_pay_nothing() -> None:
    source = rows([0.0, 0.1], [100, 50], [20, 30], [-1, -1])
    plain, beside = served(source, None), served(source, {"count": 4})
    for name, column in plain.request_columns.items():
        assert column.tobytes() == beside.request_columns[name].tobytes(), name


@pytest.mark.parametrize(
    ("adapters", "taken"),
    [
        ({"count": 9, "ranks": [8, 32]}, 0.0),
        ({"count": 9, "ranks": [8, 32], "policy": "static", "options": {"slots": 5}}, 5 * 32 * LORA_BYTES),
        ({"count": 9, "ranks": [8, 32], "policy": "switching"}, 32 * LORA_BYTES),
    ],
)
def test_what_is_reserved_is_missing_from_the_kv_pool(adapters: dict[str, Any], taken: float) -> None:
    plain, found = deployment_of(scenario(None)).memory, deployment_of(scenario(adapters)).memory
    free = plain.usable - plain.weights - plain.activations - RUNTIME_BYTES
    assert found.blocks == int((free - taken) // plain.block_bytes)


def test_copies_of_the_model_take_its_weights_and_too_many_are_refused() -> None:
    merged = {"count": 9, "policy": "merged", "options": {"slots": 4}}
    on = {"device": "nvidia-a100-sxm-80gb"}
    plain, found = deployment_of(scenario(None, **on)).memory, deployment_of(scenario(merged, **on)).memory
    assert found.weights == pytest.approx(4 * plain.weights)
    with pytest.raises(InputError, match="does not fit"):
        deployment_of(scenario(merged))


def test_a_batch_pays_for_its_tokens_and_its_distinct_adapters() -> None:
    spec = scenario({"count": 40})
    setup = adapter_setup(spec, deployment_of(spec))
    assert setup is not None
    alone = sum(setup.timer.stage_seconds({0: 32}, 32))
    spread = sum(setup.timer.stage_seconds(dict.fromkeys(range(32), 1), 32))
    bandwidth = deployment_of(spec).device.memory_bandwidth
    # The same FLOPs; 31 more adapters are read, at no more than the bandwidth.
    assert spread - alone > 31 * 16 * LORA_BYTES / bandwidth
    assert spread - alone < 2 * 31 * 16 * LORA_BYTES / bandwidth
    assert sum(setup.timer.stage_seconds({0: 2000}, 2000)) > 5 * alone


@pytest.mark.parametrize("engine", ["vllm", "vllm-0.2"])
def test_merged_copies_take_turns_on_the_device_and_share_no_host(engine: str) -> None:
    """Copies with a long request each: the device does their steps one after the other, their hosts side by side."""
    merged = {"count": 3, "policy": "merged", "options": {"slots": 3}}
    on = {"device": "nvidia-a100-sxm-80gb", "engine": engine}
    three = served(rows([0.0] * 3, [10] * 3, [200] * 3, [0, 1, 2]), merged, **on)
    c = three.request_columns
    timer = three.deployment.timer
    whole = timer.step_seconds(1, [(110, 1)], timer.chunks([]))
    device = timer.operator_seconds(1, [(110, 1)], timer.chunks([]))
    assert device < whole
    per_token = (c["finish_s"] - c["first_token_s"]).mean() / 199
    assert per_token == pytest.approx(max(3 * device, whole), rel=0.02)
    assert three.summary["utilisation"]["busy"] <= 1.0


def test_switching_runs_one_adapter_at_a_time_and_pays_for_the_change() -> None:
    source = rows([0.0, 0.01, 0.02, 0.03], [10] * 4, [50] * 4, [0, 1, 0, 1])
    result = served(source, {"count": 2, "policy": "switching"})
    c = result.request_columns
    first, second = c["scheduled_s"][[0, 2]], c["scheduled_s"][[1, 3]]
    # The third request waits for its adapter's turn, but shares that of the first if it was there before the load.
    assert c["finish_s"][0] <= min(second)
    assert max(first) < max(c["finish_s"])
    figures = result.summary["adapters"]
    setup = adapter_setup(scenario({"count": 2, "policy": "switching"}), result.deployment)
    assert setup is not None
    changes = 2 * figures["loads"] - 1  # one is taken out with every load but the first
    assert figures["weight_change_s"] == pytest.approx(changes * setup.timer.merge_seconds(0))


def test_one_merge_moves_the_weights_as_often_as_it_must() -> None:
    spec = scenario({"count": 2})
    setup = adapter_setup(spec, deployment_of(spec))
    assert setup is not None
    weights = 32 * 4 * 4096 * 4096 * 2
    least = 4 * weights / deployment_of(spec).device.memory_bandwidth  # product written and read, sum read and written
    assert least < setup.timer.merge_seconds(0) < 3 * least


def test_popular_adapters_overtake_in_slots_and_do_not_in_pages() -> None:
    """One slot, held by a long request: another adapter's waits for it, while the same adapter's does not."""
    source = rows([0.0, 0.5, 0.6], [10] * 3, [200, 5, 5], [0, 1, 0])
    slots = served(source, {"count": 2, "policy": "static", "options": {"slots": 1}}).request_columns
    assert slots["first_token_s"][2] < slots["finish_s"][0] < slots["scheduled_s"][1]
    pages = served(source, {"count": 2}).request_columns
    assert pages["scheduled_s"][1] <= pages["scheduled_s"][2] < pages["finish_s"][0]


def test_an_adapter_is_reloaded_after_memory_was_needed_for_tokens() -> None:
    source = rows([0.0, 1.0, 9.0], [20, 460, 20], [4, 60, 4], [0, 1, 0])
    result = served(source, {"count": 2, "ranks": [64]}, kv_cache={"blocks": 50, "prefix_caching": False})
    figures = result.summary["adapters"]
    assert figures["loads"] == 3
    assert figures["evictions"] == 3 - figures["resident_at_end"]
    with pytest.raises(InputError, match=r"needs 535 tokens of KV cache.*holds 528"):
        served(rows([0.0], [500], [36], [0]), {"count": 1, "ranks": [64]}, kv_cache={"blocks": 50})


def test_keys_of_different_adapters_are_not_shared() -> None:
    prefix = {"prefix": {"groups": 1, "tokens": 320}}

    def hits(count: int) -> float:
        load = {"generator": GENERATOR | prefix | {"adapters": {"count": count}}}
        return float(run(scenario({"count": 40}, load=load)).summary["prefix_cache"]["hit_rate"])

    assert hits(1) > 1.3 * hits(40)


POLICIES: list[dict[str, Any]] = [
    {"ranks": [8, 16, 64]},
    {"policy": "static", "options": {"slots": 1}},
    {"policy": "static", "options": {"slots": 3}},
    {"policy": "merged", "options": {"slots": 1}},
    {"policy": "switching"},
]


@settings(max_examples=40, deadline=None)
@given(
    adapters=st.sampled_from(POLICIES),
    blocks=st.sampled_from([60, 90, 200, 700]),
    seqs=st.sampled_from([2, 5, 64]),
    batching=st.sampled_from(["vllm-v1", "vllm-v0", "orca", "sarathi", "static", "decode-first"]),
    rate=st.sampled_from([0.5, 3.0, 30.0]),
    seed=st.integers(0, 50),
    caching=st.booleans(),
)
def test_joined_steps_change_no_time_and_nothing_is_lost(
    adapters: dict[str, Any], blocks: int, seqs: int, batching: str, rate: float, seed: int, caching: bool
) -> None:
    load = GENERATOR | {"seed": seed, "arrivals": {"process": "gamma", "rate": rate, "cv": 2.0}}
    if caching:
        load |= {"prefix": {"groups": 2, "tokens": 64}}
    found = []
    for fast_forward in (True, False):
        spec = scenario(
            {"count": 6, **adapters},
            load={"generator": load},
            kv_cache={"blocks": blocks, "prefix_caching": caching},
            batching={"policy": batching, "max_num_seqs": seqs},
            fast_forward=fast_forward,
        )
        found.append(run(spec))
    fast, slow = found
    assert len(fast.request_columns["index"]) == 50
    for name, column in fast.request_columns.items():
        assert column.tobytes() == slow.request_columns[name].tobytes(), name
    assert fast.summary["adapters"] == slow.summary["adapters"]


@pytest.mark.parametrize("adapters", [*POLICIES, {"policy": "merged", "options": {"slots": 3}}])
@pytest.mark.parametrize("failures", [False, True])
def test_nothing_is_left_when_all_is_done(adapters: dict[str, Any], failures: bool) -> None:
    source = rows(
        np.cumsum(np.random.default_rng(1).exponential(0.2, 60)).tolist(),
        [100] * 60, [30] * 60, np.random.default_rng(2).integers(-1, 6, 60).tolist(),
    )  # fmt: skip
    on = {"device": "nvidia-a100-sxm-80gb", "replicas": 2, "kv_cache": {"blocks": 150}}
    spec = scenario({"count": 6, **adapters}, **on)
    if failures:
        result = served(source, {"count": 6, **adapters}, **on, failures={"mtbf_s": 6.0, "mttr_s": 1.0})
        assert result.request_columns["index"].tolist() == list(range(60))
        assert result.summary["fleet"]["failures"] > 0
        return
    recorder = Recorder()
    cluster = Cluster(replica_spec(pools(spec)[0]), replicas=2, router=LeastOutstanding(), recorder=recorder)
    cluster.run(source)
    assert_conserved(cluster, recorder, source)
    for replica in cluster.replicas:
        assert replica.adapters is not None
        replica.kv.clear()
        assert replica.kv.free == replica.kv.blocks


def test_affinity_loads_less_than_chance() -> None:
    def loads(router: str) -> int:
        load = {"generator": GENERATOR | {"requests": 200, "adapters": {"count": 20}}}
        adapters = {"count": 20, "policy": "static", "options": {"slots": 8}}
        result = run(scenario(adapters, load=load, replicas=3, router={"policy": router}))
        return int(result.summary["adapters"]["loads"])

    assert loads("adapter-affinity") < 0.7 * loads("round-robin")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speculation": {"policy": "fixed"}}, "adapters beside speculation"),
        ({"disaggregation": {"replicas": 1}}, "adapters beside disaggregation"),
        ({"queue": {"policy": "sjf"}}, "adapters beside queue sjf"),
        ({"kv_cache": {"tiers": [{"name": "host"}]}}, "adapters beside kv_cache.tiers"),
    ],
)
def test_what_is_not_modelled_beside_adapters_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(scenario({"count": 6}, **changes))


@pytest.mark.parametrize(
    ("adapters", "message"),
    [
        ({"count": 6, "policy": "unifed"}, "did you mean unified"),
        ({"count": 5}, "asks for adapter 5, and there are 5"),
        ({"count": 6, "targets": ["q", "q"]}, "named twice"),
        ({"count": 6, "policy": "static", "options": {"slots": 0}}, "slots is 0"),
        ({"count": 6, "ranks": [4000], "policy": "unified"}, "does not fit into"),
    ],
)
def test_wrong_adapters_are_named(adapters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(scenario(adapters))
