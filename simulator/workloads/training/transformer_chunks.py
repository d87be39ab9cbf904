"""Chunks of a transformer: its layers' blocks, the parameters of one device, and the activations between stages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from simulator.workloads.parallelism import kv_heads_per_device
from simulator.workloads.training.block import Block, LayerBlocks
from simulator.workloads.training.blocks import Blocks
from simulator.workloads.training.job import Job
from simulator.workloads.training.streamed import head_in_pieces, pieces_of
from simulator.workloads.transformer import Attention, Experts


@dataclass(frozen=True, slots=True)
class TransformerChunks:
    """Chunks of the transformer of `job`; the first embeds, the last has head and loss."""

    job: Job
    lengths: tuple[int, ...] = ()

    @property
    def builder(self) -> Blocks:
        return Blocks(self.job, self.lengths)

    def layers(self, chunk: int) -> list[LayerBlocks]:
        builder = self.builder
        input_bytes = builder.between * self.job.model.hidden * builder.act
        return [
            LayerBlocks(tuple(builder.layer(x)), count, input_bytes, builder.attention_output(x.attention))
            for x, count in Counter(self.job.chunk_layers(chunk)).items()
        ]

    def ends(self, chunk: int) -> list[Block]:
        found: list[Block] = []
        if chunk == 0:
            found += self.builder.embedding()
        if chunk == self.job.layout.model_chunks - 1 and self.job.head:
            head = self.builder.head()
            pieces = self.job.backward_chunk
            found += head if pieces is None else head_in_pieces(head, pieces_of(self.job.sequence, pieces))
        return found

    def parameters(self, chunk: int) -> float:
        """Norms and what attention has too few heads to split are copied over tensor-parallel devices."""
        job = self.job
        model, tensor = job.model, job.layout.tensor
        total = 0.0
        for layer in job.chunk_layers(chunk):
            whole = layer.norms * model.hidden * (2 if layer.norm_bias else 1)
            total += (layer.parameters(model.hidden) - whole) / tensor + whole
            total += copied_parameters(layer.attention, model.hidden, tensor)
        if chunk == 0:
            total += model.embedding_parameters() / tensor
        if chunk == job.layout.model_chunks - 1:
            tied = model.vocab * model.hidden if model.tied_embedding and chunk else 0
            total += (model.head_parameters() + tied) / tensor
        return total - (job.layout.expert - 1) * self.routed(chunk)

    def routed(self, chunk: int) -> float:
        routed = sum(
            layer.ffn.experts * layer.ffn.expert.parameters(self.job.model.hidden)
            for layer in self.job.chunk_layers(chunk)
            if isinstance(layer.ffn, Experts)
        )
        return routed / self.job.layout.tensor / self.job.layout.expert

    @property
    def tied(self) -> float:
        model = self.job.model
        return model.vocab * model.hidden / self.job.layout.tensor if model.tied_embedding else 0.0

    @property
    def width(self) -> float:
        return self.job.model.hidden

    def sent(self, chunk: int) -> float:
        job = self.job
        tokens = job.micro_batch * job.sequence / job.layout.context
        return tokens * job.model.hidden * job.formats.activations.bytes


def copied_parameters(a: Attention, hidden: int, tensor: int) -> float:
    """Parameters of attention that one of `tensor` devices has beyond an even share.

    Where there are fewer KV heads than devices, each has a copy of one; projections down to latent vectors every
    device has whole.
    """
    if a.latent is not None:
        ranks = a.latent.kv_rank + (a.latent.q_rank or 0)
        return ((ranks + a.latent.rope_dim) * hidden + ranks) * (1.0 - 1.0 / tensor)
    width = (a.head_dim + a.v_head_dim) * (hidden + (1 if a.qkv_bias else 0))
    return (kv_heads_per_device(a.kv_heads, tensor) - a.kv_heads / tensor) * width
