"""Orders, sharing and peaks of activations: brute force, closed forms, and published numbers."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.policies.registry import build_policy
from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.lifetimes import peak_activation_bytes
from simulator.workloads.graphs.memory.ordering import LeastMemory, peak
from simulator.workloads.graphs.memory.plan import plan_memory
from simulator.workloads.graphs.rewrites import Fuse

SIZE = 4 * 8 * 8


def chain(length: int):
    g = Builder("chain")
    x = g.input(1, 1, 8, 8)
    for _ in range(length):
        x = g.act(x)
    return g.build(x)


def residual():
    g = Builder("residual")
    x = g.input(1, 1, 8, 8)
    return g.build(g.act(g.add(g.conv(g.act(g.conv(x, 1, 3)), 1, 3), x)))


@given(st.integers(1, 12))
def test_a_chain_of_pointwise_nodes_needs_one_buffer_in_place_and_two_otherwise(length):
    graph = chain(length)
    assert plan_memory(graph).arena == SIZE
    assert plan_memory(graph, in_place="none").arena == 2 * SIZE


def test_a_residual_block_holds_its_input_beside_operand_and_result():
    graph = residual()
    assert plan_memory(graph).peak == 3 * SIZE
    # in one kernel with the convolution the sum writes over the input
    assert plan_memory(Fuse()(graph)).peak == 2 * SIZE
    assert plan_memory(Fuse()(graph), in_place="none").peak == 3 * SIZE


def test_a_fused_sum_writes_over_the_shortcut():
    g = Builder("sum")
    x = g.input(1, 1, 8, 8)
    y = g.conv(x, 4, 3)
    graph = Fuse()(g.build(g.add(g.conv(y, 8, 1), g.conv(y, 8, 1))))
    # four channels are read, eight of the first branch are there, and the second branch adds to those
    assert plan_memory(graph).peak == (4 + 8) * SIZE
    assert plan_memory(graph, in_place="none").peak == (4 + 8 + 8) * SIZE


def test_a_broadcast_operand_is_not_written_over():
    g = Builder("broadcast")
    x = g.input(1, 8, 8, 8)
    s = g.add_node("GlobalAveragePool", [x])
    graph = g.build(g.add_node("Expand", [g.act(s)], shape=[1, 8, 8, 8]))
    plan = plan_memory(graph)
    assert {p.life.name for p in plan.placements} == {"input", "globalaveragepool_0", "expand_2"}


def test_views_share_the_buffer_of_what_they_name():
    g = Builder("view")
    x = g.input(2, 3, 4)
    graph = g.build(g.act(g.reshape(g.act(x), 2, 12)))
    assert len(plan_memory(graph, in_place="none").placements) == 3
    assert len(plan_memory(graph).placements) == 1


def random_graph(edges: list[tuple[int, int]], widths: list[int]) -> Graph:
    """Convolutions of so many filters, each of the sum of what the edges bring to it as one channel."""
    g = Builder("random")
    made = [g.input(1, 1, 4, 4)]
    for node, width in enumerate(widths, start=1):
        sources = [made[a] for a, b in edges if b == node] or [made[0]]
        x = g.concat(sources) if len(sources) > 1 else sources[0]
        made.append(g.conv(x, width, 1))
    return g.build(*made[-2:])


@settings(max_examples=30)
@given(st.data())
def test_the_exact_order_is_the_best_of_all(data):
    count = data.draw(st.integers(2, 5))
    widths = data.draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    pairs = [(a, b) for b in range(1, count + 1) for a in range(b)]
    edges = data.draw(st.lists(st.sampled_from(pairs), unique=True, max_size=6))
    graph = random_graph(edges, widths)
    best = min(peak(other, "none") for other in all_orders(graph))
    assert peak(LeastMemory()(graph, "none"), "none") == best


def all_orders(graph: Graph, before: tuple[Node, ...] = ()) -> Iterator[Graph]:
    """Every order of the nodes in which operands are there."""
    if len(before) == len(graph.nodes):
        yield graph.with_nodes(before)
    known = {*graph.inputs, *(t.name for t in graph.weights), *(n for node in before for n in node.written)}
    for node in graph.nodes:
        if node not in before and known.issuperset(node.read):
            yield from all_orders(graph, (*before, node))


def branches():
    """Wide branches that each end narrow: one at a time is best, all first at once the worst."""
    g = Builder("branches")
    x = g.input(1, 1, 8, 8)
    wide = [g.conv(x, 16, 3) for _ in range(4)]
    return g.build(g.concat([g.conv(w, 1, 1) for w in wide]))


@pytest.mark.parametrize("most", [20_000, 1])
def test_branches_are_finished_one_after_the_other(most):
    graph = branches()
    policy = build_policy("order", "least-memory", {"most": most})
    # the input, one wide result, its narrow one, and three narrow ones from before
    assert peak(policy(graph, "none"), "none") == (1 + 16 + 3) * SIZE
    assert peak(graph, "none") == (1 + 4 * 16) * SIZE


@pytest.mark.parametrize("name", ["mobilenet-v3-large", "densenet-121", "yolov8n", "shufflenet-v2-1.0"])
def test_planning_never_needs_more_than_the_order_without_sharing(name):
    (part,) = graph_model(name).parts
    plan = plan_memory(part.graph, order=LeastMemory(), in_place="depthwise", alignment=1)
    assert plan.peak <= plan.arena <= 1.15 * plan.peak
    assert plan.peak <= peak_activation_bytes(part.graph)


def test_mobilenet_v2_has_its_published_peak():
    """1,372 kB in int8 (Lin et al., MCUNetV2, arXiv:2110.15352, figure 1): 16 channels and 96 of 112 x 112.

    TinyEngine computes depth-wise convolutions in place.
    """
    (part,) = graph_model("mobilenet-v2", 1, dtype("int8")).parts
    plan = plan_memory(Fuse()(part.graph), in_place="depthwise")
    assert plan.arena / 1024 == pytest.approx(1372, rel=0.002)
    assert plan_memory(Fuse()(part.graph)).arena == pytest.approx(96 * (112**2 + 56**2), rel=0.002)
