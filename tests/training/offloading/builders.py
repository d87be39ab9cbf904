"""Hosts and steps with offloading for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from simulator.engine.training.offloading.layers import timed_layers
from simulator.engine.training.offloading.running import OffloadedStep, run_plan
from simulator.engine.training.step import Step
from simulator.hardware.host import Drives, HostShare, host_share
from simulator.hardware.node import node
from simulator.policies.offload import Plan
from simulator.workloads.training.job import Job, Layout
from simulator.workloads.training.layers import layers_of
from tests.training.builders import job, step


def host(**changes: Any) -> HostShare:
    """An eighth of a node with eight A100, with changes."""
    return replace(host_share(node("hgx-a100"), 8, drives=Drives(8)), **changes)


def small(*, data: int = 1, zero: int = 0, batch: int = 1, micro: int = 1, **rest: Any) -> Job:
    """A job of `batch` micro-batches a replica."""
    return job(micro=micro, batch=batch * data * micro, layout=Layout(data=data, zero=zero), recompute="full", **rest)


def run(given: Job, plan: Plan, on: HostShare | None = None) -> OffloadedStep:
    found: Step = step(given)
    return run_plan(found, on or host(), plan, timed_layers(found, layers_of(given), plan))
