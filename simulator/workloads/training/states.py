"""Weights, gradients and optimiser states of one device."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.training.job import Job


@dataclass(frozen=True, slots=True)
class States:
    """Bytes of one device's share of a stage, and the parameters that it computes with and that it updates."""

    weights: float
    gradients: float
    optimizer: float
    parameters: float
    updated: float

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
    return total


def stage_states(job: Job, stage: int) -> States:
    """States of one device of a stage under the job's ZeRO level (Rajbhandari et al., arXiv:1910.02054)."""
    layout = job.layout
    own = sum(chunk_parameters(job, c * layout.pipeline + stage) for c in range(layout.chunks))

    def shard(level: int) -> float:
        return layout.data if layout.zero >= level else 1

    return States(
        own * job.formats.compute.bytes / shard(3),
        own * job.formats.gradients.bytes / shard(2),
        own * job.optimizer.states / shard(1),
        own,
        own / shard(1),
    )
