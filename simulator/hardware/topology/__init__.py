"""How nodes are wired: topologies as data, and the shortest paths through them."""

from simulator.hardware.topology.building import build_topology
from simulator.hardware.topology.graph import Topology
from simulator.hardware.topology.routes import Routes

__all__ = ["Routes", "Topology", "build_topology"]
