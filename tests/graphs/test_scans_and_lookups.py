"""Scans, lookups, neighbourhood sums and spikes against closed forms and against sampling done by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import family_model, graph_model
from simulator.workloads.graphs.counting import count, count_model
from simulator.workloads.graphs.lowering import kernels
from simulator.workloads.operators import Aggregation, HostCopy


def _scan(batch=2, tokens=64, channels=32, state=16, **attributes):
    g = Builder("g")
    x, delta = (g.input(batch, tokens, channels, name=name) for name in ("x", "delta"))
    b, c = (g.input(batch, tokens, state, name=name) for name in ("b", "c"))
    y = g.add_node("SelectiveScan", [x, delta, g.weight(channels, state), b, c], weights=[(channels,)], **attributes)
    return g.build(y)


def test_a_scan_reads_its_operands_once_and_its_states_only_where_they_are_kept_in_memory():
    numbers = 3 * 2 * 64 * 32 + 2 * 2 * 64 * 16 + 32 * 16 + 32
    assert count(_scan()).bytes == 4 * numbers
    assert count(_scan()).flops == 9 * 2 * 64 * 32 * 16
    assert count(_scan(materialised=True)).bytes - count(_scan()).bytes == 2 * 4 * 2 * 64 * 32 * 16


def _linear(tokens, heads=4, inner=64, width=32, **attributes):
    g = Builder("g")
    query, key = (g.input(1, heads, tokens, inner, name=name) for name in ("q", "k"))
    value = g.input(1, heads, tokens, width, name="v")
    return count(g.build(g.add_node("LinearAttention", [query, key, value], **attributes))).macs


@given(chunks=st.integers(1, 16), chunk=st.sampled_from([16, 64, 128]))
def test_linear_attention_grows_with_tokens_and_chunks_add_their_own_pairs(chunks, chunk):
    tokens = chunks * chunk
    whole = 4 * tokens * 2 * 64 * 32
    assert _linear(tokens) == whole
    assert _linear(tokens, chunk=chunk) == whole + 4 * tokens * chunk * (64 + 32)


def test_a_bag_reads_as_many_rows_as_it_has_indices_and_leaves_the_rest_alone():
    g = Builder("g", "fp16")
    graph = g.build(g.add_node("EmbeddingBag", [g.weight(1_000_000, 64), g.input(32, 80, name="rows")]))
    (launch,) = kernels(graph)
    assert g.shape(graph.outputs[0]) == (32, 64)
    assert launch.op.bytes() == 32 * 80 * (64 * 2 + 8) + 32 * 64 * 2
    assert count(graph).parameters == 64_000_000


@pytest.mark.parametrize(("line", "row"), [(1, 400), (128, 512), (32, 416)])
def test_fetched_rows_cross_the_link_in_whole_lines(line, row):
    g = Builder("g")
    graph = g.build(g.add_node("HostGather", [g.input(1000, name="rows")], row=[100], line=line))
    (launch,) = kernels(graph)
    assert isinstance(launch.op, HostCopy)
    assert launch.op.bytes() == 1000 * row


def test_a_hash_grid_is_read_by_corners_until_the_whole_table_has_been_read():
    def moved(points):
        g = Builder("g")
        graph = g.build(g.add_node("HashEncode", [g.input(points, 3, name="x"), g.weight(16, 1024, 2)]))
        return count(graph).bytes - points * 4 * (3 + 32)

    assert moved(10) == 10 * 16 * 8 * 2 * 4
    assert moved(100_000) == 16 * 1024 * 2 * 4


def test_sampled_neighbourhoods_have_as_many_vertices_as_drawing_them_gives():
    """Each hop draws from all vertices alike; those that are there already count once."""
    vertices, batch, fanouts = 20_000, 500, (10, 5)
    draw = np.random.default_rng(1)
    runs = []
    for _ in range(50):
        known, sizes = np.arange(batch), []
        for fanout in fanouts:
            known = np.union1d(known, draw.integers(0, vertices, len(known) * fanout))
            sizes.append(len(known))
        runs.append(sizes)
    met = np.mean(runs, axis=0)
    options = {"vertices": vertices, "edges": 10 * vertices, "features": 16, "classes": 4}
    model = family_model("graph_network", "g", batch, layer="sage", graph=options, fanouts=fanouts)
    sums = [k.op for k in kernels(model.parts[0].graph) if isinstance(k.op, Aggregation)]
    assert [op.vertices for op in sums] == [pytest.approx(met[0], rel=0.01), batch]
    assert [op.edges for op in sums] == [pytest.approx(met[0] * 5, rel=0.01), batch * 10]
    rows = model.parts[0].graph.tensors["rows"].elements
    assert rows == pytest.approx(met[1], rel=0.01)


def test_a_sum_over_neighbours_reads_a_row_an_edge():
    g = Builder("g")
    graph = g.build(g.add_node("Aggregate", [g.input(500, 64)], vertices=100, edges=900))
    assert count(graph).flops == 2 * 900 * 64
    assert count(graph).bytes == (900 + 100) * 64 * 4 + 900 * 8 + 100 * 4


@given(rate=st.floats(0.01, 1.0))
def test_products_on_events_add_the_share_of_multiply_adds_whose_input_fired(rate):
    def graph(type, **attributes):
        g = Builder("g")
        x = g.input(1, 16, 8, 8)
        return g.build(g.add_node(type, [x], weights=[(32, 16, 3, 3)], pads=[1] * 4, **attributes))

    assert count(graph("EventConv", rate=rate)).flops == pytest.approx(rate * count(graph("Conv")).macs)
    assert count(graph("EventConv", rate=rate)).macs == 0


def test_layers_on_all_time_steps_at_once_do_the_same_work_on_weights_read_once():
    stepwise, layerwise = (
        count_model(graph_model("snn-vgg-16", order=order, steps=4)) for order in ("steps", "layers")
    )
    assert stepwise.macs == layerwise.macs
    assert stepwise.parameters == layerwise.parameters
    weights = sum(t.bytes for t in graph_model("snn-vgg-16").parts[0].graph.weights)
    assert stepwise.bytes - layerwise.bytes == pytest.approx(3 * weights, rel=0.05)


def test_candidates_side_by_side_count_as_they_do_alone():
    def graph(width):
        g = Builder("g")
        x = g.add_node("EmbeddingBag", [g.weight(1000, width), g.input(64, 10, name="rows")])
        x = g.add_node("Aggregate", [x], vertices=16, edges=128)
        y = g.reshape(x, 1, 16, width)
        x = g.add_node("SelectiveScan", [y, y, g.weight(width, 8), *(g.input(1, 16, 8, name=n) for n in "bc")])
        return g.build(g.add_node("EventMatMul", [x], weights=[(width, 4)], rate=0.2))

    widths = np.array([8.0, 24.0])
    together = count(graph(widths))
    for i, width in enumerate(widths):
        alone = count(graph(float(width)))
        for name in ("parameters", "flops", "bytes", "activations"):
            assert getattr(together, name)[i] == pytest.approx(getattr(alone, name), rel=1e-12)


def test_factors_of_a_radiance_field_are_read_by_whole_sectors():
    """Rows of 25 and 8 numbers of 16 bits take 64 and 32 bytes; four numbers leave for each sample."""
    model = graph_model("fast-nerf", batch=100, format="fp16")
    of = model.parts[0].graph
    kernel = next(k for k in kernels(of) if k.type == "FactoredLookup")
    samples = 100 * 32
    assert of.tensors[of.nodes[0].outputs[0]].shape == (samples, 4)
    assert kernel.op.bytes() == pytest.approx(samples * (64 + 32 + 2 * 8 + 4 * 2))
