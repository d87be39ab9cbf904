"""Cascades against what they must equal: the serving run, sums and maxima of calls, queues of known length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cascade.run import pool_seed
from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.kinds import run_experiment
from simulator.scenario import scenario_from
from tests.cascade.builders import LARGE, SMALL, assert_conserved, cascade, load, served

CHAT = {"generator": "shared-prefix-chat", "limit": 80, "speed_up": 4.0}
POOLS: list[dict[str, Any]] = [
    {"replicas": 2, "router": {"policy": "random"}},
    {"kv_cache": {"blocks": 300}},
    {"speculation": {"policy": "fixed", "options": {"tokens": 3}}},
    {"parallel": {"pipeline": 2}},
    {"disaggregation": {"replicas": 1}},
    {"partition": {"prefill_units": 0.4}},
    {"replicas": 2, "failures": {"mtbf_s": 20.0, "mttr_s": 2.0}},
    {"admission": {"policy": "queue-limit", "options": {"limit": 3}}},
    {"queue": {"policy": "srpt"}},
]


def same(one: Result, other: Result, *, without: tuple[str, ...] = ()) -> None:
    """Columns of requests are equal to the last bit."""
    for name, column in one.request_columns.items():
        if name not in without:
            assert column.tobytes() == other.request_columns[name].tobytes(), name


@pytest.mark.parametrize("pool", POOLS, ids=lambda p: next(iter(p)))
@pytest.mark.parametrize("offered", [CHAT, CHAT | {"concurrency": 12}], ids=["open", "closed"])
def test_one_pool_without_network_is_the_serving_run(pool: dict[str, Any], offered: dict[str, Any]) -> None:
    alone = run(scenario_from(SMALL | pool | {"load": offered, "seed": pool_seed(0, "only")}))
    within = served(pools={"only": SMALL | pool}, load=offered)
    same(alone, within, without=("replica",))
    assert alone.shed == within.shed
    assert alone.hit_tokens == within.hit_tokens


def test_a_network_adds_its_round_trip_and_its_bytes() -> None:
    """One call at a time, so that nothing queues: 150 + 10 tokens of 4 bytes at 1 Mbit/s up and 2 down."""
    offered = load(requests=5, prompt=150, output=10, concurrency=1)
    network = {"round_trip_ms": 40, "uplink_mbit_s": 1.0, "downlink_mbit_s": 2.0}
    near = served(pools={"only": SMALL}, load=offered)
    far = served(pools={"only": SMALL | {"network": network}}, load=offered)
    e2e, ttft = (
        (r.request_columns["finish_s"] - r.request_columns["arrival_s"],
         r.request_columns["first_token_s"] - r.request_columns["arrival_s"])
        for r in (near, far)
    )  # fmt: skip
    up, down = 150 * 32 / 1e6, 10 * 32 / 2e6
    np.testing.assert_allclose(ttft[0] - e2e[0], 0.040 + up + down, atol=1e-9)
    np.testing.assert_allclose(ttft[1] - e2e[1], 0.040 + up + 32 / 2e6, atol=1e-9)


def test_a_shared_uplink_queues_as_md1() -> None:
    """Calls of equal size over one link: each wait by Lindley's recursion, the mean by Pollaczek and Khinchine's."""
    bits, share = 1000 * 32, 0.5
    found = served(
        pools={"only": SMALL | {"replicas": 8, "network": {"uplink_mbit_s": bits / 1e6}}},
        load=load(requests=8000, rate=share, prompt=1000, output=1),
    )
    assert found.calls is not None
    c = found.calls.columns
    waited = c["arrival_s"] - c["sent_s"] - 1.0
    expected = 0.0
    for gap, wait in zip(np.diff(c["sent_s"]), waited[1:], strict=True):
        expected = max(0.0, expected + 1.0 - gap)
        assert wait == pytest.approx(expected, abs=1e-8)
    assert waited.mean() == pytest.approx(share / (2 * (1 - share)), rel=0.1)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_a_cascade_costs_the_small_and_p_times_the_large(p: float) -> None:
    plan = {"policy": "cascade", "options": {"escalate": p}}
    prices = {"price_per_million_input_tokens": 2.0, "price_per_million_output_tokens": 8.0}
    dear = {name: 10 * price for name, price in prices.items()}
    found = served(pools={"small": SMALL | prices, "large": LARGE | dear}, plan=plan, load=load(2000, rate=40.0))
    each = (300 * 2.0 + 20 * 8.0) / 1e6
    chance = 3 * (p * (1 - p) / 2000) ** 0.5
    assert found.summary["cost"]["usd_per_request"] == pytest.approx(
        each * (1 + 10 * p), abs=each * 10 * chance + 1e-12
    )
    assert found.summary["pools"]["large"]["answered_share"] == pytest.approx(p, abs=chance)
    assert found.summary["pools"]["small"]["calls"] == 2000
    assert_conserved(found, 2000)


def test_an_answer_that_is_judged_is_not_shown_before() -> None:
    found = served(plan={"policy": "cascade", "options": {"escalate": 0.5}})
    c = found.request_columns
    kept = c["answered_by"] == 0
    assert 0 < kept.sum() < len(kept)
    assert np.all(c["first_token_s"][kept] == c["finish_s"][kept])
    assert np.all(c["first_token_s"][~kept] < c["finish_s"][~kept])


def test_a_fan_out_ends_with_its_last_call() -> None:
    """Alone on both pools, the request takes as long as the slower of the two calls alone."""
    offered = load(requests=4, concurrency=1)
    both = served(plan={"policy": "ensemble"}, load=offered)
    single = [
        served(plan={"policy": "single", "options": {"pool": pool}}, load=offered).request_columns
        for pool in ("small", "large")
    ]
    alone = [c["finish_s"] - c["arrival_s"] for c in single]
    c = both.request_columns
    np.testing.assert_allclose(c["finish_s"] - c["arrival_s"], np.maximum(*alone), rtol=1e-9)
    assert np.all(c["calls"] == 2)
    assert np.all(c["rounds"] == 1)


def test_rounds_in_sequence_add_up() -> None:
    """Alone, a router's call and the answer take the sum of both."""
    offered = load(requests=4, concurrency=1)
    plan = {"policy": "route", "options": {"router": "small", "tiers": ["large", "large"], "router_output_tokens": 5}}
    c = served(plan=plan, load=offered).calls
    assert c is not None
    spent = (c.columns["answered_s"] - c.columns["sent_s"]).reshape(4, 2).sum(axis=1)
    found = served(plan=plan, load=offered).request_columns
    np.testing.assert_allclose(found["finish_s"] - found["arrival_s"], spent, rtol=1e-9)


def test_jobs_over_one_chunk_share_it_in_the_cache() -> None:
    fields: dict[str, Any] = {
        "attributes": {"document_tokens": {"law": "fixed", "tokens": 4000}},
        "load": load(requests=6, concurrency=1),
    }
    options = {"chunk_tokens": 1000, "tasks": 4, "kept": 0.5}
    found = served(plan={"policy": "minions", "options": options}, **fields)
    assert_conserved(found, 6)
    assert found.calls is not None
    columns = found.calls.columns
    jobs = columns["role"] == found.calls.roles.index("job")
    assert jobs.sum() == 6 * 16
    # Four jobs over a chunk: those that begin together each compute it, the others find its 62 blocks of 16.
    assert set(columns["cached_tokens"][jobs].tolist()) <= {0.0, 992.0}
    assert (columns["cached_tokens"][jobs] == 992).any()
    assert not columns["cached_tokens"][~jobs].any()


def test_shed_and_rejected_requests_end() -> None:
    guarded = SMALL | {"admission": {"policy": "queue-limit", "options": {"limit": 1}}}
    found = served(pools={"small": guarded, "large": LARGE}, plan={"policy": "ensemble"}, load=load(80, rate=40.0))
    assert found.shed
    assert_conserved(found, 80)
    tight = {"small": SMALL, "large": LARGE | {"kv_cache": {"blocks": 10}}}
    plan = {"policy": "cascade", "options": {"escalate": 0.5}}
    found = served(pools=tight, plan=plan, load=load(50, on_error="skip"))
    assert 0 < len(found.rejected) < 50
    assert_conserved(found, 50)
    with pytest.raises(InputError, match="a call to pool large needs 319 tokens of KV cache"):
        served(pools=tight, plan=plan)


@st.composite
def cascades(draw: st.DrawFn) -> dict[str, Any]:
    """Two to three pools, alike or not, near or far, under any plan."""
    kinds = [SMALL, LARGE, SMALL | {"replicas": 2}, SMALL | {"kv_cache": {"blocks": 120}}, LARGE | POOLS[3]]
    networks = [{}, {"round_trip_ms": 20.0}, {"round_trip_ms": 5.0, "uplink_mbit_s": 2.0, "downlink_mbit_s": 1.0}]
    chosen = draw(st.lists(st.tuples(st.sampled_from(kinds), st.sampled_from(networks)), min_size=2, max_size=3))
    pools = {f"p{i}": pool | {"network": network} for i, (pool, network) in enumerate(chosen)}
    plan = draw(
        st.sampled_from(
            [
                {"policy": "single", "options": {"pool": "p1"}},
                {"policy": "route", "options": {"accuracy": 0.8}},
                {"policy": "route", "options": {"router": "p0", "tiers": ["p1", {"pool": "p0", "turns": 2}]}},
                {"policy": "cascade", "options": {"escalate": 0.4}},
                {"policy": "cascade", "options": {"judge": "p0", "tiers": [{"pool": "p0", "samples": 3}, "p1"]}},
                {"policy": "ensemble"},
                {"policy": "ensemble", "options": {"count": 1}},
                {"policy": "by-model", "options": {"models": ["p0", "p1"], "shares": [2, 1]}},
                {"policy": "minions", "options": {"rounds": 2, "tasks": 2, "chunk_tokens": 300}},
                {"policy": "chat", "options": {"rounds": 2}},
            ]
        )
    )
    concurrency = draw(st.sampled_from([None, 1, 7]))
    document = {"document_tokens": {"law": "lognormal", "median": 500, "sigma": 0.5, "max": 1000}}
    offered = load(25, rate=draw(st.sampled_from([1.0, 20.0])), concurrency=concurrency, on_error="skip")
    fields: dict[str, Any] = {"pools": pools, "plan": plan, "load": offered, "seed": draw(st.integers(0, 9))}
    if draw(st.booleans()):
        fields["attributes"] = document
    return fields


@settings(max_examples=15, deadline=None)
@given(cascades())
def test_any_cascade_conserves_and_joins_steps_exactly(fields: dict[str, Any]) -> None:
    fast = served(**fields)
    assert_conserved(fast, 25)
    slow = served(**fields, fast_forward=False)
    same(fast, slow)
    assert fast.calls is not None
    assert slow.calls is not None
    for name, column in fast.calls.columns.items():
        assert column.tobytes() == slow.calls.columns[name].tobytes(), name


def test_a_plan_draws_the_same_for_a_request_whatever_the_others_do() -> None:
    plan = {"policy": "cascade", "options": {"escalate": 0.5}}
    slow, quick = (served(plan=plan, load=load(60, rate=rate)).request_columns for rate in (1.0, 50.0))
    assert slow["answered_by"].tolist() == quick["answered_by"].tolist()


def test_difficulty_and_documents_come_from_the_trace(tmp_path: Any) -> None:
    trace = tmp_path / "t.csv"
    trace.write_text(
        "arrival_s,prompt_tokens,output_tokens,difficulty,document_tokens,tenant\n"
        "0,50,5,0.2,100,1\n1,50,5,0.9,0,0\n2,50,5,,30,1\n"
    )
    plan = {"policy": "route"}
    c = served(plan=plan, load={"trace": str(trace)}).request_columns
    assert c["answered_by"].tolist() == [0, 1, 0]
    assert c["prompt_tokens"].tolist() == [150, 50, 80]
    c = served(plan={"policy": "by-model"}, load={"trace": str(trace)}).request_columns
    assert c["answered_by"].tolist() == [1, 0, 1]
    with pytest.raises(InputError, match="request 0 is of tenant 1, and the plan by-model has 1 models"):
        served(plan={"policy": "by-model", "options": {"models": ["small"]}}, load={"trace": str(trace)})
    trace.write_text("arrival_s,prompt_tokens,output_tokens,difficulty\n0,50,5,1.2\n")
    with pytest.raises(InputError, match=r"difficulty is '1\.2': expected a number from 0 to 1"):
        served(plan=plan, load={"trace": str(trace)})


def test_the_dumped_scenario_runs_alike() -> None:
    from simulator.kinds import experiment_from, plain

    whole = cascade(plan={"policy": "cascade", "options": {"escalate": 0.3}}, seed=3)
    same(run_experiment(whole), run_experiment(experiment_from(plain(whole))))
