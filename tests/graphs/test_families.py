"""What families do beyond their published sizes: loops, shared weights, dilation, resolution."""

import pytest

from simulator.errors import InputError
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import entry, family_model, graph_model, graph_model_names
from simulator.workloads.graphs.counting import count, count_model
from simulator.workloads.models import model as language_model


def test_at_least_a_hundred_named_models_carry_published_sizes():
    assert sum(1 for n in graph_model_names() if entry(n).parameters or entry(n).macs) >= 100


def test_whisper_of_one_token_multiplies_as_often_as_another_implementation():
    """20.2512 G by PyTorch's FlopCounterMode on Hugging Face's model with one token and without scores of words."""
    scores = 384 * 51865
    assert count_model(graph_model("whisper-tiny", tokens=1)).macs - scores == pytest.approx(20.251204608e9, rel=0.002)


def test_tokens_add_to_the_decoder_alone():
    first, second = (graph_model("whisper-base", tokens=tokens) for tokens in (50, 100))
    assert count(first.parts[0].graph).macs == count(second.parts[0].graph).macs
    assert [first.parts[1].times, second.parts[1].times] == [50, 100]


def test_a_transducer_joins_once_a_frame_and_once_a_token():
    encoder, prediction, joint = graph_model("conformer-s", seconds=8.0, tokens_per_second=5.0).parts
    frames = encoder.graph.tensors[encoder.graph.outputs[0]].shape[1]
    assert frames == 200  # 800 frames of 10 ms, of which two convolutions keep a quarter
    assert prediction.times == 40
    assert joint.times == frames + 40


def test_weights_that_come_again_count_once():
    g = Builder("g")
    first = g.conv(g.input(1, 8, 16, 16, name="large"), 8, 3, bias=True)
    second = g.again(first, g.input(1, 8, 4, 4, name="small"))
    graph = g.build(first, second)
    assert count(graph).parameters == 8 * 8 * 9 + 8
    assert count(graph).macs == (256 + 16) * 8 * 8 * 9


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_dilation_keeps_parameters_and_enlarges_maps(stride):
    options = {"head": "fcn", "backbone": {"blocks": [3, 4, 6, 3], "bottleneck": True}, "auxiliary": False}
    (part,) = family_model("segmentation", "s", stride=stride, resolution=256, **options).parts
    sides = [t.shape[-1] for t in part.graph.tensors.values() if not t.weight and len(t.shape) == 4]
    assert min(sides) == 256 // stride
    (plain,) = family_model("segmentation", "s", stride=32, resolution=256, **options).parts
    assert count(part.graph).parameters == count(plain.graph).parameters


def test_deployed_branches_do_what_one_convolution_does():
    deployed, training = (count_model(graph_model(n)) for n in ("repvgg-a0", "repvgg-a0-training"))
    # a 1x1 convolution beside each 3x3 one
    assert training.macs / deployed.macs == pytest.approx(10 / 9, rel=1e-3)


def test_attention_over_space_and_time_grows_with_the_square_of_frames():
    def pairs(frames):
        (part,) = graph_model("wan2.1-1.3b", frames=frames).parts
        one = count(part.graph).macs
        (half,) = graph_model("wan2.1-1.3b", frames=frames, share=0.5).parts
        return 2 * (one - count(half.graph).macs)

    tokens = 21 * 30 * 52
    assert pairs(21) == pytest.approx(30 * 2 * tokens**2 * 1536)
    assert pairs(42) == pytest.approx(4 * pairs(21))


def test_tables_on_the_host_leave_the_device_and_cross_the_link():
    inside, outside = (graph_model("dlrm-mlperf", 128, hosted=hosted) for hosted in (None, 1_000_000))
    kept = count_model(outside).parameters
    assert kept < 0.02 * count_model(inside).parameters
    large = [t for t in entry("dlrm-mlperf").options["tables"] if t >= 1_000_000]
    fetched = [n for n in outside.parts[0].graph.nodes if n.type == "HostGather"]
    assert len(fetched) == len(large)


def test_unknown_layers_of_a_table_are_named():
    with pytest.raises(InputError, match="C3k2"):
        family_model("layer_table", "t", layers=[[-1, 1, "C3k3", [64]]], maps=[0])


@pytest.mark.parametrize("name", ["llama-3-8b", "qwen2.5-7b", "opt-1.3b", "starcoder2-3b", "gpt-j-6b"])
def test_language_models_have_the_parameters_and_products_of_their_configurations(name):
    known = language_model(name)
    counted = count_model(family_model("language_model", name, model=name, tokens=128))
    assert counted.parameters == pytest.approx(known.parameters(), rel=2e-3)
    outside = known.embedding_parameters() + known.head_parameters()
    inside = known.parameters() - outside
    pairs = sum(2 * 128 * 129 / 2 * a.q_heads * a.head_dim for a in (layer.attention for layer in known.layers))
    assert counted.macs == pytest.approx(128 * inside + pairs + known.vocab * known.hidden, rel=2e-3)


def test_language_models_with_experts_are_refused_in_one_line():
    with pytest.raises(InputError, match="serve it"):
        family_model("language_model", "m", model="mixtral-8x7b", tokens=8)


def test_tables_of_a_rank_hold_thin_rows_and_a_matrix():
    whole, thin = (count_model(graph_model("wide-and-deep", **o)).parameters for o in ({}, {"rank": 8}))
    assert whole - thin == 8 * (1_000_000 * (32 - 8) - 8 * 32)


def test_sampled_interest_takes_as_long_for_any_history():
    """An item costs hashes, a power of two for each, and sums of one row a signature, however long the history is."""
    short, long = (count_model(graph_model("din", history=n, signatures=[16, 3])) for n in (100, 10_000))
    assert short.macs == long.macs
    none = count_model(graph_model("din", history=0))
    assert short.macs - none.macs == 32 * 16 * 3 + 16 * 3 + 32 * 200  # the first layer sees the interest's 32 numbers
    assert count_model(graph_model("din", history=10_000)).macs > 50 * short.macs
