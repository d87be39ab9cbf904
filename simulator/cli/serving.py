"""Run scenarios that serve requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.cli.metrics import recorder_for, writer
from simulator.cli.options import made_folder, timeline_needs_out
from simulator.cli.results import Wanted, deliver

if TYPE_CHECKING:
    from simulator.kinds import Experiment


def run_serving(scenario: Experiment, wanted: Wanted) -> None:
    """Simulate a scenario that serves requests, write what was asked for and print the headline figures."""
    from simulator.experiment import request_source
    from simulator.kinds import only_serving, run_experiment
    from simulator.report.progress import progress
    from simulator.report.results import serving
    from simulator.report.table import print_summary
    from simulator.workloads.traces.expected import expected_requests

    timeline_needs_out(wanted.timeline, wanted.out)
    recorder = recorder_for(scenario, wanted.metrics)
    redrawn = only_serving(scenario, "--uncertainty") if wanted.uncertainty else None
    made_folder(wanted.out)

    def expected() -> float | None:
        return expected_requests(request_source(scenario.load))

    with progress("simulating", "requests", expected) as on_progress:
        result = run_experiment(scenario, on_progress=on_progress, recorder=recorder)
    summary = result.summary
    if redrawn is not None:
        from simulator.uncertainty import intervals

        with progress("intervals", "replications") as on_count:
            summary["intervals"] = intervals(redrawn, wanted.uncertainty, on_count=on_count)
    deliver(wanted, serving(writer(wanted.metrics)), result, summary, lambda: print_summary(summary))
