"""Fitting and checking on measurements made from a known law, and the held-out errors of the shipped fits."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from simulator.calibrate.check_kernels import check_kernels
from simulator.calibrate.errors import Comparison, errors
from simulator.calibrate.files import fit_file
from simulator.calibrate.kernels import groups, predict
from simulator.cli import main
from simulator.errors import InputError
from simulator.hardware.calibration import load_calibration
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.kernels import CollectiveCurve, GemmCurve

MEASURED = Path(__file__).parents[3] / "shared" / "measured" / "kernels"
H100 = "nvidia-h100-sxm-80gb"


def gemm_rows(count: int = 240, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    shapes = {name: 2 ** rng.integers(low, 14, count) for name, low in (("m", 0), ("n", 7), ("k", 7))}
    return pd.DataFrame({"device": H100, "op": "gemm", "dtype": "bf16", "backend": "made", "latency_us": 1.0, **shapes})


def timed(frame: pd.DataFrame, curve: object, noise: float = 0.0) -> pd.DataFrame:
    """The rows with the latencies that a curve gives them."""
    on = device(H100)
    (group,) = groups(frame.copy(), Counter())
    seconds = predict(group, curve, on, fabric_of(on, None))
    factor = np.exp(np.random.default_rng(1).normal(0, noise, len(frame)))
    return frame.assign(latency_us=seconds * 1e6 * factor, version="1", source="made up")


def test_a_fit_finds_a_law_again(tmp_path: Path) -> None:
    frame = timed(gemm_rows(), GemmCurve(0.7, 0.8, latency=3e-6, sharpness=4.0), noise=0.02)
    frame.to_parquet(tmp_path / "rows.parquet")
    (path,) = fit_file(tmp_path / "rows.parquet", tmp_path)
    found = load_calibration(path)
    assert (found.device, found.backend) == (H100, "made")
    residual = found.residuals["gemm"]["bf16"]
    assert residual.median < 0.04
    assert residual.rows == sum(g.held_out().sum() for g in groups(frame, Counter()))
    first = path.read_bytes()
    fit_file(tmp_path / "rows.parquet", tmp_path)
    assert path.read_bytes() == first


def test_a_fit_finds_collectives_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "device": H100,
            "op": "allgather",
            "dtype": "fp16",
            "backend": "made",
            "latency_us": 1.0,
            "message_bytes": 2 ** rng.integers(9, 28, 90),
            "world_size": 2 ** rng.integers(1, 4, 90),
        }
    )
    made = CollectiveCurve(0.6, latency=7e-6, hop=1e-6, ramp=2e-5, ramp_bytes=2e6)
    timed(frame, made).to_parquet(tmp_path / "rows.parquet")
    (path,) = fit_file(tmp_path / "rows.parquet", tmp_path)
    assert load_calibration(path).residuals["collective"]["all_gather"].median < 0.05


def test_what_cannot_be_modelled_is_counted(tmp_path: Path) -> None:
    frame = timed(gemm_rows(20), GemmCurve(0.7, 0.8))
    strange = pd.concat(
        [
            frame,
            frame.head(3).assign(op="fft"),
            frame.head(2).assign(dtype="fp3"),
            frame.head(4).assign(device="abacus"),
            frame.head(1).assign(m=None),
            frame.head(1).assign(op="moe"),
        ]
    )
    strange.to_parquet(tmp_path / "rows.parquet")
    found = check_kernels(tmp_path / "rows.parquet").summary()
    assert found["rows"] == 20
    assert found["skipped"] == {
        "unknown device abacus": 4,
        "unknown operator fft": 3,
        "unknown format fp3": 2,
        "gemm with empty or zero fields": 1,
        "moe without hidden": 1,
    }


def test_experts_may_be_given_by_how_many_are_used(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "device": H100,
            "op": "moe",
            "dtype": "bf16",
            "backend": "vllm",
            "latency_us": 100.0,
            "m": [16, 64],
            "hidden": 4096,
            "intermediate": 1024,
            "activated_experts": [8, 8],
        }
    )
    frame.to_parquet(tmp_path / "rows.parquet")
    found = check_kernels(tmp_path / "rows.parquet")
    assert not found.skipped
    assert len(found.predicted[0]) == 2
    assert (found.predicted[0] > 0).all()


def test_files_that_are_no_measurements(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(InputError, match="not a Parquet file of measurements"):
        check_kernels(tmp_path / "x.parquet")
    pd.DataFrame({"op": ["gemm"]}).to_parquet(tmp_path / "y.parquet")
    with pytest.raises(InputError, match="column 'latency_us' is missing"):
        check_kernels(tmp_path / "y.parquet")


def test_errors_are_fractions() -> None:
    found = errors(np.array([1.1, 0.8]), np.array([1.0, 1.0]))
    assert found == pytest.approx({"n": 2, "mape": 0.15, "median_ape": 0.15, "p90_ape": 0.19, "bias": -0.05})


def test_coverage_counts_what_lies_in_the_claimed_interval() -> None:
    comparison = Comparison()
    comparison.add({"op": "x"}, [1.0, 1.0, 1.0, 1.0], [1.0, 1.1, 1.3, 0.95], 0.1)
    comparison.add({"op": "y"}, [1.0], [2.0])
    summary = comparison.summary()
    assert summary["groups"][0]["coverage_90"] == 0.75
    assert "coverage_90" not in summary["groups"][1]


def test_validate_writes_the_agreed_json_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    timed(gemm_rows(30), GemmCurve(0.7, 0.8)).to_parquet(tmp_path / "rows.parquet")
    arguments = ["validate", "kernels", str(tmp_path / "rows.parquet"), "--uncalibrated"]
    assert main([*arguments, "--json", str(tmp_path / "e.json"), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "e.json").read_text())
    assert set(found) == {"rows", "skipped", "groups", "overall"}
    assert set(found["overall"]) >= {"n", "mape", "median_ape", "p90_ape", "bias"}
    assert found["groups"][0]["group"]["op"] == "gemm"
    assert ElementTree.parse(tmp_path / "out" / "parity.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert "all together" in capsys.readouterr().out


@pytest.mark.skipif(not MEASURED.exists(), reason="the measured kernels are not beside the project")
@pytest.mark.parametrize(
    ("name", "op", "most"),
    [
        (H100, "gemm", 0.07),
        ("nvidia-a100-sxm-80gb", "gemm", 0.07),
        ("nvidia-b200-sxm-180gb", "gemm", 0.07),
        (H100, "moe", 0.10),
        ("nvidia-a100-sxm-80gb", "attention_prefill", 0.08),
    ],
)
def test_held_out_shapes_are_predicted(name: str, op: str, most: float) -> None:
    found = check_kernels(MEASURED / f"{name}.parquet", held_out=True)
    chosen = [i for i, label in enumerate(found.labels) if label["op"] == op]
    predicted = np.concatenate([found.predicted[i] for i in chosen])
    measured = np.concatenate([found.measured[i] for i in chosen])
    assert errors(predicted, measured)["median_ape"] <= most


@pytest.mark.skipif(not MEASURED.exists(), reason="the measured kernels are not beside the project")
def test_intervals_cover_what_they_claim() -> None:
    found = check_kernels(MEASURED / f"{H100}.parquet", held_out=True).summary()
    assert 0.85 <= found["overall"]["coverage_90"] <= 0.95
