"""A multi-level feedback queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass
from math import inf

from simulator.policies.decode_set import FOREVER
from simulator.policies.queueing.discipline import Key
from simulator.policies.sequence import Sequence


@dataclass(slots=True)
class _Account:
    """Where a sequence stands, what it has used of its level's quantum, and since when it waits (-1: it runs).

    `prompt` counts the prompt tokens that were ever computed.
    """

    level: int
    used: int = 0
    since: float = -1.0
    prompt: int = 0


class SkipJoinFeedback:
    """Serve by levels: a sequence that has used up its level's quantum falls to the next, without its length known.

    Level i (0 to `levels` - 1) has a quantum of `quantum` * `ratio`^i decode steps; `prompt_tokens_per_step`
    prompt tokens cost as much as one. A prompt joins at the first level whose quantum pays for it (skip-join). A
    better level takes the place of a worse one; within a level, the first to arrive goes first and none is
    preempted. A sequence that has waited `starve_s` seconds (0: without limit) rises to level 0. What is computed
    again after a preemption is not charged: whoever rises could fall again before it got a token, for ever.

    FastServe (arXiv:2305.05920, algorithm 1), with quanta in steps where the paper has measured
    time; it swaps what it preempts, as `kv_cache.swap` does, without which it is recomputed.
    """

    def __init__(
        self,
        *,
        levels: int = 6,
        quantum: int = 8,
        ratio: int = 2,
        prompt_tokens_per_step: int = 256,
        starve_s: float = 0.0,
    ) -> None:
        if min(levels, quantum, ratio, prompt_tokens_per_step) < 1 or starve_s < 0:
            raise ValueError("levels, quantum, ratio and prompt_tokens_per_step must be 1 or more, starve_s 0 or more")
        self._step = prompt_tokens_per_step
        self._quanta = [quantum * ratio**i * self._step for i in range(levels)]
        self._starve = starve_s or inf
        self._accounts: dict[Sequence, _Account] = {}
        self._waiting_since: deque[tuple[float, Sequence]] = deque()

    def key(self, sequence: Sequence, now: float) -> Key:
        """The level."""
        return (self._accounts[sequence].level,)

    def preempts(self, waiting: Sequence, running: Sequence) -> bool:
        """Whether its level is better."""
        return self._accounts[waiting].level < self._accounts[running].level

    def queued(self, sequence: Sequence, now: float) -> None:
        """Open an account at the level that the prompt skips to, or start to wait again."""
        account = self._accounts.get(sequence)
        if account is None:
            last = len(self._quanta) - 1
            level = next((i for i, q in enumerate(self._quanta) if q >= sequence.prompt_tokens), last)
            account = self._accounts[sequence] = _Account(level)
        account.since = now
        if self._starve < inf:
            self._waiting_since.append((now, sequence))

    def taken(self, sequence: Sequence) -> None:
        """It waits no more."""
        self._accounts[sequence].since = -1.0

    def served(self, sequence: Sequence, prompt_tokens: int, output_tokens: int) -> None:
        """Charge the service; close the account of a sequence that is done."""
        if not sequence.remaining_output:
            del self._accounts[sequence]
            return
        account = self._accounts[sequence]
        reached = min(sequence.computed, sequence.prompt_tokens)
        fresh = min(prompt_tokens, max(0, reached - account.prompt))
        account.prompt = max(account.prompt, reached)
        account.used += fresh + output_tokens * self._step
        while account.level < len(self._quanta) - 1 and account.used >= self._quanta[account.level]:
            account.used -= self._quanta[account.level]
            account.level += 1

    def holds(self, head: Sequence, flows: Collection[Hashable], decoding: Iterable[Sequence]) -> int:
        """Steps until a running sequence falls a level."""
        steps = FOREVER
        for account in map(self._accounts.__getitem__, decoding):
            if account.level < len(self._quanta) - 1:
                steps = min(steps, -(-(self._quanta[account.level] - account.used) // self._step))
        return steps

    def next_change(self) -> float:
        """When the next one has waited too long."""
        waiting = self._waiting_since
        while waiting and not self._still_waits(*waiting[0]):
            waiting.popleft()
        return waiting[0][0] + self._starve if waiting else inf

    def changed(self, now: float) -> Iterable[Sequence]:
        """Those that have waited too long, now at level 0 with nothing used."""
        risen: list[Sequence] = []
        while self.next_change() <= now:
            sequence = self._waiting_since.popleft()[1]
            account = self._accounts[sequence]
            account.level = account.used = 0
            risen.append(sequence)
        return risen

    def _still_waits(self, since: float, sequence: Sequence) -> bool:
        account = self._accounts.get(sequence)
        return account is not None and account.since == since
