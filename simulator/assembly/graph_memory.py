"""From the memory fields of an inference scenario to plans, and to what must fit the device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.engine.inference.execution import Execution
from simulator.engine.inference.paging import Channel, held_bytes, loaded_at
from simulator.errors import DoesNotFit, refuse_beside
from simulator.hardware.architectures import Stored
from simulator.hardware.device import Device
from simulator.hardware.room import require_room
from simulator.policies.registry import build_policy
from simulator.specs.memory import MemorySpec, PagingSpec
from simulator.workloads.graphs.graph import Graph, Model
from simulator.workloads.graphs.memory.plan import MemoryPlan, plan_memory
from simulator.workloads.graphs.tensor import Tensor


@dataclass(frozen=True)
class DeviceMemory:
    """Plans of a model's graphs, one after the other in the same arena, and the bytes of weights beside it.

    All `capacity` bytes can be used; `paged` are the bytes of weights that are loaded for each answer.
    """

    plans: tuple[MemoryPlan, ...]
    weights: float
    paged: float
    capacity: float

    @property
    def largest(self) -> MemoryPlan:
        """The plan with the largest arena."""
        return max(self.plans, key=lambda plan: plan.arena)

    @property
    def used(self) -> float:
        """Bytes of the device's memory that are taken."""
        return self.largest.arena + self.weights


def planned(model: Model, spec: MemorySpec) -> tuple[Model, tuple[MemoryPlan, ...]]:
    """The model with its nodes in the planned order, and the plan of each graph."""
    order = build_policy("order", spec.order.policy, spec.order.options)
    arena = build_policy("arena", spec.arena.policy, spec.arena.options)
    plans = tuple(
        plan_memory(part.graph, order=order, in_place=spec.in_place, arena=arena, alignment=spec.arena.alignment)
        for part in model.parts
    )
    parts = tuple(replace(part, graph=plan.graph) for part, plan in zip(model.parts, plans, strict=True))
    return replace(model, parts=parts), plans


def memory_of(model: Model, plans: tuple[MemoryPlan, ...], spec: MemorySpec, device: Device) -> DeviceMemory:
    """What a device's memory holds. Raises `DoesNotFit` naming the missing bytes where it cannot."""
    stored = isinstance(device.architecture, Stored)
    in_place = stored if spec.weights is None else spec.weights == "in-place"
    if spec.paging is not None:
        refuse_beside("memory.paging", {
            f"the Flash that {device.id} reads weights from": stored, "memory.weights in-place": in_place,
            "training": any(node.type == "Update" for part in model.parts for node in part.graph.nodes),
        })  # fmt: skip
    capacity = device.memory_capacity if spec.capacity_mb is None else spec.capacity_mb * 1e6
    every = sum(_stored(t) for part in model.parts for t in part.graph.weights)
    if in_place and isinstance(device.architecture, Stored):
        require_room(device, every, 0.0)
    weights = sum(_updated(part.graph) for part in model.parts) if in_place else every
    paged = 0.0
    if spec.paging is not None:
        loads = [loads_of(part.graph, spec.paging) for part in model.parts]
        paged = sum(float(sizes.sum()) * part.times for sizes, part in zip(loads, model.parts, strict=True))
        weights = max(held_bytes(sizes, spec.paging.ahead) for sizes in loads)
        for part in model.parts:
            weights += sum(_stored(part.graph.tensors[n]) for n in resident(part.graph, spec.paging))
    found = DeviceMemory(plans, weights, paged, capacity)
    if found.used > capacity:
        raise DoesNotFit(_missing(found, spec, device.id))
    return found


def resident(graph: Graph, spec: PagingSpec) -> set[str]:
    """Weights that stay in memory: those of the first layers, whose loading nothing would hide."""
    free, found = spec.resident_mb * 1e6, set[str]()
    for node in graph.nodes:
        own = {n for n in node.read if graph.tensors[n].weight} - found
        free -= sum(_stored(graph.tensors[n]) for n in own)
        if free < 0.0:
            break
        found |= own
    return found


def loads_of(graph: Graph, spec: PagingSpec) -> NDArray[np.float64]:
    """Bytes of weights that each node waits for, shape (nodes,)."""
    kept = resident(graph, spec)
    loaded = [{n for n in node.read if graph.tensors[n].weight} - kept for node in graph.nodes]
    return np.array([sum(_stored(graph.tensors[n]) for n in names) for names in loaded], dtype=np.float64)


def with_paging(execution: Execution, spec: PagingSpec) -> Execution:
    """The execution, each of whose nodes waits for its weights."""
    first: dict[str, int] = {}
    for at, kernel in enumerate(execution.kernels):
        first.setdefault(kernel.node, at)
    sizes = np.zeros(len(execution.kernels))
    for node, size in zip(execution.graph.nodes, loads_of(execution.graph, spec), strict=True):
        if node.name in first:
            sizes[first[node.name]] = size
    channel = Channel(spec.bandwidth_gb_s * 1e9, spec.latency_us * 1e-6, spec.ahead)
    return replace(execution, loaded=loaded_at(sizes, execution.busy, execution.issued, channel))


def _updated(graph: Graph) -> float:
    """Bytes of the weights that a training step changes, which cannot stay where they are only read."""
    updates = [graph.tensors[name] for node in graph.nodes if node.type == "Update" for name in node.inputs[:2]]
    return sum(float(np.asarray(g.elements)) * w.dtype.bytes for g, w in zip(updates[::2], updates[1::2], strict=True))


def _stored(tensor: Tensor) -> float:
    return float(np.asarray(tensor.bytes * tensor.density))


def _missing(found: DeviceMemory, spec: MemorySpec, device: str) -> str:
    missing, arena = found.used - found.capacity, found.largest.arena
    if arena > found.capacity:
        remedy = "a smaller batch or resolution, a narrower format, patches, or memory.order least-memory"
    elif spec.paging is None:
        remedy = "memory.paging to load weights layer by layer, memory.weights in-place, or a narrower format"
    else:
        remedy = "fewer layers ahead (memory.paging.ahead) or less resident_mb"
    return (
        f"device {device}: activations take {arena:,} bytes and weights {found.weights:,.0f} of its memory of "
        f"{found.capacity:,.0f}: {missing:,.0f} bytes are missing: give {remedy}"
    )
