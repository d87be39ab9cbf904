"""Linear maps from one model's KV cache to another's, layer by layer (KV Prediction, arXiv:2410.08391)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from simulator.errors import InputError
from simulator.workloads.operators import Call, Collective, Elementwise, Gather, Gemm, Size
from simulator.workloads.parallelism import Parallelism, Precision, kv_heads_per_device
from simulator.workloads.transformer import Attention, Transformer


def spread(layers: int, over: int) -> tuple[int, ...]:
    """Which of `over` layers each of `layers` is mapped from: in order, the first ones once more where it is uneven.

    The published configurations of KV Prediction (apple/corenet, projects/kv-prediction) map so.
    """
    each, more = divmod(layers, over)
    return tuple(i for i in range(over) for _ in range(each + (i < more)))


@dataclass(frozen=True, slots=True)
class KVMaps:
    """For each layer of `model`, maps of keys and of values from layer `sources[i]` of `auxiliary`."""

    model: Transformer
    auxiliary: Transformer
    sources: tuple[int, ...]

    def check(self) -> None:
        """Raise `InputError` if the layers do not fit, or a cache does not hold keys and values of heads."""
        for found in (self.model, self.auxiliary):
            if any(layer.attention.latent is not None for layer in found.layers):
                raise InputError(f"prompt_model maps keys and values of heads, and {found.name} caches latent vectors")
        if len(self.sources) != len(self.model.layers):
            raise InputError(
                f"prompt_model.layers has {len(self.sources)} entries: give one for each of the "
                f"{len(self.model.layers)} layers of {self.model.name}"
            )
        if max(self.sources) >= len(self.auxiliary.layers):
            raise InputError(
                f"prompt_model.layers names layer {max(self.sources)} of {self.auxiliary.name}, "
                f"whose last is {len(self.auxiliary.layers) - 1}"
            )

    def parameters(self) -> int:
        """Weights and biases of all maps."""
        pairs = (width for pair in self._pairs().elements() for width in _widths(*pair))
        return sum((source + 1) * target for source, target in pairs)

    def weight_bytes(self, parallel: Parallelism, precision: Precision) -> float:
        """Bytes of the maps on one device; each has those to its own heads."""
        return self.parameters() / parallel.tensor * precision.weights.bytes

    def calls(self, parallel: Parallelism, precision: Precision, tokens: Size) -> list[Call]:
        """Operators of one device that turn the auxiliary model's cache of `tokens` into the model's."""
        local = np.ceil(np.asarray(tokens, dtype=np.float64) / parallel.data)
        calls: list[Call] = []
        for (source, target), count in self._pairs().items():
            calls += _layer_calls(source, target, parallel, precision, local, count)
        return calls

    def _pairs(self) -> Counter[tuple[Attention, Attention]]:
        return Counter(
            (self.auxiliary.layers[i].attention, layer.attention)
            for i, layer in zip(self.sources, self.model.layers, strict=True)
        )


def _widths(source: Attention, target: Attention) -> tuple[tuple[int, int], tuple[int, int]]:
    """Inputs and outputs of the maps of keys and of values."""
    return (
        (source.kv_heads * source.head_dim, target.kv_heads * target.head_dim),
        (source.kv_heads * source.v_head_dim, target.kv_heads * target.v_head_dim),
    )


def _layer_calls(
    source: Attention, target: Attention, parallel: Parallelism, precision: Precision, local: Size, count: int
) -> list[Call]:
    act, heads = precision.activations, kv_heads_per_device(target.kv_heads, parallel.tensor)
    (key_in, key_out), (value_in, value_out) = _widths(source, target)
    share = heads / target.kv_heads
    calls = []
    if parallel.tensor > 1:
        gathered = local * (key_in + value_in) * act.bytes
        calls.append(Call("cache gather", Collective("all_gather", gathered, parallel.tensor), count))
    calls.append(Call("key map", Gemm(local, key_out * share, key_in, precision.weights, act), count))
    calls.append(Call("value map", Gemm(local, value_out * share, value_in, precision.weights, act), count))
    keys = local * key_out * share
    if target.qk_norm_parameters:
        calls.append(Call("key norm", Elementwise(keys, 1, 1, 4, act, "norm"), count))
    if target.rope:
        calls.append(Call("rotary embedding", Elementwise(keys, 1, 1, 6, act, "rotary"), count))
    written = (key_out + value_out) * share
    calls.append(Call("kv cache write", Gather(local, written, precision.kv_cache), count))
    return calls
