"""Graphs of language models against the models that are served, and against closed forms."""

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.catalogue import family_model, graph_model
from simulator.workloads.graphs.counting import count, count_model
from simulator.workloads.graphs.lifetimes import peak_activation_bytes
from simulator.workloads.graphs.lowering import kernels
from simulator.workloads.graphs.rewrites import Convert, ConvertCache, SparseAttention, SplitAttention
from simulator.workloads.models import model
from simulator.workloads.operators import Experts
from simulator.workloads.operators.products import DecodeAttention, FullAttention

NAMES = ["Llama-2-7b", "Llama-3.1-8B", "Qwen2.5-7B", "opt-1.3b", "gemma-2-2b", "pythia-1.4b", "phi-2", "starcoder2-7b"]


def counts(**options):
    return count_model(family_model("decoder", "decoder", **options))


@pytest.mark.parametrize("name", [*NAMES, "Mixtral-8x7B-v0.1", "Qwen1.5-MoE-A2.7B"])
def test_weights_are_those_of_the_served_model(name):
    assert counts(model=name).parameters == pytest.approx(model(name).parameters(), rel=2e-3)


@pytest.mark.parametrize("name", ["gpt2", "gpt2-xl"])
def test_sizes_make_the_published_model_exactly(name):
    published = {"gpt2": 124_439_808, "gpt2-xl": 1_557_611_200}
    assert count_model(graph_model(name)).parameters == published[name]


def test_a_token_multiplies_with_all_weights_and_its_cache():
    """Kaplan et al. (arXiv:2001.08361, 2.1): 2 N + 2 n_layer n_ctx d_attn FLOPs a token, without the embedding."""
    known = model("Llama-2-7b")
    found = counts(model="Llama-2-7b", context=999)
    norms = 4096 * (2 * 32 + 1)
    assert found.macs == known.parameters() - known.vocab * 4096 - norms + 2 * 32 * 1000 * 4096


def test_a_prompt_is_causal():
    whole = counts(model="TinyLlama-1.1B", tokens=64, every_place=True).macs
    steps = sum(counts(model="TinyLlama-1.1B", context=c).macs for c in range(64))
    assert whole == pytest.approx(steps)


def test_windows_bound_what_is_read():
    near, far = (counts(model="Mistral-7B-v0.1", context=c).macs for c in (4096, 30_000))
    assert near == far


def test_the_cache_is_held_and_shared_heads_read_it_once():
    (part,) = family_model("decoder", "d", 2, dtype("bf16"), model="Llama-3.1-8B", context=4095).parts
    cache = 2 * 32 * 2 * 8 * 128 * 4095 * 2
    assert cache < float(np.asarray(peak_activation_bytes(part.graph))) < 1.05 * cache
    (whole, half) = (counts(batch=2, format=dtype("bf16"), model="Llama-3.1-8B", context=c) for c in (4095, 2047))
    scores = 32 * 2 * 32 * 2048 * 2
    # scores are written and read by the softmax and by the products around it
    assert whole.bytes - half.bytes == pytest.approx(2 * 32 * 2 * 8 * 128 * 2048 * 2 + 4 * scores)


def test_few_tokens_leave_experts_unread():
    (part,) = family_model("decoder", "d", model="Mixtral-8x7B-v0.1").parts
    found = [k.op for k in kernels(part.graph) if isinstance(k.op, Experts)]
    assert len(found) == 32
    assert {float(op.active()) for op in found} == {2.0}


def test_shares_of_tensor_parallelism_add_up_to_the_whole_but_for_norms():
    sizes = {"width": 4096, "depth": 32, "gated": True, "bias": False, "positions": 0}
    share = counts(**sizes, heads=4, head_width=128, hidden=11008 // 8, vocabulary=4000, context=99)
    whole = counts(**sizes, heads=32, hidden=11008, vocabulary=32000, context=99)
    norms = 4096 * (2 * 32 + 1)
    assert 8 * share.macs == whole.macs
    assert 8 * (share.parameters - norms) == whole.parameters - norms


def test_layers_and_steps_multiply_the_work():
    head = 32000 * 4096
    one, two = (counts(model="Llama-2-7b", depth=d, context=9).macs - head for d in (4, 8))
    assert two == 2 * one
    assert counts(model="Llama-2-7b", depth=4, context=9, steps=5).macs == 5 * (one + head)


def test_what_is_not_modelled_is_one_line():
    with pytest.raises(InputError, match="latent attention"):
        counts(model="DeepSeek-V2-Lite")
    with pytest.raises(InputError, match="width, depth and heads"):
        counts(context=4)
    with pytest.raises(InputError, match="context"):
        counts(model="Llama-2-7b", context=-1)


def test_experts_of_a_vision_transformer_do_the_work_of_those_that_are_visited():
    """Four experts of a quarter of the width are as many multiply-adds as the two products in their place."""
    dense = count_model(graph_model("deit-small"))
    routed = count_model(graph_model("deit-small", experts=16, visited=4, expert_hidden=384))
    assert routed.macs - dense.macs == 6 * 197 * 384 * 16
    biases = 6 * (4 * 384 + 384)
    assert routed.parameters - dense.parameters == 6 * (12 * 2 * 384 * 384 + 384 * 16) - biases


def test_attention_over_a_cache_in_one_kernel_leaves_the_scores_out_of_memory():
    graph = family_model("decoder", "decoder", width=256, depth=2, heads=4, context=1023).parts[0].graph
    split = SplitAttention("even")(graph)
    found = [k.op for k in kernels(split) if k.type == "GroupQueryAttention"]
    assert [type(op) for op in found] == [DecodeAttention] * 2
    assert found[0].bytes() == 2 * 1024 * 256 * 4 + 2 * 256 * 4
    assert count(split).macs == count(graph).macs
    assert count(split).bytes < count(graph).bytes


def test_a_cache_of_eight_bits_is_read_and_kept_in_eight_bits():
    graph = family_model("decoder", "decoder", width=256, depth=1, heads=4, context=1023).parts[0].graph
    narrow = SplitAttention()(ConvertCache("fp8")(graph))
    (op,) = [k.op for k in kernels(narrow) if k.type == "GroupQueryAttention"]
    assert op.cache.name == "fp8"
    assert peak_activation_bytes(graph) - peak_activation_bytes(narrow) == pytest.approx(2 * 1023 * 256 * 3)


def test_attention_that_is_not_there_or_cut_in_no_known_way_is_refused():
    graph = family_model("decoder", "decoder", width=64, depth=1, heads=1, context=7).parts[0].graph
    with pytest.raises(InputError, match="split of split-attention"):
        SplitAttention("heds")(graph)
    with pytest.raises(InputError, match="and a context"):
        ConvertCache("fp8")(family_model("decoder", "decoder", width=64, depth=1, heads=1).parts[0].graph)


def test_experts_alone_change_their_format():
    sizes = {"width": 64, "depth": 2, "heads": 1, "vocabulary": 100}
    graph = family_model("decoder", "decoder", **sizes, experts=16, top_k=2, bias=False).parts[0].graph
    narrow = Convert("qmoe", layers=["MoE"])(graph)
    experts = 2 * 16 * 2 * 64 * 256
    assert count(graph).weight_bytes - count(narrow).weight_bytes == pytest.approx(experts * (4 - 0.1))


def test_blocks_of_a_cache_that_are_not_looked_at_are_not_read():
    graph = SplitAttention()(
        family_model("decoder", "decoder", width=256, depth=2, heads=4, context=4095).parts[0].graph
    )
    whole = [k.op for k in kernels(graph) if k.type == "GroupQueryAttention"]
    name = next(n.name for n in graph.nodes if n.type == "GroupQueryAttention")
    thin = [k.op for k in kernels(SparseAttention(0.25, layers=[name])(graph)) if k.type == "GroupQueryAttention"]
    assert thin[0].keys == 0.25 * whole[0].keys
    assert thin[1] == whole[1]
    assert SparseAttention(0.25, least=8192)(graph).nodes == graph.nodes


def test_prompts_run_the_kernels_of_whole_sequences():
    graph = family_model("decoder", "decoder", width=256, depth=1, heads=4, tokens=1024).parts[0].graph
    (op,) = [k.op for k in kernels(SplitAttention()(graph)) if k.type == "GroupQueryAttention"]
    assert isinstance(op, FullAttention)
    assert op.macs == pytest.approx(4 * 1024 * 1025 / 2 * 128)
    assert count(SplitAttention()(graph)).macs == count(graph).macs
