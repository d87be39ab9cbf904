"""Pooling goes through all that it reads, however few numbers it writes."""

from __future__ import annotations

from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.relatives import calibrations_for
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Elementwise


def test_cycles_are_spent_on_each_number_read() -> None:
    found = device("st-stm32h7a3")
    law = TimingLaw(found, calibrations_for(found), fabric_of(found, None))
    inputs, window = 49 * 1280.0, 49.0
    pooled = Elementwise(inputs, 1.0, 1.0 / window, activation=DTYPES["int8"])
    copied = Elementwise(inputs, 1.0, 1.0, activation=DTYPES["int8"])
    assert law.roofs(pooled).compute == law.roofs(copied).compute
    cycles = law.roofs(pooled).compute * found.units["clock_ghz"] * 1e9
    assert cycles >= inputs
