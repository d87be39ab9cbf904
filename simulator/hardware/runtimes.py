"""Runtimes that execute operator graphs on a device, one small file each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import unknown_name
from simulator.yaml_io import Fields

RUNTIMES = Path(__file__).with_name("runtimes")


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a runtime does to a graph and to the device.

    `kernels` names the calibration whose kernels it runs; `rewrites` what it does to each graph, by name with options.
    The host takes `dispatch` seconds to issue each kernel while earlier ones run, and `call` seconds a forward pass
    that nothing hides. `overlap` is the share of a kernel's own overhead hidden by back-to-back issue.
    """

    name: str
    kernels: str
    source: str
    dispatch: float = 0.0
    call: float = 0.0
    overlap: float = 0.0
    rewrites: tuple[tuple[str, dict[str, Any]], ...] = field(default=())


def runtime_names() -> list[str]:
    """Runtimes that come with the package."""
    return sorted(f.stem for f in RUNTIMES.glob("*.yaml"))


@cache
def runtime(name: str) -> Runtime:
    """The runtime of this name, or in the file at this path. Raises `InputError` for unknown names and wrong files."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else RUNTIMES / f"{name}.yaml"
    if not path.exists():
        raise unknown_name("runtime", name, runtime_names(), remedy="(or give a path to a .yaml file)")
    fields = Fields.load(path)
    fields.only(("kernels", "source"), ("dispatch_us", "call_us", "overlap", "rewrites"))
    rewrites = fields.fields("rewrites")
    return Runtime(
        path.stem,
        fields.text("kernels"),
        fields.text("source"),
        fields.number("dispatch_us", above=False) * 1e-6 if "dispatch_us" in fields else 0.0,
        fields.number("call_us", above=False) * 1e-6 if "call_us" in fields else 0.0,
        fields.number("overlap", above=False, most=1.0) if "overlap" in fields else 0.0,
        tuple((name, rewrites.fields(name).plain()) for name in rewrites.names()),
    )
