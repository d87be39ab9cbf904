"""The largest batch, sequence or model that a training scenario has memory for, by doubling and bisection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from simulator.errors import DoesNotFit, InputError
from simulator.specs.training import GptSpec, TrainingScenario

Size = Literal["batch", "sequence", "layers"]
MOST_DOUBLINGS = 24
# A sequence is found to this many tokens, the width of tiles that kernels fill.
TOKENS = 128


def largest(scenario: TrainingScenario, what: Size, check: Callable[[TrainingScenario], None]) -> int:
    """The largest size for which `check` raises no `DoesNotFit`; the scenario's own is tried first.

    Raises `InputError` where not even the smallest fits, and where there is no such size to change.
    """
    unit = TOKENS if what == "sequence" else 1

    def fits(count: int) -> bool:
        try:
            check(with_size(scenario, what, count * unit))
        except DoesNotFit:
            return False
        return True

    low = 0
    high = max(1, size_of(scenario, what) // unit)
    for _ in range(MOST_DOUBLINGS):
        if not fits(high):
            break
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    if not low:
        raise InputError(f"largest: not even a {what} of {unit} fits: use a smaller model or more devices")
    return low * unit


def size_of(scenario: TrainingScenario, what: Size) -> int:
    """The scenario's own micro-batch, sequence or number of layers."""
    if what == "batch":
        return scenario.batch.micro
    return scenario.batch.sequence if what == "sequence" else _gpt(scenario).layers


def with_size(scenario: TrainingScenario, what: Size, size: int) -> TrainingScenario:
    """The scenario with another size; a larger micro-batch leaves their number as it is."""
    batch = scenario.batch
    if what == "layers":
        return scenario.model_copy(update={"model": _gpt(scenario).model_copy(update={"layers": size})})
    if what == "sequence":
        return scenario.model_copy(update={"batch": batch.model_copy(update={"sequence": size})})
    whole = batch.global_size // batch.micro * size
    return scenario.model_copy(update={"batch": batch.model_copy(update={"micro": size, "global_size": whole})})


def _gpt(scenario: TrainingScenario) -> GptSpec:
    if not isinstance(scenario.model, GptSpec):
        raise InputError("largest layers needs a model given by its sizes (layers, hidden, heads), not by name")
    return scenario.model
