"""Some of a processor's cores, as a runtime with fewer threads uses them."""

from __future__ import annotations

from dataclasses import replace

from simulator.errors import InputError
from simulator.hardware.device import Device


def cores_of(device: Device, count: int | None) -> Device:
    """A processor of which `count` cores compute, or all without; memory and the shared cache stay whole.

    Raises `InputError` for a device that is no processor or has fewer cores.
    """
    if count is None:
        return device
    has = device.units.get("sm", 1.0)
    if device.kind != "cpu":
        raise InputError(f"threads are those of a processor, which {device.id} is not: leave them out")
    if not 1 <= count <= has:
        raise InputError(f"threads is {count}: {device.id} has {has:g} cores")
    share = count / has
    last = max(device.cache.values(), default=0.0)
    return replace(
        device,
        peak_flops={name: peak * share for name, peak in device.peak_flops.items()},
        cache={name: size if size == last else size * share for name, size in device.cache.items()},
        units={**device.units, "sm": float(count)},
    )
