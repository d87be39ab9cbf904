"""FPGAs: stages under a budget of multipliers, the interval of the slowest, latency as filling and interval."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.hardware.architectures.pipeline import allotted
from simulator.hardware.architectures.spatial import Spatial
from simulator.hardware.device import device, device_names
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.workloads.dtypes import dtype
from simulator.workloads.operators import Convolution, Gemm

INT8 = dtype("int8")
FPGAS = [n for n in device_names() if isinstance(device(n).architecture, Spatial)]


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=12), st.integers(12, 5000))
def test_units_are_dealt_in_proportion_and_not_more_than_there_are(work, units):
    work = np.array(work)
    shares = allotted(work, np.full(len(work), np.inf), units)
    assert (shares >= 1).all() and (shares == np.floor(shares)).all() and shares.sum() <= units
    # rounding down costs a stage less than half of its units, where it has more than one
    fair = units * work / work.sum()
    assert ((shares > fair / 2.0 - 1.0) | (shares == 1)).all()


def test_what_a_stage_cannot_use_goes_to_the_others():
    assert allotted(np.array([100.0, 100.0]), np.array([2.0, 1e9]), 50).tolist() == [2.0, 48.0]


@pytest.mark.parametrize("name", FPGAS)
def test_peaks_are_multipliers_by_clock(name):
    on = device(name)
    for format, peak in on.peak_flops.items():
        derived = 2.0 * on.architecture.multipliers(format) * on.units["clock_ghz"] * 1e9
        assert peak == pytest.approx(derived, rel=1e-3)


def test_equal_stages_share_the_multipliers_equally():
    on = device("amd-zcu102")
    layers = [(Convolution.square(1, 64, 64, 32, 32, 3, weight=INT8, activation=INT8), 1)] * 4
    each = on.architecture.multipliers("int8") // 4
    cycles = 1024 * np.ceil(64 * 64 * 9 / each)
    assert on.architecture.interval(layers, on) == pytest.approx(cycles / 200e6)
    # a stage waits for two rows and a position of 32 x 32 before the next can begin; one stage then does all its work
    filling = 3 * cycles * (2.0 / 32.0 + 1.0 / 1024.0) + 4 * on.architecture.depth
    total = sum(float(r.seconds()) for r in on.architecture.schedule(layers, on))
    assert total == pytest.approx((filling + cycles) / 200e6)


def test_a_pipeline_gives_answers_faster_than_its_latency_but_never_beats_its_multipliers():
    fields = {"model": "mobilenet-v1", "device": "amd-alveo-u250", "format": "int8"}
    found = infer(InferenceScenario(**fields))
    assert found.interval < found.seconds
    assert found.summary["interval_ms"] == pytest.approx(found.interval * 1e3)
    assert 2.0 * found.summary["macs"] / found.interval < found.law.device.peak_flops["int8"]


def test_vgg_runs_as_fast_as_dnnbuilder_reports():
    """Zhang et al., ICCAD 2018: up to 4218 GOPS of 8 bits on a KU115, at nearly full use of its slices."""
    found = infer(InferenceScenario(model="vgg-16", device="amd-ku115", format="int8"))
    assert 2.0 * found.summary["macs"] / found.interval == pytest.approx(4218e9, rel=0.25)


def test_weights_that_do_not_fit_the_chip_stream_in_for_each_answer():
    on = device("amd-zcu102")
    fits, streams = ([(Gemm(1, n, 4096, INT8, INT8), 1)] for n in (256, 8192))
    assert on.architecture.interval(streams, on) >= 8192 * 4096 / on.memory_bandwidth
    assert on.architecture.interval(fits, on) < 256 * 4096 / on.memory_bandwidth


def test_a_small_network_unrolled_whole_answers_in_every_cycle():
    """Duarte et al., arXiv:1804.06913: 16-64-32-32-5 unrolled whole has an interval of 1 and some 75 ns at 200 MHz."""
    on = device("amd-alveo-u280")
    widths = (16, 64, 32, 32, 5)
    layers = [(Gemm(1, n, k, INT8, INT8), 1) for k, n in pairwise(widths)]
    cycles = [float(r.compute) * 300e6 for r in on.architecture.schedule(layers, on)]
    assert on.architecture.interval(layers, on) * 300e6 == pytest.approx(1.0)
    assert sum(cycles) == pytest.approx(15, rel=0.7)


def test_an_engine_takes_layers_in_turn():
    on = device("amd-alveo-u280-engine")
    op = Gemm(512, 512, 512, INT8, INT8)
    assert on.architecture.interval([(op, 2)], on) == pytest.approx(2 * float(on.architecture.roofs(op, on).seconds()))
    one = Gemm(1, 4096, 4096, INT8, INT8)  # decoding streams its weights
    assert on.architecture.roofs(one, on).memory >= 4096 * 4096 / on.memory_bandwidth


def test_more_stages_than_multipliers_are_refused():
    on = device("amd-pynq-z2")
    tiny = Spatial(dsps=2, dsp_macs={"int8": 2})
    with pytest.raises(InputError, match="10 stages need a multiplier each and the device has 3"):
        tiny.schedule([(Gemm(1, 8, 8, INT8, INT8), 1)] * 10, on)


def test_weights_stream_at_what_the_design_reaches_of_the_memory():
    on = device("flightllm-u280")
    roofs = on.architecture.roofs(Gemm(1, 8192, 8192, INT8, INT8), on)
    assert float(np.asarray(roofs.memory)) == pytest.approx(8192**2 * INT8.bytes / (0.659 * 460e9))
