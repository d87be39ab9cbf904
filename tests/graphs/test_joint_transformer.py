"""Joint attention of image and text in two streams and in one, and networks in the steps of a sampler."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.workloads.graphs.catalogue import family_model, graph_model
from simulator.workloads.graphs.counting import count_model

SMALL = {
    "width": 64, "heads": 4, "height": 8, "across": 8, "text_tokens": 6, "text_width": 32, "pooled_width": 16,
}  # fmt: skip


def macs(**options):
    return count_model(family_model("joint_transformer", "j", **{**SMALL, **options})).macs


@settings(max_examples=15, deadline=None)
@given(words=st.integers(1, 40), side=st.sampled_from([4, 8, 12]), width=st.sampled_from([32, 64]))
def test_a_block_of_one_stream_multiplies_as_its_matrices_say(words, side, width):
    """Per token 7 + 5 squares of the width, three vectors of what is told, and scores of all pairs twice."""
    sizes = {"width": width, "height": side, "across": side, "text_tokens": words}
    tokens = words + (side // 2) ** 2
    assert macs(double=1, single=2, **sizes) - macs(double=1, single=1, **sizes) == (
        tokens * 12 * width**2 + 3 * width**2 + 2 * tokens**2 * width
    )


def test_a_last_block_of_two_streams_does_nothing_for_the_text_but_keys_queries_and_values():
    words, width = SMALL["text_tokens"], SMALL["width"]
    whole = macs(double=3, single=0) - macs(double=2, single=0)
    tokens = words + 16
    assert whole == tokens * 12 * width**2 + 12 * width**2 + 2 * tokens**2 * width
    last = macs(double=1, single=0) - macs(double=0, single=0)
    assert whole - last == words * 9 * width**2 + 4 * width**2


def test_work_goes_with_active_experts_and_weights_with_all():
    words, width, hidden, blocks = SMALL["text_tokens"], SMALL["width"], 96, 3
    tokens, double = words + 16, 2

    def model(count, active):
        experts = {"count": count, "active": active, "hidden": hidden, "shared": 32}
        return count_model(family_model("joint_transformer", "j", double=2, single=1, experts=experts, **SMALL))

    one, two, more = model(4, 1), model(4, 2), model(6, 2)
    seen = double * (tokens - words) + (blocks - double) * tokens
    assert two.macs - one.macs == seen * 3 * width * hidden
    assert two.parameters == one.parameters
    assert more.parameters - two.parameters == blocks * 2 * (3 * width * hidden + width)


def test_guidance_doubles_and_steps_repeat_the_work_of_any_network():
    once = count_model(graph_model("dit-s-2")).macs
    sampled = family_model("sampled", "s", network="dit-s-2", steps=7, guidance=True)
    assert count_model(sampled).macs == 14 * once
    assert sampled.parts[0].times == 7


def test_networks_after_the_steps_run_once_on_the_plain_batch():
    after = [{"network": "hifi-gan-v3", "options": {"frames": 40}}]
    options = {"network": "dit-s-2", "steps": 5, "guidance": True}
    plain, longer = (count_model(family_model("sampled", "s", 2, **options, after=a)).macs for a in ((), after))
    assert longer - plain == count_model(graph_model("hifi-gan-v3", 2, frames=40)).macs


def test_a_network_with_steps_of_its_own_is_refused():
    with pytest.raises(InputError, match="steps of its own"):
        family_model("sampled", "s", network="stable-diffusion-1.5")


def test_attention_in_one_kernel_saves_traffic_and_no_arithmetic():
    runs = {}
    for runtime in ("eager", "eager-sdpa"):
        scenario = InferenceScenario(
            model="dit-xl-2", device="nvidia-a100-sxm-80gb", runtime=runtime, format="fp16", batch=16
        )
        runs[runtime] = infer(scenario).summary
    eager, fused = runs["eager"], runs["eager-sdpa"]
    assert fused["macs"] == eager["macs"]
    # scores of 256 tokens in 16 heads, 28 layers and 16 images are written and read twice in two bytes each
    scores = 28 * 16 * 16 * 256**2
    assert (eager["moved_mb"] - fused["moved_mb"]) * 1e6 == pytest.approx(4 * 2 * scores, rel=0.05)
    assert fused["latency_ms"] < eager["latency_ms"]
