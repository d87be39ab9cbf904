"""What nearly every family reads alike: widths, heads, windows, and the model built from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.errors import InputError
from simulator.workloads.huggingface.fields import Fields
from simulator.workloads.huggingface.formats import published_format
from simulator.workloads.transformer import Attention, Layer, Transformer

HIDDEN = ("hidden_size", "n_embd", "d_model", "n_embed")
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads")
KV_HEADS = ("num_key_value_heads",)
INTERMEDIATE = ("intermediate_size", "n_inner", "ffn_hidden_size")
LENGTH = ("max_position_embeddings", "n_positions", "seq_length", "max_sequence_length", "max_seq_len", "n_ctx")
MOST_LAYERS = 10_000
MOST_HEADS = 100_000

KINDS_OF_ATTENTION = ("full_attention", "sliding_attention", "chunked_attention")


@dataclass(frozen=True, slots=True)
class Shape:
    """Widths that attention and feed-forward parts share; `head_dim` is hidden / heads where the config is silent."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int

    def attention(
        self,
        window: int | None = None,
        *,
        chunked: bool = False,
        rope: bool = True,
        qkv_bias: bool = False,
        out_bias: bool = False,
        qk_norm_parameters: int = 0,
        sinks: bool = False,
    ) -> Attention:
        """Self-attention of this shape, keys and values equally wide."""
        return Attention(
            self.heads, self.kv_heads, self.head_dim, self.head_dim, window, chunked, rope, qkv_bias, out_bias,
            qk_norm_parameters, sinks,
        )  # fmt: skip


def shape(c: Fields, *, kv_heads: int | None = None, defaults: Shape | None = None) -> Shape:
    """Widths of a config.

    `kv_heads` overrides the usual field, for families that spell it otherwise; `defaults` serve a family
    whose published configs leave fields at the library's defaults. Raises `InputError` if heads do not fit.
    """
    hidden = c.whole(*HIDDEN)
    layers = c.whole(*LAYERS, most=MOST_LAYERS)
    heads = c.whole(*HEADS, default=defaults.heads if defaults else None, most=MOST_HEADS)
    if kv_heads is None:
        kv_heads = c.whole(*KV_HEADS, default=defaults.kv_heads if defaults else heads, most=MOST_HEADS)
    if heads % kv_heads:
        raise InputError(
            f"config field {c.prefix + KV_HEADS[0]!r} is {kv_heads}: expected a divisor of the {heads} attention heads",
            file=c.file,
        )
    head_dim = c.optional("head_dim") or (defaults.head_dim if defaults else None)
    if head_dim is None and hidden % heads:
        raise InputError(
            f"config: hidden size {hidden} is no multiple of the {heads} attention heads, "
            f"and 'head_dim', which would then be needed, is absent",
            file=c.file,
        )
    return Shape(hidden, layers, heads, kv_heads, head_dim or hidden // heads)


def windows(c: Fields, layers: int, *, local: Callable[[int], bool]) -> list[int | None]:
    """The sliding window of each layer: by `layer_types` if given, otherwise of the layers that are `local`."""
    window = c.optional("sliding_window")
    kinds = c.words("layer_types", layers, KINDS_OF_ATTENTION)
    if kinds is not None:
        return [window if kind == "sliding_attention" else None for kind in kinds]
    return [window if local(i) else None for i in range(layers)]


def every_layer(_: int) -> bool:
    return True


def no_layer(_: int) -> bool:
    return False


def all_but_each(period: int) -> Callable[[int], bool]:
    """True for every layer but each `period`-th, as the models that mix local with global attention count."""
    return lambda i: (i + 1) % period != 0


def transformer(
    c: Fields,
    name: str,
    architecture: str,
    layers: Sequence[Layer],
    *,
    tied: bool = False,
    learned_positions: int = 0,
    embedding_width: int | None = None,
    final_norm: bool = True,
    norm_bias: bool = False,
    extra_parameters: int = 0,
    vocab: int | None = None,
) -> Transformer:
    """The model of these layers; `tied` is what the family does where `tie_word_embeddings` is absent."""
    return Transformer(
        name=name,
        architecture=architecture,
        hidden=c.whole(*HIDDEN),
        vocab=c.whole("vocab_size", default=vocab),
        layers=tuple(layers),
        max_tokens=c.whole(*LENGTH, default=2048),
        tied_embedding=c.flag("tie_word_embeddings", default=tied),
        learned_positions=learned_positions,
        embedding_width=embedding_width,
        final_norm=final_norm,
        final_norm_bias=norm_bias,
        extra_parameters=extra_parameters,
        dtype=published_format(c),
    )
