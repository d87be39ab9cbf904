"""Offsets in an arena: nothing alive at once shares a byte, and no arena is below what is alive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.policies.registry import POLICIES, build_policy
from simulator.workloads.graphs.memory.arena import GreedyBySize, InOrder, place
from simulator.workloads.graphs.memory.sharing import Buffer

LIVES = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 20), st.integers(0, 8)).map(
        lambda t: Buffer(f"b{t}", float(t[0]), t[1], t[1] + t[2])
    ),
    max_size=24,
)


@pytest.mark.parametrize("name", POLICIES["arena"])
@pytest.mark.parametrize("fit", ["first", "best"])
@given(lives=LIVES, alignment=st.sampled_from([1, 4, 16, 64]))
def test_buffers_alive_at_once_share_no_byte(name, fit, lives, alignment):
    placed = build_policy("arena", name, {"fit": fit})(lives, alignment)
    assert sorted(p.life.name for p in placed) == sorted(life.name for life in lives)
    for node in range(30):
        spans = sorted((p.offset, p.end) for p in placed if p.life.first <= node <= p.life.last and p.life.bytes)
        assert all(one[1] <= two[0] for one, two in pairwise(spans))
        alive = sum(end - start for start, end in spans)
        assert alive <= max((p.end for p in placed), default=0)
    assert all(p.offset % alignment == 0 for p in placed)


def test_the_largest_first_leaves_no_hole_where_arrival_order_does():
    """A small buffer that stays splits what the two large ones could have shared."""
    lives = [Buffer("a", 10, 0, 0), Buffer("small", 1, 0, 9), Buffer("b", 12, 1, 2)]
    ends = {policy: max(p.end for p in policy(lives, 1)) for policy in (GreedyBySize(), InOrder())}
    assert ends == {GreedyBySize(): 13, InOrder(): 23}


def test_the_best_fit_takes_the_smaller_of_two_gaps():
    lives = [
        Buffer("wide", 40, 0, 0), Buffer("one", 5, 0, 5), Buffer("narrow", 10, 0, 0), Buffer("two", 5, 0, 5),
        Buffer("late", 10, 1, 1),
    ]  # fmt: skip
    offsets = {}
    for fit in ("first", "best"):
        offsets[fit] = place(lives, 1, fit)[-1].offset
    assert offsets == {"first": 0, "best": 45}


def test_narrow_formats_take_whole_bytes():
    (placed,) = GreedyBySize()([Buffer("bits", 2.5, 0, 0)], 1)
    assert placed.end == 3
