"""From the plain data of a topology (a small YAML mapping) to the topology."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simulator.errors import InputError, unknown_name
from simulator.hardware.fabric import Fabric
from simulator.hardware.topology.clos import fat_tree, leaf_spine, rail_optimised
from simulator.hardware.topology.direct import attained, dragonfly, pairwise, torus
from simulator.hardware.topology.graph import Topology
from simulator.hardware.topology.wide_area import wide_area

KINDS: dict[str, Callable[..., Topology]] = {
    "leaf-spine": leaf_spine,
    "rail-optimised": rail_optimised,
    "fat-tree": fat_tree,
    "torus": torus,
    "dragonfly": dragonfly,
    "pairwise": pairwise,
    "attained": attained,
    "wide-area": wide_area,
}
WHOLE = frozenset(
    (
        "devices_per_leaf", "spines", "nodes_per_group", "leaves_per_pod", "aggregations", "cores",
        "devices_per_router", "routers_per_group", "global_links", "connections",
    )
)  # fmt: skip
BY_NODE = frozenset(("rates", "delays", "gbit_per_s", "round_trip_ms", "loss"))


def build_topology(values: Mapping[str, Any], devices: int, fabric: Fabric) -> Topology:
    """The topology that `values` describe: its `kind`, and options named as the parameters of that kind's function.

    Raises `InputError` for unknown kinds and options, and for numbers that are not above 0.
    """
    given = dict(values)
    kind = given.pop("kind", None)
    if kind not in KINDS:
        raise unknown_name("topology", kind, KINDS)
    found = KINDS[kind]
    accepted = inspect.signature(found).parameters
    options = [name for name, p in accepted.items() if p.kind is p.KEYWORD_ONLY]
    for name, value in given.items():
        if name not in options:
            raise unknown_name(f"option of topology {kind}", name, options)
        _check(kind, name, value)
    missing = [n for n in options if accepted[n].default is inspect.Parameter.empty and n not in given]
    if missing:
        raise InputError(f"topology {kind} needs {missing[0]}: add it")
    return found(devices, fabric, **given)


def _check(kind: str, name: str, value: Any) -> None:
    """Numbers are above 0, and whole where they count something; only links between nodes may have one each."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if name in WHOLE:
        if not whole or value < 1:
            raise InputError(f"{name} of topology {kind} is {value!r}: give a whole number of at least 1")
    elif name == "seed":
        if not whole or value < 0:
            raise InputError(f"seed of topology {kind} is {value!r}: give a whole number of at least 0")
    elif name == "sides":
        if not (isinstance(value, list | tuple) and all(isinstance(s, int) and s > 0 for s in value)):
            raise InputError(f"sides of topology {kind} is {value!r}: give a list of whole numbers, such as [4, 4, 4]")
    elif name in BY_NODE and isinstance(value, list | tuple):
        _check_rows(kind, name, value)
    elif not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"{name} of topology {kind} is {value!r}: give a number")
    elif not 0 < value < float("inf") and name != "loss":
        raise InputError(f"{name} of topology {kind} is {value!r}: give a number above 0")


def _check_rows(kind: str, name: str, value: Sequence[Any]) -> None:
    """Rows are equally long and hold numbers of at least 0; how many there are to be depends on the kind."""
    try:
        found = np.array(value, np.float64)
    except (TypeError, ValueError):
        found = np.array(np.nan)
    if not (np.isfinite(found) & (found >= 0)).all():
        raise InputError(f"{name} of topology {kind}: give rows of numbers of at least 0, a row and a column a node")
