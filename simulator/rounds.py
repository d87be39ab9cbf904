"""Run a scenario of rounds: one validated object in, one result out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from simulator.assembly.stragglers import slowdowns_of
from simulator.engine.training.rounds import RoundsOutcome, Work, run_rounds
from simulator.errors import InputError
from simulator.policies.registry import build_policy
from simulator.policies.rounds import Progress, RoundRule
from simulator.specs.rounds import RoundsScenario


@dataclass(frozen=True)
class RoundsResult:
    """What came of the rounds of a scenario."""

    scenario: RoundsScenario
    outcome: RoundsOutcome

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Headline figures as nested plain data; names carry their units."""
        from simulator.report.training.rounds import summarise_rounds

        return summarise_rounds(self)


def simulate_rounds(scenario: RoundsScenario) -> RoundsResult:
    """Simulate. Raises `InputError` for a rule that the workers do not allow, and for a target that is not reached."""
    rule: RoundRule = build_policy("rounds", scenario.rule.policy, scenario.rule.options)
    given = scenario.progress
    progress = Progress(1.0, given.rate if given else 0.0, given.noise if given else 0.0)
    slowdowns = slowdowns_of(scenario.slowdowns, scenario.workers)
    try:
        outcome = run_rounds(
            Work(scenario.work.base_s, scenario.work.batch_s), scenario.workers, scenario.rounds, rule,
            slowdowns, scenario.seed, progress,
            given.target if given else None,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(f"rule: {error}") from None
    if not outcome.reached:
        raise InputError(
            f"progress.target is not reached in {scenario.rounds} rounds, the gap is still {outcome.progress.gap:.3g}: "
            "raise rounds or the target, or use more gradients a round"
        )
    return RoundsResult(scenario, outcome)
