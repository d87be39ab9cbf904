"""The largest size that there is memory for."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import DoesNotFit, InputError
from simulator.specs.training import TrainingScenario
from simulator.training import train
from simulator.training_limits import largest, with_size

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
    def run(given: TrainingScenario) -> int:
        if given.batch.micro > limit:
            raise DoesNotFit("no")
        return given.batch.micro

    assert largest(scenario(), "batch", run) == (limit, limit)


@pytest.mark.parametrize("what", ["batch", "sequence", "layers"])
def test_the_largest_fits_and_the_next_does_not(what: Any) -> None:
    given = scenario(largest=what)
    found = train(given)
    size = found.summary["largest"][what]
    plain = given.model_copy(update={"largest": None})
    assert train(with_size(plain, what, size)).summary["step_s"] == found.summary["step_s"]
    with pytest.raises(DoesNotFit):
        train(with_size(plain, what, size + (128 if what == "sequence" else 1)))


def test_a_larger_micro_batch_keeps_their_number() -> None:
    assert with_size(scenario(), "batch", 5).batch.global_size == 10


def test_a_scenario_that_cannot_grow_is_refused() -> None:
    with pytest.raises(InputError, match="given by its sizes"):
        train(scenario(model="Qwen/Qwen3-0.6B", largest="layers"))
    with pytest.raises(InputError, match="not even a batch of 1 fits"):
        train(scenario(model={"layers": 96, "hidden": 12288, "heads": 96}, largest="batch"))
