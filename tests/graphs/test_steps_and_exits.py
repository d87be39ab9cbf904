"""Models that run parts of their networks: exits, cached steps, skipped guidance, fewer tokens, adapters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.inference import infer
from simulator.policies.registry import build_policy
from simulator.specs.inference import InferenceScenario
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count, count_model
from simulator.workloads.graphs.graph import Model, Part
from simulator.workloads.graphs.pieces import balanced, cut, passed_bytes
from simulator.workloads.graphs.rewrites import (
    Adapt,
    CacheSteps,
    EarlyExit,
    MergeTokens,
    SkipGuidance,
    StreamBatch,
)
from simulator.workloads.graphs.rewrites.editing import resized
from simulator.workloads.graphs.rewrites.step_caching import with_batch


def sampler(steps=8):
    return graph_model("stable-diffusion-1.5", steps=steps)


def unet_part(model):
    return max(model.parts, key=lambda part: part.times)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(61, 120))
def test_pieces_do_together_what_the_graph_does(one, two):
    graph = graph_model("resnet-50").parts[0].graph
    pieces = cut(graph, [one, two])
    assert sum(count(p).macs for p in pieces) == pytest.approx(count(graph).macs)
    assert sum(len(p.nodes) for p in pieces) == len(graph.nodes)
    assert sum(count(p).parameters for p in pieces) == count(graph).parameters
    assert count_model(Model("pieces", tuple(Part(p) for p in pieces))).parameters == count(graph).parameters


def test_balanced_pieces_are_as_even_as_their_nodes_allow():
    graph = graph_model("vit-b-16").parts[0].graph
    work = [count(p).macs for p in balanced(graph, 4)]
    assert max(work) < 1.1 * sum(work) / 4
    (first, *_) = passed_bytes(graph, balanced(graph, 4))
    assert first >= 197 * 768 * 4  # the tokens of the shortcut at least


def test_inputs_that_leave_early_do_not_pay_for_the_rest():
    model = Model("resnet", (Part(graph_model("resnet-50").parts[0].graph),))
    names = [n.name for n in model.parts[0].graph.nodes if n.type == "Relu"]
    exits = [{"after": names[10], "share": 0.5}, {"after": names[30], "share": 0.25}]
    left = EarlyExit(exits).over(model)
    assert [part.times for part in left.parts] == [1.0, 0.5, 0.25]
    assert left.exits == (0.5, 0.25, 0.25)
    heads = sum(count(p.graph).macs for p in left.parts) - count_model(model).macs
    shapes = [model.parts[0].graph.tensors[names[i]].shape for i in (10, 30)]
    assert heads == sum(shape[1] * 1000 for shape in shapes)


def test_the_mean_over_exits_is_the_latency():
    names = [n.name for n in graph_model("resnet-18").parts[0].graph.nodes if n.type == "Relu"]
    rewrite = {"policy": "early-exit", "options": {"exits": [{"after": names[4], "share": 0.3}]}}
    scenario = InferenceScenario(model="resnet-18", device="nvidia-a100-sxm-80gb", rewrites=[rewrite])
    summary = infer(scenario).summary
    mean = sum(way["share"] * way["latency_ms"] for way in summary["exits"])
    assert mean == pytest.approx(summary["latency_ms"])
    assert sum(way["share"] for way in summary["exits"]) == pytest.approx(1.0)


def test_cached_steps_leave_out_what_is_below_the_skip():
    part = unet_part(sampler())
    whole, cached = (p for p in CacheSteps(every=4, shallow=3).over(sampler()).parts if p.times > 1)
    assert (whole.times, cached.times) == (2.0, 6.0)
    assert count(whole.graph).macs == count(part.graph).macs
    macs = [count(CacheSteps(2, shallow=n).over(sampler()).parts[2].graph).macs for n in (1, 3, 6, 9, 12)]
    assert macs == sorted(macs)
    assert macs[-1] < count(part.graph).macs
    assert count_model(CacheSteps(every=4, shallow=3).over(sampler())).parameters == count_model(sampler()).parameters
    (kept,) = set(cached.graph.inputs) - set(part.graph.inputs)
    assert cached.graph.tensors[kept].shape[1:] == (640, 64, 64)


def test_attention_of_an_earlier_step_costs_nothing():
    part = unet_part(sampler())
    _, _, cached, _ = CacheSteps(every=2, reuse=["Attention"]).over(sampler()).parts
    assert not any(n.type == "Attention" for n in cached.graph.nodes)
    assert count(cached.graph).macs < count(part.graph).macs


def test_half_the_passes_without_the_text_are_a_quarter_of_the_work():
    before, after = (count_model(m).macs for m in (sampler(), SkipGuidance(0.5).over(sampler())))
    steps = 8 * count(unet_part(sampler()).graph).macs
    assert before - after == pytest.approx(steps / 4)


def test_a_stream_calls_the_network_once_for_all_steps():
    batched = StreamBatch().over(sampler(4))
    assert all(part.times == 1.0 for part in batched.parts)
    assert count_model(batched).macs == pytest.approx(count_model(sampler(4)).macs)


@pytest.mark.parametrize("name", ["sd-1.5-unet", "dit-b-2", "vit-b-16", "resnet-50", "swin-t", "shufflenet-v2-1.0"])
def test_another_batch_is_the_graph_that_the_family_builds(name):
    mine = with_batch(graph_model(name, 2).parts[0].graph, 6)
    built = graph_model(name, 6).parts[0].graph
    assert {n: t.shape for n, t in mine.tensors.items()} == {n: t.shape for n, t in built.tensors.items()}


def test_a_patch_of_a_transformer_has_its_share_of_the_tokens():
    graph = graph_model("sd-1.5-unet").parts[0].graph
    shape = graph.tensors["input"].shape
    patch = resized(graph, {"input": (*shape[:2], shape[2] // 4, shape[3])})
    for node in graph.nodes:
        if node.type == "Attention":
            before, after = (g.tensors[node.inputs[0]].shape for g in (graph, patch))
            assert after == (*before[:2], before[2] // 4, before[3])


def test_merged_tokens_stay_merged():
    """ToMe (arXiv:2210.09461, table 1): r = 8 of 24 layers and 13 of 12 leave so many tokens less at the end."""
    graph = graph_model("vit-b-16").parts[0].graph
    merged = MergeTokens(tokens=13)(graph)
    last = [n for n in merged.nodes if n.type == "Attention"][-1]
    assert merged.tensors[last.inputs[0]].shape[2] == 197 - 11 * 13
    assert count(merged).parameters == count(graph).parameters
    dropped = MergeTokens(tokens=13, dropped=True)(graph)
    assert count(dropped).macs < count(merged).macs < count(graph).macs


def test_an_adapter_adds_its_two_matrices():
    g = Builder("g", "fp16")
    graph = g.build(g.linear(g.input(4, 64), 32, bias=False))
    beside, bits = Adapt(rank=8)(graph), Adapt(rank=8, format="binary_wo")(graph)
    assert count(beside).parameters - count(graph).parameters == 8 * (64 + 32)
    assert count(beside).macs - count(graph).macs == 4 * 8 * (64 + 32)
    stored = count(bits).weight_bytes - count(graph).weight_bytes
    assert stored == pytest.approx((count(beside).weight_bytes - count(graph).weight_bytes) / 16, rel=0.01)
    assert count(Adapt(merged=True)(graph)).macs == count(graph).macs


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("early-exit", {}, "give exits"), ("early-exit", {"exits": [{"after": "x", "share": 0.1}]}, "several parts"),
        ("cache-steps", {"shallow": 99}, "has 12 concatenations"), ("cache-steps", {}, "one of shallow and reuse"),
        ("skip-guidance", {"guided": 2.0}, "guided is 2"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(name, options, words):
    rewrite = build_policy("rewrite", name, options)
    model = sampler() if words != "give exits" else graph_model("resnet-18")
    with pytest.raises(InputError, match=words):
        rewrite.over(model)
    with pytest.raises(InputError, match="one of tokens and share"):
        MergeTokens()(graph_model("vit-b-16").parts[0].graph)
    with pytest.raises(InputError, match="repeats no network"):
        StreamBatch().over(graph_model("resnet-18"))


def test_a_stream_may_leave_text_and_decoder_to_others():
    bare = graph_model("stable-diffusion-1.5", steps=4, text=[], decoder=False)
    assert [part.times for part in bare.parts] == [4]
    assert count_model(bare).macs == pytest.approx(4 * count(unet_part(sampler()).graph).macs)
