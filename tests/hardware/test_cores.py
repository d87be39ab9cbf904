"""Kernels of processor cores against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.hardware.cores import cores_of
from simulator.hardware.device import device
from simulator.hardware.kernels import BlockedCurve, Machine, PackedCurve, VectorCurve
from simulator.hardware.kernels.cores import Feed, lanes
from simulator.hardware.relatives import calibrations_for
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Convolution

FP32 = DTYPES["fp32"]
CLOCK, CORES = 4e9, 2
PEAK = CORES * CLOCK * 64.0  # two units of fused multiply-adds, 16 numbers wide
MACHINE = Machine(40e9, CORES, 32e6, CLOCK, near=1e6)
ALONE = Machine(40e9, 1, 32e6, CLOCK, near=1e6)


def conv(channels: float = 64, filters: float = 64, size: float = 28, kernel: float = 3, groups: float = 1):
    return Convolution.square(1, channels, filters, size, size, kernel, 1, groups, FP32, FP32)


def test_vectors_are_as_wide_as_the_peak_says():
    assert lanes(PEAK, MACHINE) == 16
    assert lanes(PEAK / 2, MACHINE) == 8


def test_a_large_product_takes_its_flops_at_the_share_of_peak():
    curve = PackedCurve(compute=0.8, rows=0.01, latency=0.0, near=1e9, far=1e9)
    seconds = float(curve.roofs(512, 512, 512, weight=4, activation=4, peak=PEAK / 2, machine=ALONE).seconds())
    assert seconds == pytest.approx(2 * 512**3 / (0.8 * PEAK / 2), rel=0.01)


def test_bytes_come_at_the_speed_of_the_smallest_memory_that_holds_them():
    feed = Feed(near=32.0, far=8.0, core=0.5, memory=0.9, held=1.0)
    for moved, rate in ((1e5, 32 * CLOCK), (16e6, 8 * CLOCK), (1e9, 0.5 * 40e9)):
        assert float(feed.seconds(moved, moved, ALONE)) == pytest.approx(moved / rate, rel=1e-6)


def test_weights_of_a_large_model_come_from_memory_and_of_a_small_one_from_the_cache():
    def seconds(footprint: float) -> float:
        machine = Machine(40e9, 1, 32e6, CLOCK, near=1e6, footprint=footprint)
        found = PackedCurve().roofs(1, 1024, 1024, weight=4, activation=4, peak=PEAK / 2, machine=machine)
        return float(found.seconds())

    slow, quick = PackedCurve().core * 40e9, PackedCurve().far * CLOCK
    assert seconds(1e9) > seconds(10e6)
    assert seconds(1e9) == pytest.approx(4 * 1024**2 / slow, rel=0.1)
    assert seconds(10e6) == pytest.approx(4 * 1024**2 / quick, rel=0.4)


def test_two_cores_share_long_work_and_leave_short_work_to_one():
    curve = VectorCurve(latency=0.0, fork=1e-5)
    long, short = 4e6, 4e3
    for moved, shared in ((long, True), (short, False)):
        both = float(curve.roofs(0.0, moved, peak=PEAK, machine=MACHINE).seconds())
        one = float(curve.roofs(0.0, moved, peak=PEAK / 2, machine=ALONE).seconds())
        assert both == pytest.approx(one / 2 + 1e-5 if shared else one, rel=1e-6)


def test_channels_are_padded_to_whole_vectors_but_the_few_of_a_first_layer():
    curve = BlockedCurve(latency=0.0, near=1e9, far=1e9)

    def arithmetic(op: Convolution) -> float:
        return float(curve.roofs(op, peak=PEAK / 2, machine=ALONE).compute)

    assert arithmetic(conv(channels=20)) == pytest.approx(arithmetic(conv(channels=32)))
    assert arithmetic(conv(filters=56)) == pytest.approx(arithmetic(conv(filters=64)))
    assert arithmetic(conv(channels=3)) == pytest.approx(arithmetic(conv(channels=6)) / 2)


def test_depthwise_windows_take_their_own_share_of_peak():
    curve = BlockedCurve(depthwise=0.2, edges=1e-9, results=1e-9, latency=0.0, near=1e9, far=1e9)
    op = conv(channels=64, filters=64, groups=64)
    seconds = float(curve.roofs(op, peak=PEAK / 2, machine=ALONE).seconds())
    assert seconds == pytest.approx(float(np.asarray(op.flops())) / (0.2 * PEAK / 2), rel=0.01)


def test_groups_that_fill_no_blocks_are_laid_out_as_patches():
    curve = BlockedCurve(group=1e-6, patch=2.0, latency=0.0, near=1e9, far=1e9)
    op = conv(channels=58, filters=58, groups=58)
    patches = 58 * (1e-6 + 28 * 28 * 9 * 2.0 / CLOCK)
    arithmetic = float(np.asarray(op.flops())) / (curve.compute * PEAK / 2)
    seconds = float(curve.roofs(op, peak=PEAK / 2, machine=ALONE).seconds())
    assert seconds == pytest.approx(patches + arithmetic, rel=0.01)
    assert seconds > 3 * float(
        curve.roofs(conv(channels=60, filters=60, groups=60), peak=PEAK / 2, machine=ALONE).seconds()
    )


@given(st.integers(1, 512), st.integers(1, 512), st.sampled_from([7, 14, 28, 56]), st.sampled_from([1, 3, 5]))
def test_arrays_of_convolutions_are_timed_as_one_by_one(channels: int, filters: int, size: int, kernel: int):
    curve, more = BlockedCurve(), np.array([1.0, 2.0])
    both = conv(channels * more, filters * more, size, kernel)
    found = curve.roofs(both, peak=PEAK, machine=MACHINE).seconds()
    for i in range(2):
        one = conv(channels * (i + 1), filters * (i + 1), size, kernel)
        assert found[i] == pytest.approx(float(curve.roofs(one, peak=PEAK, machine=MACHINE).seconds()))
        assert math.isfinite(found[i]) and found[i] > 0


def test_fewer_cores_compute_less_and_keep_memory_and_shared_cache():
    whole, one = device("amd-epyc-turin-2core"), cores_of(device("amd-epyc-turin-2core"), 1)
    assert one.peak_flops["fp32"] == whole.peak_flops["fp32"] / 2
    assert one.cache["l2"] == whole.cache["l2"] / 2 and one.cache["l3"] == whole.cache["l3"]
    assert one.memory_bandwidth == whole.memory_bandwidth
    assert cores_of(whole, None) is whole


@pytest.mark.parametrize(("name", "count"), [("amd-epyc-turin-2core", 3), ("nvidia-a100-sxm-80gb", 1)])
def test_cores_that_are_not_there_are_refused(name: str, count: int):
    with pytest.raises(InputError, match="threads"):
        cores_of(device(name), count)


@pytest.mark.parametrize("backend", ["onnxruntime", "vllm"])
def test_accelerators_borrow_no_curves_of_processors(backend: str):
    relatives = calibrations_for(device("amd-mi300x-192gb"), backend=backend).relatives
    assert all(device(str(c.device)).kind != "cpu" for c in relatives)
    assert calibrations_for(device("amd-epyc-turin-2core"), backend=backend).own
