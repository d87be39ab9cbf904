"""Adapters on a device: pages of the KV pool are conserved, slots give way in order, turns come to all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.policies.adapters import AdapterQueue, LaneQueue, Merged, Pages, Slots, Static, Switching, Unified
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.routing import AdapterAffinity
from simulator.policies.sequence import Sequence
from tests.policies.views import View


def sequence(index: int, adapter: int = -1, prompt: int = 8) -> Sequence:
    return Sequence(index, float(index), prompt, 4, adapter=adapter)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("clhrsgf"), st.integers(0, 5)), max_size=80))
def test_pages_are_conserved_and_an_adapter_is_there_as_a_whole_or_not(moves: list[tuple[str, int]]) -> None:
    """Claims, landings, holds and sequences in any order, against a plain account of who holds what."""
    blocks, sizes = 40, [1, 2, 3, 5, 8, 13]
    kv = PagedKVCache(blocks=blocks, block_tokens=4)
    pages = Pages(kv, sizes.__getitem__)
    loading: set[int] = set()
    holds = [0] * 6
    running: list[Sequence] = []
    for number, (move, adapter) in enumerate(moves):
        if move == "c" and adapter not in loading and not pages.has(adapter):
            if pages.claim(adapter, (), 3) is not None:
                loading.add(adapter)
                assert kv.free >= 3
            else:
                assert sizes[adapter] + 3 > kv.free
        elif move == "l" and adapter in loading:
            loading.discard(adapter)
            pages.land(adapter)
        elif move == "h" and pages.has(adapter) and pages.idle_blocks(adapter) <= kv.free:
            pages.hold(adapter)
            holds[adapter] += 1
        elif move == "r" and holds[adapter]:
            pages.let_go(adapter)
            holds[adapter] -= 1
        elif move == "s":
            one = sequence(number, prompt=4 * (adapter + 1))
            if kv.admit(one, one.target):
                running.append(one)
        elif move == "g" and running:
            kv.grow(running[0], 4)
        elif move == "f" and running:
            kv.release(running.pop())
        held = sum(size for a, size in enumerate(sizes) if a in loading or holds[a])
        assert kv.used == held + sum(s.blocks for s in running)
        assert all(pages.has(a) for a in range(6) if holds[a])
        idle = sum(pages.idle_blocks(a) for a in range(6) if pages.has(a))
        assert 0 <= idle <= kv.free


def test_the_least_recently_used_idle_adapter_is_overwritten_first() -> None:
    kv = PagedKVCache(blocks=10, block_tokens=4)
    pages = Pages(kv, lambda _: 3)
    for adapter in (0, 1, 2):
        assert pages.claim(adapter, (), 0) == ()
        pages.land(adapter)
    pages.touch(0)
    assert kv.admit(sequence(0, prompt=16), 16)  # one blank block, then three of adapter 1
    assert [pages.has(a) for a in (0, 1, 2)] == [True, False, True]
    assert pages.there() == 2
    assert pages.claim(1, (), 0) == ()  # over adapter 2, the next
    assert [pages.has(a) for a in (0, 1, 2)] == [True, False, False]


def test_slots_give_way_in_order_of_use_and_never_while_used() -> None:
    slots = Slots(2)
    assert slots.has(-1)
    for adapter in (0, 1):
        assert slots.claim(adapter, (), 0) == ()
        assert not slots.has(adapter)
        slots.land(adapter)
    assert {slots.slot(0), slots.slot(1)} == {0, 1}
    slots.hold(0)
    assert slots.claim(2, {1}, 0) is None
    place = slots.slot(1)
    assert slots.claim(2, (), 0) == (1,)
    assert slots.slot(2) == place
    assert slots.claim(3, (), 0) is None  # one is used, the other being loaded
    slots.land(2)
    slots.let_go(0)
    assert slots.claim(3, (), 0) == (2,)
    assert slots.there() == 1


def test_the_base_model_needs_a_slot_where_weights_are_merged() -> None:
    merged = Slots(1, initial=(-1,), base_too=True)
    assert merged.has(-1)
    assert merged.claim(4, (), 0) == (-1,)
    assert not merged.has(-1)


def test_a_lane_sees_only_what_it_is_offered_in_order_of_arrival() -> None:
    queue = AdapterQueue()
    lane = LaneQueue(queue)
    for i, adapter in enumerate([0, 1, 0, 2, 1]):
        queue.append(sequence(i, adapter))
    lane.offer([1, 2], lambda adapter, place: True)
    assert len(lane) == 5
    lane.appendleft(sequence(9, 1))
    assert [lane.popleft().index for _ in range(3)] == [9, 1, 3]
    assert lane[0].index == 4
    lane.offer([0], lambda adapter, place: place < 2)
    assert lane.popleft().index == 0
    assert not lane
    assert len(lane) == 2
    assert [s.index for _, s in queue.oldest()] == [2, 4]
    with pytest.raises(IndexError):
        lane[0]


@pytest.mark.parametrize("policy", [Merged(), Switching()])
def test_a_turn_ends_for_requests_younger_than_another_adapters(policy: Merged | Switching) -> None:
    assert policy.admits(place=5, landed=9, elsewhere=7)  # it waited when its adapter came
    assert policy.admits(place=12, landed=9, elsewhere=15)  # nobody older waits
    assert not policy.admits(place=12, landed=9, elsewhere=11)


def test_mixed_batches_take_any_request_and_slots_are_some() -> None:
    assert all(policy.admits(12, 9, 11) for policy in (Unified(), Static(slots=4)))
    with pytest.raises(ValueError, match="slots is 0"):
        Static(slots=0)
    with pytest.raises(ValueError, match="slots is 0"):
        Merged(slots=0)


def test_a_request_goes_where_its_adapter_is_unless_that_is_far_busier() -> None:
    views = [View(0, outstanding=3, adapters=(1,)), View(1, outstanding=2), View(2, outstanding=9, adapters=(1, 2))]
    router = AdapterAffinity(balance_requests=5)
    assert router.choose(sequence(0, 1), views) == 0
    assert router.choose(sequence(0, 2), views) == 1
    assert AdapterAffinity().choose(sequence(0, 2), views) == 2
    assert router.choose(sequence(0, 7), views) == 1
