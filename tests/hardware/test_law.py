"""The timing law and the collectives against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.hardware.calibration import Curve, calibration_for, load_calibration
from simulator.hardware.collectives import (
    all_to_all,
    collective_seconds,
    one_shot_all_reduce,
    ring_all_gather,
    ring_all_reduce,
    tree_all_reduce,
)
from simulator.hardware.device import device, device_names
from simulator.hardware.fabric import Fabric, fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import Link
from simulator.hardware.power import device_power
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Attention, Collective, Elementwise, Gemm

LINK = Link("test", 100e9, 1e-6, 1.0, "made up")
SLOW = Link("slow", 10e9, 5e-6, 1.0, "made up")
FABRIC = Fabric(LINK, SLOW, 8, False)


def law(name: str = "nvidia-h100-sxm-80gb") -> TimingLaw:
    found = device(name)
    return TimingLaw(found, calibration_for(found), fabric_of(found, None))


def test_ring_all_reduce_moves_two_times_p_minus_one_over_p() -> None:
    assert ring_all_reduce(8e9, 8, LINK) == pytest.approx(14 * 1e-6 + 2 * 7 / 8 * 8e9 / 100e9)


def test_ring_all_reduce_is_reduce_scatter_then_all_gather() -> None:
    assert ring_all_reduce(1e6, 4, LINK) == pytest.approx(2 * ring_all_gather(1e6, 4, LINK))


def test_all_to_all_keeps_one_share() -> None:
    assert all_to_all(1e9, 4, LINK) == pytest.approx(1e-6 + 0.75e9 / 100e9)


def test_small_messages_take_the_quick_algorithm_and_large_ones_the_ring() -> None:
    switch = Fabric(LINK, SLOW, 8, True)
    small, large = 8e3, 1e9
    assert collective_seconds(Collective("all_reduce", small, 8), switch) == one_shot_all_reduce(small, 8, LINK)
    assert collective_seconds(Collective("all_reduce", large, 8), switch) == ring_all_reduce(large, 8, LINK)
    assert collective_seconds(Collective("all_reduce", small, 8), FABRIC) == tree_all_reduce(small, 8, LINK)


def test_groups_across_nodes_reduce_inside_first() -> None:
    inside = 2 * ring_all_gather(1e9, 8, LINK)
    between = ring_all_reduce(1e9 / 8, 2, SLOW)
    assert collective_seconds(Collective("all_reduce", 1e9, 16), FABRIC) == pytest.approx(inside + between)


def test_one_rank_has_nothing_to_send() -> None:
    assert collective_seconds(Collective("all_reduce", 1e9, 1), FABRIC) == 0.0


def test_ridge_point_separates_the_bounds() -> None:
    """Below peak e_c / (bandwidth e_m) FLOP/byte an operator is memory-bound, above compute-bound."""
    timing = law()
    curve = timing.calibration.curves["elementwise"]
    ridge = timing.peak("fp32") * curve.compute / (timing.device.memory_bandwidth * curve.memory)
    size = 1e9
    for factor, bound in ((0.9, "memory"), (1.1, "compute")):
        op = Elementwise(size, 1, 1, ridge * factor * 4)
        assert timing.roofs(op).bound() == bound


def test_large_gemm_runs_at_its_share_of_peak() -> None:
    timing = law()
    op = Gemm(16384.0, 16384.0, 16384.0)
    share = op.flops() / timing.peak("bf16") / timing.seconds(op)
    assert share == pytest.approx(timing.calibration.curves["gemm"].compute, rel=0.05)


def test_last_wave_is_paid_in_full() -> None:
    """One tile more than a full wave costs a second wave."""
    timing = law()
    units = int(timing.device.units["sm"])
    full = timing.roofs(Gemm(128.0 * units, 128.0, 1e5)).compute
    more = timing.roofs(Gemm(128.0 * units + 1, 128.0, 1e5)).compute
    assert more / full == pytest.approx(2.0)


def test_quantised_weights_save_bytes_not_flops() -> None:
    timing = law()
    plain, small = Gemm(1.0, 8192.0, 8192.0), Gemm(1.0, 8192.0, 8192.0, DTYPES["int4"])
    assert small.flops() == plain.flops()
    assert timing.seconds(small) < 0.5 * timing.seconds(plain)


def test_formats_without_units_run_in_the_next_wider_one() -> None:
    assert law("nvidia-a100-sxm-80gb").peak("fp8") == 312e12
    assert law("nvidia-v100-sxm-16gb").peak("bf16") == law("nvidia-v100-sxm-16gb").peak("fp16")


@pytest.mark.parametrize("name", device_names())
def test_every_device_times_a_decode_step(name: str) -> None:
    timing = law(name)
    op = Attention(1e5, 16.0, 1e5, 32, 128, 128, 2048, True)
    for seconds in (timing.seconds(op), timing.seconds(Gemm(16.0, 4096.0, 4096.0))):
        assert 0 < float(np.asarray(seconds)) < 10


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(16, 9000))
def test_more_rows_never_take_less_time(m: int, more: int, n: int) -> None:
    timing = law()
    sizes = np.array([m, m + more], dtype=np.float64)
    short, long = timing.seconds(Gemm(sizes, float(n), 4096.0))
    assert long >= short * (1 - 1e-12)


def test_nothing_to_do_takes_no_time() -> None:
    assert float(np.asarray(law().seconds(Attention(0.0, 0.0, 0.0, 8, 128, 128, 256, False)))) == 0.0


def test_power_lies_between_idle_and_tdp() -> None:
    found = device("nvidia-h100-sxm-80gb")
    watts = device_power(found, np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.7, 1.0]))
    assert watts[0] == found.idle_power
    assert watts[-1] == found.tdp
    assert (np.diff(watts) >= 0).all()


def test_calibration_errors_name_the_field(tmp_path: object) -> None:
    from pathlib import Path

    from simulator.errors import InputError

    path = Path(str(tmp_path)) / "c.yaml"
    path.write_text("name: x\nsource: y\ncurves: {gemm: {compute: 0.5}}\nstep_overheads: {}\n")
    with pytest.raises(InputError, match="lacks 'moe'"):
        load_calibration(path)
    assert Curve(0.5, 0.5).tile is None
