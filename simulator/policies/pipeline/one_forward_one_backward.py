"""Schedules of one chunk a stage: all forward passes first, or one forward and one backward pass in turn."""

from __future__ import annotations

from simulator.policies.pipeline.schedule import Pass


class GPipe:
    """All forward passes, then all backward passes (Huang et al., arXiv:1811.06965): every micro-batch is kept."""

    splits = False

    def order(self, stage: int, stages: int, micro_batches: int, chunks: int) -> list[Pass]:
        one_chunk("gpipe", chunks)
        forward = [Pass("forward", m, 0) for m in range(micro_batches)]
        return forward + [Pass("backward", m, 0) for m in range(micro_batches)]


class OneForwardOneBackward:
    """One forward, one backward pass in turn once the pipeline is full (PipeDream-Flush, arXiv:2006.09503).

    A stage keeps as many micro-batches as stages follow it, itself included.
    """

    splits = False

    def order(self, stage: int, stages: int, micro_batches: int, chunks: int) -> list[Pass]:
        one_chunk("1f1b", chunks)
        ahead = min(stages - stage - 1, micro_batches)
        found = [Pass("forward", m, 0) for m in range(ahead)]
        for m in range(ahead, micro_batches):
            found += [Pass("forward", m, 0), Pass("backward", m - ahead, 0)]
        return found + [Pass("backward", m, 0) for m in range(micro_batches - ahead, micro_batches)]


def one_chunk(name: str, chunks: int) -> None:
    """Raise `ValueError` where a stage holds several chunks."""
    if chunks != 1:
        raise ValueError(f"{name} runs one chunk a stage: set chunks to 1, or choose interleaved")
