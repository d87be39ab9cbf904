"""From a scenario's network to what a training step asks."""

from __future__ import annotations

from dataclasses import replace

from simulator.engine.network.churn import Operation, Peers, run_operations
from simulator.engine.network.network import Indices, Network, placed_in
from simulator.engine.network.placing import Traffic, improved_placement, traffic_of
from simulator.engine.streams import stream
from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.hardware.long_fat import constant, wandering
from simulator.hardware.topology import build_topology
from simulator.hardware.topology.routes import node_links
from simulator.policies.registry import build_policy
from simulator.specs.network import ChurnSpec, NetworkSpec
from simulator.workloads.operators import Collective


def network_of(spec: NetworkSpec, step: Step) -> Network:
    """The network of a step's devices. Raises `InputError` naming the first wrong field."""
    layout = step.job.layout
    topology = build_topology(spec.topology, layout.devices, step.law.fabric)
    policy = build_policy("paths", spec.routing.policy, spec.routing.options)
    degrees = {name: getattr(layout, name) for name in ("tensor", "context", "data", "pipeline")}
    network = Network(topology, policy, placed_in(spec.placement or tuple(degrees), degrees), spec.all_reduce)
    if not spec.swaps:
        return network
    rates, _ = node_links(network.routes)
    rng = stream(spec.seed, "placement")
    order = improved_placement(range(len(rates)), rates, _traffic(step, network), swaps=spec.swaps, rng=rng)
    return replace(network, placed=_moved(network, order), _usage={})


def _moved(network: Network, order: Indices) -> Indices:
    """The device of each rank when place p of the job is node `order[p]`."""
    devices, per_node = network.topology.devices, network.topology.per_node
    if devices % per_node:
        raise InputError(f"network.swaps needs whole nodes of {per_node} devices, and there are {devices} devices")
    return order[network.placed // per_node] * per_node + network.placed % per_node


def _traffic(step: Step, network: Network) -> list[Traffic]:
    """What moves between nodes in a step: the gradients once, activations as often as the pipeline fills and drains."""
    job, layout = step.job, step.job.layout
    gradients = max(step.states(s).parameters for s in range(layout.pipeline)) * job.formats.gradients.bytes
    sent = job.micro_batch * job.sequence / layout.context * job.model.hidden * job.formats.activations.bytes
    ops = [
        (Collective("all_reduce", gradients, layout.copies, layout.tensor), 1.0),
        (Collective("send_recv", sent / layout.tensor, 2, layout.tensor * layout.copies), 2.0 * (layout.pipeline - 1)),
    ]
    return [traffic_of(op, network, times) for op, times in ops if times and not network.inside(op)]


def operations_of(spec: ChurnSpec, step: Step) -> tuple[Operation, ...]:
    """Steps whose reduction loses and gains replicas on the way, each replica a node at a site of its own."""
    assert step.network is not None
    layout, topology = step.job.layout, step.network.topology
    if layout.pipeline > 1 or layout.tensor * layout.context != topology.per_node or layout.zero:
        raise InputError(
            f"network.churn takes replicas of one whole node of {topology.per_node} devices each: set pipeline to 1, "
            f"zero to 0 and tensor x context to {topology.per_node}"
        )
    for field, named in (("fails", spec.fails), ("joins", spec.joins)):
        unknown = [p for p in named if not 0 <= p < layout.data]
        if unknown:
            raise InputError(f"network.churn.{field} names replica {unknown[0]}: there are 0 to {layout.data - 1}")
    rates, delays = node_links(step.network.routes)
    links = {
        (a, b): wandering(rates[a, b], spec.spread, rng=stream(spec.seed, f"link/{a}/{b}"))
        if spec.spread
        else constant(rates[a, b])
        for a in range(layout.data)
        for b in range(layout.data)
        if a != b
    }
    latency = delays + topology.fabric.between.latency
    states = step.states(0)
    size = states.parameters * step.job.formats.gradients.bytes * layout.tensor
    state = (states.weights + states.optimizer) * layout.tensor
    peers = Peers(links, latency, spec.fails, spec.joins, spec.notice_s)
    return run_operations(spec.steps, size, state, step.step_seconds - step.end.reduce_seconds(0), peers)
