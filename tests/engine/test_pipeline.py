"""Pipeline-parallel replicas: several batches in flight, one a stage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.policies.batching import Orca, PrefillFirst, VllmV1
from simulator.workloads.parallelism import Parallelism
from tests.builders import rows, serve, timer_of, tiny_model

ONE = timer_of(tiny_model())
TWO = timer_of(tiny_model(), parallel=Parallelism(pipeline=2))


def test_a_lone_request_passes_all_stages_each_step() -> None:
    """Latency of one request is that of the stages in a row: splitting layers does not speed up a single step."""
    _, whole = serve(rows([0.0], [20], [30]), timer=ONE)
    _, split = serve(rows([0.0], [20], [30]), timer=TWO)
    alone, staged = (r.requests()["finish_s"][0] for r in (whole, split))
    assert alone < staged < 1.5 * alone


def test_two_batches_in_flight_overlap() -> None:
    """With work for both lanes, stages are busy most of the time: iterations take longer in all than the clock."""
    _, recorder = serve(rows([0.0] * 16, [16] * 16, [60] * 16), timer=TWO, max_num_seqs=16)
    it = recorder.iterations()
    makespan = it["end_s"].max() - it["start_s"].min()
    assert (it["end_s"] - it["start_s"]).sum() > 1.5 * makespan


def test_a_stage_serves_one_batch_at_a_time() -> None:
    """Throughput cannot exceed one iteration a slowest-stage time."""
    _, recorder = serve(rows([0.0] * 16, [16] * 16, [60] * 16), timer=TWO, max_num_seqs=16)
    it = recorder.iterations()
    slowest = max(TWO.stage_seconds(8, [(8 * 16, 8)], TWO.chunks([])))
    assert len(it["end_s"]) / (it["end_s"].max() - it["start_s"].min()) <= 1 / slowest * 1.05


@given(
    data=st.lists(st.tuples(st.floats(0, 0.01), st.integers(1, 40), st.integers(1, 30)), min_size=1, max_size=12),
    policy=st.sampled_from([VllmV1, Orca, PrefillFirst]),
    blocks=st.integers(25, 80),
    seqs=st.integers(1, 8),
)
@settings(max_examples=80, deadline=None)
def test_every_request_is_served_once(
    data: list[tuple[float, int, int]], policy: type[VllmV1], blocks: int, seqs: int
) -> None:
    arrivals = np.cumsum([d[0] for d in data]).tolist()
    source = rows(arrivals, [d[1] for d in data], [d[2] for d in data])
    cluster, recorder = serve(source, timer=TWO, policy=policy, blocks=blocks, max_num_seqs=seqs)
    assert recorder.finished + len(cluster.rejected) == len(data)
    assert recorder.inter_token.total == (recorder.requests()["output_tokens"] - 1).sum()
    assert all(r.kv.used == 0 and r.outstanding == 0 for r in cluster.replicas)
    c = recorder.requests()
    assert (c["first_token_s"] > c["scheduled_s"]).all()
    assert (c["scheduled_s"] >= c["arrival_s"]).all()
    assert (c["finish_s"] >= c["first_token_s"]).all()


@pytest.mark.parametrize("policy", [VllmV1, Orca, PrefillFirst])
def test_blocks_given_back_by_one_lane_wake_the_other(policy: type[VllmV1]) -> None:
    source = rows([0.0] * 6, [36] * 6, [10] * 6)
    _, recorder = serve(source, timer=TWO, policy=policy, blocks=13, max_num_seqs=4, max_num_batched_tokens=64)
    assert recorder.finished == 6
