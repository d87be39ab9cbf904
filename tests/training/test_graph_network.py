"""Training on whole graphs: work and traffic by counting, boundaries against drawn graphs, both ways to split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.engine.training.laying_out import step_of
from simulator.engine.training.step import Step
from simulator.policies.pipeline import GPipe
from simulator.report.training.communication import communication_figures
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Aggregation, Collective, Gemm
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.graph_network import GraphNetwork, random_boundary
from simulator.workloads.training.job import Formats, Job, Layout
from simulator.workloads.training.layer_graph import LayerGraph
from simulator.workloads.training.optimizers import ADAM

FP32 = Formats(DTYPES["fp32"], DTYPES["fp32"], DTYPES["fp32"])
NETWORK = GraphNetwork("gcn", vertices=100_000, edges=5_000_000, features=64, hidden=64, classes=64, layers=8)


def job(network: GraphNetwork, *, parts: int, layout: Layout) -> Job[LayerGraph]:
    graph = network.graph("gnn", parts, layout.data)
    return Job(graph, 1, 1, parts, layout, FP32, ADAM)


def step(given: Job[LayerGraph]) -> Step:
    return step_of(given, "nvidia-a100-pcie-80gb", node="azure-nc96ads-a100-v4", schedule=GPipe())


@pytest.mark.parametrize(("kind", "matrices"), [("gcn", 1), ("sage", 2)])
def test_layers_have_their_matrices_and_sum_over_the_narrower_side(kind: str, matrices: int) -> None:
    network = GraphNetwork(kind, 1000, 9000, features=600, hidden=100, classes=40, layers=3)  # type: ignore[arg-type]
    found = network.graph("g", 1, 1)
    assert found.parameters() == matrices * (600 * 100 + 100 * 100 + 100 * 40)
    sums = [n.op for layer in found.layers for n in layer.nodes if isinstance(n.op, Aggregation)]
    assert [op.columns for op in sums] == [100, 100, 40]
    assert all(op.edges == 9000 for op in sums)


def test_parts_share_out_edges_and_vertices() -> None:
    found = NETWORK.graph("g", 20, 4).layers[1].nodes
    products = [n.op for n in found if isinstance(n.op, Gemm)]
    sums = [n.op for n in found if isinstance(n.op, Aggregation)]
    assert products[0].m == 5000
    assert sums[0].edges == 250_000


def test_a_sum_reads_each_edges_row() -> None:
    """Rows of neighbours, rows written, 8 bytes an edge for column and weight, 4 a vertex for where its edges begin."""
    op = Aggregation(1000, 100, 32, DTYPES["fp32"])
    assert op.bytes() == 1000 * (32 * 4 + 8) + 100 * (32 * 4 + 4)
    assert op.flops() == 2 * 1000 * 32


@pytest.mark.parametrize(("degree", "partitions"), [(2, 4), (5, 2), (12, 8)])
def test_a_random_partition_has_the_boundary_of_drawn_graphs(degree: int, partitions: int) -> None:
    rng, vertices = np.random.default_rng(3), 40_000
    where = rng.integers(0, partitions, vertices)
    neighbours = rng.integers(0, vertices, (vertices, degree))
    leads_to = where[neighbours]
    read = [np.mean((where != p) & (leads_to == p).any(axis=1)) for p in range(partitions)]
    assert float(np.mean(read)) == pytest.approx(random_boundary(degree, partitions), rel=0.02)


def test_graph_parallelism_sends_the_boundary_before_every_sum_and_back_with_the_gradients() -> None:
    network = replace(NETWORK, boundary=0.25)
    found = chunks_of(job(network, parts=4, layout=Layout(data=4))).layers(0)
    blocks = [b for layer in found for _ in range(layer.count) for b in layer.blocks if b.name == "boundary exchange"]
    assert len(blocks) == 8
    messages = [op for b in blocks for op in (*b.forward, *b.inputs) if isinstance(op, Collective)]
    received = sum(float(np.asarray(op.message)) * 3 / 4 for op in messages)
    # both passes of eight layers, but no gradients of the features
    assert received == pytest.approx((2 * 8 - 1) * 25_000 * 64 * 4)


def test_a_pipeline_sends_only_between_stages() -> None:
    pipelined = step(job(NETWORK, parts=16, layout=Layout(pipeline=4)))
    sent = communication_figures(pipelined, 1)["sent_gb_per_device"]
    assert set(sent) == {"pipeline", "total"}
    assert sent["total"] * 1e9 == pytest.approx(2 * 100_000 * 64 * 4)


def test_traffic_of_exchanges_counts_both_links() -> None:
    """Two nodes of four: of a message, half leaves the node over the rank's own port and 3/8 stays inside."""
    found = step(job(replace(NETWORK, boundary=0.5), parts=8, layout=Layout(data=8)))
    sent = communication_figures(found, 0)["sent_gb_per_device"]["sequence_and_experts"]
    message = 0.5 * 100_000 * 64 * 4 * 8 / 7
    assert sent * 1e9 == pytest.approx((2 * 8 - 1) * message * (1 / 2 + 3 / 8))


def test_hybrid_parallelism_exchanges_within_each_stage() -> None:
    both = step(job(replace(NETWORK, boundary=0.5), parts=16, layout=Layout(data=2, pipeline=4)))
    sent = communication_figures(both, 1)["sent_gb_per_device"]
    assert sent["pipeline"] * 1e9 == pytest.approx(2 * 50_000 * 64 * 4)
    assert sent["sequence_and_experts"] * 1e9 == pytest.approx(2 * 2 * 50_000 * 64 * 4)


def test_every_split_computes_the_same() -> None:
    splits = [(1, Layout()), (4, Layout(data=4)), (16, Layout(pipeline=4)), (16, Layout(data=2, pipeline=2))]
    work = []
    for parts, layout in splits:
        given = job(NETWORK, parts=parts, layout=layout)
        calls = [c for p in step(given).passes for c in (*p.forward, *p.inputs, *p.weights)]
        products = [c for c in calls if isinstance(c.op, Gemm | Aggregation)]
        work.append(parts * sum(float(np.asarray(c.op.flops())) * c.count for c in products))
    assert work == pytest.approx([work[0]] * len(work))
