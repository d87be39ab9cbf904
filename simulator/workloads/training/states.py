"""Weights, gradients and optimiser states of one device."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.training.job import Job, Layout
from simulator.workloads.transformer import Experts


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


def chunk_parameters(job: Job, chunk: int) -> float:
    """Parameters of one chunk on one device; norms are copied over the tensor-parallel devices."""
    model, tensor = job.model, job.layout.tensor
    total = 0.0
    for layer in job.chunk_layers(chunk):
        whole = layer.norms * model.hidden * (2 if layer.norm_bias else 1)
        total += (layer.parameters(model.hidden) - whole) / tensor + whole
    if chunk == 0:
        total += model.embedding_parameters() / tensor
    if chunk == job.layout.model_chunks - 1:
        tied = model.vocab * model.hidden if model.tied_embedding and chunk else 0
        total += (model.head_parameters() + tied) / tensor
    return total - (job.layout.expert - 1) * routed_parameters(job, chunk)


def routed_parameters(job: Job, chunk: int) -> float:
    """Parameters of the experts that one device has of a chunk."""
    routed = sum(
        layer.ffn.experts * layer.ffn.expert.parameters(job.model.hidden)
        for layer in job.chunk_layers(chunk)
        if isinstance(layer.ffn, Experts)
    )
    return routed / job.layout.tensor / job.layout.expert


def has_both_ends(layout: Layout, stage: int) -> bool:
    """Whether a stage of several holds the embedding and the output head, which then share one tied weight."""
    last = layout.model_chunks - 1
    return last > 0 and {0, last} <= set(layout.pieces(stage))


def stage_states(job: Job, stage: int) -> States:
    """States of one device of a stage under the job's shards (of ZeRO: Rajbhandari et al., arXiv:1910.02054)."""
    layout = job.layout
    pieces = layout.pieces(stage)
    own = sum(chunk_parameters(job, piece) for piece in pieces)
    if job.model.tied_embedding and has_both_ends(layout, stage):
        own -= job.model.vocab * job.model.hidden / layout.tensor
    routed = sum(routed_parameters(job, piece) for piece in pieces)

    def share(each: float, over: int) -> float:
        """What a device keeps at `each` a parameter split over so many; experts have fewer copies."""
        return (own - routed) * each / over + routed * each / max(1, over // layout.expert)

    shards, communication = job.communication.shards_of(layout.zero, layout.holders), job.communication
    weights = share(job.formats.compute.bytes, shards.weights)
    if shards.secondary is not None:
        weights += share((communication.transport.secondary or job.formats.compute).bytes, shards.secondary)
    return States(
        weights,
        share(job.formats.gradients.bytes, shards.gradients),
        share(job.optimizer.states, shards.optimizer) + own * communication.compression.state,
        own,
        share(1.0, shards.optimizer),
        routed,
    )
