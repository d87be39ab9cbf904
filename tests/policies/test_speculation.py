"""Draft lengths and acceptance against closed forms of the papers they come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from simulator.engine.streams import stream
from simulator.errors import InputError
from simulator.policies.registry import build_policy
from simulator.policies.sequence import Sequence
from simulator.policies.speculation import Beta, BigLittle, Constant, Curve, Draft, Hierarchical, SmartSpec, chain
from simulator.policies.speculation.acceptance import best_path, expected_tokens, verify
from simulator.policies.speculation.draws import PositionDraws

STREAMS = partial(stream, 7)


@dataclass
class Lookup:
    """A view of one sequence or more, with step times given by draft length."""

    sequences: list[Sequence]
    acceptance_rate: float | None = None
    seconds: tuple[float, ...] = (1.0,) * 100

    def step_seconds(self, draft: Draft) -> float:
        return self.seconds[draft.depth]


def walk(sequence: Sequence, draft: Draft, law: Constant | Curve) -> tuple[int, int, int]:
    """Verify draft after draft to the end of the output: steps, accepted and examined tokens."""
    draws = PositionDraws(STREAMS, "acceptance")
    steps = accepted = examined = 0
    while sequence.remaining_output > 0:
        found = verify(sequence, draft, law, draws)
        accepted, examined, steps = accepted + found.accepted, examined + found.examined, steps + 1
        sequence.generated += min(found.accepted + 1, sequence.remaining_output)
    return steps, accepted, examined


@pytest.mark.parametrize(("rate", "length"), [(0.3, 2), (0.7, 4), (0.9, 6)])
def test_tokens_a_step_are_those_of_the_paper(rate: float, length: int) -> None:
    """Leviathan et al., arXiv:2211.17192, equation 1: (1 - a^(k+1)) / (1 - a)."""
    tokens = 60_000
    steps, _, _ = walk(Sequence(0, 0.0, 1, tokens), chain(length), Constant(rate=rate))
    counts = np.arange(1, length + 2)
    chances = np.append(rate ** (counts[:-1] - 1) * (1 - rate), rate**length)
    mean = float(counts @ chances)
    assert mean == pytest.approx(expected_tokens(rate, length))
    error = float(np.sqrt((counts**2 @ chances - mean**2) / steps))
    assert abs(tokens / steps - mean) < 4 * error


@given(rate=st.floats(1e-9, 1), children=st.integers(1, 8))
def test_a_tree_level_is_passed_by_any_of_its_children(rate: float, children: int) -> None:
    assert best_path(rate, children) == pytest.approx(1 - stats.binom.pmf(0, children, rate), abs=1e-12)


@given(rate=st.floats(0, 1), a=st.floats(0, 6), b=st.floats(0, 6))
def test_more_children_are_never_worse(rate: float, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert best_path(rate, low) <= best_path(rate, high) + 1e-12


def test_acceptance_by_depth_follows_the_curve() -> None:
    law = Curve(rates=[0.9, 0.5, 0.1])
    steps, accepted, _ = walk(Sequence(3, 0.0, 1, 30_000), chain(4), law)
    mean = 0.9 + 0.9 * 0.5 + 0.9 * 0.5 * 0.1 + 0.9 * 0.5 * 0.1 * 0.1
    assert accepted / steps == pytest.approx(mean, rel=0.02)


def test_rates_of_requests_follow_a_beta_law() -> None:
    law = Beta(streams=STREAMS, mean=0.8, concentration=10.0)
    rates = [law.rate(Sequence(i, 0.0, 1, 1), 1) for i in range(2000)]
    assert stats.kstest(rates, stats.beta(8, 2).cdf).pvalue > 0.01


def test_draws_are_by_position_whatever_asks_for_them() -> None:
    """A longer reach and other requests in between change no number."""
    one, other = Sequence(5, 0.0, 1, 40), Sequence(6, 0.0, 1, 40)
    short, long = PositionDraws(STREAMS, "acceptance"), PositionDraws(STREAMS, "acceptance", beyond=9)
    long.of(other)
    assert short.of(one).tolist() == long.of(one).tolist()[:40]
    assert short.of(one).tolist() != short.of(other).tolist()


@given(draft=st.lists(st.integers(1, 9), max_size=6), nodes=st.integers(0, 60))
def test_a_draft_is_cut_from_its_deep_end(draft: list[int], nodes: int) -> None:
    whole = Draft(tuple(draft))
    cut = whole.within(nodes)
    assert cut.nodes <= nodes or not cut.nodes
    assert cut.widths == whole.widths[: cut.depth]
    assert cut.depth == whole.depth or sum(whole.widths[: cut.depth + 1]) > nodes


@settings(max_examples=50)
@given(
    rate=st.floats(0.0, 0.99),
    seconds=st.lists(st.floats(0.1, 10.0), min_size=7, max_size=7),
)
def test_smartspec_takes_the_length_of_most_goodput(rate: float, seconds: list[float]) -> None:
    view = Lookup([Sequence(0, 0.0, 1, 9)], rate, tuple(seconds))
    (draft,) = SmartSpec(most_tokens=6).drafts(view)
    goodput = [expected_tokens(rate, k) / seconds[k] for k in range(7)]
    assert goodput[draft.depth] == pytest.approx(max(goodput))


def test_the_little_model_runs_a_geometric_number_of_tokens() -> None:
    """With fallback rate f and at most m: mean (1 - f) (1 - (1 - f)^m) / f."""
    policy, f, most = BigLittle(streams=STREAMS, fallback_rate=0.25, most_tokens=8), 0.25, 8
    view = Lookup([Sequence(i, 0.0, 1, 20) for i in range(4000)])
    lengths = [d.depth for d in policy.drafts(view)]
    assert max(lengths) == most and min(lengths) == 0
    assert np.mean(lengths) == pytest.approx((1 - f) * (1 - (1 - f) ** most) / f, rel=0.04)


def test_a_hierarchy_takes_as_many_rounds_as_the_inner_level_needs() -> None:
    """All accepted inside: each round gives its tokens and one more; none accepted: one a round."""
    view = Lookup([Sequence(0, 0.0, 1, 50)])
    (sure,) = Hierarchical(streams=STREAMS, tokens=6, inner_tokens=2, inner_rate=1.0).drafts(view)
    assert (sure.depth, sure.rounds) == (6, 2)
    (vain,) = Hierarchical(streams=STREAMS, tokens=6, inner_tokens=2, inner_rate=0.0).drafts(view)
    assert (vain.depth, vain.rounds) == (6, 6)


@pytest.mark.parametrize(
    ("kind", "name", "options", "named"),
    [
        ("speculation", "fixed", {"tokens": -1}, "tokens is -1"),
        ("speculation", "fixed", {"tree": [4, 0]}, "tree is"),
        ("speculation", "smart", {}, "smartspec"),
        ("speculation", "bild", {"fallback_rate": 2}, "fallback_rate is 2"),
        ("acceptance", "constant", {"rate": 1.5}, "rate is 1.5"),
        ("acceptance", "beta", {"mean": 1.0}, "mean is 1.0"),
        ("acceptance", "curve", {"rates": []}, "rates is"),
        ("draft", "model", {}, "model"),
        ("draft", "early-exit", {"layers": 0}, "layers is 0"),
    ],
)
def test_bad_options_are_named(kind: str, name: str, options: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        build_policy(kind, name, options, streams=STREAMS)
