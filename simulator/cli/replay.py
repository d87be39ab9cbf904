"""`simulator replay`: a request trace through a deployment that options describe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.cli import completion
from simulator.cli.metrics import Interval, Metrics, Start, metrics_wanted
from simulator.cli.options import Json, Out, Quiet, Settings, Timeline, Uncertainty
from simulator.cli.results import Wanted
from simulator.cli.serving import run_serving

DEPLOYMENT = "Deployment"


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
    run_serving(scenario_from(values), Wanted(out, json_file, quiet, timeline, uncertainty, sampled))
