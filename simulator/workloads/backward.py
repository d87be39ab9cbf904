"""The backward pass through frozen layers, from the operators of the forward pass.

Frozen weights have no gradients of their own, so each product has one counterpart (dx = dy W^T, as many FLOPs) and
not two. Attention has four products for two, and computes the scores again.
"""

from __future__ import annotations

import numpy as np

from simulator.errors import InputError, refuse_beside
from simulator.workloads.graph import LayerCalls
from simulator.workloads.operators import Call, Collective, Elementwise, Gemm, Size
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.transformer import Experts, Layer, Transformer

# Four products and one recomputed against two in the forward pass (FlashAttention-2, arXiv:2307.08691, 4.1).
ATTENTION_BACKWARD = 2.5


def check_trainable(model: Transformer, parallel: Parallelism) -> None:
    """Raise `InputError` for models and layouts whose backward pass is not modelled."""
    layers = model.layers
    others = {
        "routed experts": any(isinstance(layer.ffn, Experts) for layer in layers),
        "latent attention": any(layer.attention.latent is not None for layer in layers),
        "parallel.pipeline above 1": parallel.pipeline > 1,
        "parallel.data above 1": parallel.data > 1,
    }
    refuse_beside("finetuning", others)
    if not layers:
        raise InputError(f"finetuning: {model.name} has no layers")


def layer_calls(
    model: Transformer, parallel: Parallelism, precision: Precision, layer: Layer, tokens: Size
) -> list[Call]:
    """Operators of one layer's forward pass for `tokens` rows, without attention and adapters."""
    rows = np.asarray(tokens, dtype=np.float64)
    return LayerCalls(model, parallel, precision, rows, rows).layer(layer, 1)


def backward_calls(
    model: Transformer, parallel: Parallelism, precision: Precision, layer: Layer, tokens: Size
) -> list[Call]:
    """Operators of one layer's backward pass for `tokens` rows, without attention and adapters, last first.

    Element-wise operators read their inputs and the gradients of their outputs, and write those of their inputs;
    collectives have counterparts of equal size (Megatron-LM, arXiv:1909.08053, section 3).
    """
    calls = layer_calls(model, parallel, precision, layer, tokens)
    return [Call(f"{c.name} gradient", op, c.count) for c in reversed(calls) if (op := _counterpart(c)) is not None]


def _counterpart(call: Call) -> Gemm | Elementwise | Collective | None:
    op = call.op
    if isinstance(op, Gemm):
        return Gemm(op.m, op.k, op.n, op.weight, op.activation)
    if isinstance(op, Elementwise):
        reads = op.writes if op.kernel == "rotary" else op.reads + op.writes  # a rotation needs no input again
        return Elementwise(op.elements, reads, op.reads, 2.0 * op.flops_per_element, op.activation, op.kernel)
    if isinstance(op, Collective):
        return op
    return None  # writing keys and values: their gradients are part of attention's


def recomputed_calls(
    model: Transformer,
    parallel: Parallelism,
    precision: Precision,
    layer: Layer,
    tokens: Size,
    targets: tuple[str, ...],
) -> list[Call]:
    """What pruning does again in the backward pass: norms and activations whose outputs adapters take as inputs."""
    forward = {c.name: c.op for c in layer_calls(model, parallel, precision, layer, tokens)}
    normed = [any(t in targets for t in group) for group in (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))]
    calls = [Call("norm again", forward["norm"], min(sum(normed), layer.norms))] if any(normed) else []
    if "down_proj" in targets:
        calls.append(Call("ffn activation again", forward["ffn activation"]))
    return calls


def loss_gradient_calls(model: Transformer, parallel: Parallelism, precision: Precision, tokens: Size) -> list[Call]:
    """From logits of `tokens` rows to the gradient of the last layer's output: softmax, output head, final norm."""
    act, tensor = precision.activations, parallel.tensor
    calls = [
        Call("loss gradient", Elementwise(tokens * (model.vocab / tensor), 1, 1, 4, act, "sampling")),
        Call("output head gradient", Gemm(tokens, model.hidden, model.vocab / tensor, act, act)),
        Call("final norm gradient", Elementwise(tokens * model.hidden, 3, 2, 8, act, "norm")),
    ]
    if tensor > 1:
        reduced = Collective("all_reduce", tokens * model.hidden * act.bytes, tensor)
        calls.insert(2, Call("output head all-reduce", reduced))
    return calls
