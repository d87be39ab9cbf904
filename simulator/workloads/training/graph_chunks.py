"""Chunks of a model that is a list of layers: their blocks on a micro-batch, parameters, and messages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from simulator.workloads.operators import Collective
from simulator.workloads.training.block import Block, LayerBlocks
from simulator.workloads.training.exchange import all_to_all
from simulator.workloads.training.gradients import block_of
from simulator.workloads.training.job import Job
from simulator.workloads.training.layer_graph import GraphLayer, LayerGraph, read, written


@dataclass(frozen=True, slots=True)
class GraphChunks:
    """Chunks of the layers of `job`, whose micro-batches are samples."""

    job: Job[LayerGraph]

    def layers(self, chunk: int) -> list[LayerBlocks]:
        """Layers of a chunk; what comes before the first weights of the model needs no gradient of inputs."""
        first, *rest = self.job.chunk_layers(chunk)
        found = [self._layer(first, 1, first=chunk == 0)]
        return found + [self._layer(layer, len(list(same))) for layer, same in groupby(rest)]

    def _layer(self, layer: GraphLayer, count: int, *, first: bool = False) -> LayerBlocks:
        job = self.job
        entering = next(filter(None, (read(node.op) for node in layer.nodes)), 0.0)
        return LayerBlocks(
            tuple(self._blocks(layer, first)), count, entering * job.micro_batch * job.formats.activations.bytes
        )

    def _blocks(self, layer: GraphLayer, first: bool) -> Iterator[Block]:
        job, needed = self.job, not first
        for node in layer.nodes:
            block = block_of(node, job.micro_batch, job.formats, inputs=needed)
            needed = needed or bool(node.weights)
            if isinstance(node.op, Collective) and node.op.pattern == "all_to_all":
                yield self._between_nodes(block)
            else:
                yield block

    def _between_nodes(self, block: Block) -> Block:
        """An all-to-all by what stays inside a node of devices and what leaves it."""
        (op,) = block.forward
        assert isinstance(op, Collective)
        moved = all_to_all(float(op.message), op.world, op.stride, self.job.routing.inside)
        return replace(block, forward=moved, inputs=moved if block.inputs else ())

    def ends(self, chunk: int) -> tuple[Block, ...]:
        """None: all operators are in layers."""
        return ()

    def parameters(self, chunk: int) -> float:
        layers: tuple[GraphLayer, ...] = self.job.chunk_layers(chunk)
        return sum(layer.parameters() for layer in layers)

    def routed(self, chunk: int) -> float:
        return 0.0

    @property
    def tied(self) -> float:
        return 0.0

    @property
    def width(self) -> float:
        """Side of a square with the mean number of weights of an operator."""
        weights = [node.weights for layer in self.job.model.layers for node in layer.nodes if node.weights]
        return math.sqrt(sum(weights) / len(weights)) if weights else 1.0

    def sent(self, chunk: int) -> float:
        """What the last operator of a chunk writes."""
        layers: tuple[GraphLayer, ...] = self.job.chunk_layers(chunk)
        return written(layers[-1].nodes[-1].op) * self.job.micro_batch * self.job.formats.activations.bytes
