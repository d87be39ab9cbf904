"""The largest size that there is memory for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.training.exchanging import Exchanging
from simulator.engine.training.memory import activations_over_time, most_kept
from simulator.engine.training.step import Step
from simulator.errors import DoesNotFit, InputError
from simulator.policies.pipeline import (
    DualPipe,
    GPipe,
    Interleaved,
    OneForwardOneBackward,
    Schedule,
    ZeroBubble,
    ZeroBubbleV,
)
from simulator.specs.training import TrainingScenario
from simulator.training import train
from simulator.training_limits import largest, with_size
from simulator.workloads.training.job import Layout
from tests.training.builders import job, step

VALUES: dict[str, Any] = {
    "kind": "training",
    "model": {"layers": 4, "hidden": 1024, "heads": 16, "vocab": 1024},
    "device": "nvidia-l4-24gb",
    "batch": {"sequence": 1024, "micro": 2, "global_size": 4},
}


def scenario(**changes: Any) -> TrainingScenario:
    return TrainingScenario.model_validate(VALUES | changes)


@pytest.mark.parametrize("limit", [1, 2, 7, 8, 1000, 4097])
def test_the_search_finds_the_limit(limit: int) -> None:
    def check(given: TrainingScenario) -> None:
        if given.batch.micro > limit:
            raise DoesNotFit("no")

    assert largest(scenario(), "batch", check) == limit


@pytest.mark.parametrize("what", ["batch", "sequence", "layers"])
def test_the_largest_fits_and_the_next_does_not(what: Any) -> None:
    asked = scenario(largest=what)
    found = train(asked)
    size = found.summary["largest"][what]
    plain = asked.model_copy(update={"largest": None})
    assert train(with_size(plain, what, size)).summary["step_s"] == found.summary["step_s"]
    with pytest.raises(DoesNotFit):
        train(with_size(plain, what, size + (128 if what == "sequence" else 1)))


def test_sizes_are_tried_without_timing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the largest is timed, once its figures are asked for."""
    timed: list[int] = []
    lanes = Step._lanes

    def counted(found: Step) -> tuple[Exchanging, ...]:
        timed.append(found.job.micro_batch)
        return lanes(found)

    monkeypatch.setattr(Step, "_lanes", counted)
    found = train(scenario(largest="batch", layout={"pipeline": 2, "data": 2, "zero": 1}))
    assert timed == []
    assert found.summary["step_s"] > 0.0
    assert timed == [found.summary["largest"]["batch"]]


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from((
        (OneForwardOneBackward(), 1), (GPipe(), 1), (Interleaved(), 2), (ZeroBubble(), 1), (ZeroBubbleV(), 2),
        (DualPipe(), 2),
    )),
    st.sampled_from((1, 2, 4)),
    st.integers(1, 3),
)  # fmt: skip
def test_the_order_of_passes_gives_the_most_that_is_kept(named: tuple[Schedule, int], stages: int, rounds: int) -> None:
    """That of what is kept over time, as the passes run."""
    schedule, chunks = named
    stages = max(2, stages) if chunks > 1 else stages
    found = step(job(batch=2 * stages * rounds, layout=Layout(pipeline=stages, chunks=chunks)), schedule)
    for stage in range(stages):
        assert most_kept(found, stage) == activations_over_time(found, stage)[0].max()


def test_a_larger_micro_batch_keeps_their_number() -> None:
    assert with_size(scenario(), "batch", 5).batch.global_size == 10


def test_a_scenario_that_cannot_grow_is_refused() -> None:
    with pytest.raises(InputError, match="given by its sizes"):
        train(scenario(model="Qwen/Qwen3-0.6B", largest="layers"))
    with pytest.raises(InputError, match="not even a batch of 1 fits"):
        train(scenario(model={"layers": 96, "hidden": 12288, "heads": 96}, largest="batch"))
