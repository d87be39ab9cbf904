"""Readers of models with plain feed-forward layers, and of those whose layers differ in width: GPT-2 to OpenELM."""

from __future__ import annotations

from simulator.workloads.huggingface.config import MOST_LAYERS, Config, common_shape, transformer_of
from simulator.workloads.transformer import Attention, FeedForward, Layer, Transformer


def opt(c: Config, name: str, architecture: str) -> Transformer:
    """OPT: learned positions (two more than the length), biases, LayerNorm; 350M projects its embedding."""
    s = common_shape(c)
    embedded = c.whole("word_embed_proj_dim", default=s.hidden)
    before = c.flag("do_layer_norm_before", default=True)
    layer = Layer(
        Attention(s.heads, s.heads, s.head_dim, s.head_dim, rope=False, qkv_bias=True, out_bias=True),
        FeedForward(c.whole("ffn_dim"), False, True),
        norm_bias=True,
    )
    extra = 0
    if embedded != s.hidden:
        extra = 2 * embedded * s.hidden - c.whole("vocab_size") * (s.hidden - embedded)
    return transformer_of(
        c, name, architecture, [layer] * s.layers, tied=True, positions=c.whole("max_position_embeddings") + 2,
        norm_bias=True, final_norm=before, extra=extra,
    )  # fmt: skip


def gpt2(c: Config, name: str, architecture: str) -> Transformer:
    """GPT-2 and GPT-3: learned positions, biases, LayerNorm, tied embedding."""
    s = common_shape(c)
    layer = Layer(
        Attention(s.heads, s.heads, s.head_dim, s.head_dim, rope=False, qkv_bias=True, out_bias=True),
        FeedForward(c.whole("n_inner", default=4 * s.hidden), False, True),
        norm_bias=True,
    )
    return transformer_of(
        c, name, architecture, [layer] * s.layers, tied=True, positions=c.whole("n_positions", "n_ctx"), norm_bias=True
    )


def gptj(c: Config, name: str, architecture: str) -> Transformer:
    """GPT-J: attention and feed-forward side by side under one norm, a biased output head."""
    s = common_shape(c)
    layer = Layer(
        Attention(s.heads, s.heads, s.head_dim, s.head_dim),
        FeedForward(c.whole("n_inner", default=4 * s.hidden), False, True),
        norms=1, norm_bias=True, parallel_ffn=True,
    )  # fmt: skip
    return transformer_of(
        c, name, architecture, [layer] * s.layers, tied=False, norm_bias=True, extra=c.whole("vocab_size")
    )


def neox(c: Config, name: str, architecture: str) -> Transformer:
    """GPT-NeoX and Pythia: side by side, with two norms and biases."""
    s = common_shape(c)
    layer = Layer(
        Attention(s.heads, s.heads, s.head_dim, s.head_dim, qkv_bias=True, out_bias=True),
        FeedForward(c.whole("intermediate_size"), False, True),
        norm_bias=True, parallel_ffn=c.flag("use_parallel_residual", default=True),
    )  # fmt: skip
    return transformer_of(c, name, architecture, [layer] * s.layers, tied=c.flag("tie_word_embeddings"), norm_bias=True)


def falcon(c: Config, name: str, architecture: str) -> Transformer:
    """Falcon: multi-query (7B) or grouped (`new_decoder_architecture`), side by side, no biases."""
    wide = c.flag("new_decoder_architecture")
    s = common_shape(c, kv="num_kv_heads") if wide else common_shape(c, kv="-")
    kv_heads = s.kv_heads if wide else 1 if c.flag("multi_query", default=True) else s.heads
    bias = c.flag("bias")
    parallel = c.flag("parallel_attn", default=True)
    layer = Layer(
        Attention(s.heads, kv_heads, s.head_dim, s.head_dim, qkv_bias=bias, out_bias=bias),
        FeedForward(c.whole("ffn_hidden_size", default=4 * s.hidden), False, bias),
        norms=2 if wide or not parallel else 1, norm_bias=True, parallel_ffn=parallel,
    )  # fmt: skip
    return transformer_of(
        c, name, architecture, [layer] * s.layers, tied=c.flag("tie_word_embeddings", default=True), norm_bias=True
    )


def bloom(c: Config, name: str, architecture: str) -> Transformer:
    """BLOOM: ALiBi positions, biases, a norm on the embedding."""
    s = common_shape(c)
    layer = Layer(
        Attention(s.heads, s.heads, s.head_dim, s.head_dim, rope=False, qkv_bias=True, out_bias=True),
        FeedForward(4 * s.hidden, False, True),
        norm_bias=True,
    )
    return transformer_of(c, name, architecture, [layer] * s.layers, tied=True, norm_bias=True, extra=2 * s.hidden)


def phi(c: Config, name: str, architecture: str) -> Transformer:
    """Phi-1.5 and Phi-2: side by side under one norm, biases, a biased output head."""
    s = common_shape(c)
    layer = Layer(
        Attention(s.heads, s.kv_heads, s.head_dim, s.head_dim, qkv_bias=True, out_bias=True),
        FeedForward(c.whole("intermediate_size"), False, True),
        norms=1, norm_bias=True, parallel_ffn=True,
    )  # fmt: skip
    return transformer_of(
        c, name, architecture, [layer] * s.layers, tied=False, norm_bias=True, extra=c.whole("vocab_size")
    )


def openelm(c: Config, name: str, architecture: str) -> Transformer:
    """OpenELM (arXiv:2404.14619): heads and feed-forward width of their own in each layer, query/key norms."""
    hidden, count = c.whole("model_dim"), c.whole("num_transformer_layers", most=MOST_LAYERS)
    width, divisor = c.whole("head_dim", most=100_000), c.whole("ffn_dim_divisor", default=256)
    heads = zip(
        c.numbers("num_query_heads", count, most=100_000),
        c.numbers("num_kv_heads", count, most=100_000),
        c.numbers("ffn_multipliers", count, most=1000),
        strict=True,
    )
    norm = 2 * width if c.flag("normalize_qk_projections") else 0
    layers = [
        Layer(
            Attention(int(q), int(kv), width, width, qk_norm_parameters=norm),
            FeedForward(_rounded(hidden * multiple, divisor), c.flag("ffn_with_glu", default=True)),
        )
        for q, kv, multiple in heads
    ]
    return transformer_of(c, name, architecture, layers, tied=c.flag("share_input_output_layers", default=True))


def _rounded(width: float, divisor: int) -> int:
    """The multiple of `divisor` nearest to a width, but never less than nine tenths of it."""
    near = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * width else near


def starcoder2(c: Config, name: str, architecture: str) -> Transformer:
    """StarCoder2: grouped queries, biases, LayerNorm, a sliding window."""
    s = common_shape(c)
    bias = c.flag("use_bias", default=True)
    layer = Layer(
        Attention(s.heads, s.kv_heads, s.head_dim, s.head_dim, c.maybe("sliding_window"), qkv_bias=bias, out_bias=bias),
        FeedForward(c.whole("intermediate_size"), False, bias),
        norm_bias=True,
    )
    return transformer_of(
        c, name, architecture, [layer] * s.layers, tied=c.flag("tie_word_embeddings", default=True), norm_bias=True
    )
