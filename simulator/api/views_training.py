"""How steps of training are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.api.outcome import Rows, View
from simulator.report.kinds import shown
from simulator.report.training.tables import headline_rows, training_title
from simulator.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd


def training_view(result: TrainingResult) -> View:
    """Steps whose sequences are of different lengths have no passes of their own."""
    tables = {"memory": _memory}
    if result.varied is None:
        tables = {"passes": _passes, "timeseries": _held, "memory": _memory}
    return View(_title, _headline, shown("training").written, tables, _chart)


def _title(result: TrainingResult) -> str:
    return training_title(result.summary)


def _headline(result: TrainingResult) -> list[tuple[str, Rows]]:
    return [("", headline_rows(result.summary))]


def _passes(result: TrainingResult) -> pd.DataFrame:
    """One row a pass, transfer, reduction and update, by stage and stream; seconds from the step's beginning."""
    import pandas as pd

    from simulator.report.training.timeline import spans

    found = spans(result.step, list(range(result.step.job.layout.pipeline)))
    return pd.DataFrame(found, columns=["stage", "stream", "name", "start_s", "end_s"])


def _held(result: TrainingResult) -> pd.DataFrame:
    """One row a change: what a device of a stage holds from then on."""
    import pandas as pd

    from simulator.report.training.timeline import held

    stages = range(result.step.job.layout.pipeline)
    rows = [(stage, place, when, size) for stage in stages for place, when, size in held(result.step, stage)]
    return pd.DataFrame(rows, columns=["stage", "place", "at_s", "held_bytes"])


def _memory(result: TrainingResult) -> pd.DataFrame:
    """One row a stage of the pipeline: gigabytes of one of its devices, by what holds them."""
    import pandas as pd

    return pd.DataFrame(result.summary["memory_gb"]).rename_axis("stage").add_suffix("_gb").reset_index()


def _chart(result: TrainingResult) -> str:
    from simulator.report.training.figures import time_by_part

    return time_by_part(result.summary)
