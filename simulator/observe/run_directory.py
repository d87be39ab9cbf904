"""A recording on disk, in the layout that `simulator validate serving` reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.observe.latency import Observed, event_tokens, figures, seconds
from simulator.report.files import write_json, write_table, write_text


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a client cannot see of the server, and its simulation needs; None is not known."""

    model: str
    device: str | None = None
    tensor_parallel: int | None = None
    data_parallel: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    kv_blocks: int | None = None
    block_size: int = 16

    def engine(self) -> dict[str, Any]:
        """`engine.json`, with null for what is to be filled in."""
        return {
            "schema_version": 1,
            "model": self.model,
            "engine_kwargs": {
                "tensor_parallel_size": self.tensor_parallel,
                "data_parallel_size": self.data_parallel or 1,
                "max_num_seqs": self.max_num_seqs,
                "max_num_batched_tokens": self.max_num_batched_tokens,
            },
            "kv_cache": {"num_gpu_blocks": self.kv_blocks, "block_size": self.block_size},
            "hardware": {"device_name": self.device},
        }


def write_run(folder: Path, observed: Observed, deployment: Deployment, load: dict[str, Any]) -> dict[str, Any]:
    """Write the recording; returns its summary.

    requests.jsonl has a row a request that was answered, failures.jsonl one for each other with its reason,
    tokens.parquet one for each event that brought text. engine.json comes last.
    """
    summary = figures(observed)
    kept = observed.succeeded
    first = min(answer.sent for answer in observed.answers)
    failed = [i for i, answer in enumerate(observed.answers) if answer.failure is not None]
    _write_lines(folder / "requests.jsonl", [_row(observed, i, first) for i in kept])
    if failed:
        _write_lines(folder / "failures.jsonl", [_failure(observed, i, first) for i in failed])
    else:
        (folder / "failures.jsonl").unlink(missing_ok=True)
    events = [observed.answers[i] for i in kept]
    write_table(folder / "tokens.parquet", {
        "request": np.repeat(kept, [len(a.stamps) for a in events]),
        "since_sent_s": np.concatenate([seconds(a) for a in events]),
        "tokens": np.concatenate([event_tokens(a) for a in events]),
    })  # fmt: skip
    write_json(folder / "summary.json", summary)
    write_json(folder / "engine.json", deployment.engine() | {"num_requests": len(kept), "load": load})
    return summary


def _row(observed: Observed, index: int, first: int) -> dict[str, Any]:
    answer, times = observed.answers[index], seconds(observed.answers[index])
    prompt = observed.prompt_tokens(index)
    row = {
        "request_id": _name(observed, index),
        "arrival_s": (answer.sent - first) / 1e9,
        "input_tokens": prompt,
        "output_tokens": observed.output_tokens(index),
        "ttft_s": float(times[0]),
        "e2e_s": float(times[-1]),
    }
    prefix = observed.requests.prefix
    if prefix is None:
        return row
    size = prefix.block_tokens
    return row | {"block_hashes": prefix.of(index)[: prompt // size].tolist(), "block_tokens": size}


def _failure(observed: Observed, index: int, first: int) -> dict[str, Any]:
    answer = observed.answers[index]
    return {
        "request_id": _name(observed, index),
        "arrival_s": (answer.sent - first) / 1e9,
        "input_tokens": int(observed.requests.prompt_tokens[index]),
        "output_tokens_asked": int(observed.requests.output_tokens[index]),
        "events": len(answer.stamps),
        "reason": answer.failure,
    }


def _name(observed: Observed, index: int) -> str:
    ids = observed.requests.ids
    return f"request-{index}" if ids is None else ids[index]


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
