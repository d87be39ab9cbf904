"""GPT models by their sizes, as the tables of training papers give them."""

from __future__ import annotations

from simulator.errors import InputError
from simulator.workloads.transformer import Attention, FeedForward, Layer, Transformer


def gpt(
    *,
    layers: int,
    hidden: int,
    heads: int,
    vocab: int,
    sequence: int,
    ffn: int | None = None,
    head_dim: int | None = None,
    name: str = "gpt",
) -> Transformer:
    """A GPT with learned positions, biases, layer norms and a tied embedding (Radford et al., 2019).

    Raises `InputError` for heads that do not divide `hidden`, where `head_dim` does not say how wide each is.
    """
    if head_dim is None and hidden % heads:
        raise InputError(f"model: {heads} heads do not divide hidden {hidden}: change one of them, or give head_dim")
    width = head_dim or hidden // heads
    attention = Attention(heads, heads, width, width, rope=False, qkv_bias=True, out_bias=True)
    layer = Layer(attention, FeedForward(ffn or 4 * hidden, gated=False, bias=True), 2, True)
    return Transformer(
        name, "GPT", hidden, vocab, (layer,) * layers, sequence, tied_embedding=True, learned_positions=sequence,
        final_norm_bias=True, dtype="fp16",
    )  # fmt: skip
