"""What a training framework does to the kernels that it runs, one small file a framework."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simulator.errors import unknown_name
from simulator.yaml_io import Fields

STACKS = Path(__file__).with_name("stacks")


@dataclass(frozen=True, slots=True)
class TrainingStack:
    """A training framework: whose `kernels` it runs, and how.

    `sustained` is the share of their speed in short benchmarks that matrix products keep over hours.
    """

    name: str
    kernels: str
    sustained: float
    source: str


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
    fields.only(("kernels", "sustained", "source"))
    return TrainingStack(path.stem, fields.text("kernels"), fields.number("sustained"), fields.text("source"))
