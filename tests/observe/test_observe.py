"""Recordings of a small server beside that server's own clock, and what each way of failing says."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cli import main
from simulator.errors import InputError
from simulator.observe.endpoint import endpoint
from simulator.observe.latency import Observed, event_tokens, token_gaps
from simulator.observe.prompts import WORDS, prompt_text
from simulator.observe.record import Plan, recording
from simulator.observe.run_directory import Deployment, write_run
from simulator.observe.stream import Answer, EventReader
from simulator.workloads.requests import PrefixHashes, Requests
from tests.observe.server import serving

KNOWN = ["--device", "nvidia-l4-24gb", "--tensor-parallel", "1", "--max-num-seqs", "64"]
KNOWN += ["--max-num-batched-tokens", "2048"]
MODEL = "Qwen/Qwen2.5-0.5B"


class Server(NamedTuple):
    url: str
    log: Path

    def requests(self, model: str) -> dict[int, dict[str, Any]]:
        """What the server noted of the requests to a model, by the output tokens asked for (8: the warm-up)."""
        rows = [json.loads(line) for line in self.log.read_text().splitlines()]
        return {row["asked"]["max_tokens"]: row for row in rows if row["model"] == model}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, str(Path(__file__).with_name("server.py")), str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield Server(process.stdout.readline().strip(), log)
        process.terminate()


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Requests told apart by their output tokens, 40 ms from one to the next."""
    path = tmp_path / "trace.csv"
    path.write_text(
        "arrival_s,prompt_tokens,output_tokens\n" + "".join(f"{i * 0.04:.2f},{40 + i},{10 + i}\n" for i in range(15))
    )
    return str(path)


LOAD = Requests(np.arange(20) * 0.02, np.arange(40, 60), np.arange(10, 30))
Clocks = dict[str, tuple[np.ndarray, np.ndarray]]


def clocks(gaps: np.ndarray, rows: pd.DataFrame, noted: dict[int, dict[str, Any]]) -> Clocks:
    """Seconds by the client's clock and by the server's, latency by latency."""
    writes = [np.array(noted[n]["writes"]) for n in rows["output_tokens"]]
    return {
        "ttft": (rows["ttft_s"].to_numpy(), np.array([w[0] for w in writes])),
        "e2e": (rows["e2e_s"].to_numpy(), np.array([w[-1] for w in writes])),
        "itl": (gaps, np.concatenate([np.diff(w) for w in writes])),
    }


def gaps_of(folder: Path) -> np.ndarray:
    events = pd.read_parquet(folder / "tokens.parquet")
    return events.groupby("request", sort=False)["since_sent_s"].diff().dropna().to_numpy()


@pytest.mark.parametrize("way", ["open", "closed", "chat"])
def test_latencies_agree_with_the_clock_of_the_server(way: str, tmp_path: Path) -> None:
    """Within 2 ms or 1 %. Both are in one process here, so that what else the machine does delays them together."""
    log, concurrency = io.StringIO(), 4 if way == "closed" else None

    async def both() -> Observed:
        async with serving(log) as url:
            return await recording(endpoint(url, "m", chat=way == "chat"), LOAD, Plan(concurrency))

    observed = asyncio.run(both())
    write_run(tmp_path, observed, Deployment("m"), {})
    rows, gaps = pd.read_json(tmp_path / "requests.jsonl", lines=True), gaps_of(tmp_path)
    noted = {row["asked"]["max_tokens"]: row for row in map(json.loads, log.getvalue().splitlines())}
    for name, (client, server) in clocks(gaps, rows, noted).items():
        bound = max(2e-3, 0.01 * float(np.median(server)))
        assert np.median(abs(client - server)) <= bound, name
        assert abs(np.median(client) - np.median(server)) <= bound, name
        assert name != "itl" or abs(client.mean() - server.mean()) <= bound
    assert len(rows) == 20 and len(gaps) == (rows["output_tokens"] - 1).sum()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["latency_ms"]["ttft"]["mean"] == pytest.approx(rows["ttft_s"].mean() * 1e3)
    assert summary["latency_ms"]["itl"]["mean"] == pytest.approx(gaps.mean() * 1e3)
    assert summary["tokens"]["prompt"] == rows["input_tokens"].sum() == LOAD.prompt_tokens.sum()
    if way == "closed":
        sent, ended = rows["arrival_s"].to_numpy(), (rows["arrival_s"] + rows["e2e_s"]).to_numpy()
        busy = [int(((sent <= at) & (ended > at)).sum()) for at in sent]
        assert max(busy) == np.median(busy) == 4
    else:
        late = rows["arrival_s"] - (rows["output_tokens"] - 10) * 0.02
        assert (late - late.median()).abs().median() < 5e-3


def test_the_command_agrees_with_the_clock_of_another_process(server: Server, trace: str, tmp_path: Path) -> None:
    """Where the machine's other work does not come between: in the best quarter of the requests and gaps."""
    out = tmp_path / "run"
    assert main(["observe", server.url, "--model", "timed", "--trace", trace, "--out", str(out), "-q"]) == 0
    rows = pd.read_json(out / "requests.jsonl", lines=True)
    assert len(rows) == 15 and not (out / "failures.jsonl").exists()
    for name, (client, there) in clocks(gaps_of(out), rows, server.requests("timed")).items():
        assert np.quantile(abs(client - there), 0.25) <= max(2e-3, 0.01 * float(np.median(there))), name


def test_a_recording_is_validated(server: Server, trace: str, tmp_path: Path) -> None:
    for name, more in (("open", []), ("closed", ["--concurrency", "4"])):
        out = str(tmp_path / name)
        asked = ["--model", MODEL, "--trace", trace, "--limit", "8", "--speed-up", "2", *KNOWN, *more]
        assert main(["observe", server.url, *asked, "--out", out, "-q"]) == 0
        assert main(["validate", "serving", out, "--json", str(tmp_path / "errors.json")]) == 0
        errors = json.loads((tmp_path / "errors.json").read_text())
        assert {g["group"]["metric"] for g in errors["groups"]} == {"ttft", "tpot", "e2e"}
        assert np.isfinite(errors["overall"]["mape"])
    assert json.loads((tmp_path / "closed" / "engine.json").read_text())["load"] == {"concurrency": 4}


def test_what_is_not_known_of_the_server_is_asked_for(
    server: Server, trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    asked = ["--model", MODEL, "--trace", trace, "--limit", "2", "--device", "nvidia-l4-24gb"]
    assert main(["observe", server.url, *asked, "--out", out]) == 0
    assert "TTFT" in capsys.readouterr().out
    assert main(["validate", "serving", out]) == 2
    said = capsys.readouterr().err
    assert "engine_kwargs.tensor_parallel_size, engine_kwargs.max_num_seqs" in said and "hardware" not in said


def test_tokens_are_counted_by_the_server_whatever_comes_in_one_event(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, events in (("pairs", 6), ("usage", 11), ("silent", 11)):
        out = tmp_path / model
        asked = ["--model", model, "--concurrency", "2", "--requests", "4", "--output-tokens", "11", "-q"]
        assert main(["observe", server.url, *asked, "--prompt-tokens", "50", "--out", str(out)]) == 0
        rows, tokens = pd.read_json(out / "requests.jsonl", lines=True), pd.read_parquet(out / "tokens.parquet")
        assert (rows["output_tokens"] == 11).all() and (rows["input_tokens"] == 50).all()
        assert (tokens.groupby("request").size() == events).all()
        assert tokens.groupby("request")["tokens"].sum().tolist() == [11] * 4
    assert "the server gave no usage" in capsys.readouterr().err


def test_the_key_comes_from_the_environment_and_stays_off_the_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN_KEY", "s3cret")
    out = tmp_path / "run"
    asked = ["--model", "keyed", "--concurrency", "1", "--requests", "1", "--output-tokens", "2", "--warm-up", "0"]
    assert main(["observe", server.url, *asked, "--api-key-env", "OWN_KEY", "--out", str(out), "-q"]) == 0
    noted = server.requests("keyed")[2]
    assert noted["key"] == "Bearer s3cret" and noted["asked"]["ignore_eos"] is True
    assert not any(b"s3cret" in path.read_bytes() for path in out.iterdir())


def test_failures_are_rows_with_their_reason(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    asked = ["--model", "flaky", "--concurrency", "1", "--requests", "6", "--output-tokens", "2", "--warm-up", "0"]
    assert main(["observe", server.url, *asked, "--out", str(out), "-q"]) == 0
    reason = "HTTP 404: the model flaky does not exist"
    assert f"3 of 6 requests failed: {reason}" in capsys.readouterr().err
    failed = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert [row["reason"] for row in failed] == [reason] * 3
    assert len((out / "requests.jsonl").read_text().splitlines()) == 3
    summary = json.loads((out / "summary.json").read_text())
    assert summary["requests"] == {"sent": 6, "succeeded": 3, "failed": 3, "reasons": {reason: 3}}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("cut", "the stream was cut after 3 events"),
        ("broken", "the server said in its stream: engine died"),
        ("refuse", "HTTP 404: the model refuse does not exist"),
        ("redirect", "HTTP 307: the server redirects elsewhere, which is not followed"),
        ("json", "the answer is application/json, not a stream"),
        ("slow", "timed out after 0.3 s"),
    ],
)
@pytest.mark.parametrize("warm_up", ["0", "1"])
def test_a_server_that_never_answers_leaves_no_recording(
    model: str, said: str, warm_up: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--model", model, "--concurrency", "2", "--requests", "2", "--timeout", "0.3", "--warm-up", warm_up]
    assert main(["observe", server.url, *asked, "--output-tokens", "5", "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://127.0.0.1:9", "--rate", "1"], "did not answer a warm-up request: no connection: Connection refused"),
        (["ftp://127.0.0.1", "--rate", "1"], "is no web address"),
        (["127.0.0.1:8000", "--rate", "1"], "is no web address"),
        (["http://127.0.0.1:99999", "--rate", "1"], "cannot be read"),
        (["http://me:secret@127.0.0.1", "--rate", "1"], "environment variable"),
        (["http://127.0.0.1/v1/completions", "--rate", "1"], "give the address of the server"),
        (["http://127.0.0.1/?x=1", "--rate", "1"], "query or a fragment"),
        (["http://127.0.0.1:9"], "no load is given"),
        (["http://127.0.0.1:9", "--rate", "1", "--concurrency", "2"], "leave out one"),
        (["http://127.0.0.1:9", "--rate", "1", "--trace", "t.csv"], "--speed-up"),
        (["http://127.0.0.1:9", "--rate", "-1"], "arrivals.rate"),
        (["http://127.0.0.1:9", "--rate", "1", "--timeout", "nan"], "--timeout is nan"),
        (["http://127.0.0.1:9", "--rate", "1", "--timeout", "inf"], "--timeout is inf"),
        (["http://a..b", "--rate", "1"], "cannot be read"),
        ([f"http://{'a' * 70}", "--rate", "1"], "cannot be read"),
        (["http://127.0.0.1:9", "--trace", "missing.csv"], "missing.csv"),
        (["http://127.0.0.1:9", "--rate", "1", "--requests", "100000"], "65,536"),
    ],
)
def test_bad_input(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["observe", *arguments, "--model", "m", "--out", "run"]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1 and "secret" not in error
    assert not (tmp_path / "run").exists()


def test_a_key_that_no_header_holds_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret\n")
    assert main(["observe", "http://127.0.0.1:9", "--model", "m", "--rate", "1", "--out", str(tmp_path / "r")]) == 2
    error = capsys.readouterr().err
    assert "line break" in error and len(error.splitlines()) == 1 and "s3cret" not in error


def test_without_aiohttp_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert main(["observe", "http://127.0.0.1:9", "--model", "m", "--rate", "1", "--out", str(tmp_path / "r")]) == 2
    assert "install simulator[observe]" in capsys.readouterr().err


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=8), st.data())
def test_events_are_read_whole_however_the_bytes_are_cut(texts: list[str], data: st.DataObject) -> None:
    payloads = [json.dumps(text).encode() for text in texts]
    end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    stream = b": a comment" + end * 2 + b"".join(b"data: " + p + end * 2 for p in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    reader = EventReader()
    assert [event for piece in pieces for event in reader.feed(piece)] == payloads


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 5)), min_size=1, max_size=20), st.booleans())
def test_gaps_times_tokens_are_the_time_from_first_event_to_last(steps: list[tuple[int, int]], counted: bool) -> None:
    times, tokens = np.cumsum([s for s, _ in steps]).tolist(), np.cumsum([n for _, n in steps]).tolist()
    answer = Answer(0, times, tokens if counted else [0] * len(steps), output_tokens=tokens[-1])
    gaps, many = token_gaps(answer)
    assert event_tokens(answer).sum() == pytest.approx(tokens[-1])
    assert (gaps * many).sum() == pytest.approx((times[-1] - times[0]) / 1e9)
    if counted:
        assert event_tokens(answer).tolist() == [n for _, n in steps]


def usage(tokens: bytes) -> bytes:
    return b'{"choices": [], "usage": {"prompt_tokens": ' + tokens + b"}}"


@pytest.mark.parametrize(
    "data",
    [
        b"nope", b"[1]", b"null", b'"error"', b'{"choices": 3}', b'{"choices": [null]}', b"\xff", b"[" * 200_000,
        *map(usage, [b'"many"', b"NaN", b"1e400", b"-4", b"true", b"1000000000000"]),
    ],
)  # fmt: skip
def test_what_is_no_event_of_the_interface_is_a_failure_and_the_first_one_counts(data: bytes) -> None:
    answer = Answer()
    answer.take(data, 1)
    answer.take(b'{"error": "later"}', 2)
    assert answer.failure is not None and "not what the interface sends" in answer.failure


def test_an_error_of_null_is_none() -> None:
    answer = Answer()
    answer.take(b'{"error": null, "choices": [{"text": "a", "finish_reason": "length"}]}', 1)
    assert (answer.failure, answer.stamps, answer.finished) == (None, [1], True)


def test_prompts_share_what_their_blocks_share() -> None:
    prefix = PrefixHashes(np.array([0, 2, 4]), np.array([7, 8, 7, 9]), 16)
    one, other = (prompt_text(0, i, 40, prefix).split(" ") for i in (0, 1))
    assert len(one) == len(other) == 40 and one[:16] == other[:16] and one[16:32] != other[16:32]
    assert one[32:] != other[32:] and set(one) <= set(WORDS)
    assert prompt_text(0, 0, 10, prefix).split(" ") == one[:10]
    assert prompt_text(0, 5, 40) != prompt_text(1, 5, 40)


def test_addresses_with_and_without_a_path() -> None:
    for base in ("http://h:8000", "http://h:8000/", "http://h:8000/v1", "http://h:8000/v1/"):
        assert endpoint(base, "m").url == "http://h:8000/v1/completions"
    assert endpoint("https://h/openai/v1", "m", chat=True).url == "https://h/openai/v1/chat/completions"
    with pytest.raises(InputError, match="no web address"):
        endpoint("file:///etc/passwd", "m")
