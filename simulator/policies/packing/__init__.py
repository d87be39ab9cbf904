"""Packing: which sequences of a batch run together, on which ranks, and in which order."""

from simulator.policies.packing.dynamic_mesh import DynamicMesh
from simulator.policies.packing.flexible import FlexibleGroups
from simulator.policies.packing.mesh import Mesh, Packing, Placed
from simulator.policies.packing.static import Balanced, InOrder

__all__ = ["Balanced", "DynamicMesh", "FlexibleGroups", "InOrder", "Mesh", "Packing", "Placed"]
