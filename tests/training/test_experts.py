"""Layers with experts in training: FLOPs, exchanged and kept bytes and states against closed forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.training.laying_out import PARTS, step_of
from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.report.training.communication import sent_by_kind
from simulator.report.training.flops import model_flops
from simulator.report.training.sequences import useful_share
from simulator.report.training.summary import breakdown
from simulator.workloads.models import model
from simulator.workloads.operators import Collective, Gemm, Rounds
from simulator.workloads.training.blocks import Blocks
from simulator.workloads.training.communication import Communication, LocalSteps, Shards
from simulator.workloads.training.exchange import exchange
from simulator.workloads.training.expert_blocks import ExpertBlocks
from simulator.workloads.training.job import Job, Layout
from simulator.workloads.training.passes import passes_of
from simulator.workloads.training.routing import Routing
from simulator.workloads.training.states import stage_states
from simulator.workloads.transformer import Experts

MIXTRAL = model("mistralai/Mixtral-8x7B-v0.1")
S, H, WIDTH, TOP, E = 4096, 4096, 14336, 2, 8


def mixtral(layout: Layout | None = None, routing: Routing | None = None, **rest: Any) -> Job:
    return Job(MIXTRAL, S, 1, 64, layout or Layout(), routing=routing or Routing(), **rest)


def experts(given_job: Job) -> ExpertBlocks:
    ffn = MIXTRAL.layers[0].ffn
    assert isinstance(ffn, Experts)
    return ExpertBlocks(given_job, ffn, float(S))


def test_products_of_both_passes_are_those_of_the_rows_that_visit() -> None:
    """Three matrices of h x f for each of top_k visits, in the forward pass once and in the backward pass twice."""
    passes = passes_of(mixtral(), 0)
    for part, times in ((passes.forward, 1), (passes.inputs, 1), (passes.weights, 1)):
        found = sum(
            float(np.asarray(c.op.flops())) * c.count
            for c in part
            if c.op.kind == "gemm" and c.name.startswith("expert")
        )
        assert found == pytest.approx(times * 32 * 3 * 2 * S * TOP * H * WIDTH)


def test_model_flops_are_six_for_each_active_parameter_and_token() -> None:
    """Kaplan et al., arXiv:2001.08361, section 2.1, with attention's scores on top; embeddings do no products."""
    found = model_flops(step_of(mixtral(Layout(data=8, expert=8), Routing(skew=1.0)), "nvidia-h100-sxm-80gb"))
    tokens, layer = 64 * S, MIXTRAL.layers[0]
    norms = 32 * 2 * H + H
    products = MIXTRAL.active_parameters() - MIXTRAL.embedding_parameters() - norms
    scores = 32 * 2 * 2 * (S + 1) / 2 * layer.attention.q_heads * layer.attention.head_dim
    assert found == pytest.approx(3 * tokens * (2 * products + scores), rel=1e-6)


def volume(given_job: Job) -> float:
    """Bytes of rows that a device hands to all-to-all exchanges in the forward pass of a layer's experts."""
    found = [op for b in experts(given_job).blocks() for op in b.forward if isinstance(op, Rounds)]
    calls = [(op, n) for rounds in found for op, n in rounds.transfers() if op.pattern == "all_to_all"]
    return sum(float(np.asarray(op.message)) * n for op, n in calls)


@pytest.mark.parametrize("parts", PARTS)
def test_rows_are_exchanged_twice_in_each_pass(parts: int) -> None:
    """Lepikhin et al., arXiv:2006.16668: dispatch and combine, k f rows of h numbers for each token."""
    found = mixtral(Layout(data=8, expert=8), Routing(capacity=1.25, parts=parts, inside=8))
    assert volume(found) == pytest.approx(2 * S * TOP * 1.25 * H * 2)


@given(st.integers(1, 8), st.sampled_from([1, 2, 4, 8]), st.floats(1.0, 1e9))
def test_an_exchange_over_nodes_sends_every_byte_that_leaves_once(nodes: int, inside: int, message: float) -> None:
    world = nodes * inside
    sends = exchange(message, world, 1, inside)
    sent = sum(float(np.asarray(s.transfer.message)) * (s.transfer.world - 1) / s.transfer.world for s in sends)
    assert sent == pytest.approx(message * (world - 1) / world)


def test_a_layer_keeps_rows_gates_and_results() -> None:
    """Router input, scores, rows in, gate and up, their product, rows out: counted by hand."""
    found = sum(b.saved for b in experts(mixtral()).blocks())
    rows = S * TOP
    assert found == pytest.approx(S * H * 2 + S * E * 4 + 2 * rows * H * 2 + 3 * rows * WIDTH * 2)


def test_the_kept_bytes_do_not_depend_on_the_parts_of_the_exchange() -> None:
    kept = {
        parts: sum(b.saved for b in experts(mixtral(Layout(data=8, expert=8), Routing(parts=parts))).blocks())
        for parts in PARTS
    }
    assert all(value == pytest.approx(kept[1]) for value in kept.values())


@pytest.mark.parametrize("expert", [1, 2, 8])
def test_devices_together_hold_the_model_once_and_shard_experts_over_their_copies(expert: int) -> None:
    found = stage_states(mixtral(Layout(data=16, expert=expert, zero=1)), 0)
    final_norm = H
    routed = 32 * E * 3 * H * WIDTH
    dense = MIXTRAL.parameters() - final_norm - routed
    assert found.routed * expert == pytest.approx(routed)
    assert found.parameters == pytest.approx(dense + routed / expert)
    assert found.optimizer * 16 == pytest.approx(12 * (dense + routed))


def test_gradients_of_experts_are_summed_over_fewer_copies() -> None:
    def reductions(expert: int) -> list[Collective]:
        step = step_of(mixtral(Layout(data=16, expert=expert)), "nvidia-h100-sxm-80gb")
        step.end.reduce_seconds(0)
        return [op for op in step._timed if isinstance(op, Collective)]

    assert {(op.world, op.stride) for op in reductions(8)} == {(16, 1), (2, 8)}


def timed(routing: Routing) -> Step:
    return step_of(mixtral(Layout(data=32, expert=8), routing, recompute="full"), "nvidia-h100-sxm-80gb")


def test_skewed_loads_make_all_wait_for_the_busiest_and_a_capacity_drops_what_is_more() -> None:
    even, skewed, cut = timed(Routing()), timed(Routing(skew=1.0)), timed(Routing(skew=1.0, capacity=1.0))
    assert skewed.step_seconds > 1.2 * even.step_seconds
    assert cut.step_seconds == pytest.approx(even.step_seconds)
    loads = np.arange(1, 9) ** -1.0
    loads *= 8 / loads.sum()
    ffn = MIXTRAL.layers[0].ffn
    assert isinstance(ffn, Experts)
    assert cut.job.routing.dropped(ffn) == pytest.approx(np.maximum(loads - 1.0, 0.0).mean())
    assert even.job.routing.dropped(ffn) == 0.0


def test_exchanges_in_parts_hide_behind_products_and_the_best_number_is_found() -> None:
    found = {parts: timed(Routing(parts=parts)) for parts in (*PARTS, None)}
    assert breakdown(found[2])["all_to_all"] < breakdown(found[1])["all_to_all"]
    assert found[None].step_seconds == min(found[p].step_seconds for p in PARTS)


def test_a_mask_costs_products_of_tokens_by_places() -> None:
    """GShard's dispatch and combine einsums: 2 T (E C) h FLOPs each, E C = k f T."""
    blocks = list(experts(mixtral(routing=Routing(capacity=1.0, dispatch="einsum"))).blocks())
    ops = [op for b in blocks if b.name.endswith("einsum") for op in b.forward if isinstance(op, Gemm)]
    assert sum(float(np.asarray(op.flops())) for op in ops) == pytest.approx(2 * 2.0 * S * (TOP * S) * H)


def test_shared_experts_run_on_all_tokens() -> None:
    deepseek = model("deepseek-ai/DeepSeek-V2-Lite")
    names = [b.name for b in Blocks(Job(deepseek, 512, 1, 8)).layer(deepseek.layers[-1])]
    assert {"router", "expert up projection", "ffn up projection", "key and value projection"} <= set(names)


def test_latent_projections_are_those_of_the_checkpoint() -> None:
    """Every weight of DeepSeek-V2's attention takes part in one product a token, but for the norms."""
    deepseek = model("deepseek-ai/DeepSeek-V2")
    attention, latent = deepseek.layers[0].attention, deepseek.layers[0].attention.latent
    assert latent is not None
    assert latent.q_rank is not None
    blocks = list(Blocks(Job(deepseek, 512, 1, 8)).attention(attention))
    products = sum(float(np.asarray(op.flops())) for b in blocks for op in b.forward if op.kind == "gemm")
    wanted = attention.parameters(deepseek.hidden) - latent.q_rank - latent.kv_rank
    assert products == pytest.approx(2 * 512 * wanted)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (Layout(data=4, expert=8), "must divide data x context"),
        (Layout(data=48, expert=3), "must divide"),
        (Layout(data=8, expert=8, tensor=2), "set sequence_parallel"),
    ],
)
def test_layouts_that_cannot_share_out_experts_are_refused(layout: Layout, message: str) -> None:
    given_job = replace(mixtral(layout), global_batch=96)
    with pytest.raises(InputError, match=message):
        given_job.check()


@pytest.mark.parametrize(("zero", "gathers", "scatters"), [(0, 0, 2), (1, 1, 1), (2, 1, 1), (3, 2, 1)])
def test_experts_exchange_with_the_devices_that_have_copies_of_them(zero: int, gathers: int, scatters: int) -> None:
    """ZeRO's volumes (arXiv:1910.02054, section 7), (d - 1)/d of common parameters and (d/e - 1)/(d/e) of experts'."""
    data, expert, times = 64, 8, 3
    given_job = replace(mixtral(Layout(data=data, expert=expert, zero=zero)), global_batch=times * data)
    found = step_of(given_job, "nvidia-h100-sxm-80gb")
    states, sent = found.states(0), sent_by_kind(found, 0)
    copies = data // expert
    moved = (states.parameters - states.routed) * (data - 1) / data + states.routed * (copies - 1) / copies
    gradients, weights = given_job.formats.gradients.bytes, given_job.formats.stored.bytes
    assert sent["gradient_reduction"] == pytest.approx(scatters * gradients * moved * (times if zero > 1 else 1))
    gathered = sent.get("weight_gathering", 0.0) + sent.get("updated_weights", 0.0)
    assert gathered == pytest.approx(gathers * weights * moved * (times if zero == 3 else 1))
    assert found.step_seconds > 0.0


def test_gradients_of_experts_are_reduced_beside_backward_passes() -> None:
    """In one bucket of each kind they take the seconds that they take at the end, once for every stage."""
    layout = Layout(data=16, expert=8)
    plain = step_of(mixtral(layout), "nvidia-h100-sxm-80gb")
    for bucket, passing in ((1e15, pytest.approx), (1e8, lambda value: pytest.approx(value, rel=0.2))):
        communication = Communication(gradient_bucket=bucket)
        found = step_of(replace(mixtral(layout), communication=communication), "nvidia-h100-sxm-80gb")
        streams = found.exchanging[0].streams
        took = sum(streams.seconds(w).get("gradient_reduction", 0.0) for w in ("hidden", "exposed", "waiting"))
        assert took == passing(plain.end.reduce_seconds(0))
    assert found.step_seconds < plain.step_seconds


def test_what_is_not_modelled_for_experts_is_refused() -> None:
    for communication in (
        Communication(weight_bucket=1e6), Communication(shards=Shards(2, 2, 2)), Communication(local=LocalSteps(2)),
    ):  # fmt: skip
        with pytest.raises(InputError, match=r"layout\.expert above 1 beside communication\."):
            replace(mixtral(Layout(data=16, expert=8)), communication=communication).check()


@pytest.mark.parametrize(("skew", "capacity"), [(0.0, 0.5), (0.0, 2.0), (1.0, 1.0)])
def test_rows_that_find_no_room_are_no_work_of_the_model(skew: float, capacity: float) -> None:
    """Expert e of load l(e) times the mean fills min(l(e), capacity) of its capacity."""
    chances = np.arange(1, E + 1) ** -skew
    filled = np.minimum(chances / chances.mean(), capacity).mean() / capacity
    given_job = mixtral(routing=Routing(skew, capacity))
    assert useful_share(given_job, "expert up projection") == pytest.approx(filled)
