"""Whole steps under schedules that place the model's pieces themselves."""

from __future__ import annotations

import pytest

from simulator.errors import InputError
from simulator.policies.pipeline import DualPipe, Schedule, ZeroBubbleV
from simulator.report.training.communication import communication_figures
from simulator.report.training.flops import hardware_flops, model_flops
from simulator.report.training.summary import breakdown
from simulator.workloads.training.job import Layout
from tests.training.builders import job, step

BOTH = [ZeroBubbleV(), DualPipe()]


@pytest.mark.parametrize("schedule", BOTH)
def test_the_parts_of_a_step_add_up(schedule: Schedule) -> None:
    found = step(job(layout=Layout(pipeline=4, chunks=2, tensor=2)), schedule)
    parts = breakdown(found)
    assert sum(parts.values()) == pytest.approx(found.step_seconds)
    assert min(parts.values()) >= 0.0


@pytest.mark.parametrize("schedule", BOTH)
def test_the_work_is_that_of_any_other_schedule(schedule: Schedule) -> None:
    found, plain = step(job(layout=Layout(pipeline=4, chunks=2)), schedule), step(job())
    assert model_flops(found) == pytest.approx(model_flops(plain))
    assert hardware_flops(found) == pytest.approx(hardware_flops(plain))


def test_both_directions_hold_the_model_twice_and_reduce_it_together() -> None:
    both, plain = step(job(layout=Layout(pipeline=4, chunks=2)), DualPipe()), step(job(layout=Layout(pipeline=4)))
    held = sum(both.states(s).parameters for s in range(4))
    tied = both.job.model.vocab * both.job.model.hidden
    assert held == pytest.approx(2 * (sum(plain.states(s).parameters for s in range(4)) - tied))
    assert both.end.reduce_seconds(0) > 0.0
    assert plain.end.reduce_seconds(0) == 0.0


def test_shards_that_move_with_every_micro_batch_are_refused_beside_pairs() -> None:
    found = step(job(layout=Layout(pipeline=4, chunks=2, data=2, zero=2), batch=32), DualPipe())
    with pytest.raises(InputError, match=r"layout\.zero 2 beside a schedule that runs passes in pairs"):
        found.step_seconds  # noqa: B018


def test_in_a_v_the_two_ends_share_their_embedding() -> None:
    found = step(job(layout=Layout(pipeline=4, chunks=2)), ZeroBubbleV())
    assert sum(found.states(s).parameters for s in range(4)) == pytest.approx(step(job()).states(0).parameters)
    assert found.end.tied_seconds() == 0.0


@pytest.mark.parametrize(
    ("schedule", "layout", "message"),
    [
        (DualPipe(), Layout(pipeline=4), "set chunks to 2"),
        (DualPipe(), Layout(pipeline=3, chunks=2), "even number of stages"),
        (DualPipe(), Layout(pipeline=4, chunks=2, data=4), "twice the 4 stages"),
        (ZeroBubbleV(), Layout(pipeline=4), "set chunks to 2"),
    ],
)
def test_numbers_that_cannot_be_ordered_are_refused(schedule: Schedule, layout: Layout, message: str) -> None:
    with pytest.raises(InputError, match=message):
        step(job(layout=layout), schedule)


@pytest.mark.parametrize("schedule", BOTH)
def test_a_device_sends_as_much_as_under_any_other_schedule(schedule: Schedule) -> None:
    """Both directions halve the micro-batches of twice as many pieces."""

    def sent(under: Schedule | None, chunks: int, kind: str) -> float:
        found = step(job(layout=Layout(pipeline=4, chunks=chunks, tensor=2), vocab=64), under)
        figures = [communication_figures(found, s)["sent_gb_per_device"] for s in range(4)]
        return sum(each[kind] for each in figures)

    assert sent(schedule, 2, "tensor_parallel") == pytest.approx(sent(None, 1, "tensor_parallel"), rel=0.01)


def test_links_that_pairs_of_passes_hide_are_told_apart_from_those_waited_for() -> None:
    found = step(job(layout=Layout(pipeline=4, chunks=2, tensor=2)), DualPipe())
    figures, parts = communication_figures(found, 0), breakdown(found)
    assert figures["exposed_s"]["tensor_parallel"] == pytest.approx(parts["tensor_parallel"])
    both = figures["exposed_s"]["tensor_parallel"] + figures["hidden_s"]["tensor_parallel"]
    plain = communication_figures(step(job(layout=Layout(pipeline=4, tensor=2))), 0)
    assert both == pytest.approx(plain["exposed_s"]["tensor_parallel"], rel=0.1)


def test_what_both_directions_reduce_together_is_sent() -> None:
    """Of a ring over two copies each device sends the whole message: 2 (p - 1)/p of it."""
    found = step(job(layout=Layout(pipeline=4, chunks=2)), DualPipe())
    sent = communication_figures(found, 0)["sent_gb_per_device"]["gradient_reduction"]
    assert sent == pytest.approx(found.states(0).gradients / 1e9)
