"""A low-rank adapter in training: what its matrices hold, and the products that they add to a layer.

LoRA: y = x W + (x A) B with W frozen, A of inputs x rank and B of rank x outputs (Hu et al., arXiv:2106.09685).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.errors import InputError, unknown_name
from simulator.workloads.operators import Call, Elementwise, Gemm, Size
from simulator.workloads.parallelism import Parallelism, Precision, kv_heads_per_device
from simulator.workloads.transformer import FeedForward, Layer, Transformer

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# A 16-bit weight and gradient, and in fp32 the master copy and both moments of Adam (ZeRO, arXiv:1910.02054, 3.1).
BYTES_PER_PARAMETER = 16.0


@dataclass(frozen=True, slots=True)
class Matrices:
    """A and B beside one target on one device: `inputs` x rank and rank x `outputs`."""

    target: str
    inputs: float
    outputs: float


@dataclass(frozen=True, slots=True)
class TunedAdapter:
    """An adapter of this `rank` beside the `targets` (names of linear layers as in `TARGETS`) of every layer."""

    rank: int
    targets: tuple[str, ...]

    def check(self, model: Transformer) -> None:
        """Raise `InputError` for a target that the model has not."""
        for target in self.targets:
            if target not in TARGETS:
                raise unknown_name("target of finetuning.adapter", target, TARGETS)
        dense = [layer.ffn for layer in model.layers if isinstance(layer.ffn, FeedForward)]
        if "gate_proj" in self.targets and not all(ffn.gated for ffn in dense):
            raise InputError(f"finetuning.adapter.targets: {model.name} has no gate_proj: leave it out")

    def matrices(self, layer: Layer, hidden: int, parallel: Parallelism) -> list[Matrices]:
        """What one device holds of a layer's adapter: the side that is split like the target's own weights is split."""
        a, tensor = layer.attention, parallel.tensor
        assert isinstance(layer.ffn, FeedForward)
        kv_heads, width = kv_heads_per_device(a.kv_heads, tensor), layer.ffn.intermediate / tensor
        shapes = {
            "q_proj": (hidden, a.q_heads / tensor * a.head_dim),
            "k_proj": (hidden, kv_heads * a.head_dim),
            "v_proj": (hidden, kv_heads * a.v_head_dim),
            "o_proj": (a.q_heads / tensor * a.v_head_dim, hidden),
            "gate_proj": (hidden, width),
            "up_proj": (hidden, width),
            "down_proj": (width, hidden),
        }
        return [Matrices(target, *shapes[target]) for target in self.targets]

    def parameters(self, model: Transformer, parallel: Parallelism) -> float:
        """Weights of the adapter on one device, all layers."""
        return sum(
            self.rank * (m.inputs + m.outputs)
            for layer in model.layers
            for m in self.matrices(layer, model.hidden, parallel)
        )

    def forward_calls(self, matrices: list[Matrices], tokens: Size, precision: Precision) -> list[Call]:
        """x A and (x A) B for `tokens` rows, target by target."""
        product = _products(precision)
        calls: list[Call] = []
        for m in matrices:
            calls.append(Call(f"{m.target} adapter down", product(tokens, self.rank, m.inputs)))
            calls.append(Call(f"{m.target} adapter up", product(tokens, m.outputs, self.rank)))
        return calls

    def backward_calls(self, matrices: list[Matrices], tokens: Size, precision: Precision) -> list[Call]:
        """Gradients of both matrices and of what went into them, for `tokens` rows: twice the forward's FLOPs."""
        product = _products(precision)
        calls: list[Call] = []
        for m in matrices:
            calls += [
                Call(f"{m.target} adapter up gradient", product(self.rank, m.outputs, tokens)),
                Call(f"{m.target} adapter up input gradient", product(tokens, self.rank, m.outputs)),
                Call(f"{m.target} adapter down gradient", product(m.inputs, self.rank, tokens)),
                Call(f"{m.target} adapter down input gradient", product(tokens, m.inputs, self.rank)),
            ]
        return calls

    def optimiser_calls(self, model: Transformer, parallel: Parallelism) -> list[Call]:
        """One step of Adam: reads gradient, master copy and moments, writes these and the weight."""
        # In numbers of 16 bits: 1 gradient and 3 x 2 of state are read, 3 x 2 of state and 1 weight written.
        step = Elementwise(self.parameters(model, parallel), reads=7.0, writes=7.0, flops_per_element=12.0)
        return [Call("adapter optimiser", step)]


def _products(precision: Precision) -> Callable[[Size, Size, Size], Gemm]:
    act = precision.activations
    return lambda m, n, k: Gemm(m, n, k, act, act)
