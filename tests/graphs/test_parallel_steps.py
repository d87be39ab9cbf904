"""Several devices on the steps of one sampler: what each does, what they send, and what of that is waited for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.inference.parallel import Shared
from simulator.errors import InputError
from simulator.inference import infer
from simulator.policies.parallel import AsynchronousStages, Patches, PatchPipeline
from simulator.policies.parallel.plan import self_attention
from simulator.specs.inference import InferenceScenario
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.graph import Part

SMALL = {"widths": [320, 640], "depths": [1, 1]}
FIELDS = {
    "model": "stable-diffusion-1.5",
    "device": "nvidia-a100-sxm-80gb",
    "format": "fp16",
    "options": {"steps": 20, "denoiser": SMALL},
}


def part(times=20.0, batch=2):
    return Part(graph_model("sd-1.5-unet", batch).parts[0].graph, times)


def run(policy, devices, **options):
    parallel = {"policy": policy, "devices": devices, "options": options}
    return infer(InferenceScenario(**FIELDS, parallel=parallel))


def test_patches_do_together_what_one_device_does():
    """Convolutions and attention are divided; products of the time's vector are done by all."""
    (warm, steady) = Patches(warm_up=4, split_guidance=False).phases(part(), 4)
    assert (warm.times, steady.times, warm.stale, steady.stale) == (4.0, 16.0, False, True)
    whole = count(part().graph).macs
    text = 2 * 77 * 768 * 2 * sum(c * n for c, n in ((320, 5), (640, 5), (1280, 6)))
    assert 4 * count(steady.graphs[0][0]).macs == pytest.approx(whole + 3 * text, rel=0.005)


def test_keys_and_values_of_all_patches_travel():
    steady = Patches(split_guidance=False).phases(part(), 4)[1]
    sent = sum(op.message for op, _ in steady.sends if op.pattern == "all_gather")
    assert sent == pytest.approx(sum(self_attention(part().graph).values()))


def test_a_context_of_fewer_tokens_sends_and_computes_less():
    (_, whole), (_, some) = (Patches(context=c).phases(part(), 8) for c in (1.0, 0.25))
    gathered = [sum(op.message for op, _ in p.sends if op.pattern == "all_gather") for p in (whole, some)]
    assert gathered[1] == pytest.approx(gathered[0] / 4)
    assert count(some.graphs[0][0]).macs < count(whole.graphs[0][0]).macs


def test_guidance_is_split_before_patches_are():
    steady = Patches().phases(part(), 4)[1]
    assert steady.graphs[0][0].tensors["input"].shape == (1, 4, 32, 64)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 4), st.integers(1, 2), st.integers(0, 5))
def test_asynchronous_stages_take_a_round_for_each_stride(devices, stride, warm_up):
    phases = AsynchronousStages(warm_up, stride).phases(part(), devices)
    rounds = phases[-1]
    assert rounds.times == -(-(20 - warm_up) // stride)
    assert sum(count(g).macs for (g,) in rounds.graphs) == pytest.approx(count(part().graph).macs)
    assert len(rounds.graphs) == devices


def test_a_pipeline_of_patches_fills_once():
    steady = PatchPipeline(warm_up=0).phases(part(), 4)[-1]
    assert steady.times == 20 * 4 + 3
    assert len(steady.graphs) == 4


@given(st.floats(0, 5), st.floats(0, 5), st.booleans())
def test_what_a_step_old_travels_beside_the_next(working, exchange, stale):
    class Work:
        seconds = working

    step = Shared((Work(),), exchange, 0.0, 3.0, stale, 0.0)
    expected = max(working, exchange) if stale else working + exchange
    assert step.seconds == pytest.approx(3 * expected)


@pytest.mark.parametrize("policy", ["patches", "patch-pipeline", "asynchronous-stages"])
def test_more_devices_are_quicker_but_never_by_more_than_their_number(policy):
    alone = infer(InferenceScenario(**FIELDS))
    two, four = (run(policy, n, warm_up=0) for n in (2, 4))
    assert alone.seconds > two.seconds > four.seconds > alone.seconds / 4
    for result in (two, four):
        summary = result.summary
        assert sum(summary["time_by_type_ms"].values()) == pytest.approx(summary["latency_ms"])
        assert summary["parallel"]["sent_mb"] > 0


def test_exchange_that_is_waited_for_takes_longer():
    synchronous, stale = (run("patches", 4, stale=s, warm_up=0) for s in (False, True))
    assert synchronous.seconds > stale.seconds
    assert synchronous.summary["parallel"]["waiting_ms"] == synchronous.summary["parallel"]["exchange_ms"]


def test_devices_that_wait_send_the_share_that_they_look_at():
    """Clips of a video with a sample of the others' (no edges of windows: a transformer has none)."""
    video = Part(graph_model("wan2.1-1.3b", frames=8, height=16, across=16).parts[0].graph, 3.0)
    some, whole = (
        Patches(stale=False, context=share, axis=2, split_guidance=False).phases(video, 4) for share in (0.25, 1.0)
    )
    assert [(phase.times, phase.stale) for phase in (*some, *whole)] == [(3.0, False)] * 2
    sent = [sum(float(op.message) * count for op, count in phases[0].sends) for phases in (some, whole)]
    assert sent[0] == pytest.approx(0.25 * sent[1])
    assert count(some[0].graphs[0][0]).macs < count(whole[0].graphs[0][0]).macs


def test_a_model_without_steps_and_uneven_patches_are_refused():
    with pytest.raises(InputError, match="repeats no network"):
        infer(InferenceScenario(model="resnet-18", device="nvidia-a100-sxm-80gb", parallel={"devices": 2}))
    with pytest.raises(InputError, match="cannot be cut into 5 patches"):
        run("patches", 5)
    with pytest.raises(InputError, match="context is 2"):
        run("patches", 2, context=2.0)
