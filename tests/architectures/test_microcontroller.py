"""Microcontrollers: cycles, Flash and SRAM, and models that do not fit."""

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.hardware.device import device, device_names
from simulator.hardware.room import require_room
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.counting import count
from simulator.workloads.operators import Gemm
from tests.architectures.tiny import TINY

INT8 = dtype("int8")


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),  # Banbury et al., table 1 and the reference models' summaries
    [
        ("anomaly_detection", 264e3, 270e3),
        ("image_classification", 12.5e6, 78.7e3),
        ("keyword_spotting", 2.66e6, 23.8e3),
        ("visual_wake_words", 7.49e6, 221e3),
    ],
)
def test_the_networks_have_the_published_size(name, macs, parameters):
    found = count(TINY[name])
    assert found.macs == pytest.approx(macs, rel=0.05)
    assert found.parameters == pytest.approx(parameters, rel=0.08)


def test_cycles_are_multiply_adds_and_results():
    on = device("st-stm32f746")
    made = on.architecture
    roofs = made.roofs(Gemm(10, 20, 30, INT8, INT8), on)
    assert roofs.compute * 216e6 == pytest.approx(10 * 20 * 30 * 1.7 + 10 * 20 * made.result_cycles)
    # 600 bytes of weights fit the Flash cache and are read once
    assert roofs.memory == pytest.approx(20 * 30 * INT8.bytes / 864e6 + (300 + 200) * INT8.bytes / 1728e6)


def test_weights_beyond_the_flash_cache_are_read_for_every_pair_of_rows():
    on = device("st-stm32f746")
    once, again = (on.architecture.roofs(Gemm(m, 256, 256, INT8, INT8), on).memory for m in (2, 20))
    assert again == pytest.approx(10 * once, rel=0.02)


def test_eight_cores_take_an_eighth():
    gap8 = device("greenwaves-gap8")
    op = Gemm(64, 64, 288, INT8, INT8)
    # Garofalo et al., arXiv:1908.11263: 15.5 multiply-adds a cycle of the cluster at best
    per_cycle = 64 * 64 * 288 / (float(np.asarray(gap8.architecture.roofs(op, gap8).compute)) * 175e6)
    assert 13.0 < per_cycle <= 15.5


def test_formats_without_arithmetic_are_refused_in_one_line():
    fields = {"model": "mobilenet-v2", "device": "greenwaves-gap8", "format": "fp32", "runtime": "tflite-micro"}
    options = {"width": 0.35, "resolution": 32, "classes": 2}
    with pytest.raises(InputError, match="greenwaves-gap8 has no fp32 arithmetic: it has int8") as caught:
        infer(InferenceScenario(**fields, options=options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "activations", "message"),
    [
        (2_000_000, 1000, "weights take 2,000,000 bytes and its Flash has 1,000,000: 1,000,000 missing"),
        (1000, 400_000, "activations take 400,000 bytes and its SRAM has 320,000: 80,000 missing"),
    ],
)
def test_models_that_do_not_fit_are_refused_with_the_bytes_missing(weights, activations, message):
    with pytest.raises(InputError) as caught:
        require_room(device("st-stm32f746"), weights, activations)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_mobilenets_fit_where_mcunet_says_they_do():
    """Lin et al., MCUNet, arXiv:2007.10319, figure 1: int8 MobileNet v2 at full width overflows an STM32F746."""
    fields = {"model": "mobilenet-v2", "device": "st-stm32f746", "format": "int8", "runtime": "tflite-micro"}
    with pytest.raises(InputError, match="Flash"):
        infer(InferenceScenario(**fields))
    small = infer(InferenceScenario(**fields, options={"width": 0.35, "resolution": 96, "classes": 2}))
    assert small.seconds > 0.0


def test_microcontrollers_are_there():
    assert sum(device(n).kind == "mcu" for n in device_names()) >= 8
