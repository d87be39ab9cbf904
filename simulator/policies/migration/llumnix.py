"""Migration by freeness, as Llumnix does it (Sun et al., OSDI 2024, arXiv:2406.03243)."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced

from simulator.policies.migration.views import Instance, Move, Resident


class Llumnix:
    """Pairs the replicas of least freeness with those of most, and moves one sequence of each pair.

    Freeness is the KV blocks left by the virtual usages, over the batch size: how many more blocks each sequence may
    fill. A running sequence uses what it holds, the head of the queue what it needs, so that a queue makes freeness
    negative. Sources are below `source_below`, targets above `target_above` (blocks a sequence). Where sequences of
    priority `high_priority` or less run (smaller is better; None: there are none), `headroom_tokens` count as used
    besides. A source gives the sequence of lowest priority, the shortest of those, whose copy is the smallest.
    """

    def __init__(
        self,
        *,
        source_below: float = 1.0,
        target_above: float = 4.0,
        high_priority: int | None = None,
        headroom_tokens: int = 0,
    ) -> None:
        if source_below > target_above:
            raise ValueError(f"source_below {source_below} is more than target_above {target_above}: lower it")
        if headroom_tokens < 0:
            raise ValueError(f"headroom_tokens {headroom_tokens} is negative: give 0 or more")
        self.source_below = source_below
        self.target_above = target_above
        self.high_priority = high_priority
        self.headroom_tokens = headroom_tokens

    def freeness(self, instance: Instance) -> float:
        """Blocks left a running sequence, by virtual usage."""
        used = sum(r.blocks for r in instance.residents) + instance.head_blocks
        if self.high_priority is not None and any(r.priority <= self.high_priority for r in instance.residents):
            used += -(-self.headroom_tokens // instance.block_tokens)
        return (instance.blocks - used) / max(1, len(instance.residents))

    def moves(self, instances: Sequenced[Instance]) -> list[Move]:
        """One sequence from the least free source to the freest target, from the next to the next, and so on."""
        ranked = sorted((self.freeness(i), i.number, i) for i in instances if not i.engaged)
        sources = [i for free, _, i in ranked if free < self.source_below]
        targets = [i for free, _, i in reversed(ranked) if free > self.target_above]
        found = []
        for source, target in zip(sources, targets, strict=False):
            chosen = min((r for r in source.residents if r.movable), key=_cheapest, default=None)
            if chosen is not None:
                found.append(Move(source.number, target.number, chosen.index))
        return found


def _cheapest(resident: Resident) -> tuple[int, int, int]:
    return -resident.priority, resident.tokens, resident.index
