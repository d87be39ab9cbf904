"""Memory of ranks whose sequences differ in length: the tokens that one has room for, and what leaves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from simulator.engine.training.memory import RESERVED, gathered_bytes
from simulator.engine.training.offloading.sequences import Leaving
from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.policies.packing import Placed
from simulator.workloads.training.passes import Passes

TOKENS = 4096  # of micro-batches that tell what a token takes


@dataclass(frozen=True)
class VariedMemory:
    """Activations of micro-batches on a rank of `step`; `passes` of so many lengths on so many ranks.

    At most `micro_batches` are in flight. `leaving` says what may leave a device.
    """

    step: Step
    passes: Callable[[tuple[int, ...], int], tuple[Passes, ...]]
    micro_batches: int
    leaving: Leaving | None

    @cached_property
    def room(self) -> int:
        """Tokens that a rank can hold beside states and reserve. Raises `InputError` if there is no room at all."""
        layout, capacity = self.step.job.layout, self.step.law.device.memory_capacity

        def held(count: int) -> float:
            passes = self.passes((count * layout.context,), layout.context)
            return max(p.saved + p.working for p in passes) * min(layout.pipeline, self.micro_batches)

        states = max(self.step.states(s).total for s in range(layout.pipeline))
        each = (held(2 * TOKENS) - held(TOKENS)) / TOKENS
        gathered = max(gathered_bytes(self.step, layout.pieces(s)) for s in range(layout.pipeline))
        free = capacity - RESERVED - states - gathered - (held(TOKENS) - each * TOKENS)
        if free < each:
            raise InputError(
                f"{self.step.job.model.name} leaves no room for tokens: states take {states / 1e9:.4g} GB of "
                f"{capacity / 1e9:.4g} GB: use zero or more tensor parallelism"
            )
        return int(free / each)

    @property
    def longest(self) -> int:
        """Most tokens of one sequence that a rank could hold if all of its activations left that may."""
        return self.room if self.leaving is None else int(self.room / self.leaving.on_the_way(self._layers))

    def stretch(self, tokens: float, forward: float) -> float:
        """How many times its room a rank holds of a sequence of which it has so many tokens.

        As much leaves as may beside a pass of `forward` seconds.
        """
        if self.leaving is None:
            return 1.0
        saved, working = self._token
        away = self.leaving.share(tokens * saved, forward) - self.leaving.on_the_way(self._layers)
        return max(1.0, (saved + working) / (saved * (1.0 - away) + working))

    def leaves(self, each: Placed) -> float:
        """Bytes of a micro-batch's activations that leave each of its devices between its passes."""
        if self.leaving is None or sum(each.lengths) <= self.room * each.ranks:
            return 0.0
        (passes,) = self.passes(each.lengths, each.ranks)
        return self.leaving.needed(passes.saved, passes.working, sum(self._token) * self.room, self._layers)

    def kept(self, each: Placed, stage: int) -> float:
        """Bytes of a micro-batch's activations on a device of a stage while most of those that leave are away."""
        saved, left = self.passes(each.lengths, each.ranks)[stage].saved, self.leaves(each)
        if self.leaving is None or not left:
            return saved
        return saved * (1.0 + self.leaving.on_the_way(self._layers)) - left

    def fits(self, each: Placed) -> bool:
        """Whether a rank has room for its share of a micro-batch, or for what does not leave to the host."""
        if sum(each.lengths) <= self.room * each.ranks:
            return True
        if self.leaving is None:
            return False
        return self.leaves(each) <= min(self.leaving.host_memory, self.passes(each.lengths, each.ranks)[0].saved)

    @property
    def _layers(self) -> int:
        return len(self.step.job.model.layers)

    @cached_property
    def _token(self) -> tuple[float, float]:
        """Bytes that a rank keeps of one more token, and those that it needs while it computes a layer again."""
        ranks = self.step.job.layout.context
        ((one,), (two,)) = (self.passes((n * TOKENS * ranks,), ranks) for n in (1, 2))
        return (two.saved - one.saved) / TOKENS, (two.working - one.working) / TOKENS
