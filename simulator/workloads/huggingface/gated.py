"""Readers of models with gated feed-forward layers and rotary positions: Llama and what came after it."""

from __future__ import annotations

from collections.abc import Callable

from simulator.workloads.huggingface.config import MOST_LAYERS, Config, common_shape, sliding_windows, transformer_of
from simulator.workloads.transformer import Attention, Experts, FeedForward, Latent, Layer, Transformer


def llama(c: Config, name: str, architecture: str) -> Transformer:
    """Llama, Mistral, Qwen2, Qwen3, Phi-3 and all that share their layer."""
    s = common_shape(c)
    qwen2 = architecture == "Qwen2ForCausalLM"
    bias = qwen2 or c.flag("attention_bias")
    norm = 2 * s.head_dim if architecture == "Qwen3ForCausalLM" else 0
    ffn = FeedForward(c.whole("intermediate_size"), True, c.flag("mlp_bias"))
    slides = architecture in ("MistralForCausalLM", "Phi3ForCausalLM") or c.flag("use_sliding_window")
    first = c.whole("max_window_layers", default=0, least=0) if qwen2 else 0
    windows = sliding_windows(c, s.layers, default=lambda i: slides and i >= first)
    layers = [
        Layer(
            Attention(
                s.heads, s.kv_heads, s.head_dim, s.head_dim, w,
                qkv_bias=bias, out_bias=bias and not qwen2, qk_norm_parameters=norm,
            ),
            ffn,
        )
        for w in windows
    ]  # fmt: skip
    return transformer_of(c, name, architecture, layers, tied=c.flag("tie_word_embeddings"))


def mixture(c: Config, name: str, architecture: str) -> Transformer:
    """Mixtral, Qwen2-MoE and Qwen3-MoE: every layer, or every n-th, a mixture of experts."""
    s = common_shape(c)
    experts = c.whole("num_local_experts", "num_experts", most=100_000)
    top_k = c.whole("num_experts_per_tok", most=experts)
    width = c.whole("moe_intermediate_size", "intermediate_size")
    shared = c.maybe("shared_expert_intermediate_size")
    qwen2 = architecture == "Qwen2MoeForCausalLM"
    mixture = Experts(experts, top_k, FeedForward(width), FeedForward(shared) if shared else None, bool(shared))
    dense = FeedForward(c.whole("intermediate_size", default=width))
    step = c.whole("decoder_sparse_step", default=1)
    only_dense = c.values.get("mlp_only_layers") or []
    slides = architecture == "MixtralForCausalLM" or c.flag("use_sliding_window")
    attention = [
        Attention(
            s.heads, s.kv_heads, s.head_dim, s.head_dim, w, qkv_bias=qwen2 or c.flag("attention_bias"),
            qk_norm_parameters=2 * s.head_dim if architecture == "Qwen3MoeForCausalLM" else 0,
        )
        for w in sliding_windows(c, s.layers, default=lambda _: slides)
    ]  # fmt: skip
    layers = [Layer(a, dense if i in only_dense or (i + 1) % step else mixture) for i, a in enumerate(attention)]
    return transformer_of(c, name, architecture, layers, tied=c.flag("tie_word_embeddings"))


def gpt_oss(c: Config, name: str, architecture: str) -> Transformer:
    """gpt-oss: biases everywhere, attention sinks, every second layer with a window of 128 tokens."""
    s = common_shape(c)
    experts = c.whole("num_local_experts", most=100_000)
    mixture = Experts(
        experts,
        c.whole("num_experts_per_tok", "experts_per_token", most=experts),
        FeedForward(c.whole("intermediate_size"), True, True),
        router_bias=True,
    )
    layers = [
        Layer(
            Attention(s.heads, s.kv_heads, s.head_dim, s.head_dim, w, qkv_bias=True, out_bias=True, sinks=True), mixture
        )
        for w in sliding_windows(c, s.layers, default=lambda i: i % 2 == 0)
    ]
    return transformer_of(c, name, architecture, layers, tied=c.flag("tie_word_embeddings"))


def llama4(c: Config, name: str, architecture: str) -> Transformer:
    """Llama 4: chunked attention but on every fourth layer, which has no rotary embedding; mixtures interleaved."""
    s = common_shape(c)
    experts = c.whole("num_local_experts", most=100_000)
    width = FeedForward(c.whole("intermediate_size"))
    mixture = Experts(experts, c.whole("num_experts_per_tok", default=1, most=experts), width, width)
    dense = FeedForward(c.whole("intermediate_size_mlp", "intermediate_size"))
    step = c.whole("interleave_moe_layer_step", default=1)
    chunk = c.maybe("attention_chunk_size")
    layers = []
    for i in range(s.layers):
        local = (i + 1) % 4 != 0
        attention = Attention(
            s.heads,
            s.kv_heads,
            s.head_dim,
            s.head_dim,
            chunk if local else None,
            local and chunk is not None,
            rope=local,
        )
        layers.append(Layer(attention, mixture if (i + 1) % step == 0 else dense))
    return transformer_of(c, name, architecture, layers, tied=c.flag("tie_word_embeddings"))


def deepseek(c: Config, name: str, architecture: str) -> Transformer:
    """DeepSeek-V2 and V3: latent attention, first layers dense, then experts with shared ones."""
    hidden, count = c.whole("hidden_size"), c.whole("num_hidden_layers", most=MOST_LAYERS)
    heads = c.whole("num_attention_heads", most=100_000)
    nope, rope = c.whole("qk_nope_head_dim"), c.whole("qk_rope_head_dim")
    latent = Latent(c.whole("kv_lora_rank"), c.maybe("q_lora_rank"), nope, rope)
    attention = Attention(heads, heads, nope + rope, c.whole("v_head_dim"), latent=latent)
    experts = c.whole("n_routed_experts", most=100_000)
    width = c.whole("moe_intermediate_size")
    shared = c.maybe("n_shared_experts")
    mixture = Experts(
        experts,
        c.whole("num_experts_per_tok", most=experts),
        FeedForward(width),
        FeedForward(width * shared) if shared else None,
        router_bias=architecture == "DeepseekV3ForCausalLM",
    )
    dense = FeedForward(c.whole("intermediate_size"))
    first = c.whole("first_k_dense_replace", default=0, least=0)
    assert hidden
    layers = [Layer(attention, dense if i < first else mixture) for i in range(count)]
    return transformer_of(c, name, architecture, layers, tied=c.flag("tie_word_embeddings"))


def gemma(c: Config, name: str, architecture: str) -> Transformer:
    """Gemma 1 to 3: wide heads, tied embedding; from 2 on four norms a layer and alternating windows."""
    s = common_shape(c)
    third = architecture.startswith("Gemma3")
    local: Callable[[int], bool] = {
        "GemmaForCausalLM": lambda _: False,
        "Gemma2ForCausalLM": lambda i: i % 2 == 0,
    }.get(architecture, lambda i: (i + 1) % c.whole("sliding_window_pattern", default=6) != 0)
    ffn = FeedForward(c.whole("intermediate_size"))
    layers = [
        Layer(
            Attention(
                s.heads, s.kv_heads, s.head_dim, s.head_dim, w, qk_norm_parameters=2 * s.head_dim if third else 0
            ),
            ffn,
            norms=2 if architecture == "GemmaForCausalLM" else 4,
        )
        for w in sliding_windows(c, s.layers, default=local)
    ]
    return transformer_of(c, name, architecture, layers, tied=c.flag("tie_word_embeddings", default=True))
