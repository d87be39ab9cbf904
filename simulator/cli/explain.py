"""`simulator explain`: where the time of one iteration goes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli import completion
from simulator.cli.options import Json, Settings, file_argument
from simulator.shipped import SCENARIOS

if TYPE_CHECKING:
    from simulator.explained import Iteration


def explain(
    scenario: Annotated[
        Path | None, file_argument("Scenario of kind inference instead of --model, --device.", SCENARIOS)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model name, or path to a Hugging Face config.json.", autocompletion=completion.models),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Device name, or path to a device YAML file.", autocompletion=completion.devices),
    ] = None,
    settings: Settings = None,
    tensor_parallel: Annotated[int, typer.Option(help="Devices that share each layer.")] = 1,
    pipeline_parallel: Annotated[int, typer.Option(help="Stages that the layers are cut into.")] = 1,
    data_parallel: Annotated[int, typer.Option(help="Attention groups inside a replica (MoE models).")] = 1,
    expert_parallel: Annotated[int, typer.Option(help="Devices that whole experts are spread over.")] = 1,
    weights: Annotated[str | None, typer.Option(help="Number format of the weights, e.g. fp8 or int4.")] = None,
    kv_cache: Annotated[str | None, typer.Option("--kv-cache", help="Number format of the KV cache.")] = None,
    engine: Annotated[str, typer.Option(help="Whose kernels and overheads: vllm, trtllm, sglang, or a file.")] = "vllm",
    calibration: Annotated[str | None, typer.Option(help="Calibration file of one's own for the device.")] = None,
    prefill_tokens: Annotated[int, typer.Option(help="New prompt tokens in the iteration, as one chunk.")] = 0,
    cached_tokens: Annotated[int, typer.Option(help="Tokens of that prompt that are cached already.")] = 0,
    decode_sequences: Annotated[int, typer.Option(help="Sequences that decode in the iteration.")] = 0,
    context: Annotated[int, typer.Option(help="Cached tokens of each decoding sequence.")] = 1024,
    json_file: Json = None,
) -> None:
    """Explain one iteration operator by operator: seconds, bound (compute, memory, launch, network, host), share.

    With a scenario of kind inference, the kernels of its operator graph.

    Example: simulator explain --model meta-llama/Llama-3.1-8B --device nvidia-l4-24gb --decode-sequences 16
    """
    from simulator.errors import InputError
    from simulator.explained import explained_iteration
    from simulator.workloads.parallelism import Parallelism

    if scenario is not None:
        _explain_graph(scenario, settings or [], json_file)
        return
    if settings:
        raise InputError("--set is of a scenario: give one, or leave --set out")
    found = explained_iteration(
        model=model,
        device=device,
        parallel=Parallelism(tensor_parallel, pipeline_parallel, data_parallel, expert_parallel),
        weights=weights,
        kv_cache=kv_cache,
        engine=engine,
        calibration=calibration,
        prefill_tokens=prefill_tokens,
        cached_tokens=cached_tokens,
        decode_sequences=decode_sequences,
        context=context,
        called=lambda name: f"--{name.replace('_', '-')}",
    )
    _show_iteration(found, json_file)


def _show_iteration(found: Iteration, json_file: Path | None) -> None:
    """The parts of an iteration as JSON and on the terminal."""
    from simulator.report.files import write_json
    from simulator.report.table import print_rows

    deployment = found.deployment
    if json_file is not None:
        facts = {
            "model": deployment.model.name,
            "device": deployment.device.id,
            "calibration": deployment.calibrations.name,
            "total_s": found.seconds,
            "parts": [asdict(part) for part in found.parts],
        }
        write_json(json_file, facts)
    rows = [
        {
            "stage": p.stage,
            "operator": p.name,
            "calls": p.count,
            "time (us)": f"{p.seconds * 1e6:,.1f}",
            "share": f"{p.share:.1%}",
            "bound": p.bound,
            "GFLOP": f"{p.flops / 1e9:,.2f}",
            "MB": f"{p.bytes / 1e6:,.2f}",
        }
        for p in found.parts
    ]
    print_rows(
        f"one iteration of {deployment.model.name} on {deployment.parallel.devices} x {deployment.device.id}: "
        f"{found.seconds * 1e3:.3f} ms ({deployment.calibrations.name})",
        rows,
    )


def _explain_graph(path: Path, settings: list[str], json_file: Path | None) -> None:
    """The kernels of an operator graph, in their order."""
    from simulator.explained import explained_graph
    from simulator.kinds import load
    from simulator.report.files import write_json
    from simulator.report.graphs.operators import operator_rows, operator_table
    from simulator.report.table import print_rows

    result = explained_graph(load(path, settings), file=path)
    if json_file is not None:
        write_json(json_file, {"summary": result.summary, "parts": operator_table(result).to_dict("records")})
    title = f"{result.model.name} on {result.law.device.id}: {result.seconds * 1e3:.3f} ms"
    print_rows(f"{title} ({result.law.calibrations.name})", operator_rows(result))
