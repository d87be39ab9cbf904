"""Policies of different kinds together: every request ends once, and joining steps changes no time."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.scenario import scenario_from
from simulator.workloads.catalogue import load_generator

REQUESTS = 60
BATCHING = ("vllm-v0", "orca", "static", "sarathi", "split-fuse", "decode-first")
QUEUES = ("sjf", "srpt", "mlfq", "vtc", "edf", "prefix-groups", "updated-priority")
ROUTERS = ("power-of-two", "prefix-affinity", "predicted-cost", "weighted", "session-affinity", "adapter-affinity")
KINDS: dict[str, list[Any]] = {
    "batching": [{"policy": name, "max_num_seqs": 12} for name in BATCHING],
    "queue": [{"policy": name} for name in QUEUES],
    "router": [{"policy": name} for name in ROUTERS],
    "admission": [{"policy": "predicted-wait"}, {"policy": "queue-limit", "options": {"limit": 3}}],
    "execution": [{"policy": "nano-batches", "options": {"least_tokens": 64}}],
    "speculation": [
        {"policy": "fixed", "options": {"tokens": 3}},
        {"policy": "smartspec", "options": {"most_tokens": 4}},
    ],
    "kv_cache": [
        {"blocks": 300},
        {"blocks": 300, "tiers": [{"name": "host"}]},
        {"blocks": 300, "keep_share": 0.5, "prefix_caching": False},
        {"blocks": 300, "swap": {}},
        {"blocks": 300, "swap": {"asynchronous": True, "reuse": True, "group_blocks": 8}},
        {"blocks": 300, "swap": {"capacity_gb": 0.05}, "prefix_caching": False},
        {"blocks": 300, "swap": {"asynchronous": True, "capacity_gb": 0.05}, "tiers": [{"name": "host"}]},
    ],
    "shared_prefix_tokens": [16],
    "prompt_model": [{"model": "Qwen/Qwen2.5-0.5B"}],
    "parallel": [{"pipeline": 2}],
    "feed_forward": [{"link": "pcie-gen4-x16", "micro_batches": 2}],
    "disaggregation": [
        {"replicas": 1},
        {"replicas": 1, "transfer": {"encoding": {"ratio": 3.5}, "layerwise": True}},
        {"replicas": 2, "roles": {"policy": "scheduled", "options": {"at": [[1, 3], [3, 1]]}, "every_s": 0.5}},
        {"replicas": 2, "roles": {"policy": "queue-and-cache", "drain": "mixed", "every_s": 0.2}},
        {"replicas": 2, "roles": {"policy": "attainment", "drain": "hand-over", "every_s": 0.3}},
    ],
    "partition": [
        {"prefill_units": 0.4},
        {"split": {"policy": "feedback", "options": {"interval_s": 1.0}}},
        {"split": {"policy": "proactive", "alone": "part"}},
    ],
    "pairing": [{"policy": "accellm"}, {"policy": "accellm", "link": "ethernet-25", "layerwise": False}],
    "adapters": [
        {"count": 6, "ranks": [8, 64]},
        {"count": 6, "policy": "static", "options": {"slots": 2}},
        {"count": 6, "policy": "merged", "options": {"slots": 2}},
        {"count": 6, "policy": "switching"},
    ],
    "failures": [{"mtbf_s": 20.0, "mttr_s": 2.0}],
    "migration": [{"policy": "llumnix"}],
    "power": [
        {"budget_w": 100, "policy": "polca", "every_s": 0.5, "delay_s": 1.2, "low_priority": 0.5},
        {"budget_w": 90, "policy": "uniform", "every_s": 0.7, "delay_s": 0, "brake_delay_s": 0.3},
    ],
    "finetuning": [
        {"policy": "co-serving", "sequence_tokens": 512, "window_tokens": 256},
        {"policy": "temporal", "options": {"iterations": 9}, "sequence_tokens": 512},
        {"policy": "idle", "sequence_tokens": 512, "window_tokens": 256, "dedicated_replicas": 1},
        {"policy": "none", "spatial": {"units": 0.3}, "sequence_tokens": 512},
    ],
    "autoscaling": [{"policy": "queue-based", "options": {"target": 4}, "max_replicas": 4}],
}
BASE: dict[str, Any] = {
    "model": "meta-llama/Llama-3.2-1B",
    "device": "nvidia-l4-24gb",
    "replicas": 2,
    "load": {
        "generator": load_generator("shared-prefix-chat") | {"adapters": {"count": 6, "zipf": 1.0, "base_share": 0.2}},
        "limit": REQUESTS,
        "speed_up": 4.0,
    },
}


@st.composite
def compositions(draw: st.DrawFn) -> dict[str, Any]:
    """Up to four kinds of policy that differ from the usual."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), unique=True, max_size=4))
    return {kind: draw(st.sampled_from(KINDS[kind])) for kind in kinds}


def result_of(values: dict[str, Any], fast_forward: bool) -> Result | None:
    """The run, or None where a combination is refused."""
    try:
        return run(scenario_from(values | {"fast_forward": fast_forward}))
    except InputError:
        return None


@settings(max_examples=40, deadline=None)
@given(compositions())
@example(
    {
        "batching": {"policy": "vllm-v0", "max_num_seqs": 12},
        "queue": {"policy": "prefix-groups"},
        "router": {"policy": "power-of-two"},
    }
)
def test_any_composition_serves_or_is_refused(chosen: dict[str, Any]) -> None:
    fast = result_of(BASE | chosen, fast_forward=True)
    if fast is None:
        return
    c = fast.request_columns
    assert len(c["index"]) + len(fast.shed) + len(fast.rejected) == REQUESTS
    assert len(np.unique(c["index"])) == len(c["index"])
    assert np.all(c["arrival_s"] <= c["first_token_s"])
    assert np.all(c["first_token_s"] <= c["finish_s"])
    slow = result_of(BASE | chosen, fast_forward=False)
    assert slow is not None
    assert fast.shed == slow.shed
    for name, column in c.items():
        assert column.tobytes() == slow.request_columns[name].tobytes(), name
