"""From a scenario's `run` and a timed step to a long run."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from math import inf

from simulator.engine.training.long_run.arranged import Arranged
from simulator.engine.training.long_run.checkpoints import Checkpoints, daly_interval
from simulator.engine.training.long_run.cluster import Nodes
from simulator.engine.training.long_run.failures import Component, Failure, failure_rate, failures_of
from simulator.engine.training.long_run.run import Goal, LongRun, Outcome, Restarting
from simulator.engine.training.step import Step
from simulator.errors import InputError, refuse_beside
from simulator.policies.elastic import Elastic
from simulator.policies.registry import build_policy
from simulator.specs.training_run import FailureSpec, RunSpec
from simulator.workloads.training.failure_trace import read_failures

MOST_CHECKPOINTS = 2_000_000
DAY, HOUR, GB = 86400.0, 3600.0, 1e9


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run and what it was given: checkpoints, restarts, and the mean seconds between failures (None: there are none).

    `nodes` are those of the job.
    """

    spec: RunSpec
    outcome: Outcome
    checkpoints: Checkpoints
    restarting: Restarting
    mtbf: float | None
    nodes: int
    devices_per_node: int
    step_seconds: float


def run_of(spec: RunSpec, step: Step, slower: float = 1.0) -> RunResult:
    """Simulate the run, in which a step takes `slower` times as long as usual.

    Raises `InputError` for a trace that cannot be read or names nodes that there are not, and for too many checkpoints.
    """
    per_node = step.law.fabric.devices_per_node
    nodes = Nodes(step.job.layout, per_node, spec.spares)
    components = [_component(f, spec, step, nodes.count) for f in spec.failures]
    recorded = _recorded(spec, nodes.count)
    goal = Goal(inf if spec.days is None else spec.days * DAY, inf if spec.steps is None else float(spec.steps))
    mtbf = _mtbf(components, recorded, goal)
    saved = checkpoints_of(spec, step, mtbf)
    count = min(goal.seconds, goal.batches * step.step_seconds) / (saved.interval + saved.pause)
    if count > MOST_CHECKPOINTS:
        raise InputError(f"run: {count:,.0f} checkpoints: raise checkpoint.interval_s, or take a shorter run")
    restarting = Restarting(spec.reschedule_s, load_seconds(spec, step))
    if spec.elastic.policy != "restart":
        refuse_beside("an elastic run", {
            "offload": step.offloaded is not None, "micro-batches both ways": step.job.layout.directions > 1,
        })  # fmt: skip
    elastic: Elastic = build_policy("elastic", spec.elastic.policy, spec.elastic.options)
    arranged = Arranged(step, spec.elastic.communicator_s, spec.elastic.overlapped, slower)
    failures = heapq.merge(failures_of(components, nodes.count, spec.seed), iter(recorded), key=lambda f: f.at)
    outcome = LongRun(arranged, nodes, failures, saved, elastic, restarting, goal).run()
    return RunResult(spec, outcome, saved, restarting, mtbf, nodes.count, per_node, step.step_seconds)


def checkpoints_of(spec: RunSpec, step: Step, mtbf: float | None) -> Checkpoints:
    """Pause and interval, whole steps; without failures and without an interval the state is never saved."""
    given, write = spec.checkpoint, write_seconds(spec, step)
    pause, store = (write, 0.0) if given.mode == "synchronous" else (snapshot_seconds(step), write)
    interval = given.interval_s
    if interval is None and mtbf is None:
        return Checkpoints(inf, pause, store)
    if interval is None and mtbf is not None:
        interval = daly_interval(pause, mtbf)
    seconds = step.step_seconds
    return Checkpoints(max(1, round((interval or 0.0) / seconds)) * seconds, pause, store)


def saved_bytes(step: Step) -> float:
    """Bytes of a checkpoint: weights and optimiser states of every parameter, once."""
    formats = step.job.formats
    return step.parameters() * (formats.stored.bytes + step.job.optimizer.states_beside(formats.stored))


def write_seconds(spec: RunSpec, step: Step) -> float:
    """Every node writes its share, bound by its own way to storage or by all of storage."""
    whole, given = saved_bytes(step), spec.checkpoint
    nodes = -(-step.job.layout.devices // step.law.fabric.devices_per_node)
    return max(whole / (given.write_gb_per_s * GB), whole / nodes / (given.node_gb_per_s * GB))


def load_seconds(spec: RunSpec, step: Step) -> float:
    """Every device reads what it holds: replicas that hold the same each read it."""
    given, fabric, layout = spec.checkpoint, step.law.fabric, step.job.layout
    held = [s.weights + s.optimizer for s in (step.states(i) for i in range(layout.pipeline))]
    whole = sum(held) * layout.tensor * layout.copies
    total = whole / ((given.read_gb_per_s or given.write_gb_per_s) * GB)
    node = max(held) * min(fabric.devices_per_node, layout.devices) / (given.node_gb_per_s * GB)
    return max(total, node)


def snapshot_seconds(step: Step) -> float:
    """Every device copies its share of the checkpoint over its link to the host.

    Raises `InputError` for a device without one.
    """
    link = step.law.fabric.host
    if link is None:
        raise InputError(f"checkpoint.mode asynchronous needs a host link, which {step.law.device.id} lacks")
    return link.latency + saved_bytes(step) / step.job.layout.devices / (link.bandwidth * link.efficiency)


def _component(spec: FailureSpec, run: RunSpec, step: Step, nodes: int) -> Component:
    counts = {"device": step.job.layout.devices, "node": nodes, "other": spec.count or 0}
    detection = run.detection_s if spec.detection_s is None else spec.detection_s
    return Component(
        spec.cause, counts[spec.of], spec.mtbf_h * HOUR, spec.shape, spec.nodes, spec.repair_h * HOUR, detection
    )


def _recorded(spec: RunSpec, nodes: int) -> list[Failure]:
    found = [] if spec.trace is None else read_failures(spec.trace)
    for each in found:
        if each.node >= nodes:
            raise InputError(f"node {each.node} fails, and the job has nodes 0 to {nodes - 1}", file=spec.trace)
    return [
        Failure(
            f.hours * HOUR, f.cause, f.node, f.nodes, f.repair_h * HOUR,
            spec.detection_s if f.detection_s is None else f.detection_s,
        )
        for f in found
    ]  # fmt: skip


def _mtbf(components: list[Component], recorded: list[Failure], goal: Goal) -> float | None:
    rate = failure_rate(components)
    if recorded:
        rate += len(recorded) / (goal.seconds if goal.seconds < inf else recorded[-1].at)
    return 1.0 / rate if rate else None
