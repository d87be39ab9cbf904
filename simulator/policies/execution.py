"""How the operators of one iteration share a device: one after the other, or in nano-batches side by side."""

from __future__ import annotations

from typing import Protocol


class Execution(Protocol):
    """Decides into how many nano-batches an iteration is cut.

    `memory_units` and `network_units` are the shares of a device's units on which a memory-bound kernel and a
    collective run at full speed, so that the rest can multiply matrices meanwhile.
    """

    memory_units: float
    network_units: float

    def batches(self, tokens: int) -> int:
        """Nano-batches of an iteration of so many tokens; 1 leaves it whole."""
        ...


class Sequential:
    """Every operator has the whole device to itself, as in vLLM."""

    memory_units = 1.0
    network_units = 1.0

    def batches(self, tokens: int) -> int:
        """Always one."""
        return 1


class NanoBatches:
    """Matrix products of one nano-batch run beside attention and collectives of another.

    Each nano-batch reads the weights again. Iterations of fewer than `least_tokens` tokens stay whole, since they
    are bound by those weights anyway. That half of the units draw the whole memory bandwidth, and a fifth the
    whole link, is an assumption about GPUs with HBM and NVLink.

    NanoFlow: Zhu et al., OSDI 2025, arXiv:2408.12757.
    """

    def __init__(
        self, *, batches: int = 2, least_tokens: int = 512, memory_units: float = 0.5, network_units: float = 0.2
    ) -> None:
        if batches < 1:
            raise ValueError(f"batches is {batches}: give 1 at least")
        for name, share in (("memory_units", memory_units), ("network_units", network_units)):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} is {share}: give a share from 0 to 1")
        self._batches, self._least = batches, least_tokens
        self.memory_units, self.network_units = memory_units, network_units

    def batches(self, tokens: int) -> int:
        """As many as configured, for iterations that are large enough."""
        return self._batches if tokens >= self._least else 1
