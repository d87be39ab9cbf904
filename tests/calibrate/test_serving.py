"""Recorded runs and steady-state rows: what they are turned into, and how near the simulation comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulator.calibrate.check_serving import check_serving, device_named, experiment_scenario, run_scenario
from simulator.calibrate.check_steady_state import check_steady_state, row_scenario
from simulator.errors import InputError
from simulator.workloads.models import model

MEASURED = Path(__file__).parents[3] / "shared" / "measured" / "serving"
ROW: dict[str, Any] = {
    "device": "nvidia-h100-sxm-80gb",
    "backend": "vllm",
    "model_path": "meta-llama/Llama-3.1-8B",
    "mode": "agg",
    "isl": 256,
    "osl": 32,
    "concurrency": 4,
    "tp_size": 1,
    "ttft_mean_ms": 20.0,
    "tpot_mean_ms": 7.0,
    "gemm_quant_mode": "fp8",
    "moe_quant_mode": None,
    "length_distribution": "uniform(0.8L,L) each, independent",
    "num_requests": 40,
}
EXPERIMENT: dict[str, Any] = {
    "id": "1",
    "model": "RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic",
    "device": "nvidia-h100-sxm-80gb",
    "tensor_parallel": 2,
    "max_num_seqs": 128,
    "max_num_batched_tokens": 2048,
    "gpu_kv_blocks": 8000,
    "precision": "FP8",
    "load": {
        "shared_prefix": {
            "num_unique_system_prompts": 10,
            "system_prompt_len": 150,
            "question_len": 600,
            "output_len": 251,
        },
        "stages": [{"duration": 10, "rate": 2.0}],
    },
    "measured": [{"stage_index": -1, "ttft_mean": 67.0, "e2e_p90": 6000.0}],
}


def test_a_row_becomes_its_deployment() -> None:
    found = row_scenario(ROW)
    assert (found.engine, found.batching.policy, found.load.concurrency) == ("vllm", "vllm-v1", 4)
    assert (found.precision.weights, found.precision.kv_cache) == ("fp8", "fp8")
    generator = found.load.generator
    assert isinstance(generator, dict)
    assert generator["prompt_tokens"] == {"law": "uniform", "least": 205, "most": 256}
    deepseek = row_scenario(ROW | {"model_path": "deepseek-ai/DeepSeek-R1", "moe_quant_mode": "fp8", "tp_size": 8})
    assert (deepseek.precision.weights, deepseek.precision.experts) == ("fp8_block", "fp8_block")


def test_rows_that_cannot_be_modelled_are_counted(tmp_path: Path) -> None:
    rows = [
        ROW,
        ROW | {"mode": "disagg"},
        ROW | {"backend": "mlc"},
        ROW | {"model_path": "nobody/unknown-1b"},
        ROW | {"concurrency": None},
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    found = check_steady_state(tmp_path / "rows.csv", jobs=1).summary()
    assert [g["group"]["metric"] for g in found["groups"]] == ["ttft", "tpot"]
    assert found["skipped"] == {
        "disaggregated, without the number of its workers": 1,
        "unknown engine mlc": 1,
        "nobody/unknown-1b: unknown model 'nobody/unknown-1b'": 1,
        "a field is empty": 1,
    }


def test_an_experiment_keeps_its_checkpoints_format() -> None:
    found = experiment_scenario(EXPERIMENT)
    assert found.precision.weights is None
    assert model(found.model).dtype == "fp8_dynamic"
    plain = experiment_scenario(EXPERIMENT | {"model": "meta-llama/Llama-3.1-70B-Instruct"})
    assert plain.precision.weights == "fp8"


def test_experiments_are_compared_by_what_was_measured(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(json.dumps([EXPERIMENT]))
    found = check_serving(tmp_path / "e.json")
    assert [(label["metric"], label["statistic"]) for label in found.labels] == [("ttft", "mean"), ("e2e", "p90")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NVIDIA GeForce RTX 4090", "nvidia-rtx-4090-24gb"),
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-sxm-80gb"),
        ("RTXPRO6000", "nvidia-rtx-pro-6000-96gb"),
        ("AMD Instinct MI300X", "amd-mi300x-192gb"),
        ("Tesla T4", "nvidia-t4-16gb"),
    ],
)
def test_devices_are_known_by_what_cuda_calls_them(text: str, name: str) -> None:
    assert device_named(text) == name


def test_data_parallel_ranks_are_replicas_unless_they_share_experts(tmp_path: Path) -> None:
    given = {
        "tensor_parallel_size": 2,
        "data_parallel_size": 4,
        "max_num_seqs": 64,
        "max_num_batched_tokens": 2048,
    }
    engine = {"engine_kwargs": given, "model": "Qwen/Qwen3-30B-A3B", "hardware": {"device_name": "NVIDIA H100"}}
    plain = run_scenario(engine, tmp_path)
    assert (plain.parallel.tensor, plain.replicas) == (2, 4)
    engine["engine_kwargs"] = given | {"enable_expert_parallel": True}
    shared = run_scenario(engine, tmp_path)
    assert (shared.parallel.data, shared.parallel.expert, shared.replicas) == (4, 8, 1)


def test_broken_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"engine\.json cannot be read"):
        check_serving(tmp_path)
    (tmp_path / "engine.json").write_text("{}")
    with pytest.raises(InputError, match=r"engine\.json lacks"):
        check_serving(tmp_path)
    (tmp_path / "e.json").write_text("[{}]")
    with pytest.raises(InputError, match="experiment lacks"):
        check_serving(tmp_path / "e.json")


@pytest.mark.skipif(not MEASURED.exists(), reason="the recorded runs are not beside the project")
@pytest.mark.parametrize("run", ["vllm-rtx4090-llama-3.1-8b", "vllm-rtxpro6000-llama-3.1-8b"])
def test_recorded_runs_are_met(run: str) -> None:
    found = check_serving(MEASURED / run).summary()
    assert found["overall"]["mape"] <= 0.05
