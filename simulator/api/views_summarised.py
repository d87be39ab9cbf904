"""How the kinds that neither serve requests nor train a step are seen: rounds, operator graphs, pipelines, searches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.api.outcome import View
from simulator.report.flat import flat
from simulator.report.kinds import shown
from simulator.report.results import layout_plan

if TYPE_CHECKING:
    import pandas as pd

    from simulator.federated import FederatedResult
    from simulator.inference import InferenceResult
    from simulator.pipelines import PipelineResult
    from simulator.planning.networks.search import NetworkResult
    from simulator.planning.training.plan import TrainingAnswer
    from simulator.rounds import RoundsResult


def summarised_view(kind: str) -> View:
    """That of a kind by its name; what it writes is what its command does."""
    found = shown(kind)
    return View(
        title=_TITLES.get(kind, lambda result: str(result.scenario.name or kind)),
        headline=lambda result: found.tables(result.summary),
        written=found.written,
        tables=_TABLES[kind],
        chart=_CHARTS.get(kind),
    )


def training_plan_view() -> View:
    """That of `simulator plan`, which writes the best layout too."""
    return replace(summarised_view("training-plan"), written=layout_plan())


def _rounds(result: RoundsResult) -> pd.DataFrame:
    """One row a round: when it ends, how long it takes, and how many gradients it uses."""
    import pandas as pd

    found = result.outcome
    columns = {"end_s": np.cumsum(found.seconds), "round_s": found.seconds, "gradients_used": found.used}
    return pd.DataFrame({"round": np.arange(len(found.seconds)), **columns})


def _updates(result: FederatedResult) -> pd.DataFrame:
    """One row an update of the model: when, and how many updates of clients were taken in and made by then."""
    import pandas as pd

    found = result.gathered
    return pd.DataFrame({"at_s": found.at, "client_updates_taken": found.taken, "client_updates_made": found.made})


def _kernels(result: InferenceResult) -> pd.DataFrame:
    from simulator.report.graphs.operators import operator_table

    return operator_table(result)


def _items(result: PipelineResult) -> pd.DataFrame:
    import pandas as pd

    from simulator.report.graphs.pipeline_tables import item_columns

    return pd.DataFrame(item_columns(result))


def _visits(result: PipelineResult) -> pd.DataFrame:
    import pandas as pd

    from simulator.report.graphs.pipeline_tables import visit_columns

    return pd.DataFrame(visit_columns(result))


def _candidates(result: NetworkResult) -> pd.DataFrame:
    return result.table


def _network_front(result: NetworkResult) -> pd.DataFrame:
    return result.table.iloc[result.best]


def _layouts(result: TrainingAnswer) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([flat(row) for row in result.summary["best"]])


def _inference_title(result: InferenceResult) -> str:
    return f"{result.model.name} on {result.law.device.id}"


def _layouts_title(result: TrainingAnswer) -> str:
    return f"{result.chosen.step.job.model.name} on {result.plan.devices:,} devices"


def _time_by_type(result: InferenceResult) -> str:
    from simulator.report.svg import PALETTE, stacked_bars

    parts = dict(list(result.summary["time_by_type_ms"].items())[:8])
    return stacked_bars(list(parts), [[ms] for ms in parts.values()], ["time"], PALETTE, "ms")


def _pipeline_chart(result: PipelineResult) -> str:
    from simulator.report.graphs.pipeline_page import latencies

    return latencies(result)


_TITLES: dict[str, Any] = {"inference": _inference_title, "training-plan": _layouts_title}
_CHARTS: dict[str, Any] = {"inference": _time_by_type, "pipeline": _pipeline_chart}
_TABLES: dict[str, dict[str, Any]] = {
    "rounds": {"timeseries": _rounds},
    "federated": {"timeseries": _updates},
    "inference": {"kernels": _kernels},
    "pipeline": {"items": _items, "visits": _visits},
    "network-search": {"candidates": _candidates, "front": _network_front},
    "training-plan": {"layouts": _layouts},
}
