"""Electrical power of a device: idle, plus what arithmetic and memory traffic add, up to the datasheet's limit.

P = idle + (TDP - idle) * min(1, a u_c + b u_m), with u_c the share of peak FLOP/s and u_m the share of peak
bandwidth in use. a = 1.4 and b = 0.75 put a prefill at 65 % of peak near the TDP and a decode step at 75 % of
bandwidth near 60 % of it, where POLCA (arXiv:2308.12908, figures 4 and 6) measured them on A100s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.device import Device

Floats = NDArray[np.float64]
COMPUTE_WEIGHT = 1.4
MEMORY_WEIGHT = 0.75


def device_power(
    device: Device, compute_utilisation: Floats, memory_utilisation: Floats, units: Floats | float = 1.0
) -> Floats:
    """Watts of one device at these shares (0 to 1) of its peak FLOP/s and bandwidth, by so many of its units.

    A part of the units adds at most its share, so that all parts together keep to the limit.
    """
    activity = COMPUTE_WEIGHT * compute_utilisation + MEMORY_WEIGHT * memory_utilisation
    return device.idle_power + (device.tdp - device.idle_power) * np.minimum(units, activity)
