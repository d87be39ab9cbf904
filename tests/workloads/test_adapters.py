"""Adapters as work: FLOPs and bytes in closed form, tensor-parallel shares, tuned experts, popularity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.workloads.adapters import AdapterGraph, AdapterSet, TunedExperts
from simulator.workloads.generators import generate
from simulator.workloads.models import model
from simulator.workloads.operators import Call, Collective
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.popularity import popularity
from simulator.workloads.traces import open_trace, write_requests

LLAMA = model("huggyllama/llama-7b")
HIDDEN, LAYERS, INNER = 4096, 32, 11008
SPEC = {
    "arrivals": {"process": "poisson", "rate": 5.0},
    "prompt_tokens": 100,
    "output_tokens": 10,
    "requests": 4000,
}


def graph(adapters: AdapterSet, tensor: int = 1, name: str = "huggyllama/llama-7b") -> AdapterGraph:
    return AdapterGraph(adapters, model(name), Parallelism(tensor=tensor), Precision())


def total(calls: list[Call], what: str) -> float:
    return float(sum(getattr(c.op, what)() * c.count for c in calls if not isinstance(c.op, Collective)))


@settings(max_examples=50)
@given(
    st.dictionaries(st.integers(0, 9), st.integers(1, 500), min_size=1),
    st.lists(st.integers(1, 128), min_size=1, max_size=4),
)
def test_flops_follow_tokens_and_bytes_follow_distinct_adapters(tokens: dict[int, int], ranks: list[int]) -> None:
    calls = graph(AdapterSet(10, tuple(ranks))).calls(tokens, 5000)
    rank = {a: ranks[a % len(ranks)] for a in tokens}
    matrices = 4 * LAYERS  # q, k, v and o, all square
    worked = sum(rank[a] * n for a, n in tokens.items())
    assert total(calls, "flops") == pytest.approx(matrices * 2 * worked * 2 * HIDDEN)
    weights = matrices * sum(rank.values()) * 2 * HIDDEN
    rows = matrices * (sum(tokens.values()) * 3 * HIDDEN + 2 * worked)  # read once, then read and written
    assert total(calls, "bytes") == pytest.approx(2 * (weights + rows))
    assert sum(c.count for c in calls) == 2 * matrices


def test_a_lora_on_every_matrix_is_as_large_as_its_factors() -> None:
    every = AdapterSet(1, (16,), ("q", "k", "v", "o", "gate", "up", "down"))
    factors = 16 * LAYERS * (4 * 2 * HIDDEN + 3 * (HIDDEN + INNER))
    assert graph(every).bytes(0) == 2 * factors


def test_tensor_parallelism_splits_an_adapter_and_moves_vectors_of_its_rank() -> None:
    adapters = AdapterSet(1, (16,))
    one, four = graph(adapters), graph(adapters, 4)
    tokens = {0: 100}
    shared = four.calls(tokens, 100)
    assert total(shared, "flops") == pytest.approx(total(one.calls(tokens, 100), "flops") / 4)
    # All of A and of B is split: by rank or by input, and by output.
    assert four.bytes(0) == one.bytes(0) / 4
    network = {c.op.pattern: (c.op.message, c.count) for c in shared if isinstance(c.op, Collective)}
    assert network == {"all_gather": (100 * 16 * 2, 3 * LAYERS), "all_reduce": (100 * 16 * 2, LAYERS)}


def test_tuned_experts_are_read_once_each_where_all_are_visited() -> None:
    name = "deepseek-ai/DeepSeek-V2-Lite"
    tuned = graph(AdapterSet(3, experts=TunedExperts(5, 0.5)), name=name)
    expert, layers = 3 * 2048 * 1408 * 2, 26
    assert tuned.bytes(0) == layers * 5 * expert
    # With very many tokens every expert is visited anyway, so that those of the adapters come on top.
    read = next(c for c in tuned.calls({0: 10_000, 1: 10_000}, 30_000) if c.name == "tuned experts")
    assert float(read.op.bytes()) * read.count == pytest.approx(2 * layers * 5 * expert)
    assert tuned.calls({}, 100) == []


def test_one_token_visits_as_many_experts_with_an_adapter_as_without() -> None:
    tuned = graph(AdapterSet(1, experts=TunedExperts(6, 0.5)), name="deepseek-ai/DeepSeek-V2-Lite")
    read = next(c for c in tuned.calls({0: 1}, 1) if c.name == "tuned experts")
    assert float(read.op.bytes()) == pytest.approx(0.0, abs=1.0)


@pytest.mark.parametrize(
    ("mine", "others", "per_layer", "share"), [(4, 20, 8, 0.5), (30, 40, 20, 0.6), (12, 60, 16, 0.3)]
)
def test_rerouting_reads_as_many_more_experts_as_draws_do(mine: int, others: int, per_layer: int, share: float) -> None:
    tuned = graph(AdapterSet(1, experts=TunedExperts(per_layer, share)), name="deepseek-ai/DeepSeek-V2-Lite")
    read = next(c for c in tuned.calls({0: mine}, mine + others) if c.name == "tuned experts")
    rng, draws = np.random.default_rng(0), 2000

    def visited(tokens: int, experts: int, visits: float) -> NDArray[np.bool_]:
        chosen = rng.random((draws, tokens, experts)) < visits / experts
        return np.asarray(chosen.any(axis=1))

    base = visited(others, 64, 6) | visited(mine, 64, 6 * (1 - share))
    more = base.sum() + visited(mine, per_layer, 6 * share).sum() - visited(mine + others, 64, 6).sum()
    expert = 3 * 2048 * 1408 * 2
    assert float(read.op.bytes()) / expert == pytest.approx(more / draws, abs=0.25)


def test_what_a_model_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="has 0 experts"):
        graph(AdapterSet(1, experts=TunedExperts(1, 0.5)))
    with pytest.raises(InputError, match="latent attention"):
        graph(AdapterSet(1), name="deepseek-ai/DeepSeek-V2-Lite")
    with pytest.raises(InputError, match="routed experts"):
        graph(AdapterSet(1, targets=("q", "up")), name="mistralai/Mixtral-8x7B-v0.1")


@pytest.mark.parametrize("law", [{"zipf": 1.2}, {"power": 0.3}, {"power": 1.0}, {}])
def test_generated_adapters_are_as_popular_as_the_law_says(law: dict[str, float]) -> None:
    source = generate(SPEC | {"adapters": {"count": 8, "base_share": 0.25, **law}})
    adapter = np.concatenate([chunk.adapter for chunk in source.chunks() if chunk.adapter is not None])
    shares = popularity(8, law.get("zipf", 0.0))
    if "power" in law:  # the chance that count x U^(1/a) rounds down to i
        edges = (np.arange(9) / 8) ** law["power"]
        shares = np.diff(edges)
    found = np.bincount(adapter[adapter >= 0], minlength=8) / len(adapter)
    assert np.mean(adapter < 0) == pytest.approx(0.25, abs=0.03)
    np.testing.assert_allclose(found, 0.75 * shares, atol=0.03)


def test_adapters_shift_no_other_stream_and_sessions_keep_theirs() -> None:
    plain = generate(SPEC | {"sessions": {"turns": 3}})
    chosen = generate(SPEC | {"sessions": {"turns": 3}, "adapters": {"count": 50}})
    one, other = next(iter(plain.chunks())), next(iter(chosen.chunks()))
    assert one.arrival_s.tobytes() == other.arrival_s.tobytes()
    assert one.adapter is None
    assert other.adapter is not None
    assert other.session is not None
    pairs = set(zip(other.session.tolist(), other.adapter.tolist(), strict=True))
    assert len(pairs) == len(set(other.session.tolist()))
    assert len(set(other.adapter.tolist())) == 50


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_trace_keeps_its_adapters(tmp_path: Path, suffix: str) -> None:
    source = generate(SPEC | {"requests": 50, "adapters": {"count": 5, "base_share": 0.3}})
    path = tmp_path / f"trace{suffix}"
    write_requests(path, source)
    before, after = next(iter(source.chunks())), next(iter(open_trace(path).chunks()))
    assert before.adapter is not None
    assert after.adapter is not None
    assert before.adapter.tolist() == after.adapter.tolist()


def test_a_blank_adapter_is_the_base_model(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("arrival_s,prompt_tokens,output_tokens,adapter\n0,5,5,3\n1,5,5,\n")
    chunk = next(iter(open_trace(path, limit=2).chunks()))
    assert chunk.adapter is not None
    assert chunk.adapter.tolist() == [3, -1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 0}, "adapters.count"),
        ({"count": 4, "zipf": 1.0, "power": 1.0}, "two laws"),
        ({"count": 4, "power": 0}, "adapters.power"),
        ({"count": 4, "skew": 1}, "unknown adapters field"),
    ],
)
def test_wrong_popularity_is_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(SPEC | {"adapters": given})
