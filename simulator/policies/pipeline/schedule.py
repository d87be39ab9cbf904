"""What a pipeline schedule decides: the passes of each stage, in order."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

Kind = Literal["forward", "backward", "weights"]


class Pass(NamedTuple):
    """One pass of one micro-batch through one chunk of a stage.

    "backward" gives the gradient of inputs, and of weights too unless the schedule runs "weights" apart.
    """

    kind: Kind
    micro_batch: int
    chunk: int


class Schedule(Protocol):
    """Orders the passes of every stage. `splits` says that gradients of weights are passes of their own."""

    splits: bool

    def order(self, stage: int, stages: int, micro_batches: int, chunks: int) -> list[Pass]:
        """All passes of one stage, which holds `chunks` pieces of the model; piece 0 is nearest the input."""
        ...
