"""Exchange of ranks with micro-batches of their own: recursions by hand, conservation, and the plain step's figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.training.exchanging import LayerPass, Move
from simulator.engine.training.in_step import MicroBatch, after_each, in_turns
from simulator.engine.training.laying_out import step_of
from simulator.engine.training.streams import Segment, Transfer
from simulator.engine.training.varied import VariedStep
from simulator.errors import InputError
from simulator.policies.context import Ring
from simulator.policies.packing import Balanced, DynamicMesh, InOrder
from simulator.workloads.training.communication import PLAIN, Communication, Shards
from simulator.workloads.training.job import Layout
from tests.training.builders import job
from tests.training.test_experts import mixtral

DEVICE = "nvidia-a100-sxm-80gb"
NOTHING = Segment(0.0, (0.0,))


def move(seconds: float) -> Move:
    return Move(NOTHING, (Transfer("x", seconds),), NOTHING)


def layer(seconds: float, gather: float | None = None, reduce: float | None = None) -> LayerPass:
    """A layer that no collective slows."""
    piece = (Segment(seconds, (seconds,)), None if reduce is None else move(reduce))
    return LayerPass(None if gather is None else move(gather), (piece,))


seconds = st.floats(0.01, 5.0)


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.lists(seconds, min_size=4, max_size=4)), min_size=1, max_size=5),
       st.lists(seconds, min_size=4, max_size=4))  # fmt: skip
def test_a_bucket_is_reduced_when_the_last_rank_has_it(
    ranks: list[tuple[float, list[float]]], links: list[float]
) -> None:
    """Of bucket k: r_k = the latest rank's readiness, end_k = max(end_{k-1}, r_k) + link_k."""
    ends = [start + sum(each) for start, each in ranks]
    passes = [tuple(layer(s, reduce=r) for s, r in zip(each, links, strict=True)) for _, each in ranks]
    lane = after_each(ends, passes)
    passed = lane.streams.now
    assert passed == pytest.approx(max(ends))
    end = 0.0
    for k, link in enumerate(links):
        end = max(end, *(e - sum(each[k + 1 :]) for e, (_, each) in zip(ends, ranks, strict=True))) + link
    assert lane.finish(passed) == pytest.approx(max(end, passed))


@given(
    st.lists(st.lists(st.tuples(seconds, seconds), min_size=2, max_size=2), min_size=1, max_size=4), seconds, seconds
)
def test_turns_take_the_longest_of_each_layer(
    turns: list[list[tuple[float, float]]], gather: float, link: float
) -> None:
    """Two ranks of one layer: with nothing ahead every second of gathers is waited for, and all of it passes."""
    made = [
        [MicroBatch((layer(f, gather),), (layer(b, gather, link),)) for f, b in turn] for turn in turns
    ]  # fmt: skip
    lane = in_turns(made, prefetch=0)
    computed = sum(max(f for f, _ in turn) + max(b for _, b in turn) for turn in turns)
    end = lane.finish(lane.streams.now)
    found = {w: sum(lane.streams.seconds(w).values()) for w in ("hidden", "exposed", "waiting")}
    assert sum(found.values()) == pytest.approx(len(turns) * (2 * gather + link))
    assert end == pytest.approx(computed + found["exposed"])


def varied(lengths: list[int], layout: Layout, communication: Communication = PLAIN, **rest: object) -> VariedStep:
    packing = rest.pop("packing", InOrder())
    given_job = job(layout=layout, batch=layout.data, communication=communication, **rest)
    return VariedStep(step_of(given_job, DEVICE), tuple(lengths), packing, Ring())


@pytest.mark.parametrize(
    ("layout", "communication"),
    [
        (Layout(data=4, zero=3), PLAIN),
        (Layout(data=4, zero=3), Communication(prefetch=0, units=0.0)),
        (Layout(data=4, zero=2), PLAIN),
        (Layout(data=2, context=4, tensor=2, zero=3), PLAIN),
        (Layout(data=16), Communication(gradient_bucket=25e6)),
        (Layout(data=4, zero=1), Communication(gradient_bucket=1e6)),
        (Layout(data=4, zero=3), Communication(gradient_bucket=1e7)),
    ],
)
def test_sequences_of_one_length_exchange_what_a_plain_step_does(layout: Layout, communication: Communication) -> None:
    plain = step_of(job(layout=layout, batch=16, communication=communication), DEVICE)
    found = varied([512] * 16, layout, communication)
    assert found.step_seconds == pytest.approx(plain.step_seconds, rel=1e-9)
    assert found.exchanging is not None
    lane = plain.exchanging[0]
    for where in ("hidden", "exposed"):
        expected = {kind: pytest.approx(value, abs=1e-12) for kind, value in lane.streams.seconds(where).items()}
        assert found.exchanging.streams.seconds(where) == expected


@pytest.mark.parametrize(
    ("zero", "communication"),
    [(3, PLAIN), (2, Communication(gradient_bucket=1e9)), (1, Communication(gradient_bucket=1e9))],
)
def test_experts_of_packed_sequences_exchange_what_a_plain_step_does(zero: int, communication: Communication) -> None:
    layout = Layout(data=64, expert=8, zero=zero)
    given_job = mixtral(layout, recompute="full", communication=communication)
    plain = step_of(replace(given_job, global_batch=128), "nvidia-h100-sxm-80gb")
    found = VariedStep(step_of(given_job, "nvidia-h100-sxm-80gb"), (given_job.sequence,) * 128, InOrder(), Ring())
    assert found.step_seconds == pytest.approx(plain.step_seconds, rel=1e-9)


def test_buckets_hide_behind_the_last_backward_passes() -> None:
    lengths = [512, 300, 64, 500, 40, 40, 512, 31]
    free = Communication(gradient_bucket=1e8, units=0.0)
    for packing in (InOrder(), Balanced(), DynamicMesh()):
        apart = varied(lengths, Layout(data=8), Communication(units=0.0), packing=packing)
        beside = varied(lengths, Layout(data=8), free, packing=packing)
        assert beside.exchanging is not None
        assert beside.passed - beside.exchanging.streams.slowed == pytest.approx(apart.passed)
        assert beside.step_seconds < apart.step_seconds
        assert np.array_equal(apart.ends[0], beside.ends[0])


def test_a_rank_has_room_for_its_tokens_beside_the_layers_it_gathers() -> None:
    none, ahead = (varied([512] * 4, Layout(data=4, zero=3), Communication(prefetch=n)) for n in (0, 3))
    largest = max(x.parameters for x in map(none.step.states, [0])) / 8
    assert none.room > ahead.room
    each = (none.room - ahead.room) * 34 * 1024 * 8
    assert each == pytest.approx(3 * largest * 2, rel=0.2)


def test_what_ranks_cannot_exchange_together_is_refused() -> None:
    for layout, communication, message in (
        (Layout(data=2, pipeline=2, zero=3), PLAIN, "pipeline stages exchange beside"),
        (Layout(data=2, pipeline=2), Communication(gradient_bucket=1e6), "pipeline stages exchange beside"),
        (Layout(data=8), Communication(shards=Shards(4, 4, 4)), "fewer than all ranks"),
    ):
        with pytest.raises(InputError, match=message):
            _ = varied([512] * 16, layout, communication).step_seconds
