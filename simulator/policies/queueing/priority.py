"""Priority classes."""

from __future__ import annotations

from simulator.policies.queueing.discipline import Key
from simulator.policies.sequence import Sequence


class Priority:
    """Admit by the trace's `priority` column, smaller numbers first (as vLLM does), or `larger_first`.

    A sequence takes the place of running ones of a lower class, unless `preemptive` is False; then, as in vLLM, a
    lower class only gives way when blocks run out. `ageing_s` seconds of waiting are worth one class (0: none):
    a sequence then waits behind a better class only for those that arrive within `ageing_s` a class after it.

    Cobham, "Priority assignment in waiting line problems", 1954; ageing as in Kleinrock, "A delay dependent
    queue discipline", 1964, with equal rates. vLLM: `--scheduling-policy priority`.
    """

    def __init__(self, *, preemptive: bool = True, larger_first: bool = False, ageing_s: float = 0.0) -> None:
        if ageing_s < 0:
            raise ValueError(f"ageing_s is {ageing_s}, which must be 0 or more")
        self._preemptive = preemptive
        self._sign = -1 if larger_first else 1
        self._ageing = ageing_s

    def key(self, sequence: Sequence, now: float) -> Key:
        """The class; with ageing, when the sequence would have arrived to stand here in class 0."""
        rank = self._sign * sequence.priority
        # All age at one rate, so the order between two never changes and arrival stands in for waiting.
        return (rank * self._ageing + sequence.arrival if self._ageing else rank,)

    def preempts(self, waiting: Sequence, running: Sequence) -> bool:
        """Whether its class is better and no longer wait of the other makes up for it."""
        better = self._sign * waiting.priority < self._sign * running.priority
        return self._preemptive and better and self.key(waiting, 0.0) < self.key(running, 0.0)
