"""From a scenario's `offload` to what leaves the devices of a step, into the host of their node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from simulator.engine.training.offloading.activations import copy_plan
from simulator.engine.training.offloading.running import offloaded
from simulator.engine.training.offloading.sequences import Leaving
from simulator.engine.training.step import Step
from simulator.errors import InputError, refuse_beside
from simulator.hardware.host import Drives, HostShare, host_share
from simulator.hardware.node import node
from simulator.policies.registry import build_policy
from simulator.specs.training import OffloadSpec
from simulator.workloads.training.communication import PLAIN
from simulator.workloads.training.kept import NOTHING


def offloaded_step(step: Step, spec: OffloadSpec, node_name: str | None) -> Step:
    """The step with what leaves the device, in the scenario's host. Raises `InputError` for what is not modelled."""
    policy = _policy(spec)
    layers = policy.moves == "layers"
    if policy.moves == "sequences":
        raise InputError(f"offload policy {spec.policy} is of sequences of different lengths: give batch.lengths")
    refuse_beside("offloading layer by layer", {"communication": layers and step.job.communication != PLAIN})
    refuse_beside("offload", {
        f"optimizer {step.job.optimizer.name}": step.job.optimizer.iterations > 0,
        "formats.kept": step.job.formats.kept != NOTHING, "network": step.network is not None,
    })  # fmt: skip
    host = _host_of(step, spec, node_name)
    if layers:
        return replace(step, at_end=True, offloaded=offloaded(step, host, policy))
    return replace(step, copied=copy_plan(step, host, policy))


def leaving_of(step: Step, spec: OffloadSpec, node_name: str | None) -> Leaving:
    """What leaves of sequences of different lengths. Raises `InputError` for policies that move something else."""
    policy, layout, shards = _policy(spec), step.job.layout, step.exchange.shards
    refuse_beside("sequences of different lengths", {f"offload policy {spec.policy}": policy.moves != "sequences"})
    refuse_beside(f"offload policy {spec.policy}", {
        "pipeline stages": layout.pipeline > 1, "layout.chunks above 1": layout.chunks > 1,
        "layout.zero above 1": max(shards.weights, shards.gradients) > 1,
    })  # fmt: skip
    host = _host_of(step, spec, node_name)
    # copies of both directions share host memory with those of the node's other devices
    return Leaving(policy, min(host.link, host.memory_bandwidth / 2.0), host.memory)


def _policy(spec: OffloadSpec) -> Any:
    return build_policy("offload", spec.policy, spec.options)


def _host_of(step: Step, spec: OffloadSpec, node_name: str | None) -> HostShare:
    usual = node_name or step.law.device.node
    if usual is None:
        raise InputError(f"offload needs a host, and {step.law.device.id} has no usual node: name a node")
    of, h = node(usual), spec.host
    drives = Drives(
        h.drives or of.devices_per_node, h.drive_read_gb_per_s * 1e9, h.drive_write_gb_per_s * 1e9, h.drive_tb * 1e12
    )
    memory = None if h.memory_gb is None else h.memory_gb * 1e9
    devices = min(step.job.layout.devices, of.devices_per_node)
    return host_share(of, devices, drives=drives, memory=memory, sockets=h.sockets, cpu=h.cpu)
