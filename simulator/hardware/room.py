"""Whether a model's weights and activations fit a device."""

from __future__ import annotations

from simulator.errors import InputError
from simulator.hardware.architectures import Stored
from simulator.hardware.device import Device


def require_room(device: Device, weights: float, activations: float) -> None:
    """Raise `InputError` saying how many bytes are missing where a model does not fit a device's memories.

    Weights go to the Flash of a device that has one and activations to its SRAM; both share the memory of all others.
    """
    if isinstance(device.architecture, Stored):
        _require(device, "Flash", device.architecture.flash, "weights", weights)
        _require(device, "SRAM", device.memory_capacity, "activations", activations)
        return
    _require(device, "memory", device.memory_capacity, "weights and activations", weights + activations)


def _require(device: Device, memory: str, has: float, what: str, needed: float) -> None:
    if needed <= has:
        return
    factor = needed / has
    raise InputError(
        f"device {device.id}: the model's {what} take {needed:,.0f} bytes and its {memory} has {has:,.0f}: "
        f"{needed - has:,.0f} missing; a model {factor:.1f} times smaller would fit, or a narrower format"
    )
