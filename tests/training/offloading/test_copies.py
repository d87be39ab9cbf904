"""Activations of a pipeline in the host: bytes, waits, memory over time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.training.memory import activations_over_time, check_memory, stage_memory
from simulator.engine.training.offloading.activations import copy_plan
from simulator.engine.training.offloading.copies import Copies, CopyPlan
from simulator.engine.training.pipeline import PassSeconds, Timeline, run_pipeline
from simulator.engine.training.step import Step
from simulator.errors import DoesNotFit
from simulator.policies.offload import Life, PipeOffload
from simulator.policies.pipeline import Interleaved, OneForwardOneBackward, Schedule, ZeroBubble
from simulator.report.training.offload import copy_figures
from simulator.workloads.training.job import Layout
from tests.training.builders import job, step
from tests.training.offloading.builders import host

SCHEDULES = st.sampled_from((OneForwardOneBackward(), Interleaved(), ZeroBubble()))


def ran(
    schedule: Schedule, stages: int, micro_batches: int, size: float, rate: float, pending: int | None
) -> tuple[Timeline, Copies]:
    chunks = 2 if isinstance(schedule, Interleaved) else 1
    seconds = PassSeconds(
        [1.0] * stages * chunks, [2.0] * stages * chunks, [1.0 if schedule.splits else 0.0] * stages * chunks, 0.0
    )
    copies = Copies(CopyPlan(((size,) * chunks,) * stages, rate, 1e18, 1, pending))
    orders = [schedule.order(s, stages, micro_batches * stages, chunks) for s in range(stages)]
    return run_pipeline(orders, seconds, copies=copies), copies


@settings(max_examples=80, deadline=None)
@given(SCHEDULES, st.integers(1, 4), st.integers(1, 3), st.floats(0.05, 20.0), st.sampled_from((None, 1, 2, 4)))
def test_every_copy_follows_its_pass_and_each_way_carries_one_at_a_time(
    schedule: Schedule, stages: int, micro_batches: int, size: float, pending: int | None
) -> None:
    timeline, copies = ran(schedule, stages, micro_batches, size, 1.0, pending)
    for stage in range(stages):
        done = copies.done[stage]
        for ways in ([c.out for c in done], [c.back for c in done if c.back]):
            ordered = sorted(ways)
            assert all(b[0] >= a[1] - 1e-9 for a, b in itertools.pairwise(ordered))
            assert all(end - start == pytest.approx(size) for start, end in ordered)
        assert all(c.back[0] >= c.out[1] - 1e-9 for c in done if c.back)
        forwards = sorted(
            float(end)
            for p, end in zip(timeline.passes[stage], timeline.ends[stage], strict=True)
            if p.kind == "forward"
        )
        outs = sorted(c.out[0] for c in done)
        assert len(outs) <= len(forwards)
        assert all(a >= b - 1e-9 for a, b in zip(outs, forwards, strict=False))


@settings(max_examples=50, deadline=None)
@given(SCHEDULES, st.integers(1, 4), st.integers(1, 3), st.floats(0.01, 5.0))
def test_copies_never_make_a_step_faster(schedule: Schedule, stages: int, micro_batches: int, size: float) -> None:
    plain, _ = ran(schedule, stages, micro_batches, 0.0, 1.0, None)
    copied, _ = ran(schedule, stages, micro_batches, size, 1.0, 2)
    assert copied.seconds >= plain.seconds - 1e-9


def test_copies_far_faster_than_passes_cost_nothing_and_leave_what_is_in_use() -> None:
    """One micro-batch computed and one on its way each direction, in place of as many as there are stages."""
    given_step = step(job(layout=Layout(pipeline=8), batch=32))
    found = offloading(given_step, PipeOffload(share=1.0), link=1e15)
    assert found.step_seconds == pytest.approx(given_step.step_seconds, rel=1e-6)
    saved = given_step.passes[1].saved
    assert stage_memory(given_step, 0).activations >= 7 * saved
    assert stage_memory(found, 1).activations <= 3 * saved


def test_a_link_that_carries_nothing_in_time_changes_nothing() -> None:
    given_step = step(job(layout=Layout(pipeline=4)))
    found = offloading(given_step, PipeOffload(share=1.0), link=1e3)
    assert found.timeline.seconds == given_step.timeline.seconds
    assert all(c.back is None for done in found.copies.done for c in done)  # type: ignore[union-attr]
    assert stage_memory(found, 0).activations == stage_memory(given_step, 0).activations


def test_bounding_copies_trades_time_for_memory() -> None:
    given_step = step(job(layout=Layout(pipeline=8), batch=64))
    slow = 0.4 * given_step.passes[1].saved / given_step.pass_seconds.forward[1]
    free, bound = (offloading(given_step, PipeOffload(share=1.0, pending=p), link=slow) for p in (None, 1))
    assert stage_memory(bound, 0).activations < stage_memory(free, 0).activations
    assert bound.step_seconds > free.step_seconds


@pytest.mark.parametrize("schedule", [OneForwardOneBackward(), Interleaved(), ZeroBubble()])
def test_memory_is_never_negative_and_ends_at_none(schedule: Schedule) -> None:
    layout = Layout(pipeline=4, chunks=2 if isinstance(schedule, Interleaved) else 1)
    given_step = step(job(layout=layout), schedule)
    for link in (1e9, 1e10, 1e12):
        found = offloading(given_step, PipeOffload(share=1.0), link=link)
        for stage in range(4):
            held, _ = activations_over_time(found, stage)
            scale = float(np.max(held))
            assert np.all(held >= -1e-9 * scale)
            assert held[-1] == pytest.approx(0.0, abs=1e-9 * scale)


def test_the_longest_waits_leave_first_as_far_as_passes_hide_the_copies() -> None:
    lives = [Life(5.0, 2.0, 1.5), Life(1.0, 2.0, 1.5), Life(0.0, 2.0, 1.5)]
    assert PipeOffload().shares(lives) == pytest.approx([1.0, 1.0, 0.0])
    assert PipeOffload().shares([replace(x, computing=1.0) for x in lives]) == pytest.approx([1.0, 0.5, 0.0])
    assert PipeOffload(share=0.5).shares(lives) == pytest.approx([1.0, 0.5, 0.0])
    assert PipeOffload(share=0.0).shares(lives) == pytest.approx([0.0, 0.0, 0.0])


def test_bytes_up_are_those_that_leave() -> None:
    given_step = step(job(layout=Layout(pipeline=4), batch=8))
    found = offloading(given_step, PipeOffload(share=1.0), link=1e15)
    figures = copy_figures(found, found.copies)  # type: ignore[arg-type]
    assert figures[0]["up_gb"] == pytest.approx(8 * given_step.passes[0].saved / 1e9)
    assert figures[0]["down_gb"] <= figures[0]["up_gb"]
    assert figures[0]["host_gb"] <= 5 * given_step.passes[0].saved / 1e9


def test_a_host_that_is_too_small_is_named() -> None:
    found = offloading(step(job(layout=Layout(pipeline=4))), PipeOffload(share=1.0), link=1e15, memory=1.0)
    with pytest.raises(DoesNotFit, match="of host memory for activations"):
        check_memory(found)


def offloading(given_step: Step, policy: PipeOffload, *, link: float, memory: float = 1e15) -> Step:
    on = host(link=link, memory_bandwidth=1e18, memory=memory)
    return replace(given_step, copied=copy_plan(given_step, on, policy))
