"""ONNX files as protobufs whose inputs have fixed sizes; large weights' numbers are never read from other files."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.errors import InputError, unknown_name

MAX_LISTED = 8


def onnx_package() -> Any:
    """The `onnx` package. Raises `InputError` where it is not installed."""
    try:
        found = importlib.import_module("onnx")
        for part in ("shape_inference", "inliner", "numpy_helper", "reference"):
            importlib.import_module(f"onnx.{part}")
    except ImportError:
        raise InputError("ONNX files need the package onnx: pip install 'simulator[onnx]'") from None
    return found


def load(path: str | Path) -> Any:
    """The ModelProto in a file, its local functions written out. Raises `InputError` for files that are none."""
    onnx, file = onnx_package(), Path(path)
    if not file.is_file():
        raise InputError("there is no such file: give the path of an .onnx file", file=file)
    try:
        model = onnx.load_model(str(file), load_external_data=False)
    except Exception as error:
        raise InputError(f"not an ONNX model, or damaged: {_first_line(error)}", file=file) from None
    if not model.graph.node or not model.opset_import:
        raise InputError("not an ONNX model, or damaged: it has no operators or no operator set", file=file)
    if any(isinstance(name, bytes) for name in _names(model.graph)):
        raise InputError("not an ONNX model, or damaged: it has names that are not text", file=file)
    if len(model.functions):
        model = onnx.inliner.inline_local_functions(model)
    return model


def _names(graph: Any) -> Iterator[object]:
    """Names of the main graph's tensors and nodes; protobuf leaves those that are no text as bytes."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        yield value.name
    for value in graph.input:
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)


def fix_sizes(model: Any, sizes: Mapping[str, int], usual: Mapping[str, int], *, file: str | Path) -> None:
    """Give the open dimensions of the model's inputs their `sizes`, or the `usual` ones, in place.

    A dimension without a name goes by its input and place, such as "x[0]". Raises `InputError` for names that the file
    does not have, for dimensions that stay open, and for empty inputs.
    """
    weights = {w.name for w in model.graph.initializer}
    seen: set[str] = set()
    missing: dict[str, None] = {}
    for value in model.graph.input:
        if value.name in weights:
            continue
        for name, dim in open_dimensions(value):
            seen.add(name)
            if name in sizes or name in usual:
                dim.dim_value = sizes[name] if name in sizes else usual[name]
            else:
                missing[name] = None
        if any(d.HasField("dim_value") and d.dim_value == 0 for d in value.type.tensor_type.shape.dim):
            raise InputError(f"input {value.name} is empty: one of its dimensions is 0", file=file)
    for name in sizes:
        if name not in seen:
            if not seen:
                raise InputError(f"sizes.{name}: the file has no open dimensions: leave sizes out", file=file)
            raise unknown_name("open dimension in sizes", name, seen, file=file)
    if missing:
        names = [*missing][:MAX_LISTED]
        more = f" and {len(missing) - len(names)} more" if len(missing) > len(names) else ""
        example = ", ".join(f"{name!r}: 1" if "[" in name else f"{name}: 1" for name in names[:2])
        raise InputError(
            f"these dimensions are open: {', '.join(names)}{more}: give each a size, as in sizes: {{{example}}}",
            file=file,
        )


def open_dimensions(value: Any) -> Iterator[tuple[str, Any]]:
    """Names and protobufs of an input's dimensions that have no size; -1, as some exporters write, is none."""
    for place, dim in enumerate(value.type.tensor_type.shape.dim):
        if not dim.HasField("dim_value") or dim.dim_value < 0:
            named = dim.HasField("dim_param") and dim.dim_param not in ("", "?")
            yield (dim.dim_param if named else f"{value.name}[{place}]"), dim


def stored_array(tensor: Any, folder: Path) -> Any:
    """The numbers of a TensorProto as an array. Raises `InputError` where the file that holds them is missing."""
    onnx = onnx_package()
    try:
        return onnx.numpy_helper.to_array(tensor, base_dir=str(folder))
    except Exception as error:
        where = next((e.value for e in tensor.external_data if e.key == "location"), "the model")
        raise InputError(f"the numbers of {tensor.name} cannot be read from {where}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
