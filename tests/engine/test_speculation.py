"""Speculative decoding in the engine: what is emitted, what it costs, and that no token or block is lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.cluster_spec import Load
from simulator.engine.deployment import Deployment, deploy
from simulator.engine.drafter import Drafter
from simulator.engine.drafter_layout import early_exit, model_drafter, prediction_head
from simulator.engine.query_pass import Pass, Queries
from simulator.engine.recorder import Recorder
from simulator.engine.speculation import Speculation, SpeculationRecord
from simulator.engine.streams import stream
from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.overheads import overheads
from simulator.hardware.relatives import calibrations_for
from simulator.policies.batching import BatchingPolicy, Orca, PrefillFirst, Static, VllmV1
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.speculation import (
    BigLittle,
    Constant,
    Fixed,
    Hierarchical,
    SmartSpec,
    SpeculationPolicy,
)
from simulator.policies.speculation.acceptance import expected_tokens
from simulator.policies.speculation.draws import PositionDraws
from simulator.scenario import scenario_from
from simulator.workloads.parallelism import Parallelism, Precision
from tests.builders import Rows, rows, serve, timer_of, tiny_model
from tests.engine.test_fast_forward import workloads

TINY = tiny_model()
TARGET = timer_of(TINY)
TARGETS = {1: TARGET, 2: timer_of(TINY, parallel=Parallelism(pipeline=2))}
L4 = device("nvidia-l4-24gb")
LAW = TimingLaw(L4, calibrations_for(L4), fabric_of(L4, None))
ONE = Parallelism()
DRAFTERS: dict[str, Drafter] = {
    "n-gram": Drafter("n-gram lookup", shares_cache=True),
    "model": model_drafter(TINY, ONE, Precision(), LAW, overheads("vllm"), max_num_seqs=8),
    "streaming": model_drafter(TINY, ONE, Precision(), LAW, overheads("vllm"), max_num_seqs=8, cache_tokens=16),
    "mtp": prediction_head(TINY, ONE, Precision(), LAW, overheads("vllm")),
    "early-exit": early_exit(TINY, ONE, Precision(), LAW, overheads("vllm"), layers=1, reuse=True),
    "beside": model_drafter(TINY, ONE, Precision(), LAW, overheads("vllm"), max_num_seqs=8, device=L4),
}


def speculation(
    policy: Callable[[], SpeculationPolicy], *, rate: float = 0.7, drafter: str = "n-gram", seed: int = 1
) -> Speculation:
    draws = PositionDraws(partial(stream, seed), "acceptance")
    drafts = DRAFTERS[drafter]
    return Speculation(
        policy, drafts, Constant(rate=rate), draws, SpeculationRecord(), asynchronous=drafts.device is not None
    )


POLICIES: dict[str, Callable[[], SpeculationPolicy]] = {
    "chain": lambda: Fixed(tokens=3),
    "long": lambda: Fixed(tokens=11),
    "tree": lambda: Fixed(tree=[3, 5, 2]),
    "smartspec": lambda: SmartSpec(most_tokens=4),
    "bild": lambda: BigLittle(streams=partial(stream, 1), most_tokens=6),
    "triforce": lambda: Hierarchical(streams=partial(stream, 1), tokens=4, cache_tokens=8),
}
BATCHING: list[Callable[[], BatchingPolicy]] = [
    VllmV1,
    lambda: VllmV1(watermark=0.1, long_prefill_token_threshold=5),
    Orca,
    PrefillFirst,
    Static,
]


class Checked:
    """A batching policy that checks the state it is shown: every block is held by someone, and by as many as needed."""

    def __init__(self, inner: BatchingPolicy, *, alone: bool) -> None:
        self.inner = inner
        self.alone = alone

    def next_batch(self, state: ServingState) -> Batch:
        kv = state.kv
        running = [*state.decoding, *state.prefilling]
        assert kv.free == sum(kv._idle.values()) >= 0
        for sequence in state.decoding:
            assert sequence.blocks == kv.blocks_for(sequence.computed)
            assert sequence.computed == sequence.prompt_tokens + sequence.generated - 1
        private = sum(s.blocks - s.held_blocks for s in running)
        if self.alone:
            assert kv.used == sum(kv._known[key] for key in kv._holders) + private
        batch = self.inner.next_batch(state)
        assert kv.free >= 0
        return batch


@settings(max_examples=60, deadline=None)
@given(
    source=workloads(),
    policy=st.sampled_from(sorted(POLICIES)),
    drafter=st.sampled_from(sorted(DRAFTERS)),
    batching=st.sampled_from(BATCHING),
    rate=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    replicas=st.integers(1, 2),
    stages=st.integers(1, 2),
    blocks=st.integers(25, 60) | st.just(1000),
    block_tokens=st.sampled_from([2, 4]),
    seqs=st.integers(1, 8),
    budget=st.sampled_from([8, 16, 64]),
    caching=st.booleans(),
    load=st.sampled_from([Load(), Load(concurrency=3), Load(sessions_wait=True)]),
)
def test_no_token_and_no_block_is_lost(
    source: Rows,
    policy: str,
    drafter: str,
    batching: Callable[[], BatchingPolicy],
    rate: float,
    replicas: int,
    stages: int,
    blocks: int,
    block_tokens: int,
    seqs: int,
    budget: int,
    caching: bool,
    load: Load,
) -> None:
    if policy == "triforce" and drafter == "beside":
        drafter = "model"
    if policy == "triforce" or drafter == "early-exit":
        stages = 1

    def once() -> tuple[bytes, ...]:
        found = speculation(POLICIES[policy], rate=rate, drafter=drafter)
        cluster, recorder = serve(
            source, timer=TARGETS[stages],
            policy=lambda: Checked(batching(), alone=stages == 1), blocks=blocks, block_tokens=block_tokens,
            max_num_seqs=seqs, max_num_batched_tokens=budget, prefix_caching=caching, replicas=replicas, load=load,
            speculation=found,
        )  # fmt: skip
        served = recorder.requests()
        assert recorder.finished + len(cluster.rejected) == len(source.requests)
        assert recorder.inter_token.total == (served["output_tokens"] - 1).sum()
        assert all(r.outstanding == 0 and r.kv.used == 0 and r.prompt_backlog == 0 for r in cluster.replicas)
        totals, emitted = found.record.totals, found.record.columns()["decode_tokens"].sum()
        assert totals["accepted_tokens"] <= totals["examined_tokens"] <= totals["draft_tokens"]
        assert emitted == (served["output_tokens"] - 1 - served["preemptions"]).sum() or served["preemptions"].any()
        return tuple(served[name].tobytes() for name in served)

    assert once() == once()


def tokens_by_step(tokens: int, output: int, rate: float, count: int = 8, drafter: str = "n-gram") -> dict[str, float]:
    found = speculation(lambda: Fixed(tokens=tokens), rate=rate, drafter=drafter)
    source = rows([0.0] * count, [8] * count, [output] * count)
    serve(source, timer=TARGET, blocks=100_000, max_num_batched_tokens=256, speculation=found)
    return found.record.totals


@pytest.mark.parametrize(("rate", "length"), [(0.5, 3), (0.8, 5)])
def test_tokens_a_step_are_those_of_the_paper(rate: float, length: int) -> None:
    """Leviathan et al., arXiv:2211.17192, equation 1."""
    totals = tokens_by_step(length, 2000, rate)
    assert totals["decode_tokens"] / totals["decode_steps"] == pytest.approx(expected_tokens(rate, length), rel=0.02)
    assert totals["accepted_tokens"] / totals["examined_tokens"] == pytest.approx(rate, rel=0.02)


@given(output=st.integers(2, 60), length=st.integers(0, 9), drafter=st.sampled_from(sorted(DRAFTERS)))
@settings(max_examples=40, deadline=None)
def test_certain_and_impossible_acceptance(output: int, length: int, drafter: str) -> None:
    sure = tokens_by_step(length, output, 1.0, count=1, drafter=drafter)
    assert sure["decode_steps"] == math.ceil((output - 1) / (length + 1))
    vain = tokens_by_step(length, output, 0.0, count=1, drafter=drafter)
    assert vain["decode_steps"] == sure["decode_tokens"] == vain["decode_tokens"] == output - 1


def test_steps_do_not_depend_on_who_shares_the_batch() -> None:
    """Acceptance is by request and position, so batches, replicas and preemptions change no request's fate."""

    def steps(**how: Any) -> float:
        found = speculation(lambda: Fixed(tokens=4))
        source = rows([0.0] * 12, [8] * 12, [50] * 12)
        serve(source, timer=TARGET, max_num_batched_tokens=64, speculation=found, **how)
        return found.record.totals["decode_steps"]

    assert steps(max_num_seqs=1) == steps(max_num_seqs=8) == steps(max_num_seqs=8, replicas=3)


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("batching", BATCHING)
def test_without_drafts_times_are_those_of_ordinary_decoding(
    stages: int, batching: Callable[[], BatchingPolicy]
) -> None:
    timer = timer_of(tiny_model(window=20), parallel=Parallelism(pipeline=stages))
    source = rows([0.0, 0.001, 0.01, 0.01, 0.02], [40, 8, 70, 3, 20], [50, 90, 3, 40, 10])

    def times(found: Speculation | None) -> np.ndarray:
        _, recorder = serve(source, timer=timer, policy=batching, blocks=60, speculation=found, fast_forward=False)
        return np.array([recorder.requests()[name] for name in ("first_token_s", "finish_s")])

    assert times(speculation(lambda: Fixed(tokens=0))) == pytest.approx(times(None), rel=1e-9)


def serving(
    concurrency: int, policy: str = "none", *, rate: float = 0.8, output: int = 64, prompt: int = 64, **spec: Any
) -> Result:
    """Llama-3.1-8B on one H100 under so many clients, with the free drafter unless another is named."""
    speculative = {"policy": policy, "acceptance": {"options": {"rate": rate}}, **spec}
    generator = {
        "arrivals": {"process": "burst"},
        "prompt_tokens": {"law": "fixed", "tokens": prompt},
        "output_tokens": {"law": "fixed", "tokens": output},
        "requests": concurrency,
    }
    return run(
        scenario_from(
            {
                "model": "meta-llama/Llama-3.1-8B",
                "device": "nvidia-h100-sxm-80gb",
                "batching": {"max_num_seqs": 1024, "max_num_batched_tokens": 16384},
                "load": {"concurrency": concurrency, "generator": generator},
                "speculation": speculative,
            }
        )
    )


def decode_seconds(result: Result) -> float:
    """Mean seconds between a request's first token and its last."""
    c = result.request_columns
    return float((c["finish_s"] - c["first_token_s"]).mean())


def test_a_free_sure_draft_divides_memory_bound_decoding_by_its_length() -> None:
    plain = decode_seconds(serving(1, output=241))
    quick = decode_seconds(serving(1, "fixed", rate=1.0, output=241, options={"tokens": 3}))
    assert plain / quick == pytest.approx(4.0, rel=0.05)


def test_unlikely_drafts_hurt_where_arithmetic_is_the_bound() -> None:
    plain = decode_seconds(serving(512))
    assert decode_seconds(serving(512, "fixed", rate=0.5, options={"tokens": 6})) > 1.2 * plain
    assert decode_seconds(serving(4, "fixed", rate=0.5, options={"tokens": 6})) < 0.7 * decode_seconds(serving(4))


@pytest.mark.parametrize(("rate", "length"), [(0.6, 2), (0.8, 4), (0.9, 6)])
def test_speed_up_is_that_of_the_paper(rate: float, length: int) -> None:
    """Leviathan et al., theorem 3.8: (1 - a^(k+1)) / ((1 - a) (k c + 1)), c being drafter over target."""
    draft = {"source": "model", "options": {"model": "meta-llama/Llama-3.2-1B"}}
    plain = serving(1, output=2000)
    quick = serving(1, "fixed", rate=rate, output=2000, options={"tokens": length}, draft=draft)
    drafter = quick.deployment.drafter
    assert drafter is not None and drafter.timer is not None
    context = np.array([1064])
    cost = drafter.seconds([Pass(drafter.timer, Queries(context, np.array([1])), 1)])
    step = plain.deployment.timer.step_seconds(1, [(1065, 1)], plain.deployment.timer.chunks([]))
    formula = expected_tokens(rate, length) / (length * cost / step + 1)
    assert decode_seconds(plain) / decode_seconds(quick) == pytest.approx(formula, rel=0.06)


@pytest.mark.parametrize(("clients", "rate"), [(2, 0.8), (128, 0.6), (384, 0.7)])
def test_smartspec_is_as_good_as_the_best_fixed_length(clients: int, rate: float) -> None:
    draft = {"source": "model", "options": {"model": "meta-llama/Llama-3.2-1B"}}
    output = max(64, 3000 // clients)
    fixed = [
        decode_seconds(serving(clients, "fixed", rate=rate, output=output, options={"tokens": k}, draft=draft))
        for k in range(0, 7, 2)
    ]
    options = {"most_tokens": 6, "initial_rate": rate}
    found = serving(clients, "smartspec", rate=rate, output=output, options=options, draft=draft)
    assert decode_seconds(found) < 1.03 * min(fixed)


def test_smartspec_stops_drafting_under_load() -> None:
    draft = {"source": "model", "options": {"model": "meta-llama/Llama-3.2-1B"}}
    busy = serving(512, "smartspec", rate=0.3, draft=draft).summary["speculation"]
    idle = serving(1, "smartspec", rate=0.8, draft=draft).summary["speculation"]
    assert busy["drafted_tokens_per_step"] < 0.1
    assert idle["drafted_tokens_per_step"] > 3


def test_a_hierarchy_pays_at_long_contexts() -> None:
    """TriForce drafts over part of the cache: it gains where reading the cache is most of a step."""
    draft = {"source": "model", "options": {"model": "meta-llama/Llama-3.2-1B", "cache_tokens": 256}}

    def gain(prompt: int) -> float:
        plain = serving(8, output=32, prompt=prompt)
        options = {"tokens": 6, "inner_tokens": 2, "inner_rate": 0.9, "cache_tokens": 2048}
        deep = serving(8, "triforce", rate=0.95, output=32, prompt=prompt, options=options, draft=draft)
        return decode_seconds(plain) / decode_seconds(deep)

    assert gain(30_000) > 1.2 * gain(500)


def test_drafts_written_ahead_hide_behind_verification() -> None:
    draft = {"source": "model", "options": {"model": "meta-llama/Llama-3.2-1B", "device": "nvidia-h100-sxm-80gb"}}

    def seconds(rate: float, ahead: bool) -> Result:
        return serving(1, "fixed", rate=rate, output=301, options={"tokens": 4}, draft=draft, asynchronous=ahead)

    sure = seconds(1.0, True)
    free = decode_seconds(serving(1, "fixed", rate=1.0, output=301, options={"tokens": 4}))
    assert decode_seconds(sure) == pytest.approx(free, rel=0.05)
    assert decode_seconds(seconds(0.0, True)) == pytest.approx(decode_seconds(seconds(0.0, False)), rel=0.01)
    assert sure.summary["speculation"]["written_ahead_in_vain"] <= 4
    assert seconds(0.0, True).summary["speculation"]["written_ahead_in_vain"] == 300 * 4


def test_a_drafter_takes_its_part_of_the_memory() -> None:
    def blocks(**draft: Any) -> Deployment:
        return serving(1, "fixed", draft=draft).deployment

    free, small = blocks(source="n-gram"), blocks(source="model", options={"model": "meta-llama/Llama-3.2-1B"})
    llama = small.drafter
    assert llama is not None
    # 1.24e9 weights of two bytes; 16 layers x 8 key heads x (64 + 64) numbers of two bytes a token.
    assert llama.memory.weights == pytest.approx(1.236e9 * 2, rel=0.01)
    assert llama.memory.kv_per_token == 16 * 8 * 128 * 2
    assert small.memory.blocks < free.memory.blocks
    used = small.memory.weights + small.memory.blocks * small.memory.block_bytes
    assert used == pytest.approx(free.memory.weights + free.memory.blocks * free.memory.block_bytes, rel=1e-3)
    assert blocks(source="early-exit", options={"layers": 8}).memory == free.memory
    assert free.memory == serving(1).deployment.memory
    layer = blocks(source="mtp").drafter
    assert layer is not None
    # DeepSeek-V3, section 2.2: one layer and a projection of 2 h to h; embedding and head are shared.
    assert layer.memory.weights == pytest.approx(2 * (free.model.layers[-1].parameters(4096) + 2 * 4096**2), rel=1e-3)


def test_the_cache_is_read_once_for_all_queries_of_a_sequence() -> None:
    deployment = deploy("meta-llama/Llama-3.1-8B", "nvidia-h100-sxm-80gb")
    cached = np.full(16, 20_000)

    def cost(new: int) -> tuple[float, float, float]:
        queries = Queries(cached, np.full(16, new))
        one = Pass(deployment.timer, queries, queries.tokens)
        return one.seconds(), *one.attention_work()

    one, five = cost(1), cost(5)
    assert five[0] < 1.25 * one[0]
    assert five[1] == pytest.approx(5 * one[1], rel=1e-3)
    assert five[2] == pytest.approx(one[2], rel=1e-3)


@settings(max_examples=50, deadline=None)
@given(
    cached=st.lists(st.integers(0, 300), min_size=1, max_size=6),
    window=st.sampled_from([None, 7]),
    chunked=st.booleans(),
)
def test_single_queries_are_a_decode_step(cached: list[int], window: int | None, chunked: bool) -> None:
    timer = timer_of(tiny_model(window=window, chunked=chunked))
    queries = Queries(np.array(cached), np.ones(len(cached), dtype=np.int64))
    contexts = [(sum(span.attended(c + 1) for c in cached), 0) for span in timer.spans]
    for chunks in (timer.chunks([]), timer.chunks([(5, 20)])):
        rows = len(cached) + chunks.sequences
        expected = timer.step_seconds(len(cached), contexts, chunks) - timer.host_seconds(rows)
        assert Pass(timer, queries, rows, chunks).seconds() == pytest.approx(expected, rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    cached=st.lists(st.integers(0, 300), min_size=1, max_size=6),
    new=st.integers(1, 12),
    window=st.sampled_from([None, 7]),
    chunked=st.booleans(),
)
def test_contexts_are_those_of_prompt_chunks(cached: list[int], new: int, window: int | None, chunked: bool) -> None:
    queries = Queries(np.array(cached), np.full(len(cached), new))
    for span in timer_of(tiny_model(window=window, chunked=chunked)).spans:
        assert queries.context(span).tolist() == [span.context(c, new) for c in cached]


def test_draft_layers_in_parallel_take_part_of_the_time() -> None:
    """EasySpec: layers at once on idle devices shorten a draft step, at the price of a correction."""

    def drafter(**options: int) -> Drafter:
        scenario = scenario_from(
            {
                "model": "meta-llama/Llama-3.1-70B", "device": "nvidia-h100-sxm-80gb", "parallel": {"tensor": 8},
                "load": {"generator": "chat-1k-1k"},
                "speculation": {
                    "policy": "fixed",
                    "draft": {"source": "model", "options": {"model": "meta-llama/Llama-3.1-8B", **options}},
                },
            }
        )  # fmt: skip
        from simulator.assembly.pools import deployment_of

        found = deployment_of(scenario).drafter
        assert found is not None
        return found

    from simulator.policies.speculation import chain

    def seconds(found: Drafter, tokens: int) -> float:
        return found.seconds(found.passes(np.array([1000]), np.array([0]), [chain(tokens)]))

    alone, spread = drafter(tensor=1), drafter(tensor=1, layer_parallel=8)
    step = (seconds(spread, 5) - seconds(spread, 4)) / (seconds(alone, 5) - seconds(alone, 4))
    assert 1 / 8 < step < 1 / 2
    assert seconds(spread, 5) < seconds(alone, 5)
    with pytest.raises(InputError, match="layer_parallel 8 exceeds"):
        drafter(tensor=2, layer_parallel=8)


def test_summary_and_series_count_what_was_emitted() -> None:
    result = serving(16, "fixed", options={"tokens": 3})
    summary, rows_ = result.summary["speculation"], result.iteration_columns
    assert rows_["decode_tokens"].sum() == 16 * 63
    assert summary["tokens_per_step"] == pytest.approx(rows_["decode_tokens"].sum() / rows_["decode_sequences"].sum())
    assert "speculation" not in serving(16).summary
    assert result.summary["utilisation"]["mfu"] > serving(16).summary["utilisation"]["mfu"]


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"policy": "fixed", "asynchronous": True}, "asynchronous needs a drafter beside"),
        ({"policy": "fixed", "draft": {"source": "early-exit", "options": {"layers": 99}}}, "layers 99"),
        ({"policy": "fixed", "draft": {"source": "model", "options": {"model": "no-such"}}}, "no-such"),
        ({"policy": "fixed", "draft": {"source": "eagle"}}, "eagle"),
        ({"policy": "fixed", "options": {"token": 3}}, "tokens"),
    ],
)
def test_bad_speculation_is_named(spec: dict[str, Any], named: str) -> None:
    policy = spec.pop("policy")
    with pytest.raises(InputError, match=named):
        serving(1, policy, **spec)


def test_recorder_is_untouched_by_default() -> None:
    assert Recorder().iterations().keys() == serving(1).iteration_columns.keys()
