"""`simulator observe`: record a real server under a given load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.workloads.requests import Requests


def observe(
    url: Annotated[str, typer.Argument(help="Address of the server, e.g. http://127.0.0.1:8000.")],
    model: Annotated[str, typer.Option(help="Model to ask for, by the name that the server serves it under.")],
    out: Annotated[Path, typer.Option(help="Folder for the recording, which validate serving reads.")],
    trace: Annotated[Path | None, typer.Option(help="Request trace to offer, at its arrival times.")] = None,
    rate: Annotated[float | None, typer.Option(help="Without a trace: Poisson arrivals a second.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Closed loop: this many clients, arrival times ignored.")
    ] = None,
    requests: Annotated[int, typer.Option(min=1, help="Without a trace: requests to send.")] = 100,
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Without a trace: tokens of each prompt.")] = 512,
    output_tokens: Annotated[int, typer.Option(min=1, help="Without a trace: tokens of each output.")] = 128,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N requests of the trace.")] = None,
    speed_up: Annotated[float, typer.Option(help="Divide the trace's arrival times by this.")] = 1.0,
    trace_format: Annotated[str | None, typer.Option("--format", help="Trace format, where it cannot be told.")] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Use /v1/chat/completions, not /v1/completions.")] = False,
    stop_at_eos: Annotated[
        bool, typer.Option("--stop-at-eos", help="Let outputs end early: for servers that do not know ignore_eos.")
    ] = False,
    warm_up: Annotated[int, typer.Option(min=0, help="Requests before the recording.")] = 2,
    timeout: Annotated[float, typer.Option(help="Seconds that one request may take.")] = 600.0,
    api_key_env: Annotated[
        str, typer.Option(metavar="NAME", help="Environment variable that holds the server's key, if it wants one.")
    ] = "OPENAI_API_KEY",
    seed: Annotated[int, typer.Option(min=0, help="Seed of arrivals and prompts.")] = 0,
    device: Annotated[str | None, typer.Option(help="Device that the server runs on, for the simulation.")] = None,
    tensor_parallel: Annotated[int | None, typer.Option(min=1, help="The server's devices that share a layer.")] = None,
    data_parallel: Annotated[int | None, typer.Option(min=1, help="The server's data-parallel ranks.")] = None,
    max_num_seqs: Annotated[int | None, typer.Option(min=1, help="The server's limit of running requests.")] = None,
    max_num_batched_tokens: Annotated[int | None, typer.Option(min=1, help="The server's tokens of a step.")] = None,
    kv_blocks: Annotated[int | None, typer.Option(min=1, help="The server's KV-cache blocks of 16 tokens.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write JSON to FILE.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no table.")] = False,
) -> None:
    """Record a real OpenAI-compatible server's TTFT, ITL, TPOT and E2E under a given load.

    Example: simulator observe http://127.0.0.1:8000 --model meta-llama/Llama-3.1-8B --rate 2 --requests 200
    --out recorded/ --device nvidia-h100-sxm-80gb --tensor-parallel 1 --max-num-seqs 256 --max-num-batched-tokens 8192
    """
    import os

    from simulator.cli.options import made_folder
    from simulator.observe.endpoint import endpoint
    from simulator.observe.record import Plan, generated, record
    from simulator.observe.run_directory import Deployment, write_run
    from simulator.report.files import write_json

    where = endpoint(url, model, chat=chat, ignore_eos=not stop_at_eos)
    _check_load(trace, rate, concurrency, timeout)
    if trace is not None:
        load = _traced(trace, trace_format, limit, speed_up)
    else:
        load = generated(requests, rate, prompt_tokens, output_tokens, seed)
    deployment = Deployment(
        model, device, tensor_parallel, data_parallel, max_num_seqs, max_num_batched_tokens, kv_blocks
    )
    folder = made_folder(out)
    assert folder is not None
    plan = Plan(concurrency, warm_up, timeout, seed)
    observed = record(where, load, plan, key=os.environ.get(api_key_env), progress=_progress(len(load)))
    offered = {"concurrency": concurrency} if concurrency else {"open_loop": True}
    summary = write_run(folder, observed, deployment, offered)
    if json_file is not None:
        write_json(json_file, summary)
    _tell(summary, folder, quiet)


def _check_load(trace: Path | None, rate: float | None, concurrency: int | None, timeout: float) -> None:
    if trace is not None and rate is not None:
        raise InputError("--rate is about generated requests, a trace has its own times: use --speed-up to change them")
    if rate is not None and concurrency is not None:
        raise InputError("--rate is an open loop and --concurrency a closed one: leave out one of them")
    if trace is None and rate is None and concurrency is None:
        raise InputError("no load is given: add --trace FILE, --rate R or --concurrency N")
    if not 0 < timeout < float("inf"):
        raise InputError(f"--timeout is {timeout:g}: give seconds above 0")


def _traced(trace: Path, trace_format: str | None, limit: int | None, speed_up: float) -> Requests:
    from simulator.observe.load import whole
    from simulator.workloads.traces import open_trace

    return whole(open_trace(trace, format=trace_format, limit=limit, speed_up=speed_up))


def _progress(total: int) -> Callable[[int], None]:
    """A line on a terminal, written at most every half second so that it does not disturb what is timed."""
    import sys
    from time import monotonic

    from simulator.report.terminal import draws_progress

    if not draws_progress():
        return lambda done: None
    last = monotonic()

    def show(done: int) -> None:
        nonlocal last
        if done == total or monotonic() - last > 0.5:
            last = monotonic()
            print(f"\r{done:,} of {total:,} requests answered", end="\n" if done == total else "", file=sys.stderr)

    return show


def _tell(summary: dict[str, Any], folder: Path, quiet: bool) -> None:
    import sys

    from simulator.report.table import print_rows

    requests, tokens = summary["requests"], summary["tokens"]
    for reason, count in requests["reasons"].items():
        print(f"{count:,} of {requests['sent']:,} requests failed: {reason}", file=sys.stderr)
    if not tokens["counted_by_server"]:
        print("the server gave no usage: each event with text counts as one token", file=sys.stderr)
    elif tokens["output"] != tokens["output_asked"]:
        print(f"outputs have {tokens['output']:,} tokens of {tokens['output_asked']:,} asked for", file=sys.stderr)
    if quiet:
        return
    rows = [
        {"latency (ms)": name.upper(), **{k: f"{v:,.2f}" for k, v in found.items()}}
        for name, found in summary["latency_ms"].items()
        if found
    ]
    print_rows(f"{requests['succeeded']:,} requests in {summary['duration_s']:,.1f} s, recorded in {folder}", rows)
