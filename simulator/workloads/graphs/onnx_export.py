"""Write operator graphs as ONNX files with random weights, so that other runtimes can run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph, Model, Node
from simulator.workloads.graphs.interchange.decompositions import DECOMPOSITIONS
from simulator.workloads.graphs.interchange.loading import onnx_package
from simulator.workloads.graphs.interchange.writing import IR_VERSION, OPSET, Writer, refuse

LARGEST = 1_900_000_000  # bytes of weights inside a file; protobufs end at 2 GB


def write_onnx(graph: Graph, path: str | Path, seed: int = 0) -> Path:
    """Write a graph as an ONNX file of operator set 17; weights of more than 1.9 GB go into a file beside it.

    Types that the operator set lacks are written in its own operators. Weights are random numbers of `seed`. Raises
    `InputError` for types, formats and repetitions that ONNX does not have.
    """
    model, target = onnx_model(graph, seed), Path(path)
    apart = sum(len(w.raw_data) for w in model.graph.initializer) > LARGEST
    location = f"{target.name}.data" if apart else None
    try:
        onnx_package().save_model(model, str(target), save_as_external_data=apart, location=location)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", file=target) from None
    return target


def write_model(model: Model, path: str | Path, seed: int = 0) -> list[Path]:
    """Write each graph of a model as `write_onnx` does; several are told apart by their numbers, "FILE-1.onnx"."""
    target = Path(path)
    if len(model.parts) == 1:
        return [write_onnx(model.parts[0].graph, target, seed)]
    named = [target.with_stem(f"{target.stem}-{number}") for number in range(1, len(model.parts) + 1)]
    return [write_onnx(part.graph, file, seed) for part, file in zip(model.parts, named, strict=True)]


def onnx_model(graph: Graph, seed: int = 0) -> Any:
    """The ModelProto of a graph, as `write_onnx` writes it."""
    writer = Writer(graph, seed)
    for node in graph.nodes:
        for part in node.parts:
            _write(writer, part)
    helper = writer.onnx.helper
    inputs, outputs = ([writer.value(name) for name in names] for names in (graph.inputs, graph.outputs))
    made = helper.make_graph(writer.nodes, graph.name, inputs, outputs, list(writer.weights.values()))
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="simulator"
    )


def _write(writer: Writer, node: Node) -> None:
    if np.any(np.asarray(node.repeat) != 1):
        raise refuse(node, "it runs more or less than once")
    operands = [writer.weight(name) for name in node.inputs]
    for place, value in node.attributes.get("literals", {}).items():
        operands.insert(place, writer.number(value, node.inputs[0]))
    if node.type in DECOMPOSITIONS:
        DECOMPOSITIONS[node.type](writer, node, operands)
        return
    schemas = writer.onnx.defs
    if not schemas.has(node.type, OPSET, ""):
        raise refuse(node, f"operator set {OPSET} has no such type")
    known = schemas.get_schema(node.type, OPSET, "").attributes
    attributes = {name: value for name, value in node.attributes.items() if name in known}
    writer.add(node.type, operands, node.outputs, **attributes)
