"""The paged cache: hits, eviction order, sharing, and conservation under arbitrary use."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.sequence import Extent, Sequence


def sequence(tokens: int, ids: list[int], *, size: int = 1) -> Sequence:
    return Sequence(0, 0.0, tokens, 4, extents=[(i, size) for i in ids])


def compute(kv: PagedKVCache, seq: Sequence, tokens: int | None = None) -> int:
    """Admit and compute a prompt; returns the blocks that were hit."""
    hit = kv.hit_blocks(seq)
    want = seq.target - hit * kv.block_tokens if tokens is None else tokens
    assert kv.admit(seq, want, hit=hit)
    seq.computed += want
    return hit


def test_equal_prefixes_share_blocks_while_in_use_and_after() -> None:
    kv = PagedKVCache(blocks=10, block_tokens=4)
    first, second = sequence(12, [1, 2, 3]), sequence(12, [1, 2, 9])
    assert compute(kv, first) == 0
    assert compute(kv, second) == 2
    assert kv.used == 4
    kv.release(first)
    kv.release(second)
    assert kv.used == 0
    assert kv.hit_blocks(sequence(13, [1, 2, 9])) == 3


def test_last_token_is_always_computed() -> None:
    kv = PagedKVCache(blocks=10, block_tokens=4)
    first = sequence(8, [1, 2])
    compute(kv, first)
    kv.release(first)
    assert kv.hit_blocks(sequence(8, [1, 2])) == 1
    assert kv.hit_blocks(sequence(9, [1, 2])) == 2


def test_least_recently_released_goes_first_and_tails_before_prefixes() -> None:
    kv = PagedKVCache(blocks=6, block_tokens=4)
    old, fresh = sequence(12, [1, 2, 3]), sequence(12, [4, 5, 6])
    for s in (old, fresh):
        compute(kv, s)
    kv.release(old)
    kv.release(fresh)
    kv.take(4)
    assert kv.hit_blocks(sequence(13, [1, 2, 3])) == 0
    assert kv.hit_blocks(sequence(13, [4, 5, 6])) == 2


def test_extent_of_many_blocks_is_forgotten_from_its_end() -> None:
    kv = PagedKVCache(blocks=8, block_tokens=4)
    first = sequence(32, [7], size=8)
    compute(kv, first)
    kv.release(first)
    kv.take(3)
    assert kv.hit_blocks(sequence(33, [7], size=8)) == 5


def test_chunked_prompt_registers_as_it_goes() -> None:
    kv = PagedKVCache(blocks=10, block_tokens=4)
    first = sequence(16, [1, 2, 3, 4])
    compute(kv, first, 10)
    assert kv.hit_blocks(sequence(17, [1, 2, 3, 4])) == 2
    assert kv.grow(first, 6)
    assert kv.hit_blocks(sequence(17, [1, 2, 3, 4])) == 4


def test_refused_admission_changes_nothing() -> None:
    kv = PagedKVCache(blocks=3, block_tokens=4)
    assert not kv.admit(sequence(16, [1, 2, 3, 4]), 16)
    assert (kv.free, kv.used) == (3, 0)


def test_without_prefix_caching_nothing_hits() -> None:
    kv = PagedKVCache(blocks=10, block_tokens=4, prefix_caching=False)
    first = sequence(12, [1, 2, 3])
    compute(kv, first)
    kv.release(first)
    assert kv.hit_blocks(sequence(12, [1, 2, 3])) == 0


class CacheMachine(RuleBasedStateMachine):
    """Admit, grow, release and preempt at random; blocks are conserved and hits are real."""

    def __init__(self) -> None:
        super().__init__()
        self.kv = PagedKVCache(blocks=24, block_tokens=2)
        self.running: list[Sequence] = []
        self.preempted: list[Sequence] = []

    @rule(group=st.integers(0, 2), length=st.integers(1, 20), size=st.sampled_from([1, 3]), cut=st.integers(0, 8))
    def admit(self, group: int, length: int, size: int, cut: int) -> None:
        full = length // 2
        extents: list[Extent] = []
        while full > 0:
            taken = min(size, full)
            extents.append((("group", group, size, len(extents), taken if taken < size else size), taken))
            full -= taken
        self._admit(Sequence(0, 0.0, length, 4, extents=extents[:cut]))

    @precondition(lambda self: self.preempted)
    @rule()
    def resume(self) -> None:
        self._admit(self.preempted.pop())

    def _admit(self, seq: Sequence) -> None:
        hit = self.kv.hit_blocks(seq)
        assert hit * 2 < seq.target
        want = seq.target - hit * 2
        free = self.kv.free
        if self.kv.admit(seq, want, hit=hit):
            assert free >= self.kv.free
            seq.computed += want
            self.running.append(seq)
        else:
            assert self.kv.free == free

    @precondition(lambda self: self.running)
    @rule(tokens=st.integers(1, 9), which=st.integers(0, 30))
    def grow(self, tokens: int, which: int) -> None:
        seq = self.running[which % len(self.running)]
        if self.kv.grow(seq, tokens):
            seq.computed += tokens

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 30), preempt=st.booleans())
    def release(self, which: int, preempt: bool) -> None:
        seq = self.running.pop(which % len(self.running))
        if preempt:
            seq.target = max(seq.target, seq.computed)
        self.kv.release(seq, resumable=preempt)
        assert seq.blocks == seq.held_blocks == 0
        if preempt:
            self.preempted.append(seq)

    @invariant()
    def blocks_are_conserved(self) -> None:
        kv = self.kv
        assert kv.free == sum(kv._idle.values())
        assert all(count > 0 for count in kv._idle.values())
        private = sum(s.blocks - s.held_blocks for s in self.running)
        assert private >= 0
        assert kv.used == private + sum(kv._known[k] for k in kv._holders)
        assert all(s.blocks == kv.blocks_for(s.computed) for s in self.running)
        assert not set(kv._idle) & set(kv._holders)
        assert set(kv._known) == set(kv._holders) | {k for k in kv._idle if k in kv._known}
        for key, holders in kv._holders.items():
            assert holders == sum(key in s.held for s in self.running)


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=20))
def test_infinite_cache_hits_what_the_identities_imply(prompts: list[list[int]]) -> None:
    """With room for everything, hits are the longest common prefix with any earlier request."""
    kv = PagedKVCache(blocks=10_000, block_tokens=1)
    seen: set[tuple[int, ...]] = set()
    for words in prompts:
        chain = [tuple(words[: i + 1]) for i in range(len(words))]
        seq = Sequence(0, 0.0, len(words) + 1, 2, extents=[(c, 1) for c in chain])
        expected = next((i for i, c in enumerate(chain) if c not in seen), len(chain))
        assert kv.hit_blocks(seq) == expected
        assert kv.admit(seq, seq.target - expected, hit=expected)
        seq.computed = seq.target
        seen.update(chain)
        kv.release(seq)
