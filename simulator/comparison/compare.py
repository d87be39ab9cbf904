"""Run scenarios on the same requests and say how they differ from the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from simulator.comparison.contenders import Contender, Given, Settings, contenders
from simulator.comparison.intervals import Interval, interval
from simulator.comparison.metrics import (
    REQUEST_METRICS,
    RUN_FIGURES,
    Pairs,
    RequestMetric,
    paired,
    run_figure,
    statistic,
)
from simulator.comparison.model_error import difference_intervals
from simulator.comparison.verdict import Difference
from simulator.comparison.winners import Group, Shares, groups, shares
from simulator.errors import InputError
from simulator.experiment import Result
from simulator.kinds import run_experiment
from simulator.uncertainty import refuse_count

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Against:
    """One scenario against the baseline, in seconds, shares and the units of the summary.

    `differences` are by metric and statistic, or by the path of a run's figure; `shares` and `groups` by metric.
    """

    label: str
    differences: dict[tuple[str, str], Difference]
    shares: dict[str, Shares]
    groups: dict[str, list[Group]]

    def verdict(self, metric: RequestMetric) -> str:
        """The outcome of a metric in words: its mean, and its P99 where it has one."""
        clauses = [
            f"{'' if name == 'mean' else 'P99 '}{self.differences[metric.name, name].words(metric.unit, metric.scale)}"
            for name in ("mean", "p99")
            if (metric.name, name) in self.differences
        ]
        return clauses[0] if len(clauses) == 2 and clauses[1] == f"P99 {clauses[0]}" else "; ".join(clauses)


@dataclass(frozen=True)
class Comparison:
    """Scenarios that served the same requests, the first of them the baseline of all differences.

    `notes` say what was made equal; `replications` is 0 without `uncertainty`.
    """

    contenders: tuple[Contender, ...]
    results: tuple[Result, ...]
    pairs: Pairs
    against: tuple[Against, ...]
    notes: tuple[str, ...]
    replications: int = 0

    @property
    def labels(self) -> list[str]:
        """Short names of the scenarios, the baseline's first."""
        return [c.label for c in self.contenders]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Everything that was found as nested plain data; names carry their units."""
        from simulator.comparison.summary import summarise

        return summarise(self)

    @property
    def requests(self) -> pd.DataFrame:
        """One row a finished request and scenario, those of the baseline first; times in seconds."""
        from simulator.comparison.frames import requests

        return requests(self)

    @property
    def differences(self) -> pd.DataFrame:
        """One row a request that all finished and scenario after the first: seconds more than in the baseline."""
        from simulator.comparison.frames import differences

        return differences(self)

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row a scenario after the first and figure: both values, the difference, its intervals and the outcome."""
        from simulator.comparison.frames import verdicts

        return verdicts(self)

    @property
    def who_wins(self) -> pd.DataFrame:
        """One row a scenario after the first, metric and group of requests; means in seconds."""
        from simulator.comparison.frames import who_wins

        return who_wins(self)


def compare(
    scenarios: Sequence[Given],
    *,
    settings: Settings = (),
    uncertainty: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Run scenarios (files or `Scenario`s) on the first one's load and seed, and compare each with the first.

    `settings` are laid over every scenario, as in `simulator.replay`. With `uncertainty` N, every scenario is run N
    times more with kernel times redrawn, the same for all, for intervals of the differences. Raises `InputError` for
    what cannot be used or not be paired.
    """
    found, notes = contenders(scenarios, settings)
    if uncertainty:
        refuse_count(uncertainty)
    results = tuple(_run(c, on_progress) for c in found)
    pairs = paired(results)
    model = difference_intervals(found, uncertainty, on_progress) if uncertainty else [{} for _ in found[1:]]
    against = tuple(_against(found[i].label, pairs, results, i, model[i - 1]) for i in range(1, len(found)))
    return Comparison(found, results, pairs, against, (*notes, *_notes(found, results, pairs)), uncertainty)


def _run(contender: Contender, on_progress: Callable[[int], None] | None) -> Result:
    try:
        return run_experiment(contender.scenario, on_progress=on_progress)
    except InputError as error:
        raise InputError(f"{contender.label}: {error}") from None


def _against(
    label: str, pairs: Pairs, results: Sequence[Result], i: int, model: dict[tuple[str, str], Interval]
) -> Against:
    differences: dict[tuple[str, str], Difference] = {}
    who: dict[str, Shares] = {}
    grouped: dict[str, list[Group]] = {}
    for metric in REQUEST_METRICS:
        known, base, other = pairs.of(metric.name, i)
        if not known.any():
            continue
        for name in metric.statistics:
            key = metric.name, name
            values = statistic(base, name), statistic(other, name)
            sampling = interval(base, other, name)
            differences[key] = Difference(*values, metric.better, sampling, model.get(key))
        who[metric.name] = shares(base, other, metric)
        grouped[metric.name] = groups(pairs, metric, i)
    for figure in RUN_FIGURES:
        own, theirs = (run_figure(r.summary, figure) for r in (results[0], results[i]))
        if own is not None and theirs is not None:
            differences[figure.path] = Difference(own, theirs, figure.better, None, model.get(figure.path), False)
    return Against(label, differences, who, grouped)


def _notes(found: Sequence[Contender], results: Sequence[Result], pairs: Pairs) -> list[str]:
    notes = []
    for contender, result in zip(found, results, strict=True):
        left_out = len(result.request_columns["index"]) - len(pairs.index)
        if result.rejected:
            notes.append(f"{contender.label} rejected {len(result.rejected):,} requests that never fit its KV cache")
        if left_out:
            notes.append(
                f"{left_out:,} requests that {contender.label} finished are in no pair: another scenario rejected them"
            )
    if found[0].scenario.load.concurrency is not None:
        notes.append("closed loop: each scenario's clients send the next request when their last one has finished")
    elif len({len(r.request_columns["index"]) for r in results}) == 1:
        notes.append("open loop: throughput follows the arrivals where a scenario keeps up with them")
    return notes
