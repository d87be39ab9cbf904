"""Passes whose tensor-parallel collectives run beside their products."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from simulator.engine.training.crowded import Crowded
from simulator.engine.training.streams import Segment, Streams
from simulator.errors import InputError
from simulator.policies.tensor_overlap import Action, Compute, Put, reduces
from simulator.workloads.operators import Call
from simulator.workloads.training.job import Job
from simulator.workloads.training.layer_work import LayerCalls, chunk_layer_calls

KIND = "tensor_parallel"


@dataclass(frozen=True, slots=True)
class Overlapped:
    """Seconds of a pass, and of its collectives: `exposed` and `hidden`; `slowed` is what computing lost to them."""

    seconds: float
    exposed: float
    hidden: float
    slowed: float


@dataclass(frozen=True)
class TensorPasses:
    """Times the passes of a job's chunks under its policy of overlap."""

    job: Job
    crowded: Crowded
    _known: dict[tuple[Call, ...], Overlapped] = field(default_factory=dict, repr=False, compare=False)

    def forward(self, chunk: int) -> Overlapped:
        return self.run(call for layer in self._layers(chunk) for call in layer.forward)

    def backward(self, chunk: int, *, weights: bool) -> Overlapped:
        """From the last layer to the first, with the gradients of weights unless they are a pass of their own."""
        layers = reversed(self._layers(chunk))
        return self.run(c for x in layers for c in (*x.backward, *(x.weights if weights else ())))

    def layer(self, calls: Sequence[Call]) -> Segment:
        """One layer's pass from the operators of one part of its micro-batch, and the same beside other collectives."""
        plain, parts = self.crowded.calls(calls), self.job.communication.tensor.parts
        alone = self.run(calls).seconds
        return Segment(alone, tuple(alone + parts * (b - plain.seconds) for b in plain.beside))

    def reduced_products(self, chunk: int) -> float:
        """Seconds of products whose results are summed over devices and of those sums, in both passes of a chunk.

        What T3 (arXiv:2401.16677) calls sub-layers.
        """
        calls = [c for layer in self._layers(chunk) for c in (*layer.forward, *layer.backward)]
        pairs = [pair for pair in pairwise(_one_by_one(calls)) if reduces(*pair)]
        return sum(self.run(pair).seconds for pair in pairs)

    def _layers(self, chunk: int) -> list[LayerCalls]:
        return chunk_layer_calls(part_of_micro_batch(self.job), chunk)

    def run(self, calls: Iterable[Call]) -> Overlapped:
        """Operators of one part of the micro-batch in order, and those of the other parts."""
        each = tuple(_one_by_one(calls))
        if each not in self._known:
            self._known[each] = run_program(self.job.communication.tensor.program(each), self.crowded)
        return self._known[each]


def part_of_micro_batch(job: Job) -> Job:
    """The job with the part of a micro-batch that the policy of overlap works on at a time."""
    parts = job.communication.tensor.parts
    if job.micro_batch % parts:
        raise InputError(
            f"batch.micro {job.micro_batch} cannot be cut into {parts} parts: make it a multiple of {parts}"
        )
    return replace(job, micro_batch=job.micro_batch // parts)


def run_program(actions: Iterable[Action], crowded: Crowded) -> Overlapped:
    """Run actions in order on a device and its links."""
    streams = Streams()
    for action in actions:
        if isinstance(action, Compute):
            streams.compute(crowded.calls(action.calls).part(action.share))
        elif isinstance(action, Put):
            streams.put(crowded.transfer(KIND, action.link).part(action.share))
        else:
            streams.wait(action.number)
    streams.drain()
    exposed, hidden = (streams.seconds(where).get(KIND, 0.0) for where in ("exposed", "hidden"))
    return Overlapped(streams.now, exposed, hidden, streams.slowed)


def _one_by_one(calls: Iterable[Call]) -> Iterator[Call]:
    for call in calls:
        yield from (Call(call.name, call.op) for _ in range(call.count))
