"""Predicted against published iteration times of whole training runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simulator.calibrate.errors import Comparison
from simulator.calibrate.measured_rows import read_rows
from simulator.counted import OnCount, counted
from simulator.engine.training.laying_out import step_of
from simulator.errors import InputError
from simulator.workloads.dtypes import dtype
from simulator.workloads.training.gpt import gpt
from simulator.workloads.training.job import Formats, Job, Layout

COLUMNS = (
    "model", "layers", "hidden", "attention_heads", "seq_length", "vocab_size", "device", "gpus", "tensor_parallel",
    "pipeline_parallel", "data_parallel", "global_batch", "dtype", "recompute",
)  # fmt: skip
# Micro-batch and chunks a stage of the runs of arXiv:2104.04473, table 1, by parameters in billions, where the table
# leaves them out: Megatron-LM's own launch script, examples/sc21/run_table_1.sh.
LAUNCHED: dict[str, dict[float, tuple[int, int]]] = {
    "narayanan2021_table1": {
        1.7: (16, 1), 3.6: (16, 1), 7.5: (16, 1), 18.4: (8, 1), 39.1: (4, 1), 76.1: (2, 3), 145.6: (2, 2),
        310.1: (1, 2), 529.6: (1, 3), 1008.0: (1, 1),
    },
}  # fmt: skip


def check_training(path: str | Path, *, on_count: OnCount | None = None) -> Comparison:
    """Simulate one step of every row that can be modelled; the others are counted by reason."""
    rows = read_rows(path, COLUMNS)
    comparison = Comparison()
    for row in counted(rows, len(rows), on_count):
        try:
            job = job_of(row)
            step = step_of(job, str(row["device"]), node=None)
        except InputError as error:
            comparison.skip(error.message)
            continue
        measured = measured_seconds(row)
        if measured is None:
            comparison.skip("neither measured_iteration_s nor measured_tflops_per_gpu is given")
            continue
        label = {"model": str(row["model"]), "gpus": str(int(row["gpus"])), "recompute": str(row["recompute"])}
        comparison.add(label, [step.step_seconds], [measured])
        timed_by = step.part(0).law.calibrations
        comparison.sources[timed_by.name] = timed_by.source
    return comparison


def job_of(row: Mapping[str, Any]) -> Job:
    """The job that a row describes. Raises `InputError` if it cannot be modelled."""
    heads, hidden, sequence = (int(row[c]) for c in ("attention_heads", "hidden", "seq_length"))
    model = gpt(
        layers=int(row["layers"]),
        hidden=hidden,
        heads=heads,
        vocab=int(row["vocab_size"]),
        sequence=sequence,
        ffn=_whole(row, "ffn_hidden"),
        head_dim=_whole(row, "head_dim"),
        name=str(row["model"]),
    )
    micro_batch, chunks = _micro_batch(row)
    number = dtype(str(row["dtype"]))
    layout = Layout(
        int(row["tensor_parallel"]),
        int(row["pipeline_parallel"]),
        int(row["data_parallel"]),
        chunks,
        _true(row.get("sequence_parallel")),
    )
    recompute = str(row["recompute"])
    if recompute not in ("none", "selective", "full"):
        raise InputError(f"recompute {recompute} is not modelled")
    job = Job(
        model, sequence, micro_batch, int(row["global_batch"]), layout, Formats(number, number, number),
        recompute=recompute, fused_attention=False, dropout=True,  # type: ignore[arg-type]
    )  # fmt: skip
    job.check()
    return job


def measured_seconds(row: Mapping[str, Any]) -> float | None:
    """Seconds of an iteration, from FLOP/s as arXiv:2104.04473, equation 3 counts them where only those are given."""
    seconds, rate = row.get("measured_iteration_s"), row.get("measured_tflops_per_gpu")
    if seconds is not None and not np.isnan(float(seconds)):
        return float(seconds)
    if rate is None or np.isnan(float(rate)):
        return None
    h, s, layers = float(row["hidden"]), float(row["seq_length"]), float(row["layers"])
    flops = 96.0 * float(row["global_batch"]) * s * layers * h * h
    flops *= 1.0 + s / (6.0 * h) + float(row["vocab_size"]) / (16.0 * layers * h)
    return flops / (float(rate) * 1e12 * float(row["gpus"]))


def _micro_batch(row: Mapping[str, Any]) -> tuple[int, int]:
    """Micro-batch and chunks a stage: as given, as launched, else the largest micro-batch up to 4 without chunks."""
    micro, chunks = _whole(row, "micro_batch"), _whole(row, "interleaved_stages")
    if micro is not None:
        return micro, chunks or 1
    known = LAUNCHED.get(str(row.get("source_table")), {})
    size = float(row.get("params_b") or 0.0)
    near = min(known, key=lambda billions: abs(billions - size), default=None)
    if near is not None and abs(near / size - 1.0) < 0.05:
        return known[near]
    share = int(row["global_batch"]) // int(row["data_parallel"])
    return next(m for m in (4, 2, 1) if share % m == 0), chunks or 1


def _whole(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    return None if value is None or np.isnan(float(value)) else int(float(value))


def _true(value: object) -> bool:
    return str(value).lower() == "true"
