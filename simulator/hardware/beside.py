"""Operators on a device of an architecture of its own, and beside it on the device that takes what it cannot run."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.hardware.architectures import Architecture, Launches, WholeGraph
from simulator.hardware.architectures.work import work_of
from simulator.hardware.kernels import Roofs
from simulator.hardware.links import link
from simulator.workloads.operators import AnyOperator, Collective, HostCopy, Rounds

if TYPE_CHECKING:
    from simulator.hardware.device import Device
    from simulator.hardware.law import TimingLaw


def runner(on: Device, op: AnyOperator) -> Device:
    """The device that runs an operator: this one, or the one beside it where its architecture cannot."""
    from simulator.hardware.device import device

    if on.fallback is None or on.architecture is None or isinstance(op, Collective | HostCopy | Rounds):
        return on
    return on if on.architecture.lacks(op, on) is None else device(on.fallback)


def on_architecture(device: Device, architecture: Architecture, op: AnyOperator) -> Roofs:
    """Seconds of one call, on the fallback device where the architecture cannot run it.

    Raises `InputError` where there is no fallback device.
    """
    lacks = architecture.lacks(op, device)
    if lacks is None:
        return architecture.roofs(op, device)
    if device.fallback is None:
        has = ", ".join(sorted(device.peak_flops))
        raise InputError(f"device {device.id} has no {lacks}: it has {has}; give the scenario such a format")
    return _elsewhere(device, op)


def laid_out(device: Device, architecture: WholeGraph, launches: Launches) -> tuple[Roofs, ...]:
    """Roofs of all launches: those that the architecture runs scheduled together, the others on the fallback."""
    assert isinstance(architecture, Architecture)
    mine = [architecture.lacks(op, device) is None for op, _ in launches]
    together = iter(architecture.schedule([c for c, own in zip(launches, mine, strict=True) if own], device))
    return tuple(
        next(together) if own else on_architecture(device, architecture, op)
        for (op, _), own in zip(launches, mine, strict=True)
    )


def _elsewhere(device: Device, op: AnyOperator) -> Roofs:
    """On the fallback device, with what it reads and gives copied over the host link; in place where there is none."""
    assert device.fallback is not None
    found = _law(device.fallback).roofs(op)
    if "host" not in device.links:
        return found
    over, work = link(device.links["host"]), work_of(op)
    copied = (work.read + work.written) / (over.bandwidth * over.efficiency)
    return Roofs(found.compute, found.memory, found.overhead + copied + 2.0 * over.latency, found.sharpness)


@cache
def _law(name: str) -> TimingLaw:
    from simulator.hardware.device import device
    from simulator.hardware.fabric import fabric_of
    from simulator.hardware.law import TimingLaw
    from simulator.hardware.relatives import calibrations_for

    on = device(name)
    return TimingLaw(on, calibrations_for(on), fabric_of(on, None))
