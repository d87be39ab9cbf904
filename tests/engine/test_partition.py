"""Prompts and decoding on parts of the same devices: what each part has, and that nothing is lost or counted twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.assembly.pools import pools_of
from simulator.engine.cluster import Cluster
from simulator.engine.cluster_spec import PrefillPool, ReplicaSpec
from simulator.engine.recorder import Recorder
from simulator.errors import InputError
from simulator.experiment import run
from simulator.hardware.device import device
from simulator.hardware.partition import part_of
from simulator.policies.batching import VllmV1
from simulator.policies.batching.state import Limits
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.routing import RoundRobin
from simulator.scenario import scenario_from
from tests.builders import FixedTimer, Rows, assert_conserved, rows
from tests.engine.test_fast_forward import TIMERS, workloads

SCENARIO: dict[str, Any] = {
    "model": "meta-llama/Llama-3.1-8B",
    "device": "nvidia-a100-sxm-80gb",
    "replicas": 2,
    "partition": {"prefill_units": 0.4},
    "load": {
        "generator": {
            "arrivals": {"process": "poisson", "rate": 8.0},
            "prompt_tokens": {"law": "fixed", "tokens": 900},
            "output_tokens": {"law": "fixed", "tokens": 40},
            "requests": 60,
        }
    },
}


def serve(source: Rows, timer: Any, *, replicas: int = 1, blocks: int = 60, seqs: int = 4) -> tuple[Cluster, Recorder]:
    spec = ReplicaSpec(timer, Limits(seqs, 32), lambda: PagedKVCache(blocks=blocks, block_tokens=4), VllmV1)
    recorder = Recorder()
    cluster = Cluster(
        spec,
        replicas=replicas,
        router=RoundRobin(),
        recorder=recorder,
        skip_unservable=True,
        prefill=PrefillPool(spec, replicas, None, None),
    )
    cluster.run(source)
    return cluster, recorder


def test_prompts_and_steps_run_side_by_side() -> None:
    """The second prompt is computed while the first request decodes, and no cache moves between."""
    _, recorder = serve(rows([0.0, 0.015], [8, 8], [4, 4]), FixedTimer(0.01))
    c = recorder.requests()
    assert c["first_token_s"].tolist() == pytest.approx([0.01, 0.025])
    assert c["finish_s"].tolist() == pytest.approx([0.04, 0.06])


@settings(max_examples=100, deadline=None)
@given(
    source=workloads(),
    timer=st.sampled_from(sorted(TIMERS)),
    replicas=st.integers(1, 2),
    blocks=st.integers(25, 60) | st.just(1000),
    seqs=st.integers(1, 6),
)
def test_nothing_is_lost_under_one_cache(source: Rows, timer: str, replicas: int, blocks: int, seqs: int) -> None:
    cluster, recorder = serve(source, TIMERS[timer], replicas=replicas, blocks=blocks, seqs=seqs)
    assert_conserved(cluster, recorder, source)
    columns = recorder.requests()
    assert len({id(r.kv) for r in cluster.all_replicas}) == replicas
    assert np.all(columns["replica"][columns["output_tokens"] > 1] < replicas)


def test_the_parts_make_up_the_device() -> None:
    decode, prompts = pools_of(scenario_from(SCENARIO))
    whole = device("nvidia-a100-sxm-80gb")
    for name in ("tdp", "idle_power"):
        assert getattr(decode.deployment.device, name) + getattr(prompts.deployment.device, name) == pytest.approx(
            getattr(whole, name)
        )
    assert decode.share + prompts.share == 1.0
    assert decode.deployment.memory == prompts.deployment.memory
    assert decode.deployment.device.memory_bandwidth == pytest.approx(0.8 * whole.memory_bandwidth)
    assert prompts.deployment.device.peak_flops["bf16"] == pytest.approx(0.4 * whole.peak_flops["bf16"])


def test_devices_are_paid_once() -> None:
    summary = run(scenario_from(SCENARIO)).summary
    assert summary["deployment"]["devices"] == 2
    price = device("nvidia-a100-sxm-80gb").price
    assert price is not None
    assert summary["cost"]["total_usd"] == pytest.approx(2 * price * summary["makespan_s"] / 3600)
    assert summary["cost"]["usd_per_device_hour"] == pytest.approx(price)


def test_decoding_never_waits_for_a_prompt() -> None:
    """Gaps between tokens are those of decode steps alone, unlike where prompts share the iterations."""
    apart = run(scenario_from(SCENARIO)).summary["latency_ms"]["itl"]
    together = run(scenario_from(SCENARIO | {"partition": None})).summary["latency_ms"]["itl"]
    assert apart["p99"] < together["p99"]


def test_a_whole_part_is_the_device() -> None:
    whole = device("nvidia-h100-sxm-80gb")
    assert part_of(whole, 1.0, 1.0) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"disaggregation": {}},
        {"speculation": {"policy": "fixed", "options": {"tokens": 2}}},
        {"partition": {"prefill_units": 1.0}},
        {"failures": {"mtbf_s": 100.0, "mttr_s": 1.0}},
    ],
)
def test_what_is_not_modelled_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run(scenario_from(SCENARIO | change))
