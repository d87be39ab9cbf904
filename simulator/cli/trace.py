"""`simulator trace`: inspect, convert and synthesise request traces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Inspect, convert and synthesise request traces.", no_args_is_help=True)

Format = Annotated[str | None, typer.Option("--format", help="Trace format, where it cannot be told.")]
OnError = Annotated[str, typer.Option(help="Damaged rows: stop, or skip and count them.")]
Limit = Annotated[int | None, typer.Option(help="Only the first N requests.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write JSON to FILE.")]


@app.command("describe")
def describe(
    trace: Annotated[Path, typer.Argument(help="Request trace.")],
    trace_format: Format = None,
    on_error: OnError = "stop",
    limit: Limit = None,
    json_file: Json = None,
) -> None:
    """Describe a trace: rate, burstiness, lengths, prefix sharing, what was skipped.

    Example: simulator trace describe traces/azure-like-conversation.csv.gz
    """
    from simulator.report.files import write_json
    from simulator.report.table import print_facts
    from simulator.workloads.traces import describe as describe_source
    from simulator.workloads.traces import open_trace

    facts = describe_source(open_trace(trace, format=trace_format, on_error=on_error, limit=limit))
    if json_file is not None:
        write_json(json_file, facts)
    print_facts(str(trace), facts)


@app.command("convert")
def convert(
    trace: Annotated[Path, typer.Argument(help="Request trace to read.")],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .jsonl or .parquet, with .gz or .zst if wanted.")],
    trace_format: Format = None,
    on_error: OnError = "stop",
    limit: Limit = None,
    speed_up: Annotated[float, typer.Option(help="Divide arrival times by this.")] = 1.0,
) -> None:
    """Convert a trace of any known format to the simulator's own CSV, JSONL or Parquet.

    Example: simulator trace convert AzureLLMInferenceTrace_conv.csv --out azure.parquet
    """
    from simulator.workloads.traces import open_trace, write_requests

    source = open_trace(trace, format=trace_format, on_error=on_error, limit=limit, speed_up=speed_up)
    count = write_requests(out, source)
    print(f"wrote {count:,} requests to {out}")


@app.command("generate")
def generate(
    spec: Annotated[
        Path, typer.Argument(help="YAML file with arrivals, prompt_tokens, output_tokens, requests, seed.")
    ],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .jsonl or .parquet, with .gz or .zst if wanted.")],
) -> None:
    """Generate a synthetic trace from a YAML specification.

    Example: simulator trace generate traces/azure-like-conversation.yaml --out trace.csv.gz
    """
    from simulator.errors import InputError
    from simulator.workloads.generators import generate as build
    from simulator.workloads.traces import write_requests
    from simulator.yaml_io import load_yaml

    values = load_yaml(spec)
    if not isinstance(values, dict):
        raise InputError("a generator is a mapping of fields", file=spec)
    count = write_requests(out, build(values))
    print(f"wrote {count:,} requests to {out}")
