"""Systolic arrays against SCALE-Sim's equations worked by hand, and against bounds that hold for any of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.hardware.architectures.systolic import Systolic
from simulator.hardware.architectures.work import Product
from simulator.hardware.device import device
from simulator.workloads.dtypes import dtype
from simulator.workloads.operators import Convolution, Elementwise, Fused, Gemm

INT8 = dtype("int8")


@pytest.mark.parametrize(
    ("stationary", "cycles"),
    [
        # 100 x 50 by 50 x 40 on 32 x 32, one fold 2 R + C + T - 2 (SCALE-Sim, ISPASS 2020, equations 3 and 4)
        ("output", 4 * 2 * (2 * 32 + 32 + 50 - 2)),  # ceil(100 / 32) ceil(40 / 32) folds of k = 50 steps
        ("weight", 2 * 2 * (2 * 32 + 32 + 100 - 2)),  # ceil(50 / 32) ceil(40 / 32) folds of m = 100 steps
        ("input", 2 * 4 * (2 * 32 + 32 + 40 - 2)),  # ceil(50 / 32) ceil(100 / 32) folds of n = 40 steps
    ],
)
def test_cycles_are_those_of_scale_sim(stationary, cycles):
    assert Systolic(32, 32, stationary).cycles(Product(100, 40, 50)) == cycles


def test_a_product_of_the_size_of_the_array_takes_one_fold():
    assert Systolic(8, 8, "output").cycles(Product(8, 8, 8)) == 8 + 8 + 8 + 8 - 2


@given(
    st.sampled_from(["output", "weight", "input"]),
    st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.sampled_from([4, 16, 64]), st.booleans(),
)  # fmt: skip
def test_no_array_beats_its_multipliers(stationary, m, n, k, side, prefetch):
    cycles = Systolic(side, side, stationary, prefetch=prefetch).cycles(Product(m, n, k))
    assert cycles >= m * n * k / side**2


def test_prefetching_hides_all_but_one_filling():
    p = Product(1000, 640, 640)
    plain, hidden = (Systolic(64, 64, prefetch=f).cycles(p) for f in (False, True))
    assert plain - hidden == (100 - 1) * (2 * 64 + 64 - 2)
    assert p.macs / 64**2 / hidden > 0.99


def test_depthwise_convolutions_leave_most_of_the_array_idle():
    on = device("coral-edge-tpu-usb")
    full = Convolution.square(1, 512, 512, 14, 14, 3, weight=INT8, activation=INT8)
    deep = Convolution.square(1, 512, 512, 14, 14, 3, groups=512, weight=INT8, activation=INT8)
    alone = replace(on.architecture, packed=False)
    rates = [op.flops() / a.roofs(op, on).compute for op, a in ((full, on.architecture), (deep, on.architecture))]
    assert rates[1] < 0.05 * rates[0]
    assert alone.roofs(deep, on).compute > 5.0 * on.architecture.roofs(deep, on).compute


def test_operands_that_outgrow_their_buffers_come_again():
    tpu = device("google-tpu-v1")
    made, bandwidth = replace(tpu.architecture, on_chip=False), tpu.memory_bandwidth
    small = Gemm(1000, 1000, 1000, INT8, INT8)
    assert made.roofs(small, tpu).memory * bandwidth == pytest.approx(float(small.bytes()))
    # inputs and weights of 64 MB each against tiles of 4 MB (a sixth of 24 MB): one of them is read 16 times
    large = Gemm(8000, 8000, 8000, INT8, INT8)
    each = 8000 * 8000 * INT8.bytes
    assert made.roofs(large, tpu).memory * bandwidth == pytest.approx(each * (1 + 17 + 1), rel=0.01)


def test_the_ridge_of_the_first_tpu_is_where_its_paper_has_it():
    """Jouppi et al., ISCA 2017, figure 5: about 1350 multiply-adds a byte of weights."""
    tpu = device("google-tpu-v1")

    def balance(batch):
        roofs = tpu.architecture.roofs(Gemm(batch, 2048, 2048, INT8, INT8), tpu)
        return roofs.compute / roofs.memory

    found = next(b for b in range(300, 4000, 10) if balance(b) >= 1.0)
    assert found == pytest.approx(1350, rel=0.05)


def test_sizes_may_be_arrays():
    on = device("coral-edge-tpu-usb")
    rows = np.array([10.0, 500.0, 3000.0])
    many = on.architecture.roofs(Gemm(rows, 640, 640, INT8, INT8), on).seconds()
    assert many == pytest.approx([on.architecture.roofs(Gemm(m, 640, 640, INT8, INT8), on).seconds() for m in rows])


def test_softmax_takes_turns_on_the_row_or_is_done_in_the_array():
    bf16 = dtype("bf16")
    softmax = Elementwise(1e6, 1, 1, 5.0, bf16, "softmax")
    apart, inside = device("flat-256"), device("fusemax-256")
    assert float(np.asarray(apart.architecture.roofs(softmax, apart).compute)) == pytest.approx(5e6 / 256 / 0.94e9)
    product = Gemm(1024, 1024, 64, bf16, bf16)
    fused = Fused(product, 5.0 * 1024**2, 0.0)
    alone, both = (float(np.asarray(inside.architecture.roofs(op, inside).compute)) for op in (product, fused))
    assert both - alone == pytest.approx(5.0 * 1024**2 / 256**2 / 0.94e9)
