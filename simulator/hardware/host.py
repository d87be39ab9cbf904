"""What one device of a node has of its host while all devices of the node use it: links, memory, drives, processors."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import InputError
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import link
from simulator.hardware.node import Node, node
from simulator.hardware.relatives import calibrations_for
from simulator.hardware.storage import NVME
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Elementwise

FP32 = DTYPES["fp32"]
# Share of host memory that training can pin; the rest is the system's and the page cache's. Chosen, not measured.
PINNED_SHARE = 0.9
# Bytes of the drive of `storage.NVME` in its usual size.
DRIVE = 3.84e12


@dataclass(frozen=True, slots=True)
class Drives:
    """NVMe drives of a node: how many, bytes/s of one each way, bytes of one."""

    count: int
    read: float = NVME[0]
    write: float = NVME[1]
    capacity: float = DRIVE


@dataclass(frozen=True, slots=True)
class HostShare:
    """One of `devices` devices' share: bytes/s of its link each way, of host memory and of drives; bytes of both.

    `link_alone` is what the link carries while the other devices are silent. `processors` are how many of the host's
    processors, which `law` times, work for the device (a fraction if several devices share one). `crossed` says that
    collectives inside the node pass over the host links too.
    """

    devices: int
    link: float
    link_alone: float
    memory_bandwidth: float
    memory: float
    read: float
    write: float
    drive_capacity: float
    processors: float
    law: TimingLaw
    crossed: bool = False

    def update(self, parameters: float, moved: float, flops: float) -> tuple[float, float]:
        """Seconds that the processors' arithmetic takes for an optimiser's update, and bytes of memory it needs.

        `moved` and `flops` are of one parameter. Bytes count at the bandwidth that streaming kernels reach.
        """
        roofs = self.law.roofs(Elementwise(parameters, moved / FP32.bytes, 0.0, flops, FP32))
        reached = float(roofs.memory) * self.law.device.memory_bandwidth
        return float(roofs.compute) / self.processors, reached


def host_share(
    of: Node,
    devices: int,
    *,
    drives: Drives | None = None,
    memory: float | None = None,
    sockets: int | None = None,
    cpu: str | None = None,
) -> HostShare:
    """The share of each of `devices` devices in a node of this kind.

    Sockets are those of the processor's usual server, drives one a device, unless given; `memory` in bytes.
    """
    processor = device(cpu or of.host.cpu)
    if sockets is None:
        sockets = node(processor.node).devices_per_node if processor.node else 1
    if devices < 1:
        raise InputError(f"node {of.name}: devices must be at least 1, not {devices}")
    wire = link(of.host.link)
    alone = wire.bandwidth * wire.efficiency
    found = drives or Drives(of.devices_per_node)
    law = TimingLaw(processor, calibrations_for(processor), fabric_of(processor, None))
    return HostShare(
        devices=devices,
        link=alone * min(1.0, of.host.uplinks / devices) if of.host.uplinks else alone,
        link_alone=alone,
        memory_bandwidth=processor.memory_bandwidth * sockets / devices,
        memory=(memory or of.host.memory) * PINNED_SHARE / devices,
        read=found.read * found.count / devices,
        write=found.write * found.count / devices,
        drive_capacity=found.capacity * found.count / devices,
        processors=sockets / devices,
        law=law,
        crossed=of.topology == "pcie",
    )
