"""Predicted against recorded serving runs: the same requests, engine settings and device, replayed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.calibrate.errors import Comparison
from simulator.counted import OnCount, counted
from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.hardware.device import device
from simulator.scenario import Scenario, scenario_from
from simulator.workloads.dtypes import dtype
from simulator.workloads.models import model
from simulator.workloads.traces import open_trace

Floats = NDArray[np.float64]
# Words that CUDA and ROCm put around a device's own name.
MAKERS = ("nvidia", "geforce", "tesla", "amd", "instinct", "graphics", "gpu")
STATISTICS = {"mean": None, "p50": 50.0, "p90": 90.0, "p99": 99.0}


def check_serving(path: str | Path, *, on_count: OnCount | None = None) -> Comparison:
    """Compare a recorded run with its simulation.

    `path` is a folder with engine.json and requests.jsonl, or a JSON list of experiments with their measured
    latencies. Raises `InputError` if it is neither.
    """
    where = Path(path)
    if where.is_dir():
        return _check_run(where)
    try:
        experiments = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"neither a recorded run nor a JSON list of experiments: {error}", file=where) from None
    comparison = Comparison()
    listed = experiments if isinstance(experiments, list) else [experiments]
    for experiment in counted(listed, len(listed), on_count):
        _check_experiment(experiment, comparison, where)
    return comparison


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds of each request: first token, per further token (NaN without one), and all of it."""

    ttft: Floats
    tpot: Floats
    e2e: Floats

    @property
    def named(self) -> dict[str, Floats]:
        return {"ttft": self.ttft, "tpot": self.tpot[~np.isnan(self.tpot)], "e2e": self.e2e}


def latencies(ttft: Floats, e2e: Floats, output_tokens: NDArray[np.int64]) -> Latencies:
    """Latencies of requests from their first and last token."""
    further = np.where(output_tokens > 1, output_tokens - 1, np.nan)
    return Latencies(ttft, (e2e - ttft) / further, e2e)


def simulated(result: Result) -> Latencies:
    """Latencies of a simulated run, in the order of the requests."""
    c = result.request_columns
    order = np.argsort(c["index"])
    arrival, first, last = (c[n][order] for n in ("arrival_s", "first_token_s", "finish_s"))
    return latencies(first - arrival, last - arrival, c["output_tokens"][order].astype(np.int64))


def _check_run(folder: Path) -> Comparison:
    try:
        engine = json.loads((folder / "engine.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"engine.json cannot be read: {error}", file=folder) from None
    result = run(run_scenario(engine, folder))
    found = simulated(result)
    recorded = next(iter(open_trace(folder / "requests.jsonl").chunks()))
    measured = recorded.measured or {}
    for name in ("ttft_s", "e2e_s"):
        if name not in measured:
            raise InputError(f"requests.jsonl lacks {name}", file=folder)
    wanted = latencies(measured["ttft_s"], measured["e2e_s"], recorded.output_tokens)
    comparison = Comparison(sources=sources_of(result))
    for metric, values in wanted.named.items():
        for statistic, quantile in STATISTICS.items():
            comparison.add(
                {"run": folder.name, "metric": metric, "statistic": statistic},
                [statistic_of(found.named[metric], quantile)],
                [statistic_of(values, quantile)],
            )
    return comparison


def statistic_of(values: Floats, quantile: float | None) -> float:
    """The mean, or the percentile given."""
    return float(values.mean() if quantile is None else np.percentile(values, quantile))


def sources_of(result: Result) -> dict[str, str]:
    """Where the figures that time a run are from, by the name of its calibration."""
    timed_by = result.deployment.calibrations
    return {timed_by.name: timed_by.source}


def run_scenario(engine: dict[str, Any], folder: Path) -> Scenario:
    """The scenario of a recorded run, from the settings that the engine stated itself."""
    _all_filled_in(engine, folder)
    try:
        given, cache = engine["engine_kwargs"], engine.get("kv_cache") or {}
        name = device_named(_hardware(engine))
        values = {
            "model": engine["model"],
            "device": name,
            **_layout(given),
            "batching": {
                "max_num_seqs": given["max_num_seqs"],
                "max_num_batched_tokens": given["max_num_batched_tokens"],
            },
            "kv_cache": {
                "blocks": cache.get("num_gpu_blocks"),
                "block_size": cache.get("block_size", 16),
                "prefix_caching": cache.get("enable_prefix_caching", True),
                "memory_utilization": cache.get("gpu_memory_utilization", given.get("gpu_memory_utilization", 0.9)),
            },
            "precision": {} if given.get("kv_cache_dtype", "auto") == "auto" else {"kv_cache": given["kv_cache_dtype"]},
            "load": {
                "trace": str(folder / "requests.jsonl"),
                "concurrency": (engine.get("load") or {}).get("concurrency"),
            },
        }
    except (KeyError, TypeError) as error:
        raise InputError(f"engine.json lacks {error}", file=folder) from None
    return scenario_from(values, file=folder / "engine.json")


def _all_filled_in(engine: dict[str, Any], folder: Path) -> None:
    """Raise `InputError` where a recording left open what a client cannot see of its server."""
    parts = {name: engine.get(name) or {} for name in ("engine_kwargs", "hardware")}
    wanted = {"engine_kwargs": ("tensor_parallel_size", "max_num_seqs", "max_num_batched_tokens"),
              "hardware": ("device_name",)}  # fmt: skip
    open_ = [f"{part}.{name}" for part, names in wanted.items() for name in names if parts[part].get(name, "") is None]
    if open_:
        raise InputError(f"engine.json says null for {', '.join(open_)}: fill in what the server had", file=folder)


def _layout(given: dict[str, Any]) -> dict[str, Any]:
    """Devices of a recorded run: data-parallel ranks share their experts where the engine spreads these, and are
    replicas of the whole model elsewhere.
    """
    tensor, data = int(given["tensor_parallel_size"]), int(given.get("data_parallel_size", 1))
    if given.get("enable_expert_parallel"):
        return {"parallel": {"tensor": tensor, "data": data, "expert": tensor * data}}
    return {"parallel": {"tensor": tensor}, "replicas": data}


def _hardware(engine: dict[str, Any]) -> str:
    """What the run says of its device: CUDA's name for it, else the name in its deployment."""
    if "hardware" in engine:
        return str(engine["hardware"]["device_name"])
    return str(engine["deployment"]["instances"][0]["hardware"])


def device_named(text: str) -> str:
    """Our name of a device that CUDA calls `text`, such as "NVIDIA GeForce RTX 4090"."""
    words = [w for w in re.split(r"[\s-]+", text) if w.lower() not in MAKERS]
    candidates = ["-".join(words[:n]) for n in range(len(words), 0, -1)]
    for candidate in (text, *candidates):
        try:
            return device(candidate).id
        except InputError:
            continue
    raise InputError(f"unknown device {text!r} in engine.json: give it a file and an alias of this name")


def _check_experiment(experiment: dict[str, Any], comparison: Comparison, file: Path) -> None:
    try:
        scenario = experiment_scenario(experiment)
        stages = experiment["load"]["stages"]
        measured = {int(m["stage_index"]): m for m in experiment["measured"]}
        label = {"run": str(experiment["id"]), "model": str(experiment["model"])}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"experiment lacks {error}", file=file) from None
    result = run(scenario)
    comparison.sources.update(sources_of(result))
    found = simulated(result)
    arrival = np.sort(result.request_columns["arrival_s"])
    edges = np.cumsum([0.0, *(float(s["duration"]) for s in stages)])
    for stage, values in sorted(measured.items()):
        if stage >= 0 and len(stages) == 1:
            continue
        inside = (
            np.ones(len(arrival), dtype=bool) if stage < 0 else (arrival >= edges[stage]) & (arrival < edges[stage + 1])
        )
        for key, value in values.items():
            metric, _, statistic = key.partition("_")
            if metric in ("ttft", "e2e", "itl") and statistic in STATISTICS and value:
                mine = found.named["tpot" if metric == "itl" else metric]
                mine = mine[inside] if len(mine) == len(inside) else mine
                name = {"metric": metric, "statistic": statistic, "stage": str(stage)}
                predicted = statistic_of(mine, STATISTICS[statistic])
                comparison.add(label | name, [predicted], [float(value) / 1e3])


def experiment_scenario(experiment: dict[str, Any]) -> Scenario:
    """The scenario of an experiment under inference-perf's shared-prefix load.

    Each request has its user's system prompt and a question; the conversation before it is not repeated (with
    it the recorded runs would not fit into their KV caches).
    """
    prefix = experiment["load"]["shared_prefix"]
    precision = str(experiment.get("precision", "")).lower()
    published = dtype(model(experiment["model"]).dtype)
    return scenario_from(
        {
            "model": experiment["model"],
            "device": experiment["device"],
            "engine": experiment.get("engine", "vllm"),
            "parallel": {"tensor": experiment["tensor_parallel"]},
            "precision": {"weights": "fp8"} if precision == "fp8" and published.bits > 8 else {},
            "batching": {
                "max_num_seqs": experiment["max_num_seqs"],
                "max_num_batched_tokens": experiment["max_num_batched_tokens"],
            },
            "kv_cache": {"blocks": experiment["gpu_kv_blocks"], "block_size": experiment.get("block_size", 16)},
            "load": {
                "generator": {
                    "arrivals": {"process": "staged", "stages": experiment["load"]["stages"], "spacing": "constant"},
                    "prompt_tokens": prefix["question_len"],
                    "output_tokens": prefix["output_len"],
                    "prefix": {
                        "groups": prefix["num_unique_system_prompts"],
                        "tokens": prefix["system_prompt_len"],
                    },
                }
            },
        }
    )
