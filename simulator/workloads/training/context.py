"""How attention runs over ranks that share a sequence, as plain data: who holds what, and what is sent beside what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

# What a rank can send of its share of the tokens. Statistics are the logarithm of the softmax's sum, a number a head.
Tensor = Literal[
    "query", "key", "value", "output", "statistics", "query_gradient", "key_gradient", "value_gradient",
    "output_gradient",
]  # fmt: skip
# Scores of a rank's queries with the keys of one rank: its own (causal), half of them all, all, or none.
Scores = Literal["own", "half", "all", "none"]


@dataclass(frozen=True, slots=True)
class RingSend:
    """Tensors that each rank passes one place on in a ring of `world` ranks, `stride` ranks of the group apart."""

    tensors: tuple[Tensor, ...]
    world: int
    stride: int = 1
    lane: int = 0


@dataclass(frozen=True, slots=True)
class RingStep:
    """Blocks of attention and what is sent beside them, `times` times; `inner` steps run in place of `scores`."""

    scores: Scores = "none"
    sends: tuple[RingSend, ...] = ()
    times: int = 1
    inner: tuple[RingStep, ...] = ()

    def sent(self) -> Iterator[tuple[RingSend, int]]:
        """All that a rank sends, and how often."""
        yield from ((send, self.times) for send in self.sends)
        for step in self.inner:
            yield from ((send, times * self.times) for send, times in step.sent())

    def blocks(self) -> float:
        """Blocks of all scores between two ranks' tokens that are computed."""
        own = {"own": 0.5, "half": 0.5, "all": 1.0, "none": 0.0}[self.scores]
        return self.times * (own + sum(step.blocks() for step in self.inner))


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """Attention over `ranks` ranks: `heads` of them share out the heads, the rest pass blocks around rings.

    The ranks of one head group are `head_stride` apart; `inside` of all the ranks share a node. `kept` blocks of keys
    and values are in flight besides a rank's own in the backward pass. Where `sums_gradients`, those of keys and values
    are formed for all tokens and summed over the ring.
    """

    ranks: int
    forward: tuple[RingStep, ...]
    backward: tuple[RingStep, ...]
    heads: int = 1
    head_stride: int = 1
    inside: int = 1
    kept: int = 0
    sums_gradients: bool = False

    @property
    def ring(self) -> int:
        """Ranks that share the tokens of one head group."""
        return self.ranks // self.heads


@dataclass(frozen=True, slots=True)
class ContextGroup:
    """What a policy knows of the ranks that share a sequence: consecutive ones, `inside` of them in a node.

    `q_heads` and `kv_heads` are those of one tensor-parallel device.
    """

    ranks: int
    inside: int
    q_heads: int
    kv_heads: int
    fused: bool = True
