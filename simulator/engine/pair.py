"""Two replicas that keep each other's KV caches, so that either can decode what both have.

AcceLLM (Bournias et al., arXiv:2411.05555): what a replica of a pair computes is sent to the other in the background,
prompts layer by layer and tokens after each step. When prompts come, one of the two computes them and the other takes
over what it decodes, without a transfer; when they are computed, it takes half of the decoding back.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial

from simulator.engine.clock import ARRIVAL, Clock
from simulator.engine.handoff import KVTransfer
from simulator.engine.lane import Lane
from simulator.engine.mirror import Mirror
from simulator.engine.redundant import Copies
from simulator.engine.replica import Replica
from simulator.policies.batching.state import Batch
from simulator.policies.pairing import Decoding, PairingPolicy, PairView
from simulator.policies.sequence import Sequence


@dataclass(slots=True)
class _Side:
    """One replica of a pair: the copies that it keeps, the way to those of its own, prompts that it has computed."""

    replica: Replica
    lane: Lane
    copies: Copies
    mirror: Mirror
    computed: list[Sequence] = field(default_factory=list)
    preemptions: int = 0

    @property
    def has_prompts(self) -> bool:
        return bool(self.replica.waiting or self.lane.state.prefilling)

    def decoding(self) -> list[Sequence]:
        """Sequences that decode here or join the batch next."""
        return [*self.lane.state.decoding, *self.replica.ready]

    def blocks_wanted(self) -> int:
        """Blocks that the next decision could take: for what decodes and joins, and prompts begun and waiting."""
        state, kv = self.lane.state, self.replica.kv
        wanted = state.decoding.blocks_needed() + len(self.replica.ready)
        wanted += sum(kv.blocks_for(s.target) - s.blocks for s in state.prefilling)
        room = state.limits.max_num_seqs - state.running
        for sequence in self.replica.waiting:
            if room <= 0 or wanted > kv.blocks:
                break
            wanted += kv.blocks_for(sequence.target)
            room -= 1
        return wanted


class Pair:
    """Two replicas of one lane each, the second of which continues what the first began and the other way round.

    A replica began to compute prompts `turns` times, for `computing_seconds` in all; `taken_over` sequences went on at
    the other replica, `waited` seconds in all until their copy there was complete.
    """

    def __init__(self, clock: Clock, policy: PairingPolicy, transfer: KVTransfer, replicas: list[Replica]) -> None:
        self.turns = 0
        self.computing_seconds = 0.0
        self.taken_over = 0
        self.waited = 0.0
        self.computing: int | None = None
        self._clock = clock
        self._policy = policy
        self._since = 0.0
        lanes = [_only_lane(replica) for replica in replicas]
        copies = [Copies(replica.kv) for replica in replicas]
        self.sides = [
            _Side(replicas[i], lanes[i], copies[i], Mirror(clock, lanes[i], copies[1 - i], transfer)) for i in (0, 1)
        ]
        for index in (0, 1):
            self._listen(index)

    def _listen(self, index: int) -> None:
        """Act before every decision of a replica, and look at what it has preempted after it."""
        lane = self.sides[index].lane
        before, after = lane.before_step, lane.after_decision

        def before_step(lane: Lane) -> bool:
            self._between_steps(index)
            return before(lane)

        def after_decision(lane: Lane, batch: Batch) -> None:
            self._forget_preempted(index)
            after(lane, batch)

        lane.before_step, lane.after_decision = before_step, after_decision

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence at the replica that computes prompts, which from now on decodes no more."""
        if self.computing is None:
            chosen = self.computing = self._policy.computes(self._view())
            self.turns += 1
            self._since = self._clock.now
            self.sides[chosen].replica.between_steps(partial(self._vacate, chosen))
        self.sides[self.computing].replica.submit(sequence)

    def computed(self, sequence: Sequence, source: Replica) -> None:
        """A prompt is computed; where it decodes is decided when the iteration is over."""
        source.outstanding += 1
        next(s for s in self.sides if s.replica is source).computed.append(sequence)

    def finished(self, sequence: Sequence) -> None:
        """A sequence has ended: nobody needs its copy any more."""
        for side in self.sides:
            if side.copies.drop(sequence):
                side.replica.blocks_came_free()

    def _between_steps(self, index: int) -> None:
        """What a replica does for the pair between two of its steps."""
        side = self.sides[index]
        side.mirror.step()
        if side.computed:
            self._place_computed(index)
        if self.computing == index and not side.has_prompts:
            self._stop_computing()
        if len(side.copies):
            side.copies.make_room(side.blocks_wanted())

    def _place_computed(self, index: int) -> None:
        """Computed prompts go to the other replica while there are more, else they stay and a copy goes there.

        Without room there they stay here alone.
        """
        side, there = self.sides[index], self.sides[1 - index].copies
        goes = side.has_prompts
        for sequence in side.computed:
            if goes:
                there.make_room(there.kv.blocks_for(sequence.computed))
            if side.mirror.prompt(sequence) and goes:
                self._hand_over(sequence, index)
            else:
                side.replica.accept(sequence)
        side.computed.clear()

    def _vacate(self, index: int, _: Lane) -> None:
        """The other replica takes over what this one decodes, as far as it has copies."""
        if self.computing == index:
            self._part_with(self.sides[index].decoding(), index)

    def _stop_computing(self) -> None:
        """No prompts are left: share what decodes."""
        self.computing = None
        self.computing_seconds += self._clock.now - self._since
        wanted = set(self._policy.moves(self._view()))
        for index in (0, 1) if wanted else ():
            self.sides[index].replica.between_steps(partial(self._give, wanted, index))

    def _give(self, wanted: set[int], index: int, _: Lane) -> None:
        """Part with the sequences of these indices, unless prompts have come in the meantime."""
        if self.computing is None:
            self._part_with([s for s in self.sides[index].decoding() if s.index in wanted], index)

    def _part_with(self, sequences: list[Sequence], index: int) -> None:
        """Take those out of a replica's batch that the other one has a copy of, and hand them over."""
        side = self.sides[index]
        for sequence in sequences:
            if sequence not in side.mirror.copies:
                continue
            if sequence in side.lane.state.decoding.members:
                side.lane.part(sequence)
            else:
                side.replica.ready.remove(sequence)
            self._hand_over(sequence, index)

    def _hand_over(self, sequence: Sequence, index: int) -> None:
        """Let the other replica decode a sequence as soon as its copy there is complete."""
        found = self.sides[1 - index].copies.get(sequence)
        assert found is not None
        found.wanted = True
        complete = max(self._clock.now, found.ready)
        self.taken_over += 1
        self.waited += complete - self._clock.now
        arrived = self._clock.at(complete, ARRIVAL)
        assert arrived.callbacks is not None
        target = self.sides[1 - index].replica
        arrived.callbacks.append(lambda _: target.between_steps(lambda _: self._adopt(sequence, index)))

    def _adopt(self, sequence: Sequence, index: int) -> None:
        """The copy becomes the original, and the original the copy."""
        source, target = self.sides[index], self.sides[1 - index]
        held = copy.copy(sequence)
        sequence.leave_cache()
        source.replica.let_go(held)
        source.copies.hold(sequence, sequence.computed)
        target.replica.adopt(sequence, target.copies.promote(sequence), source.replica)

    def _forget_preempted(self, index: int) -> None:
        """Copies of what a replica has preempted are of no use: it will be computed again."""
        side = self.sides[index]
        if side.lane.state.preemptions != side.preemptions:
            side.preemptions = side.lane.state.preemptions
            for sequence in side.replica.waiting:
                side.mirror.copies.drop(sequence)

    def _view(self) -> PairView:
        return PairView((self._decoding(0), self._decoding(1)))

    def _decoding(self, index: int) -> tuple[Decoding, ...]:
        side = self.sides[index]
        decoding, copies = side.lane.state.decoding, side.mirror.copies
        for sequence in decoding:
            decoding.refresh(sequence)
        return tuple(Decoding(s.index, s.computed, s in copies) for s in side.decoding())


def _only_lane(replica: Replica) -> Lane:
    """The lane of a replica without pipeline stages or speculation."""
    (lane,) = replica.lanes
    assert isinstance(lane, Lane)
    return lane
