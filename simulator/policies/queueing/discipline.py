"""What a queue discipline is: an order over waiting sequences, and as much else as the idea needs.

Only `Discipline` is required. The other protocols are each one question that some disciplines answer; what a class
does not define costs nothing. All methods are asked between iterations only, so a decode run that nothing can change
stays one event: a discipline whose answers change by service says for how many steps they hold (`KeepsAccounts`), one
whose answers change by the clock says when (`Timed`).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from typing import Protocol, runtime_checkable

from simulator.policies.sequence import Sequence

Key = tuple[float, ...]


class Discipline(Protocol):
    """Decides in which order waiting sequences are admitted."""

    def key(self, sequence: Sequence, now: float) -> Key:
        """Place in the queue at `now` seconds, smaller first; equal ones stand in order of arrival.

        Asked when the sequence joins the queue and then only after `Timed.changed` has named it. A preemptive
        discipline is asked for running sequences too.
        """
        ...


@runtime_checkable
class Preemptive(Protocol):
    """Lets the head of the queue take the place of running sequences, last by `key` first.

    The last by `key` also gives way when blocks run out; otherwise the one admitted last does.
    """

    def preempts(self, waiting: Sequence, running: Sequence) -> bool:
        """Whether `waiting` may take the place of `running`; only service may turn this from False to True."""
        ...


@runtime_checkable
class Notified(Protocol):
    """Hears of what joins and leaves the queue."""

    def queued(self, sequence: Sequence, now: float) -> None:
        """A sequence arrived or was preempted; of several at once, all are announced before any gets a key."""
        ...

    def taken(self, sequence: Sequence) -> None:
        """A sequence has been admitted."""
        ...


@runtime_checkable
class KeepsAccounts(Protocol):
    """Counts what sequences were given."""

    def served(self, sequence: Sequence, prompt_tokens: int, output_tokens: int) -> None:
        """An iteration, or a run of equal ones, computed so many prompt tokens and gave so many output tokens."""
        ...

    def holds(self, head: Sequence, flows: Collection[Hashable], decoding: Iterable[Sequence]) -> int:
        """Decode steps (1 or more) for which `head` stays the head and preempts none that it does not now.

        `flows` have sequences waiting; each of `decoding` gets one token a step.
        """
        ...


@runtime_checkable
class Flows(Protocol):
    """Queues sequences by flow (tenant, prefix); the order between flows may change with every iteration."""

    def flow(self, sequence: Sequence) -> Hashable:
        """The flow that a sequence waits in; fixed while it waits."""
        ...

    def rank(self, flow: Hashable) -> Key:
        """Place of a flow now, smaller first; equal ones go by the keys of their heads."""
        ...


@runtime_checkable
class Timed(Protocol):
    """Moves waiting sequences as time passes."""

    def next_change(self) -> float:
        """When a key changes next, absolute seconds; infinity if none does."""
        ...

    def changed(self, now: float) -> Iterable[Sequence]:
        """Sequences whose keys have changed up to `now`, each named once; some may wait no more."""
        ...
