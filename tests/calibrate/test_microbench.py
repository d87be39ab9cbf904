"""The kernels of the microbenchmark suite compute what they are named after, and a fit of them can be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.calibrate import microbench, this_cpu
from simulator.cli import main
from simulator.hardware.calibration import calibrations_for, load_calibration
from simulator.hardware.device import device


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microbench, "COLD_BYTES", 1e6)
    monkeypatch.setattr(microbench, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(this_cpu, "TRIAD_BYTES", 4_000_000)


def made(op: str, rng: np.random.Generator) -> object:
    bench = next(b for b in microbench.suite(quick=True) if b.fields["op"] == op)
    return bench.make(rng)(0)


def test_every_kernel_of_the_suite_runs() -> None:
    rng = np.random.default_rng(0)
    ops = {b.fields["op"] for b in microbench.suite(quick=True)}
    assert ops == {
        "gemm", "attention_prefill", "attention_decode", "rmsnorm", "silu_mul", "rope", "embedding", "sampler"
    }  # fmt: skip
    for op in ops:
        found = made(op, rng)
        assert isinstance(found, np.ndarray)
        assert np.isfinite(found).all()


def test_the_last_row_of_prefill_is_what_decode_computes() -> None:
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 2, 5, 4)).astype(np.float32) for _ in range(3))
    mask = np.triu(np.full((5, 5), -np.inf, np.float32), 1)
    prefill = microbench.softmax(q @ k.swapaxes(-1, -2) + mask) @ v
    decode = microbench.softmax(q[:, :, -1:] @ k.swapaxes(-1, -2)) @ v
    assert np.allclose(prefill[:, :, -1:], decode, atol=1e-6)


def test_a_norm_has_unit_mean_square() -> None:
    rng = np.random.default_rng(0)
    run = microbench._rmsnorm(4, 512)(rng)
    first, second = run(0), run(1)
    assert np.array_equal(first, second)  # type: ignore[arg-type]


def test_the_median_is_that_of_the_calls() -> None:
    calls: list[int] = []
    seconds, noise, repeats = microbench.timed(calls.append, 0.0)
    assert calls == [0, 1, *range(repeats)]
    assert repeats == microbench.LEAST_REPEATS
    assert 0 < seconds < 0.01
    assert noise >= 0


def test_calibrating_this_machine_gives_files_that_a_replay_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.concat([microbench.measure(quick=True)] * 2).assign(device="this-cpu")
    few = rows[rows["op"].isin(["gemm", "rmsnorm"])]
    monkeypatch.setattr(microbench, "measure", lambda **_: few.drop(columns="device"))
    out = tmp_path / "cpu.yaml"
    assert main(["calibrate", "--out", str(out)]) == 0
    assert "held-out rows" in capsys.readouterr().out
    on = device(tmp_path / "this-cpu.device.yaml")
    assert on.kind == "cpu"
    assert on.units["sm"] == microbench.threads()
    assert load_calibration(out).device == "this-cpu"
    assert calibrations_for(on, file=out).name == "this-cpu as numpy runs it"
    assert pd.read_parquet(out.with_suffix(".parquet"))["latency_us"].gt(0).all()
    explain = ["explain", "--model", "openai-community/gpt2", "--device", str(tmp_path / "this-cpu.device.yaml")]
    assert main([*explain, "--decode-sequences", "2"]) == 0


def test_unknown_backends_and_folders_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--backend", "tpu", "--out", str(tmp_path / "x.yaml")]) == 2
    assert main(["calibrate", "--out", str(tmp_path / "no" / "x.yaml")]) == 2
    text = capsys.readouterr().err
    assert "unknown backend 'tpu'" in text
    assert "make it first" in text
