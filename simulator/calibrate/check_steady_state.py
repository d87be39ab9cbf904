"""Predicted against measured TTFT and TPOT of whole deployments under a fixed number of clients.

Each row is simulated whole, its first burst and its tail included: the mean TTFT is mostly that of the burst.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simulator.calibrate.check_serving import simulated
from simulator.calibrate.errors import Comparison
from simulator.calibrate.measured_rows import read_rows
from simulator.counted import OnCount, counted
from simulator.errors import InputError
from simulator.experiment import run
from simulator.hardware.device import device
from simulator.hardware.overheads import StepOverheads, engine_names
from simulator.hardware.relatives import calibrations_for
from simulator.scenario import Scenario, scenario_from
from simulator.workloads.models import model

COLUMNS = ("device", "backend", "model_path", "isl", "osl", "concurrency", "tp_size", "ttft_mean_ms", "tpot_mean_ms")
FORMATS = {"fp8": "fp8", "fp8_block": "fp8_block", "nvfp4": "nvfp4", "float16": "bf16", "bfloat16": "bf16"}
# Each engine's own way to batch. Runs that state no budget of tokens take one that their TTFT is in keeping with:
# vLLM's default of 2,048, and 4,096 for TensorRT-LLM.
BATCHING: dict[str, dict[str, Any]] = {
    "vllm": {"policy": "vllm-v1", "max_num_batched_tokens": 2048},
    "trtllm": {"policy": "vllm-v1", "max_num_batched_tokens": 4096},
    "sglang": {"policy": "vllm-v0", "max_num_batched_tokens": 8192},
}
# Budgets that the published recipes of a benchmark state.
STATED_BUDGETS = {("inferencemax", "vllm"): 8192, ("inferencemax", "trtllm"): 16384}
# Releases of the benchmark's runs of autumn 2025, which state none.
UNSTATED_RELEASES = {("inferencemax", "vllm"): "0.10", ("inferencemax", "trtllm"): "1.1"}
# Engines whose 8- and 4-bit checkpoints keep their KV cache in fp8 unless told otherwise.
FP8_CACHE = ("vllm", "trtllm")
FEWEST_SEQUENCES = 256
POOLS = ("prefill", "decode")


def check_steady_state(
    path: str | Path, *, jobs: int = -1, limit: int | None = None, on_count: OnCount | None = None
) -> Comparison:
    """Simulate every row that can be modelled and compare mean TTFT and TPOT; the others are counted by reason."""
    from joblib import Parallel, delayed

    rows = read_deployments(path)
    if limit is not None:
        rows = rows[:: max(1, len(rows) // limit)]
    workers = Parallel(n_jobs=jobs, batch_size=4, return_as="generator")
    answers = list(counted(workers(delayed(mean_latencies)(row) for row in rows), len(rows), on_count))
    comparison = Comparison()
    found: dict[tuple[str, ...], list[tuple[float, ...]]] = {}
    names: dict[tuple[str, ...], list[str]] = {}
    for row, answer in zip(rows, answers, strict=True):
        if isinstance(answer, str):
            comparison.skip(answer)
            continue
        key = tuple(str(row[c]) for c in ("device", "backend", "model_path"))
        found.setdefault(key, []).append((*answer, row["ttft_mean_ms"] / 1e3, row["tpot_mean_ms"] / 1e3))
        names.setdefault(key, []).append(_clients(row))
    for (on, engine, name), values in sorted(found.items()):
        ttft, tpot, measured_ttft, measured_tpot = (np.array(x) for x in zip(*values, strict=True))
        label, own = {"device": on, "backend": engine, "model": name}, names[on, engine, name]
        comparison.add(label | {"metric": "ttft"}, ttft, measured_ttft, names=own)
        comparison.add(label | {"metric": "tpot"}, tpot, measured_tpot, names=own)
        timed_by = calibrations_for(device(on), backend=engine)
        comparison.sources[timed_by.name] = timed_by.source
    return comparison


def read_deployments(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a file of measured deployments. Raises `InputError` if it is none."""
    return read_rows(path, COLUMNS)


def mean_latencies(row: Mapping[str, Any], host: StepOverheads | None = None) -> tuple[float, float] | str:
    """Mean TTFT and TPOT of a row in seconds, or why it cannot be modelled; `host` replaces the engine's overheads."""
    apart = _apart(row)
    if apart and any(_missing(row.get(f"{pool}_{n}")) for pool in POOLS for n in ("num_workers", "tp_size")):
        return "disaggregated, without the number of its workers"
    if row["backend"] not in BATCHING:
        return f"unknown engine {row['backend']}"
    if any(_missing(row[c]) for c in COLUMNS if not (apart and c == "tp_size")):
        return "a field is empty"
    try:
        found = simulated(run(row_scenario(row), keep_iterations=False, host=host))
    except InputError as error:
        return f"{row['model_path']}: {error.message.split(':')[0][:60]}"
    return float(found.ttft.mean()), float(np.nanmean(found.tpot))


def release_of(row: Mapping[str, Any]) -> str:
    """Engine and release series of a row, such as "vllm-0.12"; the engine alone where none is known."""
    engine, version = str(row["backend"]), row.get("backend_version")
    numbers = str(version).split(".")
    if not _missing(version) and len(numbers) > 1:
        return f"{engine}-{numbers[0]}.{numbers[1]}"
    unstated = UNSTATED_RELEASES.get((str(row.get("load_source")), engine))
    return engine if unstated is None else f"{engine}-{unstated}"


def row_scenario(row: Mapping[str, Any]) -> Scenario:
    """The scenario of one row. Raises `InputError` for models, devices and layouts that are not known."""
    engine, concurrency, release = str(row["backend"]), int(row["concurrency"]), release_of(row)
    batching = {**BATCHING[engine], "max_num_seqs": max(FEWEST_SEQUENCES, concurrency)}
    stated = STATED_BUDGETS.get((str(row.get("load_source")), engine))
    if stated is not None:
        batching["max_num_batched_tokens"] = stated
    return scenario_from(
        {
            "model": row["model_path"],
            "device": row["device"],
            "engine": release if release in engine_names() else engine,
            **_layout(row),
            "precision": _precision(row, engine),
            "batching": batching,
            "kv_cache": {"prefix_caching": False},
            "load": {
                "generator": {
                    "arrivals": {"process": "burst"},
                    "prompt_tokens": _lengths(row, "isl"),
                    "output_tokens": _lengths(row, "osl"),
                    "requests": _whole(row, "num_requests", 10 * concurrency),
                },
                "concurrency": concurrency,
            },
        }
    )


def _apart(row: Mapping[str, Any]) -> bool:
    return str(row.get("mode", "agg")) != "agg"


def _layout(row: Mapping[str, Any]) -> dict[str, Any]:
    """Replicas and parallelism, of one pool or of two."""

    def pool(prefix: str) -> dict[str, Any]:
        return {
            "replicas": _whole(row, f"{prefix}num_workers", 1),
            "parallel": {
                "tensor": _whole(row, f"{prefix}tp_size", 1),
                "pipeline": _whole(row, f"{prefix}pp_size", 1),
                "data": _whole(row, f"{prefix}attention_dp_size", 1),
                "expert": max(1, _whole(row, f"{prefix}moe_ep_size", 1)),
            },
        }

    if not _apart(row):
        return pool("")
    first_token: dict[str, Any] = {"transfer": {"first_token": "transfer"}}
    return {**pool("decode_"), "disaggregation": pool("prefill_") | first_token}


def _precision(row: Mapping[str, Any], engine: str) -> dict[str, str]:
    """Formats of weights, experts and cache. A checkpoint published in block-scaled fp8 keeps its blocks."""
    published = model(str(row["model_path"])).dtype
    found: dict[str, str] = {}
    for field, column in (("weights", "gemm_quant_mode"), ("experts", "moe_quant_mode")):
        given = row.get(column)
        if not _missing(given):
            stored = FORMATS.get(str(given), str(given))
            found[field] = published if stored == "fp8" and published == "fp8_block" else stored
    narrow = found.get("weights", published) in ("fp8", "fp8_block", "nvfp4")
    if narrow and engine in FP8_CACHE:
        found["kv_cache"] = "fp8"
    return found


def _lengths(row: Mapping[str, Any], column: str) -> dict[str, Any]:
    most = int(row[column])
    if str(row.get("length_distribution", "")).startswith("uniform"):
        return {"law": "uniform", "least": math.ceil(0.8 * most), "most": most}
    return {"law": "fixed", "tokens": most}


def _whole(row: Mapping[str, Any], column: str, default: int) -> int:
    value = row.get(column)
    return default if _missing(value) else int(value)  # type: ignore[arg-type]


def _clients(row: Mapping[str, Any]) -> str:
    """What tells a row from the others of its deployment."""
    apart = ", disaggregated" if _apart(row) else ""
    tensor = "" if _missing(row["tp_size"]) else f", tensor {int(row['tp_size'])}"
    return f"{int(row['concurrency'])} clients, {int(row['isl'])} + {int(row['osl'])} tokens{tensor}{apart}"


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
