"""What each admission policy sheds, by hand, and that the engine's prediction comes true where it can."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.control import Control
from simulator.errors import InputError
from simulator.policies.admission import All, PredictedWait, QueueLimit, TokenBucket
from simulator.policies.registry import build_policy
from simulator.policies.routing import ReplicaView
from simulator.policies.sequence import Sequence
from tests.builders import FixedTimer, rows, serve, timer_of, tiny_model
from tests.policies.views import View


def request(prompt: int = 10, *, tenant: int = 0, arrival: float = 0.0) -> Sequence:
    return Sequence(0, arrival, prompt, 5, tenant=tenant)


def test_bounds_by_hand() -> None:
    assert All().admits(request(), View(queued=999), 0.0)
    limit = QueueLimit(limit=3)
    assert limit.admits(request(), View(queued=2), 0.0) and not limit.admits(request(), View(queued=3), 0.0)
    wait = PredictedWait(objective_ttft_ms=500.0)
    assert wait.admits(request(), View(ttft=0.5), 0.0) and not wait.admits(request(), View(ttft=0.51), 0.0)
    assert not wait.admits(request(arrival=1.0), View(ttft=0.4), 1.2)
    assert PredictedWait(ttft_ms=900.0, objective_ttft_ms=500.0).admits(request(), View(ttft=0.6), 0.0)


def test_token_bucket_by_hand() -> None:
    bucket = TokenBucket(rate=10.0, burst=30.0)
    took = [bucket.admits(request(20), View(), t) for t in (0.0, 0.0, 0.9, 1.0, 1.0, 99.0, 99.0, 99.0)]
    assert took == [True, False, False, True, False, True, False, False]
    assert bucket.admits(request(30, tenant=1), View(), 99.0)
    each = TokenBucket(rate=1.0, burst=2.0, count="requests")
    assert [each.admits(request(10_000), View(), 0.0) for _ in range(3)] == [True, True, False]


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 50)), max_size=50),
    st.floats(1, 50),
    st.floats(1, 100),
)
def test_a_bucket_never_lets_more_through_than_its_burst_and_rate(
    arrivals: list[tuple[float, int]], rate: float, burst: float
) -> None:
    bucket, now, passed = TokenBucket(rate=rate, burst=burst), 0.0, 0
    for gap, tokens in arrivals:
        now += gap
        passed += tokens * bucket.admits(request(tokens), View(), now)
    assert passed <= burst + rate * now + 1e-6


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("queue-limit", {"limit": 0}, "limit"),
        ("predicted-wait", {}, "ttft_ms"),
        ("token-bucket", {"rate": 0, "burst": 1}, "rate"),
        ("token-bucket", {"rate": 1, "burst": 1, "count": "bytes"}, "count"),
    ],
)
def test_impossible_options_are_named(name: str, options: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_policy("admission", name, options, objective_ttft_ms=None)


@settings(max_examples=50, deadline=None)
@given(
    prompts=st.lists(st.integers(1, 200), min_size=1, max_size=8),
    gap=st.sampled_from([0.0, 3e-4, 0.002]),
)
def test_predicted_first_tokens_come_true_without_decoding(prompts: list[int], gap: float) -> None:
    """One prompt after another and one output token each: the prediction is within a step of what happens.

    Every iteration takes 10 ms; a chunk shared by two prompts may save one iteration a request ahead.
    """
    predicted: dict[int, float] = {}

    class Watch:
        def admits(self, sequence: Sequence, replica: ReplicaView, now: float) -> bool:
            predicted[sequence.index] = now + replica.predicted_ttft(sequence)
            return True

    source = rows([gap * i for i in range(len(prompts))], prompts, [1] * len(prompts))
    _, recorder = serve(source, timer=FixedTimer(0.01), max_num_seqs=64, control=Control(admission=Watch()))
    c = recorder.requests()
    for index, first in enumerate(c["first_token_s"].tolist()):
        assert first == pytest.approx(predicted[index], abs=1e-9)


def test_shedding_keeps_the_rest_within_the_objective() -> None:
    """Several times the load of one replica: without shedding waits grow, with it nearly all are in time.

    The policy's bound is three quarters of the objective, since it does not foresee how many will decode.
    """
    count = 600
    source = rows([0.00006 * i for i in range(count)], [64] * count, [4] * count)
    bound = 0.02

    def waits(control: Control | None) -> np.ndarray:
        cluster, recorder = serve(
            source, timer=timer_of(tiny_model()), max_num_batched_tokens=64, max_num_seqs=64, control=control
        )
        c = recorder.requests()
        assert recorder.finished + len(cluster.shed) == count
        return c["first_token_s"] - c["arrival_s"]

    swamped, kept = waits(None), waits(Control(admission=PredictedWait(ttft_ms=0.75 * bound * 1e3)))
    assert (kept <= bound).mean() > 0.95 and kept.max() < 1.1 * bound
    assert swamped.max() > 3 * bound
    assert (kept <= bound).sum() > 1.5 * (swamped <= bound).sum()
