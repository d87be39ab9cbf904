"""From a scenario's network to what a training step asks."""

from __future__ import annotations

from simulator.engine.network.network import Network, placed_in
from simulator.hardware.fabric import Fabric
from simulator.hardware.topology import build_topology
from simulator.policies.registry import build_policy
from simulator.specs.network import NetworkSpec
from simulator.workloads.training.job import Layout


def network_of(spec: NetworkSpec, layout: Layout, fabric: Fabric) -> Network:
    """The network of a job's devices. Raises `InputError` naming the first wrong field."""
    topology = build_topology(spec.topology, layout.devices, fabric)
    policy = build_policy("paths", spec.routing.policy, spec.routing.options)
    degrees = {name: getattr(layout, name) for name in ("tensor", "context", "data", "pipeline")}
    return Network(topology, policy, placed_in(spec.placement or tuple(degrees), degrees), spec.all_reduce)
