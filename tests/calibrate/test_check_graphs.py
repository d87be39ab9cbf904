"""Measured graphs: rows become scenarios, figures of either kind become seconds, and published ones are met."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from simulator.calibrate.check_graphs import check_graphs
from simulator.errors import InputError
from simulator.hardware.device import device
from simulator.hardware.relatives import calibrations_for
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario

PUBLISHED = Path(__file__).parents[2] / "benchmarks" / "published" / "vision_gpus.csv"
HEAD = "model,options,batch,device,runtime,format,latency_ms,samples_per_s"


def rows(tmp_path, *lines, head=HEAD):
    file = tmp_path / "graphs.csv"
    file.write_text("\n".join([head, *lines]) + "\n")
    return file


def test_latencies_and_rates_of_the_same_run_agree(tmp_path):
    seconds = infer(
        InferenceScenario(
            model="resnet-18", options={"resolution": 160}, batch=8, device="nvidia-rtx-4090-24gb", runtime="torch-amp"
        )
    ).seconds
    row = "resnet-18,resolution=160,8,nvidia-rtx-4090-24gb,torch-amp,fp32"
    found = check_graphs(rows(tmp_path, f"{row},{seconds * 1e3},", f"{row},,{8 / seconds}")).summary()
    assert found["rows"] == 2
    assert found["overall"]["mape"] < 1e-9


def test_rows_that_cannot_be_timed_are_counted_by_reason(tmp_path):
    good = "resnet-18,,1,nvidia-rtx-4090-24gb,eager,fp16,1.0,"
    file = rows(
        tmp_path, good, good.replace("resnet-18", "resnet-1"), good.replace("1.0", ""), good.replace("18,,", "18,a=b,")
    )
    found = check_graphs(file).summary()
    assert found["rows"] == 1
    assert sum(found["skipped"].values()) == 3
    assert any("resnet-1" in reason for reason in found["skipped"])
    assert any("latency_ms" in reason for reason in found["skipped"])


def test_groups_by_family_hold_all_rows_of_it(tmp_path):
    lines = [f"{name},,1,nvidia-rtx-4090-24gb,eager,fp16,1.0," for name in ("resnet-18", "vgg-11", "resnet-34")]
    groups = check_graphs(rows(tmp_path, *lines), by=["family"]).summary()["groups"]
    assert [(g["group"]["family"], g["n"]) for g in groups] == [("resnet", 2), ("vgg", 1)]


def test_an_unknown_column_is_named(tmp_path):
    with pytest.raises(InputError, match="maker"):
        check_graphs(rows(tmp_path), by=["maker"])


def test_kernels_that_stand_apart_serve_their_own_backend_only():
    card, older = device("nvidia-rtx-4090-24gb"), device("nvidia-rtx-3090-24gb")
    for on in (card, older):
        serving = calibrations_for(on, backend="vllm").find("streaming", "elementwise")
        graphs = calibrations_for(on, backend="pytorch").find("streaming", "elementwise")
        assert serving.calibration.backend != "pytorch"
        assert graphs.calibration.backend == "pytorch"
    assert calibrations_for(older, backend="vllm").find("convolution", "fp16").calibration.backend != "pytorch"


def test_processors_lend_no_kernels_to_accelerators_of_their_vendor():
    found = calibrations_for(device("amd-mi100"), backend="vllm")
    assert not any(c.device and device(c.device).kind == "cpu" for c in found.relatives)
    assert found.find("gemm", "fp32").calibration is found.default


def test_a_sample_of_published_networks_on_other_cards_is_met(tmp_path):
    held = [row for row in csv.DictReader(PUBLISHED.open()) if "4090" not in row["device"]][::9]
    file = tmp_path / "sample.csv"
    with file.open("w") as stream:
        writer = csv.DictWriter(stream, held[0])
        writer.writeheader()
        writer.writerows(held)
    found = check_graphs(file).summary()
    assert found["rows"] == len(held)
    assert found["overall"]["median_ape"] < 0.15
