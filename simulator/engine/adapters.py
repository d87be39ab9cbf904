"""The adapters of one replica: which are on its devices, which are on their way, and whose requests may run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.engine.adapter_timer import AdapterTimer
from simulator.engine.clock import ARRIVAL, Clock
from simulator.policies.adapters import AdapterMemory, AdapterPolicy, AdapterQueue, Form, LaneQueue, Pages, Slots
from simulator.policies.adapters.memory import BASE
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.decode_set import FOREVER
from simulator.policies.kv_cache import PagedKVCache


@dataclass(frozen=True, slots=True)
class AdapterSetup:
    """What the adapters of every replica are built from.

    `load_bytes` of an adapter come over each device's host link at `bandwidth` bytes/s, `latency` seconds a load;
    `blocks` of the KV pool hold it, if it is there at all.
    """

    policy: AdapterPolicy
    count: int
    timer: AdapterTimer
    load_bytes: Callable[[int], float]
    blocks: Callable[[int], int]
    most_blocks: int
    bandwidth: float
    latency: float

    @property
    def lanes(self) -> int:
        """Batches that a replica has at once."""
        return (self.policy.slots or 1) if self.policy.form is Form.MODEL else 1

    def memory(self, kv: PagedKVCache) -> AdapterMemory:
        """The adapters of one replica at its start: merged copies are there, and the base model's own weights."""
        policy = self.policy
        if policy.slots is None:
            return Pages(kv, self.blocks)
        if policy.form is Form.FACTORS:
            return Slots(policy.slots)
        initial = range(min(policy.slots, self.count)) if policy.form is Form.MODEL else (BASE,)
        return Slots(policy.slots, initial=initial, base_too=True)


@dataclass(slots=True)
class AdapterCounts:
    """What was loaded into one replica: loads, bytes a device, seconds of the host link and of changed weights.

    `waited` adds up, over requests, the seconds until their adapter was there: of a load, and of the wait for a slot.
    `waiting` are the requests that did, by index.
    """

    loads: int = 0
    bytes: float = 0.0
    link_seconds: float = 0.0
    merge_seconds: float = 0.0
    waited: float = 0.0
    waiting: set[int] = field(default_factory=set)


class ReplicaAdapters:
    """Loads the adapters that requests wait for, the oldest request first, and shows lanes the requests they may run.

    Loads follow one another over the host link, while the device works on. They begin between iterations only.
    """

    def __init__(
        self,
        clock: Clock,
        kv: PagedKVCache,
        setup: AdapterSetup,
        running: Callable[[], int],
        on_landed: Callable[[], None],
    ) -> None:
        self.setup = setup
        self.queue = AdapterQueue()
        self.memory = setup.memory(kv)
        self.initial = self.memory.there()
        self.counts = AdapterCounts()
        self._clock = clock
        self._kv = kv
        self._running = running
        self._on_landed = on_landed
        self._loading: dict[int, object] = {}
        self._link_free = 0.0
        self._landed_at: dict[int, int] = {}
        self._missed: dict[int, float] = {}
        self._kept: list[int] = []

    def start(self, queue: LaneQueue, lane: int) -> None:
        """Begin the loads that memory allows, and show a lane what it may admit."""
        kept: list[int] = []
        shown: list[int] = []
        spare, last, elsewhere = self._running(), FOREVER, FOREVER
        overtakes = self.setup.policy.overtakes
        for place, sequence in self.queue.oldest():
            adapter = sequence.adapter
            spare += self._kv.blocks_for(sequence.target)
            there = self.memory.has(adapter)
            spare += self.memory.idle_blocks(adapter)
            if there:
                short = bool(kept) and spare > self._kv.free and not overtakes
            else:
                elsewhere = min(elsewhere, place)
                short = adapter not in self._loading and not self._load(adapter, kept, spare)
            if short and not overtakes:
                last = place
                break
            if there:
                shown.append(adapter)
                self.memory.touch(adapter)  # no load that begins now may take its place
            else:
                self._missed.setdefault(adapter, float(self._clock.now))
            if not short:
                kept.append(adapter)
        self._show(queue, lane, shown, last, elsewhere)
        self._kept = [adapter for adapter in kept if adapter in shown]
        for adapter in reversed(self._kept):
            self.memory.touch(adapter)

    def _show(self, queue: LaneQueue, lane: int, adapters: list[int], last: int, elsewhere: int) -> None:
        policy, landed = self.setup.policy, self._landed_at

        def admits(adapter: int, place: int) -> bool:
            return place < last and policy.admits(place, landed.get(adapter, 0), elsewhere)

        memory = self.memory
        if self.setup.lanes > 1 and isinstance(memory, Slots):
            adapters = [adapter for adapter in adapters if memory.slot(adapter) == lane]
        queue.offer(adapters, admits)

    def restrict(self, batch: Batch, state: ServingState) -> None:
        """Have the engine ask again when a request arrives, and before an adapter that is waited for gives way."""
        batch.arrivals_matter = True
        idle = sum(self.memory.idle_blocks(adapter) for adapter in self._kept)
        if idle and not batch.chunks:
            room = max(self._kv.free - idle, 0) + state.reserved
            batch.steps = max(1, state.decoding.steps_within(room, batch.steps))

    def stage_seconds(self, batch: Batch, state: ServingState) -> tuple[float, ...]:
        """Seconds by pipeline stage that the adapters of a batch add to its iteration, or to each of equal ones."""
        if self.setup.policy.form is not Form.FACTORS:
            return (0.0,)  # of one stage: others are refused
        tokens: Counter[int] = Counter()
        total = len(state.decoding.members) if batch.decode else 0
        if batch.decode:
            tokens.update(sequence.adapter for sequence in state.decoding.members)
        for sequence, count in batch.chunks:
            tokens[sequence.adapter] += count
            total += count
        tokens.pop(BASE, None)
        return self.setup.timer.stage_seconds(tokens, total)

    def clear(self) -> None:
        """Lose all adapters and loads; nothing runs or waits."""
        self.queue.clear()
        self.memory.clear()
        self._loading.clear()
        self._landed_at.clear()
        self._missed.clear()
        self._kept = []
        self._link_free = self._clock.now

    def _load(self, adapter: int, kept: list[int], spare: int) -> bool:
        """Begin to load an adapter; False where it finds no memory."""
        gone = self.memory.claim(adapter, kept, spare)
        if gone is None:
            return False
        now, setup, counts = float(self._clock.now), self.setup, self.counts
        moved = setup.load_bytes(adapter)
        begin = max(now, self._link_free)
        self._link_free = begin + (setup.latency + moved / setup.bandwidth if moved else 0.0)
        end = self._link_free
        if setup.policy.form is Form.DELTA:
            merges = sum(setup.timer.merge_seconds(a) for a in (*gone, adapter) if a != BASE)
            counts.merge_seconds += merges
            end += merges
        counts.loads += 1
        counts.bytes += moved
        counts.link_seconds += self._link_free - begin
        token = self._loading[adapter] = object()
        event = self._clock.at(end, ARRIVAL)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: self._land(adapter, token))
        return True

    def _land(self, adapter: int, token: object) -> None:
        if self._loading.get(adapter) is not token:
            return  # the replica lost it on the way
        del self._loading[adapter]
        self.memory.land(adapter)
        self._landed_at[adapter] = self.queue.next_place
        missed, now = self._missed.pop(adapter), float(self._clock.now)
        for sequence in self.queue.of(adapter):
            self.counts.waited += now - max(missed, sequence.arrival)
            self.counts.waiting.add(sequence.index)
        self._on_landed()
