"""How one model instance is spread over devices, and in which number formats it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import InputError
from simulator.workloads.dtypes import DTYPES, DType
from simulator.workloads.expert_serving import ALL_ON_DEVICE, ExpertServing
from simulator.workloads.transformer import Experts, Layer, Transformer


@dataclass(frozen=True, slots=True)
class Parallelism:
    """Degrees of one model instance (a replica).

    `tensor` x `data` devices hold a pipeline stage: `data` attention groups of `tensor` devices each share
    the experts. `expert` spreads whole experts over that many devices of a stage; the rest of the stage
    splits each expert's matrices. `experts` says which of them the devices hold, and how evenly they are chosen.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1
    experts: ExpertServing = ALL_ON_DEVICE

    @property
    def stage_devices(self) -> int:
        return self.tensor * self.data

    @property
    def devices(self) -> int:
        return self.stage_devices * self.pipeline

    @property
    def expert_tensor(self) -> int:
        """Devices that share the matrices of one expert."""
        return self.stage_devices // self.expert

    def check(self, model: Transformer) -> None:
        """Raise `InputError` naming the degree that does not divide what it splits."""
        for field in ("tensor", "pipeline", "data", "expert"):
            if getattr(self, field) < 1:
                raise InputError(f"{field}_parallel must be at least 1, not {getattr(self, field)}")
        for layer in {id(layer): layer for layer in model.layers}.values():
            self._check_layer(model, layer)
        if self.experts != ALL_ON_DEVICE and not any(isinstance(layer.ffn, Experts) for layer in model.layers):
            raise InputError(f"experts: {model.name} has none: leave the field out")
        if self.pipeline > len(model.layers):
            raise InputError(
                f"pipeline_parallel {self.pipeline} exceeds the {len(model.layers)} layers of {model.name}: lower it"
            )
        if self.stage_devices % self.expert:
            raise InputError(
                f"expert_parallel {self.expert} must divide tensor_parallel x data_parallel = {self.stage_devices}"
            )

    def _check_layer(self, model: Transformer, layer: Layer) -> None:
        heads = layer.attention.q_heads
        if heads % self.tensor:
            good = [str(t) for t in range(1, min(heads, 64) + 1) if heads % t == 0]
            raise InputError(
                f"tensor_parallel {self.tensor} does not divide the {heads} attention heads of {model.name}: "
                f"use one of {', '.join(good)}"
            )
        if isinstance(layer.ffn, Experts):
            if (self.experts.redundant or 0) % self.expert:
                raise InputError(
                    f"experts.redundant {self.experts.redundant} is not a multiple of expert_parallel {self.expert}, "
                    "so that ranks would differ in size: change either"
                )
            if layer.ffn.experts % self.expert:
                raise InputError(
                    f"expert_parallel {self.expert} does not divide the {layer.ffn.experts} experts of {model.name}"
                )
        elif self.expert > 1 and not any(isinstance(other.ffn, Experts) for other in model.layers):
            raise InputError(f"expert_parallel {self.expert} needs experts, and {model.name} has none: leave it at 1")


@dataclass(frozen=True, slots=True)
class Precision:
    """Formats of the linear layers' weights, of activations and of the KV cache.

    `experts` is the format of expert weights where it differs. Embeddings, norms and the output head stay
    in the activation format, as the quantised checkpoints that people serve keep them.
    """

    weights: DType = DTYPES["bf16"]
    activations: DType = DTYPES["bf16"]
    kv_cache: DType = DTYPES["bf16"]
    experts: DType | None = None

    @property
    def expert_weights(self) -> DType:
        return self.experts or self.weights


def stage_layers(model: Transformer, parallel: Parallelism, stage: int) -> tuple[Layer, ...]:
    """Layers of one pipeline stage: as even as it goes, the first stages taking the remainder."""
    base, more = divmod(len(model.layers), parallel.pipeline)
    start = stage * base + min(stage, more)
    return model.layers[start : start + base + (1 if stage < more else 0)]


def kv_heads_per_device(kv_heads: int, tensor: int) -> float:
    """KV heads that one device keeps: sharded while there are enough, copied beyond."""
    return max(1.0, kv_heads / tensor)


def kv_bytes_per_token(model: Transformer, parallel: Parallelism, precision: Precision, stage: int = 0) -> float:
    """Bytes that one cached token takes on one device of a stage (of a data-parallel group that holds it)."""
    total = 0.0
    for layer in stage_layers(model, parallel, stage):
        attention = layer.attention
        shard = 1.0
        if attention.latent is None:
            shard = kv_heads_per_device(attention.kv_heads, parallel.tensor) / attention.kv_heads
        total += attention.kv_elements() * shard * precision.kv_cache.bytes
    return total


def _kept(parallel: Parallelism, ffn: Experts) -> float:
    """Experts that take device memory, by expert of the layer: all, more with copies, fewer with offload."""
    return parallel.experts.resident_share * parallel.experts.copies(ffn.experts)


def weight_bytes(model: Transformer, parallel: Parallelism, precision: Precision, stage: int = 0) -> float:
    """Bytes of weights on one device of a stage."""
    hidden = model.hidden
    act = precision.activations.bytes
    total = 0.0
    for layer in stage_layers(model, parallel, stage):
        total += layer.attention.parameters(hidden) / parallel.tensor * precision.weights.bytes
        total += layer.norms * hidden * act
        ffn = layer.ffn
        if isinstance(ffn, Experts):
            split = parallel.expert * parallel.expert_tensor
            experts = ffn.experts * ffn.expert.parameters(hidden)
            rest = ffn.parameters(hidden) - experts
            total += experts / split * precision.expert_weights.bytes * _kept(parallel, ffn)
            total += rest / parallel.tensor * precision.weights.bytes
        else:
            total += ffn.parameters(hidden) / parallel.tensor * precision.weights.bytes
    first, last = stage == 0, stage == parallel.pipeline - 1
    if first:
        total += model.embedding_parameters() / parallel.tensor * act
    if last:
        tied_copy = model.vocab * hidden if model.tied_embedding and not first else 0
        total += (model.head_parameters() + tied_copy) / parallel.tensor * act
    return total
