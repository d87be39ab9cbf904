"""Fits to single-operator graphs find the parameters that made the times; files of measured models are read."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.calibrate.check_graphs import check_graphs, options_of
from simulator.calibrate.files import fit_file
from simulator.calibrate.graphs import measuring
from simulator.calibrate.graphs.cases import Case, case_named, cases
from simulator.calibrate.graphs.fitting import Measured, fit_graphs
from simulator.calibrate.graphs.operators import bundles
from simulator.calibrate.graphs.parameters import ELEMENTWISE, free_parameters
from simulator.calibrate.graphs.sessions import time_in_turns
from simulator.cli import main
from simulator.engine.inference.execution import execute
from simulator.errors import InputError
from simulator.hardware.calibration import CORES, Calibration, Calibrations, load_calibration
from simulator.hardware.cores import cores_of
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.workloads.graphs.lifetimes import touched_bytes

ON = device("amd-epyc-turin-2core")
CALL = 3e-6
MEASURED = Path(__file__).parents[2] / "benchmarks" / "measured" / "amd-epyc-turin-2core.onnxruntime.csv"
KNOWN = {
    ELEMENTWISE: CORES["streaming"](compute=0.2, latency=8e-7, near=24.0, far=9.0, core=0.5, held=0.7, fork=2e-5),
    ("streaming", "reorder"): CORES["streaming"](latency=1e-6, near=12.0, far=6.0, core=0.5, held=0.7),
    ("convolution", "fp32"): CORES["convolution"](
        compute=0.9, sets=0.4, width=0.8, depthwise=0.25, edges=2.0, latency=1.5e-6, fork=2e-5,
        near=24.0, far=9.0, core=0.5, held=0.7,
    ),
    ("gemm", "fp32"): CORES["gemm"](
        compute=0.8, rows=1.2, latency=2e-6, fork=2e-5, near=24.0, far=7.0, core=0.4, held=0.6,
    ),
}  # fmt: skip


def law(threads: int, footprint: float) -> TimingLaw:
    curves: dict = {}
    for (family, name), curve in KNOWN.items():
        curves.setdefault(family, {})[name] = curve
    made = Calibration("known", "", curves)
    on = cores_of(ON, threads)
    return TimingLaw(on, Calibrations((made,), tuple, made), fabric_of(on, None), footprint=footprint)


@pytest.fixture(scope="module")
def synthetic() -> Measured:
    """Graphs as the law times them by known curves, half a per cent of noise on top."""
    from simulator.assembly.graphs import runtime_rewrites
    from simulator.hardware.runtimes import runtime

    rng = np.random.default_rng(1)
    makes = ("chain", "pointwise", "conv", "depthwise", "linear", "scores", "weighted")
    some = {c.name: c for c in cases() if c.make in makes and c.sizes.get("type", "Add") in ("Add", "Mul", "Relu")}
    graphs = {}
    for name, case in some.items():
        graph = case.graph()
        for rewrite in runtime_rewrites(runtime("onnxruntime")):
            graph = rewrite(graph)
        graphs[name] = graph
    rows = [(n, t) for n in some for t in (1, 2)]
    seconds = [execute(graphs[n], law(t, touched_bytes(graphs[n])), call=CALL).seconds for n, t in rows]
    noisy = np.array(seconds) * np.exp(rng.normal(0.0, 0.005, len(rows)))
    return Measured(
        tuple(n for n, _ in rows), tuple(graphs[n] for n, _ in rows), np.array([t for _, t in rows]), noisy
    )  # fmt: skip


def test_a_fit_finds_the_parameters_that_made_the_times(synthetic: Measured):
    fitted = fit_graphs(synthetic, ON, CALL)
    assert np.median(fitted.errors) < 0.01 and np.quantile(fitted.errors, 0.95) < 0.12
    for key, names in {
        ("convolution", "fp32"): ("compute", "depthwise", "sets"),
        ("gemm", "fp32"): ("compute", "rows"),
        ELEMENTWISE: ("core", "latency"),
    }.items():
        assert set(names) <= set(free_parameters(key))
        for name in names:
            assert getattr(fitted.curves[key], name) == pytest.approx(getattr(KNOWN[key], name), rel=0.15), (key, name)
    # a low quantile of what was measured, so that it comes out short rather than long
    assert 0.5e-5 < fitted.curves["gemm", "fp32"].fork < 2.5e-5


def test_disturbed_graphs_on_several_threads_leave_the_curves_of_one_core_alone(synthetic: Measured):
    slow = np.where((synthetic.threads > 1) & (np.arange(len(synthetic)) % 3 == 0), 4.0, 1.0)
    quiet, loud = (
        fit_graphs(synthetic, ON, CALL),
        fit_graphs(replace(synthetic, seconds=synthetic.seconds * slow), ON, CALL),
    )
    for key, curve in quiet.curves.items():
        assert loud.curves[key] == replace(curve, fork=loud.curves[key].fork)


def test_bundles_hold_every_kernel_once():
    graphs = [Case("conv", {"size": 8, "channels": 32, "filters": 32, "kernel": 3, "stride": 1, "length": 4}).graph(),
              Case("chain", {"length": 5}).graph()]  # fmt: skip
    found = {b.key: b for b in bundles(graphs)}
    assert found["convolution", "fp32"].counts.sum() == 4 and set(found["convolution", "fp32"].rows) == {0}
    assert found["streaming", "elementwise"].counts.sum() == 5 and set(found["streaming", "elementwise"].rows) == {1}
    flops = sum(float((np.asarray(b.op.flops()) * b.counts).sum()) for b in found.values())
    assert flops == pytest.approx(4 * 2 * 32 * 32 * 9 * 64 + 5 * 16)


def test_cases_are_known_by_their_names_and_hold_no_model():
    listed = list(cases())
    assert all(case_named(case.name) == case for case in listed)
    assert max(len({n.type for n in case.graph().nodes if n.type != "Flatten"}) for case in listed[:60]) == 1


def test_the_suite_is_timed_and_fitted_into_a_file_that_can_be_used(tmp_path: Path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    few = [Case("pointwise", {"type": "Add", "elements": 2**n}) for n in range(10, 20)]
    rows = measuring.measure_graphs(most=few, seconds=0.004).assign(device=ON.id)
    assert (rows["latency_us"] > 0).all() and set(rows["threads"]) >= {1}
    rows.to_parquet(tmp_path / "rows.parquet")
    (written,) = fit_file(tmp_path / "rows.parquet", tmp_path)
    assert written.name == f"{ON.id}.onnxruntime.yaml"
    assert load_calibration(written).curves["streaming"]["elementwise"].latency > 0


def test_longer_chains_take_longer_in_the_runtime():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    graphs = {str(n): Case("chain", {"length": n}).graph() for n in (4, 128)}
    found, disturbed = time_in_turns(graphs, threads=1, seconds=0.02, rounds=2)
    assert found["128"].least > 1.5 * found["4"].least and disturbed.median >= 1.0


def test_without_the_runtime_there_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["calibrate", "--backend", "onnxruntime", "--out", str(tmp_path / "cpu.yaml")]) == 2
    assert "pip install onnxruntime" in capsys.readouterr().err


def test_rows_of_unknown_models_are_counted_and_known_ones_compared(tmp_path: Path, capsys):
    pd.DataFrame(
        {"model": ["resnet-18", "no-such-net"], "batch": 1, "device": ON.id, "runtime": "onnxruntime", "threads": 1,
         "latency_ms": [17.0, 1.0]}
    ).to_csv(tmp_path / "rows.csv", index=False)  # fmt: skip
    assert main(["validate", "graphs", str(tmp_path / "rows.csv"), "--json", str(tmp_path / "errors.json")]) == 0
    found = json.loads((tmp_path / "errors.json").read_text())
    assert found["rows"] == 1 and sum(found["skipped"].values()) == 1
    assert found["groups"][0]["group"] == {"model": "resnet-18", "batch": "1", "threads": "1"}


def test_options_are_whole_numbers_by_name():
    assert options_of("latent=8 blocks=2") == {"latent": 8, "blocks": 2} and options_of(float("nan")) == {}
    with pytest.raises(InputError, match="options"):
        options_of("latent=wide")


def test_measured_models_of_one_thread_lie_near_their_predictions(tmp_path: Path):
    """Latencies of whole models, none of which any fit has seen."""
    rows = pd.read_csv(MEASURED)
    one = rows[(rows["threads"] == 1) & (rows["batch"] == 1)]
    assert one["model"].nunique() >= 16
    one.to_csv(tmp_path / "one.csv", index=False)
    overall = check_graphs(tmp_path / "one.csv").summary()["overall"]
    assert overall["median_ape"] <= 0.15 and overall["p90_ape"] <= 0.40
