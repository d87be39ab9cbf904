"""Loads that come with the package: synthetic ones by name, each with the publication that its numbers are from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import InputError, unknown_name
from simulator.yaml_io import load_yaml

LOADS = Path(__file__).with_name("loads")


def load_names() -> list[str]:
    """Names of all shipped loads."""
    return sorted(path.stem for path in LOADS.glob("*.yaml"))


@cache
def _load(name: str) -> dict[str, Any]:
    if name not in load_names():
        raise unknown_name("workload", name, load_names())
    values = load_yaml(LOADS / f"{name}.yaml")
    if not isinstance(values, dict) or not {"about", "source", "generator"} <= set(values):
        raise InputError("a load has the fields about, source and generator", file=LOADS / f"{name}.yaml")
    return values


def load_facts(name: str) -> dict[str, Any]:
    """What a load is, its source, and its generator. Raises `InputError` for an unknown name."""
    return {"workload": name, **_load(name)}


def load_generator(name: str) -> dict[str, Any]:
    """The generator specification of a load, for `generators.generate`."""
    return dict(_load(name)["generator"])
