"""The kernels of the microbenchmark suite compute what they are named after, and a fit of them can be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.calibrate import microbench, this_cpu
from simulator.calibrate import numpy_kernels as kernels
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


def test_the_last_row_of_prefill_is_what_paged_decode_computes() -> None:
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 37, 4)).astype(np.float32) for _ in range(3))
    prefill = kernels.prompt_attention(q, k, v)
    chunked = kernels.prompt_attention(q[:, 30:], k, v)
    assert np.allclose(prefill[:, 30:], chunked, atol=1e-6)
    table = np.array([3, 0, 2])
    paged = [np.zeros((4, 16, 2, 4), np.float32) for _ in range(2)]
    for cache, full in zip(paged, (k, v), strict=True):
        for position in range(37):
            cache[table[position // 16], position % 16] = full[:, position]
    decode = kernels.decode_attention(q[:, -1][None], *paged, [table], [37])
    assert np.allclose(prefill[:, -1], decode[0], atol=1e-6)


def test_a_norm_has_unit_mean_square() -> None:
    x = np.random.default_rng(0).standard_normal((4, 512)).astype(np.float32)
    total, normed = kernels.rms_norm(x, x, np.ones(512, np.float32))
    assert np.array_equal(total, 2 * x)
    assert np.allclose(np.square(normed).mean(axis=-1), 1.0, rtol=1e-3)


def test_rotation_keeps_lengths() -> None:
    x = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    angle = np.random.default_rng(1).uniform(0, 6, (3, 4)).astype(np.float32)
    turned = kernels.rotate(x, np.cos(angle), np.sin(angle))
    assert np.allclose(np.square(turned).sum(axis=-1), np.square(x).sum(axis=-1), rtol=1e-5)


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
