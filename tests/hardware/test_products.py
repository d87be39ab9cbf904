"""Times of products with zeros, of single bits, by tables, in chains and of fused attention, against closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.engine.inference.spending import spent
from simulator.hardware.architectures.work import work_of
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.formats import format_on
from simulator.hardware.law import TimingLaw
from simulator.hardware.products import multiplying_share
from simulator.hardware.relatives import calibrations_for
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Fused, Gemm
from simulator.workloads.operators.products import BitSerial, Chained, FullAttention, Lookup, Sparse
from simulator.workloads.sparsity import pattern

FP16, FP32 = DTYPES["fp16"], DTYPES["fp32"]
LARGE = Gemm(8192, 8192, 8192, FP16, FP16)
SKINNY = Gemm(8, 8192, 8192, FP16, FP16)


def law(name):
    found = device(name)
    return TimingLaw(found, calibrations_for(found), fabric_of(found, None))


def test_two_of_four_halves_arithmetic_where_units_skip():
    sparse = Sparse(LARGE, 0.5, pattern("2:4"))
    for name, times in (("nvidia-a100-sxm-80gb", 0.5), ("nvidia-v100-sxm-32gb", 1.0)):
        dense, found = law(name).roofs(LARGE), law(name).roofs(sparse)
        assert found.compute == pytest.approx(times * dense.compute)


def test_loading_sparse_and_computing_dense_saves_traffic_only():
    """At 80 % zeros a 16-bit place and number each take 0.4 of the dense bytes (Flash-LLM, arXiv:2309.10285)."""
    a100 = law("nvidia-a100-sxm-80gb")
    dense, found = a100.roofs(SKINNY), a100.roofs(Sparse(SKINNY, 0.2, pattern("unstructured"), dense=True))
    assert found.compute == dense.compute
    weights = 8192 * 8192 * 2.0
    assert found.memory / dense.memory == pytest.approx((SKINNY.bytes() - 0.6 * weights) / SKINNY.bytes())
    assert found.seconds() < 0.6 * dense.seconds()


def test_unstructured_weights_are_slower_on_vector_units_than_dense_ones_on_tensor_cores():
    """Sputnik's own observation (arXiv:2006.10901): sparsity has to be extreme against half-precision units."""
    a100 = law("nvidia-a100-sxm-80gb")
    assert a100.seconds(Sparse(LARGE, 0.2, pattern("csr"))) > a100.seconds(LARGE)
    assert a100.seconds(Sparse(LARGE, 0.005, pattern("csr"))) < a100.seconds(LARGE)


def test_sparse_kernels_of_processors_scale_with_density():
    cpu = law("intel-xeon-8480")
    wide = Gemm(4096, 512, 512, FP32, FP32)
    times = [float(np.asarray(cpu.roofs(Sparse(wide, d, pattern("block-4x1"))).compute)) for d in (0.1, 0.2)]
    assert times[1] == pytest.approx(2 * times[0])
    assert multiplying_share(1) == pytest.approx(0.4)
    assert multiplying_share(1) < multiplying_share(2) < multiplying_share(4)


def test_single_bits_on_a_processor_are_32_lanes_in_three_instructions():
    cpu = law("apple-m2-pro-cpu")
    bits = Gemm(1024, 1024, 1024, DTYPES["binary"], DTYPES["binary"])
    floats = Gemm(1024, 1024, 1024, FP32, FP32)
    share = cpu.calibrations.find("gemm", "fp32").curve.compute
    ideal = floats.flops() / (cpu.peak("fp32") * share)
    assert cpu.roofs(BitSerial(bits)).compute == pytest.approx(ideal * 3 / 32)
    assert cpu.roofs(BitSerial(bits, 4.0)).compute == pytest.approx(4 * ideal * 3 / 32)


def test_look_ups_take_time_by_the_bits_of_a_weight():
    cpu = law("apple-m2-pro-cpu")
    made = {bits: Lookup(Gemm(64, 4096, 4096, DTYPES["int4"], FP16), bits) for bits in (1, 2, 4)}
    times = {bits: float(np.asarray(cpu.roofs(op).compute)) for bits, op in made.items()}
    built = made[1].entries / (cpu.peak("fp32") / 2) / cpu.calibrations.find("gemm", "fp32").curve.compute
    assert times[2] - built == pytest.approx(2 * (times[1] - built))
    assert times[4] - built == pytest.approx(4 * (times[1] - built))


def test_a_chain_is_one_launch_that_moves_its_ends():
    a100 = law("nvidia-a100-sxm-80gb")
    one = Gemm(4096, 64, 64, FP16, FP16)
    chain = Chained(((one, 1.5), (one, 1.0)), one.bytes())
    single = a100.roofs(one)
    found = a100.roofs(chain)
    assert found.compute == pytest.approx(2.5 * single.compute)
    assert found.memory == pytest.approx(single.memory)
    assert found.overhead == single.overhead


@pytest.mark.parametrize("name", ["nvidia-a100-sxm-80gb", "nvidia-t4-16gb", "intel-xeon-8480"])
def test_fused_attention_is_never_faster_than_its_roofs(name):
    machine = law(name)
    op = FullAttention(64.0, 4096.0, 4096.0, 4096.0, 64.0, 64.0, FP16, 64.0)
    seconds = float(np.asarray(machine.seconds(op)))
    assert seconds > 2 * op.macs / machine.peak("fp16")
    assert seconds > op.bytes() / machine.device.memory_bandwidth
    half = float(np.asarray(machine.seconds(replace(op, attended=2048.0))))
    assert 0.4 * seconds < half < seconds


@pytest.mark.parametrize(("name", "most"), [("nvidia-a100-sxm-80gb", 1.5), ("apple-m2-pro-cpu", 2.0)])
def test_attention_of_one_query_streams_its_keys(name, most):
    """A query does two FLOPs a number of its keys and values: their traffic bounds it, with no tile of other rows."""
    machine = law(name)
    keys = 1 << 18
    op = FullAttention(12.0, 1.0, keys, keys, 64.0, 64.0, FP32, 12.0)
    streamed = op.bytes() / machine.device.memory_bandwidth
    assert 0.95 < float(np.asarray(machine.seconds(op))) / streamed < most
    assert machine.seconds(op) < machine.seconds(replace(op, tokens=16.0))


def test_products_of_one_row_stream_their_weights_on_a_processor():
    """Vector units have no tile of rows to fill, so that a row costs its weights' traffic, and 64 cost more."""
    cpu = law("apple-m2-pro-cpu")
    row = Gemm(1, 8192, 8192, FP32, FP32)
    share = cpu.calibrations.find("gemm", "fp32").curve.memory
    streamed = row.bytes() / (cpu.device.memory_bandwidth * share)
    assert 1.0 < float(np.asarray(cpu.seconds(row))) / streamed < 1.05
    assert cpu.seconds(replace(row, m=64)) > 2 * cpu.seconds(row)


def test_sizes_may_be_candidates_side_by_side():
    a100 = law("nvidia-a100-sxm-80gb")
    sizes = np.array([1.0, 256.0, 512.0, 1024.0])

    def ops(n):
        main = Gemm(n, n, n, FP16, FP16)
        return Sparse(main, 0.5, pattern("2:4")), Lookup(main, 2.0), FullAttention(8.0, n, n, n, 64.0, 64.0, FP16, 8.0)

    for at, op in enumerate(ops(sizes)):
        together = np.asarray(a100.seconds(op))
        alone = [float(np.asarray(a100.seconds(ops(size)[at]))) for size in sizes]
        assert together == pytest.approx(alone)


@pytest.mark.parametrize("op", [
    Sparse(LARGE, 0.5, pattern("2:4")), Lookup(LARGE, 2.0), BitSerial(LARGE), Chained(((LARGE, 1.5),), LARGE.bytes()),
    FullAttention(8.0, 512.0, 512.0, 512.0, 64.0, 64.0, FP16, 8.0),
])  # fmt: skip
def test_architectures_of_their_own_see_the_same_bytes(op):
    work = work_of(op)
    assert work.bytes == pytest.approx(op.bytes())
    multiplied = {Chained: 1.5 * LARGE.flops() / 2, FullAttention: 8 * 512 * 512 * 128}
    assert work.macs == pytest.approx(multiplied.get(type(op), LARGE.flops() / 2))


def test_processors_of_their_own_architecture_run_sparse_kernels():
    board = law("raspberry-pi-4b")
    main = Gemm(3136, 128, 64, FP32, FP32)
    sparse, fused = Sparse(main, 0.1, pattern("block-4x1")), Fused(Sparse(main, 0.1, pattern("block-4x1")), 0.0, 0.0)
    assert board.roofs(fused).compute == pytest.approx(board.roofs(sparse).compute)
    assert board.roofs(sparse).compute < 0.2 * board.roofs(main).compute


def test_what_is_between_products_of_bits_is_done_in_whole_numbers():
    """A processor without an arithmetic of bits takes pooling and activations of them in the format that it has."""
    assert format_on({"fp32": 1.0, "int8": 4.0}, "binary") == "int8"
    assert format_on({"fp32": 1.0}, "binary") == "fp32"


def test_processors_unpack_weights_of_few_bits():
    """Four instructions a vector of 16 numbers of 8 bits on top of the products (llama.cpp), for any few bits."""
    board = law("raspberry-pi-4b")
    whole = Gemm(1, 4096, 4096, DTYPES["int8"], DTYPES["int8"])
    share = board.calibrations.find("gemm", "fp32").curve.compute
    vectors = board.peak("fp32") / 8 * share
    for name in ("q4_0", "q2_k"):
        found = board.roofs(replace(whole, weight=DTYPES[name]))
        assert found.compute - board.roofs(whole).compute == pytest.approx(4096 * 4096 / 16 * 4 / vectors)
        assert found.memory < board.roofs(whole).memory
    graphics = law("nvidia-a100-sxm-80gb")
    two, four = (graphics.roofs(replace(SKINNY, weight=DTYPES[name])) for name in ("int2", "int4"))
    assert two.compute <= four.compute


def test_products_of_bits_are_fed_no_quicker_than_others():
    """Fewer planes are less arithmetic, down to what feeds the units."""
    a100 = law("nvidia-a100-sxm-80gb")
    main = replace(LARGE, weight=DTYPES["int2_serial"], activation=DTYPES["int8"])
    times = [float(np.asarray(a100.roofs(BitSerial(main, planes)).compute)) for planes in (64.0, 32.0, 16.0)]
    assert times[0] == pytest.approx(2 * times[1], rel=0.02)
    assert times[1] > times[2] >= 0.5 * times[1]


def test_look_ups_keep_a_core_busy_though_they_are_few_operations():
    """On a processor the least time of instructions that multiply nothing is that of the instructions."""
    board = law("raspberry-pi-5")
    op = Lookup(Gemm(1, 4096, 4096, DTYPES["int2_int8"], FP16), 2.0)
    taken = spent(op, board)
    busy, moved = taken.compute, taken.memory
    assert busy == pytest.approx(board.roofs(op).compute)
    assert busy > 2 * op.flops() / board.peak("fp32")
    assert moved == pytest.approx(op.bytes() / board.device.memory_bandwidth)
