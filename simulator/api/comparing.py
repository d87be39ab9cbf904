"""`simulator compare` as a function."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.api.outcome import Outcome, Rows, View
from simulator.api.reading import Given, Settings, checked, named, read_scenario
from simulator.api.running import Progress, plain
from simulator.comparison.compare import Comparison
from simulator.comparison.compare import compare as compare_requests
from simulator.comparison.contenders import labels_of
from simulator.comparison.figures import FigureComparison, compare_summaries
from simulator.comparison.metrics import REQUEST_METRICS
from simulator.comparison.training import TrainingComparison, compare_steps
from simulator.errors import InputError
from simulator.kinds import Experiment
from simulator.report import results
from simulator.report.flat import Scalar, flat
from simulator.report.sections import scenario_text
from simulator.specs.part import Part
from simulator.specs.training import TrainingScenario

if TYPE_CHECKING:
    import pandas as pd


def compare(
    scenarios: Sequence[Given],
    *,
    settings: Settings | None = None,
    uncertainty: int = 0,
    on_progress: Progress | None = None,
) -> Outcome:
    """Run scenarios on the first one's load and seed and say how the others differ, as `simulator compare` does.

    Each may be a path, plain data or a validated object; `settings` are laid over all. Scenarios that serve requests
    are paired request by request, others by their figures. Raises `InputError` for what cannot be used or compared.
    """
    if isinstance(scenarios, str | Path) or not isinstance(scenarios, Sequence):
        raise InputError("compare takes a list of two scenarios or more, the first of which is the baseline")
    given, laid = [named(each) for each in scenarios], checked(settings)
    read = [read_scenario(each, laid) for each in given]
    labelled = [g if isinstance(g, str | Path) else r for g, r in zip(given, read, strict=True)]
    served = [s for s in read if isinstance(s, Experiment)]
    if served and len(served) < len(read):
        raise InputError("training and graphs cannot stand beside serving: compare scenarios of one kind")
    if served:
        requested = [n if isinstance(n, str | Path) else s for n, s in zip(labelled, served, strict=True)]
        found = compare_requests(requested, settings=laid, uncertainty=uncertainty, on_progress=on_progress)
        return _outcome(found, "comparison", read, _served_view())
    if uncertainty:
        raise InputError("uncertainty is modelled for serving only: leave it out")
    labels = labels_of(labelled)
    steps = [s for s in read if isinstance(s, TrainingScenario)]
    if steps and len(steps) == len(read):
        return _outcome(compare_steps(steps, labels), "comparison of training", read, _steps_view())
    return _outcome(compare_summaries(read, labels), "comparison of figures", read, _figures_view())


def _outcome(
    found: Comparison | TrainingComparison | FigureComparison, kind: str, read: Sequence[Part], view: View
) -> Outcome:
    labels = list(found.labels)
    texts = [f"# {label}.yaml\n{scenario_text(scenario)}" for label, scenario in zip(labels, read, strict=True)]
    return Outcome(
        kind=kind,
        name=f"{', '.join(labels[1:])} against {labels[0]}",
        figures=plain(found.summary),
        result=found,
        scenario_yaml="---\n".join(texts),
        again=shlex.join(["simulator", "compare", *(f"{label}.yaml" for label in labels)]),
        view=view,
    )


def _served_view() -> View:
    tables = {
        "scenarios": _scenarios,
        "requests": lambda found: found.requests,
        "differences": lambda found: found.differences,
        "verdicts": _verdicts,
        "who_wins": lambda found: found.who_wins,
    }
    return View(_served_title, _served_headline, results.comparison(), tables, flatten=_served_flat)


def _scenarios(found: Comparison) -> pd.DataFrame:
    """One row a scenario: the figures of its own run, by the names that its summary has alone."""
    import pandas as pd

    return pd.DataFrame([flat(plain(result.summary)) for result in found.results], index=found.labels)


def _verdicts(found: Comparison) -> pd.DataFrame:
    """As the comparison has them, with the unit of each row that its statistic does not name: seconds or a share."""
    verdicts = found.verdicts
    latency = verdicts.metric.isin([m.name for m in REQUEST_METRICS if m.unit == "ms"])
    share = (verdicts.metric == "goodput") & (verdicts.statistic == "mean")
    verdicts.insert(2, "unit", latency.map({True: "s", False: ""}).mask(share, "share"))
    return verdicts


def _served_flat(figures: Mapping[str, Any]) -> dict[str, Scalar]:
    """How the others differ, by the name of each; latencies in milliseconds, as `summary.json` has them."""
    others = {row["scenario"]: {**row["requests"], **row["run"]} for row in figures["comparisons"]}
    return flat({name: figures[name] for name in ("baseline", "pairs", "method")} | others)


def _served_title(found: Comparison) -> str:
    return f"{len(found.pairs.index):,} requests, each served by {' and '.join(found.labels)}"


def _served_headline(found: Comparison) -> list[tuple[str, Rows]]:
    return [
        (
            f"{against.label} against {found.labels[0]}",
            [
                {"figure": metric.label, "value": against.verdict(metric)}
                for metric in REQUEST_METRICS
                if (metric.name, "mean") in against.differences
            ],
        )
        for against in found.against
    ]


def _steps_view() -> View:
    from simulator.report.comparison.training import figure_rows

    return View(
        title=lambda found: f"steps of {' and '.join(found.labels)}",
        headline=lambda found: [("", figure_rows(found, parts=False))],
        written=results.step_comparison(),
        tables={"differences": _by_figure},
        flatten=_steps_flat,
    )


def _figures_view() -> View:
    from simulator.report.comparison.figure_comparison import figure_rows

    return View(
        title=lambda found: f"figures of {' and '.join(found.labels)}",
        headline=lambda found: [("", figure_rows(found))],
        written=results.figure_comparison(),
        tables={"differences": _by_figure},
        flatten=_figures_flat,
    )


def _by_figure(found: TrainingComparison | FigureComparison) -> pd.DataFrame:
    """One row a figure, whose name has its unit: the value of each scenario."""
    import pandas as pd

    return pd.DataFrame.from_dict(found.figures, orient="index", columns=list(found.labels)).astype("float64")


def _steps_flat(figures: Mapping[str, Any]) -> dict[str, Scalar]:
    """Every figure of every scenario, by the scenario's name."""
    labels = [row["scenario"] for row in figures["scenarios"]]
    return {f"{label}.{name}": row[label] for label in labels for name, row in figures["figures"].items()}


def _figures_flat(figures: Mapping[str, Any]) -> dict[str, Scalar]:
    """Every figure of every scenario, by the scenario's name."""
    return {
        f"{label}.{name}": values[place]
        for place, label in enumerate(figures["scenarios"])
        for name, values in figures["figures"].items()
    }
