"""The report of a serving run: one self-contained HTML page that needs no network, and no scripts to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.report.sections import Section, again, sectioned_page
from simulator.report.serving.answer import serving_answer, stated
from simulator.report.serving.assumptions import NOT_MODELLED, assumption_rows, calibration_rows, provenance
from simulator.report.serving.calls_page import calls_page
from simulator.report.serving.figures import all_figures
from simulator.report.serving.limits import limiting_sentence
from simulator.report.serving.operator_time import operator_rows
from simulator.report.serving.replicas import replica_rows
from simulator.report.serving.step_time import Spent, step_time
from simulator.report.table import COLUMNS, LATENCIES, deployment_title, headline

if TYPE_CHECKING:
    from simulator.experiment import Result

BANDS = {
    ("throughput", "requests_per_s"): "requests a second",
    ("throughput", "output_tokens_per_s"): "output tokens a second",
    ("goodput", "share"): "share of requests that meet the objectives",
    ("utilisation", "busy"): "busy share of the time",
    ("energy", "j_per_output_token"): "joules an output token",
    ("cost", "usd_per_million_output_tokens"): "USD a million output tokens",
}
CAUTIOUS = "all shapes of one kind of kernel err together, which is cautious"


def report(result: Result) -> str:
    """The page of a run as text. Everything that comes from the user is escaped."""
    if result.calls is not None:
        return calls_page(result, result.calls)
    summary, scenario = result.summary, result.scenario
    title = deployment_title(summary["deployment"])
    spent = step_time(result)
    uncertainty = f" --uncertainty {summary['intervals']['replications']}" if "intervals" in summary else ""
    return sectioned_page(
        scenario.name or title,
        title if scenario.name else "",
        [
            _latencies(summary),
            Section(
                "Charts",
                about=""
                if spent
                else "Iterations were not kept, so charts of tokens, cache, power and roofline are left out.",
                figures=all_figures(result, spent),
            ),
            *_details(result, spent),
            again(scenario, f"simulator run scenario.yaml --out out/{uncertainty}"),
        ],
        serving_answer(summary, limiting_sentence(result, spent)),
    )


def _latencies(summary: dict[str, Any]) -> Section:
    """Latencies by percentile, the interval of each under it."""
    latency, between = summary["latency_ms"], summary.get("intervals")
    rows = [
        {"": label}
        | {
            name: f"{latency[key][column]:,.2f}{_under(between, key, column)}"
            for column, name in COLUMNS.items()
        }
        for key, label in LATENCIES.items()
        if latency[key]
    ]  # fmt: skip
    about = "How sure they are is not asked for: --uncertainty 20 gives the interval of each."
    if between is not None:
        about = f"Below each figure its {_replicated(between)}; {CAUTIOUS}."
    return Section("Latency (milliseconds)", rows, about)


def _under(intervals: dict[str, Any] | None, key: str, column: str) -> str:
    found = None if intervals is None else intervals["latency_ms"].get(key, {}).get(column)
    return "" if found is None else f"\n{found[0]:,.2f} – {found[1]:,.2f}"


def _replicated(intervals: dict[str, Any]) -> str:
    return f"{intervals['level']:.0%} interval from {intervals['replications']} replications"


def _details(result: Result, spent: Sequence[Spent]) -> list[Section]:
    """What stands behind the figures: operators, replicas, memory, assumptions and calibration."""
    summary = result.summary
    memory = summary["deployment"]["memory_per_device_gb"]
    return [
        Section(
            "Where the time of iterations goes",
            operator_rows(spent),
            "Iterations of the run, explained operator by operator as simulator explain does; shares are of the busy "
            "time. The bound is what holds an operator most of its time.",
        ),
        Section("Figures of the run", [{"figure": n, "value": stated(v, u)} for n, v, u in headline(summary)]),
        Section("How sure the figures are", _bands(summary), f"{CAUTIOUS[0].upper()}{CAUTIOUS[1:]}."),
        Section("Replicas", replica_rows(result)),
        Section(
            "Memory of a device (GB)",
            [{"figure": k.replace("_", " "), "value": f"{v:,.3f}"} for k, v in memory.items()],
        ),
        Section("What the run takes for granted", assumption_rows(result), sentences=[NOT_MODELLED]),
        Section(
            "What the times rest on",
            calibration_rows(result, spent),
            "Errors hold nine in ten of the measurements behind a curve; another device's curves, and what was never "
            "measured, have the error of predictions from datasheets alone.",
            sentences=list(dict.fromkeys(provenance(pool.deployment) for pool in result.pools)),
        ),
    ]


def _bands(summary: dict[str, Any]) -> list[dict[str, str]]:
    """Low, predicted and high of the figures other than latencies; none without replications."""
    found = []
    for (part, key), label in BANDS.items():
        interval = summary.get("intervals", {}).get(part, {}).get(key)
        if interval is not None:
            low, value, high = (
                f"{x:,.3g}" if x < 1 else f"{x:,.2f}" for x in (interval[0], summary[part][key], interval[1])
            )
            found.append({"": label, "low": low, "predicted": value, "high": high})
    return found
