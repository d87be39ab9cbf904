"""Efficiency curves of a device: small files that a fit writes and the timing law reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.hardware.device import Device
from simulator.yaml_io import load_yaml


@dataclass(frozen=True, slots=True)
class Curve:
    """How much of a roof one kind of operator reaches.

    `compute` and `memory` are the shares of peak FLOP/s and of bandwidth at large sizes; `overhead` is the
    seconds that each call costs beyond its roof (launch, prologue, tail). `tile` is the (m, n) output tile by
    which a matrix product is cut up; products with fewer tiles than the device has units leave units idle.
    """

    compute: float
    memory: float
    overhead: float = 0.0
    tile: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class StepOverheads:
    """Seconds that a serving engine adds around the kernels of one iteration, by name.

    `launch` submits the iteration (a replayed graph, or the first kernels of an eager one), `scheduler`
    decides the batch and prepares its inputs, `sampling` and `detokenisation` are host seconds a sequence,
    `ingestion` is what a request waits before the scheduler can see it (tokenisation, queue hand-over).
    """

    launch: float = 0.0
    scheduler: float = 0.0
    sampling: float = 0.0
    detokenisation: float = 0.0
    ingestion: float = 0.0

    def step_seconds(self, sequences: float) -> float:
        """Host seconds of one iteration that samples `sequences` tokens."""
        return self.launch + self.scheduler + sequences * (self.sampling + self.detokenisation)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Curves by operator kind, with where they come from. `curves` must hold every kind the law asks for."""

    name: str
    curves: dict[str, Curve]
    overheads: StepOverheads
    source: str
    devices: tuple[str, ...] = ()
    residual: dict[str, float] = field(default_factory=dict)


CALIBRATIONS = Path(__file__).with_name("calibrations")
KINDS = ("gemm", "moe", "attention_prefill", "attention_decode", "elementwise", "gather", "collective")


def load_calibration(path: str | Path) -> Calibration:
    """Read one calibration file. Raises `InputError` naming the file and the field that is missing or wrong."""
    raw = load_yaml(path)
    if not isinstance(raw, dict):
        raise InputError("a calibration file holds a mapping", file=path)
    try:
        curves = {kind: _curve(raw["curves"][kind]) for kind in KINDS}
        overheads = StepOverheads(**{k: float(v) for k, v in raw["step_overheads"].items() if k != "source"})
        return Calibration(str(raw["name"]), curves, overheads, str(raw["source"]), tuple(raw.get("devices", ())))
    except KeyError as error:
        raise InputError(f"calibration lacks {error.args[0]!r}", file=path) from None
    except (TypeError, ValueError) as error:
        raise InputError(f"calibration is malformed: {error}", file=path) from None


def _curve(raw: dict[str, Any]) -> Curve:
    tile = raw.get("tile")
    return Curve(
        float(raw.get("compute", 1.0)),
        float(raw.get("memory", 1.0)),
        float(raw.get("overhead", 0.0)),
        None if tile is None else (int(tile[0]), int(tile[1])),
    )


def calibration_for(device: Device) -> Calibration:
    """The calibration that lists this device, else the uncalibrated defaults of its kind of processor."""
    return _calibration(device.id, "cpu" if device.kind == "cpu" else "accelerator")


@cache
def _calibration(device_id: str, kind: str) -> Calibration:
    for file in sorted(CALIBRATIONS.glob("*.yaml")):
        if not file.name.startswith("uncalibrated-"):
            found = load_calibration(file)
            if device_id in found.devices:
                return found
    return load_calibration(CALIBRATIONS / f"uncalibrated-{kind}.yaml")
