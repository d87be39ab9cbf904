"""A device whose core clock is lowered: slower arithmetic and on-chip traffic, the same memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from simulator.hardware.device import Device

# The core voltage falls linearly with the clock down to a knee and is constant below it (Guerreiro et al., "GPGPU
# Power Modeling for Multi-Domain Voltage-Frequency Scaling", HPCA 2018). Vendors publish no curve, so where the knee
# lies is an estimate: 0.7 of the full voltage at 0.6 of the full clock makes arithmetic's power fall as about f^2.5
# above it, and as f below.
KNEE_CLOCK = 0.6
KNEE_VOLTAGE = 0.7


def voltage(clock: Any) -> Any:
    """Core voltage at `clock`, both as shares of those at full speed; a number or an array of any shape."""
    return np.maximum(KNEE_VOLTAGE, 1.0 - (1.0 - KNEE_VOLTAGE) / (1.0 - KNEE_CLOCK) * (1.0 - clock))


def at_clock(device: Device, clock: float) -> Device:
    """The device with its core clock locked at a share `clock` (above 0, at most 1) of its full one.

    Peak arithmetic and the cycles in which units draw on the caches scale; memory bandwidth, links and the overheads
    of launches, which are the host's, do not.
    """
    if clock == 1.0:
        return device
    return replace(
        device,
        peak_flops={name: peak * clock for name, peak in device.peak_flops.items()},
        units={**device.units, "clock_ghz": device.units.get("clock_ghz", 1.5) * clock},
    )
