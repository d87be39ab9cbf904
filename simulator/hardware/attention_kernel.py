"""The attention kernels of a device for one shape of heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from simulator.hardware.kernels import AttentionCurve, DecodeCurve, Machine, Roofs
from simulator.hardware.kernels.attention import AttentionCosts, Work
from simulator.workloads.operators import HeadShape, Size

REMEMBERED = 1 << 16  # chunk shapes whose work is kept


@dataclass(frozen=True)
class AttentionKernel:
    """Attention of one head shape on one device: prompts, decoding sequences, or both in one kernel."""

    prompt_shape: HeadShape
    decode_shape: HeadShape
    window: int | None
    prompt_curve: AttentionCurve
    decode_curve: DecodeCurve
    peak: float
    machine: Machine
    prompt_overlap: float = 0.0
    decode_overlap: float = 0.0
    prompt_factor: float = 1.0
    decode_factor: float = 1.0

    @property
    def fused(self) -> bool:
        """Whether prompts and decoding sequences of one iteration share a kernel."""
        return self.prompt_curve.one_kernel and not self.decode_shape.latent

    def work(self, chunks: tuple[tuple[int, int], ...]) -> Work:
        """Work of prompt chunks given as (cached, new) tokens."""
        total: Work | None = None
        for cached, new in chunks:
            one = self._chunk(new, cached)
            total = one if total is None else total.plus(one)
        return total or Work()

    @cached_property
    def _chunk(self) -> Callable[[int, int], Work]:
        """Work of one chunk by its new and cached tokens, remembered: lengths come again."""
        curve, shape, window = self.prompt_curve, self.prompt_shape, self.window
        return lru_cache(REMEMBERED)(lambda new, cached: curve.work(new, cached, shape, window))

    def seconds(self, work: Work) -> float:
        """Seconds of the kernel that does this work."""
        return float(self.costs.seconds(work, self.prompt_overlap)) * self.prompt_factor

    @cached_property
    def costs(self) -> AttentionCosts:
        """What each unit of prompt work costs."""
        return self.prompt_curve.costs(self.prompt_shape, peak=self.peak, machine=self.machine)

    def together(self, work: Work, sequences: float, attended: float) -> Work:
        """The work of prompts and decoding sequences that share a kernel."""
        return self.prompt_curve.with_decoding(work, sequences, attended, self._decode_rates)

    @cached_property
    def _decode_rates(self) -> tuple[float, float, float, float]:
        return self.prompt_curve.decode_rates(self.prompt_shape)

    def prompts(self, work: Work) -> Roofs:
        return self.costs.roofs(work).overlapped(self.prompt_overlap, self.prompt_factor)

    def decoding(self, sequences: Size, attended: Size) -> Roofs:
        found = self.decode_curve.roofs(sequences, attended, self.decode_shape, peak=self.peak, machine=self.machine)
        return found.overlapped(self.decode_overlap, self.decode_factor)
