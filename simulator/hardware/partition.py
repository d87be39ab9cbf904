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


def split(device: Device, units: float, saturating_units: float, traffic: float) -> tuple[Device, Device]:
    """A device as what is left of it, and a part of `units` (a share) beside that draws `traffic` of the bandwidth.

    `saturating_units` of the units draw the whole bandwidth, so that fewer draw less.
    """
    drawn = min(1.0, (1.0 - units) / saturating_units)
    left = part_of(device, 1.0 - units, min(drawn, 1.0 - traffic))
    return left, part_of(device, units, min(1.0, units / saturating_units))
