"""Processors by SIMD width and caches: peaks, ridge points and what a library's blocking does to traffic."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.hardware.architectures.cpu import Cpu
from simulator.hardware.device import device, device_names
from simulator.workloads.dtypes import dtype
from simulator.workloads.operators import Convolution, Elementwise, Gemm

FP32 = dtype("fp32")
CPUS = [n for n in device_names() if isinstance(device(n).architecture, Cpu)]


@pytest.mark.parametrize("name", CPUS)
def test_peaks_are_cores_by_clock_by_width(name):
    on = device(name)
    lanes = on.architecture.simd_bits / 32.0
    derived = on.units["sm"] * on.units["clock_ghz"] * 1e9 * on.architecture.pipes * lanes * 2.0
    assert on.peak_flops["fp32"] == pytest.approx(derived, rel=0.01)


def test_a_large_product_comes_near_the_peak_and_none_beats_it():
    on = device("qualcomm-snapdragon-855-cpu")
    for m, n, k in ((1200, 1024, 1024), (7, 33, 100), (1, 1000, 1000)):
        op = Gemm(m, n, k, FP32, FP32)
        share = op.flops() / on.architecture.roofs(op, on).seconds() / on.peak_flops["fp32"]
        assert share <= 1.0 + 1e-9
        if m == 1200:
            assert share > 0.8


def test_a_vector_product_is_bound_by_the_weights():
    on = device("raspberry-pi-4b")
    op = Gemm(1, 4096, 4096, FP32, FP32)
    reached = on.memory_bandwidth * on.architecture.memory_share
    assert on.architecture.roofs(op, on).seconds() == pytest.approx(4096 * 4096 * 4 / reached, rel=0.1)


def test_small_tensors_stay_in_the_cache():
    on = device("qualcomm-snapdragon-855-cpu")
    fits, spills = (Elementwise(n, 1, 1, 1.0, FP32) for n in (1e4, 1e7))
    rate = [on.architecture.roofs(op, on).seconds() / op.elements for op in (fits, spills)]
    assert rate[1] > 2.0 * rate[0]


def test_a_library_without_blocking_reads_weights_for_each_row_of_tiles():
    on = device("raspberry-pi-3b-plus")
    op = Gemm(160, 1024, 1024, FP32, FP32)  # 4 MB of weights against 512 KB of cache, 10 rounds of 16 rows
    memory = on.architecture.roofs(op, on).memory
    assert memory == pytest.approx(10 * 4 * 1024**2 / (on.memory_bandwidth * on.architecture.memory_share), rel=0.2)
    assert replace(on.architecture, blocked=True).roofs(op, on).memory < memory


def test_depthwise_loads_bind_where_products_do_not():
    on = device("google-pixel-1-core")
    deep = Convolution.square(1, 512, 512, 14, 14, 3, groups=512, weight=FP32, activation=FP32)
    point = Convolution.square(1, 512, 512, 14, 14, 1, weight=FP32, activation=FP32)
    share = [op.flops() / on.architecture.roofs(op, on).seconds() / on.peak_flops["fp32"] for op in (deep, point)]
    assert share[0] < 0.6 < share[1]


def test_sizes_may_be_arrays():
    on = device("raspberry-pi-5")
    rows = np.array([1.0, 50.0, 3000.0])
    many = on.architecture.roofs(Gemm(rows, 640, 640, FP32, FP32), on).seconds()
    assert many == pytest.approx([on.architecture.roofs(Gemm(m, 640, 640, FP32, FP32), on).seconds() for m in rows])
