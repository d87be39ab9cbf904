"""What a stage does, as fields: one class a kind of service."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Tag, model_validator

from simulator.specs.inference import FamilySpec, OnnxSpec, RewriteSpec
from simulator.specs.part import Count, NotNegative, Part, Positive
from simulator.specs.pipeline.laws import FORM, Amount, Number, PolicySpec, Quantity, Text, never_negative

Probability = Annotated[float, Field(gt=0, le=1)]


class TimeSpec(Part):
    """`ms` milliseconds a batch by a law, on a device or (none given) on the stage's own servers."""

    kind: Literal["time"]
    ms: Quantity
    device: str | None = None

    @model_validator(mode="after")
    def _positive(self) -> TimeSpec:
        never_negative(self.ms, "ms")
        return self


class StreamSpec(Part):
    """An item's bytes (a number, or the name of an attribute) at so many GB/s, as in decoding and resizing."""

    kind: Literal["stream"]
    bytes: Amount
    """Bytes of an item, or the name of an attribute that says how many."""
    gb_per_s: Positive
    """Rate of work on the bytes."""
    overhead_ms: NotNegative = 0.0
    """Time of each batch besides the bytes."""
    device: str | None = None


class NetSpec(Part):
    """A model as an operator graph; with `cut` (the name of a node) only the `side` before or after it."""

    model: str | OnnxSpec | FamilySpec
    options: dict[str, Any] = Field(default_factory=dict)
    format: str = "fp32"
    """Number format that the graph computes in."""
    rewrites: list[RewriteSpec] = Field(default_factory=list)
    cut: str | None = None
    side: Literal["head", "tail"] | None = None


class ModelSpec(NetSpec):
    """An operator graph on a device under a runtime; a batch takes what its size takes.

    An item runs it `steps` times, one after the other (time steps of a recurrent network); a batch as often as its
    longest item.
    """

    kind: Literal["model"]
    device: str
    runtime: str = "compiled"
    """The runtime whose kernels and overheads run the graph, by name or as the path of a file."""
    steps: Amount = 1.0

    @model_validator(mode="after")
    def _sides(self) -> ModelSpec:
        if (self.cut is None) != (self.side is None):
            raise ValueError("cut and side go together: give both or none")
        return self


class CrossingSpec(NetSpec):
    """Bytes that cross a cut of a model: `bits` a number where given (quantised), and `keep` of them (compressed)."""

    cut: str
    """The node after which the model is cut."""
    bits: Annotated[float, Field(gt=0, le=64)] | None = None
    keep: Probability = 1.0


class TransferSpec(Part):
    """An item's bytes over a link: a number, the name of an attribute, or what crosses a cut of a model."""

    kind: Literal["transfer"]
    link: str
    """The link by the name that it has under `links`."""
    bytes: Annotated[Number | Text | Annotated[CrossingSpec, Tag("fields")], FORM]


class SearchSpec(Part):
    """Search for the nearest of `vectors` vectors of `dims` numbers.

    flat; ivf (`lists`, `probes`, `code_bytes`; `allowed` is the share of vectors that a filter lets through); graph
    (`hops`, `degree`: HNSW in memory); posting-lists (SPANN: centroids in memory found over `hops` and `degree`, then
    `probes` lists of `list_vectors` from `store`); graph-on-drive (DiskANN: `hops` rounds of `beam` reads from it).
    `memory` is a store for reads of memory.
    """

    kind: Literal["search"]
    index: Literal["flat", "ivf", "graph", "posting-lists", "graph-on-drive"]
    """The kind of index."""
    device: str
    vectors: Count = 1_000_000
    dims: Annotated[int, Field(ge=1, le=1_000_000)]
    number_bytes: Positive = 4.0
    """Bytes of each number of a vector."""
    lists: Count = 1024
    probes: Count = 16
    list_vectors: Positive = 100.0
    code_bytes: Annotated[int, Field(ge=0, le=100_000)] = 0
    hops: Count = 100
    degree: Count = 32
    beam: Count = 4
    allowed: Probability = 1.0
    store: str | None = None
    memory: str | None = None

    @model_validator(mode="after")
    def _stores(self) -> SearchSpec:
        if (self.store is not None) != (self.index in ("posting-lists", "graph-on-drive")):
            raise ValueError("posting-lists and graph-on-drive read from a store, the others from none")
        if self.memory is not None and self.index not in ("graph", "posting-lists"):
            raise ValueError(f"memory is for index graph and posting-lists, not {self.index}: leave it out")
        if self.allowed < 1.0 and self.index != "ivf":
            raise ValueError(f"allowed is for index ivf, not {self.index}: leave it out")
        if self.probes > self.lists:
            raise ValueError(f"probes {self.probes} is more than lists {self.lists}")
        return self


class LateInteractionSpec(Part):
    """Search among `passages` by all of their tokens (ColBERTv2).

    Vanilla search decompresses the best `candidates` passages; with `engine` plaid they are the documents that get
    past the centroids, of which the `kept` share counts at first. A `store` is where residuals are read from.
    """

    kind: Literal["late-interaction"]
    engine: Literal["vanilla", "plaid"]
    device: str
    passages: Count
    tokens: Positive = 68.0
    """Tokens of a passage, on average."""
    longest: Positive = 180.0
    """Tokens of the longest passage."""
    query_tokens: Count = 32
    """Tokens of a query."""
    dims: Annotated[int, Field(ge=1, le=100_000)] = 128
    """Numbers of a token's vector."""
    centroids: Count = 262_144
    """Centroids of the index."""
    residual_bytes: Positive = 32.0
    """Bytes of a token's residual."""
    format: str = "fp32"
    """Number format of the vectors."""
    probes: Count = 4
    """Centroids that each query token looks into."""
    candidates: Count
    kept: Probability = 1.0
    store: str | None = None

    @model_validator(mode="after")
    def _sizes(self) -> LateInteractionSpec:
        if self.longest < self.tokens:
            raise ValueError(f"longest {self.longest:g} is below tokens {self.tokens:g}, the mean")
        if self.engine == "vanilla" and "kept" in self.model_fields_set:
            raise ValueError("kept is for engine plaid: leave it out")
        return self


class EntanglementSpec(Part):
    """Entangled pairs over a chain of `links`, with repeaters between them (see engine/pipeline/services)."""

    kind: Literal["entanglement"]
    attempt_us: Positive
    """Time of one attempt on a link, heralding included."""
    success: Annotated[float, Field(ge=1e-7, le=1)]
    """Probability that an attempt succeeds."""
    links: Annotated[int, Field(ge=1, le=64)] = 1
    memories: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Memories at either end of a link, which try side by side."""
    swap: Annotated[float, Field(ge=0.01, le=1)] = 1.0
    """Probability that a repeater's swap succeeds."""
    signal_us: NotNegative = 0.0
    """Time that word of a swap takes."""
    keeps_ms: Positive | None = None
    """How long a memory keeps a pair; without end if not given."""
    device: str | None = None


class GenerationSpec(Part):
    """A language model on a device that answers one prompt after the other: prompt and output in tokens."""

    kind: Literal["generation"]
    model: str
    """The model by name, or the path of a Hugging Face `config.json`."""
    device: str
    prompt_tokens: Amount
    """Tokens of the prompt, or the name of an attribute that says how many."""
    output_tokens: Amount
    """Tokens of the answer, or the name of an attribute that says how many."""


PlainService = Annotated[
    TimeSpec
    | StreamSpec
    | ModelSpec
    | TransferSpec
    | SearchSpec
    | LateInteractionSpec
    | EntanglementSpec
    | GenerationSpec,
    Field(discriminator="kind"),
]


class ConfigurationSpec(Part):
    """One way to run a stage, and its accuracy in any unit in which more is better."""

    service: PlainService
    accuracy: float
    """Accuracy of this configuration."""


class AdaptiveSpec(Part):
    """One of several configurations, chosen for each batch by a policy.

    With `swap_from` they are models of which memory holds one: the weights of another are read from that store first.
    Without, they are ways to run one network.
    """

    kind: Literal["adaptive"]
    swap_from: str | None = None
    configurations: Annotated[dict[str, ConfigurationSpec], Field(min_length=1)]
    choose: PolicySpec = PolicySpec(policy="meet-deadline")


class FunctionSpec(Part):
    """A serverless function: `call`, in instances that start cold in the sum of `cold_ms` phases.

    An instance stops after `keep_alive_s` without a call.
    """

    kind: Literal["function"]
    call: PlainService
    cold_ms: dict[str, Quantity]
    keep_alive_s: NotNegative = 60.0

    @model_validator(mode="after")
    def _positive(self) -> FunctionSpec:
        for name, phase in self.cold_ms.items():
            never_negative(phase, f"cold_ms.{name}")
        return self


AnyService = Annotated[
    TimeSpec
    | StreamSpec
    | ModelSpec
    | TransferSpec
    | SearchSpec
    | LateInteractionSpec
    | EntanglementSpec
    | GenerationSpec
    | AdaptiveSpec
    | FunctionSpec,
    Field(discriminator="kind"),
]
