"""What a pipeline schedule decides: the passes of each stage, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

Kind = Literal["forward", "backward", "weights", "whole"]


class Pass(NamedTuple):
    """One pass of one micro-batch through one chunk of a stage.

    "backward" gives the gradient of inputs, and of weights too unless the schedule runs "weights" apart; "whole" gives
    both in a schedule that runs others apart. A pass that is `paired` runs together with the next one of its stage:
    what waits for links in one hides behind what computes in the other, and both have ended when the pair has.
    """

    kind: Kind
    micro_batch: int
    chunk: int
    paired: bool = False


class Schedule(Protocol):
    """Orders the passes of every stage. `splits` says that gradients of weights are passes of their own."""

    splits: bool

    def order(self, stage: int, stages: int, micro_batches: int, chunks: int) -> list[Pass]:
        """All passes of one stage, which holds `chunks` pieces of the model; piece 0 is nearest the input.

        Raises `ValueError` for numbers that the schedule cannot order, with the remedy.
        """
        ...


@runtime_checkable
class Placing(Protocol):
    """A schedule that says itself which pieces of the model a stage holds; by default chunk c is c x stages + stage.

    Where two stages hold each piece, micro-batches go both ways, half of them each.
    """

    def pieces(self, stage: int, stages: int, chunks: int) -> Sequence[int]:
        """The pieces of the model that are the chunks of a stage."""
        ...
