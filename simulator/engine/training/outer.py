"""Rounds of local steps: replicas train alone and average weights once a round, at its end or beside the next."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.engine.training.crowded import Crowded
from simulator.engine.training.streams import Segment, Streams, Transfer
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Call, Collective, Elementwise
from simulator.workloads.training.communication import LocalSteps
from simulator.workloads.training.job import Job

FP32 = DTYPES["fp32"]
KIND = "outer_reduction"
# Averaged weights, those at the round's beginning and momentum are read, momentum and weights written.
MOVED = 5.0


@dataclass(frozen=True, slots=True)
class Averaging:
    """Seconds a step, the mean over a round: averaging `exposed` and `hidden`, computing `slowed`, and the `update`."""

    exposed: float
    hidden: float
    slowed: float
    update: float

    @property
    def added(self) -> float:
        """What averaging adds to a step."""
        return self.exposed + self.slowed + self.update


def averaging(job: Job, parameters: float) -> Collective:
    """The all-reduce of one device's weights over all replicas."""
    message = parameters * job.formats.gradients.bytes
    return Collective("all_reduce", message, job.layout.holders, job.layout.tensor)


def averaging_rounds(
    job: Job, local: LocalSteps, crowded: Crowded, calls: list[Call], parameters: float, alone: float
) -> Averaging:
    """Averaging of steps that take `alone` seconds each, in which a device runs `calls` for every micro-batch.

    Averages of CO2 (arXiv:2401.16265, section 3.1) are of the round before: they have the whole next round's time.
    """
    count = float(local.steps)
    link = crowded.transfer(KIND, averaging(job, parameters))
    streams = Streams()
    round_of_steps = _slowed(crowded.calls(calls), alone, job.micro_batches).part(count)
    _run(streams, link, round_of_steps, overlapped=local.overlapped)
    exposed, hidden = (streams.seconds(where).get(KIND, 0.0) for where in ("exposed", "hidden"))
    update = crowded.alone(Elementwise(parameters, MOVED - 2.0, 2.0, 4.0, FP32))
    return Averaging(exposed / count, hidden / count, streams.slowed / count, update / count)


def _run(streams: Streams, link: Transfer, steps: Segment, *, overlapped: bool) -> None:
    if overlapped:
        streams.put(link)
    streams.compute(steps)
    if not overlapped:
        streams.put(link)
    streams.drain()


def _slowed(micro_batch: Segment, step: float, micro_batches: int) -> Segment:
    """A step, whose computation slows beside collectives while its waits and links do not."""
    added = (micro_batches * (beside - micro_batch.seconds) for beside in micro_batch.beside)
    return Segment(step, tuple(step + a for a in added))
