"""Backward passes in pieces of the sequence: the same work, and memory of one piece."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.engine.training.memory import stage_memory
from simulator.errors import InputError
from simulator.report.training.flops import hardware_flops
from simulator.workloads.training.job import Job, Layout
from simulator.workloads.training.passes import passes_of
from simulator.workloads.training.streamed import pieces_of
from tests.training.builders import job, step


def whole(**rest: object) -> Job:
    return job(recompute="full", sequence=4096, batch=1, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize("tokens", [512, 1000, 4096])
def test_pieces_do_the_work_of_the_whole(tokens: int) -> None:
    one, cut = step(whole()), step(whole(backward_chunk=tokens))
    assert hardware_flops(cut) == pytest.approx(hardware_flops(one), rel=1e-9)


def test_attention_of_the_pieces_meets_every_pair_once() -> None:
    cut = passes_of(whole(backward_chunk=1024), 0)
    one = passes_of(whole(), 0)

    def pairs(calls: object) -> float:
        found = [c for c in calls if c.op.kind == "attention"]  # type: ignore[attr-defined]
        return sum(float(np.asarray(c.op.flops())) * c.count for c in found)

    assert pairs(cut.recompute) == pytest.approx(pairs(one.recompute))
    assert pairs(cut.inputs) == pytest.approx(pairs(one.inputs))


def test_one_piece_is_the_whole_but_for_what_its_keys_keep() -> None:
    one, cut = passes_of(whole(), 0), passes_of(whole(backward_chunk=4096), 0)
    assert cut.saved == pytest.approx(one.saved)
    keys = 2 * 2 * 2 * 4096 * 1024  # keys and values, with gradients, of 2 bytes
    assert cut.working == pytest.approx(one.working + keys)


def test_logits_and_activations_shrink_with_the_piece() -> None:
    """The last stage keeps inputs of the layers and of the head whole; its logits go by piece (fp32)."""
    found = {n: passes_of(whole(backward_chunk=4096 // n), 0) for n in (1, 2, 8)}
    logits, hidden = 4096 * 1024 * 4, 4096 * 1024 * 2
    assert found[1].saved - found[8].saved == pytest.approx((logits + hidden) * 7 / 8)
    assert found[8].working < found[2].working < found[1].working
    a, b = step(whole()), step(whole(backward_chunk=512))
    assert stage_memory(b, 0).total < stage_memory(a, 0).total


def test_small_pieces_cost_time() -> None:
    times = [step(whole(backward_chunk=n)).step_seconds for n in (64, 1024)]
    assert times[0] > times[1]


def test_pieces_compose_with_a_pipeline() -> None:
    layout = Layout(pipeline=4)
    plain = step(job(recompute="full", sequence=2048, batch=8, layout=layout))
    cut = step(job(recompute="full", sequence=2048, batch=8, layout=layout, backward_chunk=512))
    assert stage_memory(cut, 3).total < stage_memory(plain, 3).total


def test_pieces_of_a_sequence() -> None:
    assert [pieces_of(1000, n) for n in (1, 999, 1000, 4000)] == [1000, 2, 1, 1]


def test_what_is_not_cut_is_refused() -> None:
    with pytest.raises(InputError, match="set recompute to full"):
        step(job(backward_chunk=128))
    with pytest.raises(InputError, match="not modelled in pieces"):
        step(whole(backward_chunk=128, fused_attention=False)).step_seconds  # noqa: B018
