"""What a speculation policy sees and decides: how much each decoding sequence drafts before it is verified."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from simulator.policies.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Draft:
    """What one sequence drafts: `widths` nodes at each depth of a tree (a chain has one at each), or nothing.

    `rounds` counts the inner verifications that a hierarchical policy reached the draft by.
    """

    widths: tuple[int, ...] = ()
    rounds: int = 0

    @property
    def depth(self) -> int:
        """Most draft tokens that can be accepted."""
        return len(self.widths)

    @property
    def nodes(self) -> int:
        """Draft tokens that the target verifies."""
        return sum(self.widths)

    def within(self, nodes: int) -> Draft:
        """The draft without its deepest levels, so that it has at most `nodes` nodes."""
        if self.nodes <= nodes:
            return self
        widths = self.widths
        while sum(widths) > nodes:
            widths = widths[:-1]
        return Draft(widths, self.rounds)


NO_DRAFT = Draft()


@lru_cache(1024)
def chain(tokens: int, rounds: int = 0) -> Draft:
    """`tokens` tokens one after the other."""
    return Draft((1,) * tokens, rounds) if tokens or rounds else NO_DRAFT


@dataclass(frozen=True, slots=True)
class Inner:
    """The inner level of a hierarchy: the drafter gives `tokens` tokens a round, then the target's own weights
    verify them over at most `cache_tokens` cached tokens of a sequence."""

    tokens: int
    cache_tokens: int


class View(Protocol):
    """What a policy may look at before an iteration."""

    @property
    def sequences(self) -> Many[Sequence]:
        """The decoding sequences."""
        ...

    @property
    def acceptance_rate(self) -> float | None:
        """Share of recently examined draft tokens that were accepted; None before the first."""
        ...

    def step_seconds(self, draft: Draft) -> float:
        """The engine's estimate of the next iteration if every sequence drafted so, prompts as in the last one."""
        ...


class SpeculationPolicy(Protocol):
    """Decides the drafts of each iteration. `inner` is the inner level of a hierarchical policy, else None."""

    inner: Inner | None

    def drafts(self, view: View) -> list[Draft]:
        """One draft for each of `view.sequences`, in their order."""
        ...
