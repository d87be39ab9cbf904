"""Live migration: times by hand, conservation, exact fast-forward, and shorter waits under a skewed load."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Sequenced

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.cluster import Cluster
from simulator.engine.cluster_spec import Load
from simulator.engine.control import Control
from simulator.engine.handoff import KVTransfer
from simulator.engine.migration import Migration
from simulator.engine.recorder import Recorder
from simulator.policies.batching import BatchingPolicy, Static
from simulator.policies.migration import Instance, Llumnix, MigrationPolicy, Move, NoMigration
from simulator.policies.routing import ReplicaView
from simulator.policies.sequence import Sequence
from tests.builders import FixedTimer, Rows, rows, serve
from tests.engine.test_fast_forward import POLICIES, TIMERS, outcome, workloads

STEP = 0.01
# A token takes a millisecond, and so does the way of an answer.
SLOW = KVTransfer(token_bytes=1e3, send=1e6, receive=1e6, latency=1e-3, layers=2)


class Once:
    """Moves request 0 from replica 0 to replica 1 at the first question."""

    def __init__(self) -> None:
        self.asked = False

    def moves(self, instances: Sequenced[Instance]) -> list[Move]:
        first, self.asked = not self.asked, True
        return [Move(0, 1, 0)] if first else []


class Restless:
    """Moves whatever it can, from any replica to the next."""

    def moves(self, instances: Sequenced[Instance]) -> list[Move]:
        return [
            Move(i.number, (i.number + 1) % len(instances), r.index)
            for i in instances
            for r in i.residents[-1:]
            if r.movable
        ]


class ToTheFirst:
    """Sends every request to replica 0."""

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        return 0


def migrate(
    source: Rows, chosen: MigrationPolicy, *, every: float = 0.025, transfer: KVTransfer = SLOW, **options: object
) -> tuple[Cluster, Recorder]:
    control = Control(migration=Migration(chosen, every, transfer))
    return serve(source, control=control, **({"replicas": 2, "router": ToTheFirst()} | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("fast_forward", [True, False])
def test_one_migration_by_hand(fast_forward: bool) -> None:
    """41 tokens are there at 25 ms, 4 more when they are copied, 2 more when the sequence stops at 80 ms."""
    cluster, recorder = migrate(rows([0.0], [40], [30]), Once(), timer=FixedTimer(STEP), max_num_batched_tokens=64,
                                fast_forward=fast_forward)  # fmt: skip
    moved = cluster.migrations
    assert moved is not None
    assert (moved.started, moved.finished, moved.bytes) == (1, 1, 47e3)
    # Two answers, then two tokens and the latency of their copy.
    assert moved.downtime == pytest.approx(2e-3 + 2e-3 + 1e-3)
    c = recorder.requests()
    assert c["replica"].tolist() == [1]
    assert c["finish_s"][0] == pytest.approx(0.085 + 22 * STEP)
    assert c["first_token_s"][0] == STEP


def test_a_sequence_that_finishes_meanwhile_aborts() -> None:
    cluster, recorder = migrate(rows([0.0, 0.0], [40, 4], [4, 40]), Once(), timer=FixedTimer(STEP),
                                max_num_batched_tokens=64)  # fmt: skip
    assert cluster.migrations is not None
    assert (cluster.migrations.started, cluster.migrations.aborted) == (1, 1)
    assert [r.kv.used for r in cluster.replicas] == [0, 0]
    assert recorder.requests()["replica"].tolist() == [0, 0]


def test_a_target_without_room_refuses() -> None:
    """Request 1 fills the other replica, so request 0 stays and loses no time."""

    class Apart(ToTheFirst):
        def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
            return sequence.index

    source = rows([0.0, 0.0], [40, 40], [8, 8])
    times = []
    for policy in (Once(), NoMigration()):
        cluster, recorder = migrate(source, policy, timer=FixedTimer(STEP), blocks=15, router=Apart())
        times.append(outcome(recorder))
        assert cluster.migrations is not None and cluster.migrations.finished == 0
    assert times[0] == times[1]


def test_migration_shortens_the_tail_of_queueing() -> None:
    """All requests enter one of two replicas: with migration fewer are preempted, and queues are shorter."""
    rng = np.random.default_rng(3)
    source = rows(
        np.cumsum(rng.exponential(0.05, 120)).tolist(),
        rng.integers(4, 30, 120).tolist(),
        np.minimum(4 + rng.pareto(1.2, 120) * 20, 150).astype(int).tolist(),
    )

    def tail(policy: MigrationPolicy) -> tuple[float, int]:
        _, recorder = migrate(source, policy, timer=FixedTimer(STEP), blocks=60, every=0.05,
                              transfer=KVTransfer(1e3, 1e8, 1e8, 1e-5, 2))  # fmt: skip
        c = recorder.requests()
        return float(np.percentile(c["scheduled_s"] - c["arrival_s"], 99)), int(c["preemptions"].sum())

    wait, preemptions = tail(Llumnix())
    stuck, lost = tail(NoMigration())
    assert wait < 0.5 * stuck
    assert preemptions < lost


@settings(max_examples=200, deadline=None)
@given(
    source=workloads(),
    timer=st.sampled_from(sorted(TIMERS)),
    batching=st.sampled_from([p for p in POLICIES if not isinstance(p(), Static)]),
    policy=st.sampled_from([Restless, lambda: Llumnix(source_below=3.0, target_above=3.0)]),
    every=st.sampled_from([2e-4, 1e-3, 0.02]),
    rate=st.sampled_from([1e6, 1e8]),
    replicas=st.integers(2, 3),
    blocks=st.integers(25, 60) | st.just(1000),
    seqs=st.integers(1, 8),
    caching=st.booleans(),
    load=st.sampled_from([Load(), Load(concurrency=3), Load(sessions_wait=True)]),
)
def test_nothing_is_lost_and_fast_forward_changes_no_time(
    source: Rows,
    timer: str,
    batching: Callable[[], BatchingPolicy],
    policy: Callable[[], MigrationPolicy],
    every: float,
    rate: float,
    replicas: int,
    blocks: int,
    seqs: int,
    caching: bool,
    load: Load,
) -> None:
    def run(fast_forward: bool) -> tuple[object, ...]:
        cluster, recorder = migrate(
            source,
            policy(),
            every=every,
            transfer=KVTransfer(1e2, rate, rate, 1e-5, 2),
            timer=TIMERS[timer],
            policy=batching,
            replicas=replicas,
            blocks=blocks,
            max_num_seqs=seqs,
            prefix_caching=caching,
            load=load,
            fast_forward=fast_forward,
        )
        served, moved = recorder.requests(), cluster.migrations
        assert moved is not None
        assert recorder.finished + len(cluster.rejected) == len(source.requests)
        assert recorder.inter_token.total == (served["output_tokens"] - 1).sum()
        for replica in cluster.replicas:
            assert replica.outstanding == replica.prompt_backlog == 0
            assert replica.kv.used == 0 or replica.number in moved.engaged
            assert replica.kv.free == sum(replica.kv._idle.values())
        return (*outcome(recorder), moved.figures())

    assert run(True) == run(False)
