"""The page of a search over networks: all candidates as a cloud, and the front of the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.report.graphs.network_search import COLUMNS, network_tables, short
from simulator.report.live import name_marks
from simulator.report.sections import Answer, KeyFigure, Section, again, sectioned_page, table_sections
from simulator.report.svg import PALETTE, WAITS, drawing, legend_above, svg
from simulator.report.training.answer import large

if TYPE_CHECKING:
    import pandas as pd

    from simulator.planning.networks.search import NetworkResult

DOTS = 400  # of the cloud, so that the page stays small


def network_search_page(result: NetworkResult) -> str:
    """The page as text; the same result gives the same bytes."""
    scenario = result.scenario
    of = scenario.scenario
    counts, spread, front = network_tables(result.summary)
    return sectioned_page(
        scenario.name or "Search over networks",
        f"{of.get('model')} on {of.get('device')}, {len(result.table):,} candidates of {result.size:,}",
        [
            Section("Charts", figures=[("Candidates and their front", "Each mark is a network.", _cloud(result))]),
            *table_sections([front, spread, counts]),
            again(scenario, "simulator run scenario.yaml --out out/"),
        ],
        _answer(result),
    )


def _answer(result: NetworkResult) -> Answer:
    """How large the front is, and the best of it by each objective."""
    scenario, best = result.scenario, result.table.iloc[result.best]
    figures = [KeyFigure("On the front", f"{len(best):,}", "", f"of {len(result.table):,} candidates")]
    said = ["No other candidate is better than one of the front in one objective without being worse in another."]
    if best.empty:
        return Answer(figures, ["No candidate is within the limits."])
    for names, way in ((scenario.minimise, "Least"), (scenario.maximise, "Most")):
        for name in names:
            value = float(best[name].min() if way == "Least" else best[name].max())
            what, _, unit = COLUMNS.get(name, name).partition(" (")
            figures.append(KeyFigure(f"{way} {what}", *large(value, unit.rstrip(")"))))
    return Answer(figures, said)


def _cloud(result: NetworkResult) -> str:
    """All candidates (evenly thinned) and the front, over the first two objectives."""
    from matplotlib.ticker import EngFormatter

    scenario, table = result.scenario, result.table
    names = [*scenario.minimise, *scenario.maximise]
    x, y = names[0], names[1] if len(names) > 1 else "parameters"
    figure, axes = drawing(height=3.6)
    thin, best = table.iloc[:: max(1, len(table) // DOTS)], table.iloc[result.best]
    cloud = axes.scatter(thin[x], thin[y], s=5, color=WAITS, label="candidates", linewidths=0)
    name_marks(cloud, _networks(result, thin))
    axes.plot(best[x], best[y], lw=1, color=PALETTE[0])
    front = axes.scatter(best[x], best[y], s=18, color=PALETTE[0], label="front", linewidths=0, zorder=3)
    name_marks(front, _networks(result, best))
    axes.set(xlabel=COLUMNS.get(x, x), ylabel=COLUMNS.get(y, y))
    for name, axis in ((x, axes.xaxis), (y, axes.yaxis)):
        if float(table[name].max()) >= 1e5:
            axis.set_major_formatter(EngFormatter(sep=""))
    axes.set_axisbelow(True)
    legend_above(axes)
    return svg(figure, axes, legend=False)


def _networks(result: NetworkResult, rows: pd.DataFrame) -> list[str]:
    """What each candidate is: the values that were chosen for it."""
    fields = [(short(name), rows[name].tolist()) for name in result.scenario.space]
    return [", ".join(f"{name} {values[i]}" for name, values in fields) for i in range(len(rows))]
