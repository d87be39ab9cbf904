"""Run a sweep: every distinct point once, on as many workers as there are, into one table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError
from simulator.specs.part import Part
from simulator.sweeping.backends import check, outcomes
from simulator.sweeping.journal import journal
from simulator.sweeping.points import identity, points, without_folders
from simulator.sweeping.spec import SweepSpec, read_sweep
from simulator.sweeping.table import sweep_table, write_sweep

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

RESULTS = "results.parquet"


@dataclass(frozen=True)
class Swept:
    """A finished sweep: its table, and how many distinct points this run simulated and found finished before."""

    spec: SweepSpec
    table: pa.Table
    simulated: int
    found: int

    @cached_property
    def results(self) -> pd.DataFrame:
        """One row a point: its settings, status, reason of failure, and figures, whose names carry their units."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    @property
    def settings(self) -> list[str]:
        """The fields that vary, as the sweep names them."""
        names: list[str] = self.table.column_names
        return names[1 : names.index("status")]

    @cached_property
    def best(self) -> pd.DataFrame:
        """The points that ran, best first by the figure that the sweep minimises or maximises."""
        ran = self.results[self.results["status"] == "ok"]
        figure = self.spec.ranked_by
        if figure is None or figure not in ran:
            return ran
        return ran.sort_values(figure, ascending=self.spec.minimise is not None, kind="stable")

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Counts of points as plain data, failures by their reason."""
        failed = self.table["reason"].drop_null().to_pylist()
        return {
            "name": self.spec.name,
            "points": self.table.num_rows,
            "failed": len(failed),
            "reasons": dict(Counter(failed).most_common()),
            "simulated": self.simulated,
            "found_finished": self.found,
        }


def sweep(
    spec: str | Path | Mapping[str, Any] | SweepSpec,
    *,
    out: str | Path | None = None,
    workers: int = -1,
    backend: str = "local",
    cluster: str | None = None,
    retry_failed: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Swept:
    """Simulate all points of a sweep: a file, plain values, or a `SweepSpec`.

    With `out`, finished points are kept in that folder's `sweep.jsonl`, where the same sweep finds them again, and the
    table is written to its `results.parquet`. The table does not depend on `workers` (-1: one a core), `backend`
    ("local", "dask", "ray") or on interruptions. `cluster` is the address of a Dask or Ray cluster. `on_progress` is
    told how many distinct points are finished, and of how many. Raises `InputError` for a sweep that cannot be run; a
    point that cannot be is a row with its reason.
    """
    from simulator.report.files import output_folder

    asked, folder = read_sweep(spec)
    check(backend, workers, cluster)
    every = points(asked, folder)
    distinct = {point.key: point for point in every if point.scenario is not None}
    with journal(None if out is None else output_folder(out), identity(every)) as kept:
        finished = {key: line for key, line in kept.outcomes.items() if key in distinct}
        if retry_failed:
            finished = {key: line for key, line in finished.items() if "reason" not in json.loads(line)}
        left = [point for key, point in distinct.items() if key not in finished]
        on_point = _counted(on_progress, len(finished), len(distinct))
        tasks = [(outcome, (point.key, point.scenario)) for point in left]
        for done, line in enumerate(outcomes(tasks, backend=backend, workers=workers, cluster=cluster), 1):
            kept.add(line)
            on_point(done)
        table = sweep_table(asked, every, kept.outcomes)
    if out is not None:
        write_sweep(Path(out) / RESULTS, table)
    return Swept(asked, table, len(left), len(finished))


def outcome(key: str, scenario: Part) -> str:
    """A point's line of JSON: its summary, or the reason why it failed, in which files are without their folders."""
    from simulator.kinds import simulate

    try:
        return json.dumps({"key": key, "summary": simulate(scenario).summary}, allow_nan=False)
    except InputError as error:
        reason = str(error)
    except Exception as error:  # a defect in one point must not take the others with it
        reason = f"{type(error).__name__}: {error}"
    reason = without_folders(reason, scenario.model_dump(mode="json"))
    return json.dumps({"key": key, "reason": " ".join(reason.split())})


def _counted(on_progress: Callable[[int, int], None] | None, before: int, total: int) -> Callable[[int], None]:
    if on_progress is None:
        return lambda done: None
    on_progress(before, total)
    return lambda done: on_progress(before + done, total)
