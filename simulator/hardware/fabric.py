"""What joins the devices of one model instance: a fast link inside a node, a slower one between nodes."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.hardware.device import Device
from simulator.hardware.links import Link, link
from simulator.hardware.node import Node

DEFAULT_SCALE_OUT = "infiniband-ndr"
DEFAULT_DEVICES_PER_NODE = 8


@dataclass(frozen=True, slots=True)
class Fabric:
    """`inside` joins up to `devices_per_node` devices, `between` the nodes; both are per device and direction.

    `one_shot` says whether every device reaches every other at full speed (a switch), which the one-shot
    all-reduce needs.
    """

    inside: Link
    between: Link
    devices_per_node: int
    one_shot: bool

    def spanning(self, world: int) -> Link:
        """The slowest link that a group of `world` neighbouring devices has to use."""
        return self.inside if world <= self.devices_per_node else self.between


def fabric_of(device: Device, node: Node | None) -> Fabric:
    """The fabric of a node type, or what the device's own datasheet implies where no node is given."""
    if node is not None:
        return Fabric(link(node.scale_up), link(node.scale_out), node.devices_per_node, node.topology == "switch")
    inside = device.links.get("scale_up") or device.links.get("host", "pcie-gen4-x16")
    return Fabric(link(inside), link(DEFAULT_SCALE_OUT), DEFAULT_DEVICES_PER_NODE, "scale_up" in device.links)
