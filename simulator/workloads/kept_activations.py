"""Activations that a forward pass keeps for the backward pass, by token.

A framework that knows of no frozen weights keeps the input of every operator. Where weights are frozen, a linear
layer's input is needed by nothing but its adapter, and norms and activations are cheap to do again: what then remains
are the inputs of norms, attention and activations (graph pruning and rematerialisation, FlexLLM, arXiv:2402.18789).
"""

from __future__ import annotations

from simulator.workloads.dtypes import DTYPES
from simulator.workloads.parallelism import Parallelism, Precision, kv_heads_per_device
from simulator.workloads.transformer import FeedForward, Layer, Transformer
from simulator.workloads.tuned_adapter import TunedAdapter


def kept_bytes_per_token(
    model: Transformer, parallel: Parallelism, precision: Precision, adapter: TunedAdapter, *, pruned: bool
) -> float:
    """Bytes of one token on one device, all layers and the loss."""
    act = precision.activations.bytes
    ranks = adapter.rank * len(adapter.targets)
    total = sum(_layer_elements(layer, model.hidden, parallel, pruned=pruned) + ranks for layer in model.layers) * act
    if pruned:
        # The loss is taken with the window, so that only the gradient of the last hidden state is left of it.
        return total + model.hidden * act
    # The final norm's input and output, and logits, which a cross entropy takes in fp32.
    return total + 2 * model.hidden * act + model.vocab / parallel.tensor * DTYPES["fp32"].bytes


def _layer_elements(layer: Layer, hidden: int, parallel: Parallelism, *, pruned: bool) -> float:
    a, tensor = layer.attention, parallel.tensor
    assert isinstance(layer.ffn, FeedForward)
    kv_heads, q_heads = kv_heads_per_device(a.kv_heads, tensor), a.q_heads / tensor
    width = layer.ffn.intermediate / tensor
    projected = q_heads * a.head_dim + kv_heads * (a.head_dim + a.v_head_dim)
    attended = q_heads * a.v_head_dim  # attention's gradient needs its output, which also enters the projection
    kept = layer.norms * hidden + projected + attended + (2 if layer.ffn.gated else 1) * width
    if a.qk_norm_parameters:
        kept += q_heads * a.head_dim + kv_heads * a.head_dim
    # Without pruning also the inputs of the projections to queries, keys and values, up, and down.
    return kept if pruned else kept + min(2, layer.norms) * hidden + width
