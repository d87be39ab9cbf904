"""A lower core clock against closed forms: what slows down, what does not, and what is saved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.hardware.clocks import KNEE_CLOCK, KNEE_VOLTAGE, at_clock, voltage
from simulator.hardware.device import device, device_names
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.power import device_power
from simulator.hardware.relatives import calibrations_for
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Elementwise, Gemm

A100 = device("nvidia-a100-sxm-80gb")
BF16 = DTYPES["bf16"]
CLOCKS = st.floats(0.2, 1.0)


def seconds(clock: float, op: Gemm | Elementwise) -> float:
    found = at_clock(A100, clock)
    return float(np.asarray(TimingLaw(found, calibrations_for(found), fabric_of(found, None)).seconds(op)))


@given(CLOCKS)
def test_arithmetic_slows_down_with_the_clock_and_traffic_does_not(clock: float) -> None:
    compute = Gemm(8192, 8192, 8192, BF16, BF16)
    assert seconds(clock, compute) * clock == pytest.approx(seconds(1.0, compute), rel=0.03)
    memory = Elementwise(1e9, 1, 1)
    assert seconds(clock, memory) == pytest.approx(seconds(1.0, memory), rel=0.02)


def test_a_product_of_one_row_hardly_slows_down_at_the_clocks_of_caps() -> None:
    """Weights of one decode step come from memory: a fifth less clock costs a few hundredths at most."""
    step = Gemm(1, 8192, 8192, BF16, BF16)
    assert seconds(0.787, step) < 1.05 * seconds(1.0, step)


def test_the_full_clock_is_the_device_itself() -> None:
    assert at_clock(A100, 1.0) is A100
    half = at_clock(A100, 0.5)
    assert half.memory_bandwidth == A100.memory_bandwidth
    assert half.units["clock_ghz"] == A100.units["clock_ghz"] / 2
    assert half.tdp == A100.tdp


def test_arithmetic_takes_between_the_square_and_the_cube_of_the_clock_above_the_knee() -> None:
    """f v^2 with the work that is done falling as f; below the knee, where the voltage is constant, f alone."""

    def above_idle(clock: float) -> float:
        return float(device_power(A100, np.array(0.6 * clock), np.array(0.0), clock=clock)) - A100.idle_power

    full = above_idle(1.0)
    for clock in (0.95, 0.8, 0.65):
        assert clock**3 < above_idle(clock) / full < clock**2
    assert above_idle(0.3) / full == pytest.approx(0.3 * KNEE_VOLTAGE**2)
    assert voltage(KNEE_CLOCK) == pytest.approx(KNEE_VOLTAGE)
    assert voltage(1.0) == 1.0


@given(st.sampled_from(device_names()), st.floats(0, 1), st.floats(0, 1), CLOCKS, CLOCKS)
def test_power_rises_with_the_clock_from_idle_to_the_limit(
    name: str, compute: float, memory: float, one: float, other: float
) -> None:
    found = device(name)
    low, high = (float(device_power(found, np.array(compute), np.array(memory), clock=c)) for c in sorted((one, other)))
    assert found.idle_power <= low <= high <= found.tdp + 1e-9


def test_phases_of_an_a100_draw_what_was_measured() -> None:
    """POLCA, figures 4 and 6: prompts near the TDP, decoding well below it; a lower clock saves most in prompts."""
    prompt = float(device_power(A100, np.array(0.65), np.array(0.15)))
    decode = float(device_power(A100, np.array(0.05), np.array(0.75)))
    assert prompt > 0.95 * A100.tdp
    assert 0.5 * A100.tdp < decode < 0.75 * A100.tdp
    capped_prompt = float(device_power(A100, np.array(0.65 * 0.787), np.array(0.15 * 0.787), clock=0.787))
    capped_decode = float(device_power(A100, np.array(0.05), np.array(0.75), clock=0.787))
    assert prompt - capped_prompt > decode - capped_decode > 0
