"""Nodes as data: how many devices share a fast fabric, and what joins them to the host and to other nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simulator.errors import unknown_name
from simulator.hardware.links import link_names
from simulator.yaml_io import Fields

NODES = Path(__file__).with_name("nodes")

TOPOLOGIES = ("switch", "mesh", "ring", "pcie", "torus")


@dataclass(frozen=True, slots=True)
class Host:
    """The host of a node: CPU (a device id), bytes of memory of the whole node, and the link to one device.

    `uplinks` are how many such links join the devices' switches to the processors, 0 if every device has its own.
    """

    cpu: str
    memory: float
    link: str
    uplinks: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """A server, or the largest group of devices that one scale-up fabric joins.

    `scale_up` names the link of one device inside the group and `topology` how those links join the devices;
    `scale_out` names the network link of one device to other nodes; `nvlink_sharp` says that the switch sums in
    the network. Devices that share a package, `nearest_devices` of them, may be joined by a faster link, `nearest`.
    Links are names of `links.yaml`.
    """

    name: str
    device: str
    devices_per_node: int
    scale_up: str
    topology: str
    scale_out: str
    host: Host
    source: str
    nvlink_sharp: bool = False
    notes: str = ""
    nearest: str = ""
    nearest_devices: int = 1


def node(name_or_path: str | Path) -> Node:
    """The node of this name (upper and lower case are one), or the one in the YAML file at this path.

    Raises `InputError` for an unknown name and for a file that is not a node.
    """
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith((".yaml", ".yml")) or "/" in name or "\\" in name:
        return _read(Path(name_or_path))
    key = name.strip().lower()
    if key not in node_names():
        raise unknown_name("node", name, node_names(), remedy="(or give a YAML file)")
    return _packaged(key)


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in NODES.glob("*.yaml")))


def node_names() -> list[str]:
    """The names of all nodes that come with the package, sorted; reads no node file."""
    return list(_names())


@cache
def _packaged(name: str) -> Node:
    return _read(NODES / f"{name}.yaml")


def _read(path: Path) -> Node:
    fields = Fields.load(path)
    fields.only(
        ("name", "device", "devices_per_node", "scale_up", "scale_out", "host", "source"),
        ("nvlink_sharp", "notes", "nearest"),
    )
    scale_up, host = fields.fields("scale_up"), fields.fields("host")
    scale_up.only(("link", "topology"))
    host.only(("cpu", "memory", "link"), ("uplinks",))
    nearest = fields.fields("nearest")
    nearest.only(("link", "devices") if "nearest" in fields else ())
    return Node(
        name=fields.text("name"),
        device=fields.text("device"),
        devices_per_node=fields.whole("devices_per_node"),
        scale_up=scale_up.text("link", choices=link_names()),
        topology=scale_up.text("topology", choices=TOPOLOGIES),
        scale_out=fields.text("scale_out", choices=link_names()),
        host=Host(
            cpu=host.text("cpu"),
            memory=host.number("memory"),
            link=host.text("link", choices=link_names()),
            uplinks=host.whole("uplinks") if "uplinks" in host else 0,
        ),
        source=fields.text("source"),
        nvlink_sharp=fields.flag("nvlink_sharp", False),
        notes=fields.text("notes", ""),
        nearest=nearest.text("link", choices=link_names()) if "nearest" in fields else "",
        nearest_devices=nearest.whole("devices") if "nearest" in fields else 1,
    )
