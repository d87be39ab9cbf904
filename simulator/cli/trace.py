"""`simulator trace`: inspect, convert and synthesise request traces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli import completion
from simulator.cli.options import Json

if TYPE_CHECKING:
    from simulator.workloads.requests import RequestSource

app = typer.Typer(help="Inspect, convert and synthesise request traces.", no_args_is_help=True)

Trace = Annotated[
    Path, typer.Argument(help="Request trace to read.", autocompletion=completion.files(*completion.TRACES))
]
Format = Annotated[str | None, typer.Option("--format", help="Trace format, where it cannot be told.")]
OnError = Annotated[str, typer.Option(help="Damaged rows: stop, or skip and count them.")]
Limit = Annotated[int | None, typer.Option(help="Only the first N requests.")]


@app.command("describe")
def describe(
    trace: Trace,
    trace_format: Format = None,
    on_error: OnError = "stop",
    limit: Limit = None,
    json_file: Json = None,
) -> None:
    """Describe a trace: rate, burstiness, lengths, prefix sharing, what was skipped.

    Example: simulator trace describe traces/azure-like-conversation.csv.gz
    """
    from simulator.report.files import write_json
    from simulator.report.progress import progress
    from simulator.report.table import print_facts
    from simulator.workloads.traces import describe as describe_source
    from simulator.workloads.traces import open_trace

    source = open_trace(trace, format=trace_format, on_error=on_error, limit=limit)
    with progress("reading"):
        facts = describe_source(source)
    if json_file is not None:
        write_json(json_file, facts)
    print_facts(str(trace), facts)


@app.command("convert")
def convert(
    trace: Trace,
    out: Annotated[Path, typer.Option(help="File to write: .csv, .jsonl or .parquet, with .gz or .zst if wanted.")],
    trace_format: Format = None,
    on_error: OnError = "stop",
    limit: Limit = None,
    speed_up: Annotated[float, typer.Option(help="Divide arrival times by this.")] = 1.0,
    json_file: Json = None,
) -> None:
    """Convert a trace of any known format to the simulator's own CSV, JSONL or Parquet.

    Example: simulator trace convert traces/azure-like-conversation.csv.gz --out azure.parquet
    """
    from simulator.workloads.traces import open_trace

    source = open_trace(trace, format=trace_format, on_error=on_error, limit=limit, speed_up=speed_up)
    _write(source, out, json_file)


@app.command("generate")
def generate(
    spec: Annotated[
        Path, typer.Argument(help="YAML file with arrivals, prompt_tokens, output_tokens, requests, seed.")
    ],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .jsonl or .parquet, with .gz or .zst if wanted.")],
    json_file: Json = None,
) -> None:
    """Generate a synthetic trace from a YAML specification.

    Example: simulator trace generate traces/azure-like-conversation.yaml --out trace.csv.gz
    """
    from simulator.errors import InputError
    from simulator.workloads.generators import generate as build
    from simulator.yaml_io import load_yaml

    values = load_yaml(spec)
    if not isinstance(values, dict):
        raise InputError("a generator is a mapping of fields", file=spec)
    _write(build(values), out, json_file)


def _write(source: RequestSource, out: Path, json_file: Path | None) -> None:
    from simulator.report.files import write_json
    from simulator.report.progress import progress
    from simulator.report.terminal import say
    from simulator.workloads.traces import write_requests

    with progress("writing requests"):
        count = write_requests(out, source)
    say(f"wrote {count:,} requests to {out}")
    if json_file is not None:
        write_json(json_file, {"written": str(out), "requests": count})
