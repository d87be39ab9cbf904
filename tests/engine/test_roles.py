"""Replicas that change their role: times by hand, conservation, exact fast-forward, and what a change is good for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.cluster import Cluster
from simulator.engine.cluster_spec import Load
from simulator.engine.control import Control
from simulator.engine.handoff import KVTransfer
from simulator.engine.recorder import Recorder
from simulator.engine.roles import Batching, RoleSwitching
from simulator.errors import InputError
from simulator.experiment import run
from simulator.policies.batching import BatchingPolicy, VllmV1
from simulator.policies.batching.state import Limits
from simulator.policies.roles import Role, RolePolicy, Scheduled
from simulator.published import SCENARIOS
from simulator.report.table import headline
from simulator.scenario import scenario_from
from simulator.yaml_io import load_yaml
from tests.builders import FixedTimer, Rows, assert_conserved, rows, serve
from tests.engine.test_fast_forward import POLICIES, TIMERS, outcome, workloads

STEP = 0.01
# A token takes a millisecond.
SLOW = KVTransfer(token_bytes=1e3, send=1e6, receive=1e6, latency=0.0, layers=2)
DRAINS = ("finish", "mixed", "hand-over")


def switch(
    source: Rows,
    rule: RolePolicy,
    *,
    drain: str,
    every: float = STEP / 4,
    batching: tuple[Callable[[], BatchingPolicy], Callable[[], BatchingPolicy]] = (VllmV1, VllmV1),
    limits: tuple[Limits, Limits] = (Limits(8, 32), Limits(8, 32)),
    **options: Any,
) -> tuple[Cluster, Recorder]:
    settings_of = {
        role: Batching(p, bounds) for role, p, bounds in zip((Role.PREFILL, Role.DECODE), batching, limits, strict=True)
    }
    control = Control(roles=RoleSwitching(rule, every, drain, settings_of, ttft_s=0.1, tpot_s=0.02))
    return serve(source, control=control, **({"prefill_replicas": 2, "replicas": 2} | options))


def finishes(recorder: Recorder) -> list[float]:
    return recorder.requests()["finish_s"].tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("drain", DRAINS)
def test_a_replica_without_work_changes_at_once(drain: str) -> None:
    """Three prompts of one step each start together where three replicas compute prompts, and not where two do."""
    source = rows([0.005] * 3, [32] * 3, [1] * 3)
    _, two = switch(source, Scheduled(at=[[1e6, 3]]), drain=drain, timer=FixedTimer(STEP))
    cluster, three = switch(source, Scheduled(at=[[0, 3]]), drain=drain, timer=FixedTimer(STEP))
    assert max(finishes(two)) == pytest.approx(0.005 + 2 * STEP)
    assert finishes(three) == [pytest.approx(0.005 + STEP)] * 3
    assert cluster.roles is not None
    assert cluster.roles.figures()["changes"] == 1


def test_prompts_stay_where_they_were_computed() -> None:
    """The change comes in the first step: without a transfer every token takes a step."""
    source = rows([0.0, 0.0], [8, 8], [5, 5])
    for drain in ("mixed", "hand-over"):
        cluster, recorder = switch(
            source, Scheduled(at=[[0, 1]]), drain=drain, timer=FixedTimer(STEP), transfer=SLOW
        )  # fmt: skip
        assert cluster.roles is not None and cluster.handoff is not None
        assert cluster.roles.stayed == cluster.handoff.count == 1
        moved = 8e-3
        assert sorted(finishes(recorder)) == [pytest.approx(5 * STEP), pytest.approx(5 * STEP + moved)]


def test_what_decodes_is_sent_away_by_hand() -> None:
    """Transfers land at 18 and 26 ms; the step that ends at 48 ms is the first one's last before its 11 tokens move."""
    source = rows([0.0, 0.0], [8, 8], [10, 10])
    cluster, recorder = switch(
        source, Scheduled(at=[[0.042, 2]]), drain="hand-over", timer=FixedTimer(STEP), transfer=SLOW,
        prefill_replicas=1, every=0.001,
    )  # fmt: skip
    assert cluster.roles is not None and cluster.handoff is not None
    assert cluster.roles.sent_away == 1
    assert cluster.handoff.bytes == (8 + 8 + 11) * 1e3
    # The other replica reserves blocks after its step, at 56 ms, has it at 67 ms, and lets it join after the next.
    assert finishes(recorder) == [pytest.approx(0.076 + 6 * STEP), pytest.approx(0.026 + 9 * STEP)]
    assert recorder.requests()["replica"].tolist() == [1, 1]


def test_time_by_role_adds_up() -> None:
    source = rows([0.0] * 6, [20] * 6, [30] * 6)
    cluster, recorder = switch(source, Scheduled(at=[[0.05, 3], [0.1, 1]]), drain="finish", timer=FixedTimer(STEP))
    assert cluster.roles is not None
    found = cluster.roles.figures()
    total = sum(found[f"{name}_replica_s"] for name in ("prefill", "decode", "draining"))
    assert total == pytest.approx(4 * max(finishes(recorder)))
    assert found["draining_replica_s"] > 0


def test_each_role_keeps_its_batching() -> None:
    """A replica that comes to compute prompts takes as many tokens a step as prefill replicas do."""
    source = rows([0.005] * 3, [32] * 3, [1] * 3)
    for tokens, steps in ((32, 1), (16, 2)):
        _, recorder = switch(
            source, Scheduled(at=[[0, 3]]), drain="finish", timer=FixedTimer(STEP),
            limits=(Limits(8, tokens), Limits(8, 8)), max_num_batched_tokens=tokens,
        )  # fmt: skip
        assert finishes(recorder) == [pytest.approx(0.005 + steps * STEP)] * 3


class Restless:
    """Wants another split at each question."""

    def __init__(self) -> None:
        self.asked = 0

    def wanted(self, pools: object) -> int:
        self.asked += 1
        return 1 + self.asked % 3


@settings(max_examples=150, deadline=None)
@given(
    source=workloads(),
    timer=st.sampled_from(sorted(TIMERS)),
    batching=st.tuples(st.sampled_from(POLICIES), st.sampled_from(POLICIES)),
    drain=st.sampled_from(DRAINS),
    policy=st.sampled_from([Restless, lambda: Scheduled(at=[[1e-3, 3], [0.02, 1], [0.05, 2]])]),
    every=st.sampled_from([2e-4, 1e-3, 0.02]),
    pools=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    blocks=st.integers(25, 60) | st.just(1000),
    seqs=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    transfer=st.sampled_from(
        [KVTransfer(1e3, 1e5, 2e5, 1e-5, 2), KVTransfer(1e3, 1e7, 1e7, 1e-5, 2, True), SLOW]
    )
    | st.just(KVTransfer(1e3, 1e7, 1e7, 1e-5, 2, visible="transfer")),
    load=st.sampled_from([Load(), Load(concurrency=3)]),
)  # fmt: skip
def test_nothing_is_lost_and_fast_forward_changes_no_time(
    source: Rows,
    timer: str,
    batching: tuple[Callable[[], BatchingPolicy], Callable[[], BatchingPolicy]],
    drain: str,
    policy: Callable[[], RolePolicy],
    every: float,
    pools: tuple[int, int],
    blocks: int,
    seqs: tuple[int, int],
    transfer: KVTransfer,
    load: Load,
) -> None:
    def served(fast_forward: bool) -> tuple[object, ...]:
        cluster, recorder = switch(
            source,
            policy(),
            drain=drain,
            every=every,
            batching=batching,
            limits=(Limits(seqs[0], 32), Limits(seqs[1], 16)),
            timer=TIMERS[timer],
            policy=batching[1],
            prefill_replicas=pools[0],
            replicas=pools[1],
            blocks=blocks,
            transfer=transfer,
            load=load,
            fast_forward=fast_forward,
        )
        assert_conserved(cluster, recorder, source)
        assert cluster.roles is not None and cluster.handoff is not None
        assert not cluster.handoff._offered
        return (*outcome(recorder), cluster.roles.figures(), cluster.handoff.bytes)

    assert served(True) == served(False)


SCENARIO: dict[str, Any] = {
    "model": "meta-llama/Llama-3.2-1B",
    "device": "nvidia-l4-24gb",
    "replicas": 2,
    "disaggregation": {"replicas": 2, "roles": {"policy": "queue-and-cache"}},
    "load": {"generator": "shared-prefix-chat", "limit": 20},
}


def test_steps_end_where_a_transfer_frees_blocks_of_a_replica_that_decodes() -> None:
    """Caches hold little more than a request: one preempted where prompts are leaving comes back as they have left."""
    load = {
        "arrivals": {"process": "poisson", "rate": 50.0},
        "prompt_tokens": {"law": "fixed", "tokens": 20},
        "output_tokens": {"law": "fixed", "tokens": 90},
        "requests": 19,
    }
    roles = {"policy": "queue-and-cache", "drain": "finish", "every_s": 0.05}
    values = SCENARIO | {
        "disaggregation": {"replicas": 2, "roles": roles},
        "kv_cache": {"blocks": 13},
        "load": {"generator": load},
    }
    fast, slow = (run(scenario_from(values | {"fast_forward": on})).request_columns for on in (True, False))
    assert all(fast[name].tobytes() == slow[name].tobytes() for name in fast)


def test_roles_follow_a_drifting_mix() -> None:
    """The shipped example, shortened: more requests keep both objectives than with the split it begins with."""
    values = load_yaml(SCENARIOS / "serving" / "drifting-mix-8b.yaml")
    assert isinstance(values, dict)
    for phase in values["load"]["generator"]["phases"]:
        phase["seconds"] = 40
    values["disaggregation"]["roles"]["every_s"] = 2
    follows = run(scenario_from(values), keep_iterations=False).summary
    values["disaggregation"]["roles"] = {}
    stays = run(scenario_from(values), keep_iterations=False).summary
    assert follows["goodput"]["share"] > stays["goodput"]["share"] + 0.2
    assert follows["roles"]["changes"] >= 2
    assert "changes of role" in [name for name, _, _ in headline(follows)]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"disaggregation": {"device": "nvidia-t4-16gb"}}, "disaggregation.device"),
        ({"disaggregation": {"parallel": {"tensor": 2}}}, "disaggregation.parallel"),
        ({"parallel": {"pipeline": 2}}, "pipeline"),
        ({"queue": {"policy": "sjf"}}, "sjf"),
        ({"kv_cache": {"tiers": [{"name": "host"}]}}, "kv_cache.tiers"),
    ],
)
def test_what_cannot_change_is_refused_in_one_line(change: dict[str, Any], word: str) -> None:
    values = SCENARIO | change
    if "disaggregation" in change:
        values["disaggregation"] = SCENARIO["disaggregation"] | change["disaggregation"]
    with pytest.raises(InputError, match=word):
        run(scenario_from(values))
