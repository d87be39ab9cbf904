"""Latencies that others measured, against those from datasheets alone: nothing here was fitted to these tables.

Errors are stated as found, with a little room: where one grows, the mechanism behind it changed.
"""

import pytest

from simulator.engine.inference.execution import execute
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.relatives import calibrations_for
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from tests.architectures.tiny import TINY


def latency_ms(model, on, format, runtime, **options):
    fields = {"model": model, "device": on, "format": format, "runtime": runtime, "options": options}
    return infer(InferenceScenario(**fields)).seconds * 1e3


# XNNPACK's README, tables of March 2020: one thread on a Pixel's large core, all threads on a Raspberry Pi.
@pytest.mark.parametrize(
    ("model", "on", "measured", "within"),
    [
        ("mobilenet-v1", "google-pixel-1-core", 82, 0.20),
        ("mobilenet-v2", "google-pixel-1-core", 49, 0.25),
        ("mobilenet-v1", "google-pixel-2-core", 86, 0.30),
        ("mobilenet-v2", "google-pixel-2-core", 53, 0.35),
        ("mobilenet-v1", "google-pixel-3a-core", 88, 0.20),
        ("mobilenet-v2", "google-pixel-3a-core", 55, 0.30),
        ("mobilenet-v3-large", "google-pixel-3a-core", 44, 0.30),
        ("mobilenet-v1", "raspberry-pi-2b", 341, 0.50),
        ("mobilenet-v2", "raspberry-pi-2b", 197, 0.50),
        ("mobilenet-v1", "raspberry-pi-3b-plus", 115, 0.20),
        ("mobilenet-v2", "raspberry-pi-3b-plus", 79, 0.35),
        ("mobilenet-v1", "raspberry-pi-4b", 75, 0.55),
        ("mobilenet-v2", "raspberry-pi-4b", 44, 0.55),
    ],
)
def test_phones_and_raspberry_pis(model, on, measured, within):
    assert latency_ms(model, on, "fp32", "tflite-xnnpack") == pytest.approx(measured, rel=within)


# Coral documentation, Edge TPU performance benchmarks, desktop processor and USB 3.0 or Dev Board.
@pytest.mark.parametrize(
    ("model", "on", "measured", "within"),
    [
        ("mobilenet-v1", "coral-edge-tpu-usb", 2.4, 0.30),
        ("mobilenet-v2", "coral-edge-tpu-usb", 2.6, 0.30),
        ("squeezenet-1.0", "coral-edge-tpu-usb", 2.1, 0.40),
        ("vgg-16", "coral-edge-tpu-usb", 296, 0.15),
        ("vgg-19", "coral-edge-tpu-usb", 308, 0.15),
        ("mobilenet-v2", "coral-edge-tpu-dev-board", 2.6, 0.30),
    ],
)
def test_edge_tpu(model, on, measured, within):
    assert latency_ms(model, on, "int8", "edgetpu") == pytest.approx(measured, rel=within)


@pytest.mark.parametrize(("on", "measured"), [("coral-edge-tpu-usb", 49), ("coral-edge-tpu-dev-board", 56)])
def test_edge_tpu_streams_what_does_not_stay_on_the_chip(on, measured):
    assert latency_ms("resnet-50", on, "int8", "edgetpu", resolution=299) == pytest.approx(measured, rel=0.15)


# NVIDIA, "Jetson Nano Brings AI Computing to Everyone" (36 images a second); MLPerf Inference, edge, single stream:
# v0.5 (AGX Xavier), v3.0 (AGX Orin, Orin NX).
@pytest.mark.parametrize(
    ("on", "format", "measured", "within"),
    [
        ("nvidia-jetson-nano", "fp16", 1000 / 36, 0.25),
        ("nvidia-jetson-agx-xavier", "int8", 2.04, 0.55),
        ("nvidia-jetson-agx-orin", "int8", 0.64, 0.20),
        ("nvidia-jetson-orin-nx", "int8", 0.95, 0.20),
    ],
)
def test_jetsons(on, format, measured, within):
    assert latency_ms("resnet-50", on, format, "tensorrt") == pytest.approx(measured, rel=within)


# MLPerf Tiny v1.1, closed division, Krai, X-CUBE-AI 8.0: inferences a second. Cycles come from CMSIS-NN's paper of
# 2018, whose kernels are slower than these on a Cortex-M7.
@pytest.mark.parametrize(
    ("name", "on", "rate", "within"),
    [
        ("anomaly_detection", "st-stm32l4r5", 131.95, 0.30),
        ("image_classification", "st-stm32l4r5", 4.505, 0.30),
        ("keyword_spotting", "st-stm32l4r5", 13.759, 0.10),
        ("visual_wake_words", "st-stm32l4r5", 4.522, 0.10),
        ("anomaly_detection", "st-stm32h7a3", 547.234, 0.15),
        ("image_classification", "st-stm32h7a3", 18.215, 0.50),
        ("keyword_spotting", "st-stm32h7a3", 60.988, 0.35),
        ("visual_wake_words", "st-stm32h7a3", 19.867, 0.35),
    ],
)
def test_mlperf_tiny(name, on, rate, within):
    found = device(on)
    law = TimingLaw(found, calibrations_for(found), fabric_of(found, None))
    assert execute(TINY[name], law).seconds == pytest.approx(1.0 / rate, rel=within)
