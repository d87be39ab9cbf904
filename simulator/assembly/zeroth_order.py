"""From a scenario's zeroth-order training to what a job and a step know of it."""

from __future__ import annotations

from dataclasses import replace

from simulator.engine.training.peers import Peers
from simulator.hardware.links import link
from simulator.specs.zeroth_order import ZerothOrderSpec
from simulator.workloads.training.zeroth_order import ZerothOrder


def zeroth_order_of(spec: ZerothOrderSpec | None) -> ZerothOrder | None:
    """What each replica does."""
    return None if spec is None else ZerothOrder(spec.probes, spec.fused, spec.bits, spec.directions == "micro-batch")


def peers_of(spec: ZerothOrderSpec | None) -> Peers | None:
    """How replicas tell each other; None over the devices' own network."""
    if spec is None or spec.link is None:
        return None
    own = link(spec.link)
    if spec.gbit_per_s is not None:
        own = replace(own, bandwidth=spec.gbit_per_s * 1e9 / 8.0, efficiency=1.0)
    if spec.latency_ms is not None:
        own = replace(own, latency=spec.latency_ms / 1e3)
    return Peers(own, spec.header_bytes, spec.neighbours)
