"""The process that moves replicas between the prefill and the decode pool while they serve."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from simpy.events import Event

from simulator.engine.clock import CONTROL, Clock
from simulator.engine.dispatch import Dispatcher
from simulator.engine.handoff import Handoff
from simulator.engine.lane import Lane
from simulator.engine.replica import Replica
from simulator.policies.batching.state import BatchingPolicy, Limits
from simulator.policies.roles import PoolsView, Role, RolePolicy
from simulator.policies.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Batching:
    """How the replicas of one role decide on batches."""

    policy: Callable[[], BatchingPolicy]
    limits: Limits


@dataclass(frozen=True, slots=True)
class RoleSwitching:
    """How replicas change their role.

    Every `interval_s` seconds the policy says how many replicas compute prompts. `drain` says what becomes of a
    replica's work when it changes: "finish", "mixed" or "hand-over", as in `RolesSpec`. Objectives are seconds.
    """

    policy: RolePolicy
    interval_s: float
    drain: str
    batching: Mapping[Role, Batching]
    ttft_s: float | None = None
    tpot_s: float | None = None


class Roles:
    """The roles of the replicas of a disaggregated cluster, and what becomes of their work when they change.

    `changes` counts replicas that took up another role, `stayed` the prompts that began to decode where they were
    computed, without a transfer, and `sent_away` sequences that moved because their replica decodes no more.
    """

    def __init__(
        self,
        clock: Clock,
        rule: RoleSwitching,
        dispatcher: Dispatcher,
        handoff: Handoff,
        prefill: list[Replica],
        decode: list[Replica],
    ) -> None:
        self.clock = clock
        self.rule = rule
        self.dispatcher = dispatcher
        self.handoff = handoff
        self.replicas = sorted([*prefill, *decode], key=lambda r: r.number)
        self.roles = {r.number: Role.PREFILL for r in prefill} | {r.number: Role.DECODE for r in decode}
        self.changes = 0
        self.stayed = 0
        self.sent_away = 0
        self._draining: set[int] = set()
        self._first_tokens = _Kept(rule.ttft_s)
        self._token_gaps = _Kept(rule.tpot_s)
        self._since = clock.now
        self._seconds = {"prefill": 0.0, "decode": 0.0, "draining": 0.0}

    def run(self) -> Generator[Event, None, None]:
        """Ask the policy for ever."""
        start, tick = self.clock.now, 0
        while True:
            tick += 1
            yield self.clock.at(start + tick * self.rule.interval_s, CONTROL)
            wanted = self.rule.policy.wanted(self._view())
            self._turn(min(max(wanted, 1), len(self.replicas) - 1))

    def figures(self) -> dict[str, float]:
        """Changes of role, replica-seconds by role up to now, and what happened to the KV caches."""
        self._count_time()
        return {
            "changes": self.changes,
            **{f"{name}_replica_s": float(seconds) for name, seconds in self._seconds.items()},
            "decoded_where_computed": self.stayed,
            "sent_away_while_decoding": self.sent_away,
        }

    def computed(self, sequence: Sequence, source: Replica) -> None:
        """A prompt is computed: hand it over, or let it stay where the replica decodes."""
        if sequence.generated == 1:
            self._first_tokens.add(sequence.first_token - sequence.arrival)
        if self.roles[source.number] is Role.PREFILL:
            self.handoff.take(sequence, source)
        else:
            self.stayed += sequence.generated == 1
            source.welcome(sequence)
        self._settle(source.number)

    def finished(self, sequence: Sequence) -> None:
        """A request has ended, or was shed."""
        if sequence.first_token < 0:
            return
        if sequence.output_tokens == 1:
            self._first_tokens.add(sequence.first_token - sequence.arrival)
        else:
            self._token_gaps.add((self.clock.now - sequence.first_token) / (sequence.output_tokens - 1))
        self._settle(sequence.replica)

    def _view(self) -> PoolsView:
        return PoolsView(
            self.clock.now,
            self._taking(Role.PREFILL),
            self._taking(Role.DECODE),
            len(self._draining),
            self._first_tokens.share(),
            self._token_gaps.share(),
        )

    def _taking(self, role: Role) -> list[Replica]:
        """Replicas that take in work of a role."""
        return [r for r in self.replicas if self.roles[r.number] is role and r.number not in self._draining]

    def _turn(self, wanted: int) -> None:
        """Have `wanted` replicas compute prompts, those on their way there counted."""
        coming = sum((role is Role.PREFILL) != (n in self._draining) for n, role in self.roles.items())
        more = wanted - coming
        if more:
            self._change(abs(more), Role.DECODE if more > 0 else Role.PREFILL)

    def _change(self, count: int, old: Role) -> None:
        """Take `count` replicas out of a role: first let stay in the other who leave it, then the least loaded."""
        self._count_time()
        returning = [n for n in sorted(self._draining) if self.roles[n] is not old][:count]
        self._draining.difference_update(returning)
        idlest = sorted(self._taking(old), key=lambda r: (r.prompt_backlog, r.outstanding, r.number))
        # One at least goes on taking in work of the old role.
        leaving = idlest[: min(count - len(returning), len(idlest) - 1)]
        self._draining.update(r.number for r in leaving)
        for replica in leaving:
            if self.rule.drain == "finish":
                self._settle(replica.number)
            else:
                self._take_up(replica)
        self._open()

    def _settle(self, number: int) -> None:
        """A draining replica that has nothing left takes up its other role."""
        if number in self._draining and not self.replicas[number].outstanding:
            self._count_time()
            self._take_up(self.replicas[number])
            self._open()

    def _take_up(self, replica: Replica) -> None:
        """Play the other role from now on, with its batching settings from the next step on."""
        new = Role.DECODE if self.roles[replica.number] is Role.PREFILL else Role.PREFILL
        self.changes += 1
        self._draining.remove(replica.number)
        self.roles[replica.number] = new
        replica.between_steps(lambda lane: self._begin(replica, lane, new))

    def _begin(self, replica: Replica, lane: Lane, new: Role) -> None:
        if self.roles[replica.number] is not new:
            return  # it has changed back before its step ended
        replica.batch_by(self.rule.batching[new].policy, self.rule.batching[new].limits)
        if new is Role.PREFILL:
            self.handoff.offer_again(replica)
        if self.rule.drain != "hand-over":
            return
        if new is Role.PREFILL:
            for sequence in replica.release_decoding(lane):
                self.sent_away += 1
                self.handoff.take_decoding(sequence, replica)
        for sequence in replica.withdraw():
            self.dispatcher.place(sequence, again=True)

    def _open(self) -> None:
        """Tell router and hand-over who takes in work of which role."""
        self.dispatcher.fleet.route_to(self._taking(Role.PREFILL))
        self.handoff.replicas = self._taking(Role.DECODE)

    def _count_time(self) -> None:
        seconds, self._since = self.clock.now - self._since, self.clock.now
        for number, role in self.roles.items():
            self._seconds["draining" if number in self._draining else role.value] += seconds


class _Kept:
    """Counts how often an objective (seconds) was kept since the last question."""

    def __init__(self, objective: float | None) -> None:
        self._objective = objective
        self._kept = self._all = 0

    def add(self, seconds: float) -> None:
        if self._objective is not None:
            self._all += 1
            self._kept += seconds <= self._objective

    def share(self) -> float | None:
        found = self._kept / self._all if self._all else None
        self._kept = self._all = 0
        return found
