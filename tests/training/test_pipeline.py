"""Pipeline schedules against their closed forms, and that every pass runs once, after what it needs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.training.pipeline import PassSeconds, Timeline, run_pipeline
from simulator.policies.pipeline import GPipe, Interleaved, OneForwardOneBackward, Pass, Schedule, ZeroBubble

SCHEDULES: dict[str, Schedule] = {
    "gpipe": GPipe(),
    "1f1b": OneForwardOneBackward(),
    "interleaved": Interleaved(),
    "zero-bubble": ZeroBubble(),
}
seconds = st.floats(0.25, 4.0)


def even(schedule: Schedule, stages: int, micro: int, chunks: int, f: float, b: float, w: float = 0.0) -> Timeline:
    """All stages alike; a chunk takes its share of the stage's seconds."""
    pieces = stages * chunks
    each = PassSeconds([f / chunks] * pieces, [b / chunks] * pieces, [w / chunks] * pieces, 0.0)
    return run_pipeline([schedule.order(s, stages, micro, chunks) for s in range(stages)], each)


@given(st.integers(1, 8), st.integers(1, 20), seconds, seconds)
def test_the_bubble_of_gpipe_and_1f1b_is_stages_less_one_over_micro_batches(s: int, m: int, f: float, b: float) -> None:
    """Huang et al., arXiv:1811.06965: (p - 1) / m of the ideal time."""
    for schedule in (GPipe(), OneForwardOneBackward()):
        assert even(schedule, s, m, 1, f, b).seconds == pytest.approx((m + s - 1) * (f + b))


@given(st.integers(2, 6), st.integers(1, 4), st.integers(2, 4), seconds, seconds)
def test_interleaving_divides_the_bubble_by_the_chunks(s: int, groups: int, v: int, f: float, b: float) -> None:
    """Narayanan et al., arXiv:2104.04473, section 2.2.2: (p - 1) / (m v)."""
    m = groups * s
    assert even(Interleaved(), s, m, v, f, b).seconds == pytest.approx(m * (f + b) + (s - 1) * (f + b) / v)


@given(st.integers(2, 8), st.integers(1, 3), seconds)
def test_weight_gradients_fill_a_third_of_the_bubble(s: int, groups: int, f: float) -> None:
    """Qi et al., arXiv:2401.10241, table 2: (p - 1)(F + B - W)."""
    m = s * groups
    assert even(ZeroBubble(), s, m, 1, f, f, f).seconds == pytest.approx(m * 3 * f + (s - 1) * f)


def in_flight(timeline: Timeline, stage: int, last: str) -> int:
    """Most micro-batches (and chunks of them) that a stage keeps at once."""
    now = most = 0
    for each in timeline.passes[stage]:
        now += (each.kind == "forward") - (each.kind == last)
        most = max(most, now)
    return most


def test_1f1b_keeps_as_many_micro_batches_as_stages_follow_and_gpipe_all() -> None:
    ours, gpipe = even(OneForwardOneBackward(), 4, 12, 1, 1, 2), even(GPipe(), 4, 12, 1, 1, 2)
    assert [in_flight(ours, s, "backward") for s in range(4)] == [4, 3, 2, 1]
    assert [in_flight(gpipe, s, "backward") for s in range(4)] == [12] * 4


def test_zero_bubble_keeps_no_more_than_the_first_stage_of_1f1b() -> None:
    found = even(ZeroBubble(), 4, 12, 1, 1, 1, 1)
    assert max(in_flight(found, s, "weights") for s in range(4)) == 4


@settings(max_examples=60)
@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 6), st.integers(1, 3), st.data())
def test_every_pass_runs_once_and_after_what_it_needs(name: str, stages: int, groups: int, data: st.DataObject) -> None:
    schedule, micro = SCHEDULES[name], stages * groups
    chunks = data.draw(st.integers(1, 3)) if name == "interleaved" else 1
    pieces = stages * chunks
    draw = st.lists(seconds, min_size=pieces, max_size=pieces)
    each = PassSeconds(
        data.draw(draw), data.draw(draw), data.draw(draw), data.draw(st.floats(0, 1)), data.draw(st.booleans())
    )
    found = run_pipeline([schedule.order(s, stages, micro, chunks) for s in range(stages)], each)
    kinds = ("forward", "backward", "weights") if schedule.splits else ("forward", "backward")
    wanted = {Pass(kind, m, c) for kind in kinds for m in range(micro) for c in range(chunks)}
    ends: dict[tuple[str, int, int], float] = {}
    starts: dict[tuple[str, int, int], float] = {}
    for stage in range(stages):
        assert len(found.passes[stage]) == len(wanted)
        assert set(found.passes[stage]) == wanted
        assert np.all(found.starts[stage][1:] >= found.ends[stage][:-1])
        for one, start, end in zip(found.passes[stage], found.starts[stage], found.ends[stage], strict=True):
            key = (one.kind, one.micro_batch, one.chunk * stages + stage)
            starts[key], ends[key] = float(start), float(end)
    send = each.send if stages > 1 else 0.0
    for (kind, m, piece), start in starts.items():
        if kind == "forward" and piece:
            assert start >= ends["forward", m, piece - 1] + send - 1e-9
        if kind == "backward":
            after = ends["forward", m, piece] if piece == pieces - 1 else ends["backward", m, piece + 1] + send
            assert start >= after - 1e-9
        if kind == "weights":
            assert start >= ends["backward", m, piece]


def test_an_order_that_can_never_run_is_refused() -> None:
    backwards = [[Pass("backward", 0, 0), Pass("forward", 0, 0)]]
    with pytest.raises(ValueError, match="never gets to"):
        run_pipeline(backwards, PassSeconds([1.0], [1.0], [0.0], 0.0))
