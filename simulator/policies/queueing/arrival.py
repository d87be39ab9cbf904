"""First come, first served."""

from __future__ import annotations

from simulator.policies.queueing.discipline import Key
from simulator.policies.sequence import Sequence


class FirstComeFirstServed:
    """Admit waiting sequences in order of arrival; preempted ones keep their place. What engines do by default."""

    def key(self, sequence: Sequence, now: float) -> Key:
        """Nothing but the arrival."""
        return ()
