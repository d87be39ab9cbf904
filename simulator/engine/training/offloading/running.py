"""A step with offloading: its tasks run, what bounds it, and what it holds on the device, in the host and on drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np

from simulator.engine.training.memory import RESERVED
from simulator.engine.training.offloading.channels import Floats, Run, run_tasks
from simulator.engine.training.offloading.crossing import gradient_bytes
from simulator.engine.training.offloading.graph import Graph
from simulator.engine.training.offloading.layers import TimedLayer, sizes_of, timed_layers
from simulator.engine.training.offloading.passes import PassTasks, consumed_at_once
from simulator.engine.training.offloading.updates import UpdateTasks
from simulator.engine.training.step import Step
from simulator.errors import DoesNotFit, InputError, refuse_beside, unknown_name
from simulator.hardware.host import HostShare
from simulator.policies.offload.plan import Copying, LayerOffload, Plan
from simulator.workloads.training.layers import layers_of

LINKS = ("down", "up", "read", "write", "host")
PLACES = ("device", "host", "nvme")
NAMES = {"device": "device memory", "host": "host memory", "nvme": "NVMe"}
# Share of what tensors need beside them, as the allocator leaves gaps between those that come and go: PyTorch
# reserves 3 to 5 % more than it hands out.
FRAGMENTS = 0.04
# Passes through layers, over all plans, that run in some ten seconds.
MOST_PASSES = 40_000


@dataclass(frozen=True)
class OffloadedStep:
    """A step under one plan: when each task ran on one device of the symmetric many."""

    step: Step
    host: HostShare
    plan: Plan
    layers: Sequence[TimedLayer]
    run: Run

    @property
    def seconds(self) -> float:
        return self.run.seconds

    @cached_property
    def passes_seconds(self) -> float:
        """Until the last pass has ended; what follows is left of the gradients' way and of the update."""
        return max(
            float(end)
            for task, end in zip(self.run.tasks, self.run.ends, strict=True)
            if task.name.startswith("backward")
        )

    @cached_property
    def computing(self) -> float:
        """Seconds in which the device computes passes, collectives beside them slowing it."""
        return sum(
            float(end - start)
            for task, start, end in zip(self.run.tasks, self.run.starts, self.run.ends, strict=True)
            if task.name.startswith(("forward", "backward"))
        )

    @cached_property
    def states(self) -> dict[str, dict[str, float]]:
        """Bytes that are there all step long, by place and kind."""
        job, plan = self.step.job, self.plan
        copies, zero = job.layout.copies, job.layout.zero
        parameters = sum(layer.parameters for layer in self.layers)
        found: dict[str, dict[str, float]] = {place: {} for place in PLACES}
        found[plan.weights]["weights"] = parameters * job.formats.stored.bytes / (copies if zero >= 3 else 1)
        if not consumed_at_once(self.step, plan):
            gradients = parameters * gradient_bytes(job, plan) / (copies if zero >= 2 else 1)
            found[plan.gradients]["gradients"] = gradients
        found[plan.states]["optimizer"] = (
            parameters * job.optimizer.states_beside(job.formats.stored) / (copies if zero >= 1 else 1)
        )
        return found

    def over_time(self, place: str) -> tuple[Floats, Floats]:
        """Bytes at a place from the start and after each change, the states included, and when (seconds)."""
        held, times = self.run.memory(place)
        return np.append(0.0, held) + sum(self.states[place].values()), np.append(0.0, times)

    def peak(self, place: str) -> float:
        """Most bytes at a place, the reserve and the gaps between tensors of a device included."""
        total = sum(self.states[place].values()) + self.run.peak(place)
        return total * (1.0 + FRAGMENTS) + RESERVED if place == "device" else total

    def capacity(self, place: str) -> float:
        """Bytes that one device has of a place."""
        if place == "device":
            return self.step.law.device.memory_capacity
        return self.host.memory if place == "host" else self.host.drive_capacity

    @property
    def fits(self) -> bool:
        return all(self.peak(place) <= self.capacity(place) for place in PLACES)

    def check_memory(self) -> None:
        """Raise `DoesNotFit` with what is missing where, and changes that help, if the step does not fit."""
        for place in PLACES:
            if self.peak(place) > self.capacity(place):
                raise DoesNotFit(
                    f"{self.step.job.model.name} does not fit: a device needs {self.peak(place) / 1e9:.4g} GB of "
                    f"{NAMES[place]} ({_listed(self.states[place])}{self.run.peak(place) / 1e9:.4g} GB that come and "
                    f"go) and has {self.capacity(place) / 1e9:.4g} GB: {' or '.join(self._remedies(place))}"
                )

    def _remedies(self, place: str) -> list[str]:
        """Changes that take bytes from a place."""
        plan, found = self.plan, []
        if place == "device":
            if self.step.job.recompute != "full":
                found.append("recompute full")
            moved = {"weights": plan.weights, "activations": plan.activations, "states": plan.states}
            found += [f"offload {name} to host or nvme" for name, tier in moved.items() if tier == "device"]
            if plan.tiles == 1 and plan.weights != "device":
                found.append("raise tiles")
        elif place == "host":
            moved = {"weights": plan.weights, "states": plan.states, "activations": plan.activations}
            moved |= {} if consumed_at_once(self.step, plan) else {"gradients": plan.gradients}
            found += [f"move {name} to nvme" for name, tier in moved.items() if tier == "host"]
            found.append("give the host more memory (offload.host.memory_gb)")
        else:
            found.append("give the node more drives (offload.host.drives)")
        if self.step.job.micro_batch > 1:
            found.append("lower batch.micro")
        return [*found, "use more devices"]

    @property
    def flops(self) -> float:
        """FLOPs of one device in a step, what is computed again included."""
        return sum(layer.flops for layer in self.layers) * self.step.job.micro_batches

    def moved(self) -> dict[str, float]:
        """Bytes that cross each link in a step, for one device."""
        return {link: self.run.carried(link) for link in LINKS}

    def busy(self) -> dict[str, float]:
        """Share of the step in which each part is busy; of a channel, of what it could have carried."""
        return self.busy_between(0.0, self.seconds)

    def busy_between(self, start: float, end: float) -> dict[str, float]:
        """The same of a part of the step; a transfer counts as steady from its start to its end."""
        rates = capacities(self.host)
        found = dict.fromkeys(("compute", "cpu", *rates), 0.0)
        for task, starts, ends in zip(self.run.tasks, self.run.starts.tolist(), self.run.ends.tolist(), strict=True):
            inside = min(ends, end) - max(starts, start)
            if inside <= 0.0:
                continue
            if task.stream in ("compute", "cpu"):
                found[task.stream] += inside
            for channel, units in task.demands.items():
                found[channel] += units * inside / (ends - starts) / rates[channel]
        return {name: seconds / (end - start) for name, seconds in found.items()}


def offloaded(step: Step, host: HostShare, policy: LayerOffload) -> OffloadedStep:
    """The fastest of a policy's plans that fits, or its fastest if none does."""
    _check(step)
    works = layers_of(step.job)
    sizes = sizes_of(step, works)
    plans = policy.plans(sizes)
    if not plans:
        raise InputError("offload policy gives no plan: it must give at least one")
    _check_length(step, plans)
    found = [run_plan(step, host, plan, timed_layers(step, works, plan)) for plan in plans]
    return min(found, key=lambda each: (not each.fits, each.seconds))


def run_plan(step: Step, host: HostShare, plan: Plan, layers: Sequence[TimedLayer]) -> OffloadedStep:
    """Run a step under one plan. Raises `InputError` for a plan that the job's layout does not allow."""
    _check_plan(step, plan)
    graph = Graph()
    update = UpdateTasks(graph, step, host, plan, layers)
    passes = PassTasks(graph, step, host, plan, layers)
    passes.add(update.add_layer if plan.update == "layer" else None)
    if plan.update == "after":
        update.add_after()
    update.gather()
    return OffloadedStep(step, host, plan, layers, run_tasks(graph.tasks, capacities(host)))


def capacities(host: HostShare) -> dict[str, float]:
    """Units a second of each channel; the fabric serves one collective at a time, the thread one copy."""
    return {
        "down": host.link,
        "up": host.link,
        "read": host.read,
        "write": host.write,
        "host": host.memory_bandwidth,
        "fabric": 1.0,
        "thread": 1.0,
    }


def _check(step: Step) -> None:
    layout = step.job.layout
    refuse_beside(
        "offloading layer by layer",
        {
            "pipeline stages": layout.pipeline > 1,
            "chunks of a stage": layout.chunks > 1,
            "expert parallelism": layout.expert > 1,
        },
    )
    if layout.copies > 1 and layout.zero < 2:
        raise InputError(
            f"offload over {layout.copies} copies of the weights keeps shares of the gradients: set layout.zero to 2 "
            f"or 3, not {layout.zero}"
        )


def _check_plan(step: Step, plan: Plan) -> None:
    layout = step.job.layout
    if plan.weights != "device" and layout.copies > 1 and layout.zero < 3:
        raise InputError(
            f"offload of weights over {layout.copies} copies of the weights needs layout.zero 3, not {layout.zero}"
        )
    if plan.states == "device" and plan.gradients != "device":
        raise InputError("offload of gradients without states has nothing to update: offload states too")
    if plan.swapped and step.job.recompute != "full":
        raise InputError(f"swapping chosen activations needs recompute full, not {step.job.recompute}")
    refuse_beside("swapping chosen activations", {"keep_attention": bool(plan.swapped) and step.job.keep_attention})
    if plan.tiles < 1 or min(plan.prefetch, plan.staged) < 0 or plan.subgroup <= 0:
        raise InputError("offload options: tiles must be at least 1, prefetch and staged at least 0, subgroup above 0")
    for name, how in (("copies", plan.copies), ("activation_copies", plan.activation_copies)):
        if how not in get_args(Copying):
            raise unknown_name(f"offload option {name}", str(how), get_args(Copying))


def _check_length(step: Step, plans: Sequence[Plan]) -> None:
    """Raise `InputError` for plans whose passes are too many to run."""
    passes = 2 * len(step.job.model.layers) * step.job.micro_batches * sum(plan.tiles for plan in plans)
    if passes > MOST_PASSES:
        raise InputError(
            f"offload runs every layer of {step.job.micro_batches} micro-batches under {len(plans)} plans, {passes:,} "
            f"passes, and runs at most {MOST_PASSES:,}: raise batch.micro, or lower batch.global_size"
        )


def _listed(states: dict[str, float]) -> str:
    return "".join(f"{value / 1e9:.4g} GB of {name}, " for name, value in states.items())
