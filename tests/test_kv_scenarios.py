"""Scenarios with cache tiers and narrow caches, from fields to summary."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.assembly.pools import deployment_of
from simulator.errors import InputError
from simulator.experiment import run
from simulator.scenario import scenario_from

MODEL, DEVICE = "meta-llama/Llama-3.1-8B", "nvidia-l4-24gb"
TOKEN_BYTES = 2 * 32 * 8 * 128 * 2
RAG = {
    "arrivals": {"process": "poisson", "rate": 2.0},
    "prompt_tokens": 32,
    "output_tokens": 8,
    "retrieval": {"documents": 30, "per_request": 3, "tokens": 256},
    "requests": 60,
}


def scenario(kv_cache: dict[str, Any], **changes: Any) -> Any:
    return scenario_from({"model": MODEL, "device": DEVICE, "kv_cache": kv_cache, "load": {"generator": RAG}} | changes)


def test_tiers_have_usual_rates() -> None:
    found = run(scenario({"tiers": [{"name": "host"}, {"name": "nvme", "capacity_gb": 100}]})).kv_tiers
    assert list(found) == ["host", "nvme"]
    assert found["nvme"]["capacity_gb"] == 100
    assert found["host"]["capacity_gb"] > 8


def test_chunk_reuse_moves_the_bytes_of_its_hits() -> None:
    """Every hit token is 2 x 32 layers x 8 heads x 128 elements x 2 bytes; misses are written once."""
    result = run(scenario({"tiers": [{"name": "host", "capacity_gb": 50}], "reuse": "chunk-reuse"}))
    host = result.kv_tiers["host"]
    assert host["hit_tokens"] > 0
    assert host["loaded_gb"] * 1e9 == pytest.approx(host["hit_tokens"] * TOKEN_BYTES)
    assert host["written_gb"] * 1e9 <= 30 * 256 * TOKEN_BYTES
    assert host["evicted_gb"] == host["dropped_gb"] == 0
    exact = run(scenario({}))
    assert result.hit_tokens > exact.hit_tokens
    assert result.summary["latency_ms"]["ttft"]["mean"] < exact.summary["latency_ms"]["ttft"]["mean"]


def test_compression_divides_what_is_moved_and_kept() -> None:
    kv: dict[str, Any] = {"reuse": "chunk-reuse", "tiers": [{"name": "host", "capacity_gb": 50}]}
    raw = run(scenario(kv)).kv_tiers["host"]
    kv["tiers"][0]["compression"] = [{"ratio": 4.0}]
    small = run(scenario(kv)).kv_tiers["host"]
    assert small["written_gb"] == pytest.approx(raw["written_gb"] / 4)
    assert small["loaded_gb"] / small["hit_tokens"] == pytest.approx(raw["loaded_gb"] / raw["hit_tokens"] / 4)


@pytest.mark.parametrize(("name", "width"), [("fp8", 1.0), ("int8", 1.0), ("int4", 0.5)])
def test_narrow_caches_hold_more_and_read_less(name: str, width: float) -> None:
    """Blocks shrink with the format (its scales on top), so more fit, and a decode step reads fewer bytes."""
    wide, narrow = (deployment_of(scenario({}, precision={"kv_cache": kv})) for kv in ("bf16", name))
    stored = narrow.precision.kv_cache.bytes
    assert width <= stored <= width * 1.1
    ratio = narrow.memory.block_bytes / wide.memory.block_bytes
    assert ratio == pytest.approx(stored / 2.0)
    assert narrow.memory.blocks == pytest.approx(wide.memory.blocks / ratio, rel=1e-3)
    contexts = [(64 * 4000, 64)]
    moved = [d.timer.attention_work(contexts, 1, d.timer.chunks([]))[1] for d in (wide, narrow)]
    assert moved[1] / moved[0] == pytest.approx(ratio)
    seconds = [float(d.timer.decode_seconds(64, contexts, 1)[0]) for d in (wide, narrow)]
    assert seconds[1] < seconds[0]


@pytest.mark.parametrize(
    ("kv_cache", "named"),
    [
        ({"tiers": [{"name": "tape", "capacity_gb": 1}]}, "bandwidth_gb_s"),
        ({"tiers": [{"name": "nvme"}]}, "capacity_gb"),
        ({"tiers": [{"name": "host", "speed": 1}]}, "speed"),
        ({"tiers": [{"name": "host", "eviction": "fifoo"}]}, "fifoo"),
        ({"tiers": [{"name": "host"}, {"name": "host"}]}, "same name"),
        ({"tiers": [{"name": "host"}], "prefix_caching": False}, "prefix_caching"),
        ({"reuse": "chunk-reuse"}, "tiers"),
        ({"tiers": [{"name": "host"}], "reuse": "chunk-reuse", "reuse_options": {"recompute": 2}}, "recompute"),
    ],
)
def test_bad_tiers_are_named(kv_cache: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        run(scenario(kv_cache))
