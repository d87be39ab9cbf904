"""Families with LayerNorm and a feed-forward part without gate: GPT-2, OPT, Falcon, BLOOM and kin."""

from __future__ import annotations

from simulator.workloads.huggingface.fields import Fields
from simulator.workloads.huggingface.shape import (
    HEADS,
    HIDDEN,
    INTERMEDIATE,
    LENGTH,
    MOST_HEADS,
    every_layer,
    shape,
    transformer,
    windows,
)
from simulator.workloads.transformer import FeedForward, Layer, Transformer


def opt(c: Fields, name: str, architecture: str) -> Transformer:
    """OPT: learned positions (two more than the length) and biases.

    OPT-350m has a narrower embedding, projected in and out, and norms after each part instead of before it,
    hence no final norm.
    """
    s = shape(c)
    bias = c.flag("enable_bias", default=True)
    embedded = c.whole("word_embed_proj_dim", default=s.hidden)
    layer = Layer(
        s.attention(rope=False, qkv_bias=bias, out_bias=bias),
        FeedForward(c.whole("ffn_dim"), gated=False, bias=bias),
        norm_bias=True,
    )
    return transformer(
        c,
        name,
        architecture,
        [layer] * s.layers,
        tied=True,
        learned_positions=c.whole("max_position_embeddings") + 2,
        embedding_width=embedded if embedded != s.hidden else None,
        final_norm=c.flag("do_layer_norm_before", default=True),
        norm_bias=True,
    )


def gpt2(c: Fields, name: str, architecture: str) -> Transformer:
    """GPT-2 and GPT-3, and StarCoder with one key/value head: learned positions, biases, tied embedding."""
    one = architecture == "GPTBigCodeForCausalLM" and c.flag("multi_query", default=True)
    s = shape(c, kv_heads=1 if one else None)
    layer = Layer(
        s.attention(rope=False, qkv_bias=True, out_bias=True),
        FeedForward(c.whole(*INTERMEDIATE, default=4 * s.hidden), gated=False, bias=True),
        norm_bias=True,
    )
    return transformer(
        c, name, architecture, [layer] * s.layers, tied=True, learned_positions=c.whole("n_positions", *LENGTH),
        norm_bias=True,
    )  # fmt: skip


def gptj(c: Fields, name: str, architecture: str) -> Transformer:
    """GPT-J: attention without biases beside the feed-forward part under one norm; a biased output head."""
    s = shape(c)
    layer = Layer(
        s.attention(),
        FeedForward(c.whole(*INTERMEDIATE, default=4 * s.hidden), gated=False, bias=True),
        norms=1,
        norm_bias=True,
        parallel_ffn=True,
    )
    head_bias = c.whole("vocab_size")
    return transformer(c, name, architecture, [layer] * s.layers, norm_bias=True, extra_parameters=head_bias)


def gpt_neox(c: Fields, name: str, architecture: str) -> Transformer:
    """GPT-NeoX and Pythia: both parts side by side, each under its own norm, with biases."""
    s = shape(c)
    bias = c.flag("attention_bias", default=True)
    layer = Layer(
        s.attention(qkv_bias=bias, out_bias=bias),
        FeedForward(c.whole(*INTERMEDIATE), gated=False, bias=True),
        norm_bias=True,
        parallel_ffn=c.flag("use_parallel_residual", default=True),
    )
    return transformer(c, name, architecture, [layer] * s.layers, norm_bias=True)


def falcon(c: Fields, name: str, architecture: str) -> Transformer:
    """Falcon: one key/value head under one norm (7B), or groups under two (`new_decoder_architecture`)."""
    grouped = c.flag("new_decoder_architecture")
    heads = c.whole(*HEADS, most=MOST_HEADS)
    if grouped:
        kv_heads = c.whole("num_kv_heads", "n_head_kv", default=heads, most=MOST_HEADS)
    else:
        kv_heads = 1 if c.flag("multi_query", default=True) else heads
    s = shape(c, kv_heads=kv_heads)
    parallel = grouped or c.flag("parallel_attn", default=True)
    bias = c.flag("bias")
    norms = c.whole("num_ln_in_parallel_attn", default=2, most=2) if grouped else 1 if parallel else 2
    layer = Layer(
        s.attention(rope=not c.flag("alibi"), qkv_bias=bias, out_bias=bias),
        FeedForward(c.whole(*INTERMEDIATE, default=4 * s.hidden), gated=False, bias=bias),
        norms=norms,
        norm_bias=True,
        parallel_ffn=parallel,
    )
    return transformer(c, name, architecture, [layer] * s.layers, tied=True, norm_bias=True)


def bloom(c: Fields, name: str, architecture: str) -> Transformer:
    """BLOOM: ALiBi positions, biases, a norm on the embedding."""
    s = shape(c)
    layer = Layer(
        s.attention(rope=False, qkv_bias=True, out_bias=True),
        FeedForward(4 * s.hidden, gated=False, bias=True),
        norm_bias=True,
    )
    embedding_norm = 2 * s.hidden
    return transformer(
        c, name, architecture, [layer] * s.layers, tied=True, norm_bias=True, extra_parameters=embedding_norm
    )


def mpt(c: Fields, name: str, architecture: str) -> Transformer:
    """MPT: ALiBi positions, no biases at all, tied embedding."""
    nested = c.inner("attn_config")
    kv_heads = nested.whole("kv_n_heads", default=0, least=0, most=MOST_HEADS) if nested else 0
    s = shape(c, kv_heads=kv_heads or c.whole(*HEADS, most=MOST_HEADS))
    rope = nested is not None and not nested.flag("alibi", default=True) and nested.flag("rope")
    bias = not c.flag("no_bias", default=True)
    ffn = FeedForward(c.whole("expansion_ratio", default=4, most=1000) * s.hidden, gated=False, bias=bias)
    layer = Layer(s.attention(rope=rope, qkv_bias=bias, out_bias=bias), ffn, norm_bias=bias)
    return transformer(c, name, architecture, [layer] * s.layers, tied=True, norm_bias=bias)


def phi(c: Fields, name: str, architecture: str) -> Transformer:
    """Phi-1, 1.5 and 2: both parts side by side under one norm, biases, a biased output head."""
    s = shape(c)
    norm = 4 * s.head_dim if c.flag("qk_layernorm") else 0
    layer = Layer(
        s.attention(qkv_bias=True, out_bias=True, qk_norm_parameters=norm),
        FeedForward(c.whole(*INTERMEDIATE, default=4 * c.whole(*HIDDEN)), gated=False, bias=True),
        norms=1,
        norm_bias=True,
        parallel_ffn=True,
    )
    head_bias = c.whole("vocab_size")
    return transformer(c, name, architecture, [layer] * s.layers, norm_bias=True, extra_parameters=head_bias)


def starcoder2(c: Fields, name: str, architecture: str) -> Transformer:
    """StarCoder2: grouped queries, biases, a sliding window."""
    s = shape(c)
    bias = c.flag("use_bias", default=True)
    ffn = FeedForward(c.whole(*INTERMEDIATE), gated=False, bias=bias)
    layers = [
        Layer(s.attention(w, qkv_bias=bias, out_bias=bias), ffn, norm_bias=True)
        for w in windows(c, s.layers, local=every_layer)
    ]
    return transformer(c, name, architecture, layers, tied=True, norm_bias=True)
