"""A training job as plain data: model, batch, layout over devices, formats, and what is recomputed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from simulator.errors import InputError
from simulator.workloads.dtypes import DTYPES, DType
from simulator.workloads.training.optimizers import ADAM, Optimizer
from simulator.workloads.transformer import Experts, Layer, Transformer

Recompute = Literal["none", "selective", "full"]


@dataclass(frozen=True, slots=True)
class Formats:
    """Number formats of mixed-precision training.

    `compute` is that of matrix products, `activations` of what is kept and passed on, `gradients` of what is
    accumulated and reduced. The optimiser keeps its own copies.
    """

    compute: DType = DTYPES["bf16"]
    activations: DType = DTYPES["bf16"]
    gradients: DType = DTYPES["fp32"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Degrees of parallelism of a job.

    `tensor` devices split each layer (with `sequence_parallel` also what lies between the products), `pipeline` stages
    hold `chunks` pieces of the layers each, `data` replicas share the batch. `zero` shards optimiser states (1), also
    gradients (2), also weights (3) over the replicas. Ranks are dealt to devices in the order tensor, data, pipeline.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    chunks: int = 1
    sequence_parallel: bool = False
    zero: int = 0

    @property
    def devices(self) -> int:
        return self.tensor * self.pipeline * self.data

    @property
    def model_chunks(self) -> int:
        """Pieces that the layers are cut into."""
        return self.pipeline * self.chunks


@dataclass(frozen=True, slots=True)
class Eager:
    """What PyTorch's eager mode launches between matrix products, where nothing is fused.

    `scores` counts the passes over attention's scores besides the softmax (scaling, mask), `activation` lists the
    kernels of the activation as (reads, writes) of each element.
    """

    scores: int = 2
    activation: tuple[tuple[int, int], ...] = ((1, 1),)


@dataclass(frozen=True, slots=True)
class Job:
    """A training job; a step trains on `global_batch` sequences of `sequence` tokens, `micro_batch` at a time.

    `fused_attention` keeps no scores in memory (FlashAttention, arXiv:2205.14135). `dropout` says that the model is
    trained with it, `overlap_sends` that stages compute while they receive. With `eager`, kernels are those of
    PyTorch's eager mode. Without a `head` the model ends with its last layer.
    """

    model: Transformer
    sequence: int
    micro_batch: int
    global_batch: int
    layout: Layout = field(default_factory=Layout)
    formats: Formats = field(default_factory=Formats)
    optimizer: Optimizer = ADAM
    recompute: Recompute = "none"
    fused_attention: bool = True
    dropout: bool = False
    overlap_sends: bool = False
    eager: Eager | None = None
    head: bool = True

    @property
    def micro_batches(self) -> int:
        """Micro-batches that each replica runs in a step."""
        return self.global_batch // (self.micro_batch * self.layout.data)

    def chunk_layers(self, chunk: int) -> tuple[Layer, ...]:
        """Layers of one chunk in the order of the model: as even as it goes, the first chunks taking the remainder."""
        base, more = divmod(len(self.model.layers), self.layout.model_chunks)
        start = chunk * base + min(chunk, more)
        return self.model.layers[start : start + base + (1 if chunk < more else 0)]

    def check(self) -> None:
        """Raise `InputError` naming the first number that does not divide what it splits."""
        layout, model = self.layout, self.model
        if self.global_batch % (self.micro_batch * layout.data):
            raise InputError(
                f"global_batch {self.global_batch} is not a multiple of micro_batch x data_parallel = "
                f"{self.micro_batch * layout.data}: change one of them"
            )
        if layout.model_chunks > len(model.layers):
            raise InputError(
                f"pipeline x chunks = {layout.model_chunks} exceeds the {len(model.layers)} layers of {model.name}"
            )
        if layout.chunks > 1 and self.micro_batches % layout.pipeline:
            raise InputError(
                f"interleaving needs micro-batches in multiples of the {layout.pipeline} stages, and there are "
                f"{self.micro_batches}: change global_batch, or set chunks to 1"
            )
        for layer in set(model.layers):
            if layer.attention.q_heads % layout.tensor:
                raise InputError(
                    f"tensor_parallel {layout.tensor} does not divide the {layer.attention.q_heads} heads "
                    f"of {model.name}"
                )
            if isinstance(layer.ffn, Experts):
                raise InputError(f"training {model.name} is not modelled: it has experts")
