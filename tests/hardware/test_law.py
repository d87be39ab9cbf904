"""The timing law and the collectives against closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.hardware.calibration import load_calibration
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
from simulator.hardware.kernels import DecodeCurve, GemmCurve, Machine
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import Link
from simulator.hardware.power import device_power
from simulator.hardware.relatives import calibrations_for, lent
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Attention, Collective, Convolution, Elementwise, Experts, Gemm, HeadShape
from simulator.workloads.span import Span

LINK = Link("test", 100e9, 1e-6, 1.0, "made up")
SLOW = Link("slow", 10e9, 5e-6, 1.0, "made up")
FABRIC = Fabric(LINK, SLOW, 8, False, SLOW)


def law(name: str = "nvidia-h100-sxm-80gb") -> TimingLaw:
    found = device(name)
    return TimingLaw(found, calibrations_for(found), fabric_of(found, None))


def test_ring_all_reduce_moves_two_times_p_minus_one_over_p() -> None:
    assert ring_all_reduce(8e9, 8, LINK) == pytest.approx(14 * 1e-6 + 2 * 7 / 8 * 8e9 / 100e9)


def test_ring_all_reduce_is_reduce_scatter_then_all_gather() -> None:
    assert ring_all_reduce(1e6, 4, LINK) == pytest.approx(2 * ring_all_gather(1e6, 4, LINK))


def test_all_to_all_keeps_one_share() -> None:
    assert all_to_all(1e9, 4, LINK) == pytest.approx(1e-6 + 0.75e9 / 100e9)


def test_small_messages_take_the_quick_algorithm_and_large_ones_the_ring() -> None:
    switch = Fabric(LINK, SLOW, 8, True, SLOW)
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


HEADS = HeadShape(32, 8, 128, 128, 2048)


def test_ridge_point_separates_the_bounds() -> None:
    """Below peak e_c / (bandwidth e_m) FLOP/byte an operator is memory-bound, above compute-bound."""
    timing = law()
    curve = timing.calibrations.find("streaming", "elementwise").curve
    ridge = timing.peak("fp32") * curve.compute / (timing.device.memory_bandwidth * curve.memory)
    size = 1e9
    for factor, bound in ((0.9, "memory"), (1.1, "compute")):
        op = Elementwise(size, 1, 1, ridge * factor * 4)
        assert timing.roofs(op).bound() == bound


@pytest.mark.parametrize("name", ["nvidia-h100-sxm-80gb", "amd-mi300x-192gb"])
def test_large_gemm_runs_at_its_share_of_peak(name: str) -> None:
    timing = law(name)
    op = Gemm(16384.0, 16384.0, 16384.0)
    share = op.flops() / timing.peak("bf16") / timing.seconds(op)
    assert share == pytest.approx(timing.calibrations.find("gemm", "bf16").curve.compute, rel=0.15)


def test_last_wave_is_paid_in_full() -> None:
    """Where no inner split helps, one tile more than a full wave costs a second wave."""
    curve = GemmCurve(0.8, 0.8, wave=1.0, tile_loss=0.0, prologue=0.0, step=0.0)
    machine = Machine(1e15, 100, 0.0)

    def tiled(n: float) -> float:
        sizes = {"weight": 2.0, "activation": 2.0, "peak": 1e15, "machine": machine, "splits": (1,)}
        return float(np.asarray(curve.tiled(256.0, n, 4096.0, **sizes)))  # type: ignore[arg-type]

    assert tiled(256.0 * 101) > tiled(256.0 * 100) == pytest.approx(2 * 256 * 256 * 100 * 4096 / 0.8e15)


def test_quantised_weights_save_bytes_not_flops() -> None:
    timing = law()
    plain, small = Gemm(1.0, 8192.0, 8192.0), Gemm(1.0, 8192.0, 8192.0, DTYPES["int4"])
    assert small.flops() == plain.flops()
    assert timing.seconds(small) < 0.8 * timing.seconds(plain)


def test_formats_without_units_run_in_the_next_wider_one() -> None:
    assert law("nvidia-a100-sxm-80gb").peak("fp8") == 312e12
    assert law("nvidia-v100-sxm-16gb").peak("bf16") == law("nvidia-v100-sxm-16gb").peak("fp16")


@pytest.mark.parametrize("name", [n for n in device_names() if device(n).architecture is None])
def test_every_device_times_a_decode_step(name: str) -> None:
    timing = law(name)
    op = Attention(Span(), HEADS, HEADS, ((0, 100),), 16, 100_000)
    for seconds in (timing.seconds(op), timing.seconds(Gemm(16.0, 4096.0, 4096.0))):
        assert 0 < float(np.asarray(seconds)) < 10


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(16, 9000))
def test_more_rows_never_take_less_time(m: int, more: int, n: int) -> None:
    timing = law()
    sizes = np.array([m, m + more], dtype=np.float64)
    short, long = timing.seconds(Gemm(sizes, float(n), 4096.0))
    assert long >= short * (1 - 1e-12)


def test_nothing_to_do_takes_no_time() -> None:
    assert float(np.asarray(law().seconds(Attention(Span(), HEADS, HEADS)))) == 0.0
    assert float(np.asarray(law().seconds(Gemm(0.0, 128.0, 128.0)))) == 0.0
    assert float(np.asarray(law().seconds(Experts(0.0, 128.0, 128.0, 2.0, 8.0)))) == 0.0


def test_power_lies_between_idle_and_tdp() -> None:
    found = device("nvidia-h100-sxm-80gb")
    watts = device_power(found, np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.7, 1.0]))
    assert watts[0] == found.idle_power
    assert watts[-1] == found.tdp
    assert (np.diff(watts) >= 0).all()


@given(st.integers(1, 256), st.integers(1, 50_000), st.integers(1, 50_000))
def test_longer_contexts_never_decode_faster(sequences: int, context: int, more: int) -> None:
    kernel = law().attention(HEADS, HEADS)
    short, long = kernel.decoding(float(sequences), sequences * np.array([context, context + more], float)).seconds()
    assert long >= short * (1 - 1e-12)


@given(st.integers(0, 20_000), st.integers(1, 20_000), st.integers(1, 5_000))
def test_longer_prompts_never_take_less_time(cached: int, new: int, more: int) -> None:
    kernel = law().attention(HEADS, HEADS)
    assert kernel.seconds(kernel.work(((cached, new + more),))) >= kernel.seconds(kernel.work(((cached, new),)))
    assert kernel.seconds(kernel.work(((cached + more, new),))) >= kernel.seconds(kernel.work(((cached, new),)))


def test_a_number_and_an_array_round_alike() -> None:
    """The engine asks for one step or for a thousand and must get the same bits."""
    curve = DecodeCurve(0.3, 0.8)
    machine = Machine(3e12, 132, 0.0)
    tokens = np.arange(1, 500, dtype=float) * 37
    many = curve.seconds(7.0, tokens, HEADS, peak=1e15, machine=machine)
    assert [float(curve.seconds(7.0, t, HEADS, peak=1e15, machine=machine)) for t in tokens] == many.tolist()


def test_relatives_lend_their_curves_and_the_result_says_so() -> None:
    borrowed = calibrations_for(device("nvidia-h200-sxm-141gb"))
    assert borrowed.name == "uncalibrated, by the curves of nvidia-h100-sxm-80gb as vllm runs it"
    assert borrowed.find("gemm", "fp8").calibration.device == "nvidia-h100-sxm-80gb"
    own = calibrations_for(device("nvidia-h100-sxm-80gb"), backend="trtllm")
    assert own.own[0].backend == "trtllm"
    assert not calibrations_for(device("nvidia-h100-sxm-80gb"), own=False).own


@pytest.mark.parametrize(
    ("name", "lender"),
    [
        ("nvidia-gb200-192gb", "nvidia-b200-sxm-180gb"),
        ("nvidia-h20-96gb", "nvidia-h100-sxm-80gb"),
        ("nvidia-a30", "nvidia-a100-sxm-80gb"),
        ("nvidia-rtx-6000-ada-48gb", "nvidia-l40s-48gb"),
        ("nvidia-rtx-5090-32gb", "nvidia-rtx-pro-6000-96gb"),
    ],
)
def test_the_nearest_relative_lends(name: str, lender: str) -> None:
    found = calibrations_for(device(name)).find("gemm", "bf16")
    assert found.calibration.device == lender


def test_a_gpu_borrows_nothing_from_a_processor_of_its_vendor() -> None:
    kinds = [{device(c.device).kind for c in calibrations_for(device(n)).relatives if c.device} for n in device_names()]
    assert all(found <= {device(n).kind} for n, found in zip(device_names(), kinds, strict=True))


@pytest.mark.parametrize("backend", ["vllm", "pytorch", "onnxruntime"])
@pytest.mark.parametrize("name", ["amd-epyc-turin-2core", "nvidia-t4-16gb", "amd-mi300x-192gb"])
def test_convolutions_without_a_curve_of_their_format_are_timed_as_products(name: str, backend: str) -> None:
    known = calibrations_for(device(name), backend=backend)
    for number in DTYPES:
        assert known.find("convolution", number).curve is not None


@pytest.mark.parametrize("backend", ["vllm", "pytorch"])
@pytest.mark.parametrize("name", [n for n in device_names() if device(n).kind == "gpu"])
def test_no_borrowed_curve_exceeds_the_datasheet(name: str, backend: str) -> None:
    """Large products take their arithmetic at the peak at least, large norms their bytes beyond the cache."""
    on, half = device(name), DTYPES["fp16"]
    law = TimingLaw(on, calibrations_for(on, backend=backend, own=False), fabric_of(on, None))
    for op in (Gemm(1 << 14, 1 << 13, 1 << 13, half, half), Convolution(64, 512, 512, 784, 784, 9, 1, half, half)):
        assert law.seconds(op) >= op.flops() / law.peak("fp16")
    norm = Elementwise(2e9, 1.0, 1.0, 8.0, half, "norm")
    assert law.seconds(norm) >= (norm.bytes() - law.machine.cache) / on.memory_bandwidth


def test_what_a_unit_draws_goes_with_its_arithmetic() -> None:
    h100, l40s = device("nvidia-h100-sxm-80gb"), device("nvidia-l40s-48gb")
    lender = calibrations_for(h100).own[0]
    borrowed = lent(lender, l40s)
    assert borrowed.curves["gemm"]["bf16"].feed == pytest.approx(lender.curves["gemm"]["bf16"].feed / 4, rel=0.05)
    assert borrowed.curves["decode"] == lender.curves["decode"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nsource: y\n", "holds a mapping with name, source and curves"),
        ("name: x\ncurves: {}\n", "lacks 'source'"),
        ("name: x\nsource: y\ncurves: {gem: {}}\n", "unknown curve family 'gem': did you mean gemm"),
        ("name: x\nsource: y\ncurves: {gemm: {bf16: 5}}\n", "curves.gemm.bf16: give a mapping"),
        ("name: x\nsource: y\ncurves: {gemm: {bf16: {compute: 0.5}}}\n", "missing 1 required positional"),
        ("name: x\nsource: y\ncurves: {gemm: {bf16: {compute: -1, memory: 1}}}\n", "compute is -1: expected a float"),
        ("name: x\nsource: y\ncurves: {gemm: {bf16: {speed: 1}}}\n", "unknown curves.gemm.bf16 parameter 'speed'"),
    ],
)
def test_calibration_errors_name_the_field(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_calibration(path)
