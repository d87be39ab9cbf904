"""Data files of devices with architectures of their own, and of phones and boards: complete, sourced, plausible."""

import math

import pytest

from simulator.engine.inference.execution import execute
from simulator.errors import InputError
from simulator.hardware.architectures import architecture_name
from simulator.hardware.device import DEVICES, device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import link
from simulator.hardware.relatives import calibrations_for
from simulator.inference import infer
from simulator.planning.networks.timing import time_candidates
from simulator.report.catalogue import facts, rows
from simulator.specs.inference import InferenceScenario
from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.operators import Gemm

NAMES = sorted(path.stem for path in DEVICES.glob("*/*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_complete(name):
    found = device(name)
    assert found.id == name
    assert found.source and found.memory_type and found.notes
    numbers = [*found.peak_flops.values(), *found.cache.values(), *found.units.values(), *found.energy.values()]
    assert all(math.isfinite(x) and x > 0 for x in [*numbers, found.memory_capacity, found.memory_bandwidth])
    assert found.units["sm"] >= 1 and found.units["clock_ghz"] < 101
    assert 0 <= found.idle_power < found.tdp
    assert found.year is not None and 2009 < found.year < 2030
    assert all(link(name) for name in found.links.values())
    assert found.fallback is None or device(found.fallback)


@pytest.mark.parametrize("name", NAMES)
def test_every_device_times_a_product(name):
    on = device(name)
    law = TimingLaw(on, calibrations_for(on), fabric_of(on, None))
    # what a pipeline or a chip's own memory holds is a matter of the whole graph, hence all of it at once
    for format in ("int8", "fp16", "fp32"):
        if format in on.peak_flops:
            op = Gemm(64, 128, 256, dtype(format), dtype(format))
            (roofs,) = law.all_roofs([(op, 1.0)])
            assert 0.0 < float(roofs.seconds()) < 10.0
            assert op.flops() / float(roofs.seconds()) <= on.peak_flops[format] * 1.0001


def test_there_are_enough_of_each_kind():
    assert len(NAMES) >= 50
    by_name = [architecture_name(device(n).architecture) for n in NAMES]
    assert by_name.count("cpu") >= 15 and by_name.count("systolic") >= 10 and by_name.count("microcontroller") >= 8


def test_formats_that_a_device_lacks_fall_back_to_its_host():
    fields = {"model": "mobilenet-v2", "device": "coral-edge-tpu-usb", "runtime": "edgetpu"}
    on_chip, on_host = (infer(InferenceScenario(**fields, format=f)) for f in ("int8", "fp32"))
    pi = infer(InferenceScenario(model="mobilenet-v2", device="raspberry-pi-4b", runtime="edgetpu", format="fp32"))
    assert on_chip.seconds < 0.2 * on_host.seconds
    assert on_host.seconds > pi.seconds  # each operator's operands cross the cable


def test_a_format_without_a_host_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"google-tpu-v1 has no fp32 arithmetic: it has int8"):
        infer(InferenceScenario(model="resnet-18", device="google-tpu-v1", format="fp32"))


def test_serving_is_left_to_calibrated_devices():
    pi = device("raspberry-pi-5")
    law = TimingLaw(pi, calibrations_for(pi), fabric_of(pi, None))
    with pytest.raises(InputError, match="raspberry-pi-5: its own architecture times operator graphs"):
        law.attention(None, None)


def test_devices_can_be_listed_and_shown():
    by_name = {row["device"]: row for row in rows("devices")}
    assert by_name["coral-edge-tpu-usb"]["timed by"] == "systolic"
    assert by_name["nvidia-a100-sxm-80gb"]["timed by"] == "law"
    shown = facts("devices", "coral-edge-tpu-usb")
    assert shown["architecture"]["rows"] == 64 and shown["timed_by"] == "systolic"


def test_a_wrong_architecture_is_one_clear_line(tmp_path):
    good = (DEVICES / "accelerators" / "google-tpu-v1.yaml").read_text()
    for old, new, message in (
        ("kind: systolic", "kind: systolick", "unknown architecture 'systolick': did you mean systolic"),
        ("rows: 256", "row: 256", "unknown field of architecture 'row': did you mean rows"),
        ("rows: 256\n", "\n", "architecture lacks rows"),
        ("stationary: weight", "stationary: all", "unknown architecture.stationary 'all'"),
        ("columns: 256", "columns: many", "architecture.columns must be a number"),
    ):
        file = tmp_path / "wrong.yaml"
        assert old in good
        file.write_text(good.replace(old, new, 1))
        with pytest.raises(InputError, match=message) as caught:
            device(file)
        assert "\n" not in str(caught.value)


def test_many_candidates_are_timed_on_a_processor_and_refused_where_graphs_are_laid_out_whole():
    graph = graph_model("mobilenet-v2", 1, dtype("int8")).parts[0].graph
    pi, coral = device("raspberry-pi-5"), device("coral-edge-tpu-usb")
    laws = [TimingLaw(on, calibrations_for(on), fabric_of(on, None)) for on in (pi, coral)]
    alone = execute(graph, laws[0]).seconds
    assert time_candidates(graph, laws[0], 3).seconds == pytest.approx([alone] * 3)
    with pytest.raises(InputError, match="coral-edge-tpu-usb lays whole graphs out at once"):
        time_candidates(graph, laws[1], 3)


@pytest.mark.parametrize("name", ["coral-edge-tpu-usb", "raspberry-pi-5", "st-stm32h7a3"])
def test_a_run_says_what_timed_it(name):
    fields = {"model": "mobilenet-v2", "device": name, "format": "int8", "runtime": "tflite-micro"}
    summary = infer(InferenceScenario(**fields, options={"width": 0.35, "resolution": 96, "classes": 2})).summary
    assert summary["calibration"] == f"{name} as a {architecture_name(device(name).architecture)}"
    assert summary["latency_ms"] > 0.0 and summary["energy_mj"] > 0.0
