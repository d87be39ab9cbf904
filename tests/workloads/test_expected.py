"""How many requests a trace is expected to give, against how many it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.workloads.generators import generate
from simulator.workloads.traces import open_trace, write_requests
from simulator.workloads.traces.expected import expected_requests

LOAD = {
    "arrivals": {"process": "poisson", "rate": 10},
    "prompt_tokens": {"law": "uniform", "least": 10, "most": 2000},
    "output_tokens": 50,
}


def size(path: Path) -> int:
    return sum(len(chunk) for chunk in open_trace(path).chunks())


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.csv.gz", "t.jsonl.zst", "t.parquet"])
def test_small_traces_exactly(name: str, tmp_path: Path) -> None:
    write_requests(tmp_path / name, generate({**LOAD, "requests": 321}))
    assert expected_requests(open_trace(tmp_path / name)) == size(tmp_path / name) == 321
    assert expected_requests(open_trace(tmp_path / name, limit=20)) == 20
    assert expected_requests(open_trace(tmp_path / name, limit=1000)) == 321


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zst", "t.jsonl"])
def test_large_traces_nearly(name: str, tmp_path: Path) -> None:
    write_requests(tmp_path / name, generate({**LOAD, "requests": 300_000}))
    assert expected_requests(open_trace(tmp_path / name)) == pytest.approx(300_000, rel=0.1)


def test_generated_loads_exactly() -> None:
    assert expected_requests(generate({**LOAD, "requests": 77})) == 77
