"""What joins the devices of one model instance: a fast link inside a node, a slower one between nodes."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.hardware.device import Device
from simulator.hardware.links import Link, link
from simulator.hardware.node import Node

DEFAULT_SCALE_OUT = "infiniband-ndr"
DEFAULT_HOST = "pcie-gen4-x16"
DEFAULT_DEVICES_PER_NODE = 8


@dataclass(frozen=True, slots=True)
class Fabric:
    """`inside` joins up to `devices_per_node` devices, `between` the nodes; both are per device and direction.

    `one_shot` says whether every device reaches every other at full speed (a switch), which the one-shot
    all-reduce needs. `host` joins a device to host memory. `peer_links` are the separate links to other devices of the
    node that share a device's bandwidth inside (1: one port for all). Of a node's devices the `nearest_devices` of one
    package may have a link of their own, `nearest`.
    """

    inside: Link
    between: Link
    devices_per_node: int
    one_shot: bool
    host: Link
    peer_links: int = 1
    nearest: Link | None = None
    nearest_devices: int = 1

    def inside_ranks(self, stride: int) -> int:
        """Ranks of a group that share a node, if its ranks are `stride` devices apart."""
        return max(1, self.devices_per_node // stride)

    def spanning(self, world: int, stride: int = 1) -> Link:
        """The slowest link that a group of `world` devices, `stride` apart, has to use."""
        if self.nearest is not None and world <= self.nearest_devices // stride:
            return self.nearest
        return self.inside if world <= self.inside_ranks(stride) else self.between

    def level(self, world: int, stride: int = 1) -> int:
        """0 for a group inside a node, 1 for one that spans nodes."""
        return 0 if world <= self.inside_ranks(stride) else 1


def fabric_of(device: Device, node: Node | None) -> Fabric:
    """The fabric of a node type, or what the device's own datasheet implies where no node is given."""
    if node is not None:
        switched = node.topology == "switch"
        host = link(node.host.link)
        peers = node.devices_per_node - 1 if node.topology == "mesh" else 1
        return Fabric(
            link(node.scale_up),
            link(node.scale_out),
            node.devices_per_node,
            switched,
            host,
            max(peers, 1),
            link(node.nearest) if node.nearest else None,
            node.nearest_devices,
        )
    host = link(device.links.get("host", DEFAULT_HOST))
    scale_up = device.links.get("scale_up")
    inside = link(scale_up) if scale_up else host
    return Fabric(inside, link(DEFAULT_SCALE_OUT), DEFAULT_DEVICES_PER_NODE, "scale_up" in device.links, host)
