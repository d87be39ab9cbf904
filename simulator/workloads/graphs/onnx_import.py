"""Read models from ONNX files as operator graphs.

Shapes follow from the sizes given to open dimensions, node by node, by ONNX's own rules; shape arithmetic and weights
made of other weights are folded, as every runtime does before the first run. Large weights' numbers are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.interchange.loading import fix_sizes, load
from simulator.workloads.graphs.interchange.reading import Reader


def read_onnx(
    path: str | Path,
    sizes: Mapping[str, int] | None = None,
    floats: DType | None = None,
    *,
    usual: Mapping[str, int] | None = None,
) -> Graph:
    """The graph in an ONNX file, its open dimensions of these `sizes`, its floating-point numbers in format `floats`.

    `usual` are sizes of dimensions that the file need not have.

    Raises `InputError` for files that are no ONNX models, for open dimensions without a size and sizes without a
    dimension, and for graphs that do not fit together at these sizes.
    """
    file, model = Path(path), load(path)
    fix_sizes(model, sizes or {}, usual or {}, file=file)
    known = {**(usual or {}), **(sizes or {})}
    return graph_of(model, file.parent, name=file.stem, sizes=known, floats=floats, file=file)


def graph_of(
    model: Any,
    folder: Path,
    *,
    name: str,
    sizes: Mapping[str, int] | None = None,
    floats: DType | None = None,
    file: str | Path | None = None,
) -> Graph:
    """The graph of a ModelProto all of whose inputs have fixed sizes; `folder` holds its external data."""
    opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
    reader = Reader(opsets, folder, sizes or {}, floats)
    stored = {w.name for w in model.graph.initializer}
    try:
        outputs = [fact.name for fact in reader.graph(model.graph) if not fact.constant]
        if not reader.nodes:
            raise InputError("nothing runs: its results are the same whatever its inputs are")
        inputs = tuple(v.name for v in model.graph.input if v.name not in stored)
        return Graph(name, reader.tensors, tuple(reader.nodes), inputs, tuple(outputs))
    except InputError as error:
        raise InputError(error.message, file=file) from None
