"""Sequences split over ranks: volumes against closed forms, work conserved, folded rings against unfolded ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.training.laying_out import step_of
from simulator.engine.training.memory import stage_memory
from simulator.errors import InputError
from simulator.hardware.fabric import Fabric
from simulator.hardware.links import Link
from simulator.hardware.rounds import rounds_seconds
from simulator.policies.context import ContextParallel, HeadContext, Ring, SelfAttentionRing, TokenRing, Ulysses
from simulator.workloads.operators import AnyOperator, Attention, Collective, Elementwise, Gemm, Rounds
from simulator.workloads.training.blocks import Blocks
from simulator.workloads.training.context import ContextGroup
from simulator.workloads.training.job import Job, Layout
from tests.training.builders import job

S, H, HEADS, BYTES = 4096, 1024, 16, 2


def shared(policy: ContextParallel, ranks: int, *, fused: bool = True, **rest: object) -> Job:
    """A job whose sequences `ranks` ranks share."""
    found = job(sequence=S, layout=Layout(context=ranks), fused_attention=fused, **rest)
    return replace(found, context=policy.plan(ContextGroup(ranks, 8, HEADS, HEADS, fused)))


def operators(given_job: Job, part: str) -> list[AnyOperator]:
    return [op for b in Blocks(given_job).layer(given_job.model.layers[0]) for op in getattr(b, part)]


def sent(given_job: Job, part: str) -> float:
    """Bytes that a rank sends in a layer; an all-reduce sends twice all but its own share, an all-to-all once."""
    factor = {"all_reduce": 2.0, "all_to_all": 1.0}
    total = 0.0
    for top in operators(given_job, part):
        found = top.transfers() if isinstance(top, Rounds) else [(top, 1)] if isinstance(top, Collective) else []
        for op, times in found:
            share = 1.0 if op.pattern == "send_recv" else factor[op.pattern] * (op.world - 1) / op.world
            total += times * share * float(np.asarray(op.message))
    return total


@pytest.mark.parametrize("ranks", [2, 4, 16])
def test_a_ring_sends_keys_and_values_p_minus_one_times_and_gradients_p_times(ranks: int) -> None:
    """Liu et al., arXiv:2310.01889: a block of 2 c d numbers a step; gradients also take the last step home."""
    block = 2 * S / ranks * H * BYTES
    assert sent(shared(Ring(), ranks), "forward") == pytest.approx((ranks - 1) * block)
    assert sent(shared(Ring(), ranks), "inputs") == pytest.approx((2 * ranks - 1) * block)


@pytest.mark.parametrize("ranks", [2, 4, 16])
def test_ring_self_attention_sends_what_tensor_parallelism_does(ranks: int) -> None:
    """Li et al., arXiv:2105.13120, section 3.2.2: 2(N-1) BZLA/N forward and 6(N-1) BZLA/N backward."""
    unit = (ranks - 1) * S / ranks * H * BYTES
    found = shared(SelfAttentionRing(), ranks, fused=False)
    assert sent(found, "forward") == pytest.approx(2 * unit)
    assert sent(found, "inputs") == pytest.approx(6 * unit)
    tensor = job(sequence=S, layout=Layout(tensor=ranks), fused_attention=False)
    assert sent(found, "forward") + sent(found, "inputs") == pytest.approx(
        sent(tensor, "forward") + sent(tensor, "inputs")
    )


@pytest.mark.parametrize("ranks", [2, 4, 16])
def test_ulysses_exchanges_four_shares_of_the_tokens(ranks: int) -> None:
    """Jacobs et al., arXiv:2309.14509, section 3.2: 4 N h / P a layer and pass, of which a rank keeps 1 / P."""
    found = shared(Ulysses(), ranks)
    for part in ("forward", "inputs"):
        assert sent(found, part) == pytest.approx(4 * S * H / ranks * BYTES * (ranks - 1) / ranks)


def test_few_key_heads_are_copied_to_all_that_share_the_heads() -> None:
    """LoongTrain, arXiv:2406.18485, section 4.2: with 2 key heads over 8 ranks each is sent to four."""
    found = shared(Ulysses(), 8)
    layer = found.model.layers[0]
    grouped = replace(layer, attention=replace(layer.attention, kv_heads=2))
    few = replace(found, model=replace(found.model, layers=(grouped,) * 8))
    width = H // HEADS
    wanted = S / 8 * (HEADS + 2 * 8 + HEADS) * width * BYTES * 7 / 8
    assert sent(few, "forward") == pytest.approx(wanted)


@pytest.mark.parametrize(("inner", "outer"), [(2, 4), (4, 2), (4, 4)])
def test_a_double_ring_sends_each_block_to_other_nodes_once_a_node(inner: int, outer: int) -> None:
    """LoongTrain, arXiv:2406.18485, section 4.3: w - 1 inner sends in each outer step, of which one is the last."""
    ranks = inner * outer
    found = operators(shared(HeadContext(heads=1, inner=inner), ranks), "forward")
    rounds = next(op for op in found if isinstance(op, Rounds))
    block = 2 * S / ranks * H * BYTES
    by_stride = {1: 0.0, inner: 0.0}
    for op, times in rounds.transfers():
        by_stride[op.stride] += times * float(np.asarray(op.message)) / block
    assert by_stride == {1: pytest.approx(outer * (inner - 1)), inner: pytest.approx(outer - 1)}


def test_token_ring_sends_queries_one_way_and_outputs_the_other() -> None:
    ranks = 4
    found = operators(shared(TokenRing(), ranks), "forward")
    rounds = next(op for op in found if isinstance(op, Rounds))
    lanes = [0.0, 0.0]
    for each in rounds.rounds:
        for send in each.sends:
            lanes[send.lane] += float(np.asarray(send.transfer.message)) * each.times
    share = S / ranks * H * BYTES
    assert lanes[0] == pytest.approx((ranks - 1) * share)
    assert lanes[1] == pytest.approx((ranks - 1) * (share + S / ranks * HEADS * 4))


@given(
    st.sampled_from([Ring(), TokenRing(), HeadContext(), HeadContext(heads=2), HeadContext(heads=1, inner=2)]),
    st.sampled_from([2, 4, 8, 16, 32]),
)
def test_ranks_together_compute_every_score_once(policy: ContextParallel, ranks: int) -> None:
    plan = policy.plan(ContextGroup(ranks, 8, HEADS, HEADS))
    for steps in (plan.forward, plan.backward):
        assert sum(step.blocks() for step in steps) * plan.ring == pytest.approx(plan.ring**2 / 2)


@pytest.mark.parametrize("policy", [Ring(), Ulysses(), HeadContext(heads=4), TokenRing()])
def test_flops_of_all_ranks_are_those_of_one_device(policy: ContextParallel) -> None:
    one = sum(float(np.asarray(op.flops())) for op in operators(job(sequence=S), "forward") if op.kind != "streaming")
    found = operators(shared(policy, 8), "forward")
    products = [
        (op, n)
        for top in found
        for op, n in (top.leaves() if isinstance(top, Rounds) else [(top, 1)])
        if isinstance(op, Gemm | Attention)
    ]
    assert 8 * sum(float(np.asarray(op.flops())) * n for op, n in products) == pytest.approx(one, rel=1e-3)


def unfolded(own: float, later: list[list[float]], transfer: float) -> float:
    """Ring of ranks simulated one by one: a rank computes block i when it has come and the last block is done.

    Each rank passes a block on as soon as it has it and its link is free. `later` are seconds by rank and step.
    """
    ranks = len(later)
    arrived = [[0.0] * ranks for _ in range(ranks)]
    for i in range(1, ranks):
        for r in range(ranks):
            arrived[r][i] = max(arrived[r - 1][i - 1], arrived[r][i - 1]) + transfer
    ends = []
    for r in range(ranks):
        end = own
        for i in range(1, ranks):
            end = max(end, arrived[r][i]) + later[r][i]
        ends.append(end)
    return max(ends)


SECOND = Elementwise(1.0, 1.0, 1.0)
FABRIC = Fabric(
    Link("a", 1.0, 0.0, 1.0, ""), Link("b", 1.0, 0.0, 1.0, ""), 8, one_shot=True, host=Link("c", 1.0, 0.0, 1.0, "")
)


@given(st.booleans(), st.integers(2, 8), st.floats(0.1, 3.0), st.floats(0.1, 3.0))
def test_a_folded_ring_ends_when_the_unfolded_one_does(balanced: bool, ranks: int, block: float, sends: float) -> None:
    """`block` are seconds of all scores of two ranks, `sends` those of a transfer; half blocks take half."""
    plan = Ring(balanced).plan(ContextGroup(ranks, 8, HEADS, HEADS))
    share = {"own": 0.5, "half": 0.5, "all": 1.0, "none": 0.0}
    folded = 0.0
    for step in plan.forward:
        folded += step.times * max(share[step.scores] * block, sends if step.sends else 0.0)
    later = [[0.5 * block if balanced else block if r >= i else 0.0 for i in range(ranks)] for r in range(ranks)]
    assert folded == pytest.approx(unfolded(0.5 * block, later, sends))


def test_rounds_take_the_longer_of_computing_and_sending() -> None:
    found = next(op for op in operators(shared(Ring(), 4), "forward") if isinstance(op, Rounds))
    block = 2 * S / 4 * H * BYTES

    def seconds(op: AnyOperator) -> float:
        return float(np.asarray(op.message)) if isinstance(op, Collective) else 0.25 if op.kind == "attention" else 0.0

    assert rounds_seconds(found, FABRIC, seconds) == pytest.approx(3 * block + 0.25)
    assert rounds_seconds(found, FABRIC, lambda op: 0.0 if op.kind == "collective" else 1.0) == 1 + 3 * 2


def test_on_a_mesh_two_directions_are_two_links_and_on_a_switch_one_port() -> None:
    def hop(policy: ContextParallel, fabric: Fabric) -> float:
        found = next(op for op in operators(shared(policy, 8), "forward") if isinstance(op, Rounds))
        return rounds_seconds(
            found, fabric, lambda op: float(np.asarray(op.message)) if isinstance(op, Collective) else 0.0
        )

    mesh = replace(FABRIC, peer_links=7)
    share, home = S / 8 * H * BYTES, S / 8 * (H * BYTES + HEADS * 4)
    assert hop(Ring(), mesh) == pytest.approx(7 * 7 * 2 * share)
    assert hop(TokenRing(), mesh) == pytest.approx(7 * (2 * share + 7 * home))
    assert hop(TokenRing(), FABRIC) >= hop(Ring(), FABRIC)


def test_activations_are_shared_out_and_blocks_in_flight_come_on_top() -> None:
    one = sum(b.saved for b in Blocks(job(sequence=S)).layer(job().model.layers[0]))
    four = shared(Ring(), 4)
    assert 4 * sum(b.saved for b in Blocks(four).layer(four.model.layers[0])) == pytest.approx(one)
    found = stage_memory(step_of(four, "nvidia-a100-sxm-80gb"), 0)
    assert found.working == pytest.approx(4 * 2 * S / 4 * H * BYTES)


def test_a_double_ring_hides_the_network_behind_rings_inside_nodes() -> None:
    given_job = job(sequence=1 << 17, layout=Layout(context=32), heads=16, hidden=2048)
    single = step_of(given_job, "nvidia-a100-sxm-80gb", context=Ring())
    double = step_of(given_job, "nvidia-a100-sxm-80gb", context=HeadContext(heads=1))
    assert double.step_seconds < 0.8 * single.step_seconds


def test_context_ranks_reduce_gradients_and_share_states() -> None:
    plain = step_of(job(layout=Layout(data=4, zero=1)), "nvidia-a100-sxm-80gb")
    four = step_of(job(layout=Layout(context=4, zero=1)), "nvidia-a100-sxm-80gb")
    assert plain.end.reduce_seconds(0) == four.end.reduce_seconds(0)
    assert plain.states(0) == four.states(0)


@pytest.mark.parametrize(
    ("policy", "context", "fused", "message"),
    [
        (Ulysses(), 32, True, "do not divide the 16 query heads"),
        (Ring(), 4, False, "choose rsa"),
        (SelfAttentionRing(), 4, True, "choose ring"),
        (HeadContext(heads=3), 4, True, "does not divide the 4"),
        (Ring(), 3, True, "does not divide sequences"),
    ],
)
def test_what_cannot_be_shared_is_refused(policy: ContextParallel, context: int, fused: bool, message: str) -> None:
    given_job = job(layout=Layout(context=context), fused_attention=fused)
    with pytest.raises(InputError, match=message):
        step_of(given_job, "nvidia-a100-sxm-80gb", context=policy)
