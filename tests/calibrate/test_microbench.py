"""The kernels of the microbenchmark suite compute what they are named after, and a fit of them can be used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.calibrate import microbench, numpy_bench, this_cpu, torch_bench
from simulator.calibrate import numpy_kernels as kernels
from simulator.calibrate.processes import timed_all_reduces
from simulator.calibrate.suite import CPU, GPU, Case, Scale, all_reduces, suite
from simulator.cli import main
from simulator.errors import InputError
from simulator.hardware.calibration import load_calibration
from simulator.hardware.device import device
from simulator.hardware.relatives import calibrations_for

TINY = Scale(5, 6, 6, 3, 18, side_least=4)
OPS = {
    "launch", "gemm", "batched_gemm", "conv2d", "attention_prefill", "attention_decode", "rmsnorm", "silu_mul",
    "rope", "embedding", "softmax", "elementwise", "copy", "triad", "sampler",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (numpy_bench, torch_bench):
        monkeypatch.setattr(module, "COLD_BYTES", 1e6)
    monkeypatch.setattr(microbench, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(this_cpu, "TRIAD_BYTES", 4_000_000)


def first_cases(scale: Scale) -> dict[str, Case]:
    return {case["op"]: case for case in reversed(list(suite(quick=True, scale=scale)))}


@pytest.mark.parametrize("scale", [CPU, GPU])
def test_the_suite_holds_every_kind_of_kernel_and_repeats_itself(scale: Scale) -> None:
    cases = list(suite(quick=True, scale=scale))
    assert {case["op"] for case in cases} == OPS
    assert cases == list(suite(quick=True, scale=scale))
    assert 2.9 * len(cases) < len(list(suite(quick=False, scale=scale))) <= 3 * len(cases)


@pytest.mark.parametrize("op", sorted(OPS))
def test_every_kernel_runs_in_numpy_and_alike_in_torch(op: str) -> None:
    case = first_cases(TINY)[op]
    bench = microbench.bench_named("cpu")
    kernel = bench.kernel(case, np.random.default_rng(0))
    found = np.asarray(kernel(0))
    assert np.isfinite(found).all()
    assert bench.seconds(kernel, 1) > 0
    pytest.importorskip("torch")
    other = microbench.bench_named("cpu-torch")
    again = other.kernel(case, np.random.default_rng(0))
    result: Any = again(0)
    assert result.numel() in (found.size, found.size * case.get("batch", 1))
    assert bool(result.isfinite().all())
    assert other.seconds(again, 1) > 0


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_processes_reduce(library: str) -> None:
    if library == "torch":
        pytest.importorskip("torch")
    cases = list(all_reduces(quick=True, worlds=(2,)))[:3]
    found = timed_all_reduces(cases, library=library)
    assert len(found) == len(cases)
    assert all(seconds > 0 and noise >= 0 for seconds, noise, _ in found)


def test_a_convolution_is_what_its_definition_says() -> None:
    rng = np.random.default_rng(0)
    images, filters = rng.standard_normal((2, 3, 6, 5)).astype(np.float32), rng.standard_normal((4, 3, 3, 3))
    rows = filters.reshape(4, -1).T.astype(np.float32)
    found = kernels.convolve(images, rows, 3, 2)
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    assert found.shape == (2, 3, 3, 4)
    for y, x in ((0, 0), (2, 1)):
        patch = padded[:, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
        assert np.allclose(found[:, y, x], np.einsum("nchw,fchw->nf", patch, filters), atol=1e-4)


def test_torch_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="pip install torch"):
        microbench.bench_named("cpu-torch")


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
    seconds, noise, repeats = microbench.timed(microbench.bench_named("cpu"), calls.append, 0.0)
    assert calls == [0, 1, *range(repeats)]
    assert repeats == microbench.LEAST_REPEATS
    assert 0 < seconds < 0.01
    assert noise >= 0


def test_calibrating_this_machine_gives_files_that_a_replay_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(microbench, "CPU", TINY)
    monkeypatch.setattr(microbench, "threads", lambda: 1)
    rows = microbench.measure(quick=True)
    few = rows[rows["op"].isin(["gemm", "rmsnorm", "conv2d"])]
    monkeypatch.setattr(microbench, "measure", lambda *_, **__: few)
    out = tmp_path / "cpu.yaml"
    assert main(["calibrate", "--out", str(out)]) == 0
    assert "held-out rows" in capsys.readouterr().out
    on = device(tmp_path / "this-cpu.device.yaml")
    assert on.kind == "cpu"
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
