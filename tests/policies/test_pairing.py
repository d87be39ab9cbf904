"""What AcceLLM's rules decide for a pair."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.policies.pairing import AcceLLM, Decoding, PairView
from simulator.policies.registry import build_policy


def pair(first: list[int], second: list[int], movable: bool = True) -> PairView:
    """Sequences of so many tokens on either replica."""
    one = tuple(Decoding(i, t, movable) for i, t in enumerate(first))
    other = tuple(Decoding(100 + i, t, movable) for i, t in enumerate(second))
    return PairView((one, other))


def test_prompts_go_where_less_is_decoded() -> None:
    assert AcceLLM().computes(pair([5], [9])) == 0
    assert AcceLLM().computes(pair([5, 5], [9])) == 1
    assert AcceLLM().computes(pair([], [])) == 0


def test_half_is_taken_back_short_and_long_alike() -> None:
    assert AcceLLM().moves(pair([], [10, 20, 30, 40])) == [101, 103]
    assert AcceLLM().moves(pair([40, 10, 30, 20], [])) == [3, 0]
    assert AcceLLM().moves(pair([7], [10, 20])) == []
    assert AcceLLM().moves(pair([], [10, 20, 30], movable=False)) == []


@given(st.lists(st.integers(1, 1000), max_size=20), st.lists(st.integers(1, 1000), max_size=40))
def test_moves_even_out_counts_and_tokens(first: list[int], second: list[int]) -> None:
    """As many on both sides as can be; tokens as even as neighbours by length allow where all come from one side."""
    found = AcceLLM().moves(pair(first, second))
    less, more = sorted((first, second), key=len)
    assert len(set(found)) == len(found)
    assert abs(len(more) - len(less) - 2 * len(found)) <= 1
    tokens = dict(enumerate(first)) | {100 + i: t for i, t in enumerate(second)}
    moved = sum(tokens[i] for i in found)
    if not less and len(more) % 2 == 0 and more:
        assert abs(sum(more) - 2 * moved) <= max(more) - min(more)


def test_unknown_options_are_named() -> None:
    with pytest.raises(InputError, match="accellm"):
        build_policy("pairing", "accelm", {})
    with pytest.raises(InputError, match="share"):
        build_policy("pairing", "accellm", {"share": 0.5})
