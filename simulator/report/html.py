"""The report: one self-contained HTML page that needs no network, and no scripts to be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.report.figures import all_figures
from simulator.report.files import write_text
from simulator.report.table import COLUMNS, LATENCIES, deployment_title, headline, latency_rows, overload

if TYPE_CHECKING:
    from jinja2 import Template

    from simulator.cascade.result import Calls
    from simulator.experiment import Result

BANDS = {
    ("throughput", "requests_per_s"): "requests a second",
    ("throughput", "output_tokens_per_s"): "output tokens a second",
    ("goodput", "share"): "share of requests that meet the objectives",
    ("utilisation", "busy"): "busy share of the time",
    ("energy", "j_per_output_token"): "joules an output token",
    ("cost", "usd_per_million_output_tokens"): "USD a million output tokens",
}
PAGES = Path(__file__).parent


def write_report(path: Path, result: Result) -> None:
    """Write the page of a run to `path`, whole or not at all; the same result gives the same bytes."""
    write_text(path, report(result))


def report(result: Result) -> str:
    """The page of a run as text. Everything that comes from the user is escaped."""
    import yaml

    if result.calls is not None:
        return _calls_page(result, result.calls)
    summary, scenario = result.summary, result.scenario
    deployment = summary["deployment"]
    latency, between = summary["latency_ms"], summary.get("intervals", {})
    requests, title = summary["requests"]["finished"], deployment_title(deployment)
    return page_template("template.html").render(
        title=scenario.name or title,
        subtitle=f"{title + '; ' if scenario.name else ''}{requests:,} requests in {summary['makespan_s']:,.1f} s",
        overload=overload(summary),
        latency_columns=list(COLUMNS.values()),
        latency_rows=[
            (
                label,
                [
                    (f"{latency[key][c]:,.2f}", _between(between.get("latency_ms", {}).get(key, {}).get(c)))
                    for c in COLUMNS
                ],
            )
            for key, label in LATENCIES.items()
            if latency[key]
        ],
        intervals=f"{between['level']:.0%} interval from {between['replications']} replications" if between else "",
        bands=_bands(summary),
        headline=headline(summary),
        has_iterations="utilisation" in summary,
        figures=all_figures(result),
        memory=[(k.replace("_", " "), f"{v:,.3f}") for k, v in deployment["memory_per_device_gb"].items()],
        calibration=f"{deployment['calibration']}: {deployment['calibration_source']}",
        scenario=yaml.safe_dump(scenario.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True),
    )


def _calls_page(result: Result, calls: Calls) -> str:
    """The page of requests that are planned calls to several pools."""
    import yaml

    from simulator.kinds import plain
    from simulator.report.calls_table import POOL_COLUMNS, calls_headline, calls_title, pool_cells
    from simulator.report.figures import planned_figures

    summary, name = result.summary, calls.cascade.name
    title, requests = calls_title(summary["deployment"]), summary["requests"]["finished"]
    return page_template("cascade.html").render(
        title=name or title,
        subtitle=f"{title + '; ' if name else ''}{requests:,} requests in {summary['makespan_s']:,.1f} s",
        overload=overload(summary),
        latency_columns=list(COLUMNS.values()),
        latency_rows=latency_rows(summary),
        headline=calls_headline(summary),
        pool_columns=POOL_COLUMNS,
        pools=pool_cells(summary),
        roles=[(role, f"{count:,}") for role, count in summary["calls"]["by_role"].items()],
        figures=planned_figures(result),
        calibration=f"{summary['deployment']['calibration']}: {summary['deployment']['calibration_source']}",
        scenario=yaml.safe_dump(plain(calls.cascade), sort_keys=False, allow_unicode=True),
    )


def page_template(name: str) -> Template:
    """A page of this folder; what is filled in is escaped."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    def asset(file: str) -> Markup:
        return Markup((PAGES / "assets" / file).read_text(encoding="utf-8"))

    environment = Environment(autoescape=True, trim_blocks=True, loader=FileSystemLoader(PAGES))
    environment.globals["asset"] = asset
    return environment.get_template(name)


def _between(interval: list[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:,.2f} – {interval[1]:,.2f}"


def _bands(summary: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Low, predicted and high of the figures other than latencies; none without replications."""
    found = []
    for (part, key), label in BANDS.items():
        interval = summary.get("intervals", {}).get(part, {}).get(key)
        if interval is not None:
            low, value, high = (
                f"{x:,.3g}" if x < 1 else f"{x:,.2f}" for x in (interval[0], summary[part][key], interval[1])
            )
            found.append((label, low, value, high))
    return found
