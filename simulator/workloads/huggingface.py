"""Hugging Face `config.json` to `Transformer`: one small reader a family of architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.errors import InputError, unknown_name
from simulator.workloads.transformer import Attention, Experts, FeedForward, Latent, Layer, Transformer

Json = dict[str, Any]
MOST_LAYERS = 10_000
MAX_TOKENS = (
    "max_position_embeddings", "n_positions", "seq_length", "max_sequence_length", "max_context_length",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """A config read field by field; every complaint names the field, its value and what was expected."""

    values: Json
    file: str | None

    def whole(self, *names: str, default: int | None = None, least: int = 1, most: int = 10**9) -> int:
        """The whole number under the first of `names` that is there."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise self.wrong(name, f"a whole number from {least:,} to {most:,}")
            return value
        if default is None:
            raise InputError(f"the config lacks {names[0]!r}, a whole number", file=self.file)
        return default

    def flag(self, *names: str, default: bool = False) -> bool:
        """The true or false under the first of `names` that is there."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if not isinstance(value, bool):
                raise self.wrong(name, "true or false")
            return value
        return default

    def maybe(self, name: str) -> int | None:
        """A whole number, or None where the field is absent, null or zero."""
        return None if self.values.get(name) in (None, 0) else self.whole(name)

    def words(self, name: str, length: int) -> list[str] | None:
        """A list of `length` words, or None where the field is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != length or not all(isinstance(v, str) for v in value):
            raise self.wrong(name, f"a list of {length} words")
        return value

    def numbers(self, name: str, length: int, *, most: float) -> list[float]:
        """A list of `length` positive numbers."""
        value = self.values.get(name)
        if (
            not isinstance(value, list)
            or len(value) != length
            or not all(type(v) in (int, float) and 0 < v <= most for v in value)
        ):
            raise self.wrong(name, f"a list of {length} numbers above 0 and at most {most:,g}")
        return value

    def wrong(self, name: str, expected: str) -> InputError:
        """A complaint about one field."""
        shown = repr(self.values.get(name))
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return InputError(f"config field {name!r} is {shown}: expected {expected}", file=self.file)


def transformer_from_config(config: object, *, name: str, file: str | None = None) -> Transformer:
    """The model that a Hugging Face config describes; of multimodal models the text part.

    Raises `InputError` for an architecture that is not supported and for fields that are missing or wrong.
    """
    if not isinstance(config, dict):
        raise InputError(f"a model config is a JSON object, not {type(config).__name__}", file=file)
    architecture = _architecture(config, file)
    text = config.get("text_config")
    if isinstance(text, dict):
        shared = {k: v for k, v in config.items() if k in ("torch_dtype", "dtype", "quantization_config")}
        config = shared | text
    reader = READERS[architecture]
    return reader(Config(config, file), name, architecture)


def _architecture(config: Json, file: str | None) -> str:
    listed = config.get("architectures")
    given = listed[0] if isinstance(listed, list) and listed else config.get("model_type")
    if not isinstance(given, str):
        raise InputError("the config names no architecture: add 'architectures' or 'model_type'", file=file)
    if given in READERS:
        return given
    by_type = {a.split("For")[0].lower().removesuffix("lmhead"): a for a in READERS}
    found = by_type.get(given.lower().replace("_", "").replace("-", ""))
    if found is None:
        raise InputError(
            f"{unknown_name('architecture', given, READERS).message}; supported are {', '.join(sorted(READERS))}",
            file=file,
        )
    return found


def _dtype(c: Config) -> str:
    quantised = c.values.get("quantization_config")
    if isinstance(quantised, dict):
        method = quantised.get("quant_method")
        if method == "fp8":
            return "fp8_block" if quantised.get("weight_block_size") else "fp8"
        if method == "mxfp4":
            return "mxfp4"
        if method in ("awq", "gptq"):
            return "int4"
    stored = c.values.get("torch_dtype", c.values.get("dtype"))
    return {"float16": "fp16", "float32": "fp32"}.get(str(stored), "bf16")


@dataclass(frozen=True, slots=True)
class _Shape:
    """What nearly every config has."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int


def _shape(c: Config, *, heads: str = "num_attention_heads", kv: str = "num_key_value_heads") -> _Shape:
    hidden = c.whole("hidden_size", "n_embd", "d_model")
    layers = c.whole("num_hidden_layers", "n_layer", "num_layers", most=MOST_LAYERS)
    q = c.whole(heads, "n_head", "num_attention_heads", most=100_000)
    kv_heads = c.whole(kv, default=q, most=100_000)
    if q % kv_heads:
        raise c.wrong(kv, f"a divisor of the {q} attention heads")
    head_dim = c.maybe("head_dim")
    if head_dim is None:
        if hidden % q:
            raise InputError(
                f"config: hidden size {hidden} is no multiple of {q} heads and head_dim is absent", file=c.file
            )
        head_dim = hidden // q
    return _Shape(hidden, layers, q, kv_heads, head_dim)


def _build(
    c: Config,
    name: str,
    architecture: str,
    layers: list[Layer],
    *,
    tied: bool,
    positions: int = 0,
    norm_bias: bool = False,
    final_norm: bool = True,
    extra: int = 0,
) -> Transformer:
    return Transformer(
        name=name,
        architecture=architecture,
        hidden=c.whole("hidden_size", "n_embd", "d_model", "model_dim"),
        vocab=c.whole("vocab_size"),
        layers=tuple(layers),
        max_tokens=c.whole(*MAX_TOKENS, default=2048),
        tied_embedding=tied,
        learned_positions=positions,
        final_norm=final_norm,
        final_norm_bias=norm_bias,
        extra_parameters=extra,
        dtype=_dtype(c),
    )


def _windows(c: Config, layers: int, *, default: Callable[[int], bool]) -> list[int | None]:
    """The sliding window of each layer: from `layer_types` if given, else for the layers that `default` picks."""
    window = c.maybe("sliding_window")
    kinds = c.words("layer_types", layers)
    if kinds is not None:
        return [window if kind == "sliding_attention" else None for kind in kinds]
    return [window if default(i) else None for i in range(layers)]


def _llama(c: Config, name: str, architecture: str) -> Transformer:
    """Llama, Mistral, Qwen2, Qwen3, Phi-3 and all that share their layer."""
    s = _shape(c)
    qwen2 = architecture == "Qwen2ForCausalLM"
    bias = qwen2 or c.flag("attention_bias")
    norm = 2 * s.head_dim if architecture == "Qwen3ForCausalLM" else 0
    ffn = FeedForward(c.whole("intermediate_size"), True, c.flag("mlp_bias"))
    slides = architecture in ("MistralForCausalLM", "Phi3ForCausalLM") or c.flag("use_sliding_window")
    first = c.whole("max_window_layers", default=0, least=0) if qwen2 else 0
    windows = _windows(c, s.layers, default=lambda i: slides and i >= first)
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
    return _build(c, name, architecture, layers, tied=c.flag("tie_word_embeddings"))


def _mixture(c: Config, name: str, architecture: str) -> Transformer:
    """Mixtral, Qwen2-MoE and Qwen3-MoE: every layer, or every n-th, a mixture of experts."""
    s = _shape(c)
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
        for w in _windows(c, s.layers, default=lambda _: slides)
    ]  # fmt: skip
    layers = [Layer(a, dense if i in only_dense or (i + 1) % step else mixture) for i, a in enumerate(attention)]
    return _build(c, name, architecture, layers, tied=c.flag("tie_word_embeddings"))


def _gpt_oss(c: Config, name: str, architecture: str) -> Transformer:
    """gpt-oss: biases everywhere, attention sinks, every second layer with a window of 128 tokens."""
    s = _shape(c)
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
        for w in _windows(c, s.layers, default=lambda i: i % 2 == 0)
    ]
    return _build(c, name, architecture, layers, tied=c.flag("tie_word_embeddings"))


def _llama4(c: Config, name: str, architecture: str) -> Transformer:
    """Llama 4: chunked attention but on every fourth layer, which has no rotary embedding; mixtures interleaved."""
    s = _shape(c)
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
    return _build(c, name, architecture, layers, tied=c.flag("tie_word_embeddings"))


def _deepseek(c: Config, name: str, architecture: str) -> Transformer:
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
    return _build(c, name, architecture, layers, tied=c.flag("tie_word_embeddings"))


def _gemma(c: Config, name: str, architecture: str) -> Transformer:
    """Gemma 1 to 3: wide heads, tied embedding; from 2 on four norms a layer and alternating windows."""
    s = _shape(c)
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
        for w in _windows(c, s.layers, default=local)
    ]
    return _build(c, name, architecture, layers, tied=c.flag("tie_word_embeddings", default=True))


def _opt(c: Config, name: str, architecture: str) -> Transformer:
    """OPT: learned positions (two more than the length), biases, LayerNorm; 350M projects its embedding."""
    s = _shape(c)
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
    return _build(
        c, name, architecture, [layer] * s.layers, tied=True, positions=c.whole("max_position_embeddings") + 2,
        norm_bias=True, final_norm=before, extra=extra,
    )  # fmt: skip


def _gpt2(c: Config, name: str, architecture: str) -> Transformer:
    """GPT-2 and GPT-3: learned positions, biases, LayerNorm, tied embedding."""
    s = _shape(c)
    layer = Layer(
        Attention(s.heads, s.heads, s.head_dim, s.head_dim, rope=False, qkv_bias=True, out_bias=True),
        FeedForward(c.whole("n_inner", default=4 * s.hidden), False, True),
        norm_bias=True,
    )
    return _build(
        c, name, architecture, [layer] * s.layers, tied=True, positions=c.whole("n_positions", "n_ctx"), norm_bias=True
    )


def _gptj(c: Config, name: str, architecture: str) -> Transformer:
    """GPT-J: attention and feed-forward side by side under one norm, a biased output head."""
    s = _shape(c)
    layer = Layer(
        Attention(s.heads, s.heads, s.head_dim, s.head_dim),
        FeedForward(c.whole("n_inner", default=4 * s.hidden), False, True),
        norms=1, norm_bias=True, parallel_ffn=True,
    )  # fmt: skip
    return _build(c, name, architecture, [layer] * s.layers, tied=False, norm_bias=True, extra=c.whole("vocab_size"))


def _neox(c: Config, name: str, architecture: str) -> Transformer:
    """GPT-NeoX and Pythia: side by side, with two norms and biases."""
    s = _shape(c)
    layer = Layer(
        Attention(s.heads, s.heads, s.head_dim, s.head_dim, qkv_bias=True, out_bias=True),
        FeedForward(c.whole("intermediate_size"), False, True),
        norm_bias=True, parallel_ffn=c.flag("use_parallel_residual", default=True),
    )  # fmt: skip
    return _build(c, name, architecture, [layer] * s.layers, tied=c.flag("tie_word_embeddings"), norm_bias=True)


def _falcon(c: Config, name: str, architecture: str) -> Transformer:
    """Falcon: multi-query (7B) or grouped (`new_decoder_architecture`), side by side, no biases."""
    wide = c.flag("new_decoder_architecture")
    s = _shape(c, kv="num_kv_heads") if wide else _shape(c, kv="-")
    kv_heads = s.kv_heads if wide else 1 if c.flag("multi_query", default=True) else s.heads
    bias = c.flag("bias")
    parallel = c.flag("parallel_attn", default=True)
    layer = Layer(
        Attention(s.heads, kv_heads, s.head_dim, s.head_dim, qkv_bias=bias, out_bias=bias),
        FeedForward(c.whole("ffn_hidden_size", default=4 * s.hidden), False, bias),
        norms=2 if wide or not parallel else 1, norm_bias=True, parallel_ffn=parallel,
    )  # fmt: skip
    return _build(
        c, name, architecture, [layer] * s.layers, tied=c.flag("tie_word_embeddings", default=True), norm_bias=True
    )


def _bloom(c: Config, name: str, architecture: str) -> Transformer:
    """BLOOM: ALiBi positions, biases, a norm on the embedding."""
    s = _shape(c)
    layer = Layer(
        Attention(s.heads, s.heads, s.head_dim, s.head_dim, rope=False, qkv_bias=True, out_bias=True),
        FeedForward(4 * s.hidden, False, True),
        norm_bias=True,
    )
    return _build(c, name, architecture, [layer] * s.layers, tied=True, norm_bias=True, extra=2 * s.hidden)


def _phi(c: Config, name: str, architecture: str) -> Transformer:
    """Phi-1.5 and Phi-2: side by side under one norm, biases, a biased output head."""
    s = _shape(c)
    layer = Layer(
        Attention(s.heads, s.kv_heads, s.head_dim, s.head_dim, qkv_bias=True, out_bias=True),
        FeedForward(c.whole("intermediate_size"), False, True),
        norms=1, norm_bias=True, parallel_ffn=True,
    )  # fmt: skip
    return _build(c, name, architecture, [layer] * s.layers, tied=False, norm_bias=True, extra=c.whole("vocab_size"))


def _openelm(c: Config, name: str, architecture: str) -> Transformer:
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
    return _build(c, name, architecture, layers, tied=c.flag("share_input_output_layers", default=True))


def _rounded(width: float, divisor: int) -> int:
    """The multiple of `divisor` nearest to a width, but never less than nine tenths of it."""
    near = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * width else near


def _starcoder2(c: Config, name: str, architecture: str) -> Transformer:
    """StarCoder2: grouped queries, biases, LayerNorm, a sliding window."""
    s = _shape(c)
    bias = c.flag("use_bias", default=True)
    layer = Layer(
        Attention(s.heads, s.kv_heads, s.head_dim, s.head_dim, c.maybe("sliding_window"), qkv_bias=bias, out_bias=bias),
        FeedForward(c.whole("intermediate_size"), False, bias),
        norm_bias=True,
    )
    return _build(
        c, name, architecture, [layer] * s.layers, tied=c.flag("tie_word_embeddings", default=True), norm_bias=True
    )


READERS: dict[str, Callable[[Config, str, str], Transformer]] = {
    "BloomForCausalLM": _bloom,
    "DeepseekV2ForCausalLM": _deepseek,
    "DeepseekV3ForCausalLM": _deepseek,
    "FalconForCausalLM": _falcon,
    "GPT2LMHeadModel": _gpt2,
    "GPTJForCausalLM": _gptj,
    "GPTNeoXForCausalLM": _neox,
    "Gemma2ForCausalLM": _gemma,
    "Gemma3ForCausalLM": _gemma,
    "Gemma3ForConditionalGeneration": _gemma,
    "GemmaForCausalLM": _gemma,
    "GptOssForCausalLM": _gpt_oss,
    "Llama4ForCausalLM": _llama4,
    "Llama4ForConditionalGeneration": _llama4,
    "LlamaForCausalLM": _llama,
    "MistralForCausalLM": _llama,
    "MixtralForCausalLM": _mixture,
    "OPTForCausalLM": _opt,
    "Phi3ForCausalLM": _llama,
    "OpenELMForCausalLM": _openelm,
    "PhiForCausalLM": _phi,
    "Qwen2ForCausalLM": _llama,
    "Qwen2MoeForCausalLM": _mixture,
    "Qwen3ForCausalLM": _llama,
    "Qwen3MoeForCausalLM": _mixture,
    "Starcoder2ForCausalLM": _starcoder2,
}
