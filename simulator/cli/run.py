"""`simulator run`: a whole scenario file, of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from simulator.cli.metrics import Interval, Metrics, Start, metrics_wanted
from simulator.cli.options import Json, Out, Quiet, Settings, Timeline, Uncertainty, file_argument
from simulator.cli.results import Wanted
from simulator.cli.serving import run_serving
from simulator.cli.summarised import run_summarised
from simulator.shipped import SCENARIOS

if TYPE_CHECKING:
    from simulator.specs.part import Part


def run(
    scenario: Annotated[Path, file_argument("Scenario: a YAML file, or a name of simulator list.", SCENARIOS)],
    settings: Settings = None,
    uncertainty: Uncertainty = 0,
    timeline: Timeline = False,
    metrics: Metrics = False,
    metrics_interval: Interval = None,
    metrics_start: Start = None,
    out: Out = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Run a whole scenario file.

    Example: simulator run simulator/scenarios/serving/azure-conversation-70b.yaml --out out/ --set replicas=4
    """
    from simulator.kinds import load
    from simulator.published import is_published

    sampled = metrics_wanted(metrics, metrics_interval, metrics_start, out)
    wanted = Wanted(out, json_file, quiet, timeline, uncertainty, sampled)
    if is_published(scenario):
        _run_both(scenario, settings or [], wanted)
    else:
        _run_one(load(scenario, settings or []), wanted)


def _run_one(scenario: Part, wanted: Wanted) -> None:
    from simulator.kinds import Experiment

    if isinstance(scenario, Experiment):
        run_serving(scenario, wanted)
    else:
        run_summarised(scenario, wanted)


def _run_both(path: Path, settings: list[str], wanted: Wanted) -> None:
    """A published system beside its baseline, each in a folder of its own, and the ratio of the two."""
    from simulator.errors import InputError
    from simulator.published import compare_sides, load_published, sides
    from simulator.report.table import print_published

    if settings:
        raise InputError("--set does not apply to a published system: copy its file and change both sides there")
    found = load_published(path)
    if wanted.out is not None:
        for name, side in zip(("baseline", "system"), sides(found, path.parent), strict=True):
            _run_one(side, wanted._replace(out=wanted.out / name, json_file=None, quiet=True))
    answer = compare_sides(found, path.parent)
    if wanted.json_file is not None:
        from simulator.report.files import write_json

        reported = found.reported.ratio
        values = {"baseline": answer.baseline, "system": answer.system, "predicted": answer.ratio, "reported": reported}
        write_json(wanted.json_file, values)
    if not wanted.quiet:
        print_published(found, answer)
