"""Count ONNX files and compare with counters that share no code with the simulator's.

    python benchmarks/onnx_models.py FILE.onnx ... [--size NAME=NUMBER ...]

Prints one row of a Markdown table a file: nodes, parameters, and multiply-adds of convolutions and products; the same
multiply-adds worked out from the shapes of the tensors that ONNX Runtime really made while it ran the file; those of
onnx-tool where that is installed (it adds the biases, and counts transposed convolutions over their results).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from simulator.errors import InputError
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.interchange.loading import fix_sizes, load, open_dimensions
from simulator.workloads.graphs.lowering import unknown
from simulator.workloads.graphs.onnx_import import read_onnx

PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "ConvInteger", "MatMulInteger", "DynamicQuantizeLSTM")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--size", action="append", default=[], metavar="NAME=NUMBER")
    given = parser.parse_args()
    sizes = {name: int(number) for name, _, number in (s.rpartition("=") for s in given.size)}
    print("| file | nodes | parameters | multiply-adds | by shapes of the runtime | by onnx-tool | estimated |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for file in given.files:
        print(row(file, sizes))


def row(file: Path, sizes: dict[str, int]) -> str:
    """One line of the table."""
    model = load(file)
    weights = {w.name for w in model.graph.initializer}
    opened = {n for v in model.graph.input if v.name not in weights for n, _ in open_dimensions(v)}
    own = {name: sizes.get(name, 1) for name in opened}
    try:
        graph = read_onnx(file, own)
    except InputError as error:
        return f"| {file.name} | {error} ||||||"
    fix_sizes(model, own, {}, file=file)
    counted, estimated = count(graph), ", ".join(f"{name} ({n})" for name, n in unknown(graph).items())
    ran, tool = run_macs(model), tool_macs(model)
    return (
        f"| {file.name} | {counted.nodes} | {counted.parameters:,.0f} | {counted.macs:,.0f} | {ran} | {tool} "
        f"| {estimated} |"
    )


def run_macs(model: Any) -> str:
    """Multiply-adds from the shapes of all tensors that ONNX Runtime makes of inputs of zeros."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    names = list(dict.fromkeys(n for node in model.graph.node for n in (*node.input, *node.output) if n))
    declared = {v.name for v in (*model.graph.input, *model.graph.output)}
    held = {w.name: w for w in model.graph.initializer}
    made = [n for n in names if n not in declared and n not in held]
    model.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in made)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        feeds = {i.name: np.zeros(i.shape, TYPES[i.type]) for i in session.get_inputs()}
        outputs = [o.name for o in session.get_outputs()]
        found = zip(outputs, session.run(None, feeds), strict=True)
        shapes = {name: np.shape(value) for name, value in found} | {n: v.shape for n, v in feeds.items()}
    except Exception as error:
        return f"not run ({type(error).__name__})"
    shapes |= {name: tuple(w.dims) for name, w in held.items()}
    return f"{sum(macs(node, shapes) for node in model.graph.node):,.0f}"


TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8}


def macs(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    """Multiply-adds of one node, by the textbook's formula for its type."""
    if node.op_type not in PRODUCTS:
        return 0
    a, b, out = shapes[node.input[0]], shapes[node.input[1]], shapes[node.output[0]]
    if node.op_type in ("Conv", "ConvInteger"):
        return int(np.prod(out) * np.prod(b[1:]))
    if node.op_type == "ConvTranspose":
        return int(np.prod(a) * np.prod(b[1:]))
    if node.op_type in ("MatMul", "MatMulInteger"):
        return int(np.prod(out) * a[-1])
    if node.op_type == "Gemm":
        transposed = any(t.name == "transA" and t.i for t in node.attribute)
        return int(np.prod(out) * a[0 if transposed else 1])
    return int(a[0] * a[1] * (np.prod(b) + np.prod(shapes[node.input[2]])))


def tool_macs(model: Any) -> str:
    """What the package onnx-tool counts for the same types."""
    try:
        import onnx_tool

        graph = onnx_tool.Model(model).graph
        graph.shape_infer()
        graph.profile()
        return f"{sum(np.sum(node.macs[0]) for node in graph.nodemap.values() if node.op_type in PRODUCTS):,.0f}"
    except ImportError:
        return "not installed"
    except Exception as error:
        return f"not counted ({type(error).__name__})"


if __name__ == "__main__":
    main()
