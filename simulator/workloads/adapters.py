"""Adapters of one base model: their sizes, and the operators that a batch of their requests adds to the base model's.

An adapter is a LoRA (Hu et al., arXiv:2106.09685) of some rank on some matrices, or a set of fine-tuned experts a
layer that take the place of the base model's (ESFT, arXiv:2407.01906; ExpertWeave, arXiv:2508.17624).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from simulator.errors import InputError
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Call, Collective, Elementwise, Gemm, LowRank
from simulator.workloads.parallelism import Parallelism, Precision, kv_heads_per_device, stage_layers
from simulator.workloads.transformer import Experts, Layer, Transformer

ATTENTION = ("q", "k", "v", "o")
FEED_FORWARD = ("gate", "up", "down")
SPLIT_BY_ROWS = ("o", "down")  # under tensor parallelism; the others are split by columns


@dataclass(frozen=True, slots=True)
class TunedExperts:
    """Experts that an adapter replaces: `per_layer` in each layer, which take `visit_share` of its tokens' visits."""

    per_layer: int
    visit_share: float


@dataclass(frozen=True, slots=True)
class AdapterSet:
    """`count` adapters, numbered from 0. `ranks` go round; with `experts` they are sets of experts and no LoRAs."""

    count: int
    ranks: tuple[int, ...] = (16,)
    targets: tuple[str, ...] = ATTENTION
    experts: TunedExperts | None = None

    def rank(self, adapter: int) -> int:
        """The rank of one adapter."""
        return self.ranks[adapter % len(self.ranks)]

    def check(self, model: Transformer) -> None:
        """Raise `InputError` where the model lacks what the adapters change."""
        routed = [layer.ffn for layer in model.layers if isinstance(layer.ffn, Experts)]
        if self.experts is not None:
            fewest = min((ffn.experts for ffn in routed), default=0)
            if self.experts.per_layer > fewest:
                raise InputError(
                    f"adapters.experts.per_layer is {self.experts.per_layer}, and a layer of {model.name} has "
                    f"{fewest} experts: lower it, or leave experts out"
                )
            return
        if routed and set(self.targets) & set(FEED_FORWARD):
            raise InputError(f"adapters.targets: {model.name} has routed experts there: use q, k, v and o alone")
        if any(layer.attention.latent for layer in model.layers) and set(self.targets) & {"k", "v"}:
            raise InputError(f"adapters.targets: {model.name} has latent attention without k and v: use q and o")
        if "gate" in self.targets and not all(getattr(layer.ffn, "gated", True) for layer in model.layers):
            raise InputError(f"adapters.targets: {model.name} has no gate: leave it out")


@dataclass(frozen=True, slots=True)
class _Matrix:
    """One adapted matrix on one device, its whole input and output, and how tensor parallelism splits it."""

    inputs: float
    outputs: float
    by_rows: bool
    tensor: int

    def sides(self) -> tuple[tuple[float, float, bool], tuple[float, float, bool]]:
        """(width, share of the rank, up) of the down and of the up projection on one device (S-LoRA, section 6).

        By columns: the down projection is split over the rank, whose parts are gathered, the up projection as the
        matrix. By rows: the down projection as the matrix, its partial sums reduced, the up projection by columns.
        """
        if self.by_rows:
            return (self.inputs / self.tensor, 1.0, False), (self.outputs / self.tensor, 1.0, True)
        return (self.inputs, 1.0 / self.tensor, False), (self.outputs / self.tensor, 1.0, True)


def _matrices(adapters: AdapterSet, layer: Layer, hidden: int, tensor: int) -> list[_Matrix]:
    a, ffn = layer.attention, layer.ffn
    kv_heads = kv_heads_per_device(a.kv_heads, tensor) * tensor
    q_in = a.latent.q_rank or hidden if a.latent is not None else hidden
    sizes: dict[str, tuple[float, float]] = {
        "q": (q_in, a.q_heads * a.head_dim),
        "k": (hidden, kv_heads * a.head_dim),
        "v": (hidden, kv_heads * a.v_head_dim),
        "o": (a.q_heads * a.v_head_dim, hidden),
    }
    if not isinstance(ffn, Experts):
        sizes |= {"gate": (hidden, ffn.intermediate), "up": (hidden, ffn.intermediate)}
        sizes["down"] = (ffn.intermediate, hidden)
    return [_Matrix(*sizes[name], name in SPLIT_BY_ROWS, tensor) for name in adapters.targets if name in sizes]


class AdapterGraph:
    """Sizes and operators of adapters on one device of each pipeline stage of a replica."""

    def __init__(self, adapters: AdapterSet, model: Transformer, parallel: Parallelism, precision: Precision) -> None:
        adapters.check(model)
        self.adapters = adapters
        self.precision = precision
        self.tensor = parallel.tensor
        self.stages = range(parallel.pipeline)
        self._matrices: list[Counter[_Matrix]] = [Counter() for _ in self.stages]
        self._sides: list[Counter[tuple[float, float, bool]]] = [Counter() for _ in self.stages]
        self._routed: list[Counter[Experts]] = [Counter() for _ in self.stages]
        for stage in self.stages:
            for layer, count in Counter(stage_layers(model, parallel, stage)).items():
                if isinstance(layer.ffn, Experts):
                    self._routed[stage][layer.ffn] += count
                if adapters.experts is None:
                    self._add_layer(stage, _matrices(adapters, layer, model.hidden, parallel.tensor), count)
        expert = {ffn: ffn.expert.parameters(model.hidden) for routed in self._routed for ffn in routed}
        each = precision.expert_weights.bytes / parallel.stage_devices
        self._expert_bytes = {ffn: parameters * each for ffn, parameters in expert.items()}

    def _add_layer(self, stage: int, matrices: list[_Matrix], count: int) -> None:
        for matrix in matrices:
            self._matrices[stage][matrix] += count
            for side in matrix.sides():
                self._sides[stage][side] += count

    def bytes(self, adapter: int) -> float:
        """Bytes of one adapter on one device of the stage that holds most of it; LoRAs in the activation format."""
        return max(self._stage_bytes(adapter, stage) for stage in self.stages)

    def _stage_bytes(self, adapter: int, stage: int) -> float:
        tuned = self.adapters.experts
        if tuned is not None:
            return tuned.per_layer * sum(n * self._expert_bytes[ffn] for ffn, n in self._routed[stage].items())
        width = sum(count * width * share for (width, share, _), count in self._sides[stage].items())
        return self.adapters.rank(adapter) * width * self.precision.activations.bytes

    def calls(self, tokens: Mapping[int, int], total: int, stage: int = 0) -> list[Call]:
        """What the adapters of a batch add to one stage: `tokens` of each of them, of the batch's `total`."""
        if not tokens:
            return []
        if self.adapters.experts is not None:
            return self._rerouted(self.adapters.experts, tokens, total, stage)
        every, act, rank = sum(tokens.values()), self.precision.activations, self.adapters.rank
        token_ranks, ranks = sum(rank(a) * n for a, n in tokens.items()), sum(map(rank, tokens))
        calls = [
            Call("adapter up" if up else "adapter down", LowRank(every, token_ranks * s, ranks * s, w, up, act), count)
            for (w, s, up), count in self._sides[stage].items()
        ]
        if self.tensor > 1:
            matrices = self._matrices[stage]
            by_rows = sum(count for matrix, count in matrices.items() if matrix.by_rows)
            message = token_ranks * act.bytes
            split = {"all_gather": matrices.total() - by_rows, "all_reduce": by_rows}
            calls += [Call(f"adapter {p}", Collective(p, message, self.tensor), n) for p, n in split.items() if n]
        return calls

    def _rerouted(self, tuned: TunedExperts, tokens: Mapping[int, int], total: int, stage: int) -> list[Call]:
        """Experts that are read besides those of the base model alone, and the kernel that rewrites the routes.

        Experts are taken as equally likely within either group. Tiles that more groups leave unfilled are not counted.
        """
        calls: list[Call] = []
        act, mine = self.precision.activations, sum(tokens.values())
        for ffn, count in self._routed[stage].items():
            chance = min(ffn.top_k * tuned.visit_share / tuned.per_layer, 1.0)
            visited = sum(tuned.per_layer * (1.0 - (1.0 - chance) ** n) for n in tokens.values())
            missed = 1.0 - ffn.top_k / ffn.experts
            missed_left = 1.0 - ffn.top_k * (1.0 - tuned.visit_share) / ffn.experts
            spared = ffn.experts * (missed ** (total - mine) * missed_left**mine - missed**total)
            moved = max(visited - spared, 0.0) * self._expert_bytes[ffn]
            calls.append(Call("tuned experts", Elementwise(moved / act.bytes, 1, 0, 0.0, act, "gather"), count))
            routes = Elementwise(total * ffn.top_k, 1, 1, 1.0, DTYPES["fp32"], "gather")
            calls.append(Call("rerouting", routes, count))
        return calls

    def merge_calls(self, adapter: int, stage: int = 0) -> list[Call]:
        """Adding a LoRA to the weights of one stage, or taking it out again: the product, and the sum in place."""
        act, rank, calls = self.precision.activations, self.adapters.rank(adapter), []
        for matrix, count in self._matrices[stage].items():
            rows = matrix.inputs / (matrix.tensor if matrix.by_rows else 1)
            columns = matrix.outputs / (1 if matrix.by_rows else matrix.tensor)
            calls.append(Call("weight delta", Gemm(rows, columns, rank, act, act), count))
            calls.append(Call("weight sum", Elementwise(rows * columns, 2, 1, 1.0, self.precision.weights), count))
        return calls
