"""Small fabrics and networks for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.network.network import Network
from simulator.hardware.fabric import Fabric
from simulator.hardware.links import Link
from simulator.hardware.topology import build_topology
from simulator.policies.paths import PathPolicy, Spraying

INSIDE = Link("inside", 100.0, 0.5, 0.8, "a test")
BETWEEN = Link("between", 10.0, 2.0, 0.9, "a test")


def fabric(per_node: int = 1) -> Fabric:
    """Ports of 80 bytes/s into the node and of 9 into the network."""
    return Fabric(INSIDE, BETWEEN, per_node, one_shot=False, host=INSIDE)


def network(devices: int, per_node: int = 1, policy: PathPolicy | None = None, **rest: Any) -> Network:
    """A leaf-spine network of 4 devices a leaf, unless `topology` says otherwise."""
    given = rest.pop("topology", {})
    own = {} if "kind" in given else {"kind": "leaf-spine", "devices_per_leaf": 4, "spines": 2}
    values = own | given
    top = build_topology(values, devices, fabric(per_node))
    return Network(top, policy or Spraying(), np.arange(devices), **rest)
