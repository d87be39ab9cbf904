"""Prompts computed by a smaller model: operators, memory and times by closed forms, and every step the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.assembly.pools import deployment_of
from simulator.engine.breakdown import iteration_parts
from simulator.errors import InputError
from simulator.experiment import run
from simulator.scenario import scenario_from
from simulator.workloads.kv_maps import KVMaps, spread
from simulator.workloads.models import model
from simulator.workloads.operators import Gemm
from simulator.workloads.parallelism import Parallelism, Precision, kv_bytes_per_token, weight_bytes

BASE: dict[str, Any] = {
    "model": "apple/OpenELM-1_1B",
    "device": "apple-m2-pro-cpu",
    "prompt_model": {"model": "apple/OpenELM-450M"},
    "load": {
        "generator": {
            "arrivals": {"process": "poisson", "rate": 0.4},
            "prompt_tokens": {"law": "uniform", "least": 20, "most": 700},
            "output_tokens": {"law": "uniform", "least": 1, "most": 30},
            "requests": 25,
        }
    },
}
ALONE = {k: v for k, v in BASE.items() if k != "prompt_model"}
LARGE, SMALL = model("apple/OpenELM-1_1B"), model("apple/OpenELM-450M")


@pytest.mark.parametrize(
    ("layers", "over", "published"),
    [
        (28, 20, [i // 2 for i in range(16)] + list(range(8, 20))),
        (36, 16, [i // 3 for i in range(12)] + [i // 2 for i in range(8, 32)]),
        (4, 4, [0, 1, 2, 3]),
    ],
)
def test_layers_are_spread_as_published(layers: int, over: int, published: list[int]) -> None:
    """openelm_1_1B_kvp_c_450M and openelm_3B_kvp_c_270M of apple/corenet."""
    assert list(spread(layers, over)) == published


@given(st.integers(1, 100), st.integers(1, 100))
def test_every_layer_has_a_source_in_order(layers: int, over: int) -> None:
    sources = spread(layers, over)
    assert len(sources) == layers
    assert list(sources) == sorted(sources)
    assert sources[0] == 0
    assert max(sources) < over


def test_maps_are_products_from_cache_width_to_cache_width() -> None:
    """FLOPs and weights of one matrix for keys and one for values of each layer, by hand; two devices halve them."""
    maps = KVMaps(LARGE, SMALL, spread(28, 20))
    widths = [
        (SMALL.layers[source].attention.kv_heads * 64, layer.attention.kv_heads * 64)
        for source, layer in zip(maps.sources, LARGE.layers, strict=True)
    ]
    calls = maps.calls(Parallelism(), Precision(), 10.0)
    products = [c for c in calls if isinstance(c.op, Gemm)]
    assert sum(c.count for c in products) == 2 * 28
    assert sum(float(c.op.flops()) * c.count for c in products) == 2 * 10 * sum(2 * a * b for a, b in widths)
    assert maps.parameters() == sum(2 * (a + 1) * b for a, b in widths)
    written = sum(float(c.op.bytes()) * c.count for c in calls if c.name == "kv cache write")
    assert written == 2 * 10 * kv_bytes_per_token(LARGE, Parallelism(), Precision())


def test_memory_holds_both_models_the_maps_and_both_caches() -> None:
    both, alone = (deployment_of(scenario_from(s)) for s in (BASE, ALONE))
    maps, precision = KVMaps(LARGE, SMALL, spread(28, 20)), both.precision
    extra = weight_bytes(SMALL, Parallelism(), precision) + 2 * maps.parameters()
    assert both.memory.weights - alone.memory.weights == pytest.approx(extra)
    each = kv_bytes_per_token(SMALL, Parallelism(), precision) * 16
    assert both.memory.block_bytes - alone.memory.block_bytes == pytest.approx(each)
    assert both.memory.blocks < alone.memory.blocks


def test_a_prompt_is_the_small_models_pass_the_maps_and_one_step_of_the_large() -> None:
    both, alone, small = (
        deployment_of(scenario_from(s)) for s in (BASE, ALONE, ALONE | {"model": "apple/OpenELM-450M"})
    )
    maps = KVMaps(LARGE, SMALL, spread(28, 20))
    calls = maps.calls(Parallelism(), both.precision, 511.0)
    mapping = sum(float(np.asarray(both.law.seconds(c.op))) * c.count for c in calls)
    head = small.timer.stages[0].head_seconds[1]
    before = small.timer.step_seconds(0, [], small.timer.chunks([(0, 511)])) - small.timer.host_seconds(1) - head
    last = alone.timer.decode_seconds(1, [(512, 1)], 1)[0]
    assert both.timer.step_seconds(0, [], both.timer.chunks([(0, 512)])) == pytest.approx(before + mapping + last)
    assert mapping < before / 5


def test_a_mixed_iteration_runs_both_passes() -> None:
    """A chunk in the middle of a prompt adds the small model's pass to the step; one at its end joins the step."""
    timer = deployment_of(scenario_from(BASE)).timer
    contexts = [(3000, 3)]
    step = timer.step_seconds(3, contexts, timer.chunks([]))
    middle = timer.step_seconds(0, [], timer.chunks([(100, 200)], [False]))
    mixed = timer.step_seconds(3, contexts, timer.chunks([(100, 200)], [False]))
    assert mixed == pytest.approx(step + middle - timer.host_seconds(0))
    last = timer.step_seconds(3, contexts, timer.chunks([(299, 1)], [True]))
    assert last == pytest.approx(timer.step_seconds(4, [(3300, 4)], timer.chunks([])))


def test_work_is_what_both_models_do() -> None:
    """FLOPs of a run: twice the weights that each token meets, but for embeddings, norms and attention."""
    fixed = {
        "generator": {
            "arrivals": {"process": "constant", "rate": 1.0},
            "prompt_tokens": {"law": "fixed", "tokens": 65},
            "output_tokens": {"law": "fixed", "tokens": 4},
            "requests": 3,
        },
        "concurrency": 1,
    }
    result = run(scenario_from(BASE | {"load": fixed}))
    from simulator.report.serving.usage import work

    flops = float(work(result.iteration_columns, result.deployment)[0].sum())
    small = SMALL.parameters() - SMALL.embedding_parameters()
    maps = KVMaps(LARGE, SMALL, spread(28, 20)).parameters()
    expected = 2.0 * 3 * (64 * (small + maps) + 4 * LARGE.parameters())  # its tied embedding is the output head
    assert flops == pytest.approx(expected, rel=0.03)


def test_first_tokens_come_sooner_and_the_rest_as_before() -> None:
    one = {"load": BASE["load"] | {"concurrency": 1}}
    both, alone = (run(scenario_from(s | one)).summary["latency_ms"] for s in (BASE, ALONE))
    assert both["ttft"]["mean"] < 0.6 * alone["ttft"]["mean"]
    assert both["itl"]["p50"] == pytest.approx(alone["itl"]["p50"], rel=0.01)


@settings(max_examples=20, deadline=None)
@given(
    policy=st.sampled_from(["vllm-v1", "vllm-v0", "sarathi"]),
    blocks=st.sampled_from([70, 400]),
    budget=st.sampled_from([256, 2048]),
    partition=st.sampled_from([None, {"prefill_units": 0.4}, {"split": {"policy": "proactive", "step": 0.25}}]),
)
def test_nothing_is_lost_and_fast_forward_changes_no_time(
    policy: str, blocks: int, budget: int, partition: dict[str, Any] | None
) -> None:
    values = BASE | {
        "model": "meta-llama/Llama-3.2-1B",
        "prompt_model": {"model": "Qwen/Qwen2.5-0.5B"},
        "device": "nvidia-l4-24gb",
        "load": BASE["load"] | {"speed_up": 40.0},
        "batching": {"policy": policy, "max_num_batched_tokens": budget, "max_num_seqs": 8},
        "kv_cache": {"blocks": blocks},
        "partition": partition,
    }
    fast, slow = (run(scenario_from(values | {"fast_forward": on})) for on in (True, False))
    c = fast.request_columns
    assert len(np.unique(c["index"])) == 25
    for name, column in c.items():
        assert column.tobytes() == slow.request_columns[name].tobytes(), name
    assert fast.summary["energy"]["total_j"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt_model": {"model": "apple/OpenELM-45M"}}, "unknown model"),
        ({"prompt_model": {"model": "apple/OpenELM-450M", "layers": [0, 1]}}, "has 2 entries: give one for each of"),
        ({"prompt_model": {"model": "apple/OpenELM-450M", "layers": [20] * 28}}, "whose last is 19"),
        ({"model": "deepseek-ai/DeepSeek-V2-Lite"}, "caches latent vectors"),
        ({"disaggregation": {}}, "prompt_model beside disaggregation"),
        ({"speculation": {"policy": "fixed", "options": {"tokens": 2}}}, "beside"),
        ({"parallel": {"pipeline": 2}}, "prompt_model beside parallel.pipeline"),
    ],
)
def test_what_cannot_be_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(scenario_from(BASE | change))


def test_prompts_are_not_broken_down() -> None:
    deployment = deployment_of(scenario_from(BASE))
    assert iteration_parts(deployment, decode=[100])
    with pytest.raises(InputError, match="breakdown of prompts beside prompt_model"):
        iteration_parts(deployment, prefill=[(0, 100)])
