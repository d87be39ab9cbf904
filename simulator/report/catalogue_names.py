"""Names of what the package knows, without reading what they stand for: quick enough for a shell to complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from simulator.report.catalogue import kind_of
from simulator.shipped import PLANS, SCENARIOS, SWEEPS, shipped


def names_of(kind: str) -> list[str]:
    """Names of all things of a kind, in the order of `simulator list`. Raises `InputError` for an unknown kind."""
    return list(_NAMES[kind_of(kind)]())


def kind_names() -> list[str]:
    """The kinds that `simulator list` lists."""
    return list(_NAMES)


def _devices() -> Iterable[str]:
    from simulator.hardware.device import device_names

    return device_names()


def _models() -> Iterable[str]:
    from simulator.workloads.models import model_names

    return model_names()


def _graphs() -> Iterable[str]:
    from simulator.workloads.graphs.catalogue import graph_model_names

    return graph_model_names()


def _policies() -> Iterable[str]:
    from simulator.policies.registry import POLICIES

    return (name for known in POLICIES.values() for name in known)


def _workloads() -> Iterable[str]:
    from simulator.workloads.catalogue import load_names

    return load_names()


def _scenarios() -> Iterable[str]:
    return shipped(SCENARIOS)


def _plans() -> Iterable[str]:
    return shipped(PLANS)


def _sweeps() -> Iterable[str]:
    return shipped(SWEEPS)


def _links() -> Iterable[str]:
    from simulator.hardware.links import link_names

    return link_names()


def _nodes() -> Iterable[str]:
    from simulator.hardware.node import node_names

    return node_names()


def _dtypes() -> Iterable[str]:
    from simulator.workloads.dtypes import DTYPES

    return DTYPES


_NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "devices": _devices,
    "models": _models,
    "graphs": _graphs,
    "policies": _policies,
    "workloads": _workloads,
    "scenarios": _scenarios,
    "plans": _plans,
    "sweeps": _sweeps,
    "links": _links,
    "nodes": _nodes,
    "dtypes": _dtypes,
}
