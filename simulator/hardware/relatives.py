"""Which calibrations time a device: its own, then those of its nearest relatives."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

from simulator.hardware.calibration import Calibration, Calibrations, Curve, load_calibration
from simulator.hardware.device import Device, device
from simulator.hardware.kernels import ExpertsCurve, GemmCurve

# Generations whose matrix units read operands that a copy engine brings (wgmma and tcgen05 with TMA); all others,
# Blackwell's cards for workstations included, go through registers (NVIDIA, PTX ISA 8.7, 9.7.15 and 9.7.16).
ASYNCHRONOUS = ("hopper", "blackwell")
CALIBRATIONS = Path(__file__).with_name("calibrations")


def calibration_names() -> list[str]:
    """Names of the shipped calibrations: a device and a backend each."""
    return sorted(f"{c.device} {c.backend}" for c in _shipped())


def calibrations_for(
    of: Device, *, backend: str = "vllm", own: bool = True, file: str | Path | None = None
) -> Calibrations:
    """What times this device's kernels as `backend` runs them.

    Calibrations of the device itself come first, the wanted backend before others; then those of its relatives:
    those of the vendor and kind (a GPU's kernels tell nothing of a processor's), the nearest first (`_distance`).
    `own` False leaves the device's own out, as if it had never been measured; a `file` comes before all.
    """
    mine = [_packaged(f) for f in sorted(CALIBRATIONS.glob(f"{of.id}.*.yaml"))] if own else []
    mine = [c for c in mine if c.serves(backend)]
    mine.sort(key=lambda c: _backend_rank(c.backend or "", backend))
    if file is not None:
        mine.insert(0, load_calibration(file))
    default = _packaged(CALIBRATIONS / f"uncalibrated-{'cpu' if of.kind == 'cpu' else 'accelerator'}.yaml")
    return Calibrations(tuple(mine), lambda: _relatives(of, backend), default)


def _relatives(of: Device, backend: str) -> tuple[Calibration, ...]:
    """Calibrations of the vendor's other devices, the nearest first, as they would be on this one."""
    if of.kind == "cpu":
        return ()
    others = [c for c in _shipped() if c.device != of.id and _made_as(c, of) and c.serves(backend)]
    others.sort(key=lambda c: (_distance(c, of) + 0.5 * _backend_rank(c.backend or "", backend), c.name))
    return tuple(lent(c, of) for c in others)


def lent(calibration: Calibration, to: Device) -> Calibration:
    """A calibration as another device borrows it.

    What a unit draws from the cache each cycle goes with its arithmetic: 0.017-0.021 bytes for each FLOP of its
    16-bit peak on A100, H100, B200 and L40S alike, while the bytes alone differ eightfold.
    """
    assert calibration.device is not None
    ratio = _unit_rate(to) / _unit_rate(device(calibration.device))
    curves = {family: {name: _fed(curve, ratio) for name, curve in given.items()}
              for family, given in calibration.curves.items()}  # fmt: skip
    return replace(calibration, curves=curves)


def _fed(curve: Curve, ratio: float) -> Curve:
    return replace(curve, feed=curve.feed * ratio) if isinstance(curve, GemmCurve | ExpertsCurve) else curve


def _backend_rank(backend: str, wanted: str) -> int:
    """0 for the wanted backend, 1 for a variant of it (vllm-eager for vllm), 2 for others."""
    return 0 if backend == wanted else 1 if backend.split("-", maxsplit=1)[0] == wanted.split("-", maxsplit=1)[0] else 2


def _made_as(calibration: Calibration, of: Device) -> bool:
    """Whether it is of a device of the same vendor and kind."""
    known = device(calibration.device) if calibration.device else None
    return known is not None and (known.vendor, known.kind) == (of.vendor, of.kind)


def _distance(calibration: Calibration, of: Device) -> float:
    """How far a calibrated device is in what its kernels are written for.

    Octaves between the 16-bit FLOPs that a unit does in a cycle, half of those between the bytes of memory for each
    unit and cycle, 1 for another generation and 1 for another way of feeding the matrix units.
    """
    assert calibration.device is not None
    other = device(calibration.device)
    octaves = abs(math.log2(_unit_rate(other) / _unit_rate(of)))
    memory = abs(math.log2(other.memory_bandwidth / of.memory_bandwidth * _unit_cycles(of) / _unit_cycles(other)))
    fed_alike = (other.generation in ASYNCHRONOUS) == (of.generation in ASYNCHRONOUS)
    return octaves + 0.5 * memory + (other.generation != of.generation) + (not fed_alike)


def _unit_cycles(of: Device) -> float:
    """Cycles a second of all units together."""
    return of.units.get("sm", 1.0) * of.units.get("clock_ghz", 1.5) * 1e9


def _unit_rate(of: Device) -> float:
    """16-bit FLOPs that one unit does in a cycle at most, or those of what formats it has."""
    peaks = of.peak_flops
    peak = peaks.get("bf16") or peaks.get("fp16") or peaks.get("fp32") or max(peaks.values())
    return peak / _unit_cycles(of)


@cache
def _packaged(path: Path) -> Calibration:
    """A calibration that comes with the package, read once."""
    return load_calibration(path)


@cache
def _shipped() -> tuple[Calibration, ...]:
    files = sorted(f for f in CALIBRATIONS.glob("*.yaml") if not f.name.startswith("uncalibrated-"))
    return tuple(_packaged(f) for f in files)
