"""Plans: the calls that they make of a request, by arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.policies.plans import (
    ByModel,
    Call,
    Chat,
    Ensemble,
    Escalation,
    MinionS,
    Plan,
    Query,
    Routed,
    Single,
)
from simulator.policies.registry import build_policy

POOLS = ("s", "m", "l")
QUERY = Query(7, 100, 20, document_tokens=2500, difficulty=0.5)


def rounds(plan: Plan, query: Query = QUERY, seed: int = 0) -> list[tuple[Call, ...]]:
    """All rounds of a plan for a request."""
    return list(plan.rounds(query, np.random.default_rng(seed)))


def tokens(calls: list[tuple[Call, ...]]) -> list[list[tuple[str, int, int]]]:
    """(pool, prompt, output) of the calls by round."""
    return [[(c.pool, c.prompt_tokens, c.output_tokens) for c in made] for made in calls]


def test_single_is_one_call_over_prompt_and_document() -> None:
    assert tokens(rounds(Single(POOLS))) == [[("s", 2600, 20)]]
    assert tokens(rounds(Single(POOLS, pool="l"))) == [[("l", 2600, 20)]]


@given(st.floats(0, 1))
def test_a_perfect_router_names_the_tier_of_the_difficulty(difficulty: float) -> None:
    plan = Routed(POOLS, thresholds=[0.3, 0.6])
    query = Query(0, 10, 5, difficulty=difficulty)
    expected = "s" if difficulty < 0.3 else "m" if difficulty < 0.6 else "l"
    assert tokens(rounds(plan, query)) == [[(expected, 10, 5)]]


def test_a_router_is_wrong_as_often_as_it_says_and_reads_the_request() -> None:
    plan = Routed(POOLS, router="m", accuracy=0.7, router_prompt_tokens=30, router_output_tokens=2)
    query, rng = Query(0, 10, 5, difficulty=0.1), np.random.default_rng(1)
    made = [list(plan.rounds(query, rng)) for _ in range(3000)]
    assert all(tokens(m)[0] == [("m", 40, 2)] and not m[0][0].shown for m in made)
    assert np.mean([m[1][0].pool == "s" for m in made]) == pytest.approx(0.7, abs=0.03)


def test_turns_read_what_was_written_before() -> None:
    tier = {"pool": "m", "turns": 2, "samples": 3, "extra_prompt_tokens": 50, "output_factor": 2.0}
    made = rounds(Escalation(POOLS, tiers=[tier]))
    assert tokens(made) == [[("m", 2650, 40)] * 3, [("m", 2650 + 120, 40)] * 3]
    assert not any(call.shown for calls in made for call in calls)


def test_escalation_follows_the_difficulty_and_the_judge_reads_the_answer() -> None:
    plan = Escalation(POOLS, tiers=["s", "l"], thresholds=[0.4], judge="m", judge_tokens=3)
    assert tokens(rounds(plan)) == [[("s", 2600, 20)], [("m", 2620, 3)], [("l", 2600, 20)]]
    easy = rounds(plan, Query(0, 100, 20, difficulty=0.1))
    assert tokens(easy) == [[("s", 100, 20)], [("m", 120, 3)]]
    assert [c.role for calls in easy for c in calls] == ["answer", "judge"]


@given(st.integers(0, 10_000), st.integers(1, 4000), st.integers(1, 4), st.floats(0, 1), st.integers(1, 3))
def test_minions_cover_the_document(document: int, chunk: int, tasks: int, kept: float, count: int) -> None:
    plan = MinionS(POOLS, chunk_tokens=chunk, tasks=tasks, kept=kept, rounds=count, task_tokens=10, code_tokens=50,
                   decompose_prompt_tokens=100, aggregate_prompt_tokens=70, job_output_tokens=9)  # fmt: skip
    query = Query(3, 40, 8, document_tokens=document)
    made = rounds(plan, query)
    assert len(made) == 3 * count
    for jobs in made[1::3]:
        assert sum(c.prompt_tokens - 10 for c in jobs) == document * tasks
        assert {c.pool for c in jobs} == {"s"}
        assert len({c.shared for c in jobs}) * tasks == len(jobs)
    for (plan_call,), jobs, (read,) in zip(made[::3], made[1::3], made[2::3], strict=True):
        findings = read.prompt_tokens - plan_call.prompt_tokens - 50 - 70
        assert findings % 9 == 0
        assert 0 <= findings <= 9 * len(jobs)
    assert [c[0].role for c in made[2::3]] == ["aggregate"] * (count - 1) + ["answer"]
    assert made[-1][0].output_tokens == 8


def test_chat_grows_by_what_was_said() -> None:
    plan = Chat(POOLS, rounds=2, question_tokens=10, reply_tokens=20, remote_prompt_tokens=5, local_prompt_tokens=3)
    expected = [("m", 105, 10), ("s", 2513, 20), ("m", 135, 10), ("s", 2543, 20), ("m", 165, 20)]
    assert [one for [one] in tokens(rounds(plan))] == expected


def test_ensembles_draw_without_repeating() -> None:
    plan = Ensemble(POOLS, count=2, weights=[1, 1, 2])
    for seed in range(20):
        (calls,) = rounds(plan, seed=seed)
        assert len({c.pool for c in calls}) == 2
        assert not any(c.shown for c in calls)


def test_models_are_drawn_in_proportion() -> None:
    plan, rng = ByModel(POOLS, shares=[6, 3, 1]), np.random.default_rng(0)
    drawn = [next(iter(plan.rounds(QUERY, rng)))[0].pool for _ in range(4000)]
    assert [drawn.count(p) / 4000 for p in POOLS] == pytest.approx([0.6, 0.3, 0.1], abs=0.03)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("route", {"accuracy": 1.5}, "accuracy is 1.5, which must be from 0 to 1"),
        ("route", {"thresholds": [0.5, 0.2]}, "must be 2 difficulties in rising order"),
        ("route", {"tiers": ["s"]}, "a router needs two"),
        ("route", {"tiers": ["s", {"pool": "m", "turn": 2}]}, "unknown field of a tier 'turn': did you mean turns"),
        ("cascade", {"escalate": 0.5, "thresholds": [0.5]}, "not both"),
        ("cascade", {"escalate": [0.5]}, "escalate has 1 probabilities, and 2 tiers come before the last"),
        ("minions", {"chunk_tokens": 0}, "chunk_tokens is 0, which must be 1 or more"),
        ("chat", {"rounds": 0}, "rounds is 0"),
        ("ensemble", {"count": 4}, "count is 4, which must be from 1 to the 3 members"),
        ("by-model", {"shares": [1]}, "which must be 3 numbers of 0 or more"),
        ("by-model", {"pools": ["s"]}, "unknown option of plan policy by-model 'pools'"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_policy("plan", name, options, pools=POOLS)


def test_minions_need_two_pools() -> None:
    with pytest.raises(InputError, match="remote is not given and there are only 1 pools"):
        build_policy("plan", "minions", {}, pools=("s",))
