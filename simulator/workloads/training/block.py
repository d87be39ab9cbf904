"""A block of a training step: an operator, what its backward pass does, and what is kept for it."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.operators import AnyOperator

MASK = 1.0  # bytes of a dropout mask's element


@dataclass(frozen=True, slots=True)
class Block:
    """One operator of the forward pass on one device.

    `inputs` are what its backward pass does for the gradient of its inputs, `weights` for that of its weights, `saved`
    the bytes kept for them. `core` marks the parts of attention that selective recomputation runs again, from
    `entering` bytes of what they keep. `working` bytes more are there while it runs.
    """

    name: str
    forward: tuple[AnyOperator, ...]
    inputs: tuple[AnyOperator, ...] = ()
    weights: tuple[AnyOperator, ...] = ()
    saved: float = 0.0
    core: bool = False
    entering: float = 0.0
    working: float = 0.0


@dataclass(frozen=True, slots=True)
class LayerBlocks:
    """Layers of a chunk that are alike: the blocks of one of `count`, bytes of its input and of its attention's output.

    Full recomputation keeps the input, and the output of attention if that is not computed again.
    """

    blocks: tuple[Block, ...]
    count: int
    input: float
    attention: float = 0.0
