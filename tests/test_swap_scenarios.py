"""Swapping as a scenario describes it: what a copy moves, what is refused, and what the summary says."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.assembly.pools import deployment_of
from simulator.assembly.swapping import swap_setup
from simulator.engine.swapping import SwapSetup
from simulator.errors import InputError
from simulator.experiment import run
from simulator.report.table import headline
from simulator.scenario import scenario_from

BASE: dict[str, Any] = {
    "model": "meta-llama/Llama-3-8B",
    "device": "nvidia-a100-sxm-80gb",
    "load": {"generator": "shared-prefix-chat", "limit": 60, "speed_up": 4.0},
}


def setup_of(swap: dict[str, Any], **fields: Any) -> SwapSetup:
    scenario = scenario_from(BASE | fields | {"kv_cache": {"swap": swap}})
    found = swap_setup(scenario, deployment_of(scenario))
    assert found is not None
    return found


def test_a_block_of_llama_3_8b_is_64_copies_of_32_kib() -> None:
    """32 layers of keys and values, 8 heads of 128 in bf16, 16 tokens: as vLLM's offloading benchmark counts them."""
    setup = setup_of({})
    assert setup.tensors == setup.calls(1) == 64
    assert setup.block_bytes == 64 * 32 * 1024
    assert setup.blocks == 4 * 2**30 // (64 * 32 * 1024)
    assert setup.bandwidth == 31.5e9 * 0.82
    assert setup.call_latency == 5e-6


def test_groups_link_and_call_cost_are_as_given() -> None:
    setup = setup_of({"group_blocks": 16, "link": "pcie-gen5-x16", "call_us": 2.0, "capacity_gb": 1.0})
    assert [setup.calls(n) for n in (1, 16, 17, 160)] == [64, 64, 128, 640]
    assert setup.bandwidth == 63.0e9 * 0.86
    assert setup.call_latency == 2e-6
    assert setup.blocks == 476


@pytest.mark.parametrize("parallel", [{"tensor": 4}, {"pipeline": 4}])
def test_devices_copy_their_own_shares_at_once(parallel: dict[str, int]) -> None:
    """A quarter of the heads or of the layers each; host memory holds all of it."""
    one, four = setup_of({"capacity_gb": 8}), setup_of({"capacity_gb": 8}, parallel=parallel)
    assert four.block_bytes == one.block_bytes / 4
    assert (four.blocks, four.host_bytes) == (one.blocks, one.host_bytes)
    assert four.tensors == (64 if "tensor" in parallel else 16)


def test_latents_are_one_tensor_a_layer() -> None:
    setup = setup_of({}, model="deepseek-ai/DeepSeek-V2-Lite")
    assert setup.tensors == 27


@pytest.mark.parametrize(
    "other",
    [
        {"speculation": {"policy": "fixed", "options": {"tokens": 3}}},
        {"partition": {"prefill_units": 0.4}},
        {"failures": {"mtbf_s": 100.0, "mttr_s": 2.0}},
        {"kv_cache": {"swap": {}, "keep_share": 0.5, "prefix_caching": False}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_is_not_modelled_beside_it_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"kv_cache\.swap beside .* is not modelled"):
        run(scenario_from(BASE | {"kv_cache": {"swap": {}}} | other))


def test_host_memory_of_less_than_a_block_is_refused() -> None:
    with pytest.raises(InputError, match=r"kv_cache\.swap\.capacity_gb"):
        setup_of({"capacity_gb": 0.001})


def test_the_summary_tells_what_was_moved() -> None:
    swap = {"blocks": 300, "swap": {}, "prefix_caching": False}
    result = run(scenario_from(BASE | {"kv_cache": swap}))
    figures, setup = result.summary["swapping"], setup_of({})
    blocks = figures["calls_out"] / setup.tensors
    assert figures["swaps_out"] == figures["swaps_in"] == result.summary["preemptions"] > 0
    assert figures["out_gb"] == pytest.approx(blocks * setup.host_bytes / 1e9)
    # Without reuse and prefix caching every token goes both ways, and the engine stands still for each call and byte.
    assert figures["tokens_in"] == figures["tokens_out"]
    seconds = 2 * blocks * (setup.block_bytes / setup.bandwidth + setup.tensors * setup.call_latency)
    assert figures["stall_s"] == pytest.approx(seconds)
    assert any(name == "swapped to host memory" for name, _, _ in headline(result.summary))
    assert "swapping" not in run(scenario_from(BASE)).summary
