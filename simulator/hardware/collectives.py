"""Time of collective operations by the alpha-beta model: `alpha` seconds a hop, `1/beta` bytes a second.

Formulas: Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations in MPICH",
2005, sections 3-4 (ring, recursive halving and doubling); one-shot is what serving engines run for small
messages: every rank reads every other rank's buffer at once and adds up.
"""

from __future__ import annotations

import math

import numpy as np

from simulator.hardware.fabric import Fabric
from simulator.hardware.links import Link
from simulator.workloads.operators import Collective, Size


def ring_all_reduce(message: Size, world: int, link: Link) -> Size:
    """Reduce-scatter then all-gather around a ring: 2(p-1) hops, 2(p-1)/p of the message over each link."""
    hops = 2 * (world - 1)
    return hops * link.latency + hops / world * message / _rate(link)


def tree_all_reduce(message: Size, world: int, link: Link) -> Size:
    """Pipelined double binary tree: 2 log2(p) hops, every rank sends and receives the message about twice.

    NVIDIA NCCL 2.4 notes (double binary trees): full bandwidth, logarithmic latency.
    """
    return 2 * math.ceil(math.log2(world)) * link.latency + 2.0 * message / _rate(link)


def one_shot_all_reduce(message: Size, world: int, link: Link) -> Size:
    """Each rank reads the other p-1 buffers through a switch: one hop, (p-1) messages into each rank."""
    return link.latency + (world - 1) * message / _rate(link)


def ring_all_gather(message: Size, world: int, link: Link) -> Size:
    """All-gather (or reduce-scatter) of a `message` in all: p-1 hops of message/p each."""
    return (world - 1) * (link.latency + message / world / _rate(link))


def all_to_all(message: Size, world: int, link: Link) -> Size:
    """Each rank sends message/p to every other at once through its own port: one hop and its bytes."""
    return link.latency + (world - 1) / world * message / _rate(link)


def send_recv(message: Size, link: Link) -> Size:
    """One message from one device to its neighbour."""
    return link.latency + message / _rate(link)


def _rate(link: Link) -> float:
    return link.bandwidth * link.efficiency


def collective_seconds(op: Collective, fabric: Fabric) -> Size:
    """Seconds of one collective with the algorithm that a tuned library picks: the fastest of those that fit.

    A group that spans nodes reduces inside each node first, then between nodes, then spreads the result
    (hierarchical all-reduce; gathers and scatters are its halves); other patterns run at the pace of the slowest link
    that they cross.
    """
    if op.world <= 1:
        return 0.0 * op.message
    link = fabric.spanning(op.world, op.stride)
    if op.pattern == "all_reduce":
        return _all_reduce(op, fabric)
    if op.pattern in ("all_gather", "reduce_scatter"):
        return _all_gather(op, fabric)
    if op.pattern == "all_to_all":
        return all_to_all(op.message, op.world, link)
    if op.pattern == "send_recv":
        return send_recv(op.message, link)
    raise ValueError(f"unknown collective pattern {op.pattern!r}")


def _all_gather(op: Collective, fabric: Fabric) -> Size:
    """Every device of a node brings its share from the other nodes over its own port, then they share it out."""
    local = fabric.inside_ranks(op.stride)
    if op.world <= local:
        return ring_all_gather(op.message, op.world, fabric.spanning(op.world, op.stride))
    inside = ring_all_gather(op.message, local, fabric.inside) if local > 1 else 0.0
    return inside + ring_all_gather(op.message / local, math.ceil(op.world / local), fabric.between)


def _all_reduce(op: Collective, fabric: Fabric) -> Size:
    local = fabric.inside_ranks(op.stride)
    if op.world > local:
        nodes = math.ceil(op.world / local)
        gather = ring_all_gather(op.message, local, fabric.inside) if local > 1 else 0.0
        return 2 * gather + _flat_all_reduce(op.message / local, nodes, fabric.between, False)
    return _flat_all_reduce(op.message, op.world, fabric.spanning(op.world, op.stride), fabric.one_shot)


def _flat_all_reduce(message: Size, world: int, link: Link, one_shot: bool) -> Size:
    best = np.minimum(ring_all_reduce(message, world, link), tree_all_reduce(message, world, link))
    return np.minimum(best, one_shot_all_reduce(message, world, link)) if one_shot else best
