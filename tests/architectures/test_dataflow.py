"""Reconfigurable dataflow with tiers of memory, and devices of several dies."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.hardware.architectures.work import work_of
from simulator.hardware.device import device
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.workloads.dtypes import dtype
from simulator.workloads.operators import Elementwise, Gemm

BF16, INT8 = dtype("bf16"), dtype("int8")


def layers(rows=1, width=4096, count=12):
    """Products with norms and activations between them."""
    found = []
    for _ in range(count):
        found += [(Gemm(rows, width, width, BF16, BF16), 1), (Elementwise(rows * width, 1, 1, 8.0, BF16), 1)]
    return found


def seconds(on, launches):
    roofs = on.architecture.schedule(launches, on)
    return sum(float(np.asarray(r.seconds())) * n for r, (_, n) in zip(roofs, launches, strict=True))


def test_a_fused_decode_step_takes_its_weights_and_one_launch():
    on = device("sambanova-sn40l")
    made = on.architecture
    weights = 12 * 4096 * 4096 * 2.0
    ends = 2 * 4096 * 2.0
    expected = (weights + ends) / (on.memory_bandwidth * made.reached) + made.launch_us * 1e-6
    assert seconds(on, layers()) == pytest.approx(expected)


def test_fusing_gains_what_the_paper_reports():
    """Prabhakar et al., arXiv:2405.07518, section 6: 2 to 13 times over operators one by one."""
    fused, alone = device("sambanova-sn40l"), device("sambanova-sn40l-unfused")
    for rows, width in ((1, 1024), (512, 1024)):
        gain = seconds(alone, layers(rows, width)) / seconds(fused, layers(rows, width))
        assert 1.2 < gain < 13.0


def test_stages_that_fit_no_longer_make_a_section_of_their_own():
    on = device("sambanova-sn40l")
    ops = [(op, 1.0) for op, _ in layers()]
    assert len(on.architecture.sections(ops, on)) == 1
    small = replace(on, cache={"sram": 100e6})
    assert len(small.architecture.sections(ops, small)) == 6  # two products of 33.6 MB fit, with what is between


def test_weights_beyond_the_fast_memory_come_from_the_large_one():
    on = device("sambanova-sn40l")
    half = replace(on, architecture=replace(on.architecture, fast=6 * 4096 * 4096 * 2.0))
    weights = 12 * 4096 * 4096 * 2.0
    more = seconds(half, layers()) - seconds(on, layers())
    rate = on.memory_bandwidth * on.architecture.reached
    assert more == pytest.approx(weights / 2 * (1 / on.architecture.large_bandwidth - 1 / rate), rel=1e-6)


def test_operator_by_operator_and_alone_are_the_same_without_fusion():
    on = device("sambanova-sn40l-unfused")
    launches = layers(64)
    one = sum(float(np.asarray(on.architecture.roofs(op, on).seconds())) for op, _ in launches)
    assert seconds(on, launches) == pytest.approx(one)


def test_dies_share_filters_and_the_link_carries_inputs_once():
    on = device("nvidia-simba-36")
    op = Gemm(4096, 36 * 8, 512, INT8, INT8)
    roofs = on.architecture.roofs(op, on)
    die = on.architecture.die
    one = die.cycles(replace(work_of(op).products[0], n=8))
    assert float(roofs.compute) * 1.736e9 == pytest.approx(float(one), rel=0.01)
    carried = 4096 * 512 * INT8.bytes + 4096 * 8 * INT8.bytes
    assert float(roofs.memory) == pytest.approx(carried / 100e9)


def test_one_filter_uses_one_die_and_no_link():
    on = device("nvidia-simba-36")
    roofs = on.architecture.roofs(Gemm(4096, 1, 512, INT8, INT8), on)
    assert float(roofs.memory) == 0.0 and float(roofs.overhead) == 0.0


def test_simba_runs_resnet_50_in_about_the_published_time():
    """Shao et al., MICRO 2019: 0.50 ms at batch 1."""
    found = infer(InferenceScenario(model="resnet-50", device="nvidia-simba-36", format="int8"))
    assert found.seconds == pytest.approx(0.50e-3, rel=0.60)
