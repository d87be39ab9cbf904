"""Pipeline schedules against their closed forms, and that every pass runs once, after what it needs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.training.pipeline import PassSeconds, Timeline, run_pipeline
from simulator.policies.pipeline import (
    DualPipe,
    GPipe,
    Interleaved,
    OneForwardOneBackward,
    Pass,
    Placing,
    Schedule,
    ZeroBubble,
    ZeroBubbleV,
)

SCHEDULES: dict[str, Schedule] = {
    "gpipe": GPipe(),
    "1f1b": OneForwardOneBackward(),
    "interleaved": Interleaved(),
    "zero-bubble": ZeroBubble(),
    "zero-bubble-v": ZeroBubbleV(),
    "dualpipe": DualPipe(),
}
seconds = st.floats(0.25, 4.0)


def even(schedule: Schedule, stages: int, micro: int, chunks: int, f: float, b: float, w: float = 0.0) -> Timeline:
    """All stages alike; a chunk takes its share of the stage's seconds."""
    pieces = stages * chunks
    each = PassSeconds([f / chunks] * pieces, [b / chunks] * pieces, [w / chunks] * pieces, 0.0)
    return timed(schedule, stages, micro, chunks, each)


def timed(schedule: Schedule, stages: int, micro: int, chunks: int, each: PassSeconds) -> Timeline:
    orders = [schedule.order(s, stages, micro, chunks) for s in range(stages)]
    return run_pipeline(orders, each, pieces(schedule, stages, chunks))


def pieces(schedule: Schedule, stages: int, chunks: int) -> list[tuple[int, ...]]:
    """The pieces of the model that each stage holds."""
    if isinstance(schedule, Placing):
        return [tuple(schedule.pieces(s, stages, chunks)) for s in range(stages)]
    return [tuple(range(s, stages * chunks, stages)) for s in range(stages)]


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


@given(st.integers(1, 8), st.integers(2, 4), seconds)
def test_zero_bubble_v_never_waits_with_equal_passes(s: int, groups: int, f: float) -> None:
    """Qi et al., arXiv:2401.10241, section 6: a stage begins once a forward pass has come to it and then works on."""
    found = even(ZeroBubbleV(), s, groups * s, 2, 2 * f, 2 * f, 2 * f)
    for stage in range(s):
        assert found.starts[stage][0] == pytest.approx(stage * f)
        assert found.ends[stage][-1] - found.starts[stage][0] == pytest.approx(found.busy(stage))
    assert max(in_flight(found, stage, "weights") for stage in range(s)) <= 2 * s


@given(st.integers(1, 5), st.integers(0, 6), seconds, seconds, seconds)
def test_the_bubble_of_dualpipe_is_the_published_one(half: int, more: int, f: float, extra: float, w: float) -> None:
    """DeepSeek-V3, arXiv:2412.19437, table 2: (P / 2 - 1)(F&B + B - 3 W), B of both gradients, F&B = F + B unhidden."""
    stages, i = 2 * half, f + extra
    w = min(w, i)
    micro = 2 * (stages + more)
    found = both_ways(stages, micro, PassSeconds([f] * stages, [i] * stages, [w] * stages, 0.0))
    whole = i + w
    bubble = (half - 1) * ((f + whole) + whole - 3 * w)
    assert found.seconds == pytest.approx(micro * (f + i + w) + bubble)
    for stage in range(stages):
        assert in_flight(found, stage, "weights", "whole") <= stages + 1  # PP + 1 in the same table


def both_ways(stages: int, micro: int, each: PassSeconds) -> Timeline:
    return timed(DualPipe(), stages, micro, 2, each)


def test_a_pair_hides_the_links_of_one_pass_behind_the_other() -> None:
    """F&B is F + B less what hides; hiding can at most leave the computing of both."""
    plain = [[2.0] * 4, [2.0] * 4, [1.0] * 4]
    times = [
        both_ways(4, 16, PassSeconds(*plain, 0.0, forward_links=[x] * 4, backward_links=[x] * 4)).busy(0)
        for x in (0.0, 0.5, 1.0)
    ]
    pairs = sum(p.paired for p in DualPipe().order(0, 4, 16, 2))
    assert times == pytest.approx([16 * 5.0 - hidden * pairs for hidden in (0.0, 1.0, 2.0)])


def in_flight(timeline: Timeline, stage: int, *last: str) -> int:
    """Most micro-batches (and chunks of them) that a stage keeps at once."""
    now = most = 0
    for each in timeline.passes[stage]:
        now += (each.kind == "forward") - (each.kind in last)
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
    schedule, chunks = SCHEDULES[name], {"zero-bubble-v": 2, "dualpipe": 2}.get(name, 1)
    if name == "interleaved":
        chunks = data.draw(st.integers(1, 3))
    stages *= 2 if name == "dualpipe" else 1
    micro = stages * (groups + (name == "dualpipe"))
    placed = pieces(schedule, stages, chunks)
    count = 1 + max(map(max, placed))
    draw = st.lists(seconds, min_size=count, max_size=count)
    each = PassSeconds(
        data.draw(draw), data.draw(draw), data.draw(draw), data.draw(st.floats(0, 1)), data.draw(st.booleans())
    )
    found = timed(schedule, stages, micro, chunks, each)
    ends: dict[tuple[str, int, int], float] = {}
    starts: dict[tuple[str, int, int], float] = {}
    where: dict[tuple[int, int], int] = {}
    for stage in range(stages):
        assert np.all(found.starts[stage][1:] >= found.ends[stage][:-1] - 1e-9)
        for one, start, end in zip(found.passes[stage], found.starts[stage], found.ends[stage], strict=True):
            apart = [("backward", start), ("weights", end)] if one.kind == "whole" else [(one.kind, start)]
            for kind, begun in apart:
                key = (kind, one.micro_batch, placed[stage][one.chunk])
                assert key not in starts
                starts[key], ends[key] = float(begun), float(end)
                where[key[1:]] = stage
    wanted = ("forward", "backward", "weights") if schedule.splits else ("forward", "backward")
    assert set(starts) == {(kind, m, piece) for kind in wanted for m in range(micro) for piece in range(count)}
    for (kind, m, piece), start in starts.items():
        before = piece + {"forward": -1, "backward": 1}.get(kind, 0)
        if kind == "weights":
            assert start >= ends["backward", m, piece] - 1e-9
        elif kind == "backward" and piece == count - 1:
            assert start >= ends["forward", m, piece] - 1e-9
        elif before >= 0:
            send = each.send if where[m, before] != where[m, piece] else 0.0
            assert start >= ends[kind, m, before] + send - 1e-9


def test_an_order_that_can_never_run_is_refused() -> None:
    backwards = [[Pass("backward", 0, 0), Pass("forward", 0, 0)]]
    with pytest.raises(ValueError, match="never gets to"):
        run_pipeline(backwards, PassSeconds([1.0], [1.0], [0.0], 0.0))
