"""Electrical power of a device: idle, plus what arithmetic and memory traffic add, up to the datasheet's limit.

P = idle + (TDP - idle) * min(1, a u_c v^2 + b u_m (h + (1 - h) v^2)), with u_c the share of the full clock's peak
FLOP/s and u_m the share of peak bandwidth in use. a = 1.4 and b = 0.75 put a prefill at 65 % of peak near the TDP and
a decode step at 75 % of bandwidth near 60 % of it, where POLCA (arXiv:2308.12908, figures 4 and 6) measured them on
A100s.

v is the share of the full core voltage: what an operation takes falls with its square, and as operations a second fall
with the clock, arithmetic takes f v^2. A share h of what traffic takes is spent in the memory itself, which keeps its
own clock: 3.9 pJ a bit of HBM2 (O'Connor et al., "Fine-Grained DRAM", MICRO 2017) are 64 W at an A100's 2,039 GB/s, a
quarter of the 259 W that b gives; caches and the way to the units take the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.clocks import voltage
from simulator.hardware.device import Device

Floats = NDArray[np.float64]
COMPUTE_WEIGHT = 1.4
MEMORY_WEIGHT = 0.75
MEMORY_OWN = 0.25


def device_power(
    device: Device,
    compute_utilisation: Floats,
    memory_utilisation: Floats,
    units: Floats | float = 1.0,
    clock: Floats | float = 1.0,
) -> Floats:
    """Watts of one device at these shares (0 to 1) of its full clock's peak FLOP/s and of its bandwidth.

    `clock` is the share of the full clock that it runs at. A part of the `units` adds at most its share, so that all
    parts together keep to the limit.
    """
    squared = voltage(clock) ** 2
    traffic = memory_utilisation * (MEMORY_OWN + (1.0 - MEMORY_OWN) * squared)
    activity = COMPUTE_WEIGHT * compute_utilisation * squared + MEMORY_WEIGHT * traffic
    above = (device.tdp - device.idle_power) * np.minimum(units, activity)
    return np.asarray(device.idle_power + above, dtype=np.float64)
