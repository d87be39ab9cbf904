"""Rules for how many replicas compute prompts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence as Sequenced

from simulator.policies.roles.views import PoolsView


class Fixed:
    """As many as there are."""

    def wanted(self, pools: PoolsView) -> int:
        """No change."""
        return len(pools.prefill)


class Scheduled:
    """The number that a timetable gives: `at` lists pairs of seconds and prefill replicas, in order of time.

    Before the first entry nothing changes.
    """

    def __init__(self, *, at: Sequenced[Sequenced[float]]) -> None:
        self.times = [float(row[0]) for row in at]
        if not at or self.times != sorted(self.times) or any(len(row) != 2 for row in at):
            raise ValueError("at is a list of [seconds, prefill replicas] in order of time")
        self.replicas = [int(row[1]) for row in at]

    def wanted(self, pools: PoolsView) -> int:
        """The entry in force."""
        entry = bisect_right(self.times, pools.now) - 1
        return len(pools.prefill) if entry < 0 else self.replicas[entry]


class QueueAndCache:
    """One replica changes sides when its new side is short of it and its old side can spare it.

    Prompts are short of replicas above `queue_high` queued requests a prefill replica and can spare one below
    `queue_low`; decoding above a mean KV utilisation of `kv_high` and below `kv_low`. One replica a decision, none
    while another is draining, and only where `patience` decisions in a row agree. Measures, thresholds, the
    steps of one and the wait are those of NVIDIA Dynamo's load-based planner (docs/architecture/planner.md of version
    0.3), which starts and stops workers where here they change sides.
    """

    def __init__(
        self,
        *,
        queue_high: float = 0.5,
        queue_low: float = 0.2,
        kv_high: float = 0.9,
        kv_low: float = 0.5,
        patience: int = 1,
    ) -> None:
        if not 0 <= queue_low <= queue_high:
            raise ValueError(f"queue_low {queue_low} is not from 0 to queue_high {queue_high}: lower it")
        if not 0 <= kv_low <= kv_high <= 1:
            raise ValueError(f"kv_low {kv_low} and kv_high {kv_high} are not shares in order: give 0 to 1, low first")
        self.queue_high, self.queue_low = queue_high, queue_low
        self.kv_high, self.kv_low = kv_high, kv_low
        self._agreed = _Agreed(patience)

    def wanted(self, pools: PoolsView) -> int:
        """One more or one less, or no change."""
        queue = sum(r.queued for r in pools.prefill) / len(pools.prefill)
        kv = sum(r.kv_utilisation for r in pools.decode) / len(pools.decode)
        more = queue > self.queue_high and kv < self.kv_low
        less = kv > self.kv_high and queue < self.queue_low
        return len(pools.prefill) + self._agreed.step(int(more) - int(less), pools)


class Attainment:
    """One replica goes where an objective is missed, if the other side keeps its own.

    A side is short where fewer than `target` of its requests keep their objective (TTFT for prompts, TPOT for
    decoding), and can spare a replica where its share is larger than that of the other by `margin` or more. One
    replica a decision, none while another is draining, and only where `patience` decisions in a row agree. Instances
    that change their role by measured latency against TTFT and TPOT objectives: Arrow (Wu et al., arXiv:2505.11916).
    """

    def __init__(self, *, target: float = 0.9, margin: float = 0.05, patience: int = 1) -> None:
        if not 0 < target <= 1:
            raise ValueError(f"target is {target}: give a share above 0 and at most 1")
        if not 0 < margin < 1:
            raise ValueError(f"margin is {margin}: give a share between 0 and 1")
        self.target = target
        self.margin = margin
        self._agreed = _Agreed(patience)

    def wanted(self, pools: PoolsView) -> int:
        """One more or one less, or no change."""
        if pools.ttft_met is None or pools.tpot_met is None:
            return len(pools.prefill) + self._agreed.step(0, pools)
        more = pools.ttft_met < self.target and pools.tpot_met >= pools.ttft_met + self.margin
        less = pools.tpot_met < self.target and pools.ttft_met >= pools.tpot_met + self.margin
        return len(pools.prefill) + self._agreed.step(int(more) - int(less), pools)


class _Agreed:
    """Lets a step of one through when `patience` decisions in a row wanted it."""

    def __init__(self, patience: int) -> None:
        if patience < 1:
            raise ValueError(f"patience is {patience}: give a whole number of decisions, 1 or more")
        self._patience = patience
        self._wanted = 0
        self._times = 0

    def step(self, wanted: int, pools: PoolsView) -> int:
        """`wanted` (-1, 0 or 1), or 0 while it has not been wanted long enough or a replica is draining."""
        if pools.draining or not wanted:
            self._times = 0
            return 0
        self._times = self._times + 1 if wanted == self._wanted else 1
        self._wanted = wanted
        if self._times < self._patience:
            return 0
        self._times = 0
        return wanted
