"""The options of `replay` and `run` that write metrics over time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.engine.recorder import Recorder
    from simulator.specs.part import Part

Metrics = Annotated[
    bool, typer.Option("--metrics", help="Also write metrics.txt: OpenMetrics in the names of vLLM, over time.")
]
Interval = Annotated[float | None, typer.Option(metavar="SECONDS", help="Simulated seconds between samples.")]
Start = Annotated[str | None, typer.Option(metavar="TIME", help="Date and time that the simulation begins at.")]


class MetricsWanted(NamedTuple):
    """How metrics are to be sampled: seconds apart (None: by the length of the run), from a date on (None: usual)."""

    interval_s: float | None
    start: str | None


def metrics_wanted(wanted: bool, interval_s: float | None, start: str | None, out: Path | None) -> MetricsWanted | None:
    """What the options ask for. Raises `InputError` for metrics that would be written nowhere, or could not be."""
    if not wanted:
        for name, value in (("--metrics-interval", interval_s), ("--metrics-start", start)):
            if value is not None:
                raise InputError(f"{name} is about --metrics: add it too")
        return None
    if out is None:
        raise InputError("--metrics writes metrics.txt into the folder of --out: add --out DIR")
    from simulator.report.serving.scrapes import scrape_times
    from simulator.report.serving.vllm_metrics import START, seconds_since_1970

    scrape_times(0.0, interval_s)
    seconds_since_1970(START if start is None else start)
    return MetricsWanted(interval_s, start)


def recorder_for(scenario: Part, metrics: MetricsWanted | None) -> Recorder | None:
    """A recorder that keeps what metrics need. Raises `InputError` for a kind of scenario that has none."""
    if metrics is None:
        return None
    from simulator.engine.gaps import dated_recorder
    from simulator.kinds import only_serving

    only_serving(scenario, "--metrics")
    return dated_recorder()


def writer(metrics: MetricsWanted | None) -> Callable[..., None] | None:
    """What writes `metrics.txt` as it is wanted."""
    if metrics is None:
        return None
    from simulator.report.serving.vllm_metrics import write_metrics

    return partial(write_metrics, **metrics._asdict())
