"""Weights, gradients and optimiser states of one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.job import Job, Layout

# Bytes a parameter of what averaging after local steps needs: the weights at a round's beginning and momentum in fp32.
OUTER = 8.0


@dataclass(frozen=True, slots=True)
class States:
    """Bytes of one device's share of a stage, and the parameters that it computes with and that it updates.

    `routed` of the parameters are those of its experts, which fewer devices have copies of.
    """

    weights: float
    gradients: float
    optimizer: float
    parameters: float
    updated: float
    routed: float = 0.0

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer


def chunk_parameters(job: Job[Any], chunk: int) -> float:
    """Parameters of one chunk on one device."""
    return chunks_of(job).parameters(chunk)


def routed_parameters(job: Job[Any], chunk: int) -> float:
    """Parameters of the experts that one device has of a chunk."""
    return chunks_of(job).routed(chunk)


def has_both_ends(layout: Layout, stage: int) -> bool:
    """Whether a stage of several holds the embedding and the output head, which then share one tied weight."""
    last = layout.model_chunks - 1
    return last > 0 and {0, last} <= set(layout.pieces(stage))


def stage_states(job: Job[Any], stage: int) -> States:
    """States of one device of a stage under the job's shards (of ZeRO: Rajbhandari et al., arXiv:1910.02054)."""
    layout = job.layout
    pieces = layout.pieces(stage)
    own = sum(chunk_parameters(job, piece) for piece in pieces)
    if has_both_ends(layout, stage):
        own -= chunks_of(job).tied
    routed = sum(routed_parameters(job, piece) for piece in pieces)

    def share(each: float, over: int) -> float:
        """What a device keeps at `each` a parameter split over so many; experts have fewer copies."""
        return (own - routed) * each / over + routed * each / max(1, over // layout.expert)

    shards, communication = job.communication.shards_of(layout.zero, layout.holders), job.communication
    weights = share(job.formats.stored.bytes, shards.weights)
    if shards.secondary is not None:
        weights += share((communication.transport.secondary or job.formats.stored).bytes, shards.secondary)
    return States(
        weights,
        share(job.formats.gradients.bytes if job.zeroth_order is None else 0.0, shards.gradients),
        share(job.optimizer.states_beside(job.formats.stored), shards.optimizer)
        + own * (communication.compression.state + (OUTER if communication.local is not None else 0.0)),
        own,
        share(1.0, shards.optimizer),
        routed,
    )
