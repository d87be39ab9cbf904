"""The page of a search over networks: all candidates as a cloud, and the front of the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.report.network_search import network_tables
from simulator.report.sections import Section, again, sectioned_page, table_sections
from simulator.report.svg import PALETTE, WAITS, drawing, svg

if TYPE_CHECKING:
    from simulator.planning.networks.search import NetworkResult

DOTS = 2_000  # of the cloud, so that the page stays small


def network_search_page(result: NetworkResult) -> str:
    """The page as text; the same result gives the same bytes."""
    scenario = result.scenario
    of = scenario.scenario
    return sectioned_page(
        scenario.name or "Search over networks",
        f"{of.get('model')} on {of.get('device')}, {len(result.table):,} candidates of {result.size:,}",
        [
            Section("Front", figures=[("Candidates and their front", "Each dot is a candidate.", _cloud(result))]),
            *table_sections(network_tables(result.summary)),
            again(scenario, "simulator run scenario.yaml --out out/"),
        ],
    )


def _cloud(result: NetworkResult) -> str:
    """All candidates (evenly thinned) and the front, over the first two objectives."""
    scenario, table = result.scenario, result.table
    names = [*scenario.minimise, *scenario.maximise]
    x, y = names[0], names[1] if len(names) > 1 else "parameters"
    figure, axes = drawing()
    thin = table.iloc[:: max(1, len(table) // DOTS)]
    axes.scatter(thin[x], thin[y], s=4, color=WAITS, label="candidates")
    best = table.iloc[result.best]
    axes.plot(best[x], best[y], "o-", ms=3, lw=1, color=PALETTE[0], label="front")
    axes.set(xlabel=x, ylabel=y)
    return svg(figure, axes)
