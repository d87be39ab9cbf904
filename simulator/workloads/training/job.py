"""A training job as plain data: model, batch, layout over devices, formats, and what is recomputed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from simulator.errors import InputError, refuse_beside
from simulator.workloads.dtypes import DTYPES, DType
from simulator.workloads.training.communication import PLAIN, Communication
from simulator.workloads.training.context import ContextPlan
from simulator.workloads.training.kept import NOTHING, Kept
from simulator.workloads.training.optimizers import ADAM, Optimizer
from simulator.workloads.training.routing import EVEN, Routing
from simulator.workloads.training.zeroth_order import ZerothOrder
from simulator.workloads.transformer import Experts, Transformer

Recompute = Literal["none", "selective", "full"]


@dataclass(frozen=True, slots=True)
class Formats:
    """Number formats of mixed-precision training.

    `compute` is that of matrix products, `activations` of what is kept and passed on, `gradients` of what is
    accumulated and reduced, `weights` of the weights as they are stored, that of products if None. The optimiser keeps
    its own copies. `kept` are other formats for some of the activations kept.
    """

    compute: DType = DTYPES["bf16"]
    activations: DType = DTYPES["bf16"]
    gradients: DType = DTYPES["fp32"]
    weights: DType | None = None
    kept: Kept = NOTHING

    @property
    def stored(self) -> DType:
        return self.weights or self.compute


@dataclass(frozen=True, slots=True)
class Layout:
    """Degrees of parallelism of a job.

    `tensor` devices split each layer (with `sequence_parallel` also what lies between the products), `pipeline` stages
    hold `chunks` pieces of the layers each, `data` replicas share the batch, and `context` ranks of each share its
    sequences. `expert` consecutive ones of these ranks share out the experts of a layer. `zero` shards optimiser states
    (1), also gradients (2), also weights (3) over all that hold the same weights. Ranks are dealt to devices in the
    order tensor, context, data, pipeline. `placed` are the pieces of each stage where a schedule places them itself.
    With `count_ends` embedding and head each count as a layer when the layers are dealt to chunks (Megatron-LM's
    account-for-embedding and account-for-loss in the pipeline split). `layers` are those of each piece where they are
    not dealt evenly, `widths` the tensor-parallel devices of each stage where stages are listed one by one; `tensor` is
    then the most of them.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    chunks: int = 1
    sequence_parallel: bool = False
    zero: int = 0
    context: int = 1
    expert: int = 1
    placed: tuple[tuple[int, ...], ...] = ()
    count_ends: bool = False
    layers: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()

    @property
    def devices(self) -> int:
        return (sum(self.widths) or self.tensor * self.pipeline) * self.copies

    @property
    def copies(self) -> int:
        """Devices that hold the same weights: replicas times the ranks that share their sequences."""
        return self.data * self.context

    @property
    def holders(self) -> int:
        """Devices that reduce the gradients of a weight together: its copies, in both directions of the pipeline."""
        return self.copies * self.directions

    @property
    def model_chunks(self) -> int:
        """Pieces that the layers are cut into."""
        return 1 + max(map(max, self.placed)) if self.placed else self.pipeline * self.chunks

    @property
    def directions(self) -> int:
        """Stages of a replica that hold the same piece: 2 where micro-batches go both ways, else 1."""
        return self.pipeline * self.chunks // self.model_chunks

    def pieces(self, stage: int) -> tuple[int, ...]:
        """Pieces of the layers that a stage holds, chunk by chunk."""
        return self.placed[stage] if self.placed else tuple(range(stage, self.model_chunks, self.pipeline))


def one_layer_each(layout: Layout, layers: int) -> Layout:
    """The layout with a stage for every layer of a model of so many, to look at layers one by one."""
    return replace(layout, pipeline=layers, chunks=1, placed=(), count_ends=False, layers=(), widths=())


@dataclass(frozen=True, slots=True)
class Eager:
    """What PyTorch's eager mode launches between matrix products, where nothing is fused.

    `scores` counts the passes over attention's scores besides the softmax (scaling, mask), `activation` lists the
    kernels of the activation as (reads, writes) of each element.
    """

    scores: int = 2
    activation: tuple[tuple[int, int], ...] = ((1, 1),)


class TrainedModel(Protocol):
    """A model as layers in order, which a pipeline deals out to its stages."""

    @property
    def name(self) -> str: ...

    @property
    def layers(self) -> tuple[Any, ...]: ...

    def parameters(self) -> float: ...


if TYPE_CHECKING:  # defaults of type variables come to `typing` with Python 3.13
    from typing_extensions import TypeVar as DefaultTypeVar

    Model_co = DefaultTypeVar("Model_co", bound=TrainedModel, default=Transformer, covariant=True)
else:
    Model_co = TypeVar("Model_co", bound=TrainedModel, covariant=True)


@dataclass(frozen=True, slots=True)
class Job(Generic[Model_co]):
    """A training job; a step trains on `global_batch` sequences of `sequence` tokens, `micro_batch` at a time.

    `fused_attention` keeps no scores in memory (FlashAttention, arXiv:2205.14135). `dropout` says that the model is
    trained with it, `overlap_sends` that stages compute while they receive. With `eager`, kernels are those of
    PyTorch's eager mode. Without a `head` the model ends with its last layer. `context` plans attention over the
    ranks that share a sequence. With `keep_attention` full recomputation leaves out attention, whose outputs are kept
    (LoongTrain's selective checkpointing, arXiv:2406.18485, section 5.2). `routing` says how tokens get to experts.
    `communication` says how replicas exchange weights and gradients. `backward_chunk` has the backward passes, and the
    head, run in pieces of so many tokens. A model may also be a graph of layers, whose samples then stand for sequences
    of one token. `zeroth_order` training has forward passes only.
    """

    model: Model_co
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
    context: ContextPlan | None = None
    keep_attention: bool = False
    routing: Routing = EVEN
    communication: Communication = PLAIN
    backward_chunk: int | None = None
    zeroth_order: ZerothOrder | None = None

    @property
    def micro_batches(self) -> int:
        """Micro-batches that each replica runs in a step, each as often as it goes forward."""
        found = self.global_batch // (self.micro_batch * self.layout.data)
        return found if self.zeroth_order is None else found * self.zeroth_order.forwards

    def chunk_layers(self, chunk: int) -> tuple[Any, ...]:
        """Layers of one chunk in the order of the model: as even as it goes, the first chunks taking the remainder."""
        if self.layout.layers:
            before = sum(self.layout.layers[:chunk])
            return self.model.layers[before : before + self.layout.layers[chunk]]
        ends = 1 if self.layout.count_ends else 0
        base, more = divmod(len(self.model.layers) + 2 * ends, self.layout.model_chunks)
        start = chunk * base + min(chunk, more) - ends
        return self.model.layers[max(0, start) : start + base + (1 if chunk < more else 0)]

    def check(self) -> None:
        """Raise `InputError` naming the first number that does not divide what it splits."""
        layout, model = self.layout, self.model
        if self.formats.kept != NOTHING:
            refuse_beside("formats.kept", {"backward_chunk": self.backward_chunk is not None})
        if self.zeroth_order is not None:
            refuse_beside("zeroth_order", {
                f"recompute {self.recompute}": self.recompute != "none", "layout.expert above 1": layout.expert > 1,
                f"layout.zero {layout.zero}": layout.zero > 0, "backward_chunk": self.backward_chunk is not None,
                "communication of gradients": replace(
                    self.communication, tensor=PLAIN.tensor, units=PLAIN.units
                ) != PLAIN,
            })  # fmt: skip
        self.communication.check(layout.zero, layout.holders, experts=layout.expert > 1)
        if self.global_batch % (self.micro_batch * layout.data):
            raise InputError(
                f"global_batch {self.global_batch} is not a multiple of micro_batch x data_parallel = "
                f"{self.micro_batch * layout.data}: change one of them"
            )
        if layout.model_chunks > len(model.layers) + 2 * layout.count_ends:
            raise InputError(
                f"pipeline x chunks = {layout.model_chunks} exceeds the {len(model.layers)} layers of {model.name}"
            )
        if self.sequence % layout.context:
            raise InputError(f"context {layout.context} does not divide sequences of {self.sequence} tokens")
        if isinstance(model, Transformer):
            self._check_heads(model)
            self._check_experts(model)
        else:
            self._check_graph()

    def _check_graph(self) -> None:
        """Samples of a graph are independent: they have no tokens, heads or experts to split."""
        layout = self.layout
        refuse_beside(f"{self.model.name}, which is no transformer,", {
            "layout.tensor above 1": layout.tensor > 1, "layout.context above 1": layout.context > 1,
            "layout.expert above 1": layout.expert > 1, "routing": replace(self.routing, inside=1) != EVEN,
            "recompute selective": self.recompute == "selective", "sequences of several tokens": self.sequence > 1,
            "keep_attention": self.keep_attention, "backward_chunk": self.backward_chunk is not None,
            "layout.count_ends": layout.count_ends,
        })  # fmt: skip

    def _check_heads(self, model: Transformer) -> None:
        layout = self.layout
        for layer in set(model.layers):
            if layer.attention.q_heads % layout.tensor:
                raise InputError(
                    f"tensor_parallel {layout.tensor} does not divide the {layer.attention.q_heads} heads "
                    f"of {model.name}"
                )
        if self.backward_chunk is not None and (self.recompute != "full" or self.keep_attention):
            raise InputError(
                "backward_chunk cuts layers that are formed again: set recompute to full, without keep_attention"
            )

    def _check_experts(self, model: Transformer) -> None:
        layout, found = self.layout, {x.ffn.experts for x in model.layers if isinstance(x.ffn, Experts)}
        if not found and replace(self.routing, inside=1) != EVEN:
            raise InputError(f"routing: {self.model.name} has no experts, leave it out")
        if layout.expert == 1:
            return
        if not found:
            raise InputError(f"expert {layout.expert}: {self.model.name} has no experts to share out, leave it out")
        if layout.copies % layout.expert or min(found) % layout.expert:
            raise InputError(
                f"expert {layout.expert} must divide data x context = {layout.copies} and the {min(found)} experts"
            )
        if layout.tensor > 1 and not layout.sequence_parallel:
            raise InputError("expert beside tensor needs every device to have its own tokens: set sequence_parallel")
