"""ByteScale's selective offloading: long sequences leave activations in host memory and so need fewer ranks."""

from __future__ import annotations

from typing import Literal, Protocol

from simulator.errors import InputError


class SequenceOffload(Protocol):
    """Chooses what of a sequence's activations leaves where its ranks have no room for all of them.

    `buffers` are the layers whose activations are on their way at once. `moves` is "sequences".
    """

    moves: Literal["sequences"]
    buffers: int

    def share(self, copying: float, computing: float) -> float:
        """The most that may leave, 0 to 1, of activations that take `copying` seconds each way beside such a pass."""
        ...


class Selective:
    """As much as the forward pass hides (Ge et al., arXiv:2502.21231, selective offloading of long sequences).

    Computing grows with the square of a length and activations with the length, so that long sequences hide all of
    their copies and short ones, which fit anyway, none.
    """

    moves: Literal["sequences"] = "sequences"

    def __init__(self, buffers: int = 2) -> None:
        if buffers < 1:
            raise InputError(f"offload option buffers must be at least 1, not {buffers}")
        self.buffers = buffers

    def share(self, copying: float, computing: float) -> float:
        return min(1.0, computing / copying)
