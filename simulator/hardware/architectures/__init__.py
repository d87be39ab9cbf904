"""How devices of each kind turn operators into time; a device file without `architecture` keeps to the timing law.

An architecture is a row in `ARCHITECTURES`: a frozen dataclass of parameters with `roofs`.
"""

from __future__ import annotations

from typing import Any

from simulator.errors import unknown_name
from simulator.hardware.architectures.architecture import (
    Architecture,
    Eventful,
    Launches,
    Stored,
    Streaming,
    WholeGraph,
)
from simulator.hardware.architectures.chiplets import Chiplets
from simulator.hardware.architectures.cpu import Cpu
from simulator.hardware.architectures.in_storage import InStorage
from simulator.hardware.architectures.microcontroller import Microcontroller
from simulator.hardware.architectures.near_memory import NearMemory
from simulator.hardware.architectures.reading import parameters
from simulator.hardware.architectures.reconfigurable import Reconfigurable
from simulator.hardware.architectures.spatial import Spatial
from simulator.hardware.architectures.spiking import Spiking
from simulator.hardware.architectures.systolic import Systolic
from simulator.yaml_io import Fields

ARCHITECTURES: dict[str, type[Any]] = {
    "chiplets": Chiplets,
    "cpu": Cpu,
    "in_storage": InStorage,
    "microcontroller": Microcontroller,
    "near_memory": NearMemory,
    "reconfigurable": Reconfigurable,
    "spatial": Spatial,
    "spiking": Spiking,
    "systolic": Systolic,
}


def read_architecture(given: Fields) -> Architecture:
    """The architecture that a device file states. Raises `InputError` naming the field that is wrong."""
    kind = given.text("kind")
    if kind not in ARCHITECTURES:
        raise given.error("kind", unknown_name("architecture", kind, ARCHITECTURES).message)
    found: Architecture = parameters(ARCHITECTURES[kind], given)
    return found


def architecture_name(of: Architecture | None) -> str:
    """The name of an architecture in device files; "law" for the calibrated timing law."""
    return next((name for name, known in ARCHITECTURES.items() if type(of) is known), "law")


__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Eventful",
    "Launches",
    "Stored",
    "Streaming",
    "WholeGraph",
    "architecture_name",
    "read_architecture",
]
