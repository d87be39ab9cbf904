"""From a scenario's parameter server and a timed step to workers that push and pull."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.assembly.stragglers import MOST_DRAWS, slowdowns_of
from simulator.assembly.training_sites import OUTER_FLOPS, OUTER_READS, OUTER_WRITES
from simulator.engine.training.ending import FP32
from simulator.engine.training.memory import check_memory, stage_memory
from simulator.engine.training.parameter_server.run import Served, Server, run_workers
from simulator.engine.training.step import Step
from simulator.engine.training.straggling import replica_seconds, usual_seconds
from simulator.errors import DoesNotFit, InputError, refuse_beside
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import Link, link
from simulator.hardware.relatives import calibrations_for
from simulator.policies.consistency import BulkSynchronous, Consistency
from simulator.policies.local_steps import LocalStepRule
from simulator.policies.registry import build_policy
from simulator.specs.parameter_server import ParameterServerSpec
from simulator.specs.training_run import StragglersSpec
from simulator.workloads.operators import Elementwise
from simulator.workloads.training.communication import PLAIN
from simulator.workloads.training.job import Job
from simulator.workloads.training.optimizers import STATELESS

MOST_STEPS = 500_000
# Bytes a parameter in fp32: of a server's outer momentum, and of the weights from which a worker took local steps.
MOMENTUM = BEGINNING = 4.0


@dataclass(frozen=True, slots=True)
class ServedResult:
    """Workers with their server, the same ones waiting for each other, and bytes a device or server holds.

    `local_steps` are those of each worker between pushes, `worker` is one worker's step; `push` and `pull` are bytes of
    a worker's messages.
    """

    spec: ParameterServerSpec
    local_steps: tuple[int, ...]
    worker: Step
    served: Served
    synchronous: Served
    push: float
    pull: float
    server_memory: float
    worker_memory: float


def served_of(spec: ParameterServerSpec, stragglers: StragglersSpec | None, step: Step) -> ServedResult:
    """Simulate the workers and their server.

    Raises `InputError` for what is not modelled together, and `DoesNotFit` for a worker that there is no memory for.
    """
    _check(spec, stragglers, step)
    rule: Consistency = build_policy("consistency", spec.policy, spec.options)
    workers, worker = step.job.layout.data // spec.replicas_per_worker, worker_of(spec, step)
    memory = worker_bytes(spec, worker)
    seconds = step_seconds(spec, stragglers, step, worker)
    dealt = local_steps_of(spec, seconds)
    push, pull = message_bytes(spec, worker)
    server = server_of(spec, step, worker)
    try:
        dealt_seconds = between_pushes(seconds, spec.steps, dealt)
        served = run_workers(server, dealt_seconds, rule, spec.warm_up, overlapped=spec.overlapped)
    except ValueError as error:
        raise InputError(f"parameter_server: {error}") from None
    equal = between_pushes(seconds, spec.steps, [spec.local_steps] * workers)
    together = run_workers(server, equal, BulkSynchronous(), spec.warm_up)
    return ServedResult(spec, dealt, worker, served, together, push, pull, server_bytes(spec, step), memory)


def _check(spec: ParameterServerSpec, stragglers: StragglersSpec | None, step: Step) -> None:
    job, layout = step.job, step.job.layout
    alone = replace(job.communication, tensor=PLAIN.tensor, units=PLAIN.units)
    refuse_beside("parameter_server", {
        "offload": step.offloaded is not None or step.copied is not None, "network": step.network is not None,
        "micro-batches both ways": layout.directions > 1, "communication.local": job.communication.local is not None,
        "communication of workers of one replica": spec.replicas_per_worker == 1 and alone != PLAIN,
        f"optimizer {job.optimizer.name}": job.optimizer.iterations > 0 and spec.local_steps == 1,
        "stragglers.backup_replicas": stragglers is not None and stragglers.backup_replicas > 0,
    })  # fmt: skip
    if layout.data % spec.replicas_per_worker:
        raise InputError(
            f"parameter_server.replicas_per_worker {spec.replicas_per_worker} does not divide the {layout.data} "
            "replicas: choose a divisor"
        )
    pushes = spec.steps * (layout.data // spec.replicas_per_worker)
    if pushes > MOST_STEPS or spec.steps * spec.local_steps * layout.devices > MOST_DRAWS:
        raise InputError(f"parameter_server.steps is {spec.steps}: take fewer steps, or fewer workers")


def worker_of(spec: ParameterServerSpec, step: Step) -> Step:
    """A worker's own step; the server keeps what is optimised unless the worker does several steps alone."""
    job, own = step.job, spec.replicas_per_worker
    found: Job = replace(
        job,
        layout=replace(job.layout, data=own),
        global_batch=job.global_batch * own // job.layout.data,
        optimizer=STATELESS if spec.local_steps == 1 else job.optimizer,
    )
    found.check()
    return replace(step, job=found)


def step_seconds(
    spec: ParameterServerSpec, stragglers: StragglersSpec | None, step: Step, worker: Step
) -> NDArray[np.float64]:
    """Seconds of each worker's own steps, one after the other, shape (steps, workers)."""
    layout, each, count = step.job.layout, worker.step_seconds, spec.steps * spec.local_steps
    workers = layout.data // spec.replicas_per_worker
    if stragglers is None:
        return np.full((count, workers), each)
    processes = slowdowns_of(stragglers.slowdowns, layout.devices)
    drawn = replica_seconds(step, processes, count, stragglers.seed)
    slowest = drawn.reshape(count, workers, spec.replicas_per_worker).max(axis=2)
    found: NDArray[np.float64] = each + slowest - usual_seconds(step)
    return found


def between_pushes(seconds: NDArray[np.float64], pushes: int, local_steps: Sequence[int]) -> NDArray[np.float64]:
    """Seconds of the steps between a worker's pushes, shape (pushes, workers)."""
    each = [seconds[: pushes * n, w].reshape(pushes, n).sum(axis=1) for w, n in enumerate(local_steps)]
    return np.stack(each, axis=1)


def local_steps_of(spec: ParameterServerSpec, seconds: NDArray[np.float64]) -> tuple[int, ...]:
    """Local steps of each worker by the rule. Raises `InputError` for a rule that deals none, or too many."""
    rule: LocalStepRule = build_policy("local-steps", spec.dealt, {})
    found = tuple(int(n) for n in rule.steps(spec.local_steps, seconds.mean(axis=0).tolist()))
    if len(found) != seconds.shape[1] or not all(1 <= n <= spec.local_steps for n in found):
        raise InputError(f"parameter_server.dealt {spec.dealt}: each worker needs 1 to {spec.local_steps} local steps")
    return found


def message_bytes(spec: ParameterServerSpec, worker: Step) -> tuple[float, float]:
    """Bytes that a worker pushes and pulls; a change of weights is in fp32."""
    parameters, formats = worker.parameters(), worker.job.formats
    usual = formats.gradients.bytes if spec.local_steps == 1 else FP32.bytes
    each = usual if spec.push_bits is None else spec.push_bits / 8.0
    return parameters * each, parameters * formats.stored.bytes


def server_of(spec: ParameterServerSpec, step: Step, worker: Step) -> Server:
    """The servers as one, each of them carrying and updating an equal part of the model."""
    own, one = _links(spec, worker)
    push, pull = message_bytes(spec, worker)
    law = step.law
    if spec.server_device is not None:
        at = device(spec.server_device)
        law = TimingLaw(at, calibrations_for(at), fabric_of(at, None))
    part = worker.parameters() / spec.servers
    job = step.job
    moved = job.optimizer.moved_beside(job.formats.stored) / FP32.bytes
    update = Elementwise(part, moved, 0.0, job.optimizer.flops, FP32)
    if spec.local_steps > 1:
        update = Elementwise(part, OUTER_READS, OUTER_WRITES, OUTER_FLOPS, FP32)
    add = Elementwise(part, 2.0, 1.0, 1.0, FP32)
    return Server(
        push / _rate(own), pull / _rate(own), spec.servers * _rate(one) / _rate(own), own.latency,
        float(np.asarray(law.seconds(add))), float(np.asarray(law.seconds(update))),
    )  # fmt: skip


def worker_bytes(spec: ParameterServerSpec, worker: Step) -> float:
    """Bytes of a worker's fullest device. Raises `DoesNotFit` where it has not so many."""
    check_memory(worker)
    beginning = BEGINNING if spec.local_steps > 1 else 0.0
    stages = range(worker.job.layout.pipeline)
    needed = max(stage_memory(worker, s).total + beginning * worker.states(s).parameters for s in stages)
    there = worker.law.device.memory_capacity
    if needed > there:
        raise DoesNotFit(
            f"parameter_server.local_steps: a worker's device needs {needed / 1e9:.4g} GB with the weights from which "
            f"it took its steps, and has {there / 1e9:.4g} GB: use one step, or more tensor or pipeline parallelism"
        )
    return needed


def server_bytes(spec: ParameterServerSpec, step: Step) -> float:
    """Bytes of one server: weights and what is optimised, gradients on their way not counted."""
    formats, optimizer = step.job.formats, step.job.optimizer
    states = optimizer.states_beside(formats.stored) if spec.local_steps == 1 else FP32.bytes + MOMENTUM
    return step.parameters() / spec.servers * (formats.stored.bytes + states)


def _links(spec: ParameterServerSpec, worker: Step) -> tuple[Link, Link]:
    """The link of a worker and that of a server."""
    devices = worker.job.layout.devices
    one = worker.law.fabric.between if spec.link is None else link(spec.link)
    own = replace(one, bandwidth=one.bandwidth * (devices if spec.link is None else 1))
    if spec.gbit_per_s is not None:
        own = one = replace(one, bandwidth=spec.gbit_per_s * 1e9 / 8.0, efficiency=1.0)
    if spec.server_gbit_per_s is not None:
        one = replace(one, bandwidth=spec.server_gbit_per_s * 1e9 / 8.0, efficiency=1.0)
    return own if spec.latency_ms is None else replace(own, latency=spec.latency_ms / 1e3), one


def _rate(of: Link) -> float:
    return of.bandwidth * of.efficiency
