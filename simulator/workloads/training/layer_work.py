"""A chunk of the model layer by layer: what each computes in each pass, and its parameters on one device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from simulator.errors import InputError
from simulator.workloads.operators import Call
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.job import Job, one_layer_each
from simulator.workloads.training.passes import passes_of
from simulator.workloads.training.states import chunk_parameters, routed_parameters


@dataclass(frozen=True, slots=True)
class LayerCalls:
    """Operators of one layer of a micro-batch; gradients of `inputs` are in the order of the forward pass.

    The first layer brings the embedding, the last the head and the loss. `routed` of the parameters are its experts'.
    """

    forward: tuple[Call, ...]
    recompute: tuple[Call, ...]
    inputs: tuple[Call, ...]
    weights: tuple[Call, ...]
    parameters: float
    routed: float = 0.0

    @property
    def backward(self) -> tuple[Call, ...]:
        """The layer computed again, and the gradients of its inputs in the order in which they come."""
        return (*self.recompute, *reversed(self.inputs))


def chunk_layer_calls(job: Job[Any], chunk: int, lengths: tuple[int, ...] = ()) -> list[LayerCalls]:
    """The layers of a chunk, each being what a stage of one layer would be.

    The micro-batch's sequences are of `lengths` tokens; all of the job's own where none are given.
    """
    count = len(job.model.layers)
    if not job.chunk_layers(chunk):
        raise InputError(
            "count_ends leaves a chunk without layers, which is not modelled beside sharded or bucketed exchange"
        )
    alone = replace(job, layout=one_layer_each(job.layout, count))
    first = sum(len(job.chunk_layers(c)) for c in range(chunk))
    known: dict[object, LayerCalls] = {}
    found = []
    for number in range(first, first + len(job.chunk_layers(chunk))):
        key = (job.model.layers[number], number == 0, number == count - 1)
        if key not in known:
            passes = passes_of(alone, number, lengths)
            parameters = chunk_parameters(alone, number)
            if number == count - 1 and number and _with_embedding(job, chunk):
                parameters -= chunks_of(job).tied
            routed = routed_parameters(alone, number)
            known[key] = LayerCalls(
                passes.forward, passes.recompute, passes.inputs, passes.weights, parameters, routed
            )  # fmt: skip
        found.append(known[key])
    return found


def _with_embedding(job: Job[Any], chunk: int) -> bool:
    """Whether the devices that hold a chunk hold the embedding too, which a tied head then shares."""
    stages = (job.layout.pieces(s) for s in range(job.layout.pipeline))
    return any(0 in pieces and chunk in pieces for pieces in stages)
