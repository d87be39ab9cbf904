"""What a training framework does to the kernels that it runs, one small file a framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from simulator.errors import unknown_name
from simulator.yaml_io import Fields

STACKS = Path(__file__).with_name("stacks")


@dataclass(frozen=True, slots=True)
class TrainingStack:
    """A training framework: whose `kernels` it runs, and how.

    `sustained` is the share of the timing law's speed that matrix products keep in it, on `devices` that are listed
    their own.
    """

    name: str
    kernels: str
    sustained: float
    source: str
    devices: Mapping[str, float] = field(default_factory=dict)

    def share(self, device: str) -> float:
        """The share that matrix products keep on a device."""
        return self.devices.get(device, self.sustained)


def stack_names() -> list[str]:
    """Training stacks that come with the package."""
    return sorted(f.stem for f in STACKS.glob("*.yaml"))


@cache
def training_stack(name: str) -> TrainingStack:
    """The stack of this name, or in the file at this path. Raises `InputError` for unknown names and wrong files."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else STACKS / f"{name}.yaml"
    if not path.exists():
        raise unknown_name("training stack", name, stack_names(), remedy="(or give a path to a .yaml file)")
    fields = Fields.load(path)
    fields.only(("kernels", "sustained", "source"), ("devices",))
    listed = fields.fields("devices")
    devices = {name: listed.number(name) for name in listed.names()}
    return TrainingStack(path.stem, fields.text("kernels"), fields.number("sustained"), fields.text("source"), devices)
