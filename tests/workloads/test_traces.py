"""Trace formats: what is read from each, compressed or not, in chunks, and written back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.workloads.requests import PrefixHashes, Requests
from simulator.workloads.traces import TraceFile, describe, open_trace, write_requests
from tests.builders import Rows

MEASURED = Path(__file__).parents[3] / "shared" / "measured"


class Chunks:
    """A request source of given chunks."""

    name = "chunks"

    def __init__(self, *given: Requests) -> None:
        self.given = given

    def chunks(self) -> Iterator[Requests]:
        yield from self.given


def all_of(trace: TraceFile) -> Requests:
    (only,) = trace.chunks()
    return only


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_azure_2023(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "a.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        "2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,109\r\n",
    )
    found = all_of(open_trace(path))
    assert open_trace(path).format == "azure"
    assert found.arrival_s.tolist() == pytest.approx([0.0, 4.314579], abs=1e-6)
    assert (found.prompt_tokens.tolist(), found.output_tokens.tolist()) == ([374, 396], [44, 109])


def test_azure_2024_has_time_zones(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "a.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:01+00:00,2399,6\n",
    )
    assert all_of(open_trace(path)).arrival_s.tolist() == pytest.approx([0.0, 0.99007], abs=1e-6)


def test_mooncake(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [0, 1, 2]},
        {"timestamp": 2500, "input_length": 600, "output_length": 7, "hash_ids": [0, 9]},
    ]
    found = all_of(open_trace(written(tmp_path, "m.jsonl", "\n".join(map(json.dumps, rows)))))
    assert found.arrival_s.tolist() == [0.0, 2.5]
    assert found.prefix is not None
    assert found.prefix.block_tokens == 512
    assert [found.prefix.of(i).tolist() for i in range(2)] == [[0, 1, 2], [0, 9]]


def test_burstgpt_counts_failed_requests(tmp_path: Path) -> None:
    text = (
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,0,1087,Conversation log\n"
        "118,GPT-4,417,276,693,Conversation log\n"
    )
    trace = open_trace(written(tmp_path, "b.csv", text), on_error="skip")
    assert all_of(trace).arrival_s.tolist() == [5.0, 118.0]
    assert trace.skipped_by_reason == {"failed request": 1}


def test_recorded_run(tmp_path: Path) -> None:
    row = {
        "request_id": "bench-0",
        "arrival_s": 0.5,
        "input_tokens": 40,
        "output_tokens": 3,
        "queue_wait_s": 2e-5,
        "ttft_s": 0.1,
        "e2e_s": 0.2,
        "block_hashes": [7, 8],
    }
    found = all_of(open_trace(written(tmp_path, "r.jsonl", json.dumps(row))))
    assert found.ids == ["bench-0"]
    assert found.measured is not None
    assert found.measured["ttft_s"].tolist() == [0.1]
    assert found.prefix is not None
    assert found.prefix.block_tokens == 16


def test_vllm_benchmark_result(tmp_path: Path) -> None:
    document = {"input_lens": [10, 20], "output_lens": [3, 4], "start_times": [7.5, 7.0], "ttfts": [0.1, 0.2]}
    found = all_of(open_trace(written(tmp_path, "v.json", json.dumps(document))))
    assert found.arrival_s.tolist() == [0.0, 0.5]
    assert found.prompt_tokens.tolist() == [20, 10]


def test_sharegpt_counts_four_characters_a_token(tmp_path: Path) -> None:
    document = [{"conversations": [{"from": "human", "value": "x" * 40}, {"from": "gpt", "value": "y" * 81}]}]
    found = all_of(open_trace(written(tmp_path, "s.json", json.dumps(document))))
    assert (found.prompt_tokens.tolist(), found.output_tokens.tolist()) == ([10], [20])


def test_prompts_to_send(tmp_path: Path) -> None:
    found = all_of(open_trace(written(tmp_path, "p.jsonl", json.dumps({"prompt": "z" * 400, "output_tokens": 9}))))
    assert (found.prompt_tokens.tolist(), found.output_tokens.tolist()) == ([100], [9])


def test_quoted_cells_and_blank_last_lines(tmp_path: Path) -> None:
    text = 'arrival_s,prompt_tokens,output_tokens,request_id\n0,5,6,"a,b"\n1,7,8,c\n\n\n'
    assert all_of(open_trace(written(tmp_path, "q.csv", text))).ids == ["a,b", "c"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "csv.gz", "jsonl.gz", "csv.zst", "jsonl.zst", "parquet"])
@given(
    data=st.lists(
        st.tuples(st.floats(0, 1e6), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 20)),
        min_size=1,
        max_size=12,
    ),
    extras=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: list[tuple[float, int, int, int]], extras: bool
) -> None:
    count = len(data)
    counts = [min(d[3], (d[1] + d[2]) // 16) for d in data]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    requests = Requests(
        np.sort(np.array([d[0] for d in data])),
        np.array([d[1] for d in data], dtype=np.int64),
        np.array([d[2] for d in data], dtype=np.int64),
        ids=[f"r{i}" for i in range(count)] if extras else None,
        prefix=PrefixHashes(offsets, np.arange(offsets[-1], dtype=np.int64), 16) if extras else None,
        session=np.arange(count, dtype=np.int64) if extras else None,
        think_s=np.full(count, 0.25) if extras else None,
    )
    path = tmp_path_factory.mktemp("t") / f"trace.{suffix}"
    assert write_requests(path, Rows(requests, size=5)) == count
    first = path.read_bytes()
    write_requests(path, Rows(requests, size=5))
    assert path.read_bytes() == first
    found = all_of(open_trace(path))
    for name in ("arrival_s", "prompt_tokens", "output_tokens", *(("session", "think_s") if extras else ())):
        assert getattr(found, name).tolist() == getattr(requests, name).tolist()
    if extras:
        assert found.ids == requests.ids
        assert found.prefix is not None
        assert requests.prefix is not None
        assert found.prefix.ids.tolist() == requests.prefix.ids.tolist()
        assert found.prefix.offsets.tolist() == offsets.tolist()


def test_compression_is_known_by_content_not_by_name(tmp_path: Path) -> None:
    text = b"arrival_s,prompt_tokens,output_tokens\n0,5,6\n"
    (tmp_path / "plain.csv").write_bytes(gzip.compress(text))
    (tmp_path / "other").write_bytes(pa.compress(text, codec="zstd", asbytes=True))
    for name in ("plain.csv", "other"):
        assert len(all_of(open_trace(tmp_path / name))) == 1


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_column_that_comes_late_is_kept(name: str, tmp_path: Path) -> None:
    ones = np.ones(2, dtype=np.int64)
    early = Requests(np.array([0.0, 1.0]), ones, ones)
    late = Requests(np.array([2.0, 3.0]), ones, ones, priority=np.array([4, 5]))
    write_requests(tmp_path / name, Chunks(early, late))
    found = all_of(open_trace(tmp_path / name))
    assert found.priority is not None
    assert found.priority[2:].tolist() == [4, 5]


def test_a_first_row_longer_than_a_block_is_told_by_its_fields(tmp_path: Path) -> None:
    row = {"timestamp": 0, "input_length": 512 * 20_000, "output_length": 5, "hash_ids": list(range(20_000))}
    trace = open_trace(written(tmp_path, "t.jsonl", json.dumps(row) + "\n"), max_tokens=1 << 30)
    assert trace.format == "mooncake"
    assert len(all_of(trace)) == 1


def test_a_quoted_cell_may_be_long(tmp_path: Path) -> None:
    hashes = " ".join(str(10**15 + i) for i in range(20_000))
    text = f'arrival_s,prompt_tokens,output_tokens,block_hashes,block_tokens\n0,320000,6,"{hashes}",16\n'
    found = all_of(open_trace(written(tmp_path, "t.csv", text)))
    assert found.prefix is not None
    assert len(found.prefix.ids) == 20_000


def test_limit_and_speed_up(tmp_path: Path) -> None:
    text = "arrival_s,prompt_tokens,output_tokens\n" + "".join(f"{i},5,6\n" for i in range(100))
    path = written(tmp_path, "t.csv", text)
    found = all_of(open_trace(path, limit=7, speed_up=2.0))
    assert found.arrival_s.tolist() == [i / 2 for i in range(7)]


def test_a_large_trace_comes_in_chunks(tmp_path: Path) -> None:
    line = "0.0,5,6\n"
    text = "arrival_s,prompt_tokens,output_tokens\n" + line * 700_000
    chunks = list(open_trace(written(tmp_path, "t.csv", text)).chunks())
    assert len(chunks) > 1
    assert sum(map(len, chunks)) == 700_000


def test_describe_finds_rate_lengths_and_sharing(tmp_path: Path) -> None:
    rows = [
        {"arrival_s": i * 0.5, "prompt_tokens": 64, "output_tokens": 10, "block_hashes": [1, 2, 3 + i]}
        for i in range(11)
    ]
    facts = describe(open_trace(written(tmp_path, "d.jsonl", "\n".join(map(json.dumps, rows)))))
    assert facts["rate_requests_per_s"] == pytest.approx(2.0)
    assert facts["arrival_cv"] == pytest.approx(0.0, abs=1e-9)
    assert facts["prompt_tokens"]["mean"] == 64
    assert facts["prefix_cache_hit_share_infinite_cache"] == pytest.approx(10 * 32 / (11 * 64))


@pytest.mark.skipif(not MEASURED.exists(), reason="the measured traces are not beside the project")
@pytest.mark.parametrize(
    ("name", "form", "count"),
    [
        ("AzureLLMInferenceTrace_conv.csv.gz", "azure", 19_366),
        ("mooncake_conversation_trace.jsonl.gz", "mooncake", 12_031),
    ],
)
def test_production_traces(name: str, form: str, count: int) -> None:
    trace = open_trace(MEASURED / "traces" / name)
    assert trace.format == form
    assert sum(map(len, trace.chunks())) == count
