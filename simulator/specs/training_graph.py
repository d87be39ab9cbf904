"""Models of a training scenario that are no transformers: layers of operators, and networks on a graph."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Count, NotNegative, Part, Positive


class ProductSpec(Part):
    """y[m, n] = x[m, k] w[k, n], or `batch` products of activations without weights."""

    m: Count = 1
    """Rows of the result for a sample."""
    n: Count
    """Columns of the result."""
    k: Count
    """Products that each number of the result sums."""
    batch: Count = 1


class ConvolutionSpec(Part):
    """A two-dimensional convolution of an image, edges padded; as many `groups` as channels: depth-wise."""

    channels: Count
    """Channels that come in."""
    filters: Count
    """Channels that go out."""
    height: Count
    """Rows of the image that comes in."""
    width: Count
    """Columns of the image that comes in."""
    kernel: Count
    """Rows and columns of a filter."""
    stride: Count = 1
    """Pixels from one place of the filters to the next."""
    groups: Count = 1


class ElementwiseSpec(Part):
    """`reads` + `writes` numbers moved for each of `elements` elements."""

    elements: Count
    reads: Positive = 1.0
    writes: Positive = 1.0
    flops_per_element: NotNegative = 1.0
    """Operations for each element."""


class GatherSpec(Part):
    """`rows` rows of `columns` numbers picked out of a table."""

    rows: Count
    columns: Count


class AggregationSpec(Part):
    """Sums over `edges` edges of `columns` numbers for each of `vertices` vertices."""

    edges: Count
    vertices: Count
    columns: Count


class NodeSpec(Part):
    """One operator on one sample, of exactly one kind.

    `parameters` where it has others than its matrix or filters, `kept` numbers for its backward pass where they are not
    what it reads.
    """

    name: str
    product: ProductSpec | None = None
    convolution: ConvolutionSpec | None = None
    elementwise: ElementwiseSpec | None = None
    gather: GatherSpec | None = None
    aggregation: AggregationSpec | None = None
    parameters: NotNegative | None = None
    kept: NotNegative | None = None

    @property
    def operators(self) -> list[Part]:
        every = (self.product, self.convolution, self.elementwise, self.gather, self.aggregation)
        return [op for op in every if op is not None]

    @model_validator(mode="after")
    def _one_kind(self) -> NodeSpec:
        if len(self.operators) != 1:
            raise ValueError("give exactly one of product, convolution, elementwise, gather and aggregation")
        return self


class GraphLayerSpec(Part):
    """`count` layers of the same operators, one after the other."""

    operators: Annotated[list[NodeSpec], Field(min_length=1)]
    count: Count = 1


class LayerGraphSpec(Part):
    """A model as a list of layers in order, whose operators are those of one sample."""

    graph: Annotated[list[GraphLayerSpec], Field(min_length=1)]
    name: str = "graph"


class GraphNetworkSpec(Part):
    """A GCN or GraphSAGE trained on a whole graph, of which each of the batch's `global_size` samples is an even part.

    `boundary` is the share of all vertices that a partition (one of layout.data) reads from others; none given: that of
    a random partition.
    """

    gnn: Literal["gcn", "sage"]
    """GCN, or GraphSAGE."""
    vertices: Count
    """Vertices of the graph."""
    edges: Annotated[int, Field(ge=1, le=1_000_000_000_000)]
    """Edges of the graph."""
    features: Count
    """Numbers that a vertex comes with."""
    hidden: Count
    """Width of the layers between the first and the last."""
    classes: Count
    """Numbers that the last layer gives each vertex."""
    layers: Count
    """Layers of the network."""
    boundary: Annotated[float, Field(ge=0, le=1)] | None = None
    name: str = "gnn"
