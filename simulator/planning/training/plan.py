"""Answer a question of layout: the best few, and why the others lose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from pathlib import Path
from typing import Any

from simulator.planning.training.reasons import Loss, grouped, losses
from simulator.planning.training.search import Found, search
from simulator.planning.training.space import DATA, Space
from simulator.specs.training import TrainingScenario
from simulator.specs.training_plan import TrainingPlan
from simulator.specs.validating import validated
from simulator.training import TrainingResult, anchor_training, train
from simulator.yaml_io import load_yaml, loads_yaml, read_text

# So many of the layouts that do not fit are named, those that need the least memory.
NEAREST = 5


@dataclass(frozen=True)
class TrainingAnswer:
    """The best layouts of a plan, quickest first, and what the search did; `chosen` is the first as it really runs."""

    plan: TrainingPlan
    space: Space
    found: Found
    best: tuple[TrainingResult, ...]
    losses: tuple[Loss, ...]
    chosen: TrainingResult

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Everything that was found as nested plain data; times in seconds a step, memory in GB."""
        return {
            "name": self.plan.name,
            "layout": {"devices": self.plan.devices, **self.choice(self.chosen)},
            "step_s": self.chosen.step.step_seconds,
            "search": {
                "combinations": self.found.considered,
                "left_out": dict(self.found.left_out.most_common()),
                "too_large": len(self.found.too_large),
                "fit": len(self.found.fitting),
                "simulated": len(self.found.simulated),
                "leanest_too_large": [
                    {"choice": _choice(self.space, b.candidate.scenario), "memory_gb": b.bytes / 1e9}
                    for b in nsmallest(NEAREST, self.found.too_large, key=lambda b: b.bytes)
                ],
            },
            "capacity_gb": self.capacity and self.capacity / 1e9,
            "best": [self._row(result) for result in self.best],
            "why_others_lose": [
                {"field": x.field, "value": x.value, "step_s": x.seconds, "why": x.why, "more_s": x.more}
                for x in self.losses
            ],
        }

    @cached_property
    def capacity(self) -> float | None:
        """Bytes of a device, None where layouts have devices of different sizes."""
        laid_out = (result.step for result in self.found.simulated.values() if result is not None)
        found = {part.law.device.memory_capacity for step in laid_out for part, _ in step.kinds}
        return found.pop() if len(found) == 1 else None

    def _row(self, result: TrainingResult) -> dict[str, Any]:
        summary = result.summary
        return {
            "choice": self.choice(result),
            "step_s": summary["step_s"],
            "mfu": summary["mfu"],
            "bubble_share": summary["bubble_share"],
            "memory_gb": max(summary["memory_gb"], key=lambda stage: float(stage["total"])),
            "breakdown_s": summary["breakdown_s"],
            "parts_s": grouped(summary["breakdown_s"]),
            "cost_per_million_tokens_usd": summary["cost_per_million_tokens_usd"],
        }

    def choice(self, result: TrainingResult) -> dict[str, Any]:
        """The searched fields of a result, and the data parallelism that follows."""
        return _choice(self.space, result.scenario)


def plan_training(plan: TrainingPlan, *, on_bound: Callable[[int], None] | None = None) -> TrainingAnswer:
    """Search the layouts of a plan. Raises `InputError` if none can be laid out and fits."""
    space = Space(plan)
    found, best = search(space, on_bound=on_bound)
    chosen = best[0]
    if plan.believed:
        real = Space(plan.model_copy(update={"believed": {}}))
        choice = {name: value for name, value in _choice(space, chosen.scenario).items() if name != DATA}
        chosen = train(real.scenario(choice))
    return TrainingAnswer(plan, space, found, tuple(best), tuple(losses(space, found, best[0])), chosen)


def _choice(space: Space, scenario: TrainingScenario) -> dict[str, Any]:
    """The searched fields of a scenario, and the data parallelism that follows."""
    values: Any = scenario.model_dump()
    found = {}
    for name in [*space.axes, DATA]:
        value = values
        for part in name.split("."):
            value = value[part]
        found[name] = value
    return found


def is_training_plan(path: str | Path) -> bool:
    """Whether a file asks for a layout of training and not for a deployment that serves."""
    values = load_yaml(path)
    return isinstance(values, dict) and values.get("kind") == "training-plan"


def load_training_plan(path: str | Path) -> TrainingPlan:
    """Read a YAML plan. Raises `InputError` naming the first wrong field."""
    text = read_text(path)
    values = loads_yaml(text, file=path)
    if isinstance(values, dict) and isinstance(values.get("scenario"), dict):
        anchor_training(values["scenario"], Path(path).parent)
    return validated(TrainingPlan, values, "a training plan", file=path, text=text)
