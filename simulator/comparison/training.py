"""Training scenarios side by side: what differs between them, and what each takes for a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.comparison.contenders import Settings, differences
from simulator.errors import InputError
from simulator.training import TrainingResult, load_training, train

# Dotted names of the summary's headline figures.
FIGURES = (
    "step_s", "tokens_per_s", "tokens_per_s_and_device", "mfu", "hfu", "bubble_share", "energy_kwh",
    "cost_per_million_tokens_usd",
)  # fmt: skip


@dataclass(frozen=True)
class TrainingComparison:
    """Steps of several scenarios, the first of them the baseline; `changes` are fields that differ from its own."""

    labels: tuple[str, ...]
    results: tuple[TrainingResult, ...]
    changes: tuple[dict[str, tuple[Any, Any]], ...]

    @cached_property
    def figures(self) -> dict[str, list[float | None]]:
        """Values of every scenario by figure: the headline, the fullest device's memory, and the step's parts."""
        summaries = [r.summary for r in self.results]
        found: dict[str, list[float | None]] = {name: [s[name] for s in summaries] for name in FIGURES}
        found["memory_gb"] = [max(stage["total"] for stage in s["memory_gb"]) for s in summaries]
        parts = dict.fromkeys(part for s in summaries for part in s["breakdown_s"])
        return found | {f"breakdown_s.{p}": [s["breakdown_s"].get(p, 0.0) for s in summaries] for p in parts}

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
            "scenarios": [
                {
                    "scenario": label,
                    "changes": {k: list(pair) for k, pair in changes.items()},
                    "summary": result.summary,
                }
                for label, changes, result in zip(self.labels, self.changes, self.results, strict=True)
            ],
        }


def ratio(values: Sequence[float | None], i: int) -> float | None:
    """The value of scenario `i` over the baseline's, None where either is missing or the baseline's is zero."""
    own, base = values[i], values[0]
    return None if own is None or not base else own / base


def compare_training(paths: Sequence[Path], settings: Settings = ()) -> TrainingComparison:
    """Simulate a step of each, `settings` laid over all. Raises `InputError` for fewer than two."""
    if len(paths) < 2:
        raise InputError("compare needs two scenarios or more, the first of which is the baseline")
    scenarios = [load_training(path, settings) for path in paths]
    plain = [s.model_dump(exclude={"name"}) for s in scenarios]
    names = [path.stem for path in paths]
    labels = [n if names.index(n) == i else f"{n} ({names[: i + 1].count(n)})" for i, n in enumerate(names)]
    return TrainingComparison(
        tuple(labels), tuple(train(s) for s in scenarios), tuple(differences(plain[0], p) for p in plain)
    )
