"""A part of a device: some of its units, with what they draw of its memory bandwidth."""

from __future__ import annotations

from dataclasses import replace

from simulator.hardware.device import Device


def part_of(device: Device, units: float, bandwidth: float) -> Device:
    """`units` (a share from 0 to 1) of a device's arithmetic and power, and `bandwidth` (a share) of its traffic.

    Memory, caches and links stay whole: both parts of a device see them.
    """
    return replace(
        device,
        peak_flops={name: peak * units for name, peak in device.peak_flops.items()},
        memory_bandwidth=device.memory_bandwidth * bandwidth,
        units={**device.units, "sm": device.units.get("sm", 1.0) * units},
        tdp=device.tdp * units,
        idle_power=device.idle_power * units,
    )
