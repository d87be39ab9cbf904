"""Blocks of Llama-like models (rotary, gated, grouped heads, RMSNorm, fused attention) against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.workloads.models import model
from simulator.workloads.operators import Attention, Elementwise, Gemm
from simulator.workloads.training.blocks import Blocks
from simulator.workloads.training.job import Job, Layout
from simulator.workloads.training.states import stage_states
from simulator.workloads.training.transformer_chunks import copied_parameters

LLAMA = model("meta-llama/Llama-3.1-8B")
S, H, Q, KV, D, WIDTH = 8192, 4096, 32, 8, 128, 14336


def blocks(tensor: int = 1, *, parallel: bool = False) -> Blocks:
    return Blocks(Job(LLAMA, S, 1, 8, Layout(tensor=tensor, sequence_parallel=parallel)))


@pytest.mark.parametrize("tensor", [1, 2, 8])
def test_a_layer_keeps_what_its_gradients_need(tensor: int) -> None:
    """In bf16: inputs of two norms, of qkv and of gate and up; q, k, v; attention's output; gate, up and product."""
    given = blocks(tensor, parallel=tensor > 1)
    between = 2 * (4 * H) / tensor
    attention = 2 * ((Q + 2 * KV) * D + Q * D) / tensor
    gated = 2 * (3 * WIDTH) / tensor
    assert sum(b.saved for b in given.layer(LLAMA.layers[0])) == pytest.approx(S * (between + attention + gated))


def test_every_weight_does_one_product_a_token_and_pass() -> None:
    found = list(blocks().layer(LLAMA.layers[0]))
    weights = LLAMA.layers[0].parameters(H) - 2 * H
    for part in ("forward", "inputs", "weights"):
        gemms = [op for b in found for op in getattr(b, part) if isinstance(op, Gemm)]
        assert sum(float(np.asarray(op.flops())) for op in gemms) == pytest.approx(2 * S * weights)


def test_attention_does_causal_scores_forward_and_two_and_a_half_times_backward() -> None:
    """Dao, arXiv:2307.08691, section 4.1: 4 s^2 d heads / 2 forward, 2.5 times as much backward."""
    block = next(b for b in blocks().layer(LLAMA.layers[0]) if b.name == "attention")
    forward, backward = block.forward[0], block.inputs[0]
    assert isinstance(forward, Attention)
    assert forward.flops() == pytest.approx(4 * S * S * D * Q / 2, rel=2e-4)
    assert backward.flops() == pytest.approx(2.5 * float(np.asarray(forward.flops())))


def test_rotary_embedding_turns_queries_and_keys_only() -> None:
    block = next(b for b in blocks().layer(LLAMA.layers[0]) if b.name == "rotary embedding")
    op = block.forward[0]
    assert isinstance(op, Elementwise)
    assert op.elements == S * (Q + KV) * D


def test_parameters_are_those_of_the_checkpoint_but_for_the_final_norm() -> None:
    assert stage_states(blocks().job, 0).parameters == LLAMA.parameters() - H


@pytest.mark.parametrize("tensor", [8, 16, 32])
def test_devices_beyond_the_kv_heads_keep_copies_of_one(tensor: int) -> None:
    """A device's products and its memory have the same weights: all that it multiplies with it holds."""
    given = blocks(tensor).job
    found = list(Blocks(given).layer(LLAMA.layers[0]))
    gemms = [op for b in found for op in b.forward if isinstance(op, Gemm)]
    multiplied = sum(op.n * op.k for op in gemms)
    ends = (LLAMA.embedding_parameters() + LLAMA.head_parameters()) / tensor
    held = (stage_states(given, 0).parameters - ends) / len(LLAMA.layers) - 2 * H
    assert held == pytest.approx(multiplied)
    assert held == pytest.approx((Q * D * 2 + 3 * WIDTH) * H / tensor + 2 * max(1, KV / tensor) * D * H)


def test_latent_projections_that_every_device_forms_it_holds_whole() -> None:
    latent = model("deepseek-ai/DeepSeek-V2-Lite")
    layer, hidden = latent.layers[0], latent.hidden
    a = layer.attention
    assert a.latent is not None
    job = Job(latent, 4096, 1, 8, Layout(tensor=4))
    gemms = [op for b in Blocks(job).attention(a) for op in b.forward if isinstance(op, Gemm)]
    norms = a.latent.kv_rank * (1 - 1 / 4)
    even = a.parameters(hidden) / 4 - a.latent.kv_rank / 4
    assert even + copied_parameters(a, hidden, 4) - norms == pytest.approx(sum(op.n * op.k for op in gemms))
