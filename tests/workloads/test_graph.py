"""Operators and sharded graphs against closed forms and conservation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.workloads.dtypes import DTYPES, dtype
from simulator.workloads.graph import attention_calls, head_calls, spans, token_calls
from simulator.workloads.operators import Call, Collective, Gemm
from simulator.workloads.operators import Experts as ExpertsOp
from simulator.workloads.parallelism import Parallelism, Precision, kv_bytes_per_token, stage_layers, weight_bytes
from simulator.workloads.span import Span
from simulator.workloads.transformer import Attention, Experts, FeedForward, Latent, Layer, Transformer

LLAMA_70B = Transformer(
    "llama", "L", 8192, 128256, (Layer(Attention(64, 8, 128, 128), FeedForward(28672)),) * 80, 131072
)
MOE = Transformer(
    "moe", "M", 4096, 32000, (Layer(Attention(32, 8, 128, 128), Experts(8, 2, FeedForward(14336))),) * 32, 32768
)
MLA = Transformer(
    "mla",
    "D",
    7168,
    129280,
    (Layer(Attention(128, 128, 192, 128, latent=Latent(512, 1536, 128, 64)), FeedForward(18432)),) * 4,
    163840,
)


def flops(calls: list[Call]) -> float:
    return float(sum(np.asarray(c.op.flops()) * c.count for c in calls))


def gemm_flops(calls: list[Call]) -> float:
    return flops([c for c in calls if isinstance(c.op, Gemm | ExpertsOp)])


def weights_read(calls: list[Call]) -> float:
    return sum(float(c.op.n * c.op.k * c.op.weight.bytes * c.count) for c in calls if isinstance(c.op, Gemm))


@pytest.mark.parametrize(
    ("name", "size"),
    [("fp32", 4), ("bf16", 2), ("fp8", 1), ("int4", 0.51953125), ("nvfp4", 0.5625), ("mxfp4", 0.53125)],
)
def test_formats_count_their_scales(name: str, size: float) -> None:
    assert DTYPES[name].bytes == size


def test_unknown_format_is_named() -> None:
    with pytest.raises(InputError, match="unknown dtype 'fp9'"):
        dtype("fp9")


def test_linear_layers_do_two_flops_a_weight_and_token() -> None:
    """2 N per token, N being the weights outside embedding, norms and head (Kaplan et al., 2020, section 2.1)."""
    calls = token_calls(LLAMA_70B, Parallelism(), Precision(), 7.0)
    matrices = LLAMA_70B.parameters() - 2 * 128256 * 8192 - 161 * 8192
    assert gemm_flops(calls) == 2 * 7 * matrices


def test_linear_layers_read_every_weight_once() -> None:
    calls = token_calls(LLAMA_70B, Parallelism(), Precision(), 1.0) + head_calls(
        LLAMA_70B, Parallelism(), Precision(), 1.0
    )
    matrices = LLAMA_70B.parameters() - 128256 * 8192 - 161 * 8192
    assert weights_read(calls) == 2 * matrices


@pytest.mark.parametrize("model", [LLAMA_70B, MOE, MLA], ids=lambda m: m.name)
@pytest.mark.parametrize("tensor", [2, 4, 8])
def test_tensor_parallel_conserves_flops_and_weights(model: Transformer, tensor: int) -> None:
    """The devices' shares add up to the whole (latent down projections and routers are computed by all)."""
    one, many = Parallelism(), Parallelism(tensor=tensor)
    shared = ("latent down projection", "router")

    def parted(parallel: Parallelism) -> float:
        calls = token_calls(model, parallel, Precision(), 64.0) + head_calls(model, parallel, Precision(), 8.0)
        return gemm_flops([c for c in calls if c.name not in shared])

    assert parted(many) * tensor == pytest.approx(parted(one), rel=1e-12)
    assert weight_bytes(model, many, Precision()) * tensor == pytest.approx(
        weight_bytes(model, one, Precision()), rel=1e-3
    )


def test_pipeline_stages_hold_all_layers_once() -> None:
    parallel = Parallelism(pipeline=3)
    stages = [stage_layers(LLAMA_70B, parallel, s) for s in range(3)]
    assert [len(s) for s in stages] == [27, 27, 26]
    whole = gemm_flops(token_calls(LLAMA_70B, Parallelism(), Precision(), 5.0))
    assert sum(gemm_flops(token_calls(LLAMA_70B, parallel, Precision(), 5.0, s)) for s in range(3)) == whole
    assert sum(weight_bytes(LLAMA_70B, parallel, Precision(), s) for s in range(3)) == pytest.approx(
        weight_bytes(LLAMA_70B, Parallelism(), Precision())
    )


def test_tensor_parallel_reduces_twice_a_layer() -> None:
    calls = token_calls(LLAMA_70B, Parallelism(tensor=4), Precision(), 10.0)
    reduced = [c for c in calls if isinstance(c.op, Collective)]
    assert sum(c.count for c in reduced) == 2 * 80 + 1
    assert {float(np.asarray(c.op.bytes())) for c in reduced} == {10 * 8192 * 2.0}


def test_expert_parallel_exchanges_tokens_both_ways() -> None:
    calls = token_calls(MOE, Parallelism(tensor=1, data=8, expert=8), Precision(), 64.0)
    exchanged = [c for c in calls if isinstance(c.op, Collective) and c.op.pattern == "all_to_all"]
    assert [c.name for c in exchanged] == ["expert dispatch", "expert return"]
    assert float(np.asarray(exchanged[0].op.bytes())) == 64 / 8 * 2 * 4096 * 2
    expert = next(c.op for c in calls if c.name == "experts")
    assert float(np.asarray(expert.flops())) == 2 * (64 * 2 / 8) * (3 * 14336) * 4096


def test_active_experts_are_those_of_independent_choices() -> None:
    """Simulated random routing agrees with 1 - (1 - k/E)^T."""
    rng = np.random.default_rng(0)
    hits = [len(set(np.concatenate([rng.choice(8, 2, replace=False) for _ in range(5)]))) for _ in range(2000)]
    assert np.mean(hits) == pytest.approx(float(np.asarray(ExpertsOp(5.0, 1.0, 1.0, 2.0, 8.0).active())), abs=0.1)


@given(st.integers(0, 200), st.integers(1, 200), st.sampled_from([Span(), Span(16), Span(16, True), Span(50, True)]))
def test_pairs_and_context_count_token_by_token(cached: int, new: int, span: Span) -> None:
    positions = range(cached + 1, cached + new + 1)
    assert span.pairs(cached, new) == sum(span.attended(p) for p in positions)
    oldest = min(p - span.attended(p) for p in positions)
    assert span.context(cached, new) == cached + new - oldest


def test_prefill_attention_flops_are_the_causal_half() -> None:
    """4 d L^2 / 2 per head and layer for a prompt of L tokens (FlashAttention-2, section 4.1)."""
    tokens = 4096
    total = flops(attention_calls(LLAMA_70B, Parallelism(), Precision(), [(0, tokens)], []))
    assert total == pytest.approx(80 * 64 * 4 * 128 * tokens**2 / 2, rel=1e-3)


def test_decode_attention_reads_the_cache_once() -> None:
    calls = attention_calls(LLAMA_70B, Parallelism(), Precision(), [], [999, 499, 1499])
    moved = sum(float(np.asarray(c.op.bytes())) * c.count for c in calls)
    queries = 80 * 3 * 64 * 256 * 2
    assert moved == 3000 * kv_bytes_per_token(LLAMA_70B, Parallelism(), Precision()) + queries


def test_latent_attention_decodes_on_latents_and_expands_them_for_prompts() -> None:
    (call,) = attention_calls(MLA, Parallelism(tensor=8), Precision(), [(0, 10)], [99])
    assert call.op.prompt_flops() == 2 * 55 * 16 * (192 + 128)
    assert call.op.decode_flops() == 2 * 100 * 16 * (576 + 512)
    assert call.op.decode_bytes() == (100 * 576 + 16 * (576 + 512)) * 2


def test_kv_bytes_per_token_are_the_published_ones() -> None:
    """Llama-3.1-70B 320 KiB a token; DeepSeek-V3 70 KB for 61 layers (arXiv:2412.19437, by 576 numbers a layer)."""
    assert kv_bytes_per_token(LLAMA_70B, Parallelism(), Precision()) == 327_680
    assert kv_bytes_per_token(MLA, Parallelism(tensor=8), Precision()) == 4 * 576 * 2
    assert kv_bytes_per_token(LLAMA_70B, Parallelism(tensor=16), Precision()) == 327_680 / 8


def test_spans_are_found_widest_first() -> None:
    layers = tuple(Layer(Attention(8, 8, 64, 64, window=w), FeedForward(100)) for w in (128, None, 128))
    assert spans(Transformer("x", "x", 512, 100, layers, 100)) == (Span(), Span(128))


@pytest.mark.parametrize(
    ("parallel", "message"),
    [
        (Parallelism(tensor=3), "tensor_parallel 3 does not divide the 32 attention heads"),
        (Parallelism(tensor=2, expert=4), "expert_parallel 4 must divide"),
        (Parallelism(pipeline=33), "pipeline_parallel 33 exceeds the 32 layers"),
        (Parallelism(tensor=0), "tensor_parallel must be at least 1"),
    ],
)
def test_impossible_layouts_are_named(parallel: Parallelism, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parallel.check(MOE)
