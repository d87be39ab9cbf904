"""The prompt work of one iteration, and another model's pass over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from simulator.hardware.kernels.attention import Work


@dataclass(frozen=True, slots=True)
class Chunks:
    """Prompt tokens of one iteration: how many, in how many sequences, pairs and context by span, work by kernel.

    Where another model computes prompts, `elsewhere` is what it computes; the rest is then of the last tokens of
    prompts that end, one a sequence, which this model takes.
    """

    tokens: int
    sequences: int
    pairs: tuple[int, ...]
    context: tuple[int, ...]
    works: tuple[Work, ...]
    elsewhere: Chunks | None = None


class PromptPass(Protocol):
    """Another model's pass over prompts, which leaves this model's KV cache."""

    def chunks(self, work: Sequence[tuple[int, int]]) -> Chunks:
        """Summary of prompt chunks given as (cached tokens, new tokens)."""
        ...

    def seconds(self, chunks: Chunks) -> float: ...

    def work(self, chunks: Chunks) -> tuple[float, float]:
        """FLOPs and bytes on one device."""
        ...


NO_CHUNKS = Chunks(0, 0, (), (), ())
