"""Live migration: running sequences move to another replica, with their KV cache, while they go on decoding.

Llumnix (Sun et al., OSDI 2024, arXiv:2406.03243): the cache is append-only, so it is copied in stages, each of which
copies what was generated during the one before; only for the last does the sequence stop. Before each stage the target
reserves the blocks for it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from collections.abc import Sequence as Sequenced
from dataclasses import dataclass

from simpy.events import Event

from simulator.engine.clock import ARRIVAL, CONTROL, Clock
from simulator.engine.handoff import KVTransfer
from simulator.engine.lane import Lane
from simulator.engine.replica import Replica
from simulator.policies.migration import Instance, MigrationPolicy, Move, Resident
from simulator.policies.sequence import Sequence

Steps = Generator[Event, object, None]


@dataclass(frozen=True, slots=True)
class Migration:
    """How sequences migrate: what the policy is asked every `interval_s` seconds, and what copying takes.

    `transfer.latency` is also the way of each answer of the other replica, and is more than 0.
    """

    policy: MigrationPolicy
    interval_s: float
    transfer: KVTransfer


@dataclass(slots=True)
class _Move:
    """One migration: `copied` tokens are at the target, which has `reserved` blocks for them.

    The sequence left the source's batch at `stopped` seconds; `joined` happens when it is the target's.
    """

    sequence: Sequence
    source: Replica
    target: Replica
    ticket: int
    joined: Event
    stopped: float = 0.0
    copied: int = 0
    reserved: int = 0


class Migrations:
    """Moves sequences between the replicas of a cluster; a replica takes part in one migration at a time.

    Replicas act at their own step boundaries only, and hear of each other with the link's latency.
    `bytes` counts all that was copied, `downtime` the seconds for which migrated sequences stood still.
    """

    def __init__(self, clock: Clock, rule: Migration, replicas: Sequenced[Replica]) -> None:
        self.clock = clock
        self.rule = rule
        self.replicas = replicas
        self.started = 0
        self.finished = 0
        self.bytes = 0.0
        self.downtime = 0.0
        self._engaged: dict[int, _Move] = {}

    @property
    def aborted(self) -> int:
        """Migrations that came to nothing, those cut short by the end of the run among them."""
        return self.started - self.finished

    def figures(self) -> dict[str, float]:
        """Migrations by their end, what was copied, and how long a migrated sequence stood still on average."""
        return {
            "started": self.started,
            "finished": self.finished,
            "aborted": self.aborted,
            "copied_gb": self.bytes / 1e9,
            "mean_downtime_ms": float(self.downtime) / max(self.finished, 1) * 1e3,
        }

    @property
    def engaged(self) -> frozenset[int]:
        """Replicas that now send or receive a sequence, and may hold blocks for it."""
        return frozenset(self._engaged)

    def run(self) -> Steps:
        """Ask the policy for ever."""
        start, tick = self.clock.now, 0
        while True:
            tick += 1
            yield self.clock.at(start + tick * self.rule.interval_s, CONTROL)
            for wanted in self.rule.policy.moves([self._view(r) for r in self.replicas]):
                self._begin(wanted)

    def _begin(self, wanted: Move) -> None:
        source, target = self.replicas[wanted.source], self.replicas[wanted.target]
        if source is target or {source.number, target.number} & self._engaged.keys():
            return
        members = _lane(source).state.decoding
        sequence = next((s for s in members if s.index == wanted.index), None)
        if sequence is None:
            return
        move = _Move(sequence, source, target, sequence.ticket, self.clock.event())
        self._engaged[source.number] = self._engaged[target.number] = move
        self.started += 1
        self.clock.process(self._migrate(move))

    def _view(self, replica: Replica) -> Instance:
        """A replica as it is now, whatever steps are joined."""
        lane, kv = _lane(replica), replica.kv
        lane.settle()
        state = lane.state
        for member in state.decoding:
            state.decoding.refresh(member)
        residents = [Resident(s.index, s.computed, s.blocks, s.priority, False) for s in state.prefilling]
        residents += [Resident(s.index, s.computed, s.blocks, s.priority, True) for s in state.decoding]
        head = kv.blocks_for(replica.waiting[0].target) if replica.waiting else 0
        engaged = replica.number in self._engaged
        return Instance(replica.number, kv.blocks, kv.block_tokens, tuple(residents), head, engaged)

    def _migrate(self, move: _Move) -> Steps:
        """Copy in stages while the sequence decodes, until less than a block is missing or no less than before."""
        sequence, before = move.sequence, 1 << 60
        while move.target.kv.block_tokens <= (missing := self._missing(move)) < before or not move.copied:
            tokens, before = move.copied + missing, missing
            if missing <= 0 or not (yield from self._reserved(move, tokens)):
                yield from self._abort(move)
                return
            yield from self._copy(missing)
            move.copied = tokens
        if missing < 0 or not (yield from self._stopped(move)):
            yield from self._abort(move)
            return
        if not (yield from self._reserved(move, sequence.computed)):
            move.source.accept(sequence)
            yield from self._abort(move)
            return
        yield from self._copy(sequence.computed - move.copied)
        held = copy.copy(sequence)
        sequence.leave_cache()
        move.target.between_steps(lambda _: self._join(move))
        yield from self._at_boundary(move.source, lambda lane: lane.state.kv.release(held))
        yield move.joined
        self._disengage(move)

    def _missing(self, move: _Move) -> int:
        """Tokens at the source that the target does not have; -1 if the sequence finished or was preempted."""
        lane, sequence = _lane(move.source), move.sequence
        lane.settle()
        if sequence.ticket != move.ticket:
            return -1
        lane.state.decoding.refresh(sequence)
        return sequence.computed - move.copied

    def _at_boundary(self, replica: Replica, act: Callable[[Lane], object]) -> Generator[Event, object, object]:
        """What `act` returns, between two steps of the replica; the answer takes the link's latency."""
        done = self.clock.event()
        replica.between_steps(lambda lane: done.succeed(act(lane)))
        answer = yield done
        yield self.clock.at(self.clock.now + self.rule.transfer.latency, ARRIVAL)
        return answer

    def _reserved(self, move: _Move, tokens: int) -> Generator[Event, object, object]:
        """Have the target keep blocks for so many tokens, if that preempts nobody there."""
        more = move.target.kv.blocks_for(tokens) - move.reserved

        def reserve(lane: Lane) -> bool:
            room = lane.has_room and more + lane.state.decoding.blocks_needed() <= lane.state.kv.free
            if room and more:
                lane.state.kv.take(more)
                move.reserved += more
            return room

        return self._at_boundary(move.target, reserve)

    def _stopped(self, move: _Move) -> Generator[Event, object, object]:
        """Take the sequence out of the source's batch; False if it has finished or was preempted."""

        def stop(lane: Lane) -> bool:
            if move.sequence.ticket != move.ticket:
                return False
            lane.part(move.sequence)
            move.stopped = self.clock.now
            return True

        return self._at_boundary(move.source, stop)

    def _copy(self, tokens: int) -> Steps:
        transfer = self.rule.transfer
        self.bytes += tokens * transfer.token_bytes
        if tokens:
            yield self.clock.at(self.clock.now + transfer.seconds(tokens) + transfer.latency, ARRIVAL)

    def _join(self, move: _Move) -> None:
        """The sequence is the target's, in the blocks that were reserved for it."""
        move.target.adopt(move.sequence, move.reserved, move.source)
        move.reserved = 0
        self.finished += 1
        self.downtime += self.clock.now - move.stopped
        move.joined.succeed()

    def _abort(self, move: _Move) -> Steps:
        """Give the reserved blocks back."""

        def give_back(lane: Lane) -> None:
            lane.state.kv.give_back(move.reserved)
            move.reserved = 0

        yield from self._at_boundary(move.target, give_back)
        self._disengage(move)

    def _disengage(self, move: _Move) -> None:
        del self._engaged[move.source.number], self._engaged[move.target.number]


def _lane(replica: Replica) -> Lane:
    """The only lane of a replica without pipeline stages or speculation."""
    (lane,) = replica.lanes
    assert isinstance(lane, Lane)
    return lane
