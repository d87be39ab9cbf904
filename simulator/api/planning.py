"""`simulator plan` as a function."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from simulator.api.outcome import Outcome, Rows, View
from simulator.api.reading import Given, Settings, checked, read_plan
from simulator.api.running import plain
from simulator.errors import InputError
from simulator.planning.plan import Plan
from simulator.planning.spec import PlanSpec
from simulator.report.flat import Scalar, flat
from simulator.report.sections import scenario_text
from simulator.specs.training_plan import TrainingPlan

if TYPE_CHECKING:
    import pandas as pd


def plan(spec: Given, *, settings: Settings | None = None, jobs: int = -1) -> Outcome:
    """Find the cheapest deployments that meet objectives under a load, as `simulator plan` does.

    For a specification of kind training-plan, the quickest layouts of training. The specification is a path, plain
    data or a validated object; `settings` are laid over it. `jobs` processes simulate side by side, -1: one a core;
    figures do not depend on it. Raises `InputError` for anything that cannot be used.
    """
    if jobs == 0:
        raise InputError("jobs is 0: give a number of processes, or -1 for one a core")
    question = read_plan(spec, checked(settings))
    name = question.name or (Path(spec).stem if isinstance(spec, str | Path) else "plan")
    if isinstance(question, TrainingPlan):
        return _training(question, name)
    from simulator.planning.plan import plan as answer

    found = answer(question, jobs=jobs)
    text = yaml.safe_dump(_given(question), sort_keys=False, allow_unicode=True)
    return Outcome("planning", name, plain(found.facts), found, text, "simulator plan plan.yaml", _view(found))


def _training(question: TrainingPlan, name: str) -> Outcome:
    from simulator.api.views_summarised import training_plan_view
    from simulator.planning.training.plan import plan_training

    found = plan_training(question)
    text, view = scenario_text(question), training_plan_view()
    return Outcome("training-plan", name, plain(found.summary), found, text, "simulator plan plan.yaml", view)


def _given(question: PlanSpec) -> dict[str, Any]:
    return question.model_dump(mode="json", exclude_defaults=True)


def _view(found: Plan) -> View:
    from simulator.report.results import capacity_plan

    chart = _chart if found.ranked and found.spec.front else None
    tables = {"deployments": _deployments, "front": _front}
    return View(_title, _headline, capacity_plan(), tables, chart, flatten=_flatten, intervals=_intervals)


def _title(found: Plan) -> str:
    from simulator.report.planning.table import title

    return title(found.facts)


def _headline(found: Plan) -> list[tuple[str, Rows]]:
    from simulator.report.planning.table import COLUMNS, cells

    rows = [*found.facts["deployments"], *found.facts["also"]]
    return [("", [dict(zip(COLUMNS, cells(row), strict=True)) for row in rows])]


def _chart(found: Plan) -> str:
    from simulator.report.planning.figures import chart

    return chart(found, found.spec.front[0])


def _deployments(found: Plan) -> pd.DataFrame:
    return _frame([*found.facts["deployments"], *found.facts["also"]])


def _front(found: Plan) -> pd.DataFrame:
    return _frame(found.facts["front"])


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Deployments by their own figures; those of their runs are what `simulator run` gives for `best.yaml`."""
    import pandas as pd

    return pd.DataFrame([_row(row) for row in rows])


def _row(row: Mapping[str, Any]) -> dict[str, Scalar]:
    return flat({name: value for name, value in row.items() if name not in ("summary", "intervals")})


def _flatten(figures: Mapping[str, Any]) -> dict[str, Scalar]:
    """The answer as one row: the question's figures, and the first deployment's under `best`."""
    best = figures["deployments"][0] if figures["deployments"] else {}
    return flat(figures) | {f"best.{name}": value for name, value in _row(best).items()}


def _intervals(figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of the first deployment, where the question asks for them."""
    deployments = figures["deployments"]
    found: Mapping[str, Any] = deployments[0].get("intervals", {}).get("figures", {}) if deployments else {}
    return found
