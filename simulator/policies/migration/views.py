"""What a migration policy sees and answers."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Resident:
    """A sequence that holds `blocks` KV blocks; `movable` once its prompt is computed."""

    index: int
    tokens: int
    blocks: int
    priority: int
    movable: bool


@dataclass(frozen=True, slots=True)
class Instance:
    """A replica of `blocks` KV blocks at the time of a decision.

    `head_blocks` is what the sequence at the head of its queue needs (0: nobody waits). `engaged` ones send or receive
    a sequence now and can take part in no other migration.
    """

    number: int
    blocks: int
    block_tokens: int
    residents: tuple[Resident, ...]
    head_blocks: int
    engaged: bool


@dataclass(frozen=True, slots=True)
class Move:
    """Migrate the sequence with this `index` between the replicas of these numbers."""

    source: int
    target: int
    index: int


class MigrationPolicy(Protocol):
    """Decides at regular times which sequences migrate."""

    def moves(self, instances: Sequenced[Instance]) -> list[Move]:
        """Moves to begin now; every replica takes part in at most one, none that is `engaged` in any."""
        ...


class NoMigration:
    """Every sequence stays where it is."""

    def moves(self, instances: Sequenced[Instance]) -> list[Move]:
        return []
