"""Prefix-cache hits on a recorded vLLM run, against what its block hashes imply."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.engine.step_timer import StepTimer
from simulator.workloads.traces import open_trace
from tests.builders import serve, timer_of, tiny_model

RUN = Path(__file__).parents[3] / "shared" / "measured" / "serving" / "vllm-rtxpro6000-llama-3.1-8b" / "requests.jsonl"
pytestmark = pytest.mark.skipif(not RUN.exists(), reason="the measured runs are not beside the project")
BLOCK = 16


@pytest.fixture(scope="module")
def timer() -> StepTimer:
    return timer_of(tiny_model())


def hits(timer: StepTimer, blocks: int) -> int:
    cluster, _ = serve(
        open_trace(RUN),  # type: ignore[arg-type]
        timer=timer,
        blocks=blocks,
        block_tokens=BLOCK,
        max_num_seqs=128,
        max_num_batched_tokens=2048,
    )
    return sum(lane.state.hit_tokens for replica in cluster.replicas for lane in replica.lanes)


def test_hits_of_an_infinite_cache_are_those_of_the_hashes(timer: StepTimer) -> None:
    seen: set[int] = set()
    implied = 0
    for line in RUN.read_text().splitlines():
        row = json.loads(line)
        usable = row["block_hashes"][: (row["input_tokens"] - 1) // BLOCK]
        implied += next((i for i, block in enumerate(usable) if block not in seen), len(usable)) * BLOCK
        seen.update(row["block_hashes"])
    assert hits(timer, 10_000_000) == implied > 0


def test_hits_decrease_with_capacity(timer: StepTimer) -> None:
    found = [hits(timer, blocks) for blocks in (10_000_000, 20_000, 3000, 1100)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]
