"""Whatever acts on a cluster: every request ends exactly once, and joined decode steps change no time."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Sequenced

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.autoscaling import Autoscaling
from simulator.engine.cluster import Cluster
from simulator.engine.cluster_spec import Load
from simulator.engine.control import Control
from simulator.engine.failures import Failures, Outage
from simulator.engine.fleet import State
from simulator.engine.recorder import Recorder
from simulator.policies.admission import PredictedWait, QueueLimit, TokenBucket
from simulator.policies.autoscaling import Autoscaler, QueueBased, Scheduled, Utilisation
from simulator.policies.batching import BatchingPolicy
from simulator.policies.routing import (
    KVUtilisation,
    PowerOfTwo,
    PredictedCost,
    PrefixAffinity,
    ReplicaView,
    Router,
    SessionAffinity,
    Weighted,
)
from simulator.policies.sequence import Sequence
from tests.builders import Rows, rows, serve
from tests.engine.test_fast_forward import POLICIES, TIMERS, Checked, outcome, workloads

ROUTERS: list[Callable[[], Router]] = [
    lambda: PowerOfTwo(rng=np.random.default_rng(1)),
    KVUtilisation,
    lambda: PrefixAffinity(threshold=0.0, balance_requests=2),
    SessionAffinity,
    Weighted,
    lambda: PredictedCost(rng=np.random.default_rng(2)),
]
ADMISSIONS: list[Callable[[], object]] = [
    lambda: None,
    lambda: QueueLimit(limit=1),
    lambda: PredictedWait(ttft_ms=3.0),
    lambda: TokenBucket(rate=300.0, burst=60.0),
]
AUTOSCALERS: list[Callable[[], Autoscaler | None]] = [
    lambda: None,
    lambda: QueueBased(target=2.0),
    lambda: Utilisation(target=0.3),
    lambda: Scheduled(at=[(0.0, 3), (0.02, 1), (0.05, 2)], period_s=0.1),
]


@st.composite
def failures(draw: st.DrawFn) -> Failures | None:
    if draw(st.booleans()):
        return None
    times = draw(st.lists(st.sampled_from([0.0, 3e-4, 0.004]) | st.floats(0, 0.2), max_size=4))
    outages = tuple(
        Outage(t, draw(st.sampled_from([0.0, 0.003, 0.3])), draw(st.sampled_from([(0,), (0, 1), (1, 2)])))
        for t in times
    )
    mtbf = draw(st.sampled_from([None, 0.1, 0.5]))
    node = draw(st.sampled_from([None, 0.3]))
    return Failures(
        mtbf, 0.02, node, 2, shape=draw(st.sampled_from([1.0, 2.0])), outages=outages, seed=draw(st.integers(0, 9))
    )


@settings(max_examples=250, deadline=None)
@given(
    source=workloads(),
    timer=st.sampled_from(sorted(TIMERS)),
    policy=st.sampled_from(POLICIES),
    router=st.sampled_from(ROUTERS),
    admission=st.sampled_from(ADMISSIONS),
    autoscaler=st.sampled_from(AUTOSCALERS),
    broken=failures(),
    blocks=st.integers(25, 60) | st.just(1000),
    load=st.sampled_from([Load(), Load(concurrency=3), Load(sessions_wait=True)]),
    apart=st.booleans(),
)
def test_every_request_ends_once_and_fast_forward_changes_no_time(
    source: Rows,
    timer: str,
    policy: Callable[[], BatchingPolicy],
    router: Callable[[], Router],
    admission: Callable[[], object],
    autoscaler: Callable[[], Autoscaler | None],
    broken: Failures | None,
    blocks: int,
    load: Load,
    apart: bool,
) -> None:
    if apart:  # prompts by a pool of their own, which neither grows nor fails
        autoscaler, broken = AUTOSCALERS[0], None

    def run(fast_forward: bool) -> tuple[object, ...]:
        rule = autoscaler()
        control = Control(
            admission=admission(),  # type: ignore[arg-type]
            autoscaling=None if rule is None else Autoscaling(rule, 1, 4, 0.01, 0.004, 0.015),
            failures=broken,
        )
        cluster, recorder = serve(
            source,
            timer=TIMERS[timer],
            policy=policy if apart else lambda: Checked(policy()),  # blocks in transfer belong to no sequence
            router=router(),
            replicas=3,
            blocks=blocks,
            max_num_batched_tokens=16,
            load=load,
            fast_forward=fast_forward,
            control=control,
            prefill_replicas=2 if apart else 0,
        )
        check_conservation(source, cluster, recorder)
        return (*outcome(recorder), cluster.shed, cluster.fleet.history())

    assert run(True) == run(False)


def test_a_cached_prefix_is_seen_shrinking_while_another_sequence_decodes() -> None:
    """What a router sees of a cache does not depend on decode steps being joined."""
    prefix = list(range(10))
    source = rows(
        [0.0, 0.05, *(0.056 + 0.0002 * i for i in range(60))],
        [40, 8, *([44] * 60)],
        [1, 100, *([1] * 60)],
        hashes=[prefix, [90, 91], *([*prefix, 1000 + i] for i in range(60))],
    )

    def seen(fast_forward: bool) -> list[int]:
        hits: list[int] = []

        class Spy:
            def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
                hits.append(replicas[0].cached_tokens(sequence))
                return int(sequence.index > 1)

        serve(
            source, timer=TIMERS["full"], router=Spy(), replicas=2, blocks=32, max_num_batched_tokens=64,
            fast_forward=fast_forward,
        )  # fmt: skip
        return hits

    joined = seen(True)
    assert joined == seen(False)
    assert len(set(joined[2:])) > 3


def check_conservation(source: Rows, cluster: Cluster, recorder: Recorder) -> None:
    served = recorder.requests()
    ended = [*served["index"].astype(int).tolist(), *cluster.shed, *(index for index, _ in cluster.rejected)]
    assert sorted(ended) == list(range(len(source.requests)))
    assert recorder.inter_token.total == (served["output_tokens"] - 1).sum()
    assert all(r.outstanding == 0 and r.kv.used == 0 and r.prompt_backlog == 0 for r in cluster.all_replicas)
    history = cluster.fleet.history()
    off = [s for s in cluster.fleet.states if s is State.OFF]
    assert len(off) < len(cluster.entrance)
    by_state = sum(history.seconds(0.0, cluster.clock.now, s) for s in State)
    assert abs(by_state - history.seconds(0.0, cluster.clock.now)) < 1e-9
