"""Fair queueing across tenants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable

from simulator.policies.decode_set import FOREVER
from simulator.policies.queueing.discipline import Key
from simulator.policies.sequence import Sequence


class VirtualTokenCounter:
    """Admit from the tenant that has been served least, by weighted tokens.

    A tenant's counter grows by `prompt_weight` a prompt token at admission and by `output_weight` a token that
    comes out. A tenant that starts to wait is lifted to the least counter of those waiting, so that idleness earns
    nothing. Two tenants that both always have requests waiting are then served within
    2 max(prompt_weight * longest prompt, output_weight * tokens in the cache) of each other over any interval.

    Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024, algorithm 2 and theorem 4.4; weights
    from section 5.1. Integer weights keep the counters exact.
    """

    def __init__(self, *, prompt_weight: int = 1, output_weight: int = 2) -> None:
        if not (isinstance(prompt_weight, int) and isinstance(output_weight, int)):
            raise ValueError("prompt_weight and output_weight must be whole numbers")
        if min(prompt_weight, output_weight) < 0:
            raise ValueError("prompt_weight and output_weight must be 0 or more")
        self.prompt_weight = prompt_weight
        self.output_weight = output_weight
        self.counters: Counter[int] = Counter()
        self._waiting: Counter[int] = Counter()
        self._last_left = 0

    def key(self, sequence: Sequence, now: float) -> Key:
        """A tenant's own requests go by arrival."""
        return ()

    def flow(self, sequence: Sequence) -> int:
        """The tenant."""
        return sequence.tenant

    def rank(self, flow: Hashable) -> Key:
        """Its counter."""
        return (self.counters[flow],)  # type: ignore[index]

    def queued(self, sequence: Sequence, now: float) -> None:
        """Lift the counter of a tenant that had nothing waiting."""
        tenant, counters = sequence.tenant, self.counters
        if not self._waiting[tenant]:
            level = min((counters[t] for t, n in self._waiting.items() if n), default=counters[self._last_left])
            counters[tenant] = max(counters[tenant], level)
        self._waiting[tenant] += 1

    def taken(self, sequence: Sequence) -> None:
        """Charge the prompt, the first time that it is admitted."""
        self._waiting[sequence.tenant] -= 1
        if not self._waiting[sequence.tenant]:
            self._last_left = sequence.tenant
        if not sequence.preemptions:
            self.counters[sequence.tenant] += self.prompt_weight * sequence.prompt_tokens

    def served(self, sequence: Sequence, prompt_tokens: int, output_tokens: int) -> None:
        """Charge the output."""
        self.counters[sequence.tenant] += self.output_weight * output_tokens

    def holds(self, head: Sequence, flows: Collection[Hashable], decoding: Iterable[Sequence]) -> int:
        """Steps until the head's tenant may have been served more than another that waits."""
        tokens = Counter(s.tenant for s in decoding)
        steps = FOREVER
        for tenant in flows:
            faster = self.output_weight * (tokens[head.tenant] - tokens[tenant])  # type: ignore[index]
            if faster > 0:
                ahead = self.counters[tenant] - self.counters[head.tenant]  # type: ignore[index]
                steps = min(steps, max(1, ahead // faster))
        return steps
