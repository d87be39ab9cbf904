"""What a run, comparison or plan came to, as pandas objects, pages and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError
from simulator.report.flat import Scalar, flat, flat_intervals

if TYPE_CHECKING:
    import pandas as pd

    from simulator.report.written import Written

Rows = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class View:
    """How results of one kind are seen, all by functions of the simulator's own result.

    `title` is one line, `headline` titled tables of formatted cells, `tables` frames by name, and `written` what goes
    into files; `chart` is a small drawing as SVG. `flatten` makes one row of the figures, and `intervals` finds those
    among them.
    """

    title: Callable[[Any], str]
    headline: Callable[[Any], list[tuple[str, Rows]]]
    written: Written
    tables: Mapping[str, Callable[[Any], pd.DataFrame]]
    chart: Callable[[Any], str] | None = None
    flatten: Callable[[Mapping[str, Any]], dict[str, Scalar]] = flat
    intervals: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda figures: figures.get("intervals", {})


@dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """What a run, comparison or plan came to.

    `figures` are nested plain data, exactly what `summary.json` holds; `scenario_yaml` is the text of the file, or of a
    comparison the documents of its files, from which the command that `again` names gives the same numbers. `result` is
    the simulator's own object, with all that it knows and no promise to stay as it is. Tables are there by kind, as
    `tables` tells; one that a kind does not have raises `InputError`.
    """

    kind: str
    name: str
    figures: dict[str, Any]
    result: Any
    scenario_yaml: str
    again: str
    view: View

    @cached_property
    def summary(self) -> pd.Series[Any]:
        """Headline figures by dotted name with units, such as `latency_ms.ttft.p99`; lists are left out.

        `pandas.DataFrame([a.summary, b.summary])` puts runs side by side.
        """
        import pandas as pd

        return pd.Series(self.view.flatten(self.figures), name=self.name, dtype=object)

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """The 90 % interval of each figure of the run, or of a plan's best, by name: `low` and `high`, in its unit."""
        import pandas as pd

        rows = flat_intervals(self.view.intervals(self.figures))
        if not rows:
            raise InputError("this has no intervals: give uncertainty=N, the number of replications, where it is run")
        return pd.DataFrame(list(rows.values()), index=list(rows), columns=["low", "high"])

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that there are."""
        return tuple(self.view.tables)

    def table(self, name: str) -> pd.DataFrame:
        """A table by its name. Raises `InputError` for one that this kind does not have."""
        if name not in self.view.tables:
            known = ", ".join(self.view.tables) or "none"
            raise InputError(f"kind {self.kind} has no table {name!r}; it has: {known}")
        if name not in self._made:
            self._made[name] = self.view.tables[name](self.result)
        return self._made[name]

    @property
    def requests(self) -> pd.DataFrame:
        """One row a finished request, in the order of the trace: times in seconds (`_s`), counts of tokens."""
        return self.table("requests")

    @property
    def timeseries(self) -> pd.DataFrame:
        """The run over time: iterations of serving, bytes held in training, rounds, updates of a federation."""
        return self.table("timeseries")

    @property
    def calls(self) -> pd.DataFrame:
        """Of a cascade, one row a call to one of its pools; times in seconds."""
        return self.table("calls")

    @property
    def passes(self) -> pd.DataFrame:
        """Of a training step, one row a pass, transfer, reduction and update of a stage; times in seconds."""
        return self.table("passes")

    @property
    def kernels(self) -> pd.DataFrame:
        """Of an inference, one row a kernel: seconds, FLOPs, bytes and what bounds it."""
        return self.table("kernels")

    @property
    def items(self) -> pd.DataFrame:
        """Of a pipeline, one row an item: when it was made, ended or dropped, in seconds."""
        return self.table("items")

    @property
    def visits(self) -> pd.DataFrame:
        """Of a pipeline, one row a visit of an item to a stage; times in seconds."""
        return self.table("visits")

    @property
    def candidates(self) -> pd.DataFrame:
        """Of a search over networks, one row a candidate: its values and its figures."""
        return self.table("candidates")

    @property
    def deployments(self) -> pd.DataFrame:
        """Of a plan, one row a deployment that meets every objective, cheapest first, or the one that comes nearest."""
        return self.table("deployments")

    @property
    def layouts(self) -> pd.DataFrame:
        """Of a plan of training, one row a layout, quickest first."""
        return self.table("layouts")

    @property
    def front(self) -> pd.DataFrame:
        """Of a plan or search, the rows that none beats in everything asked for."""
        return self.table("front")

    @property
    def differences(self) -> pd.DataFrame:
        """Of a comparison, how each scenario differs from the first: by request, or by figure."""
        return self.table("differences")

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML page to `path`, whole or not at all."""
        from simulator.report.files import write_text

        page = self.view.written.page
        if page is None:
            raise InputError(f"kind {self.kind} has no page: report each side of it by simulator.run")
        write_text(Path(path), page(self.result))
        return Path(path)

    def timeline(self, path: str | Path) -> Path:
        """Write the run to `path` as a Chrome trace, which opens in Perfetto."""
        write = self.view.written.timeline
        if write is None:
            raise InputError(f"kind {self.kind} has no timeline: leave it out")
        write(Path(path), self.result)
        return Path(path)

    def metrics(self, path: str | Path, *, interval_s: float | None = None, start: str | None = None) -> Path:
        """Write the run over time to `path` as OpenMetrics text in the names of vLLM, as `--metrics` does.

        Samples are `interval_s` simulated seconds apart, by the length of the run if None, and `start` is the date and
        time that the simulation begins at. Raises `InputError` for a run that kept no metrics.
        """
        write = self.view.written.metrics
        if write is None:
            raise InputError("this kept no metrics: give metrics=True where it is run")
        write(Path(path), self.result, interval_s=interval_s, start=start)
        return Path(path)

    def save(self, folder: str | Path, *, timeline: bool = False) -> Path:
        """Write everything that the command writes into `folder`, which is made if it is not there."""
        from simulator.report.files import output_folder
        from simulator.report.written import write_result

        if timeline and self.view.written.timeline is None:
            raise InputError(f"kind {self.kind} has no timeline: leave it out")
        found = output_folder(folder)
        write_result(found, self.view.written, self.result, self.figures, timeline=timeline)
        return found

    @cached_property
    def _made(self) -> dict[str, pd.DataFrame]:
        return {}

    def __repr__(self) -> str:
        lines = [f"{self.kind}: {self.view.title(self.result)}"]
        lines += [_line(rows) for _, rows in self.view.headline(self.result)[:2] if rows]
        return "\n".join(
            [*lines, f"tables: {', '.join(self.tables) or 'none'}; {len(self.summary)} figures in .summary"]
        )

    def _repr_html_(self) -> str:
        from simulator.api.notebook import block

        chart = "" if self.view.chart is None else self.view.chart(self.result)
        return block(self.name, self.view.title(self.result), self.view.headline(self.result), chart, self.again)


def _line(rows: Rows) -> str:
    """The first figures of a table in one line: figures with their values, or the first row by column."""
    if list(rows[0]) == ["figure", "value"]:
        return "; ".join(f"{row['figure']} {row['value']}" for row in rows[:4])
    return ", ".join(f"{name} {cell}" for name, cell in list(rows[0].items())[:7] if cell)
