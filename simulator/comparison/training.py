"""Training scenarios side by side: what differs between them, and what each takes for a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isclose
from pathlib import Path
from typing import Any

from simulator.comparison.contenders import Settings, differences, labels_of
from simulator.errors import InputError
from simulator.specs.training import TrainingScenario
from simulator.training import TrainingResult, load_training, train

# Dotted names of the summary's headline figures.
FIGURES = (
    "step_s", "tokens_per_s", "tokens_per_s_and_device", "mfu", "hfu", "bubble_share", "energy_kwh",
    "cost_per_million_tokens_usd",
)  # fmt: skip
# Those of long runs and of sites, where there are any.
BEYOND = ("run.goodput", "run.tokens_per_s", "sites.utilisation", "sites.tokens_per_s")
# What a scenario can be best in, and whether the most is best.
MEASURES = {
    "tokens_per_s": True, "tokens_per_s_and_device": True, "mfu": True, "run.goodput": True, "run.tokens_per_s": True,
    "sites.tokens_per_s": True, "memory_gb": False, "kwh_per_million_tokens": False,
    "cost_per_million_tokens_usd": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """Seconds that a part of the step takes in the baseline and in another scenario for as many tokens."""

    name: str
    baseline: float
    own: float

    @property
    def more(self) -> float:
        """Seconds that the other scenario takes more."""
        return self.own - self.baseline


@dataclass(frozen=True)
class TrainingComparison:
    """Steps of several scenarios, the first of them the baseline; `changes` are fields that differ from its own."""

    labels: tuple[str, ...]
    results: tuple[TrainingResult, ...]
    changes: tuple[dict[str, tuple[Any, Any]], ...]

    @cached_property
    def paced(self) -> list[dict[str, Any]]:
        """The summary of every scenario at the pace that its devices have."""
        return [paced(r.summary) for r in self.results]

    @cached_property
    def figures(self) -> dict[str, list[float | None]]:
        """Values of every scenario by figure: the headline, the fullest device's memory, and the step's parts."""
        summaries = self.paced
        found: dict[str, list[float | None]] = {name: [s[name] for s in summaries] for name in FIGURES}
        found["kwh_per_million_tokens"] = [s["energy_kwh"] / tokens_of(s) * 1e6 for s in summaries]
        for name in BEYOND:
            part, _, key = name.partition(".")
            if any(part in s for s in summaries):
                found[name] = [s[part][key] if part in s else None for s in summaries]
        found["memory_gb"] = [max(stage["total"] for stage in s["memory_gb"]) for s in summaries]
        parts = dict.fromkeys(part for s in summaries for part in s["breakdown_s"])
        return found | {f"breakdown_s.{p}": [s["breakdown_s"].get(p, 0.0) for s in summaries] for p in parts}

    def parts(self, i: int) -> list[Part]:
        """What scenario `i` takes more or less than the baseline for a step's tokens of it, the most of it first.

        The differences add up to that of the steps, those of other batches scaled to the baseline's tokens.
        """
        base, own = self.paced[0], self.paced[i]
        scale = tokens_of(base) / tokens_of(own)
        names = dict.fromkeys([*base["breakdown_s"], *own["breakdown_s"]])
        found = [Part(n, base["breakdown_s"].get(n, 0.0), scale * own["breakdown_s"].get(n, 0.0)) for n in names]
        return sorted(found, key=lambda part: -abs(part.more))

    @cached_property
    def best(self) -> dict[str, list[str]]:
        """The scenarios that are best by each measure that all of them have: several where they are alike."""
        found = {}
        for name, most in MEASURES.items():
            values = [v for v in self.figures.get(name, ()) if v is not None]
            if len(values) == len(self.labels):
                top = max(values) if most else min(values)
                found[name] = [x for x, v in zip(self.labels, values, strict=True) if isclose(v, top, rel_tol=1e-9)]
        return found

    @cached_property
    def summary(self) -> dict[str, Any]:
        """All of it as nested plain data; ratios are to the baseline."""
        return {
            "baseline": self.labels[0],
            "figures": {
                name: dict(zip(self.labels, values, strict=True))
                | {"ratios": [ratio(values, i) for i in range(len(values))]}
                for name, values in self.figures.items()
            },
            "best": self.best,
            "scenarios": [
                {
                    "scenario": label,
                    "changes": {k: list(pair) for k, pair in changes.items()},
                    "more_s_by_part": {part.name: part.more for part in self.parts(i)},
                    "summary": result.summary,
                }
                for i, (label, changes, result) in enumerate(zip(self.labels, self.changes, self.results, strict=True))
            ],
        }


def paced(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary with workers and their parameter server, where there is one, in place of the step without it."""
    served = summary.get("parameter_server")
    if served is None:
        return summary
    faster = summary["step_s"] / served["mean_step_s"]
    rates = ("tokens_per_s", "tokens_per_s_and_device", "mfu", "hfu")
    return (
        summary
        | {name: summary[name] * faster for name in rates}
        | {"step_s": served["mean_step_s"], "breakdown_s": served["breakdown_s"]}
    )


def tokens_of(summary: dict[str, Any]) -> float:
    """Tokens of a step, or samples of a model that knows none."""
    return float(summary["step_s"] * summary["tokens_per_s"])


def ratio(values: Sequence[float | None], i: int) -> float | None:
    """The value of scenario `i` over the baseline's, None where either is missing or the baseline's is zero."""
    own, base = values[i], values[0]
    return None if own is None or not base else own / base


def compare_training(paths: Sequence[Path], settings: Settings = ()) -> TrainingComparison:
    """Simulate a step of each file, `settings` laid over all; errors as for `compare_steps`."""
    return compare_steps([load_training(path, settings) for path in paths], labels_of(paths))


def compare_steps(scenarios: Sequence[TrainingScenario], labels: Sequence[str]) -> TrainingComparison:
    """Simulate a step of each. Raises `InputError` for fewer than two."""
    if len(scenarios) < 2:
        raise InputError("compare needs two scenarios or more, the first of which is the baseline")
    plain = [s.model_dump(exclude={"name"}) for s in scenarios]
    return TrainingComparison(
        tuple(labels), tuple(train(s) for s in scenarios), tuple(differences(plain[0], p) for p in plain)
    )
