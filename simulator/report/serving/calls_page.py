"""The page of requests that are planned calls to several pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.report.sections import Section, again, sectioned_page
from simulator.report.serving.answer import calls_answer, stated
from simulator.report.serving.assumptions import calibration_rows, provenance
from simulator.report.serving.calls_table import POOL_COLUMNS, calls_headline, calls_title, pool_cells
from simulator.report.serving.figures import planned_figures
from simulator.report.serving.limits import limiting_sentence
from simulator.report.serving.step_time import step_time
from simulator.report.table import COLUMNS, latency_rows

if TYPE_CHECKING:
    from simulator.cascade.result import Calls
    from simulator.experiment import Result


def calls_page(result: Result, calls: Calls) -> str:
    """The page as text. Everything that comes from the user is escaped."""
    summary, cascade = result.summary, calls.cascade
    title, requests = calls_title(summary["deployment"]), summary["requests"]["finished"]
    busy = {name: run for name, run in calls.pools.items() if len(run.iteration_columns["start_s"])}
    spent = {name: step_time(run) for name, run in busy.items()}
    limits = [f"{name}: {limiting_sentence(run, spent[name])}" for name, run in busy.items()]
    columns = ["", *COLUMNS.values()]
    return sectioned_page(
        cascade.name or title,
        f"{title + '; ' if cascade.name else ''}{requests:,} requests",
        [
            Section(
                "Latency of whole requests (milliseconds)",
                [dict(zip(columns, row, strict=True)) for row in latency_rows(summary)],
                "From when a request is sent to when its answer, as far as it may be shown, is back over the network.",
            ),
            Section("Charts", figures=planned_figures(result, spent)),
            Section(
                "Pools",
                [dict(zip(POOL_COLUMNS, row, strict=True)) for row in pool_cells(summary)],
                "Answers: the share of the requests whose answer is the pool's. Times of calls are those at the pool, "
                "without the network.",
            ),
            Section("What limits each pool", sentences=limits),
            Section(
                "Calls by role", [{"figure": k, "value": f"{v:,}"} for k, v in summary["calls"]["by_role"].items()]
            ),
            Section(
                "Figures of the run", [{"figure": n, "value": stated(v, u)} for n, v, u in calls_headline(summary)]
            ),
            Section(
                "What the times rest on",
                [
                    {"pool": name, **row}
                    for name, run in calls.pools.items()
                    for row in calibration_rows(run, spent.get(name, []))
                ],
                sentences=list(dict.fromkeys(provenance(run.deployment) for run in calls.pools.values())),
            ),
            again(cascade, "simulator run scenario.yaml --out out/"),
        ],
        calls_answer(summary, ""),
    )
