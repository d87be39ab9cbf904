"""A training experiment: the model, the batch, the layout over devices, and how they are trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from simulator.hardware.host import DRIVE
from simulator.hardware.storage import NVME
from simulator.specs.inference import FamilySpec, OnnxSpec
from simulator.specs.network import NetworkSpec
from simulator.specs.parameter_server import ParameterServerSpec
from simulator.specs.part import Count, Part, Positive
from simulator.specs.training_graph import GraphNetworkSpec, LayerGraphSpec
from simulator.specs.training_run import RunSpec, StragglersSpec
from simulator.specs.training_sites import SitesSpec
from simulator.specs.training_stages import StagesSpec
from simulator.specs.zeroth_order import ZerothOrderSpec
from simulator.workloads.dtypes import dtype


class GptExpertsSpec(Part):
    """Experts in place of the feed-forward part of every layer: how many, and how many of them a token visits."""

    count: Count
    """Experts of each layer."""
    top_k: Count = 2
    """Experts that each token visits."""


class GptSpec(Part):
    """A GPT by its sizes, in place of a model's name; with `experts` if it has any."""

    layers: Count
    """Transformer layers."""
    hidden: Count
    """Width of the model."""
    heads: Count
    """Attention heads."""
    vocab: Count = 51200
    """Entries of the vocabulary."""
    ffn: Count | None = None
    """Width of the feed-forward part; four times the model's if not given."""
    head_dim: Count | None = None
    """Width of a head; the model's over the heads if not given."""
    experts: GptExpertsSpec | None = None
    name: str = "gpt"


class BatchSpec(Part):
    """Sequences a step (`global_size`), of `sequence` tokens, `micro` of them at a time on a replica.

    With `lengths`, a law of token counts as in a load's generator, they are drawn by `seed`, cut to `sequence` tokens
    at most, and packed.
    """

    sequence: Count
    micro: Count = 1
    global_size: Count
    lengths: dict[str, Any] | None = None
    seed: Annotated[int, Field(ge=0)] = 0


class LayoutSpec(Part):
    """Degrees of parallelism; devices are tensor x context x pipeline x data. `chunks` are pieces of the model a stage.

    `sequence_parallel` also splits over the tensor-parallel devices what lies between the matrix products. `zero`
    shards over the replicas optimiser states (1), gradients (2), weights (3). `context` ranks share each sequence, and
    `expert` of the data x context ranks the experts of a layer. `count_ends` counts embedding and head as a layer
    each when layers are dealt to stages. What says how the devices of a degree work together changes nothing at degree
    1, so that degrees can be varied alone.
    """

    tensor: Annotated[int, Field(ge=1, le=1024)] = 1
    """Devices that share each matrix."""
    pipeline: Annotated[int, Field(ge=1, le=1024)] = 1
    """Stages that the layers are dealt to."""
    data: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Replicas that share the batch."""
    chunks: Annotated[int, Field(ge=1, le=64)] = 1
    sequence_parallel: bool = False
    zero: Annotated[int, Field(ge=0, le=3)] = 0
    context: Annotated[int, Field(ge=1, le=65_536)] = 1
    expert: Annotated[int, Field(ge=1, le=65_536)] = 1
    count_ends: bool = False


class KeptSpec(Part):
    """Formats of activations kept for the backward pass, by what keeps them; none given: that of all activations."""

    products: str | None = None
    """Format of the inputs of matrix products with weights."""
    norms: str | None = None
    """Format of the inputs of norms."""
    activations: str | None = None
    """Format of the inputs of activation functions."""
    attention: str | None = None
    """Format of queries, keys, values and the output of attention before its projection."""


class AdamSpec(Part):
    """Adam with its states in formats of one's own; no `master`: weights are updated as they are stored."""

    master: str | None = "fp32"
    first: str = "fp32"
    """Format of the first moments."""
    second: str = "fp32"
    """Format of the second moments."""


class TrainingFormatsSpec(Part):
    """Number formats: of matrix products, of activations kept and passed on, of gradients accumulated and reduced.

    `weights` is that of the weights as they are stored, none given as in products; `kept` of some activations kept.
    """

    compute: str = "bf16"
    """Format of matrix products."""
    activations: str = "bf16"
    """Format of activations kept and passed on."""
    gradients: str = "fp32"
    """Format of gradients accumulated and reduced."""
    weights: str | None = None
    kept: KeptSpec = KeptSpec()

    @model_validator(mode="after")
    def _known(self) -> TrainingFormatsSpec:
        for name in ("compute", "activations", "gradients"):
            dtype(getattr(self, name))
        return self


class ScheduleSpec(Part):
    """The pipeline schedule by name or `module:Class`, and its options; none given: 1F1B, interleaved with chunks."""

    policy: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class ContextSpec(Part):
    """How the ranks that share a sequence do attention, by name or `module:Class`, and the policy's options."""

    policy: str = "ring"
    options: dict[str, Any] = Field(default_factory=dict)


class PackingSpec(Part):
    """Which sequences of different lengths run together on which ranks, by name or `module:Class`, and its options."""

    policy: str = "in-order"
    options: dict[str, Any] = Field(default_factory=dict)


class RoutingSpec(Part):
    """How tokens get to experts. They choose with chances that fall as rank^-`skew`.

    With a `capacity` each expert takes so many times the mean, padded and cut off; `dispatch` by copying rows or by a
    product with a mask; exchange and products go in `parts`, or in as many as are quickest ("adaptive").
    """

    skew: Annotated[float, Field(ge=0, le=4)] = 0.0
    capacity: Annotated[float, Field(gt=0, le=64)] | None = None
    dispatch: Literal["permute", "einsum"] = "permute"
    parts: Annotated[int, Field(ge=1, le=64)] | Literal["adaptive"] = 1


class TrainingHostSpec(Part):
    """The host of a node where it is not the node's usual one; None keeps that.

    `cpu` is a device id, `drives` how many NVMe drives the node has (None: one a device) and what one reads, writes
    and holds.
    """

    cpu: str | None = None
    sockets: Count | None = None
    """Processors of the host."""
    memory_gb: Positive | None = None
    """Host memory."""
    drives: Count | None = None
    drive_read_gb_per_s: Positive = NVME[0] / 1e9
    """Rate at which one drive reads."""
    drive_write_gb_per_s: Positive = NVME[1] / 1e9
    """Rate at which one drive writes."""
    drive_tb: Positive = DRIVE / 1e12
    """What one drive holds."""


class OffloadSpec(Part):
    """What leaves the device, by a policy's name or `module:Class`, and its options."""

    policy: str
    options: dict[str, Any] = Field(default_factory=dict)
    host: TrainingHostSpec = TrainingHostSpec()


class ShardsSpec(Part):
    """Over how many replicas each state is split; `secondary` that of the copy of the weights for backward passes."""

    weights: Count = 1
    """Replicas that weights are split over."""
    gradients: Count = 1
    """Replicas that gradients are split over."""
    optimizer: Count = 1
    """Replicas that optimiser states are split over."""
    secondary: Count | None = None


class TransportSpec(Part):
    """Formats on the links, none given as they are; quantised gradients are summed over `hop` neighbours first."""

    weights: str | None = None
    """Format of gathered weights on the links."""
    secondary: str | None = None
    """Format in which the second copy of the weights is kept and gathered."""
    gradients: str | None = None
    """Format of reduced gradients on the links."""
    hop: Count = 1


class BucketSpec(Part):
    """Megabytes (10^6 bytes) that are reduced or gathered together."""

    bucket_mb: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 25.0
    """Size of a bucket."""


class CompressionSpec(Part):
    """Gradient compression by name or `module:Class`, and its options."""

    policy: str = "none"
    options: dict[str, Any] = Field(default_factory=dict)


class TensorOverlapSpec(Part):
    """How products and tensor-parallel collectives overlap, by name or `module:Class`, and the policy's options."""

    policy: str = "serial"
    options: dict[str, Any] = Field(default_factory=dict)


class LocalStepsSpec(Part):
    """Steps that replicas train alone before they average weights; `overlapped` beside the next round of them."""

    steps: Count
    """Steps between two averages."""
    overlapped: bool = False


class CommunicationSpec(Part):
    """How replicas exchange weights and gradients.

    `overlap_gradients` reduces them beside the last backward passes, `overlap_weights` gathers updated ones beside the
    next forward passes. `prefetch` layers of sharded weights are gathered ahead. Collectives hold `units` of a device.
    """

    overlap_gradients: BucketSpec | None = None
    overlap_weights: BucketSpec | None = None
    prefetch: Annotated[int, Field(ge=0, le=64)] = 1
    units: Annotated[float, Field(ge=0, le=1024)] = 16.0
    shards: ShardsSpec | None = None
    transport: TransportSpec = TransportSpec()
    compression: CompressionSpec = CompressionSpec()
    tensor: TensorOverlapSpec = TensorOverlapSpec()
    local: LocalStepsSpec | None = None


def _model_kind(given: object) -> str:
    """Which kind is meant: a name, an operator graph, layers of operators, a network on a graph, or a GPT's sizes."""
    if isinstance(given, str):
        return "name"
    if isinstance(given, LayerGraphSpec) or (isinstance(given, dict) and "graph" in given):
        return "graph"
    for name, spec in (("onnx", OnnxSpec), ("family", FamilySpec)):
        if isinstance(given, spec) or (isinstance(given, dict) and name in given):
            return name
    return "gnn" if isinstance(given, GraphNetworkSpec) or (isinstance(given, dict) and "gnn" in given) else "gpt"


class TrainingScenario(Part):
    """A training run. `stack` says whose kernels run it; `fused_attention` keeps no scores in memory.

    `backward_chunk` runs backward passes and head in pieces of so many tokens. `largest` says which size to raise, or
    lower, to the largest that there is memory for. `stages` of the pipeline may have devices, widths and layers of
    their own.
    """

    kind: Literal["training"]
    name: str = ""
    model: Annotated[
        Annotated[str, Tag("name")]
        | Annotated[GptSpec, Tag("gpt")]
        | Annotated[LayerGraphSpec, Tag("graph")]
        | Annotated[OnnxSpec, Tag("onnx")]
        | Annotated[FamilySpec, Tag("family")]
        | Annotated[GraphNetworkSpec, Tag("gnn")],
        Discriminator(_model_kind),
    ]
    device: str
    node: str | None = None
    batch: BatchSpec
    layout: LayoutSpec = LayoutSpec()
    stages: StagesSpec | None = None
    formats: TrainingFormatsSpec = TrainingFormatsSpec()
    optimizer: str | AdamSpec = "adam"
    recompute: Literal["none", "selective", "full"] = "none"
    """What backward passes compute again: nothing, attention alone, or whole layers."""
    fused_attention: bool = True
    dropout: bool = False
    """Whether the model is trained with dropout, whose masks are kept."""
    overlap_sends: bool = True
    """Whether stages compute while they receive."""
    schedule: ScheduleSpec = ScheduleSpec()
    context: ContextSpec = ContextSpec()
    packing: PackingSpec = PackingSpec()
    keep_attention: bool = False
    """Whether full recomputation leaves out attention, whose outputs are kept."""
    routing: RoutingSpec = RoutingSpec()
    network: NetworkSpec | None = None
    communication: CommunicationSpec = CommunicationSpec()
    backward_chunk: Count | None = None
    stack: str = "megatron"
    offload: OffloadSpec | None = None
    largest: Literal["batch", "sequence", "layers"] | None = None
    stragglers: StragglersSpec | None = None
    run: RunSpec | None = None
    sites: SitesSpec | None = None
    parameter_server: ParameterServerSpec | None = None
    zeroth_order: ZerothOrderSpec | None = None
    price_per_device_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
