"""Eviction orders against independent models of the caches they are named after."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.policies.kv_cache.eviction import CostAware, Eviction, Lfu, Lru
from simulator.policies.kv_cache.store import Entry, Store

REFERENCES = st.lists(st.integers(0, 12), max_size=200)


def hits(eviction: Eviction, references: list[int], capacity: int) -> list[bool]:
    """Which references hit a store of so many entries of one byte."""
    store = Store(capacity, eviction)
    found = []
    for key in references:
        found.append(store.get(key) is not None)
        if found[-1]:
            store.hit(key, 1.0)
        else:
            store.put(key, Entry(1, 1, 1.0, 0.0))
        assert store.used == len(store) <= capacity
    return found


def lru_hits(references: list[int], capacity: int) -> list[bool]:
    """Mattson's stack distance: a reference hits if fewer than `capacity` others came since the last to it."""
    found = []
    for i, key in enumerate(references):
        before = [j for j in range(i) if references[j] == key]
        found.append(bool(before) and len(set(references[before[-1] + 1 : i])) < capacity)
    return found


def lfu_hits(references: list[int], capacity: int) -> list[bool]:
    cache: OrderedDict[int, int] = OrderedDict()
    found = []
    for key in references:
        found.append(key in cache)
        if key not in cache and len(cache) == capacity:
            del cache[min(cache, key=lambda k: cache[k])]
        cache[key] = cache.pop(key, 0) + 1
    return found


@given(REFERENCES, st.integers(1, 8))
def test_lru_hits_follow_the_stack_distance(references: list[int], capacity: int) -> None:
    assert hits(Lru(), references, capacity) == lru_hits(references, capacity)


@given(REFERENCES, st.integers(1, 8))
def test_lfu_hits_follow_the_counts(references: list[int], capacity: int) -> None:
    assert hits(Lfu(), references, capacity) == lfu_hits(references, capacity)


@given(REFERENCES, st.integers(1, 8))
def test_cost_aware_with_equal_costs_is_lru(references: list[int], capacity: int) -> None:
    """Cao and Irani 1997, section 4.1: GreedyDual with equal costs behaves as LRU."""
    assert hits(CostAware(), references, capacity) == lru_hits(references, capacity)


def test_cost_aware_keeps_the_dear_until_it_has_aged() -> None:
    """Costs 3 and 1 a byte in a cache of two: three cheap ones in turn go before the dear one does."""
    store = Store(2, CostAware())
    store.put("dear", Entry(1, 1, 3.5, 0.0))
    gone = [store.put(name, Entry(1, 1, 1.0, 0.0)) for name in "abcde"]
    assert [key for step in gone for key, _ in step] == ["a", "b", "c", "dear"]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.floats(0, 10)), max_size=120),
    st.integers(1, 30),
    st.sampled_from([Lru, Lfu, CostAware]),
)
def test_bytes_in_are_bytes_out_or_here(puts: list[tuple[int, int, float]], capacity: int, eviction: type[Lru]) -> None:
    store = Store(capacity, eviction())
    written = gone = 0
    for key, size, cost in puts:
        if store.get(key) is not None:
            store.hit(key, cost)
            continue
        written += size
        gone += sum(entry.size for _, entry in store.put(key, Entry(size, 1, cost, 0.0)))
        assert written == gone + store.used
        assert store.used <= capacity


@pytest.mark.parametrize("eviction", [Lru, Lfu, CostAware])
def test_what_is_too_large_passes_through(eviction: type[Lru]) -> None:
    store = Store(5, eviction())
    store.put("small", Entry(3, 1, 1.0, 0.0))
    large = Entry(6, 1, 1.0, 0.0)
    assert store.put("large", large) == [("large", large)]
    assert store.get("small") is not None
