"""`simulator list` and `simulator show`: what there is, each with its source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cli import completion
from simulator.cli.options import Json

KINDS = "devices, models, policies, workloads, scenarios, plans, sweeps, links, nodes or dtypes"

Onnx = Annotated[
    Path | None,
    typer.Option("--onnx", metavar="FILE", help="Also write a graph as an ONNX file with random weights."),
]


def list_(
    kind: Annotated[str, typer.Argument(help=f"One of {KINDS}.", autocompletion=completion.kinds)],
    json_file: Json = None,
) -> None:
    """List devices, models, policies, workloads, scenarios, plans, sweeps, links, nodes or dtypes.

    Example: simulator list devices
    """
    from simulator.report import catalogue
    from simulator.report.files import write_json
    from simulator.report.table import print_rows

    plural = catalogue.kind_of(kind)
    rows = catalogue.rows(plural)
    if json_file is not None:
        write_json(json_file, rows)
    print_rows(plural, rows)


def show(
    kind: Annotated[str, typer.Argument(help=f"One of {KINDS}.", autocompletion=completion.kinds)],
    name: Annotated[
        str, typer.Argument(help="Its name, or the path of a file of that kind.", autocompletion=completion.names)
    ],
    json_file: Json = None,
    onnx_file: Onnx = None,
) -> None:
    """Show one device, model, policy, workload, scenario, plan, sweep, link, node or dtype in full, with its source.

    Example: simulator show device nvidia-h100-sxm-80gb
    """
    from simulator.report import catalogue
    from simulator.report.files import write_json
    from simulator.report.table import print_facts

    facts = catalogue.facts(catalogue.kind_of(kind), name)
    if json_file is not None:
        write_json(json_file, facts)
    print_facts(name, facts)
    if onnx_file is not None:
        _write_graph(catalogue.kind_of(kind), name, onnx_file)


def _write_graph(kind: str, name: str, file: Path) -> None:
    from simulator.errors import InputError
    from simulator.workloads.graphs.catalogue import graph_model
    from simulator.workloads.graphs.onnx_export import write_model

    if kind != "graphs":
        raise InputError(f"--onnx writes graphs, not {kind}: leave it out")
    for written in write_model(graph_model(name), file):
        typer.echo(f"wrote {written}", err=True)
