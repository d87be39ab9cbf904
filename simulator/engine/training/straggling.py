"""Steps on devices that are not all as fast: every stage of every replica runs at the pace of its slowest device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.training.pipeline import PassSeconds, run_pipeline
from simulator.engine.training.slowdowns import Slowdown, slowdown_factors
from simulator.engine.training.step import Step
from simulator.workloads.training.job import Layout

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Straggling:
    """Seconds of each of some steps, shape (steps,), and of a step on usual devices."""

    seconds: Floats
    usual: float

    @property
    def slower(self) -> float:
        """How many times longer a step takes than usual, the mean."""
        return float(self.seconds.mean()) / self.usual


def straggling_steps(step: Step, slowdowns: Sequence[Slowdown], steps: int, backups: int, seed: int) -> Straggling:
    """`steps` steps with devices slowed down anew in each; the slowest `backups` replicas are not waited for.

    Devices are numbered in the order tensor, context, data, pipeline. Stages of a replica wait for each other by the
    micro-batch, replicas for each other at the end of the step. What a slow device adds to the passes is added to the
    step.
    """
    replicas = replica_seconds(step, slowdowns, steps, seed)
    waited = np.sort(replicas, axis=1)[:, step.job.layout.data - 1 - backups]
    return Straggling(step.step_seconds + (waited - usual_seconds(step)), step.step_seconds)


def replica_seconds(step: Step, slowdowns: Sequence[Slowdown], steps: int, seed: int) -> Floats:
    """Seconds of the pipeline of every replica in every step, shape (steps, replicas)."""
    layout = step.job.layout
    devices = slowdown_factors(slowdowns, steps, layout.devices, seed)
    workers = _slowest_of_each(devices, layout)
    rows, of_row = np.unique(workers.reshape(-1, layout.pipeline), axis=0, return_inverse=True)
    found: Floats = pipeline_seconds(step, rows)[of_row.reshape(steps, layout.data)]
    return found


def _slowest_of_each(devices: Floats, layout: Layout) -> Floats:
    """The factor of the slowest device of each stage of each replica, shape (steps, replicas, stages)."""
    widths = layout.widths or (layout.tensor,) * layout.pipeline
    ends = np.cumsum(widths)[:-1] * layout.copies
    stages = np.split(devices, ends, axis=1)
    return np.stack([own.reshape(len(devices), layout.data, -1).max(axis=2) for own in stages], axis=2)


def usual_seconds(step: Step) -> float:
    """Seconds of the pipeline of a replica of usual devices."""
    return run_pipeline(step.orders, step.pass_seconds, step.job.layout.placed).seconds


def pipeline_seconds(step: Step, factors: Floats) -> Floats:
    """Seconds of the pipeline for every row of `factors`, shape (rows, stages), which lengthen the stages' passes.

    All rows take the passes in one order in which each comes after those that it needs, which does not depend on how
    long they take.
    """
    seconds, layout = step.pass_seconds, step.job.layout
    timeline = run_pipeline(step.orders, seconds, layout.placed)
    order = sorted(
        (float(start), float(end), stage, number)
        for stage, (starts, ends) in enumerate(zip(timeline.starts, timeline.ends, strict=True))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    )
    links = _Links(step, seconds)
    free = [np.zeros(len(factors)) for _ in range(layout.pipeline)]
    done: dict[tuple[str, int, int], Floats] = {}
    for _, _, stage, number in order:
        each = timeline.passes[stage][number]
        piece = layout.pieces(stage)[each.chunk]
        needs, sent = links.needs(each.kind, piece)
        begin = free[stage]
        if needs is not None:
            ready = done[(needs[0], needs[1], each.micro_batch)]
            begin = np.maximum(begin, ready if seconds.waits else ready + sent)
            begin = begin + sent if seconds.waits else begin
        free[stage] = end = begin + factors[:, stage] * links.length(each.kind, piece)
        if each.kind != "weights":
            done[("forward" if each.kind == "forward" else "backward", piece, each.micro_batch)] = end
    found: Floats = np.max(free, axis=0)
    return found


class _Links:
    """What each pass needs from which other, and what is sent between them."""

    def __init__(self, step: Step, seconds: PassSeconds) -> None:
        self._seconds, self._last = seconds, len(seconds.forward) - 1
        layout = step.job.layout
        self._stage = {piece: s for s in range(layout.pipeline) for piece in layout.pieces(s)}

    def needs(self, kind: str, piece: int) -> tuple[tuple[str, int] | None, float]:
        """The kind and piece of the pass before, None for the first of all, and the seconds of sending its results."""
        if kind == "weights":
            return ("backward", piece), 0.0
        if kind == "forward":
            return (None, 0.0) if not piece else (("forward", piece - 1), self._send(kind, piece - 1, piece))
        if piece == self._last:
            return ("forward", piece), 0.0
        return ("backward", piece + 1), self._send(kind, piece + 1, piece)

    def _send(self, kind: str, sender: int, receiver: int) -> float:
        return 0.0 if self._stage[sender] == self._stage[receiver] else self._seconds.sent(kind, receiver)

    def length(self, kind: str, piece: int) -> float:
        """Seconds of a pass on a usual device."""
        if kind == "forward":
            return self._seconds.forward[piece]
        if kind == "whole":
            return self._seconds.backward[piece] + self._seconds.weights[piece]
        return self._seconds.backward[piece] if kind == "backward" else self._seconds.weights[piece]
