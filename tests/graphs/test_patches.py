"""Patch-based inference: what a patch needs, what neighbours compute twice, and published peaks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.memory.plan import plan_memory
from simulator.workloads.graphs.rewrites import Fuse, Patch
from simulator.workloads.graphs.rewrites.regions import needed_regions

LAYERS = st.lists(st.tuples(st.sampled_from([1, 3, 5]), st.integers(1, 2), st.integers(1, 2)), min_size=1, max_size=4)


def chain(layers, size):
    g = Builder("chain")
    x = g.input(1, 2, size, size)
    for kernel, stride, dilation in layers:
        x = g.act(g.conv(x, 2, kernel, stride, dilation=dilation))
    return g.build(x)


@given(LAYERS, st.data())
@settings(max_examples=40)
def test_a_region_needs_the_positions_that_its_windows_touch(layers, data):
    """Against sets of positions gone through window by window, in one dimension."""
    size = 24
    graph = chain(layers, size)
    sizes = [size]
    for _, stride, _ in layers:
        sizes.append(-(-sizes[-1] // stride))
    low = data.draw(st.integers(0, sizes[-1] - 1))
    high = data.draw(st.integers(low + 1, sizes[-1]))
    touched = set(range(low, high))
    for (kernel, stride, dilation), before in zip(reversed(layers), reversed(sizes[:-1]), strict=True):
        pad = dilation * (kernel - 1) // 2
        windows = {at * stride - pad + dilation * tap for at in touched for tap in range(kernel)}
        touched = {at for at in windows if 0 <= at < before}
    found = needed_regions(graph, graph.nodes, graph.outputs[0], ((low, high), (low, high)))["input"]
    first, last = found[0]
    assert found[1] == found[0]
    assert set(range(first, last)) >= touched
    # between the taps of a dilated window lie positions that a region holds all the same
    if all(dilation == 1 for _, _, dilation in layers):
        assert (first, last) == (min(touched), max(touched) + 1)


def test_neighbours_compute_each_others_edges():
    """Of two 3x3 convolutions the first computes one row and column more for each inner edge of a patch."""
    g = Builder("two")
    graph = g.build(g.conv(g.conv(g.input(1, 2, 16, 16), 2, 3), 1, 3))
    first, second = 2 * 2 * 9 * 16 * 16, 2 * 9 * 16 * 16
    assert count(graph).macs == first + second
    for grid, length in ((1, 16), (2, 2 * 9), (4, 2 * 5 + 2 * 6)):
        assert count(Patch(grid, 16)(graph)).macs == first * (length / 16) ** 2 + second


def test_patches_fill_the_result_and_keep_the_rest_of_the_network():
    graph = graph_model("mobilenet-v2").parts[0].graph
    patched = Patch(4, 28)(graph)
    parts = [n for n in patched.nodes if n.type == "Place"]
    stage = parts[-1].outputs[0]
    assert sum(patched.tensors[n.inputs[-1]].elements for n in parts) == graph.tensors[stage].elements
    assert count(patched).parameters == count(graph).parameters
    assert patched.outputs == graph.outputs
    # the result is there once, written piece by piece
    held = [p for p in plan_memory(patched).placements if p.life.name.startswith(f"{stage}@placed")]
    assert len(held) == 1


def test_mobilenet_v2_by_patches_has_its_published_peak_and_overhead():
    """1,372 to 172 kB by 4 x 4 patches (arXiv:2110.15352, figure 1), for about a tenth more multiply-adds (table 1)."""
    graph = graph_model("mobilenet-v2", 1, dtype("int8")).parts[0].graph
    patched = Patch(4, 28, streamed=True)(graph)
    assert plan_memory(Fuse()(patched), in_place="depthwise").arena / 1024 == pytest.approx(172, rel=0.005)
    assert count(patched).macs / count(graph).macs == pytest.approx(1.10, abs=0.015)


def test_the_image_stays_in_memory_unless_it_is_streamed():
    graph = chain([(3, 2, 1), (3, 2, 1)], 32)
    held, streamed = (plan_memory(Patch(2, 8, streamed=s)(graph)).peak for s in (False, True))
    # all of it but what the last patch no longer waits for
    assert 0.9 * 2 * 32 * 32 * 4 <= held - streamed <= 2 * 32 * 32 * 4


def test_what_needs_whole_images_is_refused():
    graph = graph_model("mobilenet-v3-small").parts[0].graph
    with pytest.raises(InputError, match="whole image"):
        Patch(2, 28)(graph)
    with pytest.raises(InputError, match="wide"):
        Patch(2, 1)(graph)
    with pytest.raises(InputError, match="grid"):
        Patch(100, 28)(graph_model("mobilenet-v2").parts[0].graph)


def test_patches_make_room_on_a_microcontroller_for_a_longer_answer():
    fields = {"model": "mobilenet-v2", "options": {"width": 0.5, "resolution": 224}, "device": "st-stm32h743"}
    fields |= {"format": "int8", "runtime": "tflite-micro", "memory": {"in_place": "depthwise"}}
    with pytest.raises(InputError, match="missing"):
        infer(InferenceScenario.model_validate(fields))
    patch = {"rewrites": [{"policy": "patch", "options": {"grid": 3, "streamed": True}}]}
    found = infer(InferenceScenario.model_validate({**fields, **patch}))
    assert found.memory.used < 512_000
