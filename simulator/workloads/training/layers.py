"""A training step layer by layer: what each computes, holds and hands on, as offloading sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.workloads.operators import Call
from simulator.workloads.training.blocks import Blocks
from simulator.workloads.training.job import Job, one_layer_each
from simulator.workloads.training.passes import Passes, passes_of
from simulator.workloads.training.states import chunk_parameters


@dataclass(frozen=True, slots=True)
class Recomputable:
    """An activation kept or computed again: its bytes, and the calls that give it."""

    bytes: float
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class LayerWork:
    """One layer on one device: its passes, its parameters, those that it shares with another layer, its activations.

    The first layer brings the embedding, the last the head and the loss. `activations` are in the order of the layer.
    """

    passes: Passes
    parameters: float
    shared: float
    activations: tuple[Recomputable, ...]


def layers_of(job: Job) -> tuple[LayerWork, ...]:
    """The layers of a job without pipeline: each is what a stage of one layer would be."""
    count = len(job.model.layers)
    one_each = replace(job, layout=one_layer_each(job.layout, count))
    known: dict[object, LayerWork] = {}
    found = []
    for number, layer in enumerate(job.model.layers):
        key = (layer, number == 0, number == count - 1)
        if key not in known:
            tied = job.model.tied_embedding and number == count - 1 and count > 1
            shared = job.model.vocab * job.model.hidden / job.layout.tensor if tied else 0.0
            known[key] = LayerWork(
                passes_of(one_each, number), chunk_parameters(one_each, number), shared, recomputable(job, number)
            )
        found.append(known[key])
    return tuple(found)


def recomputable(job: Job, number: int) -> tuple[Recomputable, ...]:
    """What full recomputation forms again in a layer: each block's input, and the operators before it that give it.

    The layer's own input is kept in any case and not among them.
    """
    found: list[Recomputable] = []
    before: list[Call] = []
    for block in Blocks(job).layer(job.model.layers[number]):
        if block.saved and before:
            found.append(Recomputable(block.saved, tuple(before)))
            before = []
        before += [Call(block.name, op, 1) for op in block.forward]
    return tuple(found)
