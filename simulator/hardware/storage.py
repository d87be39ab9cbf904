"""What lies below device memory for cached keys and values: host memory, NVMe drives, a store over the network."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.hardware.device import Device
from simulator.hardware.fabric import Fabric
from simulator.hardware.links import Link
from simulator.hardware.node import node

# One data-centre drive a device. Samsung PM9A3 (PCIe 4.0 x4, U.2) as announced in 2020: sequential read 6.5 GB/s,
# write 3.5 GB/s (heise.de/-4720224). The latency is typical of flash, an estimate.
NVME = (6.5e9, 3.5e9, 80e-6)
# Share of a node's memory for cached keys and values, the rest being the system's; chosen, not measured.
HOST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Storage:
    """A place to keep bytes, as one replica sees it: bytes (None: not known), bytes/s each way, seconds."""

    capacity: float | None
    read: float
    write: float
    latency: float


def default_storage(name: str, on: Device, fabric: Fabric, node_name: str | None, devices: int) -> Storage | None:
    """The usual "host", "nvme" or "remote" of a replica of so many devices, None for another name.

    Host memory is reached over each device's host link, a remote store over each device's network link. Where the
    node is known its memory is shared evenly by its devices.
    """
    found = node_name or on.node
    host = node(found) if found else None
    if name == "host":
        memory = None if host is None else host.host.memory / host.devices_per_node * devices * HOST_SHARE
        return _over(fabric.host, devices, memory)
    if name == "nvme":
        read, write, latency = NVME
        return Storage(None, read * devices, write * devices, latency)
    if name == "remote":
        return _over(fabric.between, devices, None)
    return None


def _over(wire: Link, devices: int, capacity: float | None) -> Storage:
    rate = wire.bandwidth * wire.efficiency * devices
    return Storage(capacity, rate, rate, wire.latency)
