"""Brings stored keys and values up from the tiers for sequences that wait, while others run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from simulator.engine.clock import ARRIVAL, Clock
from simulator.engine.step_timer import StepTimer
from simulator.engine.tiers import TierConfig, Tiers
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.kv_cache.reuse import Piece, Reuse
from simulator.policies.sequence import Sequence


@dataclass(frozen=True, slots=True)
class TierSetup:
    """What the loading of every replica is built from.

    `flops` gives the arithmetic of a prompt of so many tokens. With `layerwise`, a sequence runs at once and each
    of the model's `layers` waits for its own share of the load; with `when_faster`, only as many pieces are loaded
    as are there sooner than they are computed.
    """

    tiers: tuple[TierConfig, ...]
    reuse: Callable[[], Reuse]
    bytes_per_token: float
    flops: Callable[[int], float]
    layers: int = 1
    layerwise: bool = False
    when_faster: bool = False


@dataclass(slots=True)
class _Load:
    """Pieces on their way, from `begin` to `end` seconds, and the sequences that wait for the same ones."""

    sequence: Sequence
    keys: list[Hashable]
    begin: float
    end: float
    followers: list[Sequence] = field(default_factory=list)


class KVLoading:
    """The loads of one replica.

    Before each iteration is decided, waiting sequences that could be admitted are looked up in the tiers, each
    once. One that is found leaves the queue with blocks for what it loads; when that has arrived, the blocks are
    known to the cache and the sequence is back at its place in the queue. A sequence whose blocks another one is
    loading waits with it. Loads go straight to device memory, and tiers keep what is loaded from them.
    """

    def __init__(
        self,
        clock: Clock,
        kv: PagedKVCache,
        waiting: deque[Sequence],
        timer: StepTimer,
        setup: TierSetup,
        tiers: Tiers,
        on_arrival: Callable[[], None],
    ) -> None:
        self.clock = clock
        self.kv = kv
        self.waiting = waiting
        self.timer = timer
        self.setup = setup
        self.tiers = tiers
        self.reuse = setup.reuse()
        self.on_arrival = on_arrival
        self._layers = setup.layers if setup.layerwise else 1
        self._in_flight: dict[Hashable, _Load] = {}
        self._positions: dict[Hashable, tuple[int, int]] = {}
        if self.reuse.keeps_evicted:
            kv.on_evict = self._evicted

    def start(self, state: ServingState) -> None:
        """Look up those of the queue that could be admitted now; stop where blocks for a load are missing."""
        index = 0
        while index < min(state.limits.max_num_seqs - state.running, len(self.waiting)):
            sequence = self.waiting[index]
            if sequence.looked_up != sequence.preemptions:
                parked = self._look_up(sequence)
                if parked is None:
                    return
                if parked:
                    del self.waiting[index]
                    continue
            index += 1

    def restrict(self, batch: Batch, state: ServingState) -> None:
        """Have the engine ask again as soon as a sequence could be looked up."""
        room = state.limits.max_num_seqs - state.running
        for index in range(min(room, len(self.waiting))):
            if self.waiting[index].looked_up != self.waiting[index].preemptions:
                batch.steps = 1
                return
        if len(self.waiting) < room:
            batch.arrivals_matter = True

    def arrival(self, chunks: list[tuple[Sequence, int]], time: float) -> float:
        """When all that the chunks build on is here, not before `time`."""
        return max((load.end for load in self._needed(chunks)), default=time)

    def finish(self, chunks: list[tuple[Sequence, int]], start: float, end: float) -> float:
        """When an iteration ends that would take from `start` to `end` if nothing were still on its way.

        Layer i starts when layer i - 1 is done and its share of each load is here; with equal layers either the
        first or the last share is what holds the iteration up.
        """
        each = (end - start) / self._layers
        late = end
        for load in self._needed(chunks):
            first = load.begin + (load.end - load.begin) / self._layers
            late = max(late, first + (end - start), load.end + each)
        return late

    def computed(self, sequence: Sequence) -> None:
        """A prompt has been computed: store what others may look for."""
        for key, tokens in self.reuse.to_store(sequence):
            if self.tiers.where(key) != 0:
                self.tiers.put(key, tokens, self.setup.flops(tokens), self.clock.now)

    def _needed(self, chunks: list[tuple[Sequence, int]]) -> list[_Load]:
        if not self._in_flight:
            return []
        return [self._in_flight[key] for sequence, _ in chunks for key in sequence.held if key in self._in_flight]

    def _look_up(self, sequence: Sequence) -> bool | None:
        """True if the sequence has to wait for a load, False if not, None if blocks to load into are missing."""
        self._note_positions(sequence)
        leader = None if self.setup.layerwise else self._leader(sequence)
        if leader is not None:
            leader.followers.append(sequence)
            return True
        pieces = self._worthwhile(sequence, self.reuse.find(sequence, self.kv, self.tiers.where))
        blocks = self.reuse.spared(sequence, pieces, self.kv)
        if not blocks:
            sequence.looked_up = sequence.preemptions
            return False
        self.reuse.prepare(sequence, blocks)
        hit, tokens = self.kv.hit_blocks(sequence), blocks * self.kv.block_tokens
        if not self.kv.fits(sequence, tokens, hit):
            return None
        sequence.looked_up = sequence.preemptions
        load = _Load(sequence, _extents_within(sequence, hit, blocks), *self.tiers.fetch(pieces, self.clock.now))
        self.kv.admit(sequence, tokens, hit=hit, whole=False)
        sequence.computed += tokens
        for key in load.keys:
            self._in_flight[key] = load
        if self.setup.layerwise:
            self.kv.release(sequence)
        self._after(load)
        return not self.setup.layerwise

    def _leader(self, sequence: Sequence) -> _Load | None:
        """The load that brings part of what this sequence begins with."""
        if not self._in_flight:
            return None
        keys = (key for key, _ in sequence.extents or () if key in self._in_flight)
        return next((self._in_flight[key] for key in keys), None)

    def _worthwhile(self, sequence: Sequence, pieces: list[Piece]) -> list[Piece]:
        """The leading pieces to load; with `when_faster`, those after which the rest is computed the soonest."""
        if not pieces or not self.setup.when_faster:
            return pieces
        now, bt = self.clock.now, self.kv.block_tokens
        hit = self.kv.hit_blocks(sequence)
        best, soonest = 0, float("inf")
        for count in self._cuts(pieces):
            cached = (hit + self.reuse.spared(sequence, pieces[:count], self.kv)) * bt
            seconds = self.timer.step_seconds(0, [], self.timer.chunks([(cached, sequence.target - cached)]))
            ready = self.tiers.estimate(pieces[:count], now) + seconds
            if ready < soonest:
                best, soonest = count, ready
        return pieces[:best]

    def _cuts(self, pieces: list[Piece]) -> list[int]:
        """Numbers of pieces worth comparing: none, all, and wherever the tier changes or a read is full."""
        cuts, tokens = [0], 0
        for i, piece in enumerate(pieces):
            tokens += piece.tokens
            last = i + 1 == len(pieces) or pieces[i + 1].tier != piece.tier
            if last or tokens >= self.tiers.tiers[piece.tier].config.piece_tokens:
                cuts.append(i + 1)
                tokens = 0
        return cuts

    def _after(self, load: _Load) -> None:
        event = self.clock.at(load.end, ARRIVAL)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: self._arrived(load))

    def _arrived(self, load: _Load) -> None:
        for key in load.keys:
            if self._in_flight.get(key) is load:
                del self._in_flight[key]
        if self.setup.layerwise:
            return
        self.kv.release(load.sequence)
        for sequence in (load.sequence, *load.followers):
            self._requeue(sequence)
        self.on_arrival()

    def _requeue(self, sequence: Sequence) -> None:
        """Back into the queue before the first that came later."""
        for index, other in enumerate(self.waiting):
            if (other.arrival, other.index) > (sequence.arrival, sequence.index):
                self.waiting.insert(index, sequence)
                return
        self.waiting.append(sequence)

    def _note_positions(self, sequence: Sequence) -> None:
        """Where in a prompt each extent starts, for what it takes to compute it again."""
        start = 0
        if self.reuse.keeps_evicted:
            for key, size in sequence.extents or ():
                self._positions[key] = (start * self.kv.block_tokens, sequence.target)
                start += size

    def _evicted(self, key: Hashable, first: int, stop: int) -> None:
        """Blocks left device memory, the last first. Each is worth the prompt from it to its end as last seen."""
        start, end = self._positions.get(key, (0, stop * self.kv.block_tokens))
        if first == 0:
            self._positions.pop(key, None)
        whole, size = self.setup.flops(end), self.kv.block_tokens
        for index in range(stop - 1, first - 1, -1):
            cost = whole - self.setup.flops(start + index * size)
            self.tiers.put((key, index), size, max(cost, 0.0), self.clock.now)


def _extents_within(sequence: Sequence, first: int, blocks: int) -> list[Hashable]:
    """Identities of the extents that reach into `blocks` blocks of a sequence from block `first` on."""
    found: list[Hashable] = []
    start = 0
    for key, size in sequence.extents or ():
        if start < first + blocks and start + size > first:
            found.append(key)
        start += size
    return found
