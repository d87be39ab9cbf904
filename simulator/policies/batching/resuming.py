"""A batching policy whose preempted sequences come back from host memory."""

from __future__ import annotations

from collections.abc import Callable

from simulator.policies.batching.state import Batch, BatchingPolicy, ServingState
from simulator.policies.kv_cache.swapping import Swapping


class Resuming:
    """Brings sequences back before `policy` decides each iteration, in the order of the queue and ahead of new ones.

    As in vLLM V0 (`Scheduler._schedule_swapped`), a swapped sequence at the head of the queue holds up those behind
    it until blocks for all its computed tokens are free, with those that the next decode step takes. A policy
    that admits nothing at times says so by `admits(state) -> bool`; nothing is brought back then.
    """

    def __init__(self, policy: BatchingPolicy, swapping: Swapping) -> None:
        self.policy = policy
        self.swapping = swapping
        self.admits: Callable[[ServingState], bool] = getattr(policy, "admits", lambda _: True)

    def next_batch(self, state: ServingState) -> Batch:
        """The inner policy's decision over what has come back."""
        self._resume(state)
        batch = self.policy.next_batch(state)
        idle = not batch.chunks and not (batch.decode and len(state.decoding))
        # A policy that has given up all prompts it had begun leaves room for the first of them.
        return self.policy.next_batch(state) if idle and self._resume(state) else batch

    def _resume(self, state: ServingState) -> bool:
        """Let run on what has landed, and start to bring back what fits; whether anything runs that did not."""
        swapping, most, before = self.swapping, state.limits.max_num_seqs, state.running
        admits = self.admits(state)
        while swapping.landed and state.running < most:
            state.resume(swapping.landed.popleft())
        while admits and state.running + swapping.on_the_way_back < most and len(state.waiting):
            sequence = state.waiting[0]
            if sequence not in swapping:
                break
            if not swapping.bring_back(sequence, state.decoding.blocks_needed(), state.prefilling):
                break
            state.waiting.popleft()
            if not swapping.asynchronous:
                state.resume(sequence)
        return state.running > before
