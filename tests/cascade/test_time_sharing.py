"""Models that take turns on one device: one at a time, loading takes its time, nobody is forgotten."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.experiment import Result
from simulator.policies.turns import LongestWaiting, Member
from tests.cascade.builders import LARGE, SMALL, assert_conserved, load, served

SHARED = LARGE | {"group": "gpu"}
FLEET = {"policy": "by-model", "options": {"shares": [1, 1]}}


def shared(rate: float, **fields: Any) -> Result:
    """Two models on one device."""
    offered = fields.pop("load", load(80, rate=rate))
    return served(pools={"a": SHARED, "b": SHARED | {"model": "Qwen/Qwen2.5-7B"}}, plan=FLEET, load=offered, **fields)


def busy_spans(result: Result) -> list[tuple[float, float, int]]:
    """(start, end, pool) of all iterations by start."""
    rows = result.iteration_columns
    return sorted(zip(rows["start_s"].tolist(), rows["end_s"].tolist(), rows["replica"].astype(int), strict=True))


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([0.2, 2.0, 20.0]), st.sampled_from([None, 0.0, 3.0]), st.booleans(), st.integers(0, 5))
def test_one_model_at_a_time(rate: float, patience: float | None, closed: bool, seed: int) -> None:
    options = {} if patience is None else {"patience_s": patience}
    fields: dict[str, Any] = {"groups": {"gpu": {"options": options}}, "seed": seed}
    offered = load(80, rate=rate, concurrency=6 if closed else None)
    fast, slow = (shared(rate, load=offered, fast_forward=on, **fields) for on in (True, False))
    assert_conserved(fast, 80)
    for name, column in fast.request_columns.items():
        assert column.tobytes() == slow.request_columns[name].tobytes(), name
    assert fast.calls is not None
    loads, seconds = fast.calls.loads["gpu"]
    spans = busy_spans(fast)
    changes, gaps = 1, spans[0][0] - float(fast.request_columns["arrival_s"].min())
    for (_, end, one), (start, _, other) in pairwise(spans):
        if one != other:
            assert start >= end
            changes, gaps = changes + 1, gaps + start - end
    assert loads == changes
    assert gaps >= seconds


def test_loading_takes_the_weights_over_the_host_link() -> None:
    """16.06 GB over PCIe gen 4 x16, at 82 % of 31.5 GB/s; the first request waits for it."""
    alone = served(pools={"a": LARGE}, load=load(1))
    group = served(pools={"a": SHARED}, load=load(1), groups={"gpu": {"loading": {"gb_per_s": 10.0}}})
    default = served(pools={"a": SHARED}, load=load(1))
    e2e = [float(r.request_columns["finish_s"][0] - r.request_columns["arrival_s"][0]) for r in (alone, group, default)]
    assert e2e[1] - e2e[0] == pytest.approx(16.06 / 10.0, rel=0.01)
    assert e2e[2] - e2e[0] == pytest.approx(16.06 / (31.5 * 0.82), rel=0.01)


def test_a_swapped_out_model_has_lost_its_cache() -> None:
    """Requests of one prefix: the same model finds it, after a change of model nobody does."""
    prefix = {"groups": 1, "tokens": 256}
    offered = load(40, rate=0.05)
    offered["generator"]["prefix"] = prefix
    found = shared(0.05, load=offered)
    assert found.calls is not None
    c = found.calls.columns
    stayed = np.concatenate([[False], c["pool"][1:] == c["pool"][:-1]])
    assert np.all(c["cached_tokens"][stayed] == 256)
    assert np.all(c["cached_tokens"][~stayed] == 0)
    assert found.calls.loads["gpu"][0] == (~stayed).sum()


def test_sharing_costs_one_device() -> None:
    summary = shared(2.0).summary
    apart = served(pools={"a": LARGE, "b": LARGE}, plan=FLEET, load=load(80)).summary
    assert summary["deployment"]["devices"] == 1
    per_second = [s["cost"]["total_usd"] / s["makespan_s"] for s in (summary, apart)]
    assert per_second[1] == pytest.approx(2 * per_second[0])
    power = summary["energy"]["total_j"] / summary["makespan_s"]
    assert 50 < power < 400  # one A100


def test_turns_go_to_the_oldest_call() -> None:
    inf = float("inf")
    turns, patient = LongestWaiting(), LongestWaiting(patience_s=5.0)
    busy = [Member(0, inf, 3), Member(2, 1.0, 0), Member(1, 0.5, 0)]
    idle = [Member(0, inf, 0), *busy[1:]]
    assert turns.next(busy, 0, 100.0) == 0
    assert turns.next(idle, 0, 100.0) == 2
    assert patient.next(busy, 0, 5.0) == 0
    assert patient.next(busy, 0, 6.0) == 2
    assert turns.next([Member(0, inf, 0)] * 2, 1, 0.0) == 1


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (SMALL, "group gpu: its pools are on 1 x nvidia-a100-sxm-80gb, 1 x nvidia-l4-24gb"),
        (LARGE | {"replicas": 2}, "must all be on the same devices"),
        (
            LARGE | {"failures": {"mtbf_s": 9.0}},
            "failures, migration or power is not modelled",
        ),
        (LARGE | {"disaggregation": {}}, "group gpu beside disaggregation is not modelled"),
    ],
)
def test_groups_that_cannot_be_are_refused(pool: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        served(pools={"a": SHARED, "b": pool | {"group": "gpu"}}, plan=FLEET)
