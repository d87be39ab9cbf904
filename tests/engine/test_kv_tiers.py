"""Cache tiers in the engine: exact fast-forward, conservation of bytes, waiting, overlap and the choice to load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.cluster import Cluster
from simulator.engine.kv_loading import TierSetup
from simulator.engine.tiers import Encoding, TierConfig
from simulator.policies.batching import BatchingPolicy
from simulator.policies.kv_cache.eviction import CostAware, Eviction, Lfu, Lru
from simulator.policies.kv_cache.reuse import ChunkReuse, ExactPrefix
from simulator.workloads.parallelism import Parallelism
from simulator.workloads.requests import RetrievedChunks
from tests.builders import FixedTimer, Rows, rows, serve, timer_of, tiny_model
from tests.engine.test_fast_forward import POLICIES, TIMERS, outcome, workloads

TOKEN = 100


def tier(name: str = "host", blocks: float = 1000, **changes: object) -> TierConfig:
    """A tier of so many blocks of 4 tokens of 100 bytes."""
    config = TierConfig(name, int(blocks * 4 * TOKEN), read=1e6, write=1e6, latency=1e-5, eviction=Lru)
    return replace(config, **changes)  # type: ignore[arg-type]


def setup(*tiers: TierConfig, **changes: object) -> TierSetup:
    built = TierSetup(tiers, ExactPrefix, bytes_per_token=TOKEN, flops=float, layers=2)
    return replace(built, **changes)  # type: ignore[arg-type]


def check_conservation(cluster: Cluster) -> None:
    """What was written to a tier is there or was evicted, and what lies there fits."""
    for tiers in cluster.tiers:
        for t in tiers:
            assert t.counts.written_bytes == t.counts.evicted_bytes + t.store.used
            assert t.store.used == sum(e.size for e in t.store._entries.values()) <= t.store.capacity
            assert t.counts.written_bytes == t.writing.bytes
            assert t.counts.loaded_bytes == t.reading.bytes
        if len(cluster.tiers) == 1:
            for upper, lower in pairwise(tiers):
                assert lower.counts.written_bytes + lower.counts.dropped_bytes <= upper.counts.evicted_bytes


@settings(max_examples=150, deadline=None)
@given(
    source=workloads(),
    timer=st.sampled_from(sorted(TIMERS)),
    policy=st.sampled_from(POLICIES),
    replicas=st.integers(1, 3),
    blocks=st.integers(25, 40),
    block_tokens=st.sampled_from([2, 4]),
    seqs=st.integers(1, 8),
    budget=st.sampled_from([8, 64]),
    eviction=st.sampled_from([Lru, Lfu, CostAware]),
    sizes=st.lists(st.sampled_from([0.5, 3, 10, 1000]), min_size=1, max_size=3),
    speed=st.sampled_from([1e4, 1e6, 1e9]),
    buffer=st.sampled_from([inf, 2000]),
    layerwise=st.booleans(),
    when_faster=st.booleans(),
    encodings=st.sampled_from([(Encoding(),), (Encoding(2.0, 1e6), Encoding(4.0, 3e5))]),
)
def test_fast_forward_changes_no_time(
    source: Rows,
    timer: str,
    policy: Callable[[], BatchingPolicy],
    replicas: int,
    blocks: int,
    block_tokens: int,
    seqs: int,
    budget: int,
    eviction: Callable[[], Eviction],
    sizes: list[float],
    speed: float,
    buffer: float,
    layerwise: bool,
    when_faster: bool,
    encodings: tuple[Encoding, ...],
) -> None:
    last = len(sizes) - 1
    tiers = [
        tier(f"t{i}", size, eviction=eviction, read=speed, write=speed, write_buffer=buffer, shared=i == last > 0,
             encodings=encodings, piece_tokens=8)
        for i, size in enumerate(sizes)
    ]  # fmt: skip

    def run(fast_forward: bool) -> tuple[object, ...]:
        cluster, recorder = serve(
            source,
            timer=TIMERS[timer],
            policy=policy,
            replicas=replicas,
            blocks=blocks,
            block_tokens=block_tokens,
            max_num_seqs=seqs,
            max_num_batched_tokens=budget,
            fast_forward=fast_forward,
            tiers=setup(*tiers, layerwise=layerwise, when_faster=when_faster),
        )
        assert recorder.finished + len(cluster.rejected) == len(source.requests)
        assert all(r.outstanding == 0 and r.kv.used == 0 and r.prompt_backlog == 0 for r in cluster.replicas)
        check_conservation(cluster)
        return (*outcome(recorder), [t.counts for ts in cluster.tiers for t in ts])

    assert run(True) == run(False)


def prefix(base: int, blocks: int) -> list[int]:
    return list(range(base, base + blocks))


def one_repeat(pause: float = 10.0) -> Rows:
    """A prompt of 4 blocks and one token, another that drives it out of a cache of 10, and the first again."""
    hashes = [prefix(0, 4), prefix(100, 9), prefix(0, 4)]
    return rows([0.0, 5.0, pause], [17, 37, 17], [1, 1, 1], hashes=hashes)


def served(source: Rows, tiers: TierSetup, **changes: object) -> tuple[Cluster, dict[str, np.ndarray]]:
    given_ = {"timer": FixedTimer(0.1), "blocks": 10, "max_num_batched_tokens": 64} | changes
    cluster, recorder = serve(source, tiers=tiers, **given_)  # type: ignore[arg-type]
    check_conservation(cluster)
    return cluster, recorder.requests()


def test_an_evicted_prefix_is_loaded_and_not_computed() -> None:
    """All four blocks were evicted: 1,600 bytes at 10 kB/s, then one iteration of 0.1 s."""
    cluster, c = served(one_repeat(), setup(tier(read=1e4)))
    counts = cluster.tiers[0][0].counts
    assert c["cached_tokens"].tolist() == [0, 0, 16]
    assert (counts.loads, counts.loaded_tokens, counts.loaded_bytes) == (1, 16, 16 * TOKEN)
    assert c["first_token_s"][2] == pytest.approx(10 + 0.16 + 1e-5 + 0.1, abs=1e-12)


def test_the_second_tier_gets_what_the_first_has_no_room_for() -> None:
    cluster, c = served(one_repeat(), setup(tier("host", 2), tier("nvme", 100, read=1e4)))
    host, nvme = cluster.tiers[0]
    assert (host.counts.loaded_tokens, nvme.counts.loaded_tokens) == (8, 8)
    assert nvme.counts.written_bytes == host.counts.evicted_bytes
    assert c["first_token_s"][2] == pytest.approx(10 + 0.08 + 1e-5 + 0.1, abs=1e-12)
    assert c["cached_tokens"][2] == 16


@pytest.mark.parametrize("read", [1e3, 1e4, 1e6])
@pytest.mark.parametrize("layers", [1, 2, 32])
def test_layerwise_loading_follows_the_pipeline(read: float, layers: int) -> None:
    """Two stages, transfer l and computing c a layer: max(c, l) (L - 1) + c + l."""
    cluster, c = served(one_repeat(), setup(tier(read=read, latency=0.0), layerwise=True, layers=layers))
    load = cluster.tiers[0][0].counts.loaded_bytes / read / layers
    compute = 0.1 / layers
    expected = max(compute, load) * (layers - 1) + compute + load
    assert c["first_token_s"][2] - 10.0 == pytest.approx(expected, rel=1e-9)


def test_others_run_while_one_is_loading() -> None:
    """A decoding sequence and one that came later are not held up by a load of 1.2 s."""
    source = one_repeat().requests
    arrivals = [*source.arrival_s.tolist(), 10.05]
    hashes = [prefix(0, 4), prefix(100, 9), prefix(0, 4), prefix(500, 1)]
    later = rows(arrivals, [17, 37, 17, 5], [1, 1, 1, 4], hashes=hashes)
    _, c = served(later, setup(tier(read=1e3)))
    assert c["finish_s"][3] == pytest.approx(10.05 + 4 * 0.1)
    assert c["first_token_s"][2] > c["finish_s"][3] + 0.5


def test_equal_prefixes_are_loaded_once() -> None:
    hashes = [prefix(0, 4), prefix(100, 9), prefix(0, 4), prefix(0, 4)]
    twice = rows([0.0, 5.0, 10.0, 10.05], [17, 37, 17, 17], [1, 1, 1, 1], hashes=hashes)
    cluster, c = served(twice, setup(tier(read=1e3)))
    assert cluster.tiers[0][0].counts.loads == 1
    assert c["cached_tokens"].tolist() == [0, 0, 16, 16]
    assert c["first_token_s"][3] == c["first_token_s"][2]


def test_what_is_computed_sooner_is_not_loaded() -> None:
    timer = timer_of(tiny_model())
    slow, fast = (served(one_repeat(), setup(tier(read=read), when_faster=True), timer=timer) for read in (1e3, 1e12))
    assert slow[0].tiers[0][0].counts.loads == 0
    assert slow[1]["cached_tokens"][2] < 16
    assert fast[0].tiers[0][0].counts.loads in (0, 1)
    assert fast[1]["first_token_s"][2] <= slow[1]["first_token_s"][2]


def test_nothing_is_read_before_it_is_written() -> None:
    """Written at 500 B/s from 5 s on, the last block is there 1,600 / 500 s later."""
    _, c = served(one_repeat(pause=5.2), setup(tier(write=500, latency=0.0, read=1e9)))
    assert c["first_token_s"][2] == pytest.approx(5.0 + 3.2 + 0.1, rel=1e-6)


def test_a_full_write_buffer_drops() -> None:
    cluster, c = served(one_repeat(), setup(tier(write=10.0, write_buffer=500.0)))
    counts = cluster.tiers[0][0].counts
    assert counts.dropped_bytes > 0 and counts.loads == 0
    assert c["cached_tokens"][2] < 16


@pytest.mark.parametrize("shared", [True, False])
def test_a_shared_tier_serves_what_another_replica_computed(shared: bool) -> None:
    """Round robin over two replicas: the repeat meets the replica that never saw its prefix."""
    hashes = [prefix(0, 4), prefix(100, 9), prefix(200, 9), prefix(0, 4)]
    source = rows([0.0, 1.0, 5.0, 10.0], [17, 37, 37, 17], [1, 1, 1, 1], hashes=hashes)
    _, c = served(source, setup(tier("remote", shared=shared)), replicas=2)
    assert (c["cached_tokens"][3] > 0) == shared


def test_a_sequence_waits_for_the_one_that_loads_for_it_in_any_policy() -> None:
    for policy in POLICIES:
        _, c = served(one_repeat(), setup(tier(read=1e4)), policy=policy)
        assert c["cached_tokens"][2] == 16


def with_chunks(prompts: list[list[tuple[int, int]]], questions: list[int], gap: float = 10.0) -> Rows:
    """Prompts of retrieved chunks (identity, tokens), each followed by a question."""
    tokens = [sum(n for _, n in chunks) + q for chunks, q in zip(prompts, questions, strict=True)]
    source = rows([gap * i for i in range(len(prompts))], tokens, [1] * len(prompts))
    flat = [c for chunks in prompts for c in chunks]
    offsets = np.cumsum([0, *map(len, prompts)])
    chunks = RetrievedChunks(offsets, np.array([i for i, _ in flat]), np.array([n for _, n in flat]))
    return Rows(replace(source.requests, chunks=chunks))


@pytest.mark.parametrize(("recompute", "cached"), [(0.0, 24), (0.25, 16), (1.0, 0)])
def test_chunks_are_reused_wherever_they_stand(recompute: float, cached: int) -> None:
    """Two chunks of 12 tokens in the other order: all but the recomputed share comes from the tier, in whole blocks."""
    source = with_chunks([[(1, 12), (2, 12)], [(2, 12), (1, 12)]], [8, 8])
    reuse = setup(tier(read=1e4), reuse=lambda: ChunkReuse(recompute=recompute))
    cluster, c = served(source, reuse)
    counts = cluster.tiers[0][0].counts
    assert c["cached_tokens"].tolist() == [0, cached]
    assert counts.loaded_bytes == (24 * TOKEN if cached else 0)
    load = counts.loaded_bytes / 1e4 + (1e-5 if cached else 0.0)
    assert c["first_token_s"][1] == pytest.approx(10.0 + load + 0.1)
    assert counts.written_bytes == 24 * TOKEN


def test_exact_prefixes_do_not_survive_another_order() -> None:
    source = with_chunks([[(1, 12), (2, 12)], [(2, 12), (1, 12)]], [8, 8])
    _, c = served(source, setup(tier()))
    assert c["cached_tokens"].tolist() == [0, 0]


@settings(max_examples=60, deadline=None)
@given(
    prompts=st.lists(
        st.tuples(st.lists(st.integers(0, 5), max_size=3, unique=True), st.integers(1, 12), st.integers(1, 30)),
        min_size=1,
        max_size=10,
    ),
    gap=st.sampled_from([0.0, 1e-4, 0.01]),
    recompute=st.sampled_from([0.0, 0.15, 1.0]),
    blocks=st.integers(25, 60),
    size=st.sampled_from([4, 20, 1000]),
    layerwise=st.booleans(),
    policy=st.sampled_from(POLICIES),
    stages=st.sampled_from([1, 1, 2]),
)
def test_fast_forward_changes_no_time_with_chunks(
    prompts: list[tuple[list[int], int, int]],
    gap: float,
    recompute: float,
    blocks: int,
    size: int,
    layerwise: bool,
    policy: Callable[[], BatchingPolicy],
    stages: int,
) -> None:
    source = with_chunks([[(d, 4 + 5 * d) for d in docs] for docs, _, _ in prompts], [q for _, q, _ in prompts], gap)
    source = Rows(replace(source.requests, output_tokens=np.array([n for _, _, n in prompts])))
    timer = TIMERS["window"] if stages == 1 else timer_of(tiny_model(), parallel=Parallelism(pipeline=stages))

    def run(fast_forward: bool) -> tuple[object, ...]:
        cluster, recorder = serve(
            source,
            timer=timer,
            policy=policy,
            blocks=blocks,
            fast_forward=fast_forward,
            tiers=setup(tier(blocks=size), reuse=lambda: ChunkReuse(recompute=recompute), layerwise=layerwise),
        )
        assert recorder.finished + len(cluster.rejected) == len(prompts)
        assert all(r.outstanding == 0 and r.kv.used == 0 and r.prompt_backlog == 0 for r in cluster.replicas)
        check_conservation(cluster)
        return (*outcome(recorder), [t.counts for ts in cluster.tiers for t in ts])

    assert run(True) == run(False)
