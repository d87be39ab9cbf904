"""Families with a mixture of experts in all or some of their layers."""

from __future__ import annotations

from simulator.workloads.huggingface.fields import Fields
from simulator.workloads.huggingface.gated import qwen_windows
from simulator.workloads.huggingface.shape import (
    HEADS,
    INTERMEDIATE,
    KINDS_OF_ATTENTION,
    LAYERS,
    MOST_HEADS,
    MOST_LAYERS,
    all_but_each,
    every_layer,
    shape,
    transformer,
    windows,
)
from simulator.workloads.transformer import Attention, Experts, FeedForward, Latent, Layer, Transformer

MOST_EXPERTS = 100_000


def _experts(c: Fields, *names: str) -> tuple[int, int]:
    """(experts of a layer, experts that a token visits)."""
    count = c.whole(*names, most=MOST_EXPERTS)
    return count, c.whole("num_experts_per_tok", "experts_per_token", "moe_top_k", most=count)


def mixtral(c: Fields, name: str, architecture: str) -> Transformer:
    """Mixtral; Phi-3.5-MoE with biases, LayerNorm and a biased head; OLMoE with norms on queries and keys."""
    s = shape(c)
    count, top_k = _experts(c, "num_local_experts", "num_experts")
    phi = architecture == "PhiMoEForCausalLM"
    bias = c.flag("attention_bias")
    norm = (s.heads + s.kv_heads) * s.head_dim if architecture == "OlmoeForCausalLM" else 0
    mixture = Experts(count, top_k, FeedForward(c.whole(*INTERMEDIATE)))
    layers = [
        Layer(s.attention(w, qkv_bias=bias, out_bias=bias, qk_norm_parameters=norm), mixture, norm_bias=phi)
        for w in windows(c, s.layers, local=every_layer)
    ]
    head_bias = c.whole("vocab_size") if c.flag("lm_head_bias") else 0
    return transformer(c, name, architecture, layers, norm_bias=phi, extra_parameters=head_bias)


def qwen_moe(c: Fields, name: str, architecture: str) -> Transformer:
    """Qwen2-MoE (biases, a gated shared expert) and Qwen3-MoE (query and key norms, no shared expert)."""
    s = shape(c)
    second = architecture == "Qwen2MoeForCausalLM"
    bias = c.flag("attention_bias")
    mixture = _qwen_mixture(c)
    dense = FeedForward(c.whole(*INTERMEDIATE, default=mixture.expert.intermediate))
    step = c.whole("decoder_sparse_step", default=1)
    only_dense = set(c.wholes("mlp_only_layers") or ())
    attention = [
        s.attention(
            w,
            qkv_bias=c.flag("qkv_bias", default=True) if second else bias,
            out_bias=bias and not second,
            qk_norm_parameters=0 if second else 2 * s.head_dim,
        )
        for w in qwen_windows(c, s.layers)
    ]
    layers = [Layer(a, dense if i in only_dense or (i + 1) % step else mixture) for i, a in enumerate(attention)]
    return transformer(c, name, architecture, layers)


def _qwen_mixture(c: Fields) -> Experts:
    count, top_k = _experts(c, "num_experts", "num_local_experts")
    shared = c.optional("shared_expert_intermediate_size", least=0)
    return Experts(
        count,
        top_k,
        FeedForward(c.whole("moe_intermediate_size")),
        shared=FeedForward(shared) if shared else None,
        shared_gate=bool(shared),
    )


def gpt_oss(c: Fields, name: str, architecture: str) -> Transformer:
    """gpt-oss (arXiv:2508.10925): biases everywhere, attention sinks, a window on every other layer."""
    s = shape(c)
    count, top_k = _experts(c, "num_local_experts", "num_experts")
    mixture = Experts(count, top_k, FeedForward(c.whole(*INTERMEDIATE), bias=True), router_bias=True)
    layers = [
        Layer(s.attention(w, qkv_bias=True, out_bias=True, sinks=True), mixture)
        for w in windows(c, s.layers, local=all_but_each(2))
    ]
    return transformer(c, name, architecture, layers)


def llama4(c: Fields, name: str, architecture: str) -> Transformer:
    """Llama 4: chunked attention with rotary embedding on three of four layers; mixtures with a shared expert.

    Its global layers have no rotary embedding. `moe_layers` or else `interleave_moe_layer_step` says which
    layers are mixtures.
    """
    s = shape(c)
    count, top_k = _experts(c, "num_local_experts")
    width = FeedForward(c.whole(*INTERMEDIATE))
    mixture = Experts(count, top_k, width, shared=width)
    dense = FeedForward(c.whole("intermediate_size_mlp", *INTERMEDIATE))
    mixed = _llama4_mixed(c, s.layers)
    chunk = c.optional("attention_chunk_size")
    bias = c.flag("attention_bias")
    layers = []
    for i, (local, rope) in enumerate(_llama4_local(c, s.layers)):
        chunked = local and chunk is not None
        attention = s.attention(chunk if local else None, chunked=chunked, rope=rope, qkv_bias=bias, out_bias=bias)
        layers.append(Layer(attention, mixture if i in mixed else dense))
    return transformer(c, name, architecture, layers)


def _llama4_mixed(c: Fields, layers: int) -> set[int]:
    listed = c.wholes("moe_layers")
    step = c.whole("interleave_moe_layer_step", default=1)
    return set(range(step - 1, layers, step) if listed is None else listed)


def _llama4_local(c: Fields, layers: int) -> list[tuple[bool, bool]]:
    """(chunked, rotary) of each layer; an empty or absent list means every fourth layer is global."""
    listed = c.wholes("no_rope_layers")
    if listed and len(listed) != layers:
        raise c.wrong("no_rope_layers", f"a list of {layers}, 1 for each layer with rotary embedding")
    regular = all_but_each(c.whole("no_rope_layer_interval", default=4))
    rope = [bool(v) for v in listed] if listed else [regular(i) for i in range(layers)]
    kinds = c.words("layer_types", layers, KINDS_OF_ATTENTION)
    local = [kind == "chunked_attention" for kind in kinds] if kinds else rope
    return list(zip(local, rope, strict=True))


def deepseek(c: Fields, name: str, architecture: str) -> Transformer:
    """DeepSeek-V2 and V3, Kimi K2: latent attention, first layers dense, then mixtures with shared experts.

    The multi-token prediction module of V3 is not part of the count: it drafts, and can be left out.
    """
    count = c.whole(*LAYERS, most=MOST_LAYERS)
    heads = c.whole(*HEADS, most=MOST_HEADS)
    nope, rope = c.whole("qk_nope_head_dim"), c.whole("qk_rope_head_dim")
    latent = Latent(c.whole("kv_lora_rank"), c.optional("q_lora_rank"), nope, rope)
    attention = Attention(heads, heads, nope + rope, c.whole("v_head_dim"), latent=latent)
    mixture = _deepseek_mixture(c, router_bias=architecture == "DeepseekV3ForCausalLM")
    return transformer(c, name, architecture, _dense_then(c, attention, mixture, count))


def glm_moe(c: Fields, name: str, architecture: str) -> Transformer:
    """GLM-4.5: grouped queries with biases, and the mixtures of DeepSeek-V3."""
    s = shape(c)
    norm = 2 * s.head_dim if c.flag("use_qk_norm") else 0
    attention = s.attention(qkv_bias=c.flag("attention_bias"), qk_norm_parameters=norm)
    mixture = _deepseek_mixture(c, router_bias=True)
    return transformer(c, name, architecture, _dense_then(c, attention, mixture, s.layers))


def _deepseek_mixture(c: Fields, *, router_bias: bool) -> Experts:
    count, top_k = _experts(c, "n_routed_experts")
    width = c.whole("moe_intermediate_size")
    shared = c.whole("n_shared_experts", default=0, least=0)
    return Experts(
        count,
        top_k,
        FeedForward(width),
        shared=FeedForward(width * shared) if shared else None,
        router_bias=router_bias,
    )


def _dense_then(c: Fields, attention: Attention, mixture: Experts, count: int) -> list[Layer]:
    """Layers of which the first `first_k_dense_replace` are dense, and then each `moe_layer_freq`-th a mixture."""
    dense = FeedForward(c.whole(*INTERMEDIATE))
    first = c.whole("first_k_dense_replace", default=0, least=0)
    step = c.whole("moe_layer_freq", default=1)
    return [Layer(attention, mixture if i >= first and i % step == 0 else dense) for i in range(count)]


def dbrx(c: Fields, name: str, architecture: str) -> Transformer:
    """DBRX: LayerNorm without biases, sixteen experts of which four are visited; nested attention and experts."""
    inner_attention, inner_ffn = c.inner("attn_config"), c.inner("ffn_config")
    if inner_attention is None or inner_ffn is None:
        raise c.missing(["attn_config" if inner_attention is None else "ffn_config"], "an object")
    s = shape(c, kv_heads=inner_attention.whole("kv_n_heads", most=MOST_HEADS))
    count, top_k = _experts(inner_ffn, "moe_num_experts")
    mixture = Experts(count, top_k, FeedForward(inner_ffn.whole("ffn_hidden_size")))
    return transformer(c, name, architecture, [Layer(s.attention(), mixture)] * s.layers)
