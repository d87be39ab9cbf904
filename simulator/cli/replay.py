"""`simulator replay` and `simulator run`: simulate a load and write what happened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from simulator.cli import completion
from simulator.cli.metrics import Interval, Metrics, MetricsWanted, Start, metrics_wanted
from simulator.cli.options import Json, Out, Quiet, Settings, Timeline, made_folder, timeline_needs_out

if TYPE_CHECKING:
    from simulator.experiment import Result
    from simulator.kinds import Experiment
    from simulator.specs.part import Part

DEPLOYMENT = "Deployment"
Uncertainty = Annotated[
    int, typer.Option(metavar="N", help="Also give 90 % intervals, from N replications with kernel times redrawn.")
]


def replay(
    trace: Annotated[
        Path,
        typer.Argument(
            help="Request trace: CSV, JSONL or Parquet, plain, .gz or .zst.",
            autocompletion=completion.files(*completion.TRACES),
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="Model name, or path to a Hugging Face config.json.",
            autocompletion=completion.models,
            rich_help_panel=DEPLOYMENT,
        ),
    ],
    device: Annotated[
        str,
        typer.Option(
            help="Device name, or path to a device YAML file.",
            autocompletion=completion.devices,
            rich_help_panel=DEPLOYMENT,
        ),
    ],
    tensor_parallel: Annotated[int, typer.Option(help="Devices that share each layer.")] = 1,
    pipeline_parallel: Annotated[int, typer.Option(help="Stages that the layers are cut into.")] = 1,
    data_parallel: Annotated[int, typer.Option(help="Attention groups inside a replica (MoE models).")] = 1,
    expert_parallel: Annotated[int, typer.Option(help="Devices that whole experts are spread over.")] = 1,
    replicas: Annotated[int, typer.Option(help="Copies of the model behind the router.")] = 1,
    policy: Annotated[
        str,
        typer.Option(help="Batching policy by name, or module:Class.", autocompletion=completion.policies("batching")),
    ] = "vllm-v1",
    queue: Annotated[
        str,
        typer.Option(help="Queue discipline by name, or module:Class.", autocompletion=completion.policies("queue")),
    ] = "fcfs",
    router: Annotated[
        str, typer.Option(help="Router by name, or module:Class.", autocompletion=completion.policies("router"))
    ] = "round-robin",
    concurrency: Annotated[
        int | None, typer.Option(help="Closed loop: this many clients, arrival times ignored.")
    ] = None,
    settings: Settings = None,
    limit: Annotated[int | None, typer.Option(help="Replay only the first N requests.")] = None,
    speed_up: Annotated[float, typer.Option(help="Divide arrival times by this.")] = 1.0,
    trace_format: Annotated[str | None, typer.Option("--format", help="Trace format, where it cannot be told.")] = None,
    on_error: Annotated[
        str,
        typer.Option(
            help="Damaged trace rows: stop, or skip and count them.", autocompletion=completion.choices("stop", "skip")
        ),
    ] = "stop",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    step_by_step: Annotated[
        bool, typer.Option("--step-by-step", help="Simulate every step (the slow reference).")
    ] = False,
    uncertainty: Uncertainty = 0,
    timeline: Timeline = False,
    metrics: Metrics = False,
    metrics_interval: Interval = None,
    metrics_start: Start = None,
    out: Out = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Replay a request trace through a deployment and report latency, throughput, energy and cost.

    Example: simulator replay traces/azure-like-conversation.csv.gz --model meta-llama/Llama-3.1-70B
    --device nvidia-h100-sxm-80gb --tensor-parallel 4 --replicas 8 --out out/
    """
    from simulator.scenario import apply_overrides, scenario_from

    values: dict[str, Any] = {
        "model": model,
        "device": device,
        "replicas": replicas,
        "parallel": {
            "tensor": tensor_parallel,
            "pipeline": pipeline_parallel,
            "data": data_parallel,
            "expert": expert_parallel,
        },
        "batching": {"policy": policy},
        "queue": {"policy": queue},
        "router": {"policy": router},
        "load": {
            "trace": str(trace),
            "format": trace_format,
            "on_error": on_error,
            "limit": limit,
            "speed_up": speed_up,
            "concurrency": concurrency,
        },
        "seed": seed,
        "fast_forward": not step_by_step,
    }
    apply_overrides(values, settings or [])
    sampled = metrics_wanted(metrics, metrics_interval, metrics_start, out)
    _simulate(scenario_from(values), Wanted(out, json_file, timeline, quiet, uncertainty, sampled))


def run_scenario(
    scenario: Annotated[
        Path, typer.Argument(help="Scenario file in YAML.", autocompletion=completion.files(*completion.YAML))
    ],
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
    from simulator.kinds import is_summarised, load_experiment
    from simulator.published import is_published

    sampled = metrics_wanted(metrics, metrics_interval, metrics_start, out)
    wanted = Wanted(out, json_file, timeline, quiet, uncertainty, sampled)
    if is_published(scenario):
        _run_both(scenario, settings or [], wanted)
    elif is_summarised(scenario):
        from simulator.kinds import load_summarised

        _train(load_summarised(scenario, settings or []), wanted)
    else:
        _simulate(load_experiment(scenario, settings or []), wanted)


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
            _any(side, wanted._replace(out=wanted.out / name, json_file=None, quiet=True))
    answer = compare_sides(found, path.parent)
    if wanted.json_file is not None:
        from simulator.report.files import write_json

        reported = found.reported.ratio
        values = {"baseline": answer.baseline, "system": answer.system, "predicted": answer.ratio, "reported": reported}
        write_json(wanted.json_file, values)
    if not wanted.quiet:
        print_published(found, answer)


class Wanted(NamedTuple):
    """What a command is to write and print."""

    out: Path | None
    json_file: Path | None
    timeline: bool
    quiet: bool
    uncertainty: int
    metrics: MetricsWanted | None = None


def _any(scenario: Part, wanted: Wanted) -> None:
    """A scenario of any kind."""
    from simulator.kinds import Experiment

    if isinstance(scenario, Experiment):
        _simulate(scenario, wanted)
    else:
        _train(scenario, wanted)


def _train(scenario: Part, wanted: Wanted) -> None:
    from simulator.cli.summarised import run_summarised
    from simulator.errors import InputError

    for name, given in (("--uncertainty", wanted.uncertainty), ("--metrics", wanted.metrics)):
        if given:
            raise InputError(f"{name} is not modelled for kind {getattr(scenario, 'kind', '')}: leave it out")
    run_summarised(scenario, out=wanted.out, json_file=wanted.json_file, timeline=wanted.timeline, quiet=wanted.quiet)


def _simulate(scenario: Experiment, wanted: Wanted) -> None:
    from simulator.cli.metrics import recorder_for, write_wanted
    from simulator.experiment import request_source
    from simulator.kinds import run_experiment
    from simulator.report import files
    from simulator.report.progress import progress
    from simulator.workloads.traces.expected import expected_requests

    timeline_needs_out(wanted.timeline, wanted.out)
    recorder = recorder_for(scenario, wanted.metrics)
    folder = made_folder(wanted.out)

    def expected() -> float | None:
        return expected_requests(request_source(scenario.load))

    with progress("simulating", "requests", expected) as on_progress:
        result = run_experiment(scenario, on_progress=on_progress, recorder=recorder)
    summary = result.summary
    if wanted.uncertainty:
        from simulator.kinds import only_serving
        from simulator.uncertainty import intervals

        serving = only_serving(scenario, "--uncertainty")
        with progress("intervals", "replications") as on_count:
            summary["intervals"] = intervals(serving, wanted.uncertainty, on_count=on_count)
    if folder is not None:
        from simulator.report.html import write_report

        files.write_requests(folder / "requests.parquet", result)
        write_report(folder / "report.html", result)
        if result.calls is not None:
            files.write_table(folder / "calls.parquet", result.calls.table())
        if wanted.timeline:
            _write_timelines(folder, result)
        if wanted.metrics is not None:
            write_wanted(folder, result, wanted.metrics)
        files.write_json(folder / "summary.json", summary)
    if wanted.json_file is not None:
        files.write_json(wanted.json_file, summary)
    if not wanted.quiet:
        from simulator.report.table import print_summary

        print_summary(summary)


def _write_timelines(folder: Path, result: Result) -> None:
    """`timeline.json`, or one a pool where requests are calls to several."""
    from simulator.report.timeline import write_timeline

    if result.calls is None:
        write_timeline(folder / "timeline.json", result)
        return
    for name, pool in result.calls.pools.items():
        if len(pool.request_columns["index"]):
            write_timeline(folder / f"timeline-{name}.json", pool)
