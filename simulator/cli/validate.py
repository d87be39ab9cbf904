"""`simulator validate`: predictions against measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli import completion
from simulator.cli.options import Json
from simulator.report.progress import progress
from simulator.report.terminal import say

if TYPE_CHECKING:
    from simulator.calibrate.errors import Comparison

app = typer.Typer(help="Compare predictions with measurements.", no_args_is_help=True)

MEASURED = completion.files(*completion.MEASURED)
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for a page, a table and a parity plot.")]


@app.command("kernels")
def kernels(
    file: Annotated[Path, typer.Argument(help="Parquet file of measured kernels.", autocompletion=MEASURED)],
    uncalibrated: Annotated[
        bool, typer.Option("--uncalibrated", help="Time each device by its datasheet and its relatives' curves.")
    ] = False,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only the third of the shapes that fits leave out.")
    ] = False,
    json_file: Json = None,
    out: Out = None,
) -> None:
    """Measured kernel latencies, by operator, backend and format.

    Example: simulator validate kernels nvidia-h100-sxm-80gb.parquet --held-out
    """
    from simulator.calibrate.check_kernels import check_kernels

    flags = {"--uncalibrated": uncalibrated, "--held-out": held_out}
    command = ["kernels", file.name, *(flag for flag, given in flags.items() if given)]
    with progress("checking", "groups of kernels") as on_count:
        found = check_kernels(file, calibrated=not uncalibrated, held_out=held_out, on_count=on_count)
    _show(found, command, json_file, out)


@app.command("steady-state")
def steady_state(
    file: Annotated[
        Path, typer.Argument(help="CSV file of deployments at a fixed concurrency.", autocompletion=MEASURED)
    ],
    jobs: Annotated[int, typer.Option(help="Processes; -1 for all cores.")] = -1,
    json_file: Json = None,
    out: Out = None,
) -> None:
    """Mean TTFT and TPOT of whole deployments under a fixed number of clients.

    Example: simulator validate steady-state steady_state.csv --json errors.json
    """
    from simulator.calibrate.check_steady_state import check_steady_state

    with progress("checking", "deployments") as on_count:
        found = check_steady_state(file, jobs=jobs, on_count=on_count)
    _show(found, ["steady-state", file.name], json_file, out)


@app.command("serving")
def serving(
    run: Annotated[Path, typer.Argument(help="Folder of a recorded run, or a JSON list of experiments.")],
    json_file: Json = None,
    out: Out = None,
) -> None:
    """A recorded serving run, replayed: TTFT, TPOT and E2E by mean, P50, P90 and P99.

    Example: simulator validate serving vllm-rtx4090-llama-3.1-8b
    """
    from simulator.calibrate.check_serving import check_serving

    with progress("checking", "experiments") as on_count:
        found = check_serving(run, on_count=on_count)
    _show(found, ["serving", run.resolve().name], json_file, out)


@app.command("engine")
def engine(
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration of this machine; without it kernels are measured first.")
    ] = None,
    requests: Annotated[int, typer.Option(help="Requests to serve.", min=4, max=10_000)] = 48,
    json_file: Json = None,
    out: Out = None,
) -> None:
    """A small engine that really computes on this machine's processor, against its simulation.

    Example: simulator validate engine
    """
    from simulator.calibrate.check_engine import check_engine

    with progress("measuring and serving"):
        found = check_engine(calibration=calibration, requests=requests, say=say)
    _show(found, ["engine"], json_file, out)


@app.command("training")
def training(
    file: Annotated[Path, typer.Argument(help="CSV file of published training runs.", autocompletion=MEASURED)],
    json_file: Json = None,
    out: Out = None,
) -> None:
    """Iteration times of whole training runs.

    Example: simulator validate training llm_pretraining.csv
    """
    from simulator.calibrate.check_training import check_training

    with progress("checking", "runs") as on_count:
        found = check_training(file, on_count=on_count)
    _show(found, ["training", file.name], json_file, out)


@app.command("models")
def models(
    file: Annotated[Path, typer.Argument(help="CSV file of latencies of whole models.", autocompletion=MEASURED)],
    json_file: Json = None,
    out: Out = None,
) -> None:
    """Latencies of whole transformers on one device, in inference and in training.

    Example: simulator validate models transformers_single_gpu.csv
    """
    from simulator.calibrate.check_models import check_models

    with progress("checking", "rows") as on_count:
        found = check_models(file, on_count=on_count)
    _show(found, ["models", file.name], json_file, out)


@app.command("graphs")
def graphs(
    file: Annotated[
        Path, typer.Argument(help="CSV file of latencies of operator graphs under a runtime.", autocompletion=MEASURED)
    ],
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration file that comes before those of the package.")
    ] = None,
    by: Annotated[list[str] | None, typer.Option(help="Column to group rows by, or family; can be repeated.")] = None,
    json_file: Json = None,
    out: Out = None,
) -> None:
    """Latencies of whole models, as PyTorch, ONNX Runtime and other runtimes run them.

    Example: simulator validate graphs benchmarks/published/vision_gpus.csv --by device --by runtime
    """
    from simulator.calibrate.check_graphs import check_graphs

    own = str(calibration) if calibration else None
    with progress("checking", "rows") as on_count:
        found = check_graphs(file, calibration=own, by=by or (), on_count=on_count)
    given = [part for name in by or [] for part in ("--by", name)]
    _show(found, ["graphs", file.name, *given], json_file, out)


@app.command("scenarios")
def scenarios(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Systems to run, by scenario name; all without.", autocompletion=completion.published),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for all cores.")] = -1,
    json_file: Json = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for predictions.json and the page.")] = None,
) -> None:
    """Published systems against their baselines: the predicted ratio beside the one that the paper reports.

    Example: simulator validate scenarios serving/distserve
    """
    from simulator.published import predict_all
    from simulator.report.files import output_folder, write_json, write_text
    from simulator.report.table import print_rows
    from simulator.report.validation.published_page import published_page, published_rows

    with progress("predicting", "systems") as on_count:
        found = predict_all(names or [], jobs=jobs, on_count=on_count)
    if json_file is not None:
        write_json(json_file, found)
    if out is not None:
        folder = output_folder(out)
        write_json(folder / "predictions.json", found)
        write_text(folder / "report.html", published_page(found, names or []))
    print_rows("published systems", published_rows(found))


@app.command("all")
def everything(
    folder: Annotated[Path, typer.Argument(help="Folder with kernels/ and serving/.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Markdown file to write.")],
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="HTML page to write besides.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for all cores.")] = -1,
    json_file: Json = None,
) -> None:
    """Every set of a folder of measurements, as one page.

    Example: simulator validate all ../shared/measured --out docs/accuracy.md
    """
    from simulator.calibrate.accuracy import accuracy_page, measured_sets
    from simulator.report.files import write_json, write_text
    from simulator.report.validation.page import validation_sets_page

    with progress("checking every set"):
        found = measured_sets(folder, jobs=jobs)
    written = [out]
    write_text(out, accuracy_page(found))
    if report is not None:
        write_text(report, validation_sets_page(found.by_name()))
        written.append(report)
    for path in written:
        say(f"wrote {path}")
    if json_file is not None:
        write_json(json_file, {"written": [str(path) for path in written]})


def _show(comparison: Comparison, command: list[str], json_file: Path | None, out: Path | None) -> None:
    """Print a comparison and write what was asked for; `command` is what follows `simulator validate`."""
    from simulator.report.files import output_folder, write_json
    from simulator.report.validation.page import write_validation
    from simulator.report.validation.rows import print_validation

    kind, *given = command
    if json_file is not None:
        write_json(json_file, comparison.summary())
    if out is not None:
        write_validation(output_folder(out), comparison, kind, given)
    print_validation(comparison, kind.replace("-", " "))
