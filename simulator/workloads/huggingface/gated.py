"""Dense families with RMSNorm-style layers and a gated feed-forward part: Llama and all that grew from it."""

from __future__ import annotations

from simulator.workloads.huggingface.fields import Fields
from simulator.workloads.huggingface.shape import (
    INTERMEDIATE,
    Shape,
    all_but_each,
    every_layer,
    no_layer,
    shape,
    transformer,
    windows,
)
from simulator.workloads.transformer import FeedForward, Layer, Transformer

# Gemma3TextConfig of the transformers library: the published 4B config leaves these fields out.
_GEMMA3 = Shape(2304, 26, 8, 4, 256)
_GEMMA3_VOCAB = 262_208


def llama(c: Fields, name: str, architecture: str) -> Transformer:
    """Llama and the families with the same layer: Yi, DeepSeek LLM, Granite, MiniCPM, InternLM2, Phi-3.

    Mistral and Phi-3 slide where they state a window.
    """
    s = shape(c)
    bias = c.flag("attention_bias", "bias")
    slides = architecture in ("MistralForCausalLM", "Phi3ForCausalLM")
    ffn = FeedForward(c.whole(*INTERMEDIATE), bias=c.flag("mlp_bias"))
    layers = [
        Layer(s.attention(w, qkv_bias=bias, out_bias=bias), ffn)
        for w in windows(c, s.layers, local=every_layer if slides else no_layer)
    ]
    tied = architecture == "MiniCPMForCausalLM"
    return transformer(c, name, architecture, layers, tied=tied)


def qwen(c: Fields, name: str, architecture: str) -> Transformer:
    """Qwen2: biased queries, keys and values. Qwen3: a norm a head on queries and keys instead."""
    s = shape(c)
    second = architecture == "Qwen2ForCausalLM"
    bias = c.flag("attention_bias")
    ffn = FeedForward(c.whole(*INTERMEDIATE))
    layers = [
        Layer(
            s.attention(
                w,
                qkv_bias=second or bias,
                out_bias=bias and not second,
                qk_norm_parameters=0 if second else 2 * s.head_dim,
            ),
            ffn,
        )
        for w in qwen_windows(c, s.layers)
    ]
    return transformer(c, name, architecture, layers)


def qwen_windows(c: Fields, layers: int) -> list[int | None]:
    """Windows of the Qwen families: only where `use_sliding_window` says so, from layer `max_window_layers` on."""
    if not c.flag("use_sliding_window"):
        return [None] * layers
    first = c.whole("max_window_layers", default=0, least=0)
    return windows(c, layers, local=lambda i: i >= first)


def gemma(c: Fields, name: str, architecture: str) -> Transformer:
    """Gemma 1 to 3: wide heads and a tied embedding.

    Gemma 2 has four norms a layer and a window on every other layer; Gemma 3 five local layers to a global
    one and norms on queries and keys.
    """
    third = architecture.startswith("Gemma3")
    first = architecture == "GemmaForCausalLM"
    s = shape(c, defaults=_GEMMA3 if third else None)
    if third:
        local = all_but_each(c.whole("sliding_window_pattern", "_sliding_window_pattern", default=6))
    else:
        local = no_layer if first else all_but_each(2)
    ffn = FeedForward(c.whole(*INTERMEDIATE))
    layers = [
        Layer(s.attention(w, qk_norm_parameters=2 * s.head_dim if third else 0), ffn, norms=2 if first else 4)
        for w in windows(c, s.layers, local=local)
    ]
    return transformer(c, name, architecture, layers, tied=True, vocab=_GEMMA3_VOCAB if third else None)


def glm(c: Fields, name: str, architecture: str) -> Transformer:
    """GLM-4: biased queries, keys and values; the 0414 releases norm the outputs of both parts as well."""
    s = shape(c)
    attention = s.attention(qkv_bias=c.flag("attention_bias"))
    layer = Layer(attention, FeedForward(c.whole(*INTERMEDIATE)), norms=4 if architecture == "Glm4ForCausalLM" else 2)
    return transformer(c, name, architecture, [layer] * s.layers)


def olmo2(c: Fields, name: str, architecture: str) -> Transformer:
    """OLMo 2 and 3: norms over all queries and all keys, and after each part instead of before it."""
    s = shape(c)
    norm = (s.heads + s.kv_heads) * s.head_dim
    ffn = FeedForward(c.whole(*INTERMEDIATE))
    bias = c.flag("attention_bias")
    layers = [
        Layer(s.attention(w, qkv_bias=bias, out_bias=bias, qk_norm_parameters=norm), ffn)
        for w in windows(c, s.layers, local=no_layer)
    ]
    return transformer(c, name, architecture, layers)


def cohere(c: Fields, name: str, architecture: str) -> Transformer:
    """Command R: attention and feed-forward part side by side under one norm, a tied embedding.

    Command R+ norms queries and keys; Command R7B (Cohere2) has three local layers to a global one without
    rotary embedding.
    """
    s = shape(c)
    second = architecture == "Cohere2ForCausalLM"
    bias = c.flag("attention_bias")
    norm = (s.heads + s.kv_heads) * s.head_dim if c.flag("use_qk_norm") else 0
    ffn = FeedForward(c.whole(*INTERMEDIATE))
    local = all_but_each(c.whole("sliding_window_pattern", "layer_switch", default=4)) if second else no_layer
    layers = [
        Layer(
            s.attention(
                w, rope=not second or w is not None, qkv_bias=bias, out_bias=bias, qk_norm_parameters=norm
            ),
            ffn,
            norms=1,
            parallel_ffn=True,
        )
        for w in windows(c, s.layers, local=local)
    ]  # fmt: skip
    return transformer(c, name, architecture, layers, tied=True)
