"""From numbers and laws in fields to what the engine draws from."""

from __future__ import annotations

import numpy as np

from simulator.engine.pipeline.services.drawn import Amount
from simulator.policies.stages.views import attribute
from simulator.specs.pipeline.laws import Amount as AmountField
from simulator.specs.pipeline.laws import LawSpec, Quantity
from simulator.workloads.laws import Constant, Counted, Draws, Empirical, Exponential, Gamma, Law, Lognormal, Uniform


def law_of(spec: Quantity, unit: float = 1.0) -> Law:  # noqa: PLR0911 - one line a law
    """The law of a quantity whose field counts in `unit`s."""
    if not isinstance(spec, LawSpec):
        return Constant(spec * unit)
    if spec.law == "exponential":
        return Exponential(spec.mean * unit)
    if spec.law == "lognormal":
        return Lognormal(spec.mean * unit, spec.variation)
    if spec.law == "gamma":
        return Gamma(spec.mean * unit, spec.variation)
    if spec.law == "uniform":
        return Uniform(spec.low * unit, spec.high * unit)
    if spec.law == "counted":
        return Counted(spec.period)
    weights = np.asarray(spec.weights or [1.0] * len(spec.values))
    return Empirical(tuple(v * unit for v in spec.values), tuple((weights / weights.sum()).tolist()))


def draws_of(spec: Quantity, rng: np.random.Generator, unit: float = 1.0) -> Draws:
    """Values of a quantity one by one."""
    return Draws(law_of(spec, unit), rng)


def amount_of(spec: AmountField) -> Amount:
    """A number of an item: the same for all, or one of its attributes."""
    if isinstance(spec, str):
        name = spec
        return lambda item: attribute(item, name)
    number = float(spec)
    return lambda item: number
