"""What writes drafts, and the passes that it takes to write them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.engine.memory import NO_DRAFTER, DraftMemory
from simulator.engine.query_pass import NO_QUERIES, Ints, Pass, Queries
from simulator.engine.step_timer import StepTimer
from simulator.engine.table import Table
from simulator.hardware.device import Device
from simulator.policies.speculation.plan import Draft


@dataclass(frozen=True, slots=True)
class Drafter:
    """What writes drafts. `timer` times a pass of it (None: it takes no time on devices).

    `extra` are seconds of a pass by its tokens that the timer does not know; `correction` times one more pass over
    all of a draft. A drafter that `shares_cache` with the target never has to catch up. `upper` times the rest of the
    target's layers where verification goes on from the drafter's. `device` is set where it has its own.
    """

    name: str
    timer: StepTimer | None = None
    memory: DraftMemory = NO_DRAFTER
    extra: Table | None = None
    correction: StepTimer | None = None
    cache_tokens: int | None = None
    shares_cache: bool = False
    upper: StepTimer | None = None
    device: Device | None = None
    devices: int = 0

    def passes(self, cached: Ints, behind: Ints, drafts: list[Draft]) -> list[Pass]:
        """The passes that write `drafts` after `cached` tokens, of which the drafter's cache lacks `behind`."""
        depth = max((d.depth for d in drafts), default=0)
        if self.timer is None or not depth:
            return []
        widths = np.array([d.widths + (0,) * (depth - d.depth) for d in drafts], dtype=np.int64)
        found = []
        for level in range(depth):
            wanted = widths[:, level] > 0
            new = (behind + 1 if level == 0 else widths[:, level - 1])[wanted]
            before = (cached - behind if level == 0 else cached + 1 + widths[:, : level - 1].sum(axis=1))[wanted]
            queries = Queries(before, new).within(self.cache_tokens)
            found.append(Pass(self.timer, queries, len(new) if level == 0 else queries.tokens))
        if self.correction is not None:
            every = widths[:, 0] > 0
            queries = Queries(cached[every] + 1, widths[every].sum(axis=1)).within(self.cache_tokens)
            found.append(Pass(self.correction, queries, 0))
        return found

    def prompt_passes(self, chunks: list[tuple[int, int]]) -> list[Pass]:
        """The pass that takes prompt chunks, (cached, new) each, into the drafter's own cache."""
        if self.timer is None or self.shares_cache or not chunks:
            return []
        most = self.cache_tokens
        kept = chunks if most is None else [(min(cached, most), new) for cached, new in chunks]
        return [Pass(self.timer, NO_QUERIES, 0, self.timer.chunks(kept))]

    def seconds(self, passes: list[Pass]) -> float:
        """Seconds of passes one after the other, each launched by the host."""
        total = 0.0
        for p in passes:
            total += p.seconds() + p.timer.host_seconds(0)
            if self.extra is not None:
                total += self.extra[p.tokens]
        return total
