"""A batching policy under a queue discipline."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from simulator.policies.batching.state import Batch, BatchingPolicy, ServingState
from simulator.policies.queueing.discipline import KeepsAccounts, Notified, Preemptive, Timed
from simulator.policies.queueing.preemption import make_way
from simulator.policies.queueing.waiting import DisciplinedQueue
from simulator.policies.sequence import Sequence


class Disciplined:
    """Lets `policy` decide each iteration over a queue that the discipline has put in order.

    Before each decision it gives the discipline account of the last iteration, settles the queue, and preempts
    running sequences where the discipline allows it and those ahead in the queue then fit. After it, it bounds
    how long the decision holds. `wake_at(time)` must have the engine ask again at the end of the step that
    runs at `time`. A batching policy that admits nothing at times, whatever waits, says so by a method
    `admits(state) -> bool`; nothing is preempted for it then.
    """

    def __init__(self, policy: BatchingPolicy, queue: DisciplinedQueue, wake_at: Callable[[float], None]) -> None:
        discipline = queue.discipline
        self.policy = policy
        self.queue = queue
        self._preemptive = discipline if isinstance(discipline, Preemptive) else None
        self._accounts = discipline if isinstance(discipline, KeepsAccounts) else None
        self._timed = discipline if isinstance(discipline, Timed) else None
        self._notified = isinstance(discipline, Notified)
        self._admits: Callable[[ServingState], bool] = getattr(policy, "admits", lambda _: True)
        self._wake_at = wake_at
        self._alarm = -inf
        self._given: dict[Sequence, tuple[int, int]] = {}

    def next_batch(self, state: ServingState) -> Batch:
        """The inner policy's decision, in the discipline's order."""
        self._give_account(state)
        self.queue.settle(state.now)
        if self._timed is not None and len(self.queue):
            self._set_alarm(self._timed.next_change())
        if self._preemptive is not None:
            self._order_running(state)
            if len(self.queue) and state.running and self._admits(state):
                make_way(state, self.queue, self._preemptive)
        batch = self.policy.next_batch(state)
        self._bound(batch, state)
        self._open_account(batch, state)
        return batch

    def _give_account(self, state: ServingState) -> None:
        """Tell the discipline what the iterations since the last decision gave to each sequence."""
        if self._accounts is None:
            return
        members = state.decoding.members
        for sequence, (prompt_tokens, generated) in self._given.items():
            if sequence in members:
                state.decoding.refresh(sequence)
            self._accounts.served(sequence, prompt_tokens, sequence.generated - generated)

    def _open_account(self, batch: Batch, state: ServingState) -> None:
        if self._accounts is None:
            return
        self._given = {s: (0, s.generated) for s in state.decoding} if batch.decode else {}
        for sequence, tokens in batch.chunks:
            self._given[sequence] = (tokens, sequence.generated)

    def _set_alarm(self, time: float) -> None:
        if self._alarm != time < inf:
            self._alarm = time
            self._wake_at(time)

    def _order_running(self, state: ServingState) -> None:
        key, now = self.queue.discipline.key, state.now
        state.order = lambda s: (key(s, now), s.arrival, s.index)

    def _bound(self, batch: Batch, state: ServingState) -> None:
        """Ask again as soon as an arrival or the service given can change the order or a preemption."""
        if batch.chunks:
            return
        closed = not self._admits(state)
        settled = closed or (self._preemptive is None and state.running >= state.limits.max_num_seqs)
        # Whom a discipline is told of together depends on when: each step has to tell it.
        if self._accounts is not None or self._notified or not settled:
            batch.arrivals_matter = True
        if settled or not len(self.queue):
            return
        head = self.queue[0]
        running = (*state.prefilling, *state.decoding)
        if self._preemptive is not None and any(self._preemptive.preempts(head, s) for s in running):
            batch.steps = 1
        elif self._accounts is not None:
            batch.steps = min(batch.steps, self._accounts.holds(head, self.queue.flows(), state.decoding))
