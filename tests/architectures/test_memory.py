"""Arithmetic in DRAM and in Flash, and neuromorphic chips: closed forms."""

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.hardware.device import device
from simulator.hardware.energy import operator_joules
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.relatives import calibrations_for
from simulator.workloads.dtypes import dtype
from simulator.workloads.operators import Attention, Elementwise, Gemm, HeadShape
from simulator.workloads.span import Span

FP16, INT8 = dtype("fp16"), dtype("int8")


def law(name):
    on = device(name)
    return TimingLaw(on, calibrations_for(on), fabric_of(on, None))


def test_a_vector_product_runs_at_the_banks_bandwidth():
    on = device("samsung-hbm-pim-a100")
    roofs = on.architecture.roofs(Gemm(1, 8192, 8192, FP16, FP16), on)
    vectors = 2 * 8192 * 2.0 / on.memory_bandwidth
    assert float(roofs.memory) == pytest.approx(8192 * 8192 * 2.0 / 4915e9 + vectors)


@pytest.mark.parametrize(("rows", "passes"), [(1, 1.0), (8, 1.0), (32, 4.0)])
def test_rows_on_a_logic_die_share_a_pass_of_the_matrix(rows, passes):
    on = device("duplex-h100")
    roofs = on.architecture.roofs(Gemm(rows, 8192, 8192, FP16, FP16), on)
    vectors = 2 * rows * 8192 * 2.0 / on.memory_bandwidth
    assert float(roofs.memory) == pytest.approx(passes * 8192 * 8192 * 2.0 / 13400e9 + vectors)
    assert on.architecture.lacks(Gemm(33, 8192, 8192, FP16, FP16), on) is not None


def test_what_is_no_vector_product_goes_to_the_host_in_place():
    pim, gpu = law("samsung-hbm-pim-a100"), law("nvidia-a100-sxm-80gb")
    for op in (Gemm(512, 4096, 4096, FP16, FP16), Elementwise(1e6, 2, 1, 1.0, FP16)):
        assert pim.roofs(op).seconds() == gpu.roofs(op).seconds()
    one = Gemm(1, 8192, 8192, FP16, FP16)
    assert pim.roofs(one).seconds() < 0.6 * gpu.roofs(one).seconds()


def test_decoding_attention_reads_the_cache_in_the_banks():
    on = device("samsung-hbm-pim-a100")
    heads = HeadShape(32, 32, 128, 128, 2 * 32 * 128, FP16, FP16)
    op = Attention(Span(), heads, heads, (), 1.0, 4096.0)
    assert on.architecture.lacks(op, on) is None
    inside = float(np.asarray(on.architecture.roofs(op, on).memory)) * 4915e9
    assert inside == pytest.approx(4096 * 2 * 32 * 128 * 2.0, rel=0.1)


def test_dies_and_channels_share_a_matrix():
    on = device("cambricon-llm-s")
    made = on.architecture
    op = Gemm(1, 4096, 4096, INT8, INT8)
    weights = 4096 * 4096 * INT8.bytes
    rate = min(64 * 16384 / 30e-6, 64 * 0.6e9 * INT8.bytes) + 8e9
    vectors = 2 * 4096 * INT8.bytes / on.memory_bandwidth
    assert float(made.roofs(op, on).memory) == pytest.approx(weights / rate + vectors)


def test_many_rows_leave_the_matrix_to_the_accelerator():
    on = device("cambricon-llm-s")
    inside, out = on.architecture._rates(4096.0 * 4096**2, 4096.0**2)
    assert inside < 0.01 * out
    one, _ = on.architecture._rates(4096.0**2, 4096.0**2)
    assert one == pytest.approx(on.architecture.inside_bandwidth)


def test_other_arithmetic_takes_the_energy_of_an_addition_where_it_is_known():
    op = Elementwise(1e6, 2, 1, 3.0, dtype("fp32"))
    assert operator_joules(op, device("multipliers-45nm")) == pytest.approx(3e6 * 0.9e-12)
    product = Gemm(10, 1000, 1000, dtype("fp32"), dtype("fp32"))
    dear, cheap = (operator_joules(product, device(name)) for name in ("multipliers-45nm", "l-mul-45nm"))
    assert dear - cheap == pytest.approx(1e7 * (3.7 - 0.1) * 1e-12)


def test_energy_of_a_product_is_that_of_its_operations_and_bytes():
    on = device("cambricon-llm-s")
    op = Gemm(1, 1000, 1000, INT8, INT8)
    moved = 2000 * INT8.bytes * 40e-12 + 1e6 * INT8.bytes * 100e-12
    assert operator_joules(op, on) == pytest.approx(1e6 * 0.5e-12 + moved)


def test_spikes_take_the_published_energy_and_steps_a_barrier():
    loihi = device("intel-loihi")
    made = loihi.architecture
    layers = [(Gemm(1, 1024, 1024, INT8, INT8), 1), (Gemm(1, 512, 1024, INT8, INT8), 1)]
    events = 1.5 * 1024**2 * made.activity * made.steps
    joules = sum(float(np.asarray(operator_joules(op, loihi))) for op, _ in layers)
    assert joules == pytest.approx(events * 23.6e-12)
    total = sum(float(r.seconds()) for r in made.schedule(layers, loihi))
    # the first layer's core is the slowest: 64 cores for each of the two
    each = 1024**2 * made.activity / (64 * made.core_events)
    assert total == pytest.approx((made.steps + 1) * (each + made.barrier_us * 1e-6))


def test_a_network_of_too_many_neurons_is_refused():
    with pytest.raises(InputError, match=r"intel-loihi: the network's neurons take 196 cores of 1,024, 68 more"):
        law("intel-loihi").all_roofs([(Gemm(196, 1024, 64, INT8, INT8), 1)])
