"""Paired replicas: times by hand, bytes of the copies, conservation of blocks at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.cluster import Cluster
from simulator.engine.cluster_spec import Load
from simulator.engine.handoff import KVTransfer
from simulator.engine.pair import Pair
from simulator.engine.pairs import Pairing
from simulator.engine.recorder import Recorder
from simulator.errors import InputError
from simulator.experiment import run
from simulator.policies.batching import BatchingPolicy, Static
from simulator.policies.pairing import AcceLLM, PairingPolicy, PairView
from simulator.report.table import headline
from simulator.scenario import scenario_from
from tests.builders import FixedTimer, Rows, assert_conserved, rows, serve
from tests.engine.test_fast_forward import POLICIES, TIMERS, outcome, workloads

STEP = 0.01
# A token takes a millisecond.
SLOW = KVTransfer(token_bytes=1e3, send=1e6, receive=1e6, latency=0.0, layers=2)
FAST = KVTransfer(1e3, 1e10, 1e10, 1e-5, 2, layerwise=True)


class ToTheFirst(AcceLLM):
    """Prompts always go to the first of the pair."""

    def computes(self, pair: PairView) -> int:
        return 0


def pair_up(
    source: Rows, pairs: Callable[[], PairingPolicy] = AcceLLM, *, transfer: KVTransfer = FAST, **options: Any
) -> tuple[Cluster, Recorder]:
    return serve(source, pairing=Pairing(pairs, transfer), **({"replicas": 2, "timer": FixedTimer(STEP)} | options))


def figures(cluster: Cluster) -> dict[str, float]:
    assert cluster.pairs is not None
    return cluster.pairs.figures()


def test_the_partner_goes_on_by_hand() -> None:
    """At 25 ms a prompt comes: the step ends at 30 ms, its token takes 1 ms, then the partner gives the other seven."""
    source = rows([0.0, 0.025], [8, 8], [10, 3])
    cluster, recorder = pair_up(source, ToTheFirst, transfer=SLOW)
    c = recorder.requests()
    assert c["finish_s"].tolist() == [pytest.approx(0.031 + 7 * STEP), pytest.approx(0.03 + 3 * STEP)]
    assert c["replica"].tolist() == [1, 0]
    assert figures(cluster)["taken_over"] == 1
    assert figures(cluster)["mean_wait_for_copy_ms"] == pytest.approx(1.0)


def test_an_incomplete_copy_is_waited_for() -> None:
    """30 tokens take 30 ms from the prompt's end at 10 ms on; the one of the step at 20 ms comes after them."""
    source = rows([0.0, 0.015], [30, 8], [5, 2])
    _, recorder = pair_up(source, ToTheFirst, transfer=SLOW)
    assert recorder.requests()["finish_s"][0] == pytest.approx(0.041 + 3 * STEP)


def test_layers_of_a_prompt_leave_while_others_are_computed() -> None:
    """Of 8 ms, half are on the way during the step, so that the copy is there 4 ms after the prompt."""
    layered = KVTransfer(1e3, 1e6, 1e6, 0.0, 2, layerwise=True)
    source = rows([0.0, 0.005], [8, 30], [3, 1])
    _, recorder = pair_up(source, ToTheFirst, transfer=layered, max_num_batched_tokens=30)
    assert recorder.requests()["finish_s"][0] == pytest.approx(STEP + 4e-3 + 2 * STEP)


def test_half_of_the_decoding_is_taken_back() -> None:
    """Four sequences decode on one replica while the other computes; then two on each."""
    source = rows([0.0] * 4 + [0.1], [8] * 4 + [32], [60] * 4 + [1])
    cluster, recorder = pair_up(source, ToTheFirst)
    rows_of = recorder.iterations()
    last = {r: rows_of["decode_sequences"][rows_of["replica"] == r][-1] for r in (0, 1)}
    assert last == {0: 2, 1: 2}
    assert figures(cluster)["taken_over"] == 2 + 2 + 2


@settings(max_examples=60, deadline=None)
@given(source=workloads(), transfer=st.sampled_from([FAST, SLOW]), replicas=st.sampled_from([2, 4]))
def test_copies_cost_every_cached_token_once(source: Rows, transfer: KVTransfer, replicas: int) -> None:
    """With ample memory all is sent but the last token of a request, which is never cached, and the last step's."""
    cluster, recorder = pair_up(source, transfer=transfer, replicas=replicas)
    c = recorder.requests()
    more = c["output_tokens"] > 1
    tokens = (c["prompt_tokens"] + c["output_tokens"] - 2)[more].sum()
    assert figures(cluster)["redundant_tokens"] == tokens
    assert figures(cluster)["redundant_gb"] * 1e9 == pytest.approx(tokens * 1e3)
    assert figures(cluster)["copies_given_up"] == 0


@settings(max_examples=60, deadline=None)
@given(source=workloads(), transfer=st.sampled_from([FAST, SLOW]))
def test_who_computes_prompts_does_not_decode(source: Rows, transfer: KVTransfer) -> None:
    """With ample memory no iteration mixes the two, whatever the policy's rate of change."""
    _, recorder = pair_up(source, transfer=transfer, timer=TIMERS["full"], max_num_seqs=64)
    c = recorder.iterations()
    assert not np.any((c["prefill_tokens"] > 0) & (c["decode_sequences"] > 0))


def test_copies_are_given_up_before_anything_is_preempted() -> None:
    """Both caches are filled by originals; alone, each replica serves its half without a preemption."""
    source = rows([0.0, 0.0, 0.1, 0.1], [20] * 4, [40] * 4)
    cluster, recorder = pair_up(source, blocks=30, max_num_batched_tokens=64)
    assert figures(cluster)["copies_given_up"] > 0
    assert recorder.requests()["preemptions"].sum() == 0
    assert_conserved(cluster, recorder, source)


def audited(pair: Pair) -> None:
    """Every block taken belongs to an original, a copy, or a sequence on its way to the other replica."""
    for side, other in (pair.sides, pair.sides[::-1]):
        decoding, kv = side.lane.state.decoding, side.replica.kv
        for member in decoding:
            decoding.refresh(member)
        leaving = [s for s, found in other.copies._copies.items() if found.wanted]
        originals = {*side.decoding(), *side.lane.state.prefilling, *side.computed, *leaving}
        shared = sum(kv._known[key] for key in kv._holders)
        private = sum(s.blocks - s.held_blocks for s in originals) + side.lane.state.reserved
        assert kv.used == shared + private + side.copies.blocks
        assert 0 <= kv.free == sum(kv._idle.values())


@pytest.fixture(autouse=True)
def _audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the blocks of both replicas whenever one of them is between two steps."""
    inner = Pair._between_steps

    def audited_between_steps(pair: Pair, index: int) -> None:
        inner(pair, index)
        audited(pair)

    monkeypatch.setattr(Pair, "_between_steps", audited_between_steps)


@settings(max_examples=120, deadline=None)
@given(
    source=workloads(),
    timer=st.sampled_from(sorted(TIMERS)),
    batching=st.sampled_from([p for p in POLICIES if not isinstance(p(), Static)]),
    policy=st.sampled_from([AcceLLM, ToTheFirst]),
    transfer=st.sampled_from([FAST, SLOW, KVTransfer(1e3, 1e8, 1e8, 1e-5, 2)]),
    replicas=st.sampled_from([2, 4]),
    blocks=st.integers(25, 60) | st.just(1000),
    seqs=st.integers(1, 8),
    caching=st.booleans(),
    load=st.sampled_from([Load(), Load(concurrency=3), Load(sessions_wait=True)]),
)
def test_nothing_is_lost_and_no_block_leaks(
    source: Rows,
    timer: str,
    batching: Callable[[], BatchingPolicy],
    policy: Callable[[], PairingPolicy],
    transfer: KVTransfer,
    replicas: int,
    blocks: int,
    seqs: int,
    caching: bool,
    load: Load,
) -> None:
    def served(fast_forward: bool) -> tuple[object, ...]:
        cluster, recorder = pair_up(
            source,
            policy,
            transfer=transfer,
            timer=TIMERS[timer],
            policy=batching,
            replicas=replicas,
            blocks=blocks,
            max_num_seqs=seqs,
            prefix_caching=caching,
            load=load,
            fast_forward=fast_forward,
        )
        assert_conserved(cluster, recorder, source)
        assert cluster.pairs is not None
        assert not any(len(side.copies) for pair in cluster.pairs.pairs for side in pair.sides)
        assert all(pair.computing is None for pair in cluster.pairs.pairs)
        return (*outcome(recorder), figures(cluster))

    assert served(True) == served(False)


SCENARIO: dict[str, Any] = {
    "model": "meta-llama/Llama-3.2-1B",
    "device": "nvidia-l4-24gb",
    "replicas": 2,
    "pairing": {},
    "load": {
        "generator": {
            "arrivals": {"process": "poisson", "rate": 5.0},
            "prompt_tokens": {"law": "fixed", "tokens": 700},
            "output_tokens": {"law": "fixed", "tokens": 30},
            "requests": 30,
        }
    },
}


def test_a_scenario_pays_for_the_copies() -> None:
    result = run(scenario_from(SCENARIO))
    model = result.deployment.model
    token = model.layers[0].attention.kv_elements() * len(model.layers) * 2
    assert result.summary["pairing"]["redundant_gb"] == pytest.approx(30 * (700 + 28) * token / 1e9)
    assert result.summary["deployment"]["devices"] == 2
    assert "redundant KV caches" in [name for name, _, _ in headline(result.summary)]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"replicas": 3}, "replicas is 3"),
        ({"disaggregation": {}}, "disaggregation"),
        ({"parallel": {"pipeline": 2}}, "pipeline"),
        ({"batching": {"policy": "static"}}, "static"),
        ({"kv_cache": {"keep_share": 0.5, "prefix_caching": False}}, "keep_share"),
        ({"pairing": {"policy": "accelm"}}, "accellm"),
    ],
)
def test_what_cannot_be_paired_is_refused_in_one_line(change: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        run(scenario_from(SCENARIO | change))
