"""What a step needs to know of a job's model: the blocks, the parameters and the messages of its chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from simulator.workloads.training.block import Block, LayerBlocks
from simulator.workloads.training.graph_chunks import GraphChunks
from simulator.workloads.training.job import Job
from simulator.workloads.training.layer_graph import LayerGraph
from simulator.workloads.training.transformer_chunks import TransformerChunks


class Chunks(Protocol):
    """The chunks of a model on one device, for one micro-batch."""

    def layers(self, chunk: int) -> Sequence[LayerBlocks]:
        """The layers of a chunk, those alike together."""
        ...

    def ends(self, chunk: int) -> Sequence[Block]:
        """What comes before the first layer or after the last, which recomputation leaves alone."""
        ...

    def parameters(self, chunk: int) -> float:
        """Parameters of a chunk."""
        ...

    def routed(self, chunk: int) -> float:
        """Those of them that are experts', of which fewer devices have copies."""
        ...

    @property
    def tied(self) -> float:
        """Parameters of a weight that the first and the last chunk share."""
        ...

    @property
    def width(self) -> float:
        """Side of the square matrices that compression takes the weights for."""
        ...

    def sent(self, chunk: int) -> float:
        """Bytes of activations that go from a chunk to the next, over all tensor-parallel devices."""
        ...


def chunks_of(job: Job[Any], lengths: tuple[int, ...] = ()) -> Chunks:
    """The chunks of a job's model; sequences of a micro-batch are of `lengths` tokens, or of the job's where empty."""
    return GraphChunks(job) if isinstance(job.model, LayerGraph) else TransformerChunks(job, lengths)
