"""What results of serving, comparisons and plans write; those of training and operator graphs are in `report.kinds`.

Each function imports the pages of its own kind when it is called, so that a command loads no other's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.report.files import write_json, write_requests, write_table, write_text
from simulator.report.written import Written

if TYPE_CHECKING:
    from simulator.comparison.compare import Comparison
    from simulator.experiment import Result
    from simulator.planning.plan import Plan
    from simulator.planning.training.plan import TrainingAnswer


def serving(metrics: Callable[..., None] | None = None) -> Written:
    """A run that serves requests; `metrics` writes its metrics over time, where it kept them."""
    return Written(_serving_page, _requests_and_calls, _serving_timelines, metrics)


def comparison() -> Written:
    """Runs of the same requests, paired request by request."""
    from simulator.report.comparison.page import comparison_page

    return Written(comparison_page, _compared_requests)


def step_comparison() -> Written:
    """Steps of training side by side."""
    from simulator.report.comparison.training_page import training_comparison_page

    return Written(training_comparison_page)


def figure_comparison() -> Written:
    """Scenarios of any other kind side by side by their figures."""
    from simulator.report.comparison.figure_comparison import figure_comparison_page

    return Written(figure_comparison_page)


def capacity_plan() -> Written:
    """A plan of deployments: figures in `plan.json`; the cheapest to run, with its own figures, and to deploy."""
    from simulator.report.planning.page import page

    return Written(page, _best_deployment, figures="plan.json")


def layout_plan() -> Written:
    """A plan of training as `simulator plan` answers it: figures in `plan.json`, and the quickest layout to train."""
    from simulator.report.planning.layouts_page import training_plan_page

    return Written(training_plan_page, _best_layout, figures="plan.json")


def _serving_page(result: Result) -> str:
    from simulator.report.serving.page import report

    return report(result)


def _serving_timelines(path: Path, result: Result) -> None:
    from simulator.report.serving.timeline import write_timelines

    write_timelines(path, result)


def _requests_and_calls(folder: Path, result: Result) -> None:
    write_requests(folder / "requests.parquet", result)
    if result.calls is not None:
        write_table(folder / "calls.parquet", result.calls.table())


def _compared_requests(folder: Path, found: Comparison) -> None:
    from simulator.report.comparison.page import write_compared_requests

    write_compared_requests(folder / "requests.parquet", found)


def _best_deployment(folder: Path, plan: Plan) -> None:
    """`best.yaml`, its `summary.json`, and its launch lines and manifests; nothing where none could be simulated."""
    if plan.best_scenario is None:
        return
    from simulator.deployment.targets import NEAREST, write_all
    from simulator.report.planning.page import best_yaml

    write_all(folder / "deploy", plan.best_scenario, [] if plan.facts["feasible"] else [NEAREST])
    write_text(folder / "best.yaml", best_yaml(plan))
    write_json(folder / "summary.json", plan.facts["deployments"][0]["summary"])


def _best_layout(folder: Path, answer: TrainingAnswer) -> None:
    from simulator.report.planning.layouts_page import best_yaml

    write_text(folder / "best.yaml", best_yaml(answer))
