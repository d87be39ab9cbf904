"""From a scenario's slowdowns to their processes, and to steps on devices that straggle."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.training.slowdowns import Jitter, Slowdown, Static, Transient
from simulator.engine.training.step import Step
from simulator.engine.training.straggling import Straggling, straggling_steps
from simulator.errors import InputError, refuse_beside
from simulator.specs.rounds import SlowdownSpec
from simulator.specs.training_run import StragglersSpec

MOST_DRAWS = 50_000_000


def straggling_of(spec: StragglersSpec, step: Step) -> Straggling:
    """Steps with slow devices. Raises `InputError` where what they add to a step is not modelled."""
    layout = step.job.layout
    refuse_beside("stragglers", {
        "offload": step.offloaded is not None, "activations copied to the host": step.copied is not None,
        "micro-batches both ways": layout.directions > 1,
    })  # fmt: skip
    if spec.backup_replicas >= layout.data:
        raise InputError(
            f"stragglers.backup_replicas is {spec.backup_replicas}, and there are {layout.data} replicas: take fewer"
        )
    if spec.steps * layout.devices > MOST_DRAWS:
        raise InputError(f"stragglers.steps is {spec.steps}: take at most {MOST_DRAWS // layout.devices}")
    processes = slowdowns_of(spec.slowdowns, layout.devices)
    return straggling_steps(step, processes, spec.steps, spec.backup_replicas, spec.seed)


def slowdowns_of(specs: Sequence[SlowdownSpec], workers: int) -> list[Slowdown]:
    """The processes that slow so many workers down. Raises `InputError` for slow workers that there are not."""
    for spec in specs:
        if spec.kind == "static" and spec.workers > workers:
            raise InputError(
                f"slowdowns: the first {spec.workers} workers are slow, and there are {workers}: take fewer"
            )
    return [slowdown_of(spec) for spec in specs]


def slowdown_of(spec: SlowdownSpec) -> Slowdown:
    """The process that a spec describes."""
    if spec.kind == "static":
        return Static(spec.workers, spec.factor)
    if spec.kind == "jitter":
        return Jitter(spec.mean, spec.law, spec.spread)
    return Transient(spec.enter, spec.leave, spec.factor)
