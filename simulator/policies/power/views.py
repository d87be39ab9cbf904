"""What a power policy sees and answers."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ServerView:
    """One server: its priority, its mean watts over the last reading, and its clock as a share of the full one.

    `clock` is in force; `wanted` is the last that the policy asked for, which takes time to arrive. An emergency
    brake, while it lasts, hides both.
    """

    number: int
    low_priority: bool
    watts: float
    clock: float
    wanted: float


@dataclass(frozen=True, slots=True)
class RowView:
    """The servers under one budget at `now` seconds, and their mean watts together over the last reading."""

    now: float
    watts: float
    budget_w: float
    servers: tuple[ServerView, ...]

    @property
    def share(self) -> float:
        """Share of the budget that was drawn."""
        return self.watts / self.budget_w

    @property
    def settled(self) -> bool:
        """Whether every clock asked for is in force."""
        return all(server.clock == server.wanted for server in self.servers)


class PowerPolicy(Protocol):
    """Decides at regular times how fast each server may run."""

    def clocks(self, row: RowView) -> Sequenced[float]:
        """The clock wanted of each server, in order, as a share (above 0, at most 1) of the full one."""
        ...
